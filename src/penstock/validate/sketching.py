"""The sketches of a profile, taken by grouping in the engine: a few groups per column, whatever the rows.

Each query takes many columns at once, a branch for each, so that the columns are read side by side and a small load
costs a few milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from penstock.model.entries import Column
from penstock.profiles.distinct import BITS, BUCKETS, DistinctSketch
from penstock.profiles.frequent import MOST_COMPLETE, MOST_KEPT, FrequentValues
from penstock.profiles.histogram import Histogram
from penstock.profiles.moments import Moments
from penstock.profiles.profile import ColumnProfile, TableProfile
from penstock.queries.text import identifier
from penstock.validate.rows import Rows
from penstock.validate.values import family

_TOGETHER = 40
"""Columns in one query: planning grows with their number."""
_CORE = 512
"""Bins of equal width to each side of the median; beyond them they grow with the distance."""
_TAIL = 5
"""There are 2^5 bins to each doubling of the distance."""
_SPREAD_BINS = 128
"""Bins from the first to the last percentile."""
_LOOKED = 200_000
"""Rows by which the bins are chosen."""
_SAMPLE, _SEEN = 20_000, 20
"""Of columns with many values: rows looked at for frequent ones, and how often a value must be among them."""
_LONGEST = 200
_COUNTED = {"number", "real", "text", "moment", "boolean", "time", "uuid"}


@dataclass(frozen=True, slots=True)
class _Scale:
    """Where the bins of a column lie: their width is 2^k, the core is around the bin ``centre``."""

    k: int
    centre: int
    mean: float


def sketch(rows: Rows, personal: Sequence[str]) -> TableProfile:
    """Return the profile of the rows with its sketches.

    Args:
        rows: The rows.
        personal: Columns of which no value may be kept: of them only rows and nulls are counted.
    """
    hidden = {name.lower() for name in personal}
    profiles, total = _plain(rows, hidden)
    if not total:
        return TableProfile(0, profiles)
    shown = [column for column in rows.columns if not profiles[column.name].personal and profiles[column.name].values]
    counted = [column for column in shown if family(column.type) in _COUNTED]
    distinct = _distinct(rows, counted)
    scales = _scales(rows, [column for column in shown if _number(column) is not None], total)
    measured = [column for column in shown if column.name in scales]
    moments, histograms = _moments(rows, measured, scales), _histograms(rows, measured, scales)
    frequent = _frequent(rows, counted, {name: found.estimate() for name, found in distinct.items()})
    for column in shown:
        name = column.name
        profiles[name] = replace(
            profiles[name],
            distinct=distinct.get(name),
            moments=moments.get(name),
            histogram=histograms.get(name),
            frequent=frequent.get(name),
        )
    return TableProfile(total, profiles)


def _plain(rows: Rows, hidden: set[str]) -> tuple[dict[str, ColumnProfile], int]:
    """Return the profiles without sketches, and the number of rows."""
    asked = ["count(*)"]
    for column in rows.columns:
        name, real = identifier(column.name), family(column.type) == "real"
        asked += [
            f"count({name})",
            f"count_if(isnan({name}))" if real else "0",
            f"count_if(isinf({name}))" if real else "0",
        ]
    total, *counts = rows.connection.execute(f"SELECT {', '.join(asked)} FROM {rows.sql()}").fetchall()[0]
    profiles = {}
    for place, column in enumerate(rows.columns):
        present, nans, endless = counts[3 * place : 3 * place + 3]
        personal = column.name.lower() in hidden
        profiles[column.name] = ColumnProfile(
            type=column.type,
            rows=total,
            nulls=total - present,
            nans=0 if personal else nans,
            endless=0 if personal else endless,
            personal=personal,
        )
    return profiles, int(total)


def _distinct(rows: Rows, columns: Sequence[Column]) -> dict[str, DistinctSketch]:
    # A hash is only comparable with others of the same function, which an engine may change.
    ((known,),) = rows.connection.execute("SELECT hash('penstock') & 4294967295").fetchall()
    minima: dict[str, dict[int, int]] = {column.name: {} for column in columns}
    branches = [
        (column, f"SELECT hash({name}) AS h FROM {rows.sql([column.name])} WHERE {name} IS NOT NULL")
        for column, name in ((column, identifier(column.name)) for column in columns)
    ]
    grouped = _Grouped((f"h & {BUCKETS - 1}",), f"min(h >> {BITS})")
    for name, bucket, least in _groups(rows, branches, grouped):
        minima[name][int(bucket)] = int(least)
    return {name: DistinctSketch.of_minima(found, f"duckdb {known:08x}") for name, found in minima.items()}


def _scales(rows: Rows, columns: Sequence[Column], total: int) -> dict[str, _Scale]:
    """Return where the bins of each column lie, by some of its values; a column without finite values has none."""
    found = {}
    some = "" if total <= _LOOKED else f" USING SAMPLE {100 * _LOOKED / total!r} PERCENT (system, 7)"
    for part in _parts(columns):
        figures = "avg({x}), quantile_cont({x}, [0.01, 0.5, 0.99]), min({x}), max({x})"
        asked = ", ".join(figures.format(x=_number(column)) for column in part)
        source = rows.sql([column.name for column in part])
        values = rows.connection.execute(f"SELECT {asked} FROM (SELECT * FROM {source}{some})").fetchall()[0]
        if some and None in values[::4]:
            # What is rare may be missing among some of the rows.
            values = rows.connection.execute(f"SELECT {asked} FROM {source}").fetchall()[0]
        for place, column in enumerate(part):
            mean, shares, least, greatest = values[4 * place : 4 * place + 4]
            if mean is None:
                continue
            low, middle, high = shares
            # Halves, so that the difference of the greatest doubles is one as well.
            half = (high / 2 - low / 2) or (greatest / 2 - least / 2) or 0.5
            k = max(-1000, math.floor(math.log2(half) + 1 - math.log2(_SPREAD_BINS)))
            # Bins of integers are no narrower than the integers; a double tells bins apart down to its own digits.
            k = max(k, 0 if _whole(column) else -1000, math.frexp(max(abs(least), abs(greatest)))[1] - 52)
            found[column.name] = _Scale(k, math.floor(math.ldexp(middle, -k)), mean)
    return found


def _moments(rows: Rows, columns: Sequence[Column], scales: Mapping[str, _Scale]) -> dict[str, Moments]:
    found = {}
    for part in _parts(columns):
        asked = []
        for column in part:
            x = _number(column)
            d = f"({x} - {_double(scales[column.name].mean)})"
            powers = ", ".join(f"sum({'*'.join([d] * power)})" for power in (1, 2, 3, 4))
            asked.append(f"count({x}), {powers}, min({x}), max({x})")
        reads = [column.name for column in part]
        values = rows.connection.execute(f"SELECT {', '.join(asked)} FROM {rows.sql(reads)}").fetchall()[0]
        for place, column in enumerate(part):
            count, *sums, least, greatest = values[7 * place : 7 * place + 7]
            found[column.name] = _central(count, scales[column.name].mean, sums, least, greatest)
    return found


def _central(count: int, near: float, sums: Sequence[float], least: float, greatest: float) -> Moments:
    """Return central moments from sums of powers of the differences from a number near the mean."""
    s1, s2, s3, s4 = sums
    shift = s1 / count
    m2 = s2 - count * shift**2
    m3 = s3 - 3 * shift * s2 + 2 * count * shift**3
    m4 = s4 - 4 * shift * s3 + 6 * shift**2 * s2 - 3 * count * shift**4
    return Moments(count, near + shift, max(0.0, m2), m3, max(0.0, m4), least, greatest)


def _histograms(rows: Rows, columns: Sequence[Column], scales: Mapping[str, _Scale]) -> dict[str, Histogram]:
    branches = []
    for column in columns:
        scale = scales[column.name]
        away = f"abs(floor(x * {_power(-scale.k)}) - {scale.centre})"
        k = f"{scale.k} + CASE WHEN {away} < {_CORE} THEN 0 ELSE CAST(floor(log2({away})) AS INTEGER) - {_TAIL} END"
        values = f"SELECT {_number(column)} AS x FROM {rows.sql([column.name])}"
        branches.append((column, f"SELECT x, {k} AS k FROM ({values}) WHERE x IS NOT NULL"))
    counts: dict[str, list[tuple[int, int, int]]] = {}
    grouped = _Grouped(("k", "floor(x * pow(2.0, -k))"), "count(*)")
    for name, k, i, count in _groups(rows, branches, grouped):
        counts.setdefault(name, []).append((int(k), int(i), int(count)))
    return {name: Histogram.of(found) for name, found in counts.items()}


def _frequent(rows: Rows, columns: Sequence[Column], distinct: Mapping[str, int]) -> dict[str, FrequentValues]:
    """Return the frequent values: all where there are few, else those that a sample shows, counted over all rows."""
    found: dict[str, FrequentValues] = {}
    few = [column for column in columns if distinct[column.name] <= MOST_COMPLETE * 1.2]
    counts: dict[str, dict[str, int]] = {column.name: {} for column in few}
    branches = [
        (column, f"SELECT {name} AS v FROM {rows.sql([column.name])} WHERE {name} IS NOT NULL")
        for column, name in ((column, identifier(column.name)) for column in few)
    ]
    for name, value, count in _groups(
        rows, branches, _Grouped(("v",), "count(*)", f"left(CAST(v AS VARCHAR), {_LONGEST})")
    ):
        counts[name][value] = counts[name].get(value, 0) + int(count)
    for name, listed in counts.items():
        ordered = sorted(listed.items(), key=lambda item: (-item[1], item[0]))
        complete = len(ordered) <= MOST_COMPLETE
        found[name] = FrequentValues(dict(ordered if complete else ordered[:MOST_KEPT]), complete)
    for column in columns:
        if column.name not in found:
            found[column.name] = _sampled(rows, column)
    return found


def _sampled(rows: Rows, column: Column) -> FrequentValues:
    name, source = identifier(column.name), rows.sql([column.name])
    seen = f"SELECT v FROM (SELECT {name} AS v FROM {source}) USING SAMPLE reservoir({_SAMPLE} ROWS) REPEATABLE (7)"
    candidates = (
        f"SELECT v FROM ({seen}) WHERE v IS NOT NULL GROUP BY v HAVING count(*) >= {_SEEN} "
        f"ORDER BY count(*) DESC, v LIMIT {MOST_KEPT}"
    )
    query = (
        f"SELECT {_text(column)}, count(*) AS n FROM {source} WHERE {name} IN ({candidates}) "
        "GROUP BY 1 ORDER BY n DESC, 1"
    )
    return FrequentValues({str(value): int(count) for value, count in rows.connection.execute(query).fetchall()}, False)


@dataclass(frozen=True, slots=True)
class _Grouped:
    """What a branch is grouped by, the aggregate of each group, and what is shown of one group in its place."""

    by: tuple[str, ...]
    aggregate: str
    shown: str = ""


def _groups(rows: Rows, branches: Sequence[tuple[Column, str]], grouped: _Grouped) -> Iterator[tuple[Any, ...]]:
    """Yield column, groups and aggregate, for many columns at once; a branch is a column and a query of its values."""
    groups = ", ".join(grouped.by)
    listed = ", ".join((*((grouped.shown,) if grouped.shown else grouped.by), grouped.aggregate))
    for start in range(0, len(branches), _TOGETHER):
        part = branches[start : start + _TOGETHER]
        selects = [
            f"SELECT {place}, {listed} FROM ({query}) GROUP BY {groups}" for place, (_, query) in enumerate(part)
        ]
        for place, *values in rows.connection.execute(" UNION ALL ".join(selects)).fetchall():
            yield (part[place][0].name, *values)


def _parts(columns: Sequence[Column]) -> Iterator[Sequence[Column]]:
    for start in range(0, len(columns), _TOGETHER):
        yield columns[start : start + _TOGETHER]


def _number(column: Column) -> str | None:
    """Return SQL of what is measured of a value as a double: itself, its seconds since 1970, its length; else None."""
    kind, name = family(column.type), identifier(column.name)
    match kind:
        case "number":
            return f"CAST({name} AS DOUBLE)"
        case "real":
            return f"(CASE WHEN isfinite({name}) THEN CAST({name} AS DOUBLE) END)"
        case "moment":
            return f"(CASE WHEN isfinite({name}) THEN epoch_us({name}) / 1e6 END)"
        case "text":
            return f"CAST(length(CAST({name} AS VARCHAR)) AS DOUBLE)"
    return None


def _whole(column: Column) -> bool:
    return family(column.type) == "text" or (family(column.type) == "number" and not column.type.startswith("DECIMAL"))


def _text(column: Column) -> str:
    return f"left(CAST({identifier(column.name)} AS VARCHAR), {_LONGEST})"


def _power(exponent: int) -> str:
    return _double(math.ldexp(1.0, exponent))


def _double(value: float) -> str:
    return f"CAST('{value!r}' AS DOUBLE)"
