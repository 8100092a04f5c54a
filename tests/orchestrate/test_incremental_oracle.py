"""Random histories of a PostgreSQL table, committed in any order, against what the runs between made of them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from incremental import Place

from penstock import sources
from penstock.model.receipts import State
from servers.postgres import PostgresServer

pytestmark = pytest.mark.postgres
_WRITERS = 3
_STEPS = 40


@pytest.fixture
def places(tmp_path: Path, postgres: PostgresServer) -> Iterator[dict[str, Place]]:
    postgres.execute("DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public")
    found = {name: Place(tmp_path / name, postgres.url()) for name in ("merge", "append")}
    yield found
    for place in found.values():
        place.close()


class History:
    """Writers whose transactions overlap; each writes keys of its own, so that none waits for another."""

    def __init__(self, server: PostgresServer, chance: random.Random) -> None:
        self._server = server
        self._chance = chance
        self._writers: list[psycopg.Connection[Any]] = [psycopg.connect(server.url()) for _ in range(_WRITERS)]
        self._number = 0
        self._keys: list[list[int]] = [[] for _ in range(_WRITERS)]
        with psycopg.connect(server.url()) as connection:
            connection.execute(
                "CREATE TABLE state (id int PRIMARY KEY, at timestamptz, v int);"
                "CREATE TABLE log (n int, at timestamptz)"
            )

    def close(self) -> None:
        for writer in self._writers:
            writer.close()

    def step(self) -> None:
        place = self._chance.randrange(_WRITERS)
        writer, keys = self._writers[place], self._keys[place]
        kind = self._chance.choices(["write", "commit", "rollback", "maintain"], [6, 3, 1, 1])[0]
        if kind == "commit":
            writer.commit()
        elif kind == "rollback":
            writer.rollback()
            keys[:] = [key for (key,) in writer.execute("SELECT id FROM state WHERE id %% %s = %s", (_WRITERS, place))]
            writer.rollback()
        elif kind == "maintain":
            with psycopg.connect(self._server.url(), autocommit=True) as other:
                # Not FULL: that would wait for the writers.
                other.execute("VACUUM (FREEZE) state")
        else:
            self._write(writer, keys, place)

    def _write(self, writer: psycopg.Connection[Any], keys: list[int], place: int) -> None:
        self._number += 1
        # Values repeat, go back, lie ahead of the clock, and are missing.
        hours = self._chance.choice([None, *(-self._chance.randrange(0, 400) for _ in range(6)), 5])
        writer.execute("SELECT 1")  # begins the transaction that a later step ends; what follows is a subtransaction
        with writer.transaction():
            if keys and self._chance.random() < 0.6:
                key = self._chance.choice(keys)
                writer.execute(
                    "UPDATE state SET at = now() + make_interval(hours => %s), v = %s WHERE id = %s",
                    (hours, self._chance.randrange(3), key),
                )
            else:
                keys.append(_WRITERS * self._number + place)
                writer.execute(
                    "INSERT INTO state VALUES (%s, now() + make_interval(hours => %s), 0)", (keys[-1], hours)
                )
            writer.execute("INSERT INTO log VALUES (%s, now() + make_interval(hours => %s))", (self._number, hours))

    def finish(self) -> None:
        for writer in self._writers:
            writer.commit()


@pytest.mark.parametrize("seed", [0, 1, 2, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 12))])
@pytest.mark.parametrize("reading", [{"horizon": True}, {"lag": "60d"}], ids=["horizon", "lag"])
def test_whatever_the_order_of_commits_and_runs_nothing_is_lost_and_nothing_doubled(
    places: dict[str, Place],
    postgres: PostgresServer,
    reading: dict[str, Any],
    seed: int,
) -> None:
    chance = random.Random(seed)
    history = History(postgres, chance)
    wanted = {
        "merge": sources.sql("ops", table="state", cursor="at", key="id", write="merge", **reading),
        "append": sources.sql("ops", table="log", cursor="at", write="append", **reading),
    }

    def run(name: str) -> None:
        if chance.random() < 0.2:
            # All that is no lake is lost: the catalog is only an index.
            places[name].close()
            (places[name].folder / "catalog.db").unlink(missing_ok=True)
        places[name].good(wanted[name])

    try:
        for _ in range(_STEPS):
            history.step()
            if chance.random() < 0.2:
                run("merge")
            if chance.random() < 0.2:
                run("append")
        history.finish()
    finally:
        history.close()
    for name, place in places.items():
        place.good(wanted[name])
        place.good(wanted[name])
    log = postgres.execute("SELECT n, at FROM log ORDER BY n")
    assert places["append"].rows('SELECT n, "at" FROM raw_log ORDER BY n') == log
    if "horizon" in reading:
        state = postgres.execute("SELECT id, at, v FROM state ORDER BY id")
        assert places["merge"].rows('SELECT id, "at", v FROM raw_state ORDER BY id') == state
        assert all(place.good(wanted[name]).state is State.UNCHANGED for name, place in places.items())
    else:
        # A version whose cursor went back loses against a greater one: so says the documentation.
        keys = postgres.execute("SELECT id FROM state ORDER BY id")
        assert places["merge"].rows("SELECT id FROM raw_state ORDER BY id") == keys
