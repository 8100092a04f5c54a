"""How a check is made: what all take, and the refusal of what cannot be one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, TypedDict

from penstock.errors import ConfigurationError
from penstock.model.specs import CheckSpec, Severity
from penstock.names import unknown

_LONGEST_NAME = 80
WHOLE_TABLE = frozenset(
    {
        *("row_count", "volume", "fresh", "arrives", "statistic", "correlation", "schema", "reconciles", "query"),
        *("no_gaps", "quarantined", "aggregate"),
    }
)
"""Kinds that are about all rows together: they name no row that could be set aside."""
_NEED_NO_COLUMN = frozenset(
    {
        *("row_count", "volume", "arrives", "schema", "reconciles", "query", "quarantined", "aggregate"),
        *("expression", "function", "validator"),
    }
)
_COUNTS_NO_ROWS = WHOLE_TABLE - {"query"}


class About(TypedDict, total=False):
    """What every check takes.

    Attributes:
        severity: ``error`` rejects the load, ``quarantine`` sets the failing rows aside, ``warn`` only tells.
        name: The name in reports; the default says kind and columns, as ``between(month)``.
        description: Why the check is there.
        owner: Who is told of a failure, as ``data@example.org``.
        where: SQL condition: the check looks only at the rows for which it is true.
        when: SQL condition over all new rows, as ``count(*) >= 100``: the check is skipped unless it is true.
        at_most: How many rows may fail: a whole number, or a share below 1. With ``quarantine`` these are set aside,
            and more of them reject the load; with the others they pass, and are counted in the report.
    """

    severity: str
    name: str | None
    description: str
    owner: str
    where: str | None
    when: str | None
    at_most: float | None


def spec(
    kind: str,
    columns: Sequence[str],
    parameters: Mapping[str, Any],
    about: About,
    default_name: str | None = None,
    call: Any = None,
) -> CheckSpec:
    """Return a check, once all that it says can be.

    Args:
        kind: What ``CheckSpec.kind`` says.
        columns: The columns that it reads.
        parameters: JSON values of its own.
        about: What every check takes.
        default_name: The name where none is given; the default says kind and columns.
        call: The function or validator.
    """
    for argument in about:
        if argument not in About.__annotations__:
            place = f"{kind}({', '.join(map(str, columns))})"
            raise unknown("argument", argument, About.__annotations__, where=place)
    _check_columns(kind, columns)
    shown = about.get("name") or default_name or (f"{kind}({', '.join(columns)})" if columns else kind)
    for said in ("name", "where", "when"):
        if about.get(said) is not None:
            text(about[said], f"The {said} of a {kind} check")
    conditions = {said: about[said] for said in ("where", "when") if about.get(said) is not None}
    severity = _severity(kind, about.get("severity", "error"))
    return CheckSpec(
        kind=kind,
        columns=tuple(columns),
        parameters={**parameters, **conditions, **_tolerance(kind, about.get("at_most"))},
        severity=severity,
        name=shown if len(shown) <= _LONGEST_NAME else shown[: _LONGEST_NAME - 1] + "…",
        function=call,
        description=about.get("description", ""),
        owner=about.get("owner", ""),
    )


def _check_columns(kind: str, columns: Sequence[str]) -> None:
    if not columns and kind not in _NEED_NO_COLUMN:
        raise ConfigurationError(f"A {kind} check needs a column", valid=f'as {kind}("month")')
    for column in columns:
        # A blank name is a name: the source may have it.
        text(column + "." if isinstance(column, str) and column else column, f"The column of a {kind} check")
    if len({column.lower() for column in columns}) < len(columns):
        raise ConfigurationError(f"A {kind} check names a column twice", value=", ".join(columns))


def _tolerance(kind: str, at_most: Any) -> dict[str, Any]:
    if at_most is None:
        return {}
    number = isinstance(at_most, int | float) and not isinstance(at_most, bool)
    if not number or at_most < 0 or (isinstance(at_most, float) and at_most >= 1):
        raise ConfigurationError(
            f"The at_most of a {kind} check is neither a number of rows nor a share",
            value=at_most,
            valid="0, 1, 2 … rows, or a share as 0.01",
        )
    if kind in _COUNTS_NO_ROWS and kind != "quarantined":
        raise ConfigurationError(f"A {kind} check counts no rows, so there is nothing that at_most could allow")
    return {"at_most": at_most}


def _severity(kind: str, named: str) -> Severity:
    try:
        severity = Severity(named)
    except ValueError:
        raise ConfigurationError(
            f"A {kind} check has an unknown severity", value=named, valid=[item.value for item in Severity]
        ) from None
    if kind in WHOLE_TABLE and severity is Severity.QUARANTINE:
        raise ConfigurationError(
            f"A {kind} check is about all rows together and can set none of them aside",
            value=severity.value,
            valid="warn, error",
        )
    return severity


def text(value: object, what: str) -> None:
    """Refuse what is no text, is blank, or holds a lone surrogate."""
    if not isinstance(value, str) or not value.strip():
        raise ConfigurationError(f"{what} must be a text", value=value)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ConfigurationError(f"{what} holds a lone surrogate, which is no text", value=ascii(value)) from None


def bound(value: Any, place: str) -> int | float | str | None:
    """Return a bound as JSON has it; none and the infinities are no bound."""
    endless = isinstance(value, float) and math.isinf(value)
    return None if value is None or endless else plain(value, place)


def plain(value: Any, place: str) -> int | float | str:
    """Return a value as JSON has it; a decimal that no float is equal to becomes a text."""
    if isinstance(value, Decimal) and value.is_finite():
        if value == value.to_integral_value():
            return int(value)
        near = float(value)
        return near if Decimal(repr(near)) == value else str(value)
    if isinstance(value, date | time | datetime):
        return value.isoformat()
    if isinstance(value, str):
        text(value + ".", f"A value of {place}")
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return value
    raise ConfigurationError(f"{place} cannot compare with that", value=value, valid="a number, text, date or time")


def whole_bounds(kind: str, least: Any, most: Any) -> dict[str, int]:
    """Return ``min`` and ``max`` of a count, whichever are said."""
    bounds = {side: value for side, value in (("min", least), ("max", most)) if value is not None}
    for value in bounds.values():
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise ConfigurationError(f"{kind} needs whole numbers", value=value, valid="0, 1, 2, …")
    if not bounds or bounds.get("min", 0) > bounds.get("max", math.inf):
        raise ConfigurationError(f"{kind} needs min, max or both, min not above max", value=bounds)
    return bounds


def real_bounds(place: str, least: Any, most: Any) -> dict[str, float]:
    """Return ``min`` and ``max`` of a figure, whichever are said."""
    bounds = {side: value for side, value in (("min", least), ("max", most)) if value is not None}
    for value in bounds.values():
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal) or not math.isfinite(value):
            raise ConfigurationError(f"{place} needs numbers as bounds", value=value)
    if not bounds or bounds.get("min", -math.inf) > bounds.get("max", math.inf):
        raise ConfigurationError(f"{place} needs min, max or both, min not above max", value=bounds)
    return {side: float(value) for side, value in bounds.items()}
