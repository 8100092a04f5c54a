"""Changes of MariaDB and MySQL whose stream is killed at its writes: the next one goes on, each change counts once."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from children import Children

from servers.mariadb import MariaServer
from streams.capturing import SERVERS, cleared, project
from streams.stream_project import served

_SOURCES = """
    sources.mysql_changes('db', table='orders', key='id', write='merge'),
    sources.mysql_changes('db', table='log'),
"""
_EVERY = 11
"""A short form is killed at one of so many writes."""


@pytest.fixture(params=SERVERS)
def begun(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[MariaServer, Path]:
    server: MariaServer = request.getfixturevalue(request.param)
    cleared(server).execute(
        "CREATE TABLE orders (id int PRIMARY KEY, amount int)",
        "CREATE TABLE log (id int AUTO_INCREMENT PRIMARY KEY, round int)",
        "INSERT INTO orders SELECT seq, seq FROM seq_1_to_50",
        "INSERT INTO log (round) VALUES (0)",
    )
    folder = project(tmp_path, server, _SOURCES)
    pipeline = folder / "pipeline.py"
    pipeline.write_text(pipeline.read_text().replace("name='shop'", "name='clicks'"))
    return server, folder


def changed(server: MariaServer, number: int) -> None:
    """Change both tables in one transaction, and one in a transaction of its own."""
    server.execute(
        f"UPDATE orders SET amount = amount + 1 WHERE id % 7 = {number % 7}",
        f"INSERT INTO log (round) VALUES ({number})",
        f"DELETE FROM orders WHERE id = {number}",
        f"REPLACE INTO orders VALUES ({1000 + number}, 0)",
    )
    server.execute(f"INSERT INTO log (round) VALUES ({number})")


@pytest.mark.parametrize("every", [_EVERY, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_at_its_writes_each_change_counts_once(
    begun: tuple[MariaServer, Path], children: Children, every: int
) -> None:
    server, folder = begun
    # The first reading is killed too; what has landed by then stays.
    for kill_at in (7, 29):
        assert children.stream(folder, kill_at, before=True)["status"] in (0, signal.SIGKILL)
        changed(server, kill_at)
    assert children.stream(folder)["status"] == 0
    changed(server, 2000)
    writes = len(children.stream(folder)["writes"])
    assert writes > 15
    for kill_at in range(2, writes + 1, every):
        before = kill_at % 2 == 0
        where = f"{'before' if before else 'after'} write {kill_at}"
        changed(server, 100 + kill_at)
        assert children.stream(folder, kill_at, before=before)["status"] in (0, signal.SIGKILL), where
        changed(server, 500 + kill_at)
        assert children.stream(folder)["status"] == 0, where
        for table, columns in (("orders", "id, amount"), ("log", "id, round")):
            there = server.execute(f"SELECT {columns} FROM {table} ORDER BY id")
            assert served(folder, f"SELECT {columns} FROM raw_{table} ORDER BY id") == there, where
