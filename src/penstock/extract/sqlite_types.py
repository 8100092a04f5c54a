"""From SQLite's values to Arrow columns.

SQLite checks no types: a column declared INTEGER may hold a text. Each declared type has a ladder of Arrow types, tried
from the top; a rung that one value does not fit is left for the whole load, so that no odd value sinks a table and none
is changed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

UTC_TIMESTAMP = pa.timestamp("us", "UTC")
TIMESTAMP = pa.timestamp("us")
TEXT = "text"
"""The last rung: everything as text."""
EXACT_DIGITS = 15
"""Any decimal of so many digits survives the way through a double (IEEE 754, DBL_DIG)."""
EXACT_POWERS = 22
"""The greatest power of ten that a double holds exactly."""

Rung: TypeAlias = Any
"""An Arrow type, or TEXT."""
_NUMBER = re.compile(r"(?:DECIMAL|NUMERIC)\s*\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)")


_NUMBERS = (pa.int64(), pa.float64(), TEXT)
_TIMES = (TIMESTAMP, UTC_TIMESTAMP, *_NUMBERS)
_ANY = (pa.null(), pa.int64(), pa.float64(), pa.string(), pa.binary(), TEXT)
_LADDERS: tuple[tuple[tuple[str, ...], tuple[Rung, ...], tuple[str, ...]], ...] = (
    (("BOOL",), (pa.bool_(), *_NUMBERS), ()),
    (("TIMESTAMP", "DATETIME"), _TIMES, ()),
    (("DATE",), (pa.date32(), *_TIMES), ()),
    (("INT",), _NUMBERS, ("integer",)),
    (("CHAR", "CLOB", "TEXT", "JSON", "UUID"), (pa.string(), pa.binary(), TEXT), ("text",)),
    (("BLOB",), (pa.binary(), TEXT), ("blob",)),
    (("REAL", "FLOA", "DOUB"), (pa.float64(), TEXT), ("real",)),
    (("TIME",), (pa.time64("us"), TEXT), ()),
)
"""Words of a declared type, the ladder, the storage classes that surely fit its first rung; the first match counts."""


class MisfitError(ValueError):
    """A value does not fit the type."""


@dataclass(frozen=True, slots=True)
class Declared:
    """A column as the table declares it.

    Attributes:
        name: Its name.
        type: Its declared type in capitals; empty for an expression or a column without a type.
        rungs: The Arrow types it may take, best first.
        classes: Storage classes that certainly fit the first rung; empty where only a trial can tell.
    """

    name: str
    type: str
    rungs: tuple[Rung, ...]
    classes: tuple[str, ...]


def declare(name: str, type_: str) -> Declared:
    """Return how a column of a declared type is read (SQLite's rules of affinity, datatype3.html section 3.1)."""
    declared = type_.upper().strip()
    number = _NUMBER.match(declared)
    if number:
        precision, scale = int(number[1]), int(number[2] or 0)
        fits_arrow = 1 <= precision <= 38 and scale <= precision
        exact = (pa.decimal128(precision, scale),) if fits_arrow else ()
        return Declared(name, declared, (*exact, pa.int64(), pa.float64(), TEXT), ())
    for words, rungs, classes in _LADDERS:
        if any(word in declared for word in words):
            return Declared(name, declared, rungs, classes)
    return Declared(name, declared, _ANY, ())


def convert(values: Sequence[Any], rung: Rung) -> pa.Array:
    """Turn a column of one batch into Arrow.

    Raises:
        MisfitError: If a value does not fit.
    """
    if isinstance(rung, str):
        return pa.array([_text(value) for value in values], pa.string())
    try:
        if pa.types.is_temporal(rung):
            return _temporal(values, rung)
        if pa.types.is_decimal(rung):
            return _decimal(values, rung)
        if pa.types.is_boolean(rung):
            return _boolean(values)
        _refuse_strangers(values, rung)
        return pa.array(values, rung)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, TypeError, OverflowError) as error:
        raise MisfitError(str(error)) from None


def fits(values: Sequence[Any], rung: Rung) -> bool:
    """Say whether all values fit."""
    try:
        convert(values, rung)
    except MisfitError:
        return False
    return True


_FITTING: dict[Any, tuple[type, ...]] = {
    pa.int64(): (int,),
    pa.float64(): (float, int),
    pa.string(): (str,),
    pa.binary(): (bytes, str),
    pa.null(): (),
}


def _refuse_strangers(values: Sequence[Any], rung: pa.DataType) -> None:
    # Arrow would take 1.0 for an integer and valid UTF-8 bytes for a string.
    strangers = set(map(type, values)) - {type(None), *_FITTING[rung]}
    if strangers:
        raise MisfitError(f"{strangers} in {rung}")


def _temporal(values: Sequence[Any], rung: pa.DataType) -> pa.Array:
    texts = pa.array(values, pa.string())
    if pa.types.is_time(rung):
        return pc.binary_join_element_wise("1970-01-01T", texts, "").cast(TIMESTAMP).cast(rung)
    if pa.types.is_timestamp(rung) and rung.tz is None and pc.any(pc.match_substring(texts, "Z")).as_py():
        raise MisfitError("a zone in a time without one")
    return texts.cast(rung)


def _decimal(values: Sequence[Any], rung: pa.Decimal128Type) -> pa.Array:
    if not set(map(type, values)) - {int, type(None)}:
        return pa.array(values, pa.int64()).cast(pa.decimal128(38, rung.scale)).cast(rung)
    numbers = pa.array(values, pa.float64())
    largest = pc.max(pc.abs(numbers)).as_py() or 0.0
    if rung.scale > EXACT_POWERS or not largest < 10.0 ** (EXACT_DIGITS - rung.scale):
        raise MisfitError("more digits than a double carries")
    power = pa.scalar(10.0**rung.scale)
    units = pc.round(pc.multiply(numbers, power))
    # Division is correctly rounded (IEEE 754), so equality proves that the double is the nearest to this decimal.
    if pc.any(pc.not_equal(pc.divide(units, power), numbers)).as_py():
        raise MisfitError("more decimal places than declared")
    whole = units.cast(pa.int64()).cast(pa.decimal128(38, 0))
    return whole.view(pa.decimal128(38, rung.scale)).cast(rung)


def _boolean(values: Sequence[Any]) -> pa.Array:
    if set(values) - {0, 1, None} or set(map(type, values)) - {int, type(None)}:
        raise MisfitError("neither 0 nor 1")
    return pa.array(values, pa.int64()).cast(pa.bool_())


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return repr(value)
