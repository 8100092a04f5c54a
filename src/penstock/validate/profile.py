"""The profile: per column a few figures, taken in the same pass as the checks."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from penstock.model.entries import Column
from penstock.profiles.profile import ColumnProfile, TableProfile
from penstock.queries.text import identifier
from penstock.validate.values import family
from penstock.values import dataclass

LONGEST_TEXT = 80
COUNT, EXTREME, SCAN = range(3)
_ORDERED = {"number", "real", "text", "moment", "boolean", "time", "uuid"}


@dataclass(frozen=True, slots=True)
class Figure:
    """One aggregate of a column.

    Attributes:
        column: The column.
        name: The figure.
        sql: The aggregate.
        cost: How DuckDB finds it: ``COUNT`` and ``EXTREME`` from the statistics of Parquet files, if each is asked for
            in a query of its own (a hundredth of the time that both take in one query); ``SCAN`` from the rows.
        told: Whether sketches tell it as well.
        part: The aggregate that portions of the rows are asked for instead; empty: ``sql``.
        whole: What makes the figure of theirs, which stand in a column ``{c}``.
    """

    column: str
    name: str
    sql: str
    cost: int
    told: bool = False
    part: str = ""
    whole: str = "CAST(sum({c}) AS BIGINT)"


def figures(
    columns: Sequence[Column], personal: Sequence[str], unbounded: Collection[str] = (), *, sketched: bool = False
) -> Iterator[Figure]:
    """Yield the aggregates of the profile: nulls, approximate number of distinct values, min, max, mean, deviation.

    Args:
        columns: With the types that checks see.
        personal: Columns of which no value may be shown; of them only nulls and distinct values are counted.
        unbounded: Columns for which the files tell no bounds, because their values are long: the bounds are taken of
            their beginnings, so that no value is copied.
        sketched: Whether sketches will be taken: what they tell is not asked for, see ``completed``.
    """
    hidden = {name.lower() for name in personal}
    for column in columns:
        name, kind = identifier(column.name), family(column.type)
        yield Figure(column.name, "nulls", f"count(*) - count({name})", COUNT)
        if kind not in _ORDERED:
            continue
        if column.name.lower() in hidden:
            yield Figure(column.name, "distinct", f"approx_count_distinct({name})", SCAN)
            continue
        if kind != "boolean" and not sketched:
            yield Figure(column.name, "distinct", f"approx_count_distinct({name})", SCAN)
        shape = _values(column.name, name, "long text" if column.name in unbounded and kind == "text" else kind)
        yield from (figure for figure in shape if not (sketched and figure.told))


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


def completed(found: Mapping[str, Mapping[str, Any]], sketched: TableProfile) -> dict[str, dict[str, Any]]:
    """Return the figures of a profile with those that its sketches tell."""
    return {name: {**shown, **_told(sketched.columns[name])} for name, shown in found.items()}


def _told(column: ColumnProfile) -> dict[str, Any]:
    told: dict[str, Any] = {}
    kind, moments = family(column.type), column.moments
    if column.distinct is not None and kind != "boolean":
        told["distinct"] = column.distinct.estimate()
    if kind == "boolean" and column.frequent is not None and column.values:
        told["mean"] = column.frequent.counts.get("true", 0) / column.values
    if moments is not None and kind == "real":
        told |= {"min": plain(moments.least), "max": plain(moments.greatest)}
    if moments is not None and kind in ("number", "real"):
        told |= {"mean": plain(moments.mean), "deviation": plain(moments.deviation)}
    return told


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
        yield Figure(column, "mean", f"avg(CAST({name} AS TINYINT))", SCAN, told=True)
        return
    cost, number = EXTREME, f"CAST({name} AS DOUBLE)"
    if kind == "real":
        yield Figure(column, "nans", f"count_if(isnan({name}))", SCAN)
        cost, name = SCAN, f"CASE WHEN isfinite({name}) THEN {name} END"
        number = name
    for side in ("min", "max"):
        extreme, part, whole = f"{side}({name})", f"{side}({name})", f"{side}({{c}})"
        if kind in ("text", "long text"):
            part = f"{side}(left(CAST({name} AS VARCHAR), {LONGEST_TEXT + 1}))"
        if kind == "long text":
            cost, extreme = SCAN, f"{side}(left({name}, {LONGEST_TEXT + 1}))"
        elif kind == "text":
            extreme = f"left(CAST({extreme} AS VARCHAR), {LONGEST_TEXT + 1})"
        elif kind in ("moment", "time", "uuid"):
            # Portions answer with values: texts have another order.
            extreme, whole = f"CAST({extreme} AS VARCHAR)", f"CAST({whole} AS VARCHAR)"
        yield Figure(column, side, extreme, cost, kind == "real", part, whole)
    if kind in ("number", "real"):
        yield Figure(column, "mean", f"avg({number})", SCAN, told=True)
        yield Figure(column, "deviation", f"stddev_pop({number})", SCAN, told=True)
