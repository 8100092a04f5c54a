"""Values in changes of MariaDB and MySQL are those that a reading of the same table gives, type by type."""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa
import pytest

from penstock.extract.streams.changes.port import Taken
from servers.mariadb import MariaServer
from servers.mysql import MySqlServer
from streams.capturing import SERVERS, capturing, cleared, followed, taken, whole

sys.path.insert(0, str(Path(__file__).parents[1] / "types"))
from mariadb_cases import MARIADB, MYSQL
from types_way import declared, rows

_MORE = {
    "latin": ("varchar(9) CHARACTER SET latin1", "'ÿ€é'", "''"),
    "swedish": ("varchar(9) CHARACTER SET swe7", "'Åå'", "'a'"),
    "japanese": ("text CHARACTER SET sjis", "'日本 a'", "'a'"),
    "wide": ("varchar(300) CHARACTER SET utf16", "'é😀'", "'a'"),
    "long_": ("varchar(400)", "repeat('é', 300)", "''"),
    "huge": ("longtext", "repeat('x', 70000)", "''"),
    "short_": ("tinyblob", "x'00'", "''"),
    "fixed": ("binary(4)", "x'0100'", "''"),
    "broad": ("char(255) CHARACTER SET utf8mb4", "'é '", "''"),
    "cased": ("enum('É','b') CHARACTER SET latin1", "'É'", "'b'"),
    "none": ("enum('x','')", "''", "'x'"),
    "many": (f"set({','.join(repr(f'v{n}') for n in range(40))})", "'v0,v39,v8'", "''"),
    "tenths": ("datetime(1)", "'2020-02-29 00:00:00.9'", "'1600-12-31 23:59:59.1'"),
    "thousandths": ("timestamp(3) NULL", "'2020-02-29 00:00:00.987'", "'1999-12-31 23:59:59.001'"),
    "clock": ("time(4)", "'12:34:56.7891'", "'00:00:00.0001'"),
    "spare": ("decimal(9,0)", "-999999999", "1"),
    "part": ("decimal(7,7)", "-0.1234567", "0"),
    "bits": ("bit(13)", "b'1000000000001'", "0"),
    "twice": ("int AS (spare * 2) VIRTUAL", "DEFAULT", "DEFAULT"),
    "kept": ("int AS (spare * 2) STORED", "DEFAULT", "DEFAULT"),
    "hidden": ("int DEFAULT 7 INVISIBLE", "7", "8"),
}
_OF_MARIADB = {
    "id": ("uuid", "'f81d4fae-7dec-11d0-a765-00a0c91e6b00'", "'00000000-0000-0000-0000-000000000000'"),
    "host": ("inet4", "'10.0.0.0'", "'0.0.0.0'"),
    "net": ("inet6", "'::'", "'::ffff:1.2.3.4'"),
}
_OF_MYSQL = {
    "doc": ("json", "'{\"b\": [1, -2.5, 1e20, 12345678901234567890], \"a\": {\"é😀\": null}}'", "'\"\\\\u0001\"'"),
    "told": ("json", "json_object('n', 1.50, 'at', cast('2020-02-29 01:02:03.4' as datetime(6)), 'raw', x'00ff')",
             "json_array(true, cast('-12:34:56.7' as time(3)), cast('2020-02-29' as date))"),
    "point_": ("vector(3)", "to_vector('[1, 2.5, -3]')", "NULL"),
}  # fmt: skip


@pytest.fixture(params=SERVERS)
def database(request: pytest.FixtureRequest) -> MariaServer:
    return cleared(request.getfixturevalue(request.param))


def test_a_change_has_the_types_and_values_that_a_reading_of_the_table_gives(database: MariaServer) -> None:
    mysql = isinstance(database, MySqlServer)
    cases, more = (MYSQL, _MORE | _OF_MYSQL) if mysql else (MARIADB, _MORE | _OF_MARIADB)
    listed = ", ".join([declared(cases), *(f"{name} {type_}" for name, (type_, *_) in more.items())])
    database.execute(f"CREATE TABLE t (number int AUTO_INCREMENT PRIMARY KEY, {listed})")
    names = ["place", *(f"c{number}" for number, _ in enumerate(cases)), *more]
    given = rows(cases)
    values = [
        f"{row[:-1]}, {', '.join(each[1 + place] if place < 2 else 'DEFAULT' for each in more.values())})"
        for place, row in enumerate(given)
    ]
    insert = f"INSERT INTO t ({', '.join(names)}) VALUES {', '.join(values)}"
    database.execute(insert)
    with capturing(database, [followed("t", write="merge", key="number")]) as capture:
        first = whole(capture, "t")
        capture.begin()
        database.execute(insert)
        changed, _ = taken(capture)
    streamed = changed["t"]
    assert streamed.num_rows == first.num_rows == len(given)
    own = [name for name in first.schema.names if not name.startswith("_") and name != "number"]
    assert streamed.schema.names == first.schema.names
    assert {name: streamed.schema.field(name) for name in own} == {name: first.schema.field(name) for name in own}
    assert [field.metadata for field in streamed.schema] == [field.metadata for field in first.schema]
    different = [name for name in own if not streamed.column(name).equals(first.column(name))]
    assert different == []


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("date", "'0000-00-00'"),
        ("date", "'2020-00-10'"),
        ("datetime", "'2020-01-00 10:11:12'"),
        ("datetime(3)", "'0000-00-00 00:00:00'"),
        ("timestamp NULL", "0"),
        ("timestamp(6) NULL", "0"),
        ("time", "'-00:00:01'"),
        ("time(1)", "'-12:34:56.7'"),
        ("time(6)", "'-00:00:00.000001'"),
        ("time(2)", "'838:59:58.99'"),
    ],
)
def test_a_value_that_its_type_cannot_hold_is_the_text_that_a_reading_gives(
    database: MariaServer, type_: str, value: str
) -> None:
    lenient, insert = "SET sql_mode = ''", f"INSERT INTO t (x) VALUES ({value}), (NULL)"
    database.execute(lenient, f"CREATE TABLE t (place int AUTO_INCREMENT PRIMARY KEY, x {type_})", insert)
    with capturing(database, [followed("t", write="merge", key="place")]) as capture:
        first = whole(capture, "t")
        capture.begin()
        database.execute(lenient, insert)
        rows, _ = taken(capture)
    assert rows["t"].column("x").to_pylist() == first.column("x").to_pylist()
    assert rows["t"].schema.field("x").type == first.schema.field("x").type == pa.string()


