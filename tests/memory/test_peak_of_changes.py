"""The memory of a stream of changes stays below the cap, however long a transaction is."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from benchmarks.measuring import tree_memory

from memory.watching import MIB
from servers.mariadb import MariaServer
from servers.postgres import PostgresServer
from streams.capturing import cleared, emptied, project
from streams.stream_project import penstock, served

_CAP = 600 * MIB


@pytest.mark.postgres
@pytest.mark.parametrize("rows", [300_000, pytest.param(2_000_000, marks=pytest.mark.slow)])
def test_a_transaction_of_many_rows_is_landed_whole_within_the_cap(
    postgres: PostgresServer, tmp_path: Path, rows: int
) -> None:
    server = emptied(postgres)
    server.execute("CREATE TABLE orders (id int PRIMARY KEY, note text, amount numeric(10, 2), at timestamptz)")
    folder = project(tmp_path, server, "sources.postgres_changes('db', table='orders', key='id', write='merge')")
    assert penstock(folder, "stream", "shop", "--until-end").returncode == 0
    server.execute(f"INSERT INTO orders SELECT i, 'note ' || i, i % 1000, now() FROM generate_series(1, {rows}) i")
    _landed_within_the_cap(folder, rows)


@pytest.mark.slow
def test_a_transaction_of_many_rows_of_mariadb_is_landed_whole_within_the_cap(
    mariadb_log: MariaServer, tmp_path: Path
) -> None:
    server, rows = cleared(mariadb_log), 2_000_000
    server.execute("CREATE TABLE orders (id int PRIMARY KEY, note text, amount decimal(10, 2), at timestamp)")
    folder = project(tmp_path, server, "sources.mysql_changes('db', table='orders', key='id', write='merge')")
    assert penstock(folder, "stream", "shop", "--until-end").returncode == 0
    server.execute(f"INSERT INTO orders SELECT seq, concat('note ', seq), seq % 1000, now() FROM seq_1_to_{rows}")
    _landed_within_the_cap(folder, rows)


def _landed_within_the_cap(folder: Path, rows: int) -> None:
    """Stream to the end, and see how much memory that takes."""
    with open(folder / "said.txt", "w") as said:
        command = [sys.executable, "-m", "penstock", "stream", "shop", "--until-end"]
        process = subprocess.Popen(command, cwd=folder, stdout=said, stderr=said)
        peak = 0
        while process.poll() is None:
            peak = max(peak, tree_memory(process.pid))
            time.sleep(0.02)
    assert process.returncode == 0, (folder / "said.txt").read_text()
    assert served(folder, "SELECT count(*), count(DISTINCT _load) FROM raw_orders") == [(rows, 1)]
    assert 100 * MIB < peak < _CAP
