"""Tables of a database that are live: what was committed there stands in production seconds later, as it is there."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from live_postgres import asked
from live_postgres import database as made_database

from penstock import Project
from penstock.errors import ConfigurationError
from penstock.sources import mysql_changes, postgres_changes
from servers.mariadb import MariaServer
from servers.postgres import PostgresServer
from streams.bank import agreed, killed_amid_changes, levelled
from streams.capturing import cleared, emptied, project
from streams.postgres_bank import PostgresWriters, made
from streams.stream_project import live, served, streamed, until

_LIVE = "stream={'every': '300ms', 'live': True}"
_ORDERS = f"sources.postgres_changes('db', table='orders', key='id', write='merge', {_LIVE})"
_MADE = """
    CREATE TABLE orders (id int PRIMARY KEY, note text, amount numeric(10, 2));
    ALTER TABLE orders ALTER note SET STORAGE EXTERNAL;
    INSERT INTO orders SELECT i, repeat(md5(i::text), 100), i FROM generate_series(1, 100) i;
"""
_CHECKED = "checks={'orders': [checks.between('amount', 0, 1000, severity='quarantine')]}"

Reader = Callable[[str], list[tuple[Any, ...]]]
"""Answers queries as a reader of production does, who has no Penstock."""


@pytest.fixture
def database(postgres: PostgresServer) -> PostgresServer:
    return emptied(postgres)


@pytest.fixture(params=["files", "postgres"])
def read(request: pytest.FixtureRequest, database: PostgresServer, tmp_path: Path) -> Reader:
    """Make the project, with production of one kind or the other; return who reads there."""
    project(tmp_path, database, _ORDERS)
    if request.param == "files":
        return partial(live, tmp_path, table="orders")
    url, settings = made_database(database.url(), "live_changes"), tmp_path / "penstock.toml"
    settings.write_text(settings.read_text().replace("data/production/warehouse.duckdb", url))
    return partial(asked, url)


def declared(folder: Path, *changes: tuple[str, str]) -> None:
    """Change the pipeline."""
    pipeline = folder / "pipeline.py"
    text = pipeline.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    pipeline.write_text(text)


def same(database: PostgresServer, folder: Path, read: Reader, columns: str = "id, note, amount") -> int:
    """See that production and the staging warehouse have what the source has; returns how many rows."""
    rows = agreed(folder, database, "orders", columns)
    assert read(f"SELECT {columns} FROM orders ORDER BY 1") == rows
    return len(rows)


@pytest.mark.postgres
def test_every_kind_of_change_is_readable(database: PostgresServer, tmp_path: Path, read: Reader) -> None:
    database.execute(_MADE)
    streamed(tmp_path)
    assert same(database, tmp_path, read) == 100
    database.execute("INSERT INTO orders VALUES (101, NULL, NULL); UPDATE orders SET amount = amount + 1 WHERE id < 10")
    database.execute("DELETE FROM orders WHERE id = 50; INSERT INTO orders VALUES (50, repeat('again', 900), 0)")
    database.execute("DELETE FROM orders WHERE id = 51; UPDATE orders SET id = 500, amount = 2 WHERE id = 52")
    database.execute("UPDATE orders SET id = id + 1000 WHERE id BETWEEN 60 AND 70; UPDATE orders SET amount = 3")
    streamed(tmp_path)
    assert same(database, tmp_path, read) == 100
    # The long values were told micro-batches ago, and some in this one.
    database.execute("UPDATE orders SET amount = 4 WHERE id < 20; UPDATE orders SET note = repeat('new', 900)")
    database.execute("UPDATE orders SET amount = 5 WHERE id > 90; DELETE FROM orders WHERE id = 1000")
    streamed(tmp_path)
    assert same(database, tmp_path, read) == 100
    database.execute("INSERT INTO orders VALUES (7777, '', 0); TRUNCATE orders")
    database.execute("INSERT INTO orders VALUES (1, 'one', 1); UPDATE orders SET amount = 6")
    streamed(tmp_path)
    assert same(database, tmp_path, read) == 1
    database.execute("UPDATE orders SET amount = 7; TRUNCATE orders")
    streamed(tmp_path)
    assert same(database, tmp_path, read) == 0
    database.execute("INSERT INTO orders VALUES (1, 'two', 1)")
    streamed(tmp_path)
    assert same(database, tmp_path, read) == 1


@pytest.mark.postgres
def test_columns_come_and_widen(database: PostgresServer, tmp_path: Path, read: Reader) -> None:
    database.execute(_MADE)
    streamed(tmp_path)
    database.execute("ALTER TABLE orders ADD COLUMN extra int; UPDATE orders SET extra = id WHERE id < 5")
    database.execute("ALTER TABLE orders ALTER amount TYPE numeric(14, 4); INSERT INTO orders VALUES (200, '', 1.2345)")
    database.execute("UPDATE orders SET amount = 0.0001 WHERE id = 6")
    streamed(tmp_path)
    assert same(database, tmp_path, read, "id, note, amount, extra") == 101


@pytest.mark.postgres
def test_rows_that_come_back_from_the_quarantine_have_their_place(
    database: PostgresServer, tmp_path: Path, read: Reader
) -> None:
    declared(tmp_path, ("])\n", f"], {_CHECKED})\n"))
    database.execute(_MADE)
    streamed(tmp_path)
    database.execute("INSERT INTO orders VALUES (301, repeat('set aside', 900), -1), (302, repeat('gone', 900), -1)")
    database.execute("INSERT INTO orders VALUES (303, repeat('kept', 900), -1)")
    streamed(tmp_path)
    # What follows was told without the long values of rows that were set aside, and of one that is deleted.
    database.execute("UPDATE orders SET amount = 1 WHERE id = 301; DELETE FROM orders WHERE id = 302")
    streamed(tmp_path)
    assert read("SELECT id, note, amount FROM orders WHERE id > 300 ORDER BY 1") == [(301, None, 1)]
    declared(tmp_path, ("0, 1000", "-10, 1000"))
    with Project(tmp_path) as known:
        known.quarantine.replay("orders")
    streamed(tmp_path)
    assert same(database, tmp_path, read) == 102


@pytest.mark.postgres
def test_rows_from_before_a_truncation_stay_gone(database: PostgresServer, tmp_path: Path, read: Reader) -> None:
    declared(tmp_path, ("])\n", f"], {_CHECKED})\n"))
    database.execute(_MADE)
    streamed(tmp_path)
    database.execute("INSERT INTO orders VALUES (301, 'set aside', -1)")
    streamed(tmp_path)
    database.execute("TRUNCATE orders; INSERT INTO orders VALUES (1, 'one', 1), (302, 'set aside', -1)")
    streamed(tmp_path)
    declared(tmp_path, ("0, 1000", "-10, 1000"))
    with Project(tmp_path) as known:
        known.quarantine.replay("orders")
    streamed(tmp_path)
    assert same(database, tmp_path, read) == 2


@pytest.mark.postgres
def test_a_table_that_becomes_live_later_has_all_it_had(database: PostgresServer, tmp_path: Path, read: Reader) -> None:
    declared(tmp_path, (", 'live': True", ""))
    database.execute(_MADE)
    for number in range(4):
        streamed(tmp_path)
        database.execute(
            f"DELETE FROM orders WHERE id = {number}; UPDATE orders SET amount = 0 WHERE id % 4 = {number}"
        )
    declared(tmp_path, ("'300ms'", "'300ms', 'live': True"))
    streamed(tmp_path)
    assert same(database, tmp_path, read) == 97


@pytest.mark.postgres
def test_a_table_that_is_read_whole_again_takes_the_place_of_what_stood(
    database: PostgresServer, tmp_path: Path, read: Reader
) -> None:
    declared(tmp_path, ("'live': True", "'live': True, 'on_gap': 'record'"))
    database.execute(_MADE)
    streamed(tmp_path)
    for (slot,) in database.execute("SELECT slot_name FROM pg_replication_slots"):
        database.execute("SELECT pg_drop_replication_slot(%s)", (slot,))
    database.execute("DELETE FROM orders WHERE id < 50; UPDATE orders SET amount = 8 WHERE id = 60")
    streamed(tmp_path)
    assert same(database, tmp_path, read) == 51


@pytest.mark.postgres
def test_taken_back_and_forward_again(database: PostgresServer, tmp_path: Path, read: Reader) -> None:
    database.execute(_MADE)
    streamed(tmp_path)
    database.execute("UPDATE orders SET amount = 9 WHERE id = 1")
    streamed(tmp_path)
    database.execute("TRUNCATE orders")
    streamed(tmp_path)
    assert read("SELECT count(*) FROM orders") == [(0,)]
    with Project(tmp_path) as known:
        back = known.live.rollback("orders", 3, reason="nobody meant that", by="tester")
        assert back.withdrawn == (5,)
        assert read("SELECT count(*), max(amount) FILTER (WHERE id = 1) FROM orders") == [(100, 9)]
        known.live.rollback("orders", 5, reason="it was meant", by="tester")
    assert same(database, tmp_path, read) == 0


@pytest.mark.postgres
def test_a_log_is_live_as_it_is(database: PostgresServer, tmp_path: Path) -> None:
    folder = project(tmp_path, database, _ORDERS.replace("key='id', write='merge', ", ""))
    database.execute(_MADE)
    streamed(folder)
    database.execute("UPDATE orders SET amount = 5 WHERE id = 1; DELETE FROM orders WHERE id = 2; TRUNCATE orders")
    streamed(folder)
    told = "SELECT _op, count(*) FROM {} GROUP BY 1 ORDER BY 1"
    expected = [("delete", 1), ("snapshot", 100), ("truncate", 1), ("update", 1)]
    assert live(folder, told.format("orders"), "orders") == served(folder, told.format("raw_orders")) == expected


@pytest.mark.postgres
def test_killed_at_random_under_load_production_is_the_same(postgres: PostgresServer, tmp_path: Path) -> None:
    server = emptied(postgres)
    made(server)
    tables = {"accounts": "id, balance, note", "entries": "id, account, amount", "log": "id, text"}
    kept = "key='id', write='merge', "
    sources = ", ".join(
        f"sources.postgres_changes('db', table='{table}', {'' if table == 'log' else kept}{_LIVE})" for table in tables
    )
    folder = project(tmp_path, server, sources)
    chance = random.Random(11)
    with PostgresWriters(server) as writers:
        for _ in range(5):
            killed_amid_changes(folder, chance)
        enough = writers.written + 50
        until(lambda: writers.written >= enough)
    levelled(folder, server)
    for table, columns in tables.items():
        query = f"SELECT {columns} FROM {table} ORDER BY 1"
        assert live(folder, query, table) == server.execute(query), table


def test_a_table_of_a_binary_log(mariadb_log: MariaServer, tmp_path: Path) -> None:
    server = cleared(mariadb_log)
    server.execute("CREATE TABLE shop.orders (id INT PRIMARY KEY, note TEXT)", "USE shop")
    server.execute("INSERT INTO shop.orders VALUES (1, 'one'), (2, 'two'), (3, 'three')")
    folder = project(tmp_path, server, _ORDERS.replace("postgres_changes", "mysql_changes"))
    streamed(folder)
    server.execute("UPDATE shop.orders SET note = 'changed' WHERE id = 1", "DELETE FROM shop.orders WHERE id = 2")
    streamed(folder)
    assert live(folder, "SELECT id, note FROM orders ORDER BY 1", "orders") == [(1, "changed"), (3, "three")]
    server.execute("TRUNCATE shop.orders", "INSERT INTO shop.orders VALUES (4, 'four')")
    streamed(folder)
    assert live(folder, "SELECT id, note FROM orders ORDER BY 1", "orders") == [(4, "four")]


@pytest.mark.parametrize("source", [mysql_changes, postgres_changes])
def test_a_history_cannot_be_live(source: Callable[..., Any]) -> None:
    with pytest.raises(ConfigurationError, match="cannot be made so"):
        source("db", table="orders", write="scd2", key="id", stream={"live": True})
