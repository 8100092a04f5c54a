"""Changes of a PostgreSQL that is written to all the time, while their stream is killed, and the server restarted."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

import psycopg
import pytest

from servers.postgres import PostgresServer
from servers.postgres import running as postgres_running
from streams.bank import consistent, killed_amid_changes, levelled
from streams.capturing import emptied, project
from streams.postgres_bank import PostgresWriters, made
from streams.stream_project import begun, end_leases, put_to_sleep, said, until

pytestmark = pytest.mark.postgres

_SOURCES = """
    sources.postgres_changes('db', table='accounts', key='id', write='merge', stream={'every': '150ms'}),
    sources.postgres_changes('db', table='entries', key='id', write='merge'),
    sources.postgres_changes('db', table='log', name='log'),
"""


def test_killed_at_random_under_load_the_tables_are_the_same(postgres: PostgresServer, tmp_path: Path) -> None:
    server = emptied(postgres)
    made(server)
    folder = project(tmp_path, server, _SOURCES)
    chance = random.Random(7)
    with PostgresWriters(server) as writers:
        for _ in range(6):
            killed_amid_changes(folder, chance)
            consistent(folder)
        enough = writers.written + 50
        until(lambda: writers.written >= enough)
    levelled(folder, server)
    consistent(folder)
    assert server.execute("SELECT count(*) FROM pg_replication_slots") == [(1,)]


def test_one_that_slept_while_another_took_over_adds_nothing(tmp_path: Path) -> None:
    with postgres_running() as server:
        made(server)
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
        made(server)
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
