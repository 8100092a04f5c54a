"""Changes whose stream is killed at its writes: the next one goes on, and each change counts once.

The slot of the server cannot be put back, so each kill comes in a round of its own, with changes of its own.
"""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from children import Children

from servers.postgres import PostgresServer
from streams.capturing import emptied, project
from streams.stream_project import live, served

pytestmark = pytest.mark.postgres

_SOURCES = """
    sources.postgres_changes('db', table='orders', key='id', write='merge', stream={'live': True}),
    sources.postgres_changes('db', table='log'),
"""
PARTS = 4


@pytest.fixture
def begun(postgres: PostgresServer, tmp_path: Path) -> tuple[PostgresServer, Path]:
    server = emptied(postgres)
    server.execute(
        "CREATE TABLE orders (id int PRIMARY KEY, amount int); CREATE TABLE log (id serial PRIMARY KEY, round int);"
        "INSERT INTO orders SELECT i, i FROM generate_series(1, 50) i; INSERT INTO log (round) VALUES (0)"
    )
    folder = project(tmp_path, server, _SOURCES)
    pipeline = folder / "pipeline.py"
    pipeline.write_text(pipeline.read_text().replace("name='shop'", "name='clicks'"))
    return server, folder


def changed(server: PostgresServer, number: int) -> None:
    """Change both tables in one transaction, and in one of its own."""
    server.execute(
        f"UPDATE orders SET amount = amount + 1 WHERE id % 7 = {number % 7}; INSERT INTO log (round) VALUES ({number});"
        f"DELETE FROM orders WHERE id = {number}; INSERT INTO orders VALUES ({1000 + number}, 0)"
    )
    if number % 3 == 0:
        server.execute("TRUNCATE orders; INSERT INTO orders SELECT i, i FROM generate_series(1, 50) i")
    server.execute(f"INSERT INTO log (round) VALUES ({number})")


def killed_and_gone_on(begun: tuple[PostgresServer, Path], children: Children, kill_at: int, *, before: bool) -> None:
    server, folder = begun
    where = f"{'before' if before else 'after'} write {kill_at}"
    changed(server, 2 * kill_at + before)
    ended = children.stream(folder, kill_at, before=before)
    assert ended["status"] in (0, signal.SIGKILL), where
    changed(server, 500 + 2 * kill_at + before)
    assert children.stream(folder)["status"] == 0, where
    for table, columns in (("orders", "id, amount"), ("log", "id, round")):
        there = server.execute(f"SELECT {columns} FROM {table} ORDER BY id")
        assert served(folder, f"SELECT {columns} FROM raw_{table} ORDER BY id") == there, where
        if table == "orders":
            assert live(folder, f"SELECT {columns} FROM {table} ORDER BY id", table) == there, where


def test_killed_at_the_first_reading(begun: tuple[PostgresServer, Path], children: Children) -> None:
    server, folder = begun
    for kill_at in range(1, 60, 9):
        # Each is killed somewhat later; what has landed by then stays.
        assert children.stream(folder, kill_at, before=kill_at % 2 == 0)["status"] in (0, signal.SIGKILL)
        changed(server, kill_at)
    killed_and_gone_on(begun, children, 100, before=True)
    assert server.execute("SELECT count(*) FROM pg_replication_slots") == [(1,)]


def test_killed_at_some_writes(begun: tuple[PostgresServer, Path], children: Children) -> None:
    assert children.stream(begun[1])["status"] == 0
    changed(begun[0], 2000)
    writes = len(children.stream(begun[1])["writes"])
    assert writes > 15
    for kill_at in range(2, writes + 1, 7):
        killed_and_gone_on(begun, children, kill_at, before=kill_at % 2 == 0)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_killed_at_each_write(part: int, begun: tuple[PostgresServer, Path], children: Children) -> None:
    assert children.stream(begun[1])["status"] == 0
    changed(begun[0], 2000)
    writes = len(children.stream(begun[1])["writes"])
    for kill_at in range(1 + part, writes + 1, PARTS):
        for before in (True, False):
            killed_and_gone_on(begun, children, kill_at, before=before)
