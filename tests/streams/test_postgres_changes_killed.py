"""Changes of a PostgreSQL that is written to all the time, while their stream is killed, and the server restarted."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from servers.postgres import PostgresServer
from servers.postgres import running as postgres_running
from streams.bank import Writers, consistent, levelled
from streams.capturing import emptied, project
from streams.stream_project import begun, end_leases, put_to_sleep, said, until

pytestmark = pytest.mark.postgres

_SOURCES = """
    sources.postgres_changes('db', table='accounts', key='id', write='merge', stream={'every': '150ms'}),
    sources.postgres_changes('db', table='entries', key='id', write='merge'),
    sources.postgres_changes('db', table='log', name='log'),
"""
_MADE = """
    CREATE TABLE accounts (id int PRIMARY KEY, balance int, note text);
    ALTER TABLE accounts ALTER note SET STORAGE EXTERNAL;
    CREATE TABLE entries (id bigserial PRIMARY KEY, account int, amount int);
    CREATE TABLE log (id bigserial PRIMARY KEY, text text);
    INSERT INTO accounts SELECT i, 0, repeat(md5(i::text), 100) FROM generate_series(1, 200) i;
    INSERT INTO log (text) SELECT 'before ' || i FROM generate_series(1, 50) i;
"""


class PostgresWriters(Writers):
    """Writers of a PostgreSQL."""

    errors = (psycopg.Error,)

    def connected(self) -> AbstractContextManager[Any]:
        """Open a connection."""
        return psycopg.connect(self._server.url())

    def once(self, connection: Any, chance: random.Random) -> None:
        """Commit a transaction; roll some others back."""
        account, amount, kind = chance.randint(1, 200), chance.randint(-9, 9), chance.random()
        with connection.transaction():
            connection.execute("UPDATE accounts SET balance = balance + %s WHERE id = %s", (amount, account))
            connection.execute("INSERT INTO entries (account, amount) VALUES (%s, %s)", (account, amount))
            if kind < 0.1:
                connection.execute(
                    "UPDATE accounts SET note = repeat(md5(random()::text), 100) WHERE id = %s", (account,)
                )
            elif kind < 0.2:
                connection.execute("INSERT INTO log (text) VALUES (%s)", (str(account),))
            elif kind < 0.25:
                connection.execute(
                    "INSERT INTO accounts VALUES (%s, 0, 'new') ON CONFLICT DO NOTHING", (account + 1000,)
                )
            elif kind < 0.3:
                connection.execute("DELETE FROM accounts WHERE id = %s AND balance = 0", (account + 1000,))
            elif kind < 0.32:
                connection.execute("UPDATE accounts SET id = id + 10000 WHERE id = %s", (account + 1000,))
        if kind < 0.1:
            # Nothing of it may ever be seen.
            connection.execute("BEGIN; UPDATE accounts SET balance = 1000000; ROLLBACK")


def test_killed_at_random_under_load_the_tables_are_the_same(postgres: PostgresServer, tmp_path: Path) -> None:
    server = emptied(postgres)
    server.execute(_MADE)
    folder = project(tmp_path, server, _SOURCES)
    chance = random.Random(7)
    with PostgresWriters(server) as writers:
        for _ in range(6):
            process = begun(folder, "stream", "shop")
            time.sleep(1.5 + 3 * chance.random())
            assert process.poll() is None, said(folder)
            process.kill()
            process.wait()
            end_leases(folder)
            consistent(folder)
        enough = writers.written + 50
        until(lambda: writers.written >= enough)
    levelled(folder, server)
    consistent(folder)
    assert server.execute("SELECT count(*) FROM pg_replication_slots") == [(1,)]


def test_one_that_slept_while_another_took_over_adds_nothing(tmp_path: Path) -> None:
    with postgres_running() as server:
        server.execute(_MADE)
        server.execute("ALTER ROLE tester SET wal_sender_timeout = '2s'")
        folder = project(tmp_path, server, _SOURCES)
        with PostgresWriters(server, 1) as writers:
            asleep = begun(folder, "stream", "shop")
            try:
                until(lambda: "micro-batch" in said(folder))
                put_to_sleep(folder, asleep)
                end_leases(folder)
                # The server lets go of the one that sleeps, for whom the slot is held until then.
                awake = begun(folder, "stream", "shop")
                enough = writers.written + 100
                until(lambda: writers.written >= enough and said(folder).count("micro-batch") > 3)
                asleep.send_signal(signal.SIGCONT)
                assert asleep.wait(60) != 0
                assert awake.poll() is None, said(folder)
                awake.send_signal(signal.SIGTERM)
                assert awake.wait(60) == 0
            finally:
                for process in (asleep, awake):
                    process.kill()
                    process.wait()
        levelled(folder, server)


def answers(server: PostgresServer) -> bool:
    """Say whether the server takes connections: it does not while it recovers."""
    try:
        psycopg.connect(server.url()).close()
    except psycopg.OperationalError:
        return False
    return True


def crash(server: PostgresServer) -> None:
    """Kill one of the server's processes, upon which it ends all others, recovers from its log, and starts anew."""
    until(lambda: answers(server))
    with psycopg.connect(server.url()) as connection:
        os.kill(connection.info.backend_pid, signal.SIGKILL)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")


def test_a_server_that_is_restarted_is_waited_for(tmp_path: Path) -> None:
    with postgres_running() as server:
        server.execute(_MADE)
        folder = project(tmp_path, server, _SOURCES)
        with PostgresWriters(server, 1) as writers:
            process = begun(folder, "stream", "shop")
            try:
                until(lambda: "micro-batch" in said(folder))
                for _ in range(2):
                    crash(server)
                    before = writers.written
                    until(lambda before=before: writers.written > before + 20)
                assert process.poll() is None, said(folder)
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(60)
        levelled(folder, server)
