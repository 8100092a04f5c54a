"""The sketches of a profile, each column read as few times as pays: by itself, since columns lie apart in the files.

A column of few values is grouped once, and all is made of its groups. Of any other one pass takes all: numbers are
grouped by the bins of the histogram, and each bin has its moments and its distinct values (in a bitmap of the
registers, where only hashes that can change them are looked at); of texts the lengths are counted.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from penstock.model.entries import Column
from penstock.profiles.distinct import BITS, BUCKETS, HASH_BITS, RANKS, DistinctSketch
from penstock.profiles.frequent import MOST_COMPLETE, MOST_KEPT, FrequentValues
from penstock.profiles.histogram import Histogram
from penstock.profiles.moments import Moments
from penstock.profiles.profile import ColumnProfile, TableProfile
from penstock.stores.port import ANSWERS, Partial
from penstock.validate.gathering import Gathering, Inquiry
from penstock.validate.glancing import MOST_GROUPED, Glance, Scale, double, glance, number, parts
from penstock.validate.recurring import frequent_values, written
from penstock.validate.rows import Rows
from penstock.validate.values import family

_GROUPS = 4 * MOST_GROUPED
"""A column that shows more groups than this has many values after all."""
_PER_REGISTER = 16
"""Different hashes looked at for each register: one in nine million is left empty by chance."""
SHORT = 1_024
"""Texts up to about this length are counted by their length."""
_BIN = {"key": "", "n": "count", "least": "min", "greatest": "max"}
_BIN |= dict.fromkeys(("s1", "s2", "s3", "s4"), "sum") | {"endless": "count"}
UNITED_BITS = "CAST(bit_or(CAST({bits} AS BIT)) AS VARCHAR)"
"""SQL that unites bitmaps, which stand as texts in a column ``{bits}``."""
_UNITED = UNITED_BITS.format(bits="bits")
_COUNTED = {"number", "real", "text", "moment", "boolean", "time", "uuid"}


def sketch(
    rows: Rows,
    source: Gathering,
    personal: Sequence[str],
    total: int,
    figures: Mapping[str, Mapping[str, Any]],
    taken: Mapping[str, Mapping[str, Any]] | None = None,
) -> TableProfile:
    """Return the profile of the rows with its sketches.

    Args:
        rows: The rows.
        source: The same, with long JSON as text.
        personal: Columns of which no value may be kept: of them only rows and nulls are counted.
        total: How many rows there are.
        figures: Column to figures, of which ``nulls`` and ``nans`` are taken.
        taken: Column to what was found of it in another pass, see ``texts``.
    """
    hidden = {name.lower() for name in personal}
    profiles = {column.name: _plain(column, total, figures[column.name], hidden) for column in rows.columns}
    known = {name: of for name, of in (taken or {}).items() if sum(of["lengths"].values()) == profiles[name].values}
    open_ = [column for column in open_columns(source.rows, hidden) if profiles[column.name].values]
    for name, sketches in _sketches(source, open_, total, known):
        profiles[name] = replace(profiles[name], **sketches)
    return TableProfile(total, profiles)


def open_columns(rows: Rows, personal: Collection[str]) -> list[Column]:
    """Return the columns of which sketches are taken, but for those that have no value; personal ones in lower case."""
    return [each for each in rows.columns if family(each.type) in _COUNTED and each.name.lower() not in personal]


def _plain(column: Column, total: int, figures: Mapping[str, Any], hidden: set[str]) -> ColumnProfile:
    """Return the profile of a column without sketches."""
    personal = column.name.lower() in hidden
    nans = 0 if personal else figures.get("nans", 0)
    return ColumnProfile(type=column.type, rows=total, nulls=figures["nulls"], nans=nans, personal=personal)


def _sketches(
    source: Gathering, columns: Sequence[Column], total: int, taken: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, dict[str, Any]]]:
    if not columns:
        return
    glances = glance(source, columns, total)
    # A hash is only comparable with others of the same function, which an engine may change.
    ((known,),) = source.here.connection.execute("SELECT hash('penstock') & 4294967295").fetchall()
    hash_name = f"duckdb {known:08x}"
    few = dict(_few(source, [column for column in columns if glances[column.name].few], glances, hash_name))
    yield from few.items()
    many = [column for column in columns if column.name not in few]
    found = {
        column.name: of_text(taken[column.name], glances[column.name].scale, hash_name)
        for column in many
        if column.name in taken
    }
    asked = [column for column in many if column.name not in taken]
    found |= source.follow({each.name: _passed(source, each, glances[each.name], hash_name) for each in asked})
    for name, frequent in frequent_values(source, many, total):
        found[name]["frequent"] = frequent
    yield from found.items()


def _few(
    source: Gathering, columns: Sequence[Column], glances: Mapping[str, Glance], hash_name: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the sketches of columns that have few values indeed, from those values and their counts."""
    for part in parts(columns):
        for column, groups in zip(part, _groups(source, part), strict=True):
            if len(groups) <= _GROUPS:
                yield column.name, _of_groups(groups, glances[column.name].scale, hash_name)


