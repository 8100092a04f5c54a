"""The profile: per column a few figures, taken in the same pass as the checks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from penstock.model.entries import Column
from penstock.sql.text import identifier
from penstock.validate.values import family

LONGEST_TEXT = 80
_ORDERED = {"number", "real", "text", "moment", "boolean", "time", "uuid"}


@dataclass(frozen=True, slots=True)
class Figure:
    """One aggregate of a column."""

    column: str
    name: str
    sql: str


def figures(columns: Sequence[Column], personal: Sequence[str]) -> Iterator[Figure]:
    """Yield the aggregates of the profile: nulls, approximate number of distinct values, min, max, mean, deviation.

    Args:
        columns: With the types that checks see.
        personal: Columns of which no value may be shown; of them only nulls and distinct values are counted.
    """
    hidden = {name.lower() for name in personal}
    for column in columns:
        name, kind = identifier(column.name), family(column.type)
        yield Figure(column.name, "nulls", f"count(*) - count({name})")
        if kind not in _ORDERED:
            continue
        if kind != "boolean":
            yield Figure(column.name, "distinct", f"approx_count_distinct({name})")
        if column.name.lower() not in hidden:
            yield from _values(column.name, name, kind)


def profile(columns: Sequence[Column], measured: Mapping[tuple[str, str], Any]) -> dict[str, dict[str, Any]]:
    """Return column to figures, as JSON.

    Args:
        columns: With the types that checks see.
        measured: (column, figure) to value.
    """
    found: dict[str, dict[str, Any]] = {column.name: {"type": column.type} for column in columns}
    for (column, name), value in measured.items():
        if value is not None and not (name == "nans" and value == 0):
            found[column][name] = plain(value)
    return found


def plain(value: Any) -> Any:
    """Return a value as JSON, texts bounded; what JSON cannot hold becomes a text."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, bool | int):
        return value
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    text = str(value)
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"


def _values(column: str, name: str, kind: str) -> Iterator[Figure]:
    if kind == "boolean":
        yield Figure(column, "mean", f"avg(CAST({name} AS TINYINT))")
        return
    if kind == "real":
        yield Figure(column, "nans", f"count_if(isnan({name}))")
        finite = f" FILTER (isfinite({name}))"
        yield Figure(column, "min", f"min({name}){finite}")
        yield Figure(column, "max", f"max({name}){finite}")
        yield Figure(column, "mean", f"avg({name}){finite}")
        yield Figure(column, "deviation", f"stddev_pop({name}){finite}")
        return
    for side in ("min", "max"):
        least = f"{side}({name})"
        if kind == "text":
            yield Figure(column, side, f"left(CAST({least} AS VARCHAR), {LONGEST_TEXT + 1})")
        elif kind in ("moment", "time", "uuid"):
            yield Figure(column, side, f"CAST({least} AS VARCHAR)")
        else:
            yield Figure(column, side, least)
    if kind == "number":
        yield Figure(column, "mean", f"avg({name})")
        yield Figure(column, "deviation", f"stddev_pop({name})")
