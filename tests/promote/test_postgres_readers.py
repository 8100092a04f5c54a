"""Readers of the PostgreSQL warehouse while releases change: nobody waits long, fails, or sees two releases."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from postgres_world import PostgresWorld, database, opened

from penstock.errors import TransientError
from penstock.promote.finishing import finish
from penstock.promote.ports import pointed
from penstock.stores.engine import LocalEngine
from penstock.stores.postgres.releases import PostgresReleases
from servers.postgres import PostgresServer

pytestmark = pytest.mark.postgres


@pytest.fixture
def world(tmp_path: Path, engine: LocalEngine, postgres: PostgresServer) -> Iterator[PostgresWorld]:
    url = database(postgres.url(), "penstock_readers")
    found = opened(tmp_path, engine, url, lock_timeout=0.5, lock_wait=60.0)
    _make(found, 1)
    return found


def _make(world: PostgresWorld, number: int) -> None:
    for table in ("delays", "planes"):
        world.version(table, f"SELECT {number} AS release, i AS id FROM range(100) t(i)")
    assert world.promote("delays", "planes").number == number


def _committed(world: PostgresWorld, number: int) -> TransientError:
    """Promote while a reader stays, with little patience."""
    patient = world.spec
    world.spec = replace(patient, lock_wait=1.0)
    try:
        with pytest.raises(TransientError) as refused:
            _make(world, number)
    finally:
        world.spec = patient
    return refused.value


def test_a_reader_who_stays_is_named_and_the_next_command_puts_the_release_in_place(world: PostgresWorld) -> None:
    with world.reading(autocommit=False) as reader:
        assert reader.execute("SELECT DISTINCT release, 'geheim' FROM delays").fetchall() == [(1, "geheim")]
        pid = reader.info.backend_pid
        refused = _committed(world, 2)
        assert refused.exit_code == 4
        assert refused.what.startswith("Release 2 is committed, but PostgreSQL 127.0.0.1")
        assert f"session {pid} of tester since " in refused.what
        assert "geheim" not in str(refused) + "".join(world.told)
        assert any("New readers are not held up longer than 0.5 s" in sentence for sentence in world.told)
        assert pointed(world.ports().production) == 1
        # Nobody waits behind the attempt that was given up, and all see the release before.
        assert world.served("SELECT DISTINCT d.release, p.release FROM delays d, planes p") == [(1, 1)]
        asking = world.ports(files=world.keeping(asking=True))
        with pytest.raises(TransientError, match="over 1 attempt in"):
            finish(asking)
        assert reader.execute("SELECT DISTINCT release FROM planes").fetchall() == [(1,)]
    done = finish(world.ports())
    assert done is not None
    assert done.number == 2
    assert world.served("SELECT DISTINCT release FROM planes") == [(2,)]


def test_others_do_not_queue_behind_a_promotion_that_waits_for_a_long_query(
    tmp_path: Path, engine: LocalEngine, postgres: PostgresServer
) -> None:
    """One reads for six seconds; all others would wait as long without the limit, and fail at their own of four."""
    world = opened(tmp_path, engine, database(postgres.url(), "penstock_queue"), lock_timeout=0.5, lock_wait=60)
    _make(world, 1)
    stop = threading.Event()
    found: list[Any] = []

    def ask() -> None:
        try:
            with world.reading(autocommit=True) as connection:
                connection.execute("SET lock_timeout = '4s'")
                while not stop.is_set():
                    both = "SELECT DISTINCT d.release, p.release FROM delays d JOIN planes p USING (id)"
                    found.extend(connection.execute(both).fetchall())
        except psycopg.Error as error:
            found.append(error)

    def read_long() -> None:
        with world.reading(autocommit=True) as connection:
            connection.execute("SELECT pg_sleep(6) FROM (SELECT FROM planes LIMIT 1) p")

    threads = [threading.Thread(target=read_long), *(threading.Thread(target=ask) for _ in range(3))]
    for thread in threads:
        thread.start()
    try:
        _wait_for_query(world, "%pg_sleep(6)%")
        _make(world, 2)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert {type(item) for item in found} == {tuple}, [item for item in found if not isinstance(item, tuple)]
    assert set(found) <= {(1, 1), (2, 2)}
    assert any(sentence.startswith("Release 2 waits for session") for sentence in world.told)


def _wait_for_query(world: PostgresWorld, pattern: str) -> None:
    until = time.monotonic() + 30
    listing = "SELECT 1 FROM pg_stat_activity WHERE query LIKE %s AND pid <> pg_backend_pid()"
    with world.reading(autocommit=True) as connection:
        while not connection.execute(listing, (pattern,)).fetchall():
            assert time.monotonic() < until


def test_a_reader_who_takes_tables_in_another_order_is_never_the_victim_of_a_deadlock(world: PostgresWorld) -> None:
    """The swap takes delays and waits for planes, which the reader holds who now wants delays."""
    gone = threading.Event()
    attempt = threading.Thread(target=lambda: (_committed(world, 2), gone.set()))
    with world.reading(autocommit=False) as reader:
        assert reader.execute("SELECT DISTINCT release FROM planes").fetchall() == [(1,)]
        attempt.start()
        while not gone.is_set():
            # A savepoint's end gives the lock on delays back, so that each round asks for it anew.
            with reader.transaction(force_rollback=True):
                assert reader.execute("SELECT DISTINCT release FROM delays").fetchall() == [(1,)]
    attempt.join()
    finish(world.ports())
    assert world.served("SELECT DISTINCT release FROM delays") == [(2,)]


def test_a_transaction_that_began_before_sees_the_new_release_whole(world: PostgresWorld) -> None:
    """A snapshot older than the rows of the new version must not find its tables empty."""
    with world.reading(autocommit=False) as reader:
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT count(*) FROM pg_class")
        _make(world, 2)
        assert reader.execute("SELECT release, count(*) FROM delays GROUP BY 1").fetchall() == [(2, 100)]
        assert reader.execute("SELECT release FROM penstock_release").fetchall() == [(2,)]


def test_a_transaction_that_read_the_number_of_the_release_keeps_that_release(world: PostgresWorld) -> None:
    with world.reading(autocommit=False) as reader:
        assert reader.execute("SELECT release FROM penstock_release").fetchall() == [(1,)]
        _committed(world, 2)
        both = "SELECT DISTINCT d.release, p.release, r.release FROM delays d, planes p, penstock_release r"
        assert reader.execute(both).fetchall() == [(1, 1, 1)]
    finish(world.ports())
    assert world.served(both) == [(2, 2, 2)]


def test_a_version_that_is_read_is_dropped_later(world: PostgresWorld) -> None:
    for number in (2, 3):
        world.version("delays", f"SELECT {number} AS release")
        with world.reading(autocommit=False) as reader:
            if number == 3:
                # Somebody reads a version itself, past the views.
                oldest = world.served(
                    "SELECT tables->'delays'->>'version' FROM penstock_public._releases WHERE name = '1'"
                )
                reader.execute(f'SELECT count(*) FROM penstock_public."{oldest[0][0]}"'.encode())
            world.promote("delays", "planes", keep=2)
    assert len(world.keeping().leftovers(3)) == 1
    assert finish(world.ports()) is None
    assert world.keeping().leftovers(3) == ()


def test_two_who_promote_wait_for_each_other_across_machines(world: PostgresWorld) -> None:
    waiting = pytest.raises(TransientError, match="is held by another Penstock process")
    with world.keeping().holding(), waiting, PostgresReleases(world.spec, world.identity, world.engine).holding(0.05):
        pass
    with world.keeping().holding(0.05):
        pass