def _groups(source: Gathering, columns: Sequence[Column]) -> list[list[tuple[Any, ...]]]:
    """Return of each column its values with their counts, or too many of them."""
    branches = []
    for column in columns:
        x = number(column, "v") or "CAST(NULL AS DOUBLE)"
        endless = "isinf(v)" if family(column.type) == "real" else "false"
        branches.append(
            f"SELECT {written(column, 'v')} AS shown, hash(v) AS hashed, {x} AS x, {endless} AS endless, "
            f"count(*) AS n FROM {source.values(column.name)} WHERE v IS NOT NULL GROUP BY v LIMIT {_GROUPS + 1}"
        )
    if not source.spread:
        groups: list[list[tuple[Any, ...]]] = [[] for _ in columns]
        query = " UNION ALL ".join(f"(SELECT {place}, * FROM ({each}))" for place, each in enumerate(branches))
        for place, *group in source.here.connection.execute(query).fetchall():
            groups[place].append(tuple(group))
        return groups
    united = f"SELECT shown, hashed, x, endless, CAST(sum(n) AS BIGINT) FROM {ANSWERS} GROUP BY ALL LIMIT {_GROUPS + 1}"
    return source.ask([Partial(each, united) for each in branches])


def _of_groups(groups: Sequence[tuple[Any, ...]], scale: Scale | None, hash_name: str) -> dict[str, Any]:
    minima: dict[int, int] = {}
    counts: dict[str, int] = {}
    for text, hashed, _, _, count in groups:
        bucket, rest = hashed & (BUCKETS - 1), hashed >> BITS
        minima[bucket] = min(rest, minima.get(bucket, rest))
        counts[text] = counts.get(text, 0) + count
    return {
        "distinct": DistinctSketch.of_minima(minima, hash_name),
        "endless": sum(count for *_, endless, count in groups if endless),
        "frequent": _ordered(counts),
        **_of_counts([(x, count) for _, _, x, _, count in groups if x is not None], scale),
    }


def _ordered(counts: Mapping[str, int]) -> FrequentValues:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    complete = len(ordered) <= MOST_COMPLETE
    return FrequentValues(dict(ordered if complete else ordered[:MOST_KEPT]), complete)


def _of_counts(counts: Sequence[tuple[float, int]], scale: Scale | None) -> dict[str, Any]:
    """Return moments and histogram from values and how often each is there."""
    if scale is None or not counts:
        return {}
    near, count = scale.mean, sum(n for _, n in counts)
    away = [(x - near, n) for x, n in counts]
    sums = [sum(n * math.prod([d] * power) for d, n in away) for power in (1, 2, 3, 4)]
    least, greatest = min(x for x, _ in counts), max(x for x, _ in counts)
    reaching = scale.reaching(least, greatest)
    return {
        "moments": _central(count, near, sums, least, greatest),
        "histogram": Histogram.of((*reaching.bin(x), n) for x, n in counts),
    }


