from __future__ import annotations

import pyarrow as pa
import pytest

from penstock.extract.streams.changes.postgres.values import convert
from servers.postgres import PostgresServer
from streams.capturing import capturing, emptied, source, taken, whole

pytestmark = pytest.mark.postgres

_KINDS = """
    CREATE TYPE mood AS ENUM ('glad', 'sad'); CREATE DOMAIN price AS numeric(10, 2);
    CREATE TYPE pair AS (x int, y text);
    CREATE TABLE t (place int PRIMARY KEY,
      i2 int2, i4 int4, i8 int8, n numeric(12, 3), wide numeric(38, 12), free numeric,
      huge numeric(50, 2), coarse numeric(5, -2), domain price, f4 real, f8 double precision, flag boolean,
      text text, code char(3), word varchar(9), name_ name, day date, at timestamp, instant timestamptz, clock time,
      zoned timetz, span interval, id uuid, doc jsonb, plain json, raw bytea, ints int[], texts text[],
      numbers numeric[], prices numeric(10, 2)[], days date[], moments timestamptz[], flags bool[], ids uuid[],
      docs jsonb[], raws bytea[], spans interval[], clocks time[], reals float8[], feeling mood, feelings mood[],
      address inet, range int4range, bits bit(3), cash money, both_ pair, oid_ oid, oids oid[], spot point,
      words tsvector, letter "char", markup xml, hosts inet[]);
"""
_ROWS = [
    """-32768, 2147483647, 9223372036854775807, 123456789.125, 12345678901234567890.123456789012,
      12345678901234567890.123456789, 1e40, 12300, 5.5, 1.25, 'Infinity', true,
      E'é\\n"q", \\\\ \U0001f600', 'ab', 'w', 'n', '0001-01-01', '2013-01-05 10:00:00.000001', '2013-01-05 10:00+02',
      '10:00:00.000001', '10:00+02', '1 year 2 days 03:04:05.000006', '550e8400-e29b-41d4-a716-446655440000',
      '{"n": 1234567890123456789012}', '{"a":  1}', '\\x00ff', '{1,NULL,3}', '{a,NULL,"x,y","q\\"\\\\","NULL",""}',
      '{1.5,NULL}', '{1.5,-2}', '{2013-01-05}', '{2013-01-05 00:00:00+02,2013-01-05 00:00:00.5+00}', '{t,f,NULL}',
      '{550e8400-e29b-41d4-a716-446655440000}', '{"{\\"a\\": [1, 2]}"}', '{"\\\\x00ff"}', '{1 day,-01:00:00.25}',
      '{10:00,NULL}', '{1.5,NaN,-Infinity}', 'glad', '{sad,glad}', '10.0.0.1/8', '[1,5)', '101', -1234.5, '(1,z)',
      4294967295, '{4294967295}', '(1,2)', 'a:1 b:2', 'x', '<a>1</a>', '{::1,10.0.0.0/8,10.0.0.1,NULL}'""",
    """0, -1, -9223372036854775808, -0.001, -1, 0, 0, -100, -5, '-Infinity', 1e-300, false, '', '   ', '', '',
      '0044-03-15 BC', '12345-06-07 08:09:10.5', '0044-03-15 10:00:00+00 BC', '23:59:59.999999', '00:00-15',
      '-1 years -2 mons +3 days -04:05:06.789', '00000000-0000-0000-0000-000000000000', '[]', 'null', '', '{}', '{}',
      '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', 'sad', '{}', '::1', 'empty', '000', 0, '(,)',
      0, '{}', '(0,0)', '', '', '', '{}'""",
    ", ".join(["NULL"] * 53),
]


@pytest.fixture
def database(postgres: PostgresServer) -> PostgresServer:
    return emptied(postgres)


def test_a_change_has_the_types_and_values_that_a_reading_of_the_table_gives(database: PostgresServer) -> None:
    database.execute(_KINDS + "".join(f"INSERT INTO t VALUES ({n}, {row});" for n, row in enumerate(_ROWS)))
    with capturing(database, [source("t", write="merge", key="place")]) as capture:
        first = whole(capture, "t")
        capture.begin()
        database.execute("".join(f"INSERT INTO t VALUES ({10 + n}, {row});" for n, row in enumerate(_ROWS)))
        rows, _ = taken(capture)
    streamed = rows["t"]
    own = [name for name in first.schema.names if not name.startswith("_") and name != "place"]
    assert len(own) == 53
    assert {name: streamed.schema.field(name) for name in own} == {name: first.schema.field(name) for name in own}
    assert [field.metadata for field in streamed.schema] == [field.metadata for field in first.schema]
    different = [name for name in own if _bare(streamed, name) != _bare(first, name)]
    assert different == []


def _bare(rows: pa.Table, name: str) -> str:
    """Return a column in a form in which two NaN are equal, and moments may be of any year."""
    column = rows.column(name).combine_chunks()
    return str(column.storage if isinstance(column, pa.ExtensionArray) else column)


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("numeric(5,2)", "NaN"),
        ("numeric", "-Infinity"),
        ("numeric", "0.0000000001"),
        ("numeric", "1e30"),
        ("date", "infinity"),
        ("timestamp", "-infinity"),
        ("timestamptz", "infinity"),
        ("time", "24:00"),
        ("int[]", "{{1,2},{3,4}}"),
        ("int[]", "[2:3]={1,2}"),
        ("numeric[]", "{1.5,NaN}"),
        ("text[]", '{{"a,b","q\\""},{NULL,d}}'),
        ("timestamptz[]", "{infinity}"),
    ],
)
def test_a_value_without_an_equal_is_the_text_that_a_reading_gives(
    database: PostgresServer, type_: str, value: str
) -> None:
    database.execute(f"CREATE TABLE t (place int PRIMARY KEY, x {type_}); INSERT INTO t VALUES (1, '{value}')")
    with capturing(database, [source("t", write="merge", key="place")]) as capture:
        first = whole(capture, "t")
        capture.begin()
        database.execute(f"INSERT INTO t VALUES (2, '{value}')")
        rows, _ = taken(capture)
    assert rows["t"].column("x").to_pylist() == first.column("x").to_pylist()
    assert rows["t"].schema.field("x").type == first.schema.field("x").type == pa.string()


def test_many_values_are_converted_at_once_with_odd_ones_among_them() -> None:
    texts = pa.array([*["2020-01-01 00:00:00.5"] * 10_000, "0001-01-01 00:00:00 BC", None, "123456-01-01 00:00:00"])
    found = convert(texts, "timestamp", pa.timestamp("us"))
    assert found.type == pa.timestamp("us")
    assert found[0].value == 1_577_836_800_500_000
    # The year before the first one has 366 days.
    assert found[10_000].value == -62_167_219_200_000_000
    assert found[10_001].as_py() is None
    assert found[10_002].value == 3_833_727_840_000_000_000
