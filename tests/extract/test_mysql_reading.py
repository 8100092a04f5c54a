from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pymysql
import pytest
from draining import Read, read, sql_request

from penstock.errors import ConfigurationError, DataError, TransientError
from penstock.extract.database.mysql.source import MySqlSource
from penstock.extract.port import Request
from penstock.model.interval import Interval
from penstock.model.specs import WriteMode
from servers.mariadb import GUARDED, PASSWORD, MariaServer

EDGES = """CREATE TABLE t (id INT PRIMARY KEY, i1 TINYINT, u1 TINYINT UNSIGNED, i3 MEDIUMINT, i8 BIGINT,
  u8 BIGINT UNSIGNED, n DECIMAL(12,3), wide DECIMAL(38,12), huge DECIMAL(65,30), f4 FLOAT, f8 DOUBLE, flag BIT(1),
  bits BIT(64), flags BOOLEAN, text_ TEXT, code CHAR(5), latin VARCHAR(9) CHARACTER SET latin1, raw_ VARBINARY(9),
  blob_ LONGBLOB, day_ DATE,
  at_ DATETIME(6), instant TIMESTAMP(6) NULL, clock TIME(6), y YEAR, mood ENUM('glad','sad'), moods SET('a','b'),
  doc JSON, geo GEOMETRY)"""
ROW = """INSERT INTO t VALUES (1, -128, 255, -8388608, -9223372036854775808, 18446744073709551615,
  123456789.125, 12345678901234567890123456.123456789012,
  '12345678901234567890123456789012345.123456789012345678901234567890',
  0.1, 1.7976931348623157e308, b'1', b'1111111111111111111111111111111111111111111111111111111111111111', 2,
  CONCAT('é"', CHAR(0), '😀\\n'), 'ab', 'ÿé', x'00ff', x'', '9999-12-31', '0001-01-01 00:00:00.000001',
  '2013-11-03 01:30:00.123456', '23:59:59.999999', 2155, 'glad', 'a,b', '{"n": [1, 2.5]}', POINT(1, 2))"""
# What MariaDB alone has: a document's text as it was written, and types of its own.
OWN = (
    "ALTER TABLE t ADD uid UUID, ADD net INET6",
    "UPDATE t SET uid = 'f81d4fae-7dec-11d0-a765-00a0c91e6bf6', net = '2001:db8::1', "
    "doc = '{\"n\": 1234567890123456789012.5}'",
)


@pytest.fixture(params=["mariadb", "mysql"])
def database(request: pytest.FixtureRequest) -> MariaServer:
    """A MariaDB and a MySQL with an empty database."""
    server: MariaServer = request.getfixturevalue(request.param)
    server.execute("DROP DATABASE IF EXISTS shop", "CREATE DATABASE shop", "DROP DATABASE IF EXISTS other")
    return server


def take(server: MariaServer, **fields: Any) -> Read:
    return read(MySqlSource(), request(server, **fields))


def request(server: MariaServer, user: str = "tester", password: str = "tester", **fields: Any) -> Request:
    fields.setdefault("options", {"table": "t"})
    return sql_request("mysql", server.url(user, None), secrets={"password": password}, **fields)


@pytest.mark.parametrize("reader", ["connectorx", "pymysql"])
def test_every_type_arrives_exactly_or_as_text_with_a_note(database: MariaServer, reader: str) -> None:
    database.execute(EDGES, ROW, f"INSERT INTO t VALUES (2{', NULL' * 27})", "UPDATE t SET text_ = '' WHERE id = 2")
    asked = request(database)
    asked = asked if reader == "connectorx" else _with(asked, reader=reader)
    found = read(MySqlSource(), asked)
    first, second = found.rows or []
    assert (first["i1"], first["u1"], first["i3"], first["i8"], first["u8"]) == (
        -128,
        255,
        -(2**23),
        -(2**63),
        2**64 - 1,
    )
    assert first["n"] == Decimal("123456789.125")
    assert first["wide"] == Decimal("12345678901234567890123456.123456789012")
    assert first["huge"] == "12345678901234567890123456789012345.123456789012345678901234567890"
    assert first["f4"] == pytest.approx(0.1, rel=1e-7)
    assert first["f8"] == 1.7976931348623157e308
    assert (first["flag"], first["bits"], first["flags"]) == (True, 2**64 - 1, 2)
    assert (first["text_"], first["code"], first["latin"]) == ('é"\0😀\n', "ab", "ÿé")
    assert (first["raw_"], first["blob_"]) == (b"\0\xff", b"")
    assert (first["day_"], first["at_"]) == (date(9999, 12, 31), datetime(1, 1, 1, 0, 0, 0, 1))  # noqa: DTZ001
    # The server's zone is five hours behind UTC.
    assert first["instant"] == datetime(2013, 11, 3, 6, 30, 0, 123456, tzinfo=UTC)
    assert (first["clock"], first["y"]) == (time(23, 59, 59, 999999), 2155)
    assert (first["mood"], first["moods"]) == ("glad", "a,b")
    assert first["doc"] == '{"n": [1, 2.5]}'
    assert first["geo"] == bytes.fromhex("0101000000000000000000f03f0000000000000040")
    assert {value for name, value in second.items() if name not in ("id", "text_")} == {None}
    assert second["text_"] == ""
    assert found.types["u8"] == "uint64"
    assert found.types["wide"] == "decimal128(38, 12)"
    assert {note.split()[0] for note in found.notes} == {"huge", "geo"}


