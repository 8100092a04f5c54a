"""A glance at some of the rows: by it the sketches choose bins, and how a column is read."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import duckdb

from penstock.model.entries import Column
from penstock.profiles.frequent import MOST_COMPLETE
from penstock.queries.relations import ROW
from penstock.queries.text import identifier, identifiers
from penstock.stores.port import ANSWERS, Partial
from penstock.validate.gathering import Gathering
from penstock.validate.values import family
from penstock.values import dataclass

TOGETHER = 40
"""Columns in one query: planning grows with their number."""
LOOKED = 50_000
"""About how many rows are looked at."""
MOST_GROUPED, _ROWS_PER_GROUP = 8_192, 200
"""So many different values are grouped, where each has so many rows: it costs a third of the other ways."""
_LOOKED_AT = "_penstock_looked_at"
_HELD = 32 * 2**20
"""Bytes of files that these rows may take to be held."""
_STRETCHES = 12
"""Stretches of neighbouring rows that are looked at in the longest file: each costs the reading of a row group."""
_SPREAD_BINS = 128
"""Bins from the first to the last percentile."""
_CORE = 512
"""Bins of equal width to each side of the median; beyond them they grow with the distance."""
_TAIL = 5
"""There are 2^5 bins to each doubling of the distance."""
_KEYS = 256
"""More than there are bins to both sides of the centre at one width."""
_GREATEST_EXPONENT = 1022
_FIGURES = 7
"""How many figures a glance takes of each column."""
_SAMPLE = f"USING SAMPLE reservoir({LOOKED} ROWS) REPEATABLE (7)"


@dataclass(frozen=True, slots=True)
class Scale:
    """Where the bins of a column lie.

    Attributes:
        k: Bins are 2^k wide in the core.
        centre: The bin in the middle of the core.
        mean: About the mean.
        greatest: The greatest value seen.
    """

    k: int
    centre: int
    mean: float
    greatest: float

    def reaching(self, least: float, greatest: float) -> Scale:
        """Return it with bins so wide that the place of no value between these is beyond a double."""
        k = max(self.k, math.frexp(max(abs(least), abs(greatest)))[1] - _GREATEST_EXPONENT)
        return replace(self, k=k, centre=self.centre >> (k - self.k))

    def bin(self, x: float) -> tuple[int, int]:
        """Return the bin (k, i) of a value."""
        i = math.floor(math.ldexp(x, -self.k))
        away = abs(i - self.centre)
        wider = 0 if away < _CORE else away.bit_length() - 1 - _TAIL
        return self.k + wider, i >> wider

    def place(self, x: str) -> str:
        """Return SQL of where a value lies, in bins of the core from 0; ``x`` is SQL of the value."""
        return f"floor({x} * {double(math.ldexp(1.0, -self.k))})"

    def key(self, p: str) -> str:
        """Return SQL of a whole number for the bin of a value; ``p`` is SQL of its place.

        Of values so far away that their place is beyond a double it is null.
        """
        away, beyond = (
            f"abs({p} - {self.centre})",
            f"(CAST(floor(log2(abs({p} - {self.centre}))) AS INTEGER) - {_TAIL})",
        )
        # Where the centre lies in bins so wide, and how many of them the value is away from it.
        steps = f"floor({p} * pow(2.0, -{beyond})) - floor({double(self.centre)} * pow(2.0, -{beyond}))"
        return (
            f"CASE WHEN {away} < {_CORE} THEN CAST({p} - {self.centre} AS INTEGER) "
            f"WHEN isfinite({p}) THEN {beyond} * {_KEYS} + CAST({steps} AS INTEGER) + {_KEYS // 2} END"
        )

    def of_key(self, key: int) -> tuple[int, int]:
        """Return the bin (k, i) of a key."""
        if abs(key) < _CORE:
            return self.k, self.centre + key
        wider, step = divmod(key, _KEYS)
        return self.k + wider, (self.centre >> wider) + step - _KEYS // 2


@dataclass(frozen=True, slots=True)
class Glance:
    """What some rows show of a column.

    Attributes:
        few: Whether there seem to be so few different values that grouping by them costs least.
        distinct: A guess of the number of different values in all rows; it may be far too low, seldom too high.
        scale: Where bins lie; None where nothing is measured.
        least: The least that was measured.
    """

    few: bool
    distinct: int
    scale: Scale | None
    least: float | None = None


def glance(source: Gathering, columns: Sequence[Column], total: int, *, again: bool = True) -> dict[str, Glance]:
    """Look at some rows, or at all where they are few.

    Args:
        source: The rows.
        columns: Columns with values that can be grouped.
        total: How many rows there are.
        again: Look at all rows where some show no value of a column.
    """
    found: dict[str, Glance] = {}
    for part in parts(columns):
        for column, (seen, distinct, finite, *shape) in zip(part, _seen(source, part, total, again=again), strict=True):
            found[column.name] = Glance(
                few=distinct <= max(MOST_COMPLETE * 1.2, min(MOST_GROUPED, total // _ROWS_PER_GROUP)),
                distinct=_guess(seen, distinct, total),
                scale=_scale(column, *shape) if finite else None,
                least=shape[2],
            )
    return found


@contextmanager
def looking(source: Gathering, columns: Sequence[Column], total: int) -> Iterator[None]:
    """Read some of the rows once, where there are many and they are short; else each look reads them anew.

    Args:
        source: The rows.
        columns: The columns that will be looked at.
        total: About how many rows there are.
    """
    held = LOOKED * sum(file.bytes for file in source.rows.files)
    if source.spread or total <= LOOKED or not 0 < len(columns) <= TOGETHER or not 0 < held <= _HELD * total:
        yield
        return
    connection, names = source.rows.engine, [column.name for column in columns]
    looked = f"SELECT {identifiers(names)} FROM {some(source, names, total)}"
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {_LOOKED_AT} AS {looked}")
    source.looked = _LOOKED_AT
    try:
        yield
    finally:
        source.looked = ""
        # A transaction that has failed takes no more statements, and the table goes with it.
        with suppress(duckdb.Error):
            connection.execute(f"DROP TABLE {_LOOKED_AT}")


def _seen(source: Gathering, columns: Sequence[Column], total: int, *, again: bool) -> list[Sequence[Any]]:
    """Return of each column: values seen, different ones, those measured, their mean, quantiles, least and greatest."""
    if not shown_here(source, total):
        return _sampled_figures(source, columns)
    rows, names = source.here, [column.name for column in columns]
    asked = [_figures(identifier(column.name), number(column, identifier(column.name))) for column in columns]
    query = f"SELECT {', '.join(asked)} FROM "
    values = rows.connection.execute(query + some(source, names, total)).fetchall()[0]
    rare = again and total > LOOKED and 0 in values[::_FIGURES]
    if rare and not source.spread:
        # What is rare may be missing among some of the rows.
        values = rows.connection.execute(query + rows.sql(names)).fetchall()[0]
    found: list[Sequence[Any]] = [values[place : place + _FIGURES] for place in range(0, len(values), _FIGURES)]
    if rare and source.spread:
        missing = [place for place, figures in enumerate(found) if not figures[0]]
        found_out = _sampled_figures(source, [columns[place] for place in missing])
        for place, figures in zip(missing, found_out, strict=True):
            found[place] = figures
    return found


def _figures(value: str, x: str | None) -> str:
    x = x or "CAST(NULL AS DOUBLE)"
    return (
        f"count({value}), count(DISTINCT {value}), count({x}), avg({x}), "
        f"quantile_cont({x}, [0.01, 0.5, 0.99]), min({x}), max({x})"
    )


def shown_here(source: Gathering, total: int) -> bool:
    """Say whether DuckDB of this machine looks at some rows, because it need read no others for it."""
    return not source.spread or total <= LOOKED or source.here.located


def sampled(source: Gathering, column: Column) -> str:
    """Return a relation of some values that are not null, as ``hashed`` and ``x``, out of one portion."""
    x = number(column, "v") or "CAST(NULL AS DOUBLE)"
    values = f"SELECT hash(v) AS hashed, {x} AS x FROM {source.values(column.name)} WHERE v IS NOT NULL"
    return f"(SELECT * FROM ({values}) {_SAMPLE})"


def sampled_of_all() -> str:
    """Return a relation of some of those of all portions."""
    return f"(SELECT * FROM {ANSWERS} {_SAMPLE})"


def _sampled_figures(source: Gathering, columns: Sequence[Column]) -> list[Sequence[Any]]:
    figures = f"SELECT {_figures('hashed', 'x')} FROM {sampled_of_all()}"
    asked = [Partial(f"SELECT * FROM {sampled(source, column)}", figures) for column in columns]
    return [answer[0] for answer in source.ask(asked)]


def some(source: Gathering, columns: Collection[str], total: int) -> str:
    """Return a FROM clause of some of the rows, spread evenly, or of all where they are few.

    Stretches of rows of files are asked for by their numbers, because Parquet's reader then skips the others; a sample
    would decode all.
    """
    if source.looked:
        return source.looked
    rows = source.here
    if total <= LOOKED:
        return rows.sql(columns)
    if not rows.located:
        return f"(SELECT * FROM {rows.sql(columns)} USING SAMPLE {100 * LOOKED / total!r} PERCENT (system, 7))"
    longest = max((file.rows for file in rows.files), default=total)
    step = -(-longest // _STRETCHES)
    last = max(0, -(-step * LOOKED // total) - 1)
    stretches = (f"{ROW} BETWEEN {start} AND {start + last}" for start in range(0, longest, step))
    return f"(SELECT * FROM {rows.sql(columns, place=True)} WHERE {' OR '.join(stretches)})"


def parts(columns: Sequence[Column]) -> Iterator[Sequence[Column]]:
    """Yield the columns of one query after the other."""
    for start in range(0, len(columns), TOGETHER):
        yield columns[start : start + TOGETHER]


def number(column: Column, value: str) -> str | None:
    """Return SQL of what is measured of a value as a double: itself, its seconds since 1970, its length; else None."""
    match family(column.type):
        case "number":
            return f"CAST({value} AS DOUBLE)"
        case "real":
            return f"(CASE WHEN isfinite({value}) THEN CAST({value} AS DOUBLE) END)"
        case "moment":
            return f"(CASE WHEN isfinite({value}) THEN epoch_us({value}) / 1e6 END)"
        case "text":
            return f"CAST(length(CAST({value} AS VARCHAR)) AS DOUBLE)"
    return None


def double(value: float) -> str:
    """Return a double as SQL, to its last digit."""
    return f"CAST('{value!r}' AS DOUBLE)"


def _guess(seen: int, distinct: int, total: int) -> int:
    """Return about how many different values all rows have, by the pairs of equal ones among some of them."""
    if distinct < seen / 2:
        return distinct
    return min(total, seen * seen // (2 * max(1, seen - distinct)))


def _scale(column: Column, mean: float, shares: Sequence[float], least: float, greatest: float) -> Scale:
    low, middle, high = shares
    # Halves, so that the difference of the greatest doubles is one as well; of equal values quantiles are interpolated,
    # and the upper one may come out below the lower by their last digit.
    half = max(0.0, high / 2 - low / 2) or (greatest / 2 - least / 2) or 0.5
    k = max(-1000, math.floor(math.log2(half) + 1 - math.log2(_SPREAD_BINS)))
    # Bins of integers are no narrower than the integers; a double tells bins apart down to its own digits.
    k = max(k, 0 if _whole(column) else -1000, math.frexp(max(abs(low), abs(high)))[1] - 52)
    scale = Scale(k, 0, mean, greatest).reaching(least, greatest)
    return replace(scale, centre=math.floor(math.ldexp(middle, -scale.k)))


def _whole(column: Column) -> bool:
    return family(column.type) == "text" or (family(column.type) == "number" and not column.type.startswith("DECIMAL"))
