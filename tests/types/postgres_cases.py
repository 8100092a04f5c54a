"""PostgreSQL's types and their edge values."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from uuid import UUID

from types_way import AS_TEXT, Case, texts

BEFORE = """
CREATE EXTENSION IF NOT EXISTS hstore; CREATE EXTENSION IF NOT EXISTS citext;
CREATE TYPE mood AS ENUM ('glad', 'it''s, sad'); CREATE TYPE pair AS (x int, y text);
CREATE DOMAIN price AS numeric(10,2) CHECK (value > 0); CREATE DOMAIN whole AS int; CREATE DOMAIN tags AS text[];
"""

_TEXT = "its operators; the value is PostgreSQL's text"
_INFINITE = "the type: the column is text while it holds such a value"
_MONTHS = "struct<months: integer, days: integer, micros: long>"
_BIG_JSON = '{"b": [1, null, {"c": "é🐟"}], "n": 123456789012345678901234567890.1234567890}'
_UUIDS = ("550e8400-e29b-41d4-a716-446655440000", "ffffffff-ffff-ffff-ffff-ffffffffffff")


def _naive(*parts: int) -> datetime:
    return datetime(*parts)  # noqa: DTZ001


NUMBERS = [
    Case("boolean", ("true", "false"), (True, False), "BOOLEAN", "boolean", "bool"),
    Case("smallint", ("-32768", "32767"), (-(2**15), 2**15 - 1), "SMALLINT", "short", "int16"),
    Case("integer", ("-2147483648", "2147483647"), (-(2**31), 2**31 - 1), "INTEGER", "integer", "int32"),
    Case("bigint", ("-9223372036854775808", "9223372036854775807"), (-(2**63), 2**63 - 1), "BIGINT", "long", "int64"),
    Case("oid", ("4294967295",), (2**32 - 1,), "BIGINT", "long", "int64"),
    Case("real", ("'NaN'", "'-Infinity'", "'-0'", "3.4028235e38", "1e-45"),
         (float("nan"), float("-inf"), -0.0, 3.4028234663852886e38, 1.401298464324817e-45), "FLOAT", "float", "float"),
    Case("double precision", ("'NaN'", "'Infinity'", "'-Infinity'", "1.7976931348623157e308", "5e-324", "0.1"),
         (float("nan"), float("inf"), float("-inf"), 1.7976931348623157e308, 5e-324, 0.1),
         "DOUBLE", "double", "double"),
    Case("numeric(12,3)", ("123456789.125", "-0.001"), (Decimal("123456789.125"), Decimal("-0.001")),
         "DECIMAL(12,3)", "decimal(12,3)", "decimal128(12, 3)"),
    Case("numeric(20,0)", ("18446744073709551615",), (Decimal(2**64 - 1),),
         "DECIMAL(20,0)", "decimal(20,0)", "decimal128(20, 0)"),
    Case("numeric(38,12)", ("12345678901234567890123456.123456789012",),
         (Decimal("12345678901234567890123456.123456789012"),),
         "DECIMAL(38,12)", "decimal(38,12)", "decimal128(38, 12)"),
    Case("numeric(38,38)", (f"-0.{'9' * 38}",), (Decimal(f"-0.{'9' * 38}"),),
         "DECIMAL(38,38)", "decimal(38,38)", "decimal128(38, 38)"),
    Case("numeric(5,-2)", ("12300",), (Decimal(12300),), "DECIMAL(7,0)", "decimal(7,0)", "decimal128(7, 0)"),
    Case("numeric(3,5)", ("-0.00999",), (Decimal("-0.00999"),), "DECIMAL(5,5)", "decimal(5,5)", "decimal128(5, 5)"),
    Case("numeric", ("1.5", "12345678901234567890.123456789"),
         (Decimal("1.500000000"), Decimal("12345678901234567890.123456789")), "DECIMAL(38,9)", "decimal(38,9)",
         "decimal128(38, 9)", lost="how many zeros follow the last digit"),
    Case("money", ("12.34", "-92233720368547758.08"),
         (Decimal("12.340000000"), Decimal("-92233720368547758.080000000")), "DECIMAL(38,9)", "decimal(38,9)",
         "decimal128(38, 9)", lost="the currency, which the server does not store"),
    *texts(("numeric(50,2)", (f"1{'0' * 40}.00", "'NaN'")), ("numeric(1000,500)", (f"0.{'0' * 499}1",)),
           lost="arithmetic: over 38 digits are text"),
    *texts(("numeric(12,3)", ("'NaN'", "1.500")), ("numeric", ("'Infinity'", "'-Infinity'", "0.0000000001")),
           lost=_INFINITE, label="NaN, infinity, too many digits"),
]  # fmt: skip

TEXTS = [
    *texts(("text", ("''", "'🐟 \u202eab'", "'NULL'", "E'\x01'")), ("character varying(5)", ("'abcde'", "''")),
           ("name", ("'abc'",)), ('"char"', ("'a'", "''")), ("xml", ("'<a>b</a>'", "''"))),
    *texts(("citext", ("'AbC'",)), lost="comparing without case"),
    Case("character(5)", ("'ab'", "''"), ("ab   ", "     "), lost="nothing; padded as stored"),
    Case("bytea", (r"'\x00ff'", "''"), (b"\0\xff", b""), "BLOB", "binary", "binary"),
    Case("uuid", tuple(f"'{value}'" for value in _UUIDS), tuple(map(UUID, _UUIDS)), "UUID", "string",
         "extension<arrow.uuid>", plain=_UUIDS),
    Case("jsonb", (f"'{_BIG_JSON}'", "'null'", "'\"s\"'", "'1e400'"),
         (_BIG_JSON, "null", '"s"', f"1{'0' * 400}"), "JSON", "string", "extension<arrow.json>"),
    Case("json", ("""'{"a":  1, "a": 2}'""", "'1e400'", r"""'"\u0000"'""", r"""'"\ud83d\ude00"'"""), None, "JSON",
         "string", "extension<arrow.json>"),
    Case("json", (r"""'"\ud800"'""", "'1'"), lost=_INFINITE, label="half of a surrogate pair"),
    Case("mood", ("'glad'", "'it''s, sad'"), lost="the order and the list of labels", label="enumeration"),
    Case("price", ("12.34",), (Decimal("12.34"),), "DECIMAL(10,2)", "decimal(10,2)", "decimal128(10, 2)",
         lost="the domain's name and checks", told="numeric(10,2)", label="domain"),
    Case("pair", ("'(1,z)'", "'(,)'", """'(2,"a,""b")'"""), lost="the members; the value is PostgreSQL's text",
         label="composite"),
]  # fmt: skip

TIMES = [
    Case("date", ("'0001-01-01'", "'1677-01-01'", "'1969-12-31'", "'9999-12-31'"),
         (date(1, 1, 1), date(1677, 1, 1), date(1969, 12, 31), date(9999, 12, 31)), "DATE", "date", "date32[day]"),
    Case("date", ("'4713-01-01 BC'", "'5874897-12-31'"), ("4713-01-01 (BC)", "5874897-12-31"), "DATE", "date",
         "date32[day]", read=AS_TEXT, label="far"),
    Case("timestamp without time zone",
         ("'0001-01-01'", "'1677-09-21 00:12:43.145224'", "'1969-12-31 23:59:59.999999'",
          "'9999-12-31 23:59:59.999999'"),
         (_naive(1, 1, 1), _naive(1677, 9, 21, 0, 12, 43, 145224), _naive(1969, 12, 31, 23, 59, 59, 999999),
          _naive(9999, 12, 31, 23, 59, 59, 999999)), "TIMESTAMP", "timestamp_ntz", "timestamp[us]"),
    Case("timestamp with time zone",
         ("'0001-01-01Z'", "'2013-11-03 01:30-04'", "'2013-11-03 01:30-05'", "'2013-01-01 00:00+14'",
          "'9999-12-31 23:59:59.999999Z'"),
         (datetime(1, 1, 1, tzinfo=UTC), datetime(2013, 11, 3, 5, 30, tzinfo=UTC),
          datetime(2013, 11, 3, 6, 30, tzinfo=UTC), datetime(2012, 12, 31, 10, tzinfo=UTC),
          datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)),
         "TIMESTAMP WITH TIME ZONE", "timestamp", "timestamp[us, tz=UTC]"),
    *texts(("date", ("'infinity'", "'-infinity'", "'2020-01-01'")),
           ("timestamp without time zone", ("'infinity'", "'2020-01-01 00:00:00.5'", "'294276-12-31 00:00:00'")),
           ("timestamp with time zone", ("'-infinity'", "'2020-01-01 00:00:00+00'")),
           lost=_INFINITE, label="infinity, past the year 290000"),
    Case("time without time zone", ("'00:00'", "'23:59:59.999999'"), (time(0), time(23, 59, 59, 999999)), "TIME",
         "long", "time64[us]", plain=(0, 86_399_999_999)),
    *texts(("time without time zone", ("'24:00:00'", "'10:00:00'")), lost=_INFINITE, label="24:00"),
    *texts(("time with time zone", ("'24:00:00-12'", "'00:00:00+14'", "'10:00:00.000001+05:30'")), lost=_TEXT),
    Case("interval",
         ("'1 year 2 mons 3 days 04:05:06.000007'", "'-1 year -2 mons +3 days -04:05:06'", "'0'", "'-00:00:00.000001'",
          "'-178000000 years'", "'25:00:00'"),
         ("1 year 2 months 3 days 04:05:06.000007", "-1 year -2 months 3 days -04:05:06", "00:00:00",
          "-00:00:00.000001", "-178000000 years", "25:00:00"), "INTERVAL", _MONTHS, "month_day_nano_interval",
         read=AS_TEXT,
         plain=[{"months": months, "days": days, "micros": micros} for months, days, micros in (
             (14, 3, 14_706_000_007), (-14, 3, -14_706_000_000), (0, 0, 0), (0, 0, -1), (-2_136_000_000, 0, 0),
             (0, 0, 90_000_000_000))]),
    Case("interval", ("'2600000 hours'", "'-1 mons +2 days'"), ("PT2600000H", "P-1M2D"), lost=_INFINITE,
         label="over 285 years of hours"),
]  # fmt: skip

ODD = texts(
    ("inet", ("'10.0.0.1/8'", "'::1/128'")), ("cidr", ("'10.0.0.0/8'",)), ("macaddr", ("'08:00:2b:01:02:03'",)),
    ("macaddr8", ("'08:00:2b:01:02:03:04:05'",)), ("bit(3)", ("'101'",)), ("bit varying", ("''", f"'{'10' * 40}'")),
    ("point", ("'(1.5,-2)'", "'(NaN,Infinity)'")), ("line", ("'{1,2,3}'",)), ("lseg", ("'[(0,0),(1,1)]'",)),
    ("box", ("'(1,1),(0,0)'",)), ("path", ("'[(0,0),(1,1)]'", "'((0,0),(1,1))'")),
    ("polygon", ("'((0,0),(1,1),(2,0))'",)),
    ("circle", ("'<(0,0),1>'",)), ("int4range", ("'[1,5)'", "'empty'", "'(,)'")), ("numrange", ("'[1.5,2.5]'",)),
    ("tsrange", ("""'["2010-01-01 14:30:00",infinity)'""",)), ("daterange", ("'[2010-01-01,2010-02-01)'",)),
    ("tstzrange", ("""'["2010-01-01 14:30:00+00","2010-01-01 15:30:00+00")'""",)),
    ("int4multirange", ("'{[1,3),[5,6)}'",)), ("hstore", ("""'"a"=>"1", "b"=>NULL'""",)),
    ("xid8", ("'18446744073709551615'",)),
    ("pg_lsn", ("'16/B374D848'",)), ("jsonpath", ("""'$."a"'""",)), ("regclass", ("'pg_class'",)),
    lost=_TEXT,
)  # fmt: skip

ARRAYS = [
    Case("integer[]", ("'{1,NULL,3}'", "'{}'"), ([1, None, 3], []), "INTEGER[]", "array<integer>",
         "list<item: int32>"),
    Case("text[]", ("""'{a,NULL,"x,y","","NULL"}'""",), (["a", None, "x,y", "", "NULL"],), "VARCHAR[]",
         "array<string>", "list<item: string>"),
    Case("double precision[]", ("'{NaN,-Infinity,1.5}'",), ([float("nan"), float("-inf"), 1.5],), "DOUBLE[]",
         "array<double>", "list<item: double>"),
    Case("bytea[]", (r"ARRAY['\x00ff'::bytea,NULL]",), ([b"\0\xff", None],), "BLOB[]", "array<binary>",
         "list<item: binary>"),
    Case("numeric(10,2)[]", ("'{1.5,NULL}'",), ([Decimal("1.50"), None],), "DECIMAL(10,2)[]", "array<decimal(10,2)>",
         "list<item: decimal128(10, 2)>"),
    Case("price[]", ("'{1.25}'",), ([Decimal("1.25")],), "DECIMAL(10,2)[]", "array<decimal(10,2)>",
         "list<item: decimal128(10, 2)>", lost="the domain's checks"),
    Case("whole[]", ("'{1,NULL}'",), ([1, None],), "INTEGER[]", "array<integer>", "list<item: int32>",
         lost="the domain's checks"),
    Case("uuid[]", (f"'{{{_UUIDS[0]},NULL}}'",), ([UUID(_UUIDS[0]), None],), "UUID[]", "array<string>",
         "list<item: extension<arrow.uuid>>", plain=([_UUIDS[0], None],)),
    Case("jsonb[]", ("""ARRAY['{"a":1}'::jsonb,NULL]""",), (['{"a": 1}', None],), "JSON[]", "array<string>",
         "list<item: extension<arrow.json>>"),
    Case("date[]", ("'{0001-01-01,NULL}'",), ([date(1, 1, 1), None],), "DATE[]", "array<date>",
         "list<item: date32[day]>"),
    Case("time without time zone[]", ("'{10:00:00.5,NULL}'",), ([time(10, 0, 0, 500000), None],), "TIME[]",
         "array<string>", "list<item: time64[us]>", plain=(["10:00:00.5", None],)),
    Case("interval[]", ("'{-1 mon 2 days,NULL}'",), ("[-1 month 2 days, NULL]",), "INTERVAL[]",
         "array<string>", "list<item: month_day_nano_interval>", plain=(["-1 month 2 days", None],), read=AS_TEXT),
    Case("mood[]", ("""'{glad,NULL,"it''s, sad"}'""",), (["glad", None, "it's, sad"],), "VARCHAR[]", "array<string>",
         "list<item: string>", lost="the order and the list of labels"),
    Case("tags", ("'{a,b}'",), (["a", "b"],), "VARCHAR[]", "array<string>", "list<item: string>",
         lost="the domain's name and checks", told="text[]"),
    Case("pair[]", ("""'{"(1,z)","(,)"}'""",), (["(1,z)", "(,)"],), "VARCHAR[]", "array<string>",
         "list<item: string>", lost=_TEXT),
    Case("int4range[]", ("""'{"[1,5)"}'""",), (["[1,5)"],), "VARCHAR[]", "array<string>", "list<item: string>",
         lost=_TEXT),
    *[Case(type_, values, expected, lost="the list: the column is JSON text while it holds such a value, "
           "without subscripts", label="several dimensions, subscripts, NaN, infinity, 24:00")
      for type_, values, expected in (
          ("integer[]", ("'{{1,2},{3,4}}'", "'[2:3]={1,2}'"), ("[[1,2],[3,4]]", "[1,2]")),
          ("numeric(10,2)[]", ("'{1.5,NaN}'",), ('[1.50,"NaN"]',)),
          ("date[]", ("'{infinity}'",), ('["infinity"]',)),
          ("time without time zone[]", ("'{24:00}'",), ('["24:00:00"]',)),
      )],
]  # fmt: skip

CASES = [*NUMBERS, *TEXTS, *TIMES, *ODD, *ARRAYS]
