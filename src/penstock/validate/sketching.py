"""The sketches of a profile, each column read as few times as pays: by itself, since columns lie apart in the files.

A column of few values is grouped once, and all is made of its groups. Of any other one pass takes all: numbers are
grouped by the bins of the histogram, and each bin has its moments and its distinct values (in a bitmap of the
registers, where only hashes that can change them are looked at); of texts the lengths are counted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from penstock.model.entries import Column
from penstock.profiles.distinct import BITS, BUCKETS, HASH_BITS, RANKS, DistinctSketch
from penstock.profiles.frequent import MOST_COMPLETE, MOST_KEPT, FrequentValues
from penstock.profiles.histogram import Histogram
from penstock.profiles.moments import Moments
from penstock.profiles.profile import ColumnProfile, TableProfile
from penstock.queries.text import identifier
from penstock.validate.glancing import LOOKED, MOST_GROUPED, Glance, Scale, double, glance, number, parts, some
from penstock.validate.rows import Rows
from penstock.validate.values import family

_GROUPS = 4 * MOST_GROUPED
"""A column that shows more groups than this has many values after all."""
_PER_REGISTER = 16
"""Different hashes looked at for each register: one in nine million is left empty by chance."""
_SHORT = 1_024
"""Texts up to about this length are counted by their length."""
_SEEN, _SHARE = 20, 1_000
"""Of columns with many values: how often, and in what part of some rows, a frequent value is seen."""
_LONGEST = 200
_COUNTED = {"number", "real", "text", "moment", "boolean", "time", "uuid"}


def sketch(rows: Rows, personal: Sequence[str], total: int, figures: Mapping[str, Mapping[str, Any]]) -> TableProfile:
    """Return the profile of the rows with its sketches.

    Args:
        rows: The rows.
        personal: Columns of which no value may be kept: of them only rows and nulls are counted.
        total: How many rows there are.
        figures: Column to figures, of which ``nulls`` and ``nans`` are taken.
    """
    hidden = {name.lower() for name in personal}
    profiles = {column.name: _plain(column, total, figures[column.name], hidden) for column in rows.columns}
    rows = rows.long_json_as_text()
    shown = [column for column in rows.columns if family(column.type) in _COUNTED and profiles[column.name].values]
    for name, sketches in _sketches(rows, [column for column in shown if column.name.lower() not in hidden], total):
        profiles[name] = replace(profiles[name], **sketches)
    return TableProfile(total, profiles)


def _plain(column: Column, total: int, figures: Mapping[str, Any], hidden: set[str]) -> ColumnProfile:
    """Return the profile of a column without sketches."""
    personal = column.name.lower() in hidden
    nans = 0 if personal else figures.get("nans", 0)
    return ColumnProfile(type=column.type, rows=total, nulls=figures["nulls"], nans=nans, personal=personal)


def _sketches(rows: Rows, columns: Sequence[Column], total: int) -> Iterator[tuple[str, dict[str, Any]]]:
    if not columns:
        return
    glances = glance(rows, columns, total)
    # A hash is only comparable with others of the same function, which an engine may change.
    ((known,),) = rows.connection.execute("SELECT hash('penstock') & 4294967295").fetchall()
    hash_name = f"duckdb {known:08x}"
    few = dict(_few(rows, [column for column in columns if glances[column.name].few], glances, hash_name))
    yield from few.items()
    many = [column for column in columns if column.name not in few]
    found = {column.name: _passed(rows, column, glances[column.name], hash_name) for column in many}
    for name, frequent in _frequent(rows, many, total):
        found[name]["frequent"] = frequent
    yield from found.items()


def _few(
    rows: Rows, columns: Sequence[Column], glances: Mapping[str, Glance], hash_name: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the sketches of columns that have few values indeed, from those values and their counts."""
    for part in parts(columns):
        branches = []
        for place, column in enumerate(part):
            name, x = identifier(column.name), number(column, "v") or "CAST(NULL AS DOUBLE)"
            endless = "isinf(v)" if family(column.type) == "real" else "false"
            branches.append(
                f"(SELECT {place}, left(CAST(v AS VARCHAR), {_LONGEST}), hash(v), {x}, {endless}, count(*) "
                f"FROM (SELECT {name} AS v FROM {rows.sql([column.name])}) WHERE v IS NOT NULL "
                f"GROUP BY v LIMIT {_GROUPS + 1})"
            )
        groups: list[list[tuple[Any, ...]]] = [[] for _ in part]
        for place, *group in rows.connection.execute(" UNION ALL ".join(branches)).fetchall():
            groups[place].append(tuple(group))
        for column, found in zip(part, groups, strict=True):
            if len(found) <= _GROUPS:
                yield column.name, _of_groups(found, glances[column.name].scale, hash_name)


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


