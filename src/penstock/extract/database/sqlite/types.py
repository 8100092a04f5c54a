"""From SQLite's values to Arrow columns.

SQLite checks no types: a column declared INTEGER may hold a text. Each declared type has a ladder of Arrow types, tried
from the top; a rung that one value does not fit is left for the whole load, so that no odd value sinks a table and none
is changed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from penstock.values import dataclass

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
_OTHER = "typeof({{}}) NOT IN ('{}', 'null')"
_NO_BOOLEAN = "({} IS NOT NULL AND (typeof({}) <> 'integer' OR {} NOT IN (0, 1)))"
_LADDERS: tuple[tuple[tuple[str, ...], tuple[Rung, ...], str], ...] = (
    (("BOOL",), (pa.bool_(), *_NUMBERS), _NO_BOOLEAN),
    (("TIMESTAMP", "DATETIME"), _TIMES, ""),
    (("DATE",), (pa.date32(), *_TIMES), ""),
    (("INT",), _NUMBERS, _OTHER.format("integer")),
    (("CHAR", "CLOB", "TEXT", "JSON", "UUID"), (pa.string(), pa.binary(), TEXT), _OTHER.format("text")),
    (("BLOB",), (pa.binary(), TEXT), _OTHER.format("blob")),
    (("REAL", "FLOA", "DOUB"), (pa.float64(), TEXT), _OTHER.format("real")),
    (("TIME",), (pa.time64("us"), TEXT), ""),
)
"""Words of a declared type, the ladder, what tells in SQL that the first rung does not hold; the first match counts."""


class MisfitError(ValueError):
    """A value does not fit the type."""


@dataclass(frozen=True, slots=True)
class Declared:
    """A column as the table declares it.

    Attributes:
        name: Its name.
        type: Its declared type in capitals; empty for an expression or a column without a type.
        rungs: The Arrow types it may take, best first.
        misfit: SQL that is true of a value ``{}`` that does not fit the first rung; empty where only a trial can tell.
        any: True without a declaration, so that each value counts by its own type.
    """

    name: str
    type: str
    rungs: tuple[Rung, ...]
    misfit: str
    any: bool = False


def declare(name: str, type_: str) -> Declared:
    """Return how a column of a declared type is read (SQLite's rules of affinity, datatype3.html section 3.1)."""
    declared = type_.upper().strip()
    number = _NUMBER.match(declared)
    if number:
        precision, scale = int(number[1]), int(number[2] or 0)
        fits_arrow = 1 <= precision <= 38 and scale <= precision
        exact = (pa.decimal128(precision, scale),) if fits_arrow else ()
        return Declared(name, declared, (*exact, pa.int64(), pa.float64(), TEXT), "")
    for words, rungs, misfit in _LADDERS:
        if any(word in declared for word in words):
            return Declared(name, declared, rungs, misfit)
    return Declared(name, declared, _ANY, "", any=True)


def build(values: Sequence[Any], rung: Rung, *, exactly: bool = False) -> pa.Array:
    """Turn a column of some rows into Arrow, in the form that ``finish`` takes on.

    Args:
        values: The values as SQLite gave them.
        rung: The type aimed at.
        exactly: Refuse values of another Python type, where it is not known that there are none.

    Raises:
        MisfitError: If a value does not fit.
    """
    try:
        if isinstance(rung, str):
            return pa.array([_text(value) for value in values], pa.string())
        if exactly and set(map(type, values)) - {type(None), *_FITTING[rung]}:
            # Arrow would cut 0.5 to the integer 0 and take valid UTF-8 bytes for a string.
            raise MisfitError(f"other values than {rung}")
        return pa.array(values, _carrier(rung))
    except _FAILURES as error:
        raise MisfitError(str(error)) from None


def finish(array: pa.Array, rung: Rung) -> pa.Array:
    """Give what ``build`` made, of one chunk or many, its type.

    Raises:
        MisfitError: If a value does not fit.
    """
    if isinstance(rung, str) or array.type.equals(rung):
        return array
    try:
        if pa.types.is_decimal(rung):
            return _decimal(array, rung)
        if pa.types.is_boolean(rung):
            bounds = pc.min_max(array).as_py()
            if bounds["min"] not in (None, 0, 1) or bounds["max"] not in (None, 0, 1):
                raise MisfitError("neither 0 nor 1")
        elif pa.types.is_time(rung):
            return pc.binary_join_element_wise("1970-01-01T", array, "").cast(TIMESTAMP).cast(rung)
        return array.cast(rung)
    except _FAILURES as error:
        raise MisfitError(str(error)) from None


_FAILURES = (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, TypeError, OverflowError)
_FITTING: dict[Any, tuple[type, ...]] = {
    pa.int64(): (int,),
    pa.float64(): (float, int),
    pa.string(): (str,),
    pa.binary(): (bytes, str),
    pa.null(): (),
    pa.bool_(): (int,),
}
INTEGERS = (pa.int64(), pa.bool_())
"""Types that must be built exactly, unless it is known that the values are integers."""


def _carrier(rung: pa.DataType) -> pa.DataType:
    """Return the type in which values come from Python: texts of times, doubles of decimals, integers of booleans."""
    if pa.types.is_temporal(rung):
        return pa.string()
    if pa.types.is_decimal(rung):
        return pa.float64()
    return pa.int64() if pa.types.is_boolean(rung) else rung


def _decimal(numbers: pa.Array, rung: pa.Decimal128Type) -> pa.Array:
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


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return repr(value)
