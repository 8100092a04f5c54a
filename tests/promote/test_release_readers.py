from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from deltalake import DeltaTable
from postgres_world import database, opened
from promote_world import World
from reading_figures import Readers, reading, tally

from penstock.stores.engine import LocalEngine
from servers.postgres import PostgresServer

ROWS = 100
KEPT = 3
SHORT, LONG = 12, 200
QUIET = 30.0
"""Seconds of the long form in which nothing changes, and in which only staging works."""


@pytest.mark.parametrize("releases", [SHORT, pytest.param(LONG, marks=pytest.mark.slow)])
def test_readers_never_see_an_error_or_a_mixture(world: World, releases: int) -> None:
    """Processes open production anew all the time, hold a release for a while, or hold the first one to the end."""
    for number in (1, 2):
        _make(world, number)
    stop = world.root / "stop"
    opening = ["open", str(world.warehouse), str(world.lake), str(stop)]
    others = [[mode, str(world.warehouse), str(stop)] for mode in ("stay", "hold")]
    with reading("duckdb", "release_reader.py", [opening, opening, opening, *others], stop) as readers:

        def look(_number: int) -> None:
            for table in ("delays", "planes"):
                # A reader of one bare Delta table sees one release of it.
                found = DeltaTable(str(world.lake / table)).to_pyarrow_dataset().to_table(columns=["release"])
                assert len(set(found["release"].to_pylist())) == 1

        _through_phases(readers, world, releases, look)
    summaries = list(readers.summaries.values())
    assert all(summary["reads"] >= 3 for summary in summaries)
    assert all(len(summary["seen"]) >= 3 for summary in summaries[:3])
    assert summaries[3]["seen"] == sorted(set(summaries[3]["seen"]))
    assert summaries[4]["seen"] == [2]
    tally(readers.figures(f"{releases} promotions and rollbacks"))


@pytest.mark.postgres
@pytest.mark.parametrize("releases", [SHORT, pytest.param(LONG, marks=pytest.mark.slow)])
def test_readers_of_postgresql_never_see_an_error_or_a_mixture(
    tmp_path: Path, engine: LocalEngine, postgres: PostgresServer, releases: int
) -> None:
    """Processes connect anew all the time, stay connected, or hold each release for a while in a transaction."""
    world = opened(tmp_path, engine, database(postgres.url(), "penstock_many"), lock_timeout=0.5, lock_wait=60)
    rows = {number: _make(world, number) for number in (1, 2)}
    stop, url = world.root / "stop", world.spec.connection.url
    commands = [[mode, url, str(stop)] for mode in ("open", "open", "open", "stay", "hold")]
    with reading("postgresql", "postgres_reader.py", commands, stop) as readers:

        def look(number: int) -> None:
            rows[number] = world.served("SELECT DISTINCT release FROM delays")[0][0]

        _through_phases(readers, world, releases, look)
    for name, summary in readers.summaries.items():
        assert summary["reads"] >= 3, name
        assert len(summary["seen"]) >= 3, name
        # What penstock_release says is what the rows are.
        assert all(rows[number] == release for number, release in summary["seen"]), name
    tally(readers.figures(f"{releases} promotions and rollbacks"))


@pytest.mark.postgres
@pytest.mark.slow
def test_while_some_read_for_half_a_minute_nobody_waits_longer_than_the_limit(
    tmp_path: Path, engine: LocalEngine, postgres: PostgresServer
) -> None:
    world = opened(tmp_path, engine, database(postgres.url(), "penstock_long"), lock_timeout=0.5, lock_wait=600)
    for number in (1, 2):
        _make(world, number)
    stop, url = world.root / "stop", world.spec.connection.url
    commands = [["open", url, str(stop)], ["stay", url, str(stop)], ["long", url, str(stop), "30"]]
    with reading("postgresql beside reads of 30 s", "postgres_reader.py", commands, stop) as readers:
        _through_phases(readers, world, 8, lambda _number: None)
    assert any("waits for session" in sentence for sentence in world.told)
    for name, summary in readers.summaries.items():
        if not name.startswith("long"):
            began, until = readers.phases["during"]
            longest = max(seconds for ended, seconds in summary["took"] if began <= ended <= until)
            # Seconds beyond the limit are the machine's: without it, readers wait for half a minute.
            assert longest < 10, name
    tally(readers.figures("8 promotions and rollbacks"))


def _through_phases(readers: Readers, world: World, releases: int, look: Callable[[int], None]) -> None:
    """Leave readers alone for a while, then work in staging, then change production."""
    seconds = QUIET if releases == LONG else 0.0
    with readers.phase("quiet"):
        time.sleep(seconds)
    with readers.phase("staging at work"):
        until, number = time.monotonic() + seconds, 0
        while time.monotonic() < until:
            number += 1
            _versions(world, number)
    with readers.phase("during"):
        for number in range(3, 3 + releases):
            if number % 4:
                _make(world, number)
            else:
                world.rollback(keep=KEPT)
            look(number)


def _versions(world: World, number: int) -> None:
    world.version("delays", f"SELECT {number} AS release, i AS id FROM range({ROWS}) t(i)")
    # Other columns now and then: a view has to be made anew for these.
    other = ("'x' || i AS tail", "i AS seats, 'x' || i AS tail", "i::DOUBLE AS tail")[number % 3]
    world.version("planes", f"SELECT {number} AS release, i AS id, {other} FROM range({ROWS}) t(i)")


def _make(world: World, number: int) -> int:
    _versions(world, number)
    assert world.promote("delays", "planes", keep=KEPT).number == number
    return number
