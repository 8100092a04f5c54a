"""From the bytes of the binary log to Arrow: types and values that a reading of the table gives (``database/mysql``).

A column is converted in one call. A value that its type cannot hold (a date without a day, a time of no day) leaves
the column of that batch as the texts that the server would write, and the contract of the table decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from penstock.extract.streams.changes.mysql import documents, moments
from penstock.extract.streams.changes.mysql import shapes as s
from penstock.extract.streams.changes.mysql.images import Bytes, Flags, Places
from penstock.extract.streams.changes.mysql.shapes import Column
from penstock.extract.streams.changes.slices import sliced

_SRID = 4
"""Bytes before a geometry that say in which system its coordinates are."""
_WHOLE = {s.TINY: 1, s.SHORT: 2, s.INT24: 3, s.LONG: 4, s.LONGLONG: 8}
_MOMENTS = {
    s.DATE: moments.dates,
    s.DATETIME2: moments.datetimes,
    s.TIMESTAMP2: moments.timestamps,
    s.TIME2: moments.times,
}
_DIGITS = 38
Texts = Callable[[pa.Array, int], pa.Array]
"""Turns bytes of a collation into texts; see ``charsets``."""


@dataclass(frozen=True, slots=True)
class Cells:
    """The values of one column: where each begins, its length, and whether it is null."""

    starts: Places
    lengths: Places
    nulls: Flags


def convert(buffer: bytes, cells: Cells, column: Column, target: pa.DataType, texts: Texts) -> pa.Array:
    """Return the values of a column.

    Args:
        buffer: The bytes.
        cells: The values in it.
        column: The column.
        target: What a reading of the table gives.
        texts: Turns bytes into texts.
    """
    if column.prefix:
        return _lengthy(buffer, cells, column, texts)
    mask = cells.nulls if cells.nulls.any() else None
    data = fixed(np.frombuffer(buffer, np.uint8), cells, column.size)
    if column.type in _MOMENTS:
        return _MOMENTS[column.type](data, column.first, cells.nulls)
    if column.type in _WHOLE:
        return pa.array(_numbers(data, signed=not column.unsigned).astype(target.to_pandas_dtype()), target, mask=mask)
    if column.type in (s.FLOAT, s.DOUBLE):
        return pa.array(data.view("<f4" if column.type == s.FLOAT else "<f8").ravel(), target, mask=mask)
    if column.type == s.YEAR:
        years = data.ravel().astype(np.int16)
        return pa.array(np.where(years, years + 1900, 0).astype(np.int16), target, mask=mask)
    if column.type == s.BIT:
        bits = _numbers(data[:, ::-1], signed=False)
        return pa.array(bits != 0 if pa.types.is_boolean(target) else bits, target, mask=mask)
    if column.type == s.DECIMAL:
        return decimals(data, column, target, cells.nulls)
    return _chosen(_numbers(data, signed=False), column, cells.nulls, texts)


def fixed(raw: Bytes, cells: Cells, size: int) -> Bytes:
    """Return values that are always as long, one in each row; zeros where there is none."""
    starts = np.where(cells.nulls, 0, cells.starts) if cells.nulls.any() else cells.starts
    if not len(starts):
        return np.zeros((0, size), np.uint8)
    data = raw[starts[:, None] + np.arange(size)]
    data[cells.nulls] = 0
    return np.ascontiguousarray(data)


def _numbers(data: Bytes, *, signed: bool) -> npt.NDArray[np.int64] | npt.NDArray[np.uint64]:
    """Return whole numbers, whose lowest byte comes first."""
    count, size = data.shape
    wide = np.zeros((count, 8), np.uint8)
    wide[:, :size] = data
    if not signed:
        return wide.view("<u8").ravel()
    shift = 8 * (8 - size)
    found: npt.NDArray[np.int64] = (wide.view("<i8").ravel() << shift) >> shift
    return found


def _lengthy(buffer: bytes, cells: Cells, column: Column, texts: Texts) -> pa.Array:
    """Return values that have a length before them."""
    there = ~cells.nulls
    if column.type == s.GEOMETRY:
        return sliced(buffer, cells.starts + _SRID, cells.lengths - _SRID, there)
    found = sliced(buffer, cells.starts, cells.lengths, there)
    if column.type == s.JSON:
        return documents.texts(found, _decimal)
    if column.declared:
        return pa.array(
            [None if each is None else moments.address(each, column) for each in found.to_pylist()], pa.string()
        )
    if column.collation != s.BINARY:
        return texts(found, column.collation)
    if column.type == s.STRING:
        # The log leaves the zeros at the end away.
        short = pc.less(pc.binary_length(found), column.first)
        if pc.any(short).as_py():
            whole = [None if each is None else each.ljust(column.first, b"\0") for each in found.to_pylist()]
            return pa.array(whole, pa.binary())
    return found


def _chosen(
    numbers: npt.NDArray[np.int64] | npt.NDArray[np.uint64], column: Column, nulls: Flags, texts: Texts
) -> pa.Array:
    """Return the values of an enum or a set as texts."""
    values: Sequence[str] = texts(pa.array(column.choices, pa.binary()), column.collation).to_pylist()
    if column.type == s.ENUM:
        known = pa.array(["", *values], pa.string())
        return known.take(pa.array(numbers.astype(np.int64), mask=nulls if nulls.any() else None))
    distinct, places = np.unique(numbers, return_inverse=True)
    made = [",".join(value for bit, value in enumerate(values) if int(each) >> bit & 1) for each in distinct.tolist()]
    return pa.array(made, pa.string()).take(pa.array(places.astype(np.int64), mask=nulls if nulls.any() else None))


def decimals(data: Bytes, column: Column, target: pa.DataType, nulls: Flags) -> pa.Array:
    """Return decimals, which stand as groups of nine digits in the bytes that these need, the highest bit the sign."""
    count = len(data)
    data = data.copy()
    negative = (data[:, 0] & 0x80) == 0
    data[:, 0] ^= 0x80
    data[negative] ^= 0xFF
    groups = list(_groups(data, column.first - column.second, column.second))
    if column.first > _DIGITS:
        return _long_decimals(groups, column, negative, nulls)
    limbs = np.zeros((count, 4), np.uint64)
    for digits, values in groups:
        carry = values
        for limb in range(4):
            product = limbs[:, limb] * np.uint64(10**digits) + carry
            limbs[:, limb], carry = product & np.uint64(0xFFFFFFFF), product >> np.uint64(32)
    words = limbs.astype(np.uint32)
    minus = negative & ~nulls
    words[minus] ^= np.uint32(0xFFFFFFFF)
    carry = minus.astype(np.uint64)
    for limb in range(4):
        total = words[:, limb].astype(np.uint64) + carry
        words[:, limb], carry = (total & np.uint64(0xFFFFFFFF)).astype(np.uint32), total >> np.uint64(32)
    valid = None if not nulls.any() else pa.py_buffer(np.packbits(~nulls, bitorder="little").tobytes())
    return pa.Array.from_buffers(target, count, [valid, pa.py_buffer(words.tobytes())])


def _decimal(data: bytes, digits: int, behind: int) -> Decimal:
    """Return one decimal of a document."""
    column = Column("", s.DECIMAL, digits, behind)
    given = np.frombuffer(data, np.uint8)[None, :]
    (found,) = decimals(given, column, pa.decimal128(min(digits, _DIGITS), behind), np.zeros(1, np.bool_)).to_pylist()
    return Decimal(found)


def _groups(data: Bytes, whole: int, fraction: int) -> list[tuple[int, npt.NDArray[np.uint64]]]:
    """Return groups of digits, the highest first: how many they are, and their values."""
    sizes = (
        [whole % 9] * (whole % 9 > 0) + [9] * (whole // 9) + [9] * (fraction // 9) + [fraction % 9] * (fraction % 9 > 0)
    )
    found, at = [], 0
    for digits in sizes:
        size = (digits + 1) // 2 if digits < 9 else 4
        found.append((digits, _numbers(data[:, at : at + size][:, ::-1], signed=False).astype(np.uint64)))
        at += size
    return found


def _long_decimals(
    groups: Sequence[tuple[int, npt.NDArray[np.uint64]]], column: Column, negative: Flags, nulls: Flags
) -> pa.Array:
    """Return decimals that Arrow has no type for as texts."""
    made: list[str | None] = []
    for place, null in enumerate(nulls.tolist()):
        digits = "".join(str(int(values[place])).rjust(size, "0") for size, values in groups)
        split = len(digits) - column.second
        whole = digits[:split].lstrip("0") or "0"
        text = whole + ("." + digits[split:] if column.second else "")
        made.append(None if null else "-" * bool(negative[place]) + text)
    return pa.array(made, pa.string())
