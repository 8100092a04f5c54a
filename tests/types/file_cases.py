"""DuckDB's types and their edge values, as a Parquet file written by DuckDB brings them."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from uuid import UUID

import pyarrow as pa
from types_way import AS_TEXT, Case

_MONTHS = "struct<months: integer, days: integer, micros: long>"
_LABELS = "the list of labels"
_UUID = "550e8400-e29b-41d4-a716-446655440000"
_VALUES = "the types that JSON lacks"


def _case(type_: str, values: tuple[str, ...], expected: tuple, stored: str, **fields) -> Case:
    fields.setdefault("told", "")
    fields.setdefault("warehouse", type_)
    return Case(type_, values, expected, stored=stored, arrow="", **fields)


CASES = [
    _case("BOOLEAN", ("true", "false"), (True, False), "boolean"),
    _case("TINYINT", ("-128",), (-128,), "byte"),
    _case("BIGINT", ("-9223372036854775808",), (-(2**63),), "long"),
    _case("UTINYINT", ("255",), (255,), "short"),
    _case("UINTEGER", ("4294967295",), (2**32 - 1,), "long"),
    _case("UBIGINT", ("18446744073709551615",), (2**64 - 1,), "decimal(20,0)", plain=(Decimal(2**64 - 1),)),
    _case("FLOAT", ("'nan'", "1.5"), (float("nan"), 1.5), "float"),
    _case("DOUBLE", ("'-inf'", "'nan'", "-0.0::DOUBLE"), (float("-inf"), float("nan"), -0.0), "double"),
    _case("DECIMAL(38,10)", ("1234567890123456789012345678.0123456789",),
          (Decimal("1234567890123456789012345678.0123456789"),), "decimal(38,10)"),
    _case("VARCHAR", ("''", "'a' || chr(0) || 'b'", "'🐟'"), ("", "a\0b", "🐟"), "string"),
    _case("BLOB", (r"'\x00\xFF'::BLOB", "''::BLOB"), (b"\0\xff", b""), "binary"),
    _case("UUID", (f"'{_UUID}'",), (UUID(_UUID),), "string", plain=(_UUID,)),
    _case("JSON", ("""'{"n": 123456789012345678901234567890}'""",), ('{"n": 123456789012345678901234567890}',),
          "string"),
    _case("DATE", ("'0001-01-01'", "'9999-12-31'"), (date(1, 1, 1), date(9999, 12, 31)), "date"),
    _case("DATE", ("'infinity'", "'-infinity'", "'0044-03-15 (BC)'"), ("infinity", "-infinity", "0044-03-15 (BC)"),
          "date", read=AS_TEXT, label="infinity, before the year 1"),
    _case("TIME", ("'23:59:59.999999'",), (time(23, 59, 59, 999999),), "long", plain=(86_399_999_999,)),
    _case("TIMESTAMP", ("'0001-01-01'", "'9999-12-31 23:59:59.999999'"),
          (datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999)), "timestamp_ntz"),  # noqa: DTZ001
    _case("TIMESTAMP", ("'infinity'", "'-infinity'"), ("infinity", "-infinity"), "timestamp_ntz", read=AS_TEXT,
          label="infinity"),
    _case("TIMESTAMP_NS", ("'2013-01-05 10:00:00.123456789'",), (1_357_380_000_123_456_789,), "long",
          read="epoch_ns({})"),
    _case("TIMESTAMP WITH TIME ZONE", ("'2013-01-05 10:00:00+05:30'",), (datetime(2013, 1, 5, 4, 30, tzinfo=UTC),),
          "timestamp"),
    _case("INTERVAL", ("'1 month 2 days 03:04:05'",), ("1 month 2 days 03:04:05",), _MONTHS, read=AS_TEXT,
          plain=({"months": 1, "days": 2, "micros": 11_045_000_000},)),
    _case("BIGINT[]", ("[1, NULL]", "[]"), ([1, None], []), "array<long>"),
    _case("UBIGINT[]", ("[18446744073709551615]",), ([2**64 - 1],), "array<decimal(20,0)>",
          plain=([Decimal(2**64 - 1)],)),
    _case("TIME[]", ("['10:00:00.5', NULL]",), ([time(10, 0, 0, 500000), None],), "array<string>",
          plain=(["10:00:00.5", None],)),
    _case("STRUCT(a BIGINT, b VARCHAR)", ("{'a': 1, 'b': NULL}",), ({"a": 1, "b": None},),
          "struct<a: long, b: string>"),
    _case("MAP(VARCHAR, BIGINT)", ("MAP {'k': 1}",), ({"k": 1},), "map<string, long>", plain=([("k", 1)],)),
    _case("ENUM('a', 'b')", ("'a'", "'b'"), ("a", "b"), "string", warehouse="VARCHAR", lost=_LABELS),
    _case("VARIANT", ("{'a': 1, 'b': [1.5, NULL]}", "'x'"), ('{"a":1,"b":[1.5,null]}', '"x"'), "string",
          warehouse="JSON", told="VARIANT", lost=_VALUES),
    _case("GEOMETRY", ("'POINT (1.5 -2)'",), ("POINT (1.5 -2)",), "string", read=AS_TEXT, plain=("POINT (1.5 -2)",),
          warehouse="GEOMETRY('OGC:CRS84')"),
]  # fmt: skip

WIDE = pa.array([Decimal(2**200), None], pa.decimal256(76, 0))
