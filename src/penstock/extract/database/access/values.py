"""From Access's types to Arrow: what each column is read as, and its values from the bytes of the file."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from datetime import date

import pyarrow as pa

from penstock.errors import DataError
from penstock.extract.database.access.pages import MEMO, OBJECT, TEXT, AccessPages, Definition, Field, cells, text
from penstock.extract.database.dialect import DatabaseColumn
from penstock.queries.text import identifier

_MONEY, _MOMENT, _UUID, _DECIMAL, _COMPLEX, _FINE = 5, 8, 15, 16, 18, 20
_NAMES = {
    1: "Yes/No", 2: "Byte", 3: "Integer", 4: "Long Integer", 5: "Currency", 6: "Single", 7: "Double", 8: "Date/Time",
    9: "Binary", 10: "Short Text", 11: "OLE Object", 12: "Long Text", 15: "Replication ID", 16: "Decimal",
    18: "Multi-valued", 19: "Large Number", 20: "Date/Time Extended",
}  # fmt: skip
_PLAIN = {2: pa.uint8(), 3: pa.int16(), 4: pa.int32(), 6: pa.float32(), 7: pa.float64(), 18: pa.int32(), 19: pa.int64()}
_OTHERS = {
    1: pa.bool_(), 5: pa.decimal128(19, 4), 8: pa.timestamp("us"), 9: pa.binary(), 10: pa.string(), 11: pa.binary(),
    12: pa.string(), 15: pa.uuid(), 20: pa.string(),
}  # fmt: skip
_CURSORS = {
    2: "integer", 3: "integer", 4: "integer", 19: "integer", 5: "decimal", 16: "decimal", 6: "real", 7: "real",
    8: "timestamp", 20: "timestamp", 10: "text",
}  # fmt: skip
_DAY = 86_400_000
_EPOCH = 25_569
"""Days from the zero of Access, 1899-12-30, to 1970."""


def spelt(field: Field) -> str:
    """Return a column's type as Access calls it."""
    name = _NAMES.get(field.type, f"type {field.type}")
    if field.type == _DECIMAL:
        return f"{name}({field.precision},{field.scale})"
    return f"{name}({field.length // 2})" if field.type == TEXT else name


def readable(field: Field) -> bool:
    """Say whether a column has values of its own, of a known type."""
    return field.type in _NAMES and not field.calculated


def passed_over(definition: Definition) -> str:
    """Return the sentence about columns that are not read; empty where all are."""
    left = [field for field in definition.fields if not readable(field)]
    told = ", ".join(f"{field.name} ({'calculated' if field.calculated else spelt(field)})" for field in left)
    return f"{told} of {definition.name} is left out: Access computes it, or its type is unknown" if left else ""


def column(field: Field) -> DatabaseColumn:
    """Plan how a column is read."""
    quoted, type_ = identifier(field.name), spelt(field)
    if field.type == _FINE:
        return DatabaseColumn(
            name=field.name,
            spelt=type_,
            expression=f"CAST({quoted} AS TIMESTAMP_NS)",
            target=pa.timestamp("ns"),
            cursor=_CURSORS[_FINE],
            guard=f"({quoted} < '1677-09-22' OR {quoted} >= '2262-04-11')",
            text=quoted,
            odd="a moment before 1678 or after 2262, with digits finer than a microsecond",
        )
    note = ""
    if field.type == _COMPLEX:
        note = f"{field.name} (attachments or several values) is read as the number under which Access keeps them"
    return DatabaseColumn(
        name=field.name,
        spelt=type_,
        expression=quoted,
        target=arrow_type(field),
        cursor=_CURSORS.get(field.type),
        note=note,
    )


def arrow_type(field: Field) -> pa.DataType:
    """Return the Arrow type of what ``array`` gives."""
    if field.type == _DECIMAL:
        return pa.decimal128(max(1, field.precision), field.scale)
    return _PLAIN.get(field.type) or _OTHERS[field.type]


def array(pages: AccessPages, rows: Sequence[bytes], field: Field, table: str) -> pa.Array:
    """Return the values of a column in some rows.

    Raises:
        DataError: A value is damaged.
    """
    where = f"{field.name} of {table}"
    try:
        found = cells(rows, field)
        if field.type in _PLAIN:
            return _packed(found, _PLAIN[field.type], field.length)
        if field.type in (_MONEY, _DECIMAL):
            whole = _money if field.type == _MONEY else _decimal
            wide = [None if cell is None else whole(cell).to_bytes(16, "little", signed=True) for cell in found]
            return _packed(wide, arrow_type(field), 16)
        if field.type in (OBJECT, MEMO):
            found = [None if cell is None else pages.long_value(cell, where) for cell in found]
        made = _READERS.get(field.type)
        values = found if made is None else [None if cell is None else made(cell) for cell in found]
        if field.type == _UUID:
            return pa.ExtensionArray.from_storage(pa.uuid(), pa.array(values, pa.binary(16)))
        return pa.array(values, arrow_type(field))
    except (struct.error, IndexError, ValueError, OverflowError, pa.ArrowInvalid) as error:
        raise DataError(
            f"A value of {where} in {pages.path} cannot be read",
            remedy="Repair a copy in Access (Database Tools, Compact and Repair), and read that",
        ) from error


def _packed(found: Sequence[bytes | None], type_: pa.DataType, width: int) -> pa.Array:
    there = pa.array([cell is not None for cell in found], pa.bool_())
    zeros = bytes(width)
    data = b"".join(zeros if cell is None else cell for cell in found)
    if len(data) != width * len(found):
        raise ValueError("a value is cut off")
    return pa.Array.from_buffers(type_, len(found), [there.buffers()[1], pa.py_buffer(data)])


def _money(cell: bytes) -> int:
    return int.from_bytes(cell, "little", signed=True)


def _decimal(cell: bytes) -> int:
    """Return the digits of a decimal: a sign, then four numbers of 32 bits, the greatest first."""
    parts = (cell[at : at + 4][::-1] for at in (1, 5, 9, 13))
    whole = int.from_bytes(b"".join(parts), "big")
    return -whole if cell[0] else whole


def _moment(cell: bytes) -> int:
    """Return microseconds since 1970 of days since 1899-12-30, to the millisecond, as Access itself shows them."""
    days: float = struct.unpack("<d", cell)[0]
    whole = int(days)
    return (whole - _EPOCH) * _DAY * 1000 + round(abs(days - whole) * _DAY) * 1000


def _fine(cell: bytes) -> str:
    days, ticks, _ = cell.decode("ascii").split(":")
    seconds, fraction = divmod(int(ticks), 10_000_000)
    day = date.fromordinal(int(days) + 1).isoformat()
    return f"{day} {seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{fraction:07d}"


def _uuid(cell: bytes) -> bytes:
    return cell[3::-1] + cell[5:3:-1] + cell[7:5:-1] + cell[8:16]


_READERS: dict[int, Callable[[bytes], object]] = {
    1: lambda cell: cell == b"\x01", _MOMENT: _moment, TEXT: text, MEMO: text, _UUID: _uuid, _FINE: _fine,
}  # fmt: skip
