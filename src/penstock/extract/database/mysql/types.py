"""From MySQL's and MariaDB's types to Arrow: what each column is selected as, and what its values become.

Whatever depends on the session (zone, date format, digits of floats) is asked for in a form that does not: times as
microseconds since 1970, decimals as text. Types by the numbers of the wire protocol (MySQL's ``field_types.h``).
"""

from __future__ import annotations

import pyarrow as pa

from penstock.extract.database.dialect import DatabaseColumn
from penstock.values import dataclass

_INTEGERS = {1: (pa.int8(), pa.uint8()), 2: (pa.int16(), pa.uint16()), 9: (pa.int32(), pa.uint32()),
             3: (pa.int32(), pa.uint32()), 8: (pa.int64(), pa.uint64())}  # fmt: skip
_NAMES = {
    0: "decimal", 1: "tinyint", 2: "smallint", 3: "int", 4: "float", 5: "double", 6: "null", 7: "timestamp",
    8: "bigint", 9: "mediumint", 10: "date", 11: "time", 12: "datetime", 13: "year", 14: "date", 15: "varchar",
    16: "bit", 242: "vector", 245: "json", 246: "decimal", 247: "enum", 248: "set", 249: "tinyblob", 250: "mediumblob",
    251: "longblob", 252: "blob", 253: "varchar", 254: "char", 255: "geometry",
}  # fmt: skip
_UNSIGNED, _ENUM, _SET = 32, 256, 2048
_BINARY = 63
"""The character set of bytes."""
_DECIMALS, _DATES, _TIMES, _MOMENTS = (0, 246), (10, 14), (11,), (12,)
_VECTOR = 242
_MOST_DIGITS = 38


@dataclass(frozen=True, slots=True)
class Field:
    """A result column as the server describes it: ``length`` in bytes, ``scale`` in digits."""

    name: str
    type: int
    flags: int
    charset: int
    length: int
    scale: int

    @property
    def spelt(self) -> str:
        """Return its type in words."""
        if self.flags & _ENUM:
            return "enum"
        if self.flags & _SET:
            return "set"
        name = _NAMES.get(self.type, f"type {self.type}")
        if self.type in _DECIMALS:
            return f"decimal({self.digits},{self.scale})"
        binary = self.charset == _BINARY
        if self.type in (249, 250, 251, 252) and not binary:
            name = "text"
        if self.type in (253, 254) and binary:
            name = "binary"
        return name + (" unsigned" if self.type in _INTEGERS and self.flags & _UNSIGNED else "")

    @property
    def digits(self) -> int:
        """Return the precision of a decimal: its length counts the sign and the point."""
        return self.length - (self.scale > 0) - (not self.flags & _UNSIGNED)


def column(field: Field, quoted: str) -> DatabaseColumn:
    """Plan how a column is read; ``quoted`` is its name in SQL."""
    if field.type in _INTEGERS:
        return _plain(field, quoted, _INTEGERS[field.type][bool(field.flags & _UNSIGNED)], "integer")
    if field.type in (4, 5):
        # The text protocol prints six digits of a float; as a double all of it comes.
        return _plain(field, f"({quoted} + 0e0)", pa.float32() if field.type == 4 else pa.float64(), "real")
    if field.type in _DECIMALS:
        return _decimal(field, quoted)
    if field.type == 13:
        return _plain(field, quoted, pa.int16(), "integer")
    if field.type == 16:
        return _plain(field, f"({quoted} + 0)", pa.bool_() if field.length == 1 else pa.uint64(), None)
    if field.type in (*_DATES, *_TIMES, *_MOMENTS, 7):
        return _moment(field, quoted)
    if field.type == 255:
        note = f"{field.name} (geometry) is read as well-known binary, without its reference system"
        return DatabaseColumn(
            name=field.name, spelt="geometry", expression=f"ST_AsWKB({quoted})", target=pa.binary(), note=note
        )
    if field.type == _VECTOR:
        return _plain(field, f"CAST({quoted} AS BINARY)", pa.binary(), None)
    if field.type in (249, 250, 251, 252, 253, 254) and field.charset == _BINARY and not field.flags & (_ENUM | _SET):
        return _plain(field, quoted, pa.binary(), None)
    text = field.type in (252, 253, 254) and not field.flags & (_ENUM | _SET)
    return _plain(field, f"CAST({quoted} AS CHAR)" if field.type != 252 else quoted, pa.string(), "text" * text or None)


def _plain(field: Field, expression: str, target: pa.DataType, cursor: str | None) -> DatabaseColumn:
    return DatabaseColumn(name=field.name, spelt=field.spelt, expression=expression, target=target, cursor=cursor)


def _decimal(field: Field, quoted: str) -> DatabaseColumn:
    text = f"CAST({quoted} AS CHAR)"
    if field.digits <= _MOST_DIGITS:
        return _plain(field, text, pa.decimal128(field.digits, field.scale), "decimal")
    note = f"{field.name} ({field.spelt}) has more digits than a decimal of 38; it is read as text"
    return DatabaseColumn(name=field.name, spelt=field.spelt, expression=text, target=pa.string(), note=note)


def _moment(field: Field, quoted: str) -> DatabaseColumn:
    text = f"CAST({quoted} AS CHAR)"
    if field.type in _TIMES:
        return DatabaseColumn(
            name=field.name,
            spelt="time",
            expression=f"CAST(HOUR({quoted}) * 3600000000 + MINUTE({quoted}) * 60000000 + SECOND({quoted}) * 1000000 "
            f"+ MICROSECOND({quoted}) AS SIGNED)",
            target=pa.time64("us"),
            guard=f"({quoted} < '00:00:00' OR {quoted} >= '24:00:00')",
            text=text,
            odd="a time that is none of a day",
        )
    broken = f"({quoted} < '0001-01-01' OR MONTH({quoted}) = 0 OR DAYOFMONTH({quoted}) = 0)"
    odd = "a date without a day, month or year"
    if field.type in _DATES:
        return DatabaseColumn(
            name=field.name, spelt="date", expression=f"(TO_DAYS({quoted}) - 719528)", target=pa.date32(),
            cursor="date", guard=broken, text=text, odd=odd,
        )  # fmt: skip
    if field.type in _MOMENTS:
        return DatabaseColumn(
            name=field.name, spelt="datetime", expression=f"TIMESTAMPDIFF(MICROSECOND, '1970-01-01', {quoted})",
            target=pa.timestamp("us"), cursor="timestamp", guard=broken, text=text, odd=odd,
        )  # fmt: skip
    return DatabaseColumn(
        name=field.name, spelt="timestamp", expression=f"CAST(UNIX_TIMESTAMP({quoted}) * 1000000 AS SIGNED)",
        target=pa.timestamp("us", "UTC"), cursor="timestamptz", guard=f"(YEAR({quoted}) = 0)", text=text, odd=odd,
    )  # fmt: skip
