"""MySQL's and MariaDB's types and their edge values."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal

from types_way import Case, texts

_BROKEN = "the type: the column is text while it holds such a value"


def _naive(*parts: int) -> datetime:
    return datetime(*parts)  # noqa: DTZ001


def _whole(type_: str, low: int, high: int, warehouse: str, stored: str, arrow: str, **fields: object) -> Case:
    return Case(type_, (str(low), str(high)), (low, high), warehouse, stored, arrow, told=type_, **fields)  # type: ignore[arg-type]


_BOTH = [
    _whole("tinyint", -128, 127, "TINYINT", "byte", "int8"),
    _whole("tinyint unsigned", 0, 255, "UTINYINT", "short", "uint8"),
    _whole("smallint", -(2**15), 2**15 - 1, "SMALLINT", "short", "int16"),
    _whole("smallint unsigned", 0, 2**16 - 1, "USMALLINT", "integer", "uint16"),
    _whole("mediumint", -(2**23), 2**23 - 1, "INTEGER", "integer", "int32"),
    _whole("mediumint unsigned", 0, 2**24 - 1, "UINTEGER", "long", "uint32"),
    _whole("int", -(2**31), 2**31 - 1, "INTEGER", "integer", "int32"),
    _whole("int unsigned", 0, 2**32 - 1, "UINTEGER", "long", "uint32"),
    _whole("bigint", -(2**63), 2**63 - 1, "BIGINT", "long", "int64"),
    Case("bigint unsigned", ("0", "18446744073709551615"), (0, 2**64 - 1), "UBIGINT", "decimal(20,0)", "uint64",
         plain=(Decimal(0), Decimal(2**64 - 1))),
    Case("boolean", ("TRUE", "2", "-1"), (1, 2, -1), "TINYINT", "byte", "int8", told="tinyint",
         lost="nothing: it is a tinyint, which may hold 2 as well"),
    Case("bit(1)", ("b'1'", "b'0'"), (True, False), "BOOLEAN", "boolean", "bool", told="bit"),
    Case("bit(64)", (f"b'{'1' * 64}'", "b'101'"), (2**64 - 1, 5), "UBIGINT", "decimal(20,0)", "uint64", told="bit",
         plain=(Decimal(2**64 - 1), Decimal(5)), lost="leading zeros: the bits are a number"),
    Case("year", ("1901", "2155"), (1901, 2155), "SMALLINT", "short", "int16"),
    Case("float", ("0.1", "-3.4028234663852886e38", "1e-38"),
         (0.10000000149011612, -3.4028234663852886e38, 9.99999935045640392e-39), "FLOAT", "float", "float"),
    Case("double", ("0.1", "-1.7976931348623157e308", "2.2250738585072014e-308"),
         (0.1, -1.7976931348623157e308, 2.2250738585072014e-308), "DOUBLE", "double", "double"),
    Case("decimal(12,3)", ("123456789.125", "-0.001"), (Decimal("123456789.125"), Decimal("-0.001")),
         "DECIMAL(12,3)", "decimal(12,3)", "decimal128(12, 3)"),
    Case("decimal(38,12)", ("12345678901234567890123456.123456789012",),
         (Decimal("12345678901234567890123456.123456789012"),),
         "DECIMAL(38,12)", "decimal(38,12)", "decimal128(38, 12)"),
    Case("decimal(20,0) unsigned", ("18446744073709551616",), (Decimal(2**64),),
         "DECIMAL(20,0)", "decimal(20,0)", "decimal128(20, 0)", told="decimal(20,0)"),
    *texts(("decimal(65,30)", (f"{'9' * 35}.{'9' * 30}", f"-0.{'0' * 29}1")),
           lost="arithmetic: over 38 digits are text"),
    Case("date", ("'0001-01-01'", "'9999-12-31'", "'1969-12-31'"),
         (date(1, 1, 1), date(9999, 12, 31), date(1969, 12, 31)), "DATE", "date", "date32[day]"),
    Case("datetime(6)", ("'0001-01-01 00:00:00.000001'", "'9999-12-31 23:59:59.999999'", "'2013-03-10 02:30:00'"),
         (_naive(1, 1, 1, 0, 0, 0, 1), _naive(9999, 12, 31, 23, 59, 59, 999999), _naive(2013, 3, 10, 2, 30)),
         "TIMESTAMP", "timestamp_ntz", "timestamp[us]", told="datetime"),
    # Local clocks of the server's zone, five hours behind UTC.
    Case("timestamp(6) null", ("'1970-01-02 00:00:00.000001'", "'2038-01-18 22:14:07.999999'"),
         (datetime(1970, 1, 2, 5, 0, 0, 1, UTC), datetime(2038, 1, 19, 3, 14, 7, 999999, UTC)),
         "TIMESTAMP WITH TIME ZONE", "timestamp", "timestamp[us, tz=UTC]", told="timestamp"),
    Case("time(6)", ("'00:00:00'", "'23:59:59.999999'"), (time(0), time(23, 59, 59, 999999)), "TIME", "long",
         "time64[us]", told="time", plain=(0, 86_399_999_999)),
    Case("time(3)", ("'-838:59:58.500'", "'24:00:00.000'"), told="time", lost=_BROKEN, label="beyond a day"),
    Case("char(5)", ("'ab'", "''", "'é🐟'"), told="char", lost="blanks at the end, which the server cuts"),
    Case("varchar(40)", ("'ab '", "''", "'é🐟'"), told="varchar"),
    Case("varchar(9) character set latin1", ("'ÿé'",), told="varchar"),
    Case("text", ("''", "CONCAT('a', CHAR(0), 'b')", "'\U0010ffff'"), ("", "a\0b", "\U0010ffff")),
    Case("longtext", ("REPEAT('x', 70000)",), ("x" * 70000,), told="text"),
    Case("binary(3)", ("x'00ff00'",), (b"\0\xff\0",), "BLOB", "binary", "binary", told="binary"),
    Case("varbinary(9)", ("x'00ff'", "x''"), (b"\0\xff", b""), "BLOB", "binary", "binary", told="binary"),
    Case("blob", ("x'fe'", "x''"), (b"\xfe", b""), "BLOB", "binary", "binary"),
    Case("enum('glad','it''s, sad')", ("'glad'", "'it''s, sad'"), told="enum", lost="the list of labels"),
    Case("set('a','b')", ("'a,b'", "''"), told="set", lost="the list of members"),
    Case("geometry", ("POINT(1, 2)",), (bytes.fromhex("0101000000000000000000f03f0000000000000040"),), "BLOB",
         "binary", "binary", lost="the reference system (SRID); the shape is well-known binary"),
]  # fmt: skip
MARIADB = [
    *_BOTH,
    Case("json", ("'{\"n\": 123456789012345678901234567890.10}'", "'[1, null]'"), told="text", label="MariaDB",
         lost="nothing: MariaDB's JSON is a text"),
    Case("uuid", ("'f81d4fae-7dec-11d0-a765-00a0c91e6bf6'",), told="char", lost="the type: it is read as text"),
    Case("inet6", ("'2001:db8::1'",), told="char", lost="the type: it is read as text"),
]  # fmt: skip
MYSQL = [
    *_BOTH,
    Case("json", ("'{\"n\": [1, 2.5, null, \"é\"]}'", "'[]'"), told="json", label="MySQL",
         lost="nothing: it is the text that the server writes"),
    Case("vector(2)", ("TO_VECTOR('[1, 2.5]')",), (bytes.fromhex("0000803f00002040"),), "BLOB", "binary", "binary",
         told="vector",
         lost="nothing: 32-bit floats, the lowest byte first"),
]  # fmt: skip