def test_types_of_mariadb_alone(mariadb: MariaServer) -> None:
    mariadb.execute("DROP DATABASE IF EXISTS shop", "CREATE DATABASE shop")
    mariadb.execute(EDGES, ROW, *OWN)
    (row,) = take(mariadb).rows or []
    assert row["doc"] == '{"n": 1234567890123456789012.5}'
    assert (row["uid"], row["net"]) == ("f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "2001:db8::1")


def test_what_no_type_holds_turns_its_column_into_text(database: MariaServer) -> None:
    database.execute(
        "SET SESSION sql_mode = ''",
        "CREATE TABLE t (id INT, day_ DATE, at_ DATETIME, span TIME(3), fine DATE)",
        "INSERT INTO t VALUES (1, '0000-00-00', '2013-02-00 10:00:00', '-838:59:58.5', '2013-01-05')",
        "INSERT INTO t VALUES (2, '2013-01-05', '2013-01-05 10:00:00', '10:00:00', '2013-01-06')",
    )
    found = take(database)
    first, second = found.rows or []
    assert (first["day_"], first["at_"], first["span"]) == ("0000-00-00", "2013-02-00 10:00:00", "-838:59:58.500")
    assert (second["day_"], second["span"]) == ("2013-01-05", "10:00:00.000")
    assert first["fine"] == date(2013, 1, 5)
    assert sorted(note.split()[0] for note in found.notes) == ["at_", "day_", "span"]


@pytest.mark.parametrize(
    ("type_", "values"),
    [
        ("INT", ("1", "2", "3")),
        ("DECIMAL(30,5)", ("1.5", "12345678901234567890.5", "12345678901234567891")),
        ("DATETIME(6)", ("'2013-01-01'", "'2013-01-02 00:00:00.000001'", "'2013-01-02 00:00:00.000002'")),
        ("TIMESTAMP(6)", ("'2013-11-03 01:30:00'", "'2013-11-03 01:30:00.5'", "'2013-11-03 02:30:00'")),
        ("DATE", ("'2013-01-01'", "'2013-01-02'", "'2013-01-03'")),
        ("VARCHAR(9) COLLATE utf8mb4_general_ci", ("'B'", "'a'", "'b'")),
    ],
)
def test_reading_goes_on_from_the_boundary_value(database: MariaServer, type_: str, values: tuple[str, ...]) -> None:
    database.execute(
        f"CREATE TABLE t (id INT, at_ {type_})", f"INSERT INTO t VALUES (1, {values[0]}), (2, {values[1]})"
    )
    first = take(database, cursor="at_")
    assert len(first.rows or []) == 2
    database.execute(f"INSERT INTO t VALUES (3, {values[1]}), (4, {values[2]})")
    again = take(database, cursor="at_", position=first.position)
    assert sorted(row["id"] for row in again.rows or []) == [2, 3, 4]


def test_lag_and_interval_by_the_clock_of_the_world(database: MariaServer) -> None:
    # Local clocks of the server's zone; in UTC five hours later.
    database.execute("CREATE TABLE t (id INT, instant TIMESTAMP, naive DATETIME)")
    for hour in range(48):
        at = datetime(2013, 3, 9, tzinfo=UTC) + timedelta(hours=hour)
        database.execute(
            f"INSERT INTO t VALUES ({hour}, FROM_UNIXTIME({at.timestamp():.0f}), '{at:%Y-%m-%d %H:%M:%S}')"
        )
    day = Interval(datetime(2013, 3, 10, tzinfo=UTC), datetime(2013, 3, 11, tzinfo=UTC))
    for column in ("instant", "naive"):
        database.execute(f"INSERT INTO t (id, {column}) VALUES (99, NULL)")
        found = take(database, interval=column, span=day)
        assert any("have no moment in " + column in note for note in found.notes)
        database.execute("DELETE FROM t WHERE id = 99")
        assert sorted(row["id"] for row in found.rows or []) == list(range(24, 48))
        first = take(database, cursor=column)
        again = take(database, cursor=column, lag=timedelta(hours=3), position=first.position)
        assert sorted(row["id"] for row in again.rows or []) == [44, 45, 46, 47]


def test_moments_beyond_2038_are_asked_for_as_well(database: MariaServer) -> None:
    database.execute("CREATE TABLE t (id INT, instant TIMESTAMP)", "INSERT INTO t VALUES (1, '2037-12-31 12:00:00')")
    wide = Interval(datetime(1960, 1, 1, tzinfo=UTC), datetime(2099, 1, 1, tzinfo=UTC))
    assert len(take(database, interval="instant", span=wide).rows or []) == 1


def test_a_row_of_the_far_future_moves_no_cursor(database: MariaServer) -> None:
    database.execute("CREATE TABLE t (id INT, at_ DATETIME)", "INSERT INTO t VALUES (1, NOW()), (2, '2099-01-01')")
    found = take(database, cursor="at_")
    assert len(found.rows or []) == 2
    assert not found.position["cursor"].startswith("2099")
    assert any("in the future" in note for note in found.notes)


def test_a_query_with_its_own_names_and_batches_bounded_in_bytes(database: MariaServer) -> None:
    database.execute("CREATE TABLE t AS SELECT seq AS id, REPEAT('x', 1000) AS wide FROM seq_1_to_5000")
    found = take(database, options={"query": "SELECT id * 2 AS `dou``ble`, wide FROM t WHERE id > 10;"})
    assert len(found.rows or []) == 4990
    assert (found.rows or [])[0]["dou`ble"] == 22
    wide = take(database, batch_bytes=200_000)
    assert len(wide.rows or []) == 5000
    assert wide.largest < 1_000_000
    with pytest.raises(ConfigurationError, match="Duplicate column name"):
        take(database, options={"query": "SELECT id, id FROM t"})


def test_an_empty_table_keeps_its_types_and_replace_reads_all(database: MariaServer) -> None:
    database.execute("CREATE TABLE t (id BIGINT UNSIGNED, price DECIMAL(10,2))")
    found = take(database, cursor="id", write=WriteMode.REPLACE)
    assert found.rows == []
    assert found.types == {"id": "uint64", "price": "decimal128(10, 2)"}


def test_one_query_sees_one_moment(database: MariaServer) -> None:
    database.execute(
        "CREATE TABLE t AS SELECT seq AS id, 0 AS batch FROM seq_1_to_300000", "ALTER TABLE t ENGINE=InnoDB"
    )
    extraction = MySqlSource().open(request(database, batch_bytes=500_000))
    rows = 0
    for place, batch in enumerate(extraction.batches()):
        rows += batch.data.num_rows
        if place == 0:
            database.execute(
                "INSERT INTO t SELECT seq + 300000, 1 FROM seq_1_to_1000", "DELETE FROM t WHERE id > 299000"
            )
    extraction.close()
    assert rows == 300_000


def test_scope_says_what_is_there(database: MariaServer) -> None:
    database.execute(
        "CREATE TABLE people (id INT PRIMARY KEY, email VARCHAR(99), updated_at TIMESTAMP)",
        "INSERT INTO people VALUES (1, 'ada@example.org', NOW())",
        "CREATE TABLE old (a INT) ENGINE=MyISAM",
    )
    found = {table.name: table for table in MySqlSource().describe(request(database, options={}))}
    assert sorted(found) == ["old", "people"]
    people = found["people"]
    assert (people.rows, people.key, people.cursors[0]) == (1, ("id",), "updated_at")
    assert any("e-mail" in remark for remark in people.remarks)
    assert any("no snapshots" in remark for remark in found["old"].remarks)
    assert 'sources.sql("ops", table="people"' in people.suggestion


def test_what_is_misspelt_or_refused_is_said_without_secrets(database: MariaServer) -> None:
    database.execute("CREATE TABLE orders (id INT, code VARCHAR(9))", "CREATE DATABASE other")
    with pytest.raises(ConfigurationError, match="Did you mean 'orders'"):
        take(database, options={"table": "order"})
    with pytest.raises(ConfigurationError, match="There is no column 'cod'"):
        take(database, options={"table": "orders"}, cursor="cod")
    with pytest.raises(ConfigurationError, match="either a table or a query"):
        take(database, options={})
    with pytest.raises(ConfigurationError, match="cannot read the query"):
        take(database, options={"query": "SELEKT 1"})
    assert read(MySqlSource(), request(database, GUARDED, PASSWORD, options={"table": "orders"})).rows == []
    with pytest.raises(ConfigurationError) as refused:
        read(MySqlSource(), request(database, GUARDED, "wr0ng-secret"))
    assert "refuses the user" in str(refused.value)
    assert "wr0ng" not in str(refused.value)
    with pytest.raises(ConfigurationError, match="database"):
        read(MySqlSource(), sql_request("mysql", "mysql://tester@127.0.0.1/"))
    with pytest.raises(TransientError, match="not available"):
        read(MySqlSource(), sql_request("mysql", "mysql://tester@127.0.0.1:1/shop"))


def test_a_server_that_ends_the_connection_is_a_sentence(database: MariaServer) -> None:
    database.execute("CREATE TABLE t AS SELECT seq AS id, REPEAT('x', 2000) AS wide FROM seq_1_to_40000")
    extraction = MySqlSource().open(request(database, batch_bytes=100_000))
    batches = extraction.batches()
    next(batches)
    for number, *_ in database.execute("SHOW PROCESSLIST"):
        with contextlib.suppress(pymysql.Error):
            database.execute(f"KILL {number}")
    with pytest.raises((TransientError, DataError)) as broken:
        list(batches)
    assert "tester@" not in str(broken.value)
    extraction.close()


def _with(asked: Request, **options: Any) -> Request:
    return replace(asked, connection=replace(asked.connection, options=options))
