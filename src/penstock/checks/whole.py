"""Checks of all new rows together: their number, age, shape and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Unpack

from penstock.checks.making import About, real_bounds, spec, text, whole_bounds
from penstock.errors import ConfigurationError, PenstockError
from penstock.model.durations import parse_duration
from penstock.model.specs import CheckSpec
from penstock.names import unknown
from penstock.schema import parse, spell

STATISTICS = (
    *("min", "max", "sum", "mean", "median", "deviation", "skewness", "kurtosis", "quantile"),
    *("nulls", "null_share", "distinct", "distinct_share", "entropy"),
)
"""The figures that ``statistic`` knows."""


def row_count(
    *,
    min: int | None = None,  # noqa: A002 - the words of the field
    max: int | None = None,  # noqa: A002
    **about: Unpack[About],
) -> CheckSpec:
    """Expect a number of extracted rows, counted before any is set aside.

    Args:
        min: The least number of rows.
        max: The greatest number of rows.
        about: Severity (``warn`` or ``error``), name, description, where: see ``About``.
    """
    return spec("row_count", (), whole_bounds("row_count", min, max), about)


def fresh(column: str, within: str | timedelta, **about: Unpack[About]) -> CheckSpec:
    """Expect that the greatest value of a time column is at most ``within`` old; no value at all is not fresh.

    Args:
        column: A date, a timestamp, or a text that reads as one; without a zone it is taken as UTC.
        within: As ``26h``, ``7d``, ``90m``, ``1h30m``.
        about: Severity (``warn`` or ``error``), name, description, where: see ``About``.
    """
    return spec("fresh", (column,), {"within": parse_duration(within).total_seconds()}, about)


def volume(
    *, low: float | None = None, high: float | None = None, history: int = 14, least: int = 3, **about: Unpack[About]
) -> CheckSpec:
    """Expect about as many new rows as the loads before brought, counted before any is set aside.

    With ``low`` and ``high`` the number is compared with the median of the loads before: ``low=0.5`` refuses less than
    half of it. Without them the range is the median and 5 times 1.4826 median absolute deviations to each side, at
    least a tenth of the median. Loads of intervals are compared with loads of the same weekday, where there are enough.

    Args:
        low: The least share of the median.
        high: The greatest share of the median.
        history: How many loads before are looked at.
        least: Below so many the check is skipped.
        about: Severity (``warn`` or ``error``) and what else ``About`` says.
    """
    for name, value in (("history", history), ("least", least)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ConfigurationError(f"The {name} of volume must be a number of loads", value=value, valid="1, 2, …")
    bounds = {} if low is None and high is None else real_bounds("volume", low, high)
    shares = {{"min": "low", "max": "high"}[side]: value for side, value in bounds.items()}
    return spec("volume", (), {**shares, "history": history, "least": least}, about)


def arrives(within: str | timedelta, **about: Unpack[About]) -> CheckSpec:
    """Expect that a load comes at most ``within`` after the one before; the first one passes.

    A source that sends nothing at all has no load to be checked: that is told by ``penstock status`` and by alerts.

    Args:
        within: As ``26h``, ``7d``.
        about: Severity (``warn`` or ``error``) and what else ``About`` says.
    """
    return spec("arrives", (), {"within": parse_duration(within).total_seconds()}, about)


def statistic(
    column: str,
    figure: str,
    min: float | None = None,  # noqa: A002 - the words of the field
    max: float | None = None,  # noqa: A002
    *,
    quantile: float | None = None,
    **about: Unpack[About],
) -> CheckSpec:
    """Expect that a figure of a column's new values lies in a range. Nulls, NaN and infinities do not count in it.

    Args:
        column: The column.
        figure: ``min``, ``max``, ``sum``, ``mean``, ``median``, ``deviation`` (of the population), ``skewness``,
            ``kurtosis`` (excess), ``quantile``, ``nulls``, ``null_share``, ``distinct`` and ``distinct_share`` (both by
            HyperLogLog), or ``entropy`` (in bits).
        min: The least value.
        max: The greatest value.
        quantile: For ``quantile``: which, from 0 to 1.
        about: Severity (``warn`` or ``error``) and what else ``About`` says.
    """
    place = f"statistic({column!r}, {figure!r})"
    if figure not in STATISTICS:
        raise unknown("figure", figure, STATISTICS, where=place)
    if (figure == "quantile") != (quantile is not None):
        raise ConfigurationError(f"{place} and quantile= belong together", value=quantile, valid="quantile=0.95")
    if quantile is not None and not (isinstance(quantile, int | float) and 0 <= quantile <= 1):
        raise ConfigurationError(f"The quantile of {place} must lie from 0 to 1", value=quantile)
    called = figure if quantile is None else f"quantile {quantile:g}"
    parameters = {"figure": figure, **real_bounds(place, min, max)}
    if quantile is not None:
        parameters["quantile"] = float(quantile)
    return spec("statistic", (column,), parameters, about, f"{called}({column})")


def correlation(
    left: str,
    right: str,
    min: float | None = None,  # noqa: A002 - the words of the field
    max: float | None = None,  # noqa: A002
    **about: Unpack[About],
) -> CheckSpec:
    """Expect that the correlation coefficient of Pearson of two columns lies in a range.

    Args:
        left: A column of numbers.
        right: Another.
        min: The least coefficient, from -1.
        max: The greatest, to 1.
        about: Severity (``warn`` or ``error``) and what else ``About`` says.
    """
    return spec("correlation", (left, right), real_bounds(f"correlation({left!r}, {right!r})", min, max), about)


def aggregate(
    sql: str,
    min: float | None = None,  # noqa: A002 - the words of the field
    max: float | None = None,  # noqa: A002
    **about: Unpack[About],
) -> CheckSpec:
    """Expect that an aggregate over all new rows lies in a range.

    Args:
        sql: One SQL aggregate, as ``sum(amount) / count(DISTINCT customer)``; its own FILTER says which rows count.
        min: The least value.
        max: The greatest value.
        about: Severity (``warn`` or ``error``) and what else ``About`` says.
    """
    text(sql, "The aggregate of a check")
    if "where" in about:
        raise ConfigurationError("An aggregate check has FILTER (WHERE …)", value=about["where"])
    shown = " ".join(sql.split())
    return spec("aggregate", (), {"sql": sql, **real_bounds(f"aggregate({shown!r})", min, max)}, about, shown)


def schema(columns: Mapping[str, str] | Sequence[str], *, extra: bool = True, **about: Unpack[About]) -> CheckSpec:
    """Expect columns of these names and types in the table.

    Args:
        columns: Name to type of DuckDB, as ``{"id": "BIGINT"}``; or names alone.
        extra: Whether there may be others.
        about: Severity (``warn`` or ``error``) and what else ``About`` says.
    """
    if isinstance(columns, str) or not columns:
        raise ConfigurationError("schema needs columns", value=columns, valid='{"id": "BIGINT"}, or ["id", "name"]')
    wanted: dict[str, str | None] = dict(columns) if isinstance(columns, Mapping) else dict.fromkeys(columns)
    for name, type_ in wanted.items():
        text(name, "A column of schema")
        try:
            wanted[name] = None if type_ is None else spell(parse(type_))
        except PenstockError as error:
            raise ConfigurationError(f"The type of {name!r} in schema is not known", value=type_) from error
    return spec("schema", (), {"columns": wanted, "extra": extra}, about)


def reconciles(ours: str, to: str, theirs: str, *, tolerance: float = 0.0, **about: Unpack[About]) -> CheckSpec:
    """Expect that a figure of the new rows equals a figure of another table.

    Args:
        ours: SQL aggregate over the new rows, as ``sum(amount)``.
        to: The other table.
        theirs: SQL aggregate over its rows.
        tolerance: By which share of the other figure they may differ.
        about: Severity (``warn`` or ``error``) and what else ``About`` says.
    """
    for value, what in ((ours, "figure of the new rows"), (to, "table"), (theirs, "figure of the other table")):
        text(value, f"The {what} in reconciles")
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float) or not 0 <= tolerance < 1:
        raise ConfigurationError("The tolerance of reconciles is a share", value=tolerance, valid="0 to 1, as 0.001")
    parameters = {"ours": ours, "table": to, "theirs": theirs, "tolerance": float(tolerance)}
    return spec("reconciles", (), parameters, about, f"{ours} = {to}: {theirs}")


def query(sql: str, **about: Unpack[About]) -> CheckSpec:
    """Expect that a query gives no row; the rows that it gives are shown as what is wrong.

    Args:
        sql: A SELECT in DuckDB's SQL. The table's own name means the new rows, other tables of the pipeline go by
            their bare names; aggregates, joins and windows may stand in it.
        about: Severity (``warn`` or ``error``) and what else ``About`` says.
    """
    text(sql, "The query of a query check")
    if "where" in about:
        raise ConfigurationError("A query check has its own WHERE", value=about["where"])
    return spec("query", (), {"sql": sql}, about, " ".join(sql.split()))


def quarantined(**about: Unpack[About]) -> CheckSpec:
    """Expect that all checks together set few of the new rows aside.

    Args:
        about: ``at_most`` (needed), severity (``warn`` or ``error``), name, description, owner.
    """
    if about.get("at_most") is None:
        raise ConfigurationError("A quarantined check needs a limit", valid="at_most=100 rows, or at_most=0.05")
    return spec("quarantined", (), {}, about)
