"""Checks: what a table is expected to be. Every function here returns a ``CheckSpec``; nothing is run.

    checks={"flights": [checks.unique("flight_id"), checks.between("month", 1, 12, severity="quarantine")]}

Severity ``error`` (the default) rejects the load, ``quarantine`` sets the failing rows aside, ``warn`` only tells.
A null passes every check but ``not_null``; NaN is a value, and is in no range and no set. Columns are named as in the
lake.
"""

from __future__ import annotations

import inspect
import math
import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, TypedDict, Unpack

from penstock.errors import ConfigurationError
from penstock.model.durations import parse_duration
from penstock.model.specs import CheckSpec, Severity
from penstock.names import unknown

_LONGEST_NAME = 80
_WHOLE_TABLE = frozenset({"row_count", "fresh"})
_NEED_NO_COLUMN = frozenset({"row_count", "expression", "function", "validator"})


class About(TypedDict, total=False):
    """What every check takes.

    Attributes:
        severity: ``error`` rejects the load, ``quarantine`` sets the failing rows aside, ``warn`` only tells.
        name: The name in reports; the default says kind and columns, as ``between(month)``.
        description: Why the check is there.
        where: SQL condition: the check looks only at the rows for which it is true.
    """

    severity: str
    name: str | None
    description: str
    where: str | None


def not_null(*columns: str, **about: Unpack[About]) -> CheckSpec:
    """Expect a value in each of the columns. NaN and the empty text are values.

    Args:
        columns: One or more column names.
        about: Severity, name, description, where: see ``About``.
    """
    return _spec("not_null", columns, {}, about)


def unique(*columns: str, against: str = "new", **about: Unpack[About]) -> CheckSpec:
    """Expect that no two rows have the same values in these columns; a row with a null in one of them passes.

    The first row of each value, in the order of landing, holds; the later ones fail, also when the whole rows are
    equal. So a quarantine keeps one row of each.

    Args:
        columns: The columns that together name a row.
        against: ``new`` compares the new rows with each other, ``table`` also with the rows accepted before.
        about: Severity, name, description, where: see ``About``.
    """
    if against not in ("new", "table"):
        raise ConfigurationError("A unique check cannot compare with that", value=against, valid="new, table")
    return _spec("unique", columns, {} if against == "new" else {"against": against}, about)


def between(column: str, low: Any = None, high: Any = None, **about: Unpack[About]) -> CheckSpec:
    """Expect values from ``low`` to ``high``, both included; None leaves that side open.

    Numbers, dates, times and texts are compared as what the column is; a text column with numeric bounds is read as
    numbers, and what is no number fails. A date as the bound of a timestamp column is its midnight, UTC.

    Args:
        column: The column.
        low: The least value: number, text, date or time.
        high: The greatest value.
        about: Severity, name, description, where: see ``About``.
    """
    place = f"between({column!r})"
    bounds = {"low": _bound(low, place), "high": _bound(high, place)}
    kept = {side: value for side, value in bounds.items() if value is not None}
    if not kept:
        raise ConfigurationError(f"{place} needs a bound", value=f"{low!r}, {high!r}", valid="low, high or both")
    if len(kept) == 2:
        if isinstance(kept["low"], str) is not isinstance(kept["high"], str):
            raise ConfigurationError(f"The bounds of {place} are of two kinds", value=f"{low!r}, {high!r}")
        if not isinstance(kept["low"], str) and kept["low"] > kept["high"]:  # type: ignore[operator]
            raise ConfigurationError(f"{place} lets nothing pass: low is above high", value=f"{low!r}, {high!r}")
    return _spec("between", (column,), kept, about)


def in_set(column: str, values: Iterable[Any], **about: Unpack[About]) -> CheckSpec:
    """Expect one of the values.

    Args:
        column: The column.
        values: Numbers, texts, booleans, dates; at least one.
        about: Severity, name, description, where: see ``About``.
    """
    place = f"in_set({column!r})"
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise ConfigurationError(f"{place} needs a list of values", value=values, valid='a list, as ["AA", "B6"]')
    listed = sorted(values, key=repr) if isinstance(values, set | frozenset) else list(values)
    plain = [item if isinstance(item, bool) else _value(item, place) for item in listed if item is not None]
    if not plain:
        raise ConfigurationError(f"{place} needs at least one value", value=listed)
    return _spec("in_set", (column,), {"values": plain}, about)


