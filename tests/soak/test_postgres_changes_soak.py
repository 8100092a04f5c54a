"""Changes of PostgreSQL under a pgbench load while the stream, the server, the line and the disk are hurt."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random

import duckdb
import psycopg
import pytest
from crew import Company, Crew
from soaking import Soak, soaked
from trouble import Hurt, Wait, disk, line_hurts
from verdict import Asked, Verdict, lake_files

from servers import postgres as postgres_servers
from servers.debian import environment
from servers.forwarder import Forwarder
from servers.postgres import PostgresServer
from streams.capturing import emptied, project

pytestmark = pytest.mark.postgres

_SOURCES = """
    sources.postgres_changes('db', table='pgbench_accounts', key='aid', write='merge', stream={'every': '500ms'}),
    sources.postgres_changes('db', table='pgbench_tellers', key='tid', write='merge'),
    sources.postgres_changes('db', table='pgbench_branches', key='bid', write='merge'),
    sources.postgres_changes('db', table='pgbench_history'),
"""
_COLUMNS = {
    "pgbench_accounts": "aid, bid, abalance",
    "pgbench_tellers": "tid, bid, tbalance",
    "pgbench_branches": "bid, bbalance",
    "pgbench_history": "tid, bid, aid, delta, mtime",
}


class Bench:
    """pgbench, begun again whenever the server has ended its clients, until the time is over."""

    def __init__(self, server: PostgresServer, asked: Asked) -> None:
        self._server = server
        self._asked = asked
        self._program = postgres_servers.program("pgbench")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def initialize(self, scale: int) -> None:
        """Make its tables."""
        subprocess.run(
            self._command("-i", "-q", "-s", str(scale)), env=environment(self._program), check=True, capture_output=True
        )
        # A table without a key has to say which row it was.
        self._server.execute("ALTER TABLE pgbench_history REPLICA IDENTITY FULL")

    def begin(self) -> Bench:
        """Begin the load."""
        self._thread.start()
        return self

    def wait(self, timeout: float) -> int:
        """Wait for its end."""
        self._thread.join(timeout)
        return int(self._thread.is_alive())

    def kill(self) -> None:
        """End it now."""
        self._over.set()
        self._thread.join()

    def _command(self, *arguments: str) -> list[str]:
        return [str(self._program), *arguments, self._server.url()]

    def _run(self) -> None:
        end = time.monotonic() + self._asked.seconds * 0.9
        rate = self._asked.events / self._asked.seconds / 0.9
        while (left := end - time.monotonic()) > 0 and not self._over.is_set():
            command = self._command("-n", "-c", "2", "-R", f"{rate:.0f}", "-T", str(max(1, round(left))))
            quiet = subprocess.DEVNULL
            with subprocess.Popen(command, env=environment(self._program), stdout=quiet, stderr=quiet) as running:
                while running.poll() is None:
                    if self._over.wait(0.1):
                        running.terminate()
                        running.wait()


def end_senders(server: PostgresServer, chance: Random, wait: Wait) -> str:
    """End the processes of the server that send its log, as an administrator does."""
    wait(chance.uniform(0, 0.2))
    with contextlib.suppress(psycopg.OperationalError):
        ended = server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_replication")
        return f"{len(ended)} walsenders"
    return "the server was away"


def crash(server: PostgresServer, chance: Random, wait: Wait) -> str:
    """Kill one of the server's processes, upon which it ends all others, and recovers."""
    wait(chance.uniform(0, 0.2))
    with contextlib.suppress(psycopg.OperationalError), psycopg.connect(server.url()) as connection:
        os.kill(connection.info.backend_pid, signal.SIGKILL)
        connection.execute("SELECT 1")
    return "crashed, and recovered"


def compare(server: PostgresServer, folder: Path, verdict: Verdict) -> None:
    """Compare the tables of the warehouse, and the log in the lake, with those of the server."""
    data = folder / "project/data"
    with duckdb.connect() as connection, psycopg.connect(server.url()) as there:
        connection.execute(f"ATTACH '{data}/staging/warehouse.duckdb' AS warehouse (READ_ONLY)")
        for table, columns in _COLUMNS.items():
            file = folder / f"{table}.csv"
            with there.cursor().copy(f"COPY (SELECT {columns} FROM {table}) TO STDOUT (FORMAT csv)") as copy:
                file.write_bytes(b"".join(bytes(part) for part in copy))
            types = {name: "TIMESTAMP" if name == "mtime" else "INTEGER" for name in columns.split(", ")}
            expected = f"SELECT * FROM read_csv('{file}', columns = {types}, header = false)"
            verdict.compare(connection, table, expected, f"SELECT {columns} FROM warehouse.raw_{table}")
        lake = lake_files(data / "staging/lake/raw_pgbench_history")
        verdict.compare(connection, "lake", expected, f"SELECT {columns} FROM {lake}")


def soak(server: PostgresServer, folder: Path, asked: Asked, longest: float, *, alone: bool) -> None:
    """Soak, and compare; only a server that has no other clients is crashed."""
    bench = Bench(server, asked)
    bench.initialize(5 if alone else 1)
    line = Forwarder(server.port)
    place = folder / "project"
    with disk(place, "4g" if alone else "256m") as own, contextlib.ExitStack() as ending:
        ending.callback(line.cut)
        project(place, replace(server, port=line.port), _SOURCES)
        crew = ending.enter_context(Crew(place, folder / "said", ("stream", "shop"), 1, Company.AFTER))
        hurts: dict[str, Hurt] = {
            "kill": crew.kill,
            "sleep": partial(crew.sleep, longest),
            "walsenders": partial(end_senders, server),
            **line_hurts(line, longest),
        }
        if own is not None:
            hurts["disk"] = partial(own.full, longest)
        if alone:
            hurts["crash"] = partial(crash, server)
        soaked(
            Soak(
                name="changes",
                asked=asked,
                folder=folder,
                project=place,
                crews=[crew],
                ready=(place / "data/staging/warehouse.duckdb").exists,
                begin=bench.begin,
                hurts=hurts,
                # 5: another reads the slot, or has the lease.
                fine=frozenset({4, 5}),
                compare=partial(compare, server, folder),
            )
        )


def test_hurt_for_seconds_the_tables_are_those_of_the_server(postgres: PostgresServer, tmp_path: Path) -> None:
    soak(emptied(postgres), tmp_path, Asked(1_500, 8, "short"), 1.0, alone=False)


@pytest.mark.slow
def test_hurt_for_minutes_the_tables_are_those_of_the_server(tmp_path: Path) -> None:
    with postgres_servers.running() as server:
        server.execute("ALTER ROLE tester SET wal_sender_timeout = '5s'")
        soak(server, tmp_path, Asked.of_environment(300_000, 1200), 10.0, alone=True)