def of_text(taken: Mapping[str, Any], scale: Scale | None, hash_name: str) -> dict[str, Any]:
    """Return the sketches of a text from how often each length is there and the registers of its values."""
    lengths = [(float(length), count) for length, count in taken["lengths"].items() if count]
    return {"distinct": DistinctSketch.of_bits(taken["bits"], hash_name), "endless": 0} | _of_counts(lengths, scale)


def limit_of(found: Glance) -> int:
    """Return from where on hashes need not be looked at: so many below it are different that no register is missed."""
    return min(2**64, 2**64 * _PER_REGISTER * BUCKETS // max(1, found.distinct))


def _passed(source: Gathering, column: Column, glanced: Glance, hash_name: str) -> Inquiry:
    """Return what one pass over a column tells: different values, moments and histogram."""
    x = number(column, "v")
    limit = limit_of(glanced)
    if glanced.scale is None or x is None:
        found = yield from _counted_alone(source, column, limit)
    elif family(column.type) == "text" and glanced.scale.greatest <= SHORT:
        found = yield from _measured(source, column, glanced.scale, limit)
    else:
        found = yield from _binned(source, column, glanced.scale, limit)
    bits = found.pop("bits")
    if limit < 2**64 and not full(bits):
        # There are fewer different values than a glance made believe.
        bits = (yield from _counted_alone(source, column, 2**64))["bits"]
    return {"distinct": DistinctSketch.of_bits(bits, hash_name), "endless": 0} | found


def bitmap(value: str, limit: int = 2**64) -> str:
    """Return SQL of the registers of a value, a bit for each bucket and rank; hashes from a limit on are left out."""
    hashed = f"hash({value})"
    rank = f"{HASH_BITS} - CAST(floor(log2(CAST({hashed} >> {BITS} AS DOUBLE) + CAST(0.5 AS DOUBLE))) AS INTEGER)"
    register = f"CAST(({hashed} & {BUCKETS - 1}) * {RANKS} AS INTEGER) + {rank}"
    looked = f"{value} IS NOT NULL" + (f" AND {hashed} < {limit}" if limit < 2**64 else "")
    return f"bitstring_agg(CASE WHEN {looked} THEN {register} END, 0, {BUCKETS * RANKS - 1})"


def _endless(column: Column) -> str:
    return "count(CASE WHEN isinf(v) THEN 1 END)" if family(column.type) == "real" else "0"


def _counted_alone(source: Gathering, column: Column, limit: int) -> Inquiry:
    """Take the different values alone."""
    bits = f"CAST({bitmap('v', limit)} AS VARCHAR)"
    ((found, endless),) = yield Partial(
        f"SELECT {bits} AS bits, {_endless(column)} AS endless FROM {source.values(column.name)}",
        f"SELECT {_UNITED}, CAST(sum(endless) AS BIGINT) FROM {ANSWERS}",
    )
    return {"bits": found or "", "endless": endless}


def _measured(source: Gathering, column: Column, scale: Scale, limit: int) -> Inquiry:
    """Take a text: how often each length is there, and the different values."""
    listed = f"{number(column, 'v')} AS x, count(v) AS n, {bitmap('v', limit)} AS bits"
    grouped = f"SELECT {listed} FROM {source.values(column.name)} GROUP BY ALL"
    lengths, bits = _united((yield _grouped(grouped, {"x": "", "n": "count"})))
    return {"bits": bits} | _of_counts([(x, count) for x, count, *_ in lengths if x is not None], scale)


def _grouped(grouped: str, columns: Mapping[str, str]) -> Partial:
    """Return the question for groups, and for the bitmaps of all of them as one.

    Args:
        grouped: The query of the groups, with a bitmap ``bits`` each.
        columns: Its other columns, with the aggregate that unites groups of several portions; none for the first one,
            which tells groups apart.
    """
    listed, empty = ", ".join(columns), ", ".join(f"NULL AS {name}" for name in columns)
    key, *rest = columns
    united = ", ".join([key, *(_summed(name, columns[name]) for name in rest)])
    return Partial(
        f"WITH grouped AS MATERIALIZED ({grouped}) SELECT {listed}, NULL AS bits, true AS grouped FROM grouped "
        f"UNION ALL SELECT {empty}, CAST(bit_or(bits) AS VARCHAR), false FROM grouped",
        f"SELECT {united}, NULL, true FROM {ANSWERS} WHERE grouped GROUP BY {key} "
        f"UNION ALL SELECT {empty}, {_UNITED}, false FROM {ANSWERS} WHERE NOT grouped",
    )


def _summed(name: str, aggregate: str) -> str:
    return f"CAST(sum({name}) AS BIGINT)" if aggregate == "count" else f"{aggregate}({name})"


def _united(found: Sequence[tuple[Any, ...]]) -> tuple[list[tuple[Any, ...]], str]:
    """Return groups and bitmap of an answer; the bitmap is empty where no hash was looked at."""
    return [row for row in found if row[-1]], next(row[-2] for row in found if not row[-1]) or ""


def _binned(source: Gathering, column: Column, scale: Scale, limit: int) -> Inquiry:
    """Take a number: of each bin the moments, the ends and the different values."""
    d = f"(x - {double(scale.mean)})"
    sums = ", ".join(f"sum({' * '.join([d] * power)}) AS s{power}" for power in (1, 2, 3, 4))
    placed = (
        f"SELECT v, x, {scale.place('x')} AS p FROM "
        f"(SELECT v, {number(column, 'v')} AS x FROM {source.values(column.name)})"
    )
    grouped = (
        f"SELECT {scale.key('p')} AS key, count(x) AS n, min(x) AS least, max(x) AS greatest, {sums}, "
        f"{_endless(column)} AS endless, {bitmap('v', limit)} AS bits FROM ({placed}) GROUP BY key"
    )
    groups, bits = _united((yield _grouped(grouped, _BIN)))
    bins = [group for group in groups if group[1]]
    told: dict[str, Any] = {"bits": bits, "endless": sum(group[8] for group in groups)}
    if not bins:
        return told
    least, greatest = min(row[2] for row in bins), max(row[3] for row in bins)
    if any(row[0] is None for row in bins):
        # Some values lie beyond what bins of this width can count.
        return (yield from _binned(source, column, scale.reaching(least, greatest), limit))
    moments = _central(
        sum(row[1] for row in bins), scale.mean, [sum(row[i] for row in bins) for i in range(4, 8)], least, greatest
    )
    return told | {"moments": moments, "histogram": Histogram.of((*scale.of_key(row[0]), row[1]) for row in bins)}


def full(bits: str) -> bool:
    """Say whether each register was set."""
    return all("1" in bits[start : start + RANKS] for start in range(0, BUCKETS * RANKS, RANKS))


def _central(count: int, near: float, sums: Sequence[float], least: float, greatest: float) -> Moments:
    """Return central moments from sums of powers of the differences from a number near the mean."""
    s1, s2, s3, s4 = sums
    shift = s1 / count
    # Products, because a power beyond what a double holds is an error, and a product is endless.
    square = shift * shift
    m2 = s2 - count * square
    m3 = s3 - 3 * shift * s2 + 2 * count * square * shift
    m4 = s4 - 4 * shift * s3 + 6 * square * s2 - 3 * count * square * square
    return Moments(count, near + shift, _spread(m2), m3, _spread(m4), least, greatest)


def _spread(moment: float) -> float:
    """Return an even moment without what rounding took below zero; one that no double holds is endless."""
    return math.inf if math.isnan(moment) else max(0.0, moment)
