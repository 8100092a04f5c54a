"""SQLite's declared types and their edge values; what is declared binds no value."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal

from types_way import Case

_MIXED = "the storage class of each value: the column is text while it holds another kind"
_LATIN = "which texts were no UTF-8; all bytes are kept, as Latin-1"
_DIGITS = "what SQLite itself rounds to a double"


def _naive(*parts: int) -> datetime:
    return datetime(*parts)  # noqa: DTZ001


CASES = [
    Case("INTEGER", ("9223372036854775807", "-9223372036854775808"), (2**63 - 1, -(2**63)), "BIGINT", "long", "int64"),
    Case("INTEGER", ("1", "0.5"), (1.0, 0.5), "DOUBLE", "double", "double", label="with fractions",
         lost="nothing; doubles, if each integer fits one"),
    Case("BIGINT", ("9007199254740993", "0.5", "'x'"), ("9007199254740993", "0.5", "x"), lost=_MIXED, label="mixed"),
    Case("UNSIGNED BIG INT", ("9223372036854775807", "18446744073709551615"),
         ("9223372036854775807", "1.8446744073709552e+19"), lost=_DIGITS, label="past 63 bits"),
    Case("REAL", ("1.5", "9e999", "-9e999", "5e-324", "1.7976931348623157e308"),
         (1.5, float("inf"), float("-inf"), 5e-324, 1.7976931348623157e308), "DOUBLE", "double", "double"),
    Case("REAL", ("'abc'", "1.0"), ("abc", "1.0"), lost=_MIXED, label="mixed"),
    Case("DECIMAL(10,2)", ("12.34", "-0.01", "'99999999.99'"),
         (Decimal("12.34"), Decimal("-0.01"), Decimal("99999999.99")), "DECIMAL(10,2)", "decimal(10,2)",
         "decimal128(10, 2)"),
    Case("DECIMAL(10,2)", ("12.345",), (12.345,), "DOUBLE", "double", "double", label="more places than declared",
         lost="the declared scale"),
    Case("DECIMAL(50,2)", ("1.25",), (1.25,), "DOUBLE", "double", "double", lost=_DIGITS),
    Case("NUMERIC", ("1", "12345678901234567890123"), (1.0, 1.2345678901234568e22), "DOUBLE", "double", "double",
         lost=_DIGITS),
    Case("BOOLEAN", ("0", "TRUE"), (False, True), "BOOLEAN", "boolean", "bool"),
    Case("BOOLEAN", ("0", "2"), (0, 2), "BIGINT", "long", "int64", lost="nothing", label="other integers"),
    Case("TEXT", ("''", "'NULL'", "CAST(x'610062' AS TEXT)", "'🐟'"), ("", "NULL", "a\0b", "🐟")),
    Case("TEXT", ("x'00ff'", "'a'"), (b"\0\xff", b"a"), "BLOB", "binary", "binary", label="with blobs",
         lost="which were texts: all are bytes"),
    Case("VARCHAR(3)", ("'abcdef'",)),
    Case("BLOB", ("x''", "x'00ff'"), (b"", b"\0\xff"), "BLOB", "binary", "binary"),
    Case("DATE", ("'0001-01-01'", "'1969-12-31'", "'9999-12-31'"),
         (date(1, 1, 1), date(1969, 12, 31), date(9999, 12, 31)), "DATE", "date", "date32[day]"),
    Case("DATE", ("'2013-02-30'", "''", "'2013-01-05'"), lost=_MIXED, label="no dates"),
    Case("DATE", ("20130105",), (20130105,), "BIGINT", "long", "int64", label="integers"),
    Case("DATETIME", ("'0001-01-01 00:00:00'", "'1677-09-21 00:12:43'", "'9999-12-31 23:59:59.999999'"),
         (_naive(1, 1, 1), _naive(1677, 9, 21, 0, 12, 43), _naive(9999, 12, 31, 23, 59, 59, 999999)),
         "TIMESTAMP", "timestamp_ntz", "timestamp[us]"),
    Case("DATETIME", ("'2013-01-05T10:00:00Z'", "'2013-01-05T10:00:00+05:30'"),
         (datetime(2013, 1, 5, 10, tzinfo=UTC), datetime(2013, 1, 5, 4, 30, tzinfo=UTC)),
         "TIMESTAMP WITH TIME ZONE", "timestamp", "timestamp[us, tz=UTC]", lost="the offset; the moment is kept",
         label="with offsets"),
    Case("DATETIME", ("'2013-01-05 10:00:00.123456789'", "'2016-12-31 23:59:60'", "'2013-01-05 24:00:00'"),
         lost=_MIXED, label="nanoseconds, leap seconds, 24:00, naive beside zoned"),
    Case("TIMESTAMP", ("1357380000",), (1357380000,), "BIGINT", "long", "int64", label="seconds since 1970"),
    Case("TIME", ("'00:00'", "'10:00:00'", "'23:59:59.999999'"), (time(0), time(10), time(23, 59, 59, 999999)),
         "TIME", "long", "time64[us]", plain=(0, 36_000_000_000, 86_399_999_999)),
    Case("TIME", ("'24:00:00'", "'10:00:00'"), lost=_MIXED, label="24:00"),
    Case("UUID", ("'550e8400-e29b-41d4-a716-446655440000'",)),
    Case("JSON", ("""'{"n":123456789012345678901234567890, "a":1,"a":2}'""",)),
    Case("JSONB", (r"x'8c1761'",), (b"\x8c\x17a",), "BLOB", "binary", "binary"),
    Case("POINT", ("'(1,2)'",)),
    Case("", ("1", "'a'", "x'0041'", "1.5"), ("1", "a", "\0A", "1.5"), lost=_MIXED, told="", label="no type, mixed"),
    Case("", ("1", "2"), (1, 2), "BIGINT", "long", "int64", told="", label="no type, integers"),
]  # fmt: skip
"""Texts that are no UTF-8 turn those of the whole table to Latin-1 and have a table of their own."""

NOT_UTF8 = [Case("TEXT", ("CAST(x'eda080' AS TEXT)", "CAST(x'ff61' AS TEXT)", "'é'"), ("í\xa0\x80", "ÿa", "é"),
                 lost=_LATIN, label="lone surrogates, other bytes")]  # fmt: skip
