"""Columns of a sheet: the type that holds all values of one, and values as Arrow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

import pyarrow as pa

from penstock.extract.files.formats.spreadsheets.workbook import Digits, Fault, Large, Value
from penstock.values import dataclass

_TYPES: dict[frozenset[type], pa.DataType] = {
    frozenset(): pa.null(),
    frozenset({int}): pa.int64(),
    frozenset({Large}): pa.int64(),
    frozenset({int, Large}): pa.int64(),
    frozenset({float}): pa.float64(),
    frozenset({int, float}): pa.float64(),
    frozenset({str}): pa.string(),
    frozenset({bool}): pa.bool_(),
    frozenset({date}): pa.date32(),
    frozenset({datetime}): pa.timestamp("us"),
    frozenset({date, datetime}): pa.timestamp("us"),
    frozenset({time}): pa.time64("us"),
    frozenset({timedelta}): pa.duration("us"),
    frozenset({time, timedelta}): pa.duration("us"),
}
_CALLED: dict[type, str] = {
    int: "numbers", Large: "numbers", float: "numbers", Digits: "numbers of over 18 digits", str: "texts",
    bool: "truth values", date: "dates", datetime: "moments", time: "times", timedelta: "durations",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a sheet.

    Attributes:
        place: Where it stands, from 0.
        name: What it is called.
        type: Its Arrow type.
        mixed: Words for the kinds of values that no type but text holds together; empty for one kind.
    """

    place: int
    name: str
    type: pa.DataType
    mixed: tuple[str, ...] = ()

    def array(self, values: Sequence[Any]) -> pa.Array:
        """Return values as Arrow; None and faults that are not kept are null."""
        convert = spelt if pa.types.is_string(self.type) else _CONVERTERS.get(str(self.type))
        if convert is not None:
            values = [None if value is None else convert(value) for value in values]
        return pa.array(values, self.type)


def column(place: int, name: str, kinds: set[type], *, faults: bool) -> Column:
    """Return the column whose values are of these Python types.

    Args:
        place: Where it stands.
        name: What it is called.
        kinds: The types of its values.
        faults: Whether error cells are kept, which makes it a text.
    """
    plain = frozenset(kind for kind in kinds if not issubclass(kind, Fault))
    known = _TYPES.get(plain)
    if known is not None and not (faults and plain != kinds):
        return Column(place, name, known)
    words = sorted({_CALLED[kind] for kind in plain})
    return Column(place, name, pa.string(), tuple(words) if known is None else ())


def spelt(value: Value) -> str:
    """Return a value as a text: numbers without a point where they are whole, moments as ISO 8601."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        seconds, micros = divmod(value // timedelta(microseconds=1), 10**6)
        text = f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        return f"{text}.{micros:06}" if micros else text
    return repr(value) if isinstance(value, float) else str(int(value))


def _moment(value: Any) -> datetime:
    return value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)  # noqa: DTZ001


def _span(value: Any) -> timedelta:
    if isinstance(value, timedelta):
        return value
    return timedelta(hours=value.hour, minutes=value.minute, seconds=value.second, microseconds=value.microsecond)


_CONVERTERS: dict[str, Callable[[Any], Any]] = {"timestamp[us]": _moment, "duration[us]": _span, "double": float}
