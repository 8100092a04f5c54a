"""Checks that judge a row by itself."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, Unpack

from penstock.checks.making import About, bound, plain, spec, text, whole_bounds
from penstock.errors import ConfigurationError, PenstockError
from penstock.model.specs import CheckSpec
from penstock.schema import parse

OUTLIERS = {"iqr": 3.0, "zscore": 3.0, "mad": 3.5}
"""Ways to tell an outlier, and how far is far by default."""


def not_null(*columns: str, **about: Unpack[About]) -> CheckSpec:
    """Expect a value in each of the columns. NaN and the empty text are values.

    Args:
        columns: One or more column names.
        about: see ``About``.
    """
    return spec("not_null", columns, {}, about)


def between(column: str, low: Any = None, high: Any = None, **about: Unpack[About]) -> CheckSpec:
    """Expect values from ``low`` to ``high``, both included; None leaves that side open.

    Numbers, dates, times and texts are compared as what the column is; a text column with numeric bounds is read as
    numbers, and what is no number fails. A date as the bound of a timestamp column is its midnight, UTC.

    Args:
        column: The column.
        low: The least value: number, text, date or time.
        high: The greatest value.
        about: see ``About``.
    """
    place = f"between({column!r})"
    bounds = {"low": bound(low, place), "high": bound(high, place)}
    kept = {side: value for side, value in bounds.items() if value is not None}
    if not kept:
        raise ConfigurationError(f"{place} needs a bound", value=f"{low!r}, {high!r}", valid="low, high or both")
    if len(kept) == 2:
        least, most = kept["low"], kept["high"]
        if isinstance(least, str) is not isinstance(most, str):
            raise ConfigurationError(f"The bounds of {place} are of two kinds", value=f"{low!r}, {high!r}")
        if not isinstance(least, str) and not isinstance(most, str) and least > most:
            raise ConfigurationError(f"{place} lets nothing pass: low is above high", value=f"{low!r}, {high!r}")
    return spec("between", (column,), kept, about)


def in_set(column: str, values: Iterable[Any], **about: Unpack[About]) -> CheckSpec:
    """Expect one of the values.

    Args:
        column: The column.
        values: Numbers, texts, booleans, dates; at least one.
        about: see ``About``.
    """
    place = f"in_set({column!r})"
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise ConfigurationError(f"{place} needs a list of values", value=values, valid='a list, as ["AA", "B6"]')
    listed = sorted(values, key=repr) if isinstance(values, set | frozenset) else list(values)
    kept = [item if isinstance(item, bool) else plain(item, place) for item in listed if item is not None]
    if not kept:
        raise ConfigurationError(f"{place} needs at least one value", value=listed)
    return spec("in_set", (column,), {"values": kept}, about)


def matches(column: str, pattern: str, **about: Unpack[About]) -> CheckSpec:
    """Expect that the whole text of the value matches a regular expression.

    Args:
        column: The column; a value that is no text is matched as SQL writes it.
        pattern: In RE2 syntax: no look-around and no back-references; put ``.*`` at an end to leave it open.
        about: see ``About``.
    """
    place = f"matches({column!r})"
    text(pattern, f"The pattern of {place}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(pattern)
    except re.error as error:
        # RE2 knows escapes and groups that Python does not; DuckDB judges those before anything is read.
        if not str(error).startswith(("bad escape", "unknown extension", "global flags")):
            raise ConfigurationError(f"The pattern of {place} is malformed: {error}", value=pattern) from None
    return spec("matches", (column,), {"pattern": pattern}, about)


def references(columns: str | Sequence[str], to: str | Sequence[str], **about: Unpack[About]) -> CheckSpec:
    """Expect that the value exists in a column of another table; a row with a null among its columns passes.

    Args:
        columns: The column, or several that together refer to a row.
        to: ``table.column``, or as many of them, of one table, in the same order.
        about: see ``About``.
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
    return spec("references", own, {"table": tables.pop(), "columns": [column for _, _, column in parts]}, about)


def expression(sql: str, **about: Unpack[About]) -> CheckSpec:
    """Expect that a SQL condition is true for every row; as with SQL's own CHECK, null passes.

    Args:
        sql: A condition in DuckDB's SQL over the columns of the table, as ``arr_time >= dep_time``. A subquery may
            read the pipeline's tables by their bare names. An aggregate or a window looks at more than a row: not here.
        about: Severity, name (the default is the condition itself), description, where: see ``About``.
    """
    text(sql, "The condition of an expression check")
    return spec("expression", (), {"sql": sql}, about, " ".join(sql.split()))


def length(
    column: str,
    min: int | None = None,  # noqa: A002 - the words of the field
    max: int | None = None,  # noqa: A002
    **about: Unpack[About],
) -> CheckSpec:
    """Expect a length: characters of a text, bytes of a binary value, elements of a list.

    Args:
        column: The column.
        min: The least length.
        max: The greatest length.
        about: see ``About``.
    """
    return spec("length", (column,), whole_bounds("length", min, max), about)


def parses(column: str, as_type: str, *, format: str | None = None, **about: Unpack[About]) -> CheckSpec:  # noqa: A002
    """Expect that a value can be read as another type, as a text that should be a date.

    Args:
        column: The column.
        as_type: A type of DuckDB, as ``DATE``, ``INTEGER``, ``DECIMAL(12,2)``.
        format: For dates and times: how they are written, in the letters of strptime, as ``%d.%m.%Y``.
        about: see ``About``.
    """
    place = f"parses({column!r})"
    text(as_type, f"The type of {place}")
    try:
        parse(as_type)
    except PenstockError as error:
        raise ConfigurationError(
            f"{place} names a type that is not known", value=as_type, valid="DATE, INTEGER, DECIMAL(12,2) …"
        ) from error
    if format is None:
        return spec("parses", (column,), {"type": as_type.upper()}, about)
    text(format, f"The format of {place}")
    if as_type.upper() not in ("DATE", "TIMESTAMP"):
        raise ConfigurationError(f"{place} has a format, which only dates have", value=as_type, valid="DATE, TIMESTAMP")
    return spec("parses", (column,), {"type": as_type.upper(), "format": format}, about)


def no_outliers(column: str, method: str = "iqr", factor: float | None = None, **about: Unpack[About]) -> CheckSpec:
    """Expect that no value lies far from the others of the new rows.

    ``iqr``: at most ``factor`` (3) interquartile ranges outside the quartiles (Tukey, Exploratory Data Analysis, 1977).
    ``zscore``: at most ``factor`` (3) standard deviations from the mean. ``mad``: at most ``factor`` (3.5) times 1.4826
    median absolute deviations from the median (Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993). Where
    the spread is 0, nothing is an outlier. NaN and infinities are always outliers.

    Args:
        column: A column of numbers.
        method: ``iqr``, ``zscore`` or ``mad``.
        factor: How far is far.
        about: see ``About``.
    """
    place = f"no_outliers({column!r})"
    if method not in OUTLIERS:
        raise ConfigurationError(f"{place} does not know that method", value=method, valid=sorted(OUTLIERS))
    far = OUTLIERS[method] if factor is None else factor
    if isinstance(far, bool) or not isinstance(far, int | float) or not 0 < far < 1e9:
        raise ConfigurationError(f"The factor of {place} must be a positive number", value=factor)
    return spec("no_outliers", (column,), {"method": method, "factor": far}, about)
