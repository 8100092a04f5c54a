"""Documents (JSON) of MySQL: from the binary form that its log has to the text that the server writes.

The form is that of ``sql-common/json_binary.h``: each value is a type and an offset from the object or array that it
is part of, or stands in that very place where it is small. Keys come in the order in which the server writes them.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable
from decimal import Decimal

import pyarrow as pa

from penstock.errors import DataError

_SMALL_OBJECT, _LARGE_OBJECT, _SMALL_ARRAY, _LARGE_ARRAY, _LITERAL = range(5)
_STRING, _OPAQUE = 12, 15
_LITERALS = {0: "null", 1: "true", 2: "false"}
_NUMBERS = {5: "<h", 6: "<H", 7: "<i", 8: "<I", 9: "<q", 10: "<Q"}
_DOUBLE = 11
_INLINE_SMALL, _INLINE_LARGE = (_LITERAL, 5, 6), (_LITERAL, 5, 6, 7, 8)
_DECIMAL, _DATE, _TIME, _MOMENTS = 246, 10, 11, (7, 12)
_FIXED_DIGITS = 15
"""Digits of a whole number, or zeros behind the point, up to which a double has no exponent (``my_gcvt``)."""
_DEPTH = 100
"""The depth that the server allows."""
Decimals = Callable[[bytes, int, int], Decimal]
"""From the bytes of a decimal with so many digits, and so many behind the point, to the number."""


def texts(documents: pa.Array, decimals: Decimals) -> pa.Array:
    """Return documents as the server writes them; one that is empty is ``null``."""
    return pa.array([None if each is None else text(each, decimals) for each in documents.to_pylist()], pa.string())


def text(document: bytes, decimals: Decimals) -> str:
    """Return one document as the server writes it.

    Raises:
        DataError: It has a form that is not known.
    """
    if not document:
        return "null"
    # A view: each value of an object is told by all that lies behind its beginning.
    return _value(document[0], memoryview(document)[1:], decimals, _DEPTH)


def double(number: float) -> str:
    """Return a double as the server writes it."""
    sign, digits, exponent = Decimal(repr(number)).as_tuple()
    assert isinstance(exponent, int)
    # Zeros at the end are no digits of the number.
    bare = "".join(map(str, digits)).rstrip("0") or "0"
    point = len(digits) + exponent if bare != "0" else 1
    minus = "-" * sign
    if len(bare) <= point > _FIXED_DIGITS or point < -_FIXED_DIGITS + 1:
        return f"{minus}{bare[0]}{'.' * (len(bare) > 1)}{bare[1:]}e{point - 1}"
    if point <= 0:
        return f"{minus}0.{'0' * -point}{bare}"
    return f"{minus}{bare[:point].ljust(point, '0')}.{bare[point:] or '0'}"


def _value(kind: int, data: memoryview, decimals: Decimals, depth: int) -> str:
    if kind in (_SMALL_OBJECT, _LARGE_OBJECT, _SMALL_ARRAY, _LARGE_ARRAY) and depth:
        return _container(kind, data, decimals, depth - 1)
    if kind == _LITERAL:
        return _LITERALS[data[0]]
    if kind in _NUMBERS:
        return str(struct.unpack_from(_NUMBERS[kind], data)[0])
    if kind == _DOUBLE:
        return double(struct.unpack_from("<d", data)[0])
    if kind == _STRING:
        size, at = _size(data, 0)
        return _quoted(data[at : at + size])
    if kind == _OPAQUE:
        size, at = _size(data, 1)
        return _opaque(data[0], data[at : at + size], decimals)
    raise DataError(
        "A document of the binary log has a value whose form is not known",
        value=f"type {kind}",
        remedy="Name the table anew, name=…, to read it from the start",
    )


def _container(kind: int, data: memoryview, decimals: Decimals, depth: int) -> str:
    """Return an object or an array: its count, its size, the places of keys, the places of values."""
    large = kind in (_LARGE_OBJECT, _LARGE_ARRAY)
    form, width = ("<I", 4) if large else ("<H", 2)
    (count,) = struct.unpack_from(form, data)
    at = 2 * width
    keys: list[str] = []
    if kind in (_SMALL_OBJECT, _LARGE_OBJECT):
        for place in range(at, at + count * (width + 2), width + 2):
            (offset,) = struct.unpack_from(form, data, place)
            (size,) = struct.unpack_from("<H", data, place + width)
            keys.append(_quoted(data[offset : offset + size]))
        at += count * (width + 2)
    values: list[str] = []
    for place in range(at, at + count * (width + 1), width + 1):
        held = data[place]
        if held in (_INLINE_LARGE if large else _INLINE_SMALL):
            values.append(_value(held, data[place + 1 : place + 1 + width], decimals, depth))
        else:
            (offset,) = struct.unpack_from(form, data, place + 1)
            values.append(_value(held, data[offset:], decimals, depth))
    if kind in (_SMALL_ARRAY, _LARGE_ARRAY):
        return f"[{', '.join(values)}]"
    return "{" + ", ".join(f"{key}: {value}" for key, value in zip(keys, values, strict=True)) + "}"


def _opaque(kind: int, data: memoryview, decimals: Decimals) -> str:
    """Return a value of a type that JSON has not."""
    if kind == _DECIMAL:
        return f"{decimals(bytes(data[2:]), data[0], data[1]):f}"
    if kind in (_DATE, _TIME, *_MOMENTS):
        return f'"{_moment(kind, int.from_bytes(data, "little", signed=True))}"'
    return f'"base64:type{kind}:{base64.b64encode(data).decode()}"'


def _moment(kind: int, packed: int) -> str:
    """Return a date, a time or both, which are packed into bits (``my_time.cc``)."""
    micros, packed, minus = abs(packed) & 0xFFFFFF, abs(packed) >> 24, "-" * (packed < 0)
    if kind == _TIME:
        hours = (packed >> 12) & 1023
        return f"{minus}{hours:02}:{(packed >> 6) & 63:02}:{packed & 63:02}.{micros:06}"
    days, clock = packed >> 17, packed & 0x1FFFF
    day = f"{(days >> 5) // 13:04}-{(days >> 5) % 13:02}-{days & 31:02}"
    return day if kind == _DATE else f"{day} {clock >> 12:02}:{(clock >> 6) & 63:02}:{clock & 63:02}.{micros:06}"


def _size(data: memoryview, at: int) -> tuple[int, int]:
    """Return a length, which stands in seven bits of each byte, the lowest first, and the place behind it."""
    found = shift = 0
    while True:
        found |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not data[at - 1] & 0x80:
            return found, at


def _quoted(value: memoryview) -> str:
    return json.dumps(str(value, "utf-8"), ensure_ascii=False)
