"""Kinds that judge one figure of all new rows: its SQL aggregate, and what is said of its value."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

from penstock.errors import ConfigurationError
from penstock.model.durations import show_duration
from penstock.model.entries import Column
from penstock.model.specs import CheckSpec
from penstock.queries.text import identifier
from penstock.validate.bound import Bound
from penstock.validate.kinds.wording import spanned
from penstock.validate.values import family

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OF_NUMBERS = {
    "min": "min({x})",
    "max": "max({x})",
    "sum": "sum({x})",
    "mean": "avg({x})",
    "median": "median({x})",
    "deviation": "stddev_pop({x})",
    "skewness": "skewness({x})",
    "kurtosis": "kurtosis({x})",
    "quantile": "quantile_cont({x}, {quantile})",
}
_OF_ANY = {
    "nulls": "count(*){kept} - count({name}){kept}",
    "null_share": "(count(*){kept} - count({name}){kept}) / nullif(count(*){kept}, 0)",
    "distinct": "approx_count_distinct({name}){kept}",
    "distinct_share": "least(1.0, approx_count_distinct({name}){kept} / nullif(count({name}){kept}, 0))",
    "entropy": "entropy({name}){kept}",
}


def fresh(column: Column, place: str, where: str | None) -> str:
    """Return the aggregate of the newest moment, in microseconds since 1970 UTC."""
    at = moment(column, place)
    kept = "" if where is None else f" AND {where}"
    return f"epoch_us(max({at}) FILTER (isfinite({at}){kept}))"


def statistic(column: Column, spec: CheckSpec, place: str, where: str | None) -> str:
    """Return the aggregate of a statistic."""
    figure = spec.parameters["figure"]
    kept = "" if where is None else f" FILTER (WHERE {where})"
    if figure in _OF_ANY:
        return _OF_ANY[figure].format(name=identifier(column.name), kept=kept)
    number = finite(column, place)
    filtered = f"{number} IS NOT NULL" + ("" if where is None else f" AND {where}")
    template = _OF_NUMBERS[figure].format(x=number, quantile=spec.parameters.get("quantile"))
    return f"{template} FILTER (WHERE {filtered})"


def correlation(left: Column, right: Column, place: str, where: str | None) -> str:
    """Return the aggregate of Pearson's coefficient."""
    kept = "" if where is None else f" FILTER (WHERE {where})"
    return f"corr({finite(left, place)}, {finite(right, place)}){kept}"


def finite(column: Column, place: str) -> str:
    """Return SQL of a number as a double; NaN and the infinities are null.

    Raises:
        ConfigurationError: The column holds no numbers.
    """
    kind, name = family(column.type), identifier(column.name)
    if kind == "boolean":
        return f"CAST(CAST({name} AS TINYINT) AS DOUBLE)"
    if kind == "real":
        return f"(CASE WHEN isfinite({name}) THEN CAST({name} AS DOUBLE) END)"
    if kind == "number":
        return f"CAST({name} AS DOUBLE)"
    raise ConfigurationError(f"The {place} needs a column of numbers", value=f"{column.name} {column.type}")


def moment(column: Column, place: str) -> str:
    """Return SQL of a column's value as a moment; what is none is null. Without a zone it is taken as UTC."""
    name = identifier(column.name)
    if column.type == "TIMESTAMP WITH TIME ZONE":
        return name
    if family(column.type) == "moment":
        return f"TRY_CAST({name} AS TIMESTAMP)"
    if column.type == "VARCHAR":
        return f"TRY_CAST({name} AS TIMESTAMPTZ)"
    raise ConfigurationError(f"The {place} needs a column of dates or times", value=f"{column.name} {column.type}")


def judged(check: Bound, value: float | None, hidden: bool) -> str | None:
    """Return what is wrong with the value of a statistic or correlation, or None."""
    called = f"the {_called(check)}"
    if value is None or not math.isfinite(value):
        return f"{called} cannot be told: there are too few values"
    least, most = check.says("min", -math.inf), check.says("max", math.inf)
    if least <= value <= most:
        return None
    expected = spanned(check.says("min"), check.says("max"), _number)
    return f"{called} is {'not' if hidden else f'{value:.6g}, not'} {expected}"


def aged(check: Bound, newest: int | None, now: datetime, hidden: bool) -> str | None:
    """Return what is wrong with the newest moment, or None if it is fresh."""
    name, limit = check.columns[0], timedelta(seconds=check.says("within"))
    expected = f"at most {show_duration(limit)}"
    if newest is None:
        return f"{name} has no value, expected one {expected} old"
    age = timedelta(microseconds=(now - _EPOCH) // timedelta(microseconds=1) - newest)
    if age <= limit:
        return None
    shown = "" if hidden else f" ({_moment(newest)})"
    old = show_duration(timedelta(seconds=int(age.total_seconds())))
    return f"the newest {name}{shown} is {old} old, expected {expected}"


def _called(check: Bound) -> str:
    if check.spec.kind == "aggregate":
        return f"aggregate {' '.join(check.says('sql').split())}"
    if check.spec.kind == "correlation":
        return f"correlation of {' and '.join(check.columns)}"
    figure = str(check.says("figure")).replace("_", " ")
    if figure == "quantile":
        figure = f"quantile {check.says('quantile'):g}"
    return f"{figure} of {check.columns[0]}"


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"


def _moment(microseconds: int) -> str:
    try:
        return f"{(_EPOCH + timedelta(microseconds=microseconds)).replace(tzinfo=None).isoformat(' ')} UTC"
    except OverflowError:
        return "beyond the year 9999 or before the year 1"
