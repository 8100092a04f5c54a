"""Values of every type of the lake, read back from PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres_world import PostgresWorld, database, opened

from penstock.errors import DataError
from penstock.stores.engine import LocalEngine
from servers.postgres import PostgresServer

pytestmark = pytest.mark.postgres

DIGITS = "12345678901234567890123456789012345678"
TYPES = [
    ("true", "boolean", "true"),
    ("(-128)::TINYINT", "smallint", "-128"),
    ("(-32768)::SMALLINT", "smallint", "-32768"),
    ("(-2147483648)::INTEGER", "integer", "-2147483648"),
    ("(-9223372036854775808)::BIGINT", "bigint", "-9223372036854775808"),
    ("255::UTINYINT", "smallint", "255"),
    ("65535::USMALLINT", "integer", "65535"),
    ("4294967295::UINTEGER", "bigint", "4294967295"),
    ("18446744073709551615::UBIGINT", "numeric(20,0)", "18446744073709551615"),
    (f"(-{DIGITS}9)::HUGEINT", "numeric(39,0)", f"-{DIGITS}9"),
    ("340282366920938463463374607431768211455::UHUGEINT", "numeric(39,0)", "340282366920938463463374607431768211455"),
    ("1.1::FLOAT", "real", "1.1"),
    ("'nan'::FLOAT", "real", "NaN"),
    ("0.1::DOUBLE + 0.2::DOUBLE", "double precision", "0.30000000000000004"),
    ("'-inf'::DOUBLE", "double precision", "-Infinity"),
    ("'nan'::DOUBLE", "double precision", "NaN"),
    ("'-0.0'::DOUBLE", "double precision", "-0"),
    ("5e-324::DOUBLE", "double precision", "5e-324"),
    ("1.7976931348623157e308::DOUBLE", "double precision", "1.7976931348623157e+308"),
    (f"{DIGITS[:29]}.123456789::DECIMAL(38,9)", "numeric(38,9)", f"{DIGITS[:29]}.123456789"),
    ("(-0.01)::DECIMAL(4,2)", "numeric(4,2)", "-0.01"),
    ("'a' || chr(9) || chr(10) || chr(13) || '\\N \\. \"' || chr(39) || 'ß😀'", "text", "a\t\n\r\\N \\. \"'ß😀"),
    ("''", "text", ""),
    ("'\\N'", "text", "\\N"),
    ("'\\x00\\x5C\\xFF\\x09'::BLOB", "bytea", "\\x005cff09"),
    ("''::BLOB", "bytea", "\\x"),
    ("'10110'::BIT", "bit varying", "10110"),
    ("'550e8400-e29b-41d4-a716-446655440000'::UUID", "uuid", "550e8400-e29b-41d4-a716-446655440000"),
    ('\'{"b": [1, 2.50, "\\n\\t"], "a": null}\'::JSON', "jsonb", '{"a": null, "b": [1, 2.50, "\\n\\t"]}'),
    ("'null'::JSON", "jsonb", "null"),
    ("DATE '0044-03-15 (BC)'", "date", "0044-03-15 BC"),
    ("DATE '9999-12-31'", "date", "9999-12-31"),
    ("'infinity'::DATE", "date", "infinity"),
    ("TIME '23:59:59.123456'", "time without time zone", "23:59:59.123456"),
    ("'12:00:00.5-03:30'::TIMETZ", "time with time zone", "12:00:00.5-03:30"),
    ("TIMESTAMP '0001-01-01 00:00:00.000001'", "timestamp without time zone", "0001-01-01 00:00:00.000001"),
    ("DATE '0100-02-28 (BC)' + TIME '12:00'", "timestamp without time zone", "0100-02-28 12:00:00 BC"),
    ("'-infinity'::TIMESTAMP", "timestamp without time zone", "-infinity"),
    ("TIMESTAMP_S '2013-01-01 10:00:01'", "timestamp without time zone", "2013-01-01 10:00:01"),
    ("TIMESTAMP_MS '2013-01-01 10:00:01.5'", "timestamp without time zone", "2013-01-01 10:00:01.5"),
    ("'2013-01-01 10:00:01.123456'::TIMESTAMP_NS", "timestamp without time zone", "2013-01-01 10:00:01.123456"),
    ("TIMESTAMPTZ '2013-01-01 10:00:00.25+05:30'", "timestamp with time zone", "2013-01-01 04:30:00.25+00"),
    ("'infinity'::TIMESTAMPTZ", "timestamp with time zone", "infinity"),
    ("INTERVAL '14 months -3 days 04:05:06.789'", "interval", "1 year 2 mons -3 days +04:05:06.789"),
    ("INTERVAL '-61.5 seconds'", "interval", "-00:01:01.5"),
    ("[1, NULL, 3]::INTEGER[]", "integer[]", "{1,NULL,3}"),
    ("[]::BIGINT[]", "bigint[]", "{}"),
    ("[1.50, NULL]::DECIMAL(9,2)[]", "numeric(9,2)[]", "{1.50,NULL}"),
    ("['a,b', 'NULL', NULL, 'q\"\\{}', chr(10), '']", "text[]", '{"a,b","NULL",NULL,"q\\"\\\\{}","\n",""}'),
    ("['\\x5C'::BLOB]", "bytea[]", '{"\\\\x5c"}'),
    ("[1.5, 2.5]::DOUBLE[2]", "double precision[]", "{1.5,2.5}"),
    ("[DATE '0044-03-15 (BC)']", "date[]", '{"0044-03-15 BC"}'),
    ("['nan'::DOUBLE, 'inf'::DOUBLE]", "double precision[]", "{NaN,Infinity}"),
    ("[TIMESTAMPTZ '2013-01-01 10:00:00+01']", "timestamp with time zone[]", '{"2013-01-01 09:00:00+00"}'),
    ("[[1, 2], [3]]", "jsonb", "[[1, 2], [3]]"),
    (
        f"{{'n': {DIGITS}::DECIMAL(38,0), 't': 'ß\"', 'l': [1, NULL]}}",
        "jsonb",
        f'{{"l": [1, null], "n": {DIGITS}, "t": "ß\\""}}',
    ),
    ("MAP {'b': 1, 'a': 2}", "jsonb", '{"a": 2, "b": 1}'),
    ("[{'at': TIMESTAMP '2013-01-01 10:00:00.5'}]", "jsonb", '[{"at": "2013-01-01 10:00:00.5"}]'),
]


@pytest.fixture
def world(tmp_path: Path, engine: LocalEngine, postgres: PostgresServer) -> Iterator[PostgresWorld]:
    return opened(tmp_path, engine, database(postgres.url(), "penstock_types"))


def test_values_arrive_as_they_are_under_a_type_that_holds_them(world: PostgresWorld) -> None:
    columns = ", ".join(f"{expression} AS c{i}" for i, (expression, _, _) in enumerate(TYPES))
    nulls = ", ".join(f"IF(false, {expression}, NULL) AS c{i}" for i, (expression, _, _) in enumerate(TYPES))
    world.version("every", f"SELECT 0 AS row, {columns} UNION ALL SELECT 1, {nulls}")
    world.promote("every")
    spelt = world.served(
        "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'every'::regclass AND attnum > 1 "
        "ORDER BY attnum"
    )
    listed = ", ".join(f"c{i}::text" for i in range(len(TYPES)))
    with world.reading() as connection:
        connection.execute("SET timezone = 'UTC'")
        values, empty = connection.execute(f"SELECT {listed} FROM every ORDER BY row".encode()).fetchall()
    for (expression, type_, text), (found,), value in zip(TYPES, spelt, values, strict=True):
        assert (found, value) == (type_, text), expression
    assert set(empty) == {None}


def test_names_that_need_quotes_and_unicode_keep_them(world: PostgresWorld) -> None:
    world.version("Größe", 'SELECT 1 AS "Id", 2 AS "a b", 3 AS "q""x", 4 AS "select", 5 AS "{}", 6 AS "%s", 7 AS "$1"')
    world.promote("Größe")
    found = world.served('SELECT "Id", "a b", "q""x", "select", "{}", "%s", "$1" FROM "Größe"')
    assert found == [(1, 2, 3, 4, 5, 6, 7)]


def test_many_columns_and_long_texts_arrive(world: PostgresWorld) -> None:
    columns = ", ".join(f"i + {number} AS c{number}" for number in range(900))
    world.version("wide", f"SELECT {columns}, repeat('ß', 100000) AS long FROM range(20) t(i)")
    world.promote("wide")
    assert world.served("SELECT sum(c0), sum(c899), min(length(long)) FROM wide") == [(190, 18170, 100000)]


@pytest.mark.parametrize(
    ("column", "expression", "sentence"),
    [
        ("word", "'geheim' || chr(0)", "Column 'word' of 'odd' .* a text holds a byte 0"),
        ("words", "['geheim' || chr(0)]", "Column 'words' of 'odd' .* a text holds a byte 0"),
        ("nested", "{'a': 'geheim' || chr(0)}", "Column 'nested' of 'odd' .* holds the character U\\+0000"),
        ("fine", "make_timestamp_ns(1)", "Table 'odd' holds a moment finer than a microsecond"),
        ("far", "DATE '5000000-01-01'", None),
        ("far", "make_timestamp(-9000000000000000000)", "Column 'far' of 'odd' .* a moment"),
        ("nested", "{'x': 'nan'::DOUBLE}", "Column 'nested' of 'odd' .* NaN or infinity, which JSON has not"),
        ("early", "DATE '4800-01-01 (BC)'", "Column 'early' of 'odd' .* lies outside of PostgreSQL's range"),
    ],
)
def test_what_postgresql_cannot_hold_is_refused_by_table_and_column_without_the_value(
    world: PostgresWorld, column: str, expression: str, sentence: str | None
) -> None:
    world.version("odd", f"SELECT {expression} AS {column}")
    if sentence is None:
        world.promote("odd")
        return
    with pytest.raises(DataError, match=sentence) as refused:
        world.promote("odd")
    assert "geheim" not in json.dumps(str(refused.value))
    assert world.versions() == []


def test_a_row_that_fits_no_page_is_refused(world: PostgresWorld) -> None:
    columns = ", ".join(f"repeat('x', 30) AS c{number}" for number in range(1600))
    world.version("wide", f"SELECT {columns}")
    with pytest.raises(DataError, match="A row of 'wide' is too wide for PostgreSQL"):
        world.promote("wide")
