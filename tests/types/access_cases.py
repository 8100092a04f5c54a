"""Access's types and their edge values, as they stand in the files that ``tests/extract/access_files`` holds."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from types_way import Case

_EDGES = 'é"\n,😀' * 3
_GUIDS = ["f81d4fae-7dec-11d0-a765-00a0c91e6bf6", str(UUID(int=0)), None, *["00112233-4455-6677-8899-aabbccddeeff"] * 2]
_UUIDS = [None if guid is None else UUID(guid) for guid in _GUIDS]
_TICKS = [1709210096123456700 + 100 * number for number in range(5)]


def _naive(*parts: int) -> datetime:
    return datetime(*parts)  # noqa: DTZ001


def _case(type_: str, expected: list[Any], warehouse: str, stored: str, arrow: str, **fields: Any) -> Case:
    return Case(type_, (), expected, warehouse, stored, arrow, **fields)


def _decimal(type_: str, digits: str, *values: str | None) -> Case:
    found = [None if value is None else Decimal(value) for value in values]
    return _case(type_, found, f"DECIMAL({digits})", f"decimal({digits})", f"decimal128({digits.replace(',', ', ')})")


CASES = [
    _case("Yes/No", [True, False, False, True, True], "BOOLEAN", "boolean", "bool"),
    _case("Byte", [255, 0, None, 1, 1], "UTINYINT", "short", "uint8"),
    _case("Integer", [-(2**15), 2**15 - 1, None, 1, 1], "SMALLINT", "short", "int16"),
    _case("Long Integer", [-(2**31), 2**31 - 1, None, 1, 1], "INTEGER", "integer", "int32"),
    _decimal("Currency", "19,4", "922337203685477.5807", "-922337203685477.5808", None, "-1.5000", "0.0000"),
    _case("Single", [0.10000000149011612, -3.4028234663852886e38, None, 9.999999350456404e-39, -0.0],
          "FLOAT", "float", "float"),
    _case("Double", [1.7976931348623157e308, 0.1, None, 2.5e-308, 9007199254740992.0], "DOUBLE", "double", "double"),
    _case("Date/Time",
          [_naive(9999, 12, 31, 23, 59, 59), _naive(100, 1, 1), None, _naive(1899, 12, 29, 18, 30, 15),
           _naive(2013, 11, 3, 1, 30, 0, 500000)],
          "TIMESTAMP", "timestamp_ntz", "timestamp[us]", lost="what is finer than a millisecond, which Access hides"),
    _case("Binary", [b'\0\xff\n"', b"", None, b"\x01", b"\x01"], "BLOB", "binary", "binary"),
    _case("Short Text(200)", [_EDGES, "", None, "0", "  "], "VARCHAR", "string", "string"),
    _case("Short Text(200)", [f"abc{_EDGES}def Привет xyz", "", None, "plain", " b "], "VARCHAR", "string", "string",
          label="compressed"),
    _case("OLE Object", [b"\x07" * 100_000, b"", None, b"A", b"A"], "BLOB", "binary", "binary",
          lost="nothing: all bytes, with what Access puts before them"),
    _case("Long Text", ["x" * 70_000 + _EDGES, "", None, "y" * 3000, "a\r\nb\\n"], "VARCHAR", "string", "string"),
    _case("Replication ID", _UUIDS, "UUID", "string", "extension<arrow.uuid>", plain=_GUIDS),
    _decimal("Decimal(28,10)", "28,10", "123456789012345678.0123456789", "-1E-10", None, "1.5000000000", "0E-10"),
    _decimal("Decimal(18,0)", "18,0", "999999999999999999", "-1", None, "7", "0"),
    _case("Large Number", [2**63 - 1, -(2**63), None, -(2**63), -(2**63)], "BIGINT", "long", "int64"),
    _case("Date/Time Extended", [None if place == 2 else tick for place, tick in enumerate(_TICKS)], "TIMESTAMP_NS",
          "long", "timestamp[ns]", read="epoch_ns({})"),
]  # fmt: skip
"""In the order of the columns; a file of Access 2000 has all but the last two."""