def test_many_rows_of_all_lengths_in_few_events(database: MariaServer) -> None:
    database.execute("CREATE TABLE t (place int PRIMARY KEY, x text, n decimal(30,6), z varchar(500))")
    insert = (
        "INSERT INTO t SELECT {first} + seq, IF(seq % 3, repeat('é', seq % 50), NULL), "
        "(CAST(seq AS SIGNED) - 3000) * 1234567.891234, IF(seq % 7, repeat('z', seq % 400), NULL) FROM seq_1_to_6000"
    )
    database.execute(insert.format(first=0))
    with capturing(database, [followed("t", write="merge", key="place")]) as capture:
        first = whole(capture, "t")
        capture.begin()
        database.execute(insert.format(first=10_000))
        database.execute("UPDATE t SET n = n + 1, z = 'changed' WHERE place % 2 = 0 AND place > 10000")
        rows, _ = taken(capture)
    one, two = (rows["t"].slice(at, 6000) for at in (0, 6000))
    assert one.select(["x", "n", "z"]) == first.select(["x", "n", "z"])
    assert two.column("x").to_pylist()[:3000] == first.column("x").to_pylist()[1::2]
    assert set(two.column("z").to_pylist()) == {"changed"}


@pytest.mark.parametrize("setting", ["compressed", "binlog_checksum = 'NONE'"])
def test_a_log_that_is_compressed_or_has_no_checksums_is_read_as_any(database: MariaServer, setting: str) -> None:
    if setting == "compressed":
        setting = f"{'binlog_transaction_compression' if isinstance(database, MySqlServer) else 'log_bin_compress'} = 1"
    name = setting.partition(" ")[0]
    ((before,),) = database.execute(f"SELECT @@GLOBAL.{name}")
    database.execute("CREATE TABLE t (place int PRIMARY KEY, x text)")
    try:
        with capturing(database, [followed("t", write="merge", key="place")]) as capture:
            whole(capture, "t")
            capture.begin()
            database.execute("INSERT INTO t VALUES (1, 'plain')")
            database.execute(f"SET GLOBAL {setting}", "INSERT INTO t VALUES (2, repeat('x', 5000))")
            database.execute("UPDATE t SET x = repeat('y', 6000) WHERE place = 2", f"/* {'long ' * 80} */ TRUNCATE t")
            database.execute("INSERT INTO t VALUES (3, 'after')", "FLUSH BINARY LOGS")
            database.execute("DELETE FROM t")
            rows, _ = taken(capture)
    finally:
        database.execute(f"SET GLOBAL {name} = {before!r}")
    told = list(zip(*(rows["t"].column(each).to_pylist() for each in ("_op", "place")), strict=True))
    assert told == [("insert", 1), ("insert", 2), ("update", 2), ("truncate", None), ("insert", 3), ("delete", 3)]


def test_a_long_transaction_is_taken_in_parts_and_settled_whole(database: MariaServer) -> None:
    database.execute("CREATE TABLE t (place int PRIMARY KEY, x varchar(200))", "CREATE TABLE other LIKE t")
    with capturing(database, [followed("t", write="merge", key="place")]) as capture:
        whole(capture, "t")
        capture.begin()
        begin = capture.end()
        database.execute(
            "INSERT INTO t SELECT seq, repeat('x', 150) FROM seq_1_to_100000",
            "INSERT INTO other SELECT seq, repeat('x', 150) FROM seq_1_to_10000",
            "DELETE FROM t WHERE place <= 50000",
        )
        into, partial = Taken(), 0
        while not (capture.settle(into) and into.following > begin):
            capture.take(into, 2**20, 0.2)
            partial += not capture.settle(into)
        (batches,) = (list(held.batches()) for held in into.rows.values())
        into.close()
    rows = pa.Table.from_batches(batches)
    assert partial > 1
    assert rows.column("place").to_pylist() == [*range(1, 100_001), *range(1, 50_001)]
    assert len(rows.column("_lsn").unique()) == 1
