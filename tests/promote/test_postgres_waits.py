"""How long readers wait for a promotion, by the clock of the server: no longer than lock_timeout."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from postgres_world import PostgresWorld, database, opened

from penstock.errors import TransientError
from penstock.promote.finishing import finish
from penstock.stores.engine import LocalEngine
from servers.postgres import PostgresServer

pytestmark = pytest.mark.postgres
LIMIT, ATTEMPTS, READERS = 1.0, 5, 3
BUSY = 0.5
"""Seconds that may pass on a busy machine from the end of the limit until those who wait are let go on."""
_WAITED = re.compile(r"acquired AccessShareLock on relation \d+ of database (\d+) after ([\d.]+) ms")


@pytest.fixture
def world(tmp_path: Path, engine: LocalEngine, postgres: PostgresServer) -> PostgresWorld:
    url = database(postgres.url(), "penstock_waits")
    found = opened(tmp_path, engine, url, lock_timeout=LIMIT, lock_wait=60.0)
    # An attempt takes a part of deadlock_timeout at most, which is a second elsewhere.
    found.command("ALTER DATABASE penstock_waits SET deadlock_timeout = '10s'")
    for number in (1, 2):
        for table in ("delays", "planes"):
            found.version(table, f"SELECT {number} AS release, i AS id FROM range(100) t(i)")
        if number == 1:
            found.promote("delays", "planes")
    return found


@contextmanager
def readers(world: PostgresWorld) -> Iterator[list[BaseException]]:
    """Read delays without a pause; who waits for more than 10 ms is noted in the server's log."""
    stop, failed = threading.Event(), []

    def read() -> None:
        try:
            with world.reading(autocommit=True) as connection:
                connection.execute("SET deadlock_timeout = '10ms'; SET log_lock_waits = on")
                while not stop.is_set():
                    connection.execute("SELECT DISTINCT release FROM delays").fetchall()
        except psycopg.Error as error:
            failed.append(error)

    threads = [threading.Thread(target=read) for _ in range(READERS)]
    for thread in threads:
        thread.start()
    try:
        yield failed
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def waits(server: PostgresServer, world: PostgresWorld) -> list[float]:
    """Return how long readers of this database waited for a lock, in seconds, as the server measured it."""
    ((oid,),) = world.served("SELECT oid::bigint FROM pg_database WHERE datname = current_database()")
    found = _WAITED.findall(server.log.read_text(encoding="utf-8", errors="replace"))
    return [float(waited) / 1000 for database_, waited in found if int(database_) == oid]


def test_no_reader_waits_longer_than_the_limit(world: PostgresWorld, postgres: PostgresServer) -> None:
    """Somebody stays in planes, so that each attempt that insists holds delays for as long as it may."""
    patient = world.spec
    with world.reading(autocommit=False) as stays:
        assert stays.execute("SELECT DISTINCT release FROM planes").fetchall() == [(1,)]
        with readers(world) as failed:
            # In the second half of these seconds there is time for one attempt that insists.
            world.spec = replace(patient, lock_wait=2.0)
            with pytest.raises(TransientError, match="is committed, but"):
                world.promote("delays", "planes")
            for _ in range(ATTEMPTS - 1):
                with pytest.raises(TransientError, match="is committed, but"):
                    finish(world.ports())
            world.spec = patient
    assert failed == []
    waited = waits(postgres, world)
    # Each such attempt held all of them up, and for nearly as long as it may; never longer.
    assert len(waited) >= ATTEMPTS * READERS
    assert LIMIT / 2 < max(waited) <= LIMIT + BUSY
    done = finish(world.ports())
    assert done is not None
    assert world.served("SELECT DISTINCT release FROM delays") == [(2,)]


def test_nobody_queues_behind_a_swap_while_somebody_else_stays(world: PostgresWorld, postgres: PostgresServer) -> None:
    """It looks for a moment without readers, and asks for no lock that it could not have."""
    patient = world.spec
    with world.reading(autocommit=False) as stays:
        assert stays.execute("SELECT DISTINCT release FROM planes").fetchall() == [(1,)]
        # What is given up within half of its patience never insists.
        world.spec = replace(patient, lock_wait=0.0)
        with pytest.raises(TransientError, match="is committed, but"):
            world.promote("delays", "planes")
        with readers(world) as failed:
            for _ in range(ATTEMPTS):
                with pytest.raises(TransientError, match="over 1 attempt in"):
                    finish(world.ports(files=world.keeping(asking=True)))
        assert waits(postgres, world) == []
        world.spec = patient
        done = threading.Thread(target=lambda: finish(world.ports()))
        with readers(world) as also_failed:
            done.start()
            # The patience of this one lasts; its first attempts wait for nobody either.
            done.join(1.0)
            assert done.is_alive()
            stays.rollback()
            done.join()
    assert [*failed, *also_failed] == []
    assert [seconds for seconds in waits(postgres, world) if seconds > LIMIT / 2] == []
    assert world.served("SELECT DISTINCT release FROM delays") == [(2,)]
