"""One pass over the new rows that counts what fails and takes the profile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb

from penstock.validate.binding import Bound
from penstock.validate.profile import Figure, figures, profile
from penstock.validate.rows import Rows

_WIDEST_PASS = 400
"""Aggregates in one query: planning grows faster than their number, and columns are read once either way."""
_DATA_ERRORS = (
    duckdb.ConversionException,
    duckdb.OutOfRangeException,
    duckdb.InvalidInputException,
    duckdb.DataError,
)


@dataclass(frozen=True)
class Measured:
    """What the pass found.

    Attributes:
        rows: Rows looked at.
        failed: Check's index to the rows that fail it.
        looked: Check's index to the rows that it looks at, for checks with ``where``.
        newest: Check's index to the newest moment (microseconds since 1970, text), for ``fresh``.
        broken: Check's index to the error with which it stopped on the data.
        profile: Column to figures.
    """

    rows: int
    failed: Mapping[int, int] = field(default_factory=dict)
    looked: Mapping[int, int] = field(default_factory=dict)
    newest: Mapping[int, tuple[int, str] | None] = field(default_factory=dict)
    broken: Mapping[int, duckdb.Error] = field(default_factory=dict)
    profile: Mapping[str, Any] = field(default_factory=dict)


def measure(rows: Rows, checks: Sequence[Bound], personal: Sequence[str], *, profiled: bool = True) -> Measured:
    """Count the failing rows of every check that judges rows one by one, and take the profile.

    A check that stops on the data (a cast that cannot be) is measured alone, so that it spoils no other.

    Args:
        rows: The rows.
        checks: All checks; those of other kinds only get ``looked`` and ``newest``.
        personal: Columns of which no value may be shown.
        profiled: Whether to take the profile.
    """
    asked = [(index, name, sql) for index, check in enumerate(checks) for name, sql in _counts(check)]
    shape = list(figures(rows.columns, personal)) if profiled else []
    broken: dict[int, duckdb.Error] = {}
    try:
        total, values = _run(rows, [sql for *_, sql in asked] + [figure.sql for figure in shape])
    except _DATA_ERRORS:
        total, _ = _run(rows, [])
        values = _one_by_one(rows, asked, shape, broken)
    counted = {(index, name): value for (index, name, _), value in zip(asked, values, strict=False)}
    figured = zip(shape, values[len(asked) :], strict=True)
    return Measured(
        rows=total,
        failed={index: value for (index, name), value in counted.items() if name == "failed" and index not in broken},
        looked={index: value for (index, name), value in counted.items() if name == "looked" and index not in broken},
        newest={
            index: None if value is None else (value, counted[index, "shown"])
            for (index, name), value in counted.items()
            if name == "newest"
        },
        broken=broken,
        profile=profile(rows.columns, {(figure.column, figure.name): value for figure, value in figured})
        if profiled
        else {},
    )


def _counts(check: Bound) -> list[tuple[str, str]]:
    found = []
    if check.fails is not None:
        found.append(("failed", f"count_if({check.guarded})"))
    if check.where is not None:
        found.append(("looked", f"count_if({check.where})"))
    if check.measure:
        kept = "" if check.where is None else f" FILTER ({check.where})"
        found.append(("newest", f"epoch_us(max({check.measure}){kept})"))
        found.append(("shown", f"CAST(max({check.measure}){kept} AS VARCHAR)"))
    return found


def _run(rows: Rows, aggregates: Sequence[str]) -> tuple[int, list[Any]]:
    total, values = 0, list[Any]()
    for start in range(0, max(1, len(aggregates)), _WIDEST_PASS):
        part = aggregates[start : start + _WIDEST_PASS]
        query = f"SELECT {', '.join(['count(*)', *part])} FROM {rows.sql()}"
        total, *measured = rows.connection.execute(query).fetchall()[0]
        values += measured
    return total, values


def _one_by_one(
    rows: Rows, asked: Sequence[tuple[int, str, str]], shape: Sequence[Figure], broken: dict[int, duckdb.Error]
) -> list[Any]:
    values: list[Any] = []
    for index, _, sql in asked:
        try:
            values += _run(rows, [sql])[1]
        except _DATA_ERRORS as error:
            broken[index] = error
            values.append(None)
    try:
        return values + _run(rows, [figure.sql for figure in shape])[1]
    except _DATA_ERRORS:
        return values + [_alone(rows, figure.sql) for figure in shape]


def _alone(rows: Rows, aggregate: str) -> Any:
    """Return one figure, or None where the data has none: a sum that overflows is no reason to stop."""
    try:
        return _run(rows, [aggregate])[1][0]
    except _DATA_ERRORS:
        return None
