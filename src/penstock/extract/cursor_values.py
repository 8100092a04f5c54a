"""Cursor values of Arrow columns as JSON and back, to the last digit."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc

from penstock.errors import ConfigurationError
from penstock.model.interval import Interval

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def kind(type_: pa.DataType) -> str | None:
    """Return the ``cursor_type`` of an Arrow type, or None for a type without a useful order."""
    if pa.types.is_integer(type_):
        return "integer"
    if pa.types.is_floating(type_):
        return "real"
    if pa.types.is_decimal(type_):
        return "decimal"
    if pa.types.is_date(type_):
        return "date"
    if pa.types.is_timestamp(type_):
        return "timestamp" if type_.tz is None else "timestamptz"
    if pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_):
        return "text"
    return None


def greatest(column: pa.Array) -> pa.Scalar | None:
    """Return the greatest value of a column; None for nothing but nulls. NaN and infinity count for nothing."""
    if pa.types.is_floating(column.type):
        column = column.filter(pc.is_finite(column))
    if pa.types.is_string_view(column.type):
        column = column.cast(pa.string())
    found = pc.max(column)
    return found if found.is_valid else None


def encode(value: pa.Scalar) -> Any:
    """Return a value as JSON data: times in ISO 8601 with all their digits, decimals as text."""
    if pa.types.is_timestamp(value.type):
        return _iso(value)
    found = value.as_py()
    return str(found) if isinstance(found, Decimal | date | UUID) else found


def decode(value: Any, type_: pa.DataType) -> pa.Scalar:
    """Return a value of JSON data as a scalar of an Arrow type; a moment is rounded down to its unit."""
    if pa.types.is_timestamp(type_):
        return pa.scalar(_ticks(str(value), type_.unit), pa.int64()).cast(type_)
    if pa.types.is_date(type_):
        return pa.scalar(date.fromisoformat(str(value)[:10]), pa.date32()).cast(type_)
    if pa.types.is_decimal(type_):
        return pa.scalar(Decimal(str(value)), type_)
    return pa.scalar(value, type_)


def earlier(value: pa.Scalar, lag: timedelta, table: str) -> pa.Scalar:
    """Return a value moved back by a lag.

    Raises:
        ConfigurationError: If it is no time.
    """
    if not lag:
        return value
    if pa.types.is_timestamp(value.type) or pa.types.is_date(value.type):
        moved = pc.subtract(value.cast(pa.timestamp("us", getattr(value.type, "tz", None))), pa.scalar(lag))
        # A date is cut to its day, which reads more, not less.
        return pc.cast(moved, value.type, safe=False)
    raise ConfigurationError(
        f"The lag of {table} cannot be taken from its cursor, which is a {value.type}",
        valid="no lag, or a time as cursor",
    )


def within(column: pa.Array, interval: Interval, where: str) -> pa.Array:
    """Return which values of a column of moments lie in a half-open interval; naive ones are taken as UTC.

    Raises:
        ConfigurationError: If the column holds no moments.
    """
    if not (pa.types.is_timestamp(column.type) or pa.types.is_date(column.type)):
        raise ConfigurationError(f"The interval column of {where} holds no moments", value=str(column.type))
    zone = getattr(column.type, "tz", None)
    start, end = (pa.scalar(at.replace(tzinfo=None), pa.timestamp("us")) for at in (interval.start, interval.end))
    moments = column.cast(pa.timestamp("us", zone), safe=False)
    if zone is not None:
        moments = moments.cast(pa.timestamp("us", "UTC"))
        start, end = (bound.cast(pa.timestamp("us", "UTC")) for bound in (start, end))
    return pc.and_(pc.greater_equal(moments, start), pc.less(moments, end))


def _iso(value: pa.Scalar) -> str:
    unit = value.type.unit
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    seconds, rest = divmod(value.value, per_second)
    try:
        text = (_EPOCH + timedelta(seconds=seconds)).replace(tzinfo=None).isoformat()
    except OverflowError:
        text = f"{seconds}s"
    digits = {"s": 0, "ms": 3, "us": 6, "ns": 9}[unit]
    fraction = f".{rest:0{digits}d}" if rest else ""
    return text + fraction + ("" if value.type.tz is None else "+00:00")


def _ticks(text: str, unit: str) -> int:
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    whole, point, rest = text.partition(".")
    digits = "".join(character for character in rest if character.isdigit()) if point else ""
    zone = ""
    if point:
        digits = ""
        for place, character in enumerate(rest):
            if not character.isdigit():
                zone = rest[place:]
                break
            digits += character
    at = datetime.fromisoformat(whole + zone)
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    seconds = (at - _EPOCH) // timedelta(seconds=1)
    return seconds * per_second + int((digits + "0" * 9)[:9]) * per_second // 10**9