def _limit(found: Glance) -> int:
    """Return from where on hashes need not be looked at: so many below it are different that no register is missed."""
    return min(2**64, 2**64 * _PER_REGISTER * BUCKETS // max(1, found.distinct))


def _passed(rows: Rows, column: Column, glanced: Glance, hash_name: str) -> dict[str, Any]:
    """Return what one pass over a column tells: different values, moments and histogram."""
    x = number(column, "v")
    if glanced.scale is None or x is None:
        take = _counted_alone
    elif family(column.type) == "text" and glanced.scale.greatest <= _SHORT:
        take = _measured
    else:
        take = _binned
    limit = _limit(glanced)
    bits, found = take(rows, column, glanced.scale, limit)
    if limit < 2**64 and not _full(bits):
        # There are fewer different values than a glance made believe.
        bits, _ = _counted_alone(rows, column, None, 2**64)
    return {"distinct": DistinctSketch.of_bits(bits, hash_name), "endless": 0} | found


def _bitmap(limit: int) -> str:
    """Return SQL of the registers of ``v``, a bit for each bucket and rank; hashes from the limit on are left out."""
    rank = f"{HASH_BITS} - CAST(floor(log2(CAST(hash(v) >> {BITS} AS DOUBLE) + CAST(0.5 AS DOUBLE))) AS INTEGER)"
    register = f"CAST((hash(v) & {BUCKETS - 1}) * {RANKS} AS INTEGER) + {rank}"
    looked = "v IS NOT NULL" + (f" AND hash(v) < {limit}" if limit < 2**64 else "")
    return f"bitstring_agg(CASE WHEN {looked} THEN {register} END, 0, {BUCKETS * RANKS - 1})"


def _endless(column: Column) -> str:
    return "count(CASE WHEN isinf(v) THEN 1 END)" if family(column.type) == "real" else "0"


def _values(rows: Rows, column: Column) -> str:
    return f"(SELECT {identifier(column.name)} AS v FROM {rows.sql([column.name])})"


def _counted_alone(rows: Rows, column: Column, scale: Scale | None, limit: int) -> tuple[str, dict[str, Any]]:
    """Take the different values alone."""
    del scale
    asked = f"SELECT CAST({_bitmap(limit)} AS VARCHAR), {_endless(column)} FROM {_values(rows, column)}"
    ((bits, endless),) = rows.connection.execute(asked).fetchall()
    return bits or "", {"endless": endless}


def _measured(rows: Rows, column: Column, scale: Scale | None, limit: int) -> tuple[str, dict[str, Any]]:
    """Take a text: how often each length is there, and the different values."""
    grouped = f"SELECT {number(column, 'v')} AS x, count(v) AS n, {_bitmap(limit)} AS bits FROM {_values(rows, column)}"
    lengths, bits = _united(rows, f"{grouped} GROUP BY ALL", "x, n")
    return bits, _of_counts([(x, count) for x, count, *_ in lengths if x is not None], scale)


def _united(rows: Rows, grouped: str, columns: str) -> tuple[list[tuple[Any, ...]], str]:
    """Return groups, and the bitmaps of all of them as one; an empty one where no hash was looked at."""
    empty = ", ".join("NULL" for _ in columns.split(", "))
    query = (
        f"WITH grouped AS MATERIALIZED ({grouped}) SELECT {columns}, NULL, true FROM grouped "
        f"UNION ALL SELECT {empty}, CAST(bit_or(bits) AS VARCHAR), false FROM grouped"
    )
    found = rows.connection.execute(query).fetchall()
    return [row for row in found if row[-1]], next(row[-2] for row in found if not row[-1]) or ""


def _binned(rows: Rows, column: Column, scale: Scale | None, limit: int) -> tuple[str, dict[str, Any]]:
    """Take a number: of each bin the moments, the ends and the different values."""
    assert scale is not None
    d = f"(x - {double(scale.mean)})"
    sums = ", ".join(f"sum({' * '.join([d] * power)}) AS s{power}" for power in (1, 2, 3, 4))
    placed = (
        f"SELECT v, x, {scale.place('x')} AS p FROM (SELECT v, {number(column, 'v')} AS x FROM {_values(rows, column)})"
    )
    grouped = (
        f"SELECT {scale.key('p')} AS key, count(x) AS n, min(x) AS least, max(x) AS greatest, {sums}, "
        f"{_endless(column)} AS endless, {_bitmap(limit)} AS bits FROM ({placed}) GROUP BY key"
    )
    groups, bits = _united(rows, grouped, "key, n, least, greatest, s1, s2, s3, s4, endless")
    bins = [group for group in groups if group[1]]
    told: dict[str, Any] = {"endless": sum(group[8] for group in groups)}
    if not bins:
        return bits, told
    least, greatest = min(row[2] for row in bins), max(row[3] for row in bins)
    if any(row[0] is None for row in bins):
        # Some values lie beyond what bins of this width can count.
        return _binned(rows, column, scale.reaching(least, greatest), limit)
    moments = _central(
        sum(row[1] for row in bins), scale.mean, [sum(row[i] for row in bins) for i in range(4, 8)], least, greatest
    )
    return bits, told | {"moments": moments, "histogram": Histogram.of((*scale.of_key(row[0]), row[1]) for row in bins)}


def _full(bits: str) -> bool:
    return all("1" in bits[start : start + RANKS] for start in range(0, BUCKETS * RANKS, RANKS))


def _central(count: int, near: float, sums: Sequence[float], least: float, greatest: float) -> Moments:
    """Return central moments from sums of powers of the differences from a number near the mean."""
    s1, s2, s3, s4 = sums
    shift = s1 / count
    m2 = s2 - count * shift**2
    m3 = s3 - 3 * shift * s2 + 2 * count * shift**3
    m4 = s4 - 4 * shift * s3 + 6 * shift**2 * s2 - 3 * count * shift**4
    return Moments(count, near + shift, max(0.0, m2), m3, max(0.0, m4), least, greatest)


def _frequent(rows: Rows, columns: Sequence[Column], total: int) -> Iterator[tuple[str, FrequentValues]]:
    """Yield the values that are frequent among some rows, counted over all rows."""
    for part in parts(columns):
        candidates = [_candidates(rows, column, total) for column in part]
        branches = [f"SELECT {place}, count(*) FROM ({query})" for place, query in enumerate(candidates)]
        there = dict(rows.connection.execute(" UNION ALL ".join(branches)).fetchall())
        for place, column in enumerate(part):
            counts: dict[str, int] = {}
            if there[place]:
                counts = _counted(rows, column, candidates[place])
            yield column.name, FrequentValues(counts, False)


def _candidates(rows: Rows, column: Column, total: int) -> str:
    seen = f"SELECT {identifier(column.name)} AS v FROM {some(rows, [column.name], total)}"
    least = max(_SEEN, min(total, LOOKED) // _SHARE)
    return (
        f"SELECT v FROM ({seen}) WHERE v IS NOT NULL GROUP BY v HAVING count(*) >= {least} "
        f"ORDER BY count(*) DESC, v LIMIT {MOST_KEPT}"
    )


def _counted(rows: Rows, column: Column, candidates: str) -> dict[str, int]:
    name = identifier(column.name)
    query = (
        f"SELECT left(CAST({name} AS VARCHAR), {_LONGEST}), count(*) AS n FROM {rows.sql([column.name])} "
        f"WHERE {name} IN ({candidates}) GROUP BY 1 ORDER BY n DESC, 1"
    )
    return {str(value): int(count) for value, count in rows.connection.execute(query).fetchall()}
