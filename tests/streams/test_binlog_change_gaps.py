"""Changes of MariaDB and MySQL that are gone, tables taken away amid them, and servers that do not tell them."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from penstock import Project
from penstock.errors import ConfigurationError, DataError, TransientError
from penstock.extract.streams.changes.mysql.following import Follower
from penstock.extract.streams.changes.mysql.gtids import DomainGtids, SourceGtids
from penstock.extract.streams.changes.mysql.source import MySqlChanges
from penstock.extract.streams.changes.mysql.statements import done
from penstock.extract.streams.changes.port import CaptureOpening, Taken
from penstock.model.specs import ConnectionSpec
from servers.mariadb import GUARDED, PASSWORD, MariaServer
from servers.mysql import MySqlServer
from streams.capturing import SERVERS, capturing, cleared, followed, project, taken, whole
from streams.stream_project import served, streamed, until

_SOURCE = "sources.mysql_changes('db', table='orders', key='id', write='merge'{})"
_RECORD = ", stream={'on_gap': 'record'}"
RESET = ("RESET MASTER", "RESET BINARY LOGS AND GTIDS")
_MADE = ("CREATE TABLE orders (id int PRIMARY KEY, amount int)", "INSERT INTO orders VALUES (1, 1), (2, 2)")


@pytest.fixture(params=SERVERS)
def database(request: pytest.FixtureRequest) -> MariaServer:
    server: MariaServer = request.getfixturevalue(request.param)
    cleared(server).execute(*_MADE)
    return server


def rows(folder: Path, columns: str = "id, amount", table: str = "orders") -> list[tuple[object, ...]]:
    return served(folder, f"SELECT {columns} FROM raw_{table} ORDER BY id")


def purge(server: MariaServer) -> None:
    """Let a server throw its binary log away, once it knows that nobody reads it any more."""
    server.execute("FLUSH BINARY LOGS")
    (newest, *_) = server.execute("SHOW BINARY LOGS")[-1]
    until(lambda: server.execute(f"PURGE BINARY LOGS TO '{newest}'", "SHOW BINARY LOGS")[0][0] == newest)


def recorded(folder: Path) -> None:
    """Let the stream go on behind gaps."""
    pipeline = folder / "pipeline.py"
    pipeline.write_text(pipeline.read_text().replace("write='merge')", "write='merge'" + _RECORD + ")"))


@pytest.mark.parametrize(
    "why", ["thrown away its binary log", pytest.param("another binary log", marks=pytest.mark.slow)]
)
def test_changes_that_are_gone_stop_the_stream_or_the_table_is_read_again(
    database: MariaServer, tmp_path: Path, why: str
) -> None:
    folder = project(tmp_path, database, _SOURCE.format(""))
    streamed(folder)
    database.execute("INSERT INTO orders VALUES (3, 3)", "DELETE FROM orders WHERE id = 1")
    if why.startswith("thrown"):
        purge(database)
    else:
        database.execute(RESET[isinstance(database, MySqlServer)])
    database.execute("UPDATE orders SET amount = 22 WHERE id = 2")
    said = streamed(folder, code=3)
    assert why in said
    assert "on_gap" in said
    assert rows(folder) == [(1, 1), (2, 2)]
    recorded(folder)
    assert "read whole again" in streamed(folder)
    assert rows(folder) == [(2, 22), (3, 3)]
    database.execute("INSERT INTO orders VALUES (4, 4)")
    assert "whole again" not in streamed(folder)
    assert rows(folder) == [(2, 22), (3, 3), (4, 4)]


@pytest.mark.parametrize(
    "deed",
    [
        ["CREATE TABLE fresh LIKE orders", "INSERT INTO fresh VALUES (7, 7)",
         "RENAME TABLE orders TO old, fresh TO orders"],
        pytest.param(["DROP TABLE orders", *_MADE[:1], "INSERT INTO orders VALUES (7, 7)"], marks=pytest.mark.slow),
        pytest.param(["SET SESSION binlog_format = 'STATEMENT'", "UPDATE orders SET id = 7, amount = 7 WHERE id = 1",
                      "DELETE FROM orders WHERE id = 2"], marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_followed_is_a_gap_and_what_came_before_stays(
    database: MariaServer, tmp_path: Path, deed: list[str]
) -> None:
    database.execute("CREATE TABLE parts (id int PRIMARY KEY)")
    parts = "sources.mysql_changes('db', table='parts', key='id', write='merge')"
    folder = project(tmp_path, database, f"{_SOURCE.format('')}, {parts}")
    streamed(folder)
    database.execute("INSERT INTO orders VALUES (3, 3)", "INSERT INTO parts VALUES (1)")
    database.execute(*deed)
    database.execute("INSERT INTO parts VALUES (2)", "INSERT INTO orders VALUES (8, 8)")
    for _ in range(2):
        said = streamed(folder, code=3)
        assert "shop.orders cannot be followed any further" in said
        assert rows(folder) == [(1, 1), (2, 2), (3, 3)]
    recorded(folder)
    streamed(folder)
    there = database.execute("SELECT id, amount FROM orders ORDER BY id")
    assert rows(folder) == there
    assert rows(folder, "id", "parts") == [(1,), (2,)]
    database.execute("INSERT INTO orders VALUES (9, 9)", "INSERT INTO parts VALUES (3)")
    assert "whole again" not in streamed(folder)
    assert rows(folder) == [*there, (9, 9)]


def test_a_table_that_was_left_out_for_a_while_goes_on_where_it_was(database: MariaServer, tmp_path: Path) -> None:
    database.execute("CREATE TABLE parts (id int PRIMARY KEY)", "INSERT INTO parts VALUES (1)")
    parts = "sources.mysql_changes('db', table='parts', key='id', write='merge')"
    folder = project(tmp_path, database, f"{_SOURCE.format('')}, {parts}")
    streamed(folder)
    alone = project(tmp_path, database, _SOURCE.format(""))
    database.execute("INSERT INTO parts VALUES (2)", "INSERT INTO orders VALUES (3, 3)")
    streamed(alone)
    project(tmp_path, database, f"{_SOURCE.format('')}, {parts}")
    database.execute("DELETE FROM parts WHERE id = 1", "INSERT INTO orders VALUES (4, 4)")
    streamed(folder)
    assert rows(folder) == [(1, 1), (2, 2), (3, 3), (4, 4)]
    assert rows(folder, "id", "parts") == [(2,)]


def test_a_log_that_was_not_read_opens_an_alert_until_it_is(database: MariaServer, tmp_path: Path) -> None:
    folder = project(tmp_path, database, _SOURCE.format(", max_lag='100KiB'"))
    streamed(folder)
    with Project(folder) as opened:
        assert opened.alerts.check().open == ()
        database.execute("INSERT INTO orders SELECT seq, seq FROM seq_10_to_20000")
        (alert,) = opened.alerts.check().open
        assert alert.id == "lagging:db, penstock_shop_db"
        assert "has not read" in alert.finding.said
        streamed(folder)
        assert opened.alerts.check().open == ()
        database.execute("DELETE FROM orders WHERE id = 1")
        with _set(database, "binlog_expire_logs_seconds", "2"):
            until(lambda: opened.alerts.check().open != ())
            assert "thrown away in" in opened.alerts.check().open[0].finding.said
        assert opened.alerts.check().open == ()


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (["CREATE VIEW t AS SELECT 1 AS id"], "is no table"),
        (["CREATE TABLE t (id int PRIMARY KEY) ENGINE = MyISAM"], "has no snapshots"),
        (["DO 0"], "There is no table|is not known|no table|[Uu]nknown"),
    ],
)
def test_a_table_whose_changes_are_not_told_in_full_is_refused(
    database: MariaServer, made: list[str], said: str
) -> None:
    database.execute(*made)
    with pytest.raises(ConfigurationError, match=said), capturing(database, [followed("t", write="merge", key="id")]):
        pass


_CASCADE = "FOREIGN KEY (o) REFERENCES orders (id) ON DELETE CASCADE ON UPDATE CASCADE"


@pytest.mark.parametrize(
    ("made", "said"),
    [("id int PRIMARY KEY) WITH SYSTEM VERSIONING", "its own history"),
     (f"id int PRIMARY KEY, o int, {_CASCADE})", "foreign keys")],
)  # fmt: skip
def test_a_table_whose_changes_mariadb_does_not_tell_in_full_is_refused(
    mariadb_log: MariaServer, made: str, said: str
) -> None:
    cleared(mariadb_log).execute(*_MADE, f"CREATE TABLE t ({made}")
    with pytest.raises(ConfigurationError, match=said), capturing(mariadb_log, [followed("t")]):
        pass


def test_rows_that_change_with_others_are_told_by_mysql(mysql: MariaServer) -> None:
    cleared(mysql).execute(*_MADE, f"CREATE TABLE t (id int PRIMARY KEY, o int, {_CASCADE})")
    mysql.execute("INSERT INTO t VALUES (10, 1), (20, 2)")
    with capturing(mysql, [followed("t")]) as capture:
        whole(capture, "t")
        capture.begin()
        mysql.execute("UPDATE orders SET id = 3 WHERE id = 1", "DELETE FROM orders WHERE id = 2")
        found, _ = taken(capture)
    told = found["t"].select(["_op", "id", "o"]).to_pylist()
    assert [tuple(each.values()) for each in told] == [("update", 10, 3), ("delete", 20, 2)]


def test_a_table_that_is_being_written_to_is_read_at_a_place_of_the_log(mysql: MariaServer) -> None:
    # Whoever has changed it and not committed yet stands either before the place or behind it, never on both sides.
    cleared(mysql).execute(*_MADE)
    with closing(mysql.connect()) as writer, writer.cursor() as cursor:
        cursor.execute("INSERT INTO orders VALUES (3, 3)")
        with capturing(mysql, [followed("orders")]) as capture:
            with pytest.raises(TransientError, match=r"[Ll]ock wait"):
                whole(capture, "orders")
            writer.commit()
            assert whole(capture, "orders").column("id").to_pylist() == [1, 2, 3]
            cursor.execute("INSERT INTO orders VALUES (4, 4)")
            writer.commit()
            capture.begin()
            found, _ = taken(capture)
    assert found["orders"].column("id").to_pylist() == [4]


def test_a_user_who_may_not_lock_is_told_what_to_ask_for(mysql: MariaServer) -> None:
    cleared(mysql).execute(*_MADE)
    rights = ("SELECT ON shop.*", "REPLICATION SLAVE, REPLICATION CLIENT ON *.*")
    mysql.execute(*(f"GRANT {right} TO {GUARDED}@'%'" for right in rights))
    place = ConnectionSpec(name="db", kind="mysql", url=mysql.url(GUARDED, None), secrets={"password": PASSWORD})
    asked = CaptureOpening(sources=(followed("orders"),), connection=place, pipeline="shop", positions={"orders": None})
    try:
        with closing(MySqlChanges().capture(asked)) as capture:
            with pytest.raises(ConfigurationError, match="LOCK TABLES"):
                whole(capture, "orders")
            mysql.execute(f"GRANT LOCK TABLES ON shop.* TO {GUARDED}@'%'")
            assert whole(capture, "orders").num_rows == 2
    finally:
        mysql.execute(f"REVOKE {rights[1]} FROM {GUARDED}@'%'", f"REVOKE LOCK TABLES ON shop.* FROM {GUARDED}@'%'")


def test_transactions_of_many_servers_are_intervals() -> None:
    one, two = "3e11fa47-71ca-11e1-9e33-c80aa9429562", "00000000-0000-0000-0000-00000000000a"
    ids = SourceGtids(f"{one}:1-5:11-18,\n{two}:7")
    assert str(ids) == f"{two}:7,{one}:1-5:11-18"
    for number in (7, 6, 10, 19, 3):
        ids.add(uuid.UUID(one), number)
    assert str(ids) == f"{two}:7,{one}:1-7:10-19"
    assert ids.covers(SourceGtids(f"{one}:2-7:12"))
    assert not ids.covers(SourceGtids(f"{one}:7-10"))
    assert not ids.covers(SourceGtids("00000000-0000-0000-0000-00000000000b:1"))
    ids.add(uuid.UUID(one), 8)
    ids.add(uuid.UUID(one), 9)
    assert str(ids) == f"{two}:7,{one}:1-19"
    assert SourceGtids(str(ids)).encoded() == ids.encoded()
    with pytest.raises(ConfigurationError, match="tags"):
        SourceGtids(f"{one}:billing:1-5")


@pytest.mark.parametrize(
    ("setting", "value"),
    [("binlog_format", "MIXED"), ("binlog_row_image", "MINIMAL"), ("binlog_row_metadata", "MINIMAL")],
)
def test_a_server_that_does_not_tell_changes_in_full_is_refused(
    database: MariaServer, setting: str, value: str
) -> None:
    with (
        _set(database, setting, value),
        pytest.raises(ConfigurationError) as refused,
        capturing(database, [followed("orders")]),
    ):
        pass
    assert setting in refused.value.sentence()
    assert "SET GLOBAL" in refused.value.sentence()


@pytest.mark.parametrize(("setting", "value"), [("binlog_row_image", "MINIMAL"), ("binlog_row_metadata", "MINIMAL")])
def test_changes_that_were_not_logged_in_full_are_refused(database: MariaServer, setting: str, value: str) -> None:
    with capturing(database, [followed("orders", write="merge", key="id")]) as capture:
        whole(capture, "orders")
        capture.begin()
        with _set(database, setting, value):
            database.execute("UPDATE orders SET amount = 9 WHERE id = 1")
        with pytest.raises((DataError, ConfigurationError), match=setting):
            taken(capture)


def test_transactions_that_are_prepared_apart_are_refused_and_such_of_other_tables_passed(
    database: MariaServer,
) -> None:
    def prepared(table: str, number: int, end: str) -> None:
        database.execute("XA START 'x'", f"INSERT INTO {table} VALUES ({number}, 0)", "XA END 'x'", *end.split(";"))

    database.execute("CREATE TABLE other LIKE orders")
    with capturing(database, [followed("orders")]) as capture:
        whole(capture, "orders")
        capture.begin()
        prepared("other", 5, "XA PREPARE 'x';XA COMMIT 'x'")
        prepared("other", 6, "XA PREPARE 'x';XA ROLLBACK 'x'")
        prepared("orders", 7, "XA COMMIT 'x' ONE PHASE")
        database.execute("SAVEPOINT a", "INSERT INTO orders VALUES (8, 8)", "SAVEPOINT b",
                         "INSERT INTO orders VALUES (9, 9)", "ROLLBACK TO b")  # fmt: skip
        found, _ = taken(capture)
        assert found["orders"].column("id").to_pylist() == [7, 8]
        prepared("orders", 10, "XA PREPARE 'x';XA COMMIT 'x'")
        with pytest.raises(DataError, match="XA PREPARE"):
            taken(capture)


def test_a_file_that_was_loaded_as_a_statement_is_a_gap(database: MariaServer, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("10\t1\n11\t1\n")
    with capturing(database, [followed("orders")]) as capture:
        whole(capture, "orders")
        capture.begin()
        database.execute("SET GLOBAL local_infile = 1")
        with closing(database.connect(local_infile=True)) as connection, connection.cursor() as cursor:
            cursor.execute(f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE orders")
            connection.commit()
            found, _ = taken(capture)
            assert found["orders"].column("id").to_pylist() == [10, 11]
            cursor.execute("SET SESSION binlog_format = 'STATEMENT'")
            cursor.execute("DELETE FROM orders")
            cursor.execute(f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE orders")
            connection.commit()
        until(lambda: bool(capture.take(Taken(), 2**20, 0.2) or capture.unread))
        with pytest.raises(DataError, match="without its rows"):
            capture.whole("orders")


def test_a_reading_goes_on_from_its_position_in_every_domain(database: MariaServer) -> None:
    orders = followed("orders")
    # MySQL counts by servers instead: those whose transactions came by replication have other ids.
    mysql = isinstance(database, MySqlServer)
    domain = "SET gtid_next = '0000000{0}-0000-0000-0000-000000000000:{1}'" if mysql else "SET gtid_domain_id = {0}"
    domains = (domain, "INSERT INTO orders VALUES ({}, 0)", *(["COMMIT", "SET gtid_next = 'AUTOMATIC'"] * mysql))
    with capturing(database, [orders]) as capture:
        whole(capture, "orders")
        capture.begin()
        for number in range(10, 20):
            database.execute(domains[0].format(number % 3, number), domains[1].format(number), *domains[2:])
        found, following = taken(capture)
        position = capture.position("orders", following)
    assert found["orders"].column("id").to_pylist() == [*range(10, 20)]
    assert len(position["gtid"].split(",")) >= 3
    database.execute("FLUSH BINARY LOGS")
    for number in range(20, 30):
        database.execute(domains[0].format(number % 4, number), domains[1].format(number), *domains[2:])
    with capturing(database, [orders], {"orders": position}) as capture:
        assert capture.unread == []
        capture.begin()
        found, _ = taken(capture)
    assert found["orders"].column("id").to_pylist() == [*range(20, 30)]
    assert found["orders"].column("_lsn").to_pylist() == sorted(found["orders"].column("_lsn").to_pylist())
    assert min(found["orders"].column("_lsn").to_pylist()) >= following


@pytest.mark.parametrize(("kind", "flags", "said"), [(26, 0, "lost"), (169, 0, "not known"), (200, 0x80, "")])
def test_an_event_that_nobody_knows_is_refused_unless_the_server_lets_it_be_passed(
    kind: int, flags: int, said: str
) -> None:
    follower = Follower(["shop.orders"], lambda *_: False, DomainGtids(""), 11, 0, 0, 1, 0)
    frame = struct.pack("<IBIIIH", 0, kind, 11, 19, 400, flags)
    if said:
        with pytest.raises(DataError, match=said):
            follower.follow([frame])
    else:
        assert follower.follow([frame]) == 0


@contextmanager
def _set(server: MariaServer, setting: str, value: str) -> Iterator[None]:
    ((before,),) = server.execute(f"SELECT @@GLOBAL.{setting}")
    server.execute(f"SET GLOBAL {setting} = {_literal(value)}")
    try:
        yield
    finally:
        server.execute(f"SET GLOBAL {setting} = {_literal(str(before))}")


def _literal(value: str) -> str:
    return value if value.isdigit() else f"'{value}'"


def test_a_server_without_a_binary_log_is_refused(mariadb: MariaServer) -> None:
    cleared(mariadb).execute(*_MADE)
    with pytest.raises(ConfigurationError, match="writes no binary log"), capturing(mariadb, [followed("orders")]):
        pass


@pytest.mark.parametrize("right", ["", "{}", "REPLICATION SLAVE"])
def test_a_user_who_may_not_read_the_log_is_told_what_to_ask_for(database: MariaServer, right: str) -> None:
    monitor = "REPLICATION CLIENT" if isinstance(database, MySqlServer) else "BINLOG MONITOR"
    right = right.format(monitor)
    database.execute(f"GRANT SELECT ON shop.* TO {GUARDED}@'%'")
    if right:
        database.execute(f"GRANT {right} ON *.* TO {GUARDED}@'%'")
    secrets = {"password": PASSWORD}
    place = ConnectionSpec(name="db", kind="mysql", url=database.url(GUARDED, None), secrets=secrets)
    asked = CaptureOpening(sources=(followed("orders"),), connection=place, pipeline="shop", positions={"orders": None})
    try:
        with pytest.raises(ConfigurationError) as refused:
            MySqlChanges().capture(asked)
    finally:
        if right:
            database.execute(f"REVOKE {right} ON *.* FROM {GUARDED}@'%'")
    assert f"GRANT REPLICATION SLAVE, {monitor} ON *.* TO 'guarded'@'%'" in refused.value.sentence()
    assert PASSWORD not in refused.value.sentence()


@pytest.mark.parametrize(
    ("text", "tables"),
    [
        ("TRUNCATE orders", ["shop.orders"]),
        ("truncate table `Other`.`or``ders`", ["other.or`ders"]),
        ("/* a TRUNCATE */ DROP TABLE IF EXISTS `a`, other.b /* generated by server */", ["shop.a", "other.b"]),
        ("DROP TEMPORARY TABLE a", []),
        ("DROP DATABASE shop", ["shop.*"]),
        ("RENAME TABLE a TO b, `other`.c TO d", ["shop.a", "shop.b", "other.c", "shop.d"]),
        ("ALTER TABLE a RENAME TO b", ["shop.a"]),
        ("ALTER TABLE a RENAME COLUMN x TO y, RENAME INDEX i TO j", []),
        ("ALTER TABLE a COMMENT 'RENAME b, DROP PARTITION'", []),
        ("ALTER TABLE a ADD x int, RENAME b", ["shop.a"]),
        ("ALTER TABLE a DROP PARTITION p1", ["shop.a"]),
        ("ALTER TABLE a EXCHANGE PARTITION p1 WITH TABLE b", ["shop.a", "shop.b"]),
        ("CREATE OR REPLACE TABLE a (x int)", ["shop.a"]),
        ("CREATE TABLE a (x int)", []),
        ("/*!50003 TRUNCATE */ a", ["shop.a"]),
        ("# a\n-- b\nUPDATE a SET x = 1", ["*"]),
        ("SAVEPOINT x", []),
    ],
)
def test_statements_say_which_tables_they_end(text: str, tables: list[str]) -> None:
    assert [each.table for each in done("shop", text)] == tables