def matches(column: str, pattern: str, **about: Unpack[About]) -> CheckSpec:
    """Expect that the whole text of the value matches a regular expression.

    Args:
        column: The column; a value that is no text is matched as SQL writes it.
        pattern: In RE2 syntax: no look-around and no back-references; put ``.*`` at an end to leave it open.
        about: Severity, name, description, where: see ``About``.
    """
    place = f"matches({column!r})"
    _text(pattern, f"The pattern of {place}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(pattern)
    except re.error as error:
        # RE2 knows escapes and groups that Python does not; DuckDB judges those before anything is read.
        if not str(error).startswith(("bad escape", "unknown extension", "global flags")):
            raise ConfigurationError(f"The pattern of {place} is malformed: {error}", value=pattern) from None
    return _spec("matches", (column,), {"pattern": pattern}, about)


def references(columns: str | Sequence[str], to: str | Sequence[str], **about: Unpack[About]) -> CheckSpec:
    """Expect that the value exists in a column of another table; a row with a null among its columns passes.

    Args:
        columns: The column, or several that together refer to a row.
        to: ``table.column``, or as many of them, of one table, in the same order.
        about: Severity, name, description, where: see ``About``.
    """
    own = (columns,) if isinstance(columns, str) else tuple(columns)
    place = f"references({', '.join(map(repr, own))})"
    targets = [to] if isinstance(to, str) else list(to)
    parts = [target.partition(".") if isinstance(target, str) else ("", "", "") for target in targets]
    tables = {table for table, _, _ in parts}
    if not all(table and column for table, _, column in parts) or len(tables) != 1:
        raise ConfigurationError(
            f"{place} must say which column of which one table", value=to, valid='as "planes.tailnum"'
        )
    if len(parts) != len(own):
        raise ConfigurationError(f"{place} names {len(own)} columns and {len(parts)} to find them in", value=to)
    return _spec("references", own, {"table": tables.pop(), "columns": [column for _, _, column in parts]}, about)


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
    bounds = {side: value for side, value in (("min", min), ("max", max)) if value is not None}
    for value in bounds.values():
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise ConfigurationError("row_count needs whole numbers", value=value, valid="0, 1, 2, …")
    if not bounds or bounds.get("min", 0) > bounds.get("max", math.inf):
        raise ConfigurationError("row_count needs min, max or both, min not above max", value=bounds)
    return _spec("row_count", (), bounds, about)


def fresh(column: str, within: str | timedelta, **about: Unpack[About]) -> CheckSpec:
    """Expect that the greatest value of a time column is at most ``within`` old; no value at all is not fresh.

    Args:
        column: A date, a timestamp, or a text that reads as one; without a zone it is taken as UTC.
        within: As ``26h``, ``7d``, ``90m``, ``1h30m``.
        about: Severity (``warn`` or ``error``), name, description, where: see ``About``.
    """
    return _spec("fresh", (column,), {"within": parse_duration(within).total_seconds()}, about)


def expression(sql: str, **about: Unpack[About]) -> CheckSpec:
    """Expect that a SQL condition is true for every row; as with SQL's own CHECK, null passes.

    Args:
        sql: A condition in DuckDB's SQL over the columns of the table, as ``arr_time >= dep_time``. A subquery may
            read the pipeline's tables by their bare names. An aggregate or a window looks at more than a row: not here.
        about: Severity, name (the default is the condition itself), description, where: see ``About``.
    """
    _text(sql, "The condition of an expression check")
    return _spec("expression", (), {"sql": sql}, about, " ".join(sql.split()))


def function(call: Callable[..., Any], *columns: str, **about: Unpack[About]) -> CheckSpec:
    """Expect that a Python function finds the new rows good.

    It is called once with all of them: as an Arrow table, or as its parameter's annotation says: ``pyarrow.Table``,
    ``duckdb.DuckDBPyRelation``, ``pandas.DataFrame``, ``polars.DataFrame``; with ``pyarrow.RecordBatch``, batch by
    batch in bounded memory. It returns a bool, or a mask with one bool per row, True for the good ones (null passes).
    A plain bool names no rows: with severity ``quarantine`` such a failure counts as ``error``. An exception is a
    failed check of severity ``error`` that says so; it does not end the run.

    Args:
        call: The function.
        columns: The columns that it gets; all where none is named.
        about: Severity, name (the default is the function's), description (its docstring), where: see ``About``.
    """
    if not callable(call):
        raise ConfigurationError("A function check needs a function", value=type(call).__name__)
    shown = getattr(call, "__name__", None) or type(call).__name__
    _takes_rows(call, shown)
    documented: About = {"description": _first_line(call), **about}
    return _spec("function", columns, {}, documented, shown, call)


def validator(judge: Any, *columns: str, **about: Unpack[About]) -> CheckSpec:
    """Expect that ``judge.validate(data)`` is true; the rest is as with ``function``.

    Args:
        judge: An object with ``validate(data) -> bool``.
        columns: The columns that it gets; all where none is named.
        about: Severity, name (the default is the class), description (its docstring), where: see ``About``.
    """
    validate = getattr(judge, "validate", None)
    if not callable(validate):
        raise ConfigurationError("A validator needs a method validate(data)", value=type(judge).__name__)
    kind = judge if isinstance(judge, type) else type(judge)
    _takes_rows(validate, f"{kind.__name__}.validate")
    documented: About = {"description": _first_line(kind), **about}
    return _spec("validator", columns, {}, documented, kind.__name__, judge)


def as_check(found: Any) -> CheckSpec:
    """Return whatever stands in a list of checks as a spec: a spec, a function, or an object with ``validate``.

    Raises:
        ConfigurationError: If it is none of them.
    """
    if isinstance(found, CheckSpec):
        return found
    if callable(getattr(found, "validate", None)):
        return validator(found)
    if callable(found):
        return function(found)
    raise ConfigurationError(
        "This is not a check",
        value=found,
        valid="checks.not_null(…) and its like, a function of the rows, an object with validate(data)",
    )


def _spec(
    kind: str,
    columns: Sequence[str],
    parameters: Mapping[str, Any],
    about: About,
    default_name: str | None = None,
    call: Any = None,
) -> CheckSpec:
    for argument in about:
        if argument not in About.__annotations__:
            place = f"{kind}({', '.join(map(str, columns))})"
            raise unknown("argument", argument, About.__annotations__, where=place)
    if not columns and kind not in _NEED_NO_COLUMN:
        raise ConfigurationError(f"A {kind} check needs a column", valid=f'as {kind}("month")')
    for column in columns:
        # A blank name is a name: the source may have it.
        _text(column + "." if isinstance(column, str) and column else column, f"The column of a {kind} check")
    if len({column.lower() for column in columns}) < len(columns):
        raise ConfigurationError(f"A {kind} check names a column twice", value=", ".join(columns))
    name = about.get("name")
    if name is not None:
        _text(name, f"The name of a {kind} check")
    where = about.get("where")
    if where is not None:
        _text(where, f"The where of a {kind} check")
        parameters = {**parameters, "where": where}
    shown = name or default_name or (f"{kind}({', '.join(columns)})" if columns else kind)
    return CheckSpec(
        kind=kind,
        columns=tuple(columns),
        parameters=dict(parameters),
        severity=_severity(kind, about.get("severity", "error")),
        name=shown if len(shown) <= _LONGEST_NAME else shown[: _LONGEST_NAME - 1] + "…",
        function=call,
        description=about.get("description", ""),
    )


def _severity(kind: str, named: str) -> Severity:
    try:
        severity = Severity(named)
    except ValueError:
        raise ConfigurationError(
            f"A {kind} check has an unknown severity", value=named, valid=[item.value for item in Severity]
        ) from None
    if kind in _WHOLE_TABLE and severity is Severity.QUARANTINE:
        raise ConfigurationError(
            f"A {kind} check is about all rows together and can set none of them aside",
            value=severity.value,
            valid="warn, error",
        )
    return severity


def _text(text: object, what: str) -> None:
    if not isinstance(text, str) or not text.strip():
        raise ConfigurationError(f"{what} must be a text", value=text)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ConfigurationError(f"{what} holds a lone surrogate, which is no text", value=ascii(text)) from None


def _bound(value: Any, place: str) -> int | float | str | None:
    endless = isinstance(value, float) and math.isinf(value)
    return None if value is None or endless else _value(value, place)


def _value(value: Any, place: str) -> int | float | str:
    """Return a value as JSON has it; a decimal that no float is equal to becomes a text."""
    if isinstance(value, Decimal) and value.is_finite():
        if value == value.to_integral_value():
            return int(value)
        near = float(value)
        return near if Decimal(repr(near)) == value else str(value)
    if isinstance(value, date | time | datetime):
        return value.isoformat()
    if isinstance(value, str):
        _text(value + ".", f"A value of {place}")
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return value
    raise ConfigurationError(f"{place} cannot compare with that", value=value, valid="a number, text, date or time")


def _takes_rows(call: Callable[..., Any], name: str) -> None:
    """Refuse what could not be called with the rows, and what would answer with something that is always true."""
    inner = call if inspect.isroutine(call) else type(call).__call__
    if inspect.iscoroutinefunction(inner) or inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner):
        raise ConfigurationError(f"The check {name} is no plain function", valid="def, returning a bool or a mask")
    try:
        inspect.signature(call).bind(None)
    except TypeError:
        raise ConfigurationError(
            f"The check {name} must be callable with the rows as its only argument", valid="def check(rows): …"
        ) from None
    except ValueError:
        return


def _first_line(thing: Any) -> str:
    documented = thing.__doc__ if inspect.isroutine(thing) or isinstance(thing, type) else ""
    return (documented or "").strip().partition("\n")[0]
