"""Thrift's compact protocol, as far as the footers and page headers of Parquet files need it; knows no schema.

A struct is a dictionary of field number to ``(type, value)``, so that what is not understood is written as it was read.
A list is ``(type of its elements, elements)``.
"""

from __future__ import annotations

import struct
from typing import Any

from penstock.errors import BugError

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)

Struct = dict[int, tuple[int, Any]]


def read(data: bytes) -> Struct:
    """Return the struct at the beginning of some bytes.

    Raises:
        BugError: They are none, or hold a map, which Parquet has not.
    """
    try:
        return _Reader(data).struct()
    except (IndexError, struct.error) as error:
        raise BugError("A footer of Parquet ends in the middle") from error


def write(fields: Struct) -> bytes:
    """Return a struct as bytes."""
    out = bytearray()
    _write_struct(out, fields)
    return bytes(out)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def struct(self) -> Struct:
        fields: Struct = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._signed()
            kind = head & 15
            fields[number] = (kind, kind == TRUE if kind in (TRUE, FALSE) else self._value(kind))
        return fields

    def _value(self, kind: int) -> Any:
        if kind in (I16, I32, I64):
            return self._signed()
        if kind in (BYTE, TRUE, FALSE):
            return self._byte()
        if kind == DOUBLE:
            return self._bytes(8)
        if kind == BINARY:
            return self._bytes(self._varint())
        if kind in (LIST, SET):
            head = self._byte()
            count = head >> 4 if head >> 4 < 15 else self._varint()
            return head & 15, [self._value(head & 15) for _ in range(count)]
        if kind == STRUCT:
            return self.struct()
        raise BugError("A footer of Parquet holds what nobody knows", value=kind)

    def _byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1]

    def _bytes(self, size: int) -> bytes:
        self._at += size
        return self._data[self._at - size : self._at]

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7

    def _signed(self) -> int:
        value = self._varint()
        return value >> 1 ^ -(value & 1)


def _write_struct(out: bytearray, fields: Struct) -> None:
    before = 0
    for number, (kind, value) in sorted(fields.items()):
        told = (TRUE if value else FALSE) if kind in (TRUE, FALSE) else kind
        if number - before < 16:
            out.append((number - before) << 4 | told)
        else:
            out.append(told)
            _write_signed(out, number)
        if kind not in (TRUE, FALSE):
            _write_value(out, kind, value)
        before = number
    out.append(0)


def _write_value(out: bytearray, kind: int, value: Any) -> None:
    if kind in (I16, I32, I64):
        _write_signed(out, value)
    elif kind in (BYTE, TRUE, FALSE):
        out.append(value)
    elif kind == DOUBLE:
        out += value
    elif kind == BINARY:
        _write_varint(out, len(value))
        out += value
    elif kind in (LIST, SET):
        element, members = value
        out.append(min(len(members), 15) << 4 | element)
        if len(members) >= 15:
            _write_varint(out, len(members))
        for member in members:
            _write_value(out, element, member)
    else:
        _write_struct(out, value)


def _write_varint(out: bytearray, value: int) -> None:
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)


def _write_signed(out: bytearray, value: int) -> None:
    _write_varint(out, value << 1 ^ (value >> 63))
