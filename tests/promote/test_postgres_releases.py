from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from postgres_world import PostgresWorld, database, faces_there, opened
from promote_world import World

from penstock.errors import BugError, ConfigurationError, ConflictError, DataError, TransientError
from penstock.promote.finishing import bring_forward, finish
from penstock.promote.promoting import stage, staged_name
from penstock.stores.engine import LocalEngine
from penstock.stores.releases import ReleaseFolder
from servers.debian import unprivileged
from servers.postgres import PostgresServer

pytestmark = pytest.mark.postgres


@pytest.fixture
def world(tmp_path: Path, engine: LocalEngine, postgres: PostgresServer) -> Iterator[PostgresWorld]:
    return opened(tmp_path, engine, database(postgres.url(), "penstock_releases"), lock_timeout=0.5, lock_wait=60.0)


def test_a_release_is_served_by_views_and_only_what_changed_is_loaded(world: PostgresWorld) -> None:
    world.version("airports", "SELECT 'EWR' AS faa")
    world.version("delays", "SELECT 1 AS release, i AS id FROM range(5000) t(i)")
    world.promote("airports", "delays")
    assert world.served("SELECT release FROM penstock_release") == [(1,)]
    assert world.served("SELECT count(*), sum(id) FROM delays") == [(5000, 12497500)]
    first = world.versions()
    world.version("delays", "SELECT 2 AS release, i AS id FROM range(10) t(i)")
    world.promote("airports", "delays")
    assert world.served("SELECT release, count(*) FROM delays GROUP BY 1") == [(2, 10)]
    assert world.served("SELECT * FROM airports") == [("EWR",)]
    assert len(set(world.versions()) - set(first)) == 1
    assert set(first) < set(world.versions())
    assert finish(world.ports()) is None


def test_a_table_comes_and_another_goes_with_the_release(world: PostgresWorld) -> None:
    world.version("planes", "SELECT 'N1' AS tail")
    world.version("delays", "SELECT 1 AS release")
    world.promote("planes", "delays")
    world.version("fresh", "SELECT 2 AS release")
    world.promote("delays", "fresh")
    assert faces_there(world.spec.connection.url) == {
        "delays": ["(1,)"], "fresh": ["(2,)"], "penstock_release": ["(2,)"]
    }  # fmt: skip
    world.rollback()
    assert faces_there(world.spec.connection.url) == {
        "delays": ["(1,)"], "planes": ["('N1',)"], "penstock_release": ["(3,)"]
    }  # fmt: skip


def test_a_rollback_to_a_kept_release_loads_nothing_and_to_a_retired_one_loads_it_again(world: PostgresWorld) -> None:
    for number in range(1, 5):
        world.version("delays", f"SELECT {number} AS release")
        world.promote("delays", keep=2)
    assert len(world.versions()) == 2
    before = set(world.versions())
    world.rollback(3, keep=2)
    assert world.served("SELECT release FROM delays") == [(3,)]
    assert set(world.versions()) <= before
    world.rollback(1, keep=2)
    assert world.served("SELECT release FROM delays") == [(1,)]
    assert world.served("SELECT release FROM penstock_release") == [(6,)]


def test_columns_may_come_at_the_end_and_the_view_stays_the_same(world: PostgresWorld) -> None:
    world.version("delays", "SELECT 1 AS id")
    world.promote("delays")
    world.command("CREATE VIEW mine AS SELECT id FROM delays")
    before = world.served("SELECT 'delays'::regclass::oid")
    world.version("delays", "SELECT 2 AS id, 'x' AS word")
    world.promote("delays")
    assert world.served("SELECT 'delays'::regclass::oid") == before
    assert world.served("SELECT * FROM mine") == [(2,)]
    assert world.served("SELECT * FROM delays") == [(2, "x")]


def test_rights_options_and_comments_outlive_other_columns(world: PostgresWorld, postgres: PostgresServer) -> None:
    postgres.execute("DROP ROLE IF EXISTS analyst; CREATE ROLE analyst; DROP ROLE IF EXISTS \"odd role\"; CREATE ROLE \"odd role\"")  # noqa: E501  # fmt: skip
    world.command("ALTER DEFAULT PRIVILEGES GRANT INSERT ON TABLES TO analyst")
    world.version("delays", "SELECT 1 AS id, 'a' AS word, true AS late")
    world.promote("delays")
    world.command(
        "REVOKE ALL ON delays FROM analyst; GRANT SELECT ON delays TO analyst WITH GRANT OPTION; "
        'GRANT SELECT (id, late) ON delays TO "odd role"; GRANT SELECT ON delays TO PUBLIC; '
        "ALTER VIEW delays SET (security_barrier = true); "
        "COMMENT ON VIEW delays IS 'It''s late'; COMMENT ON COLUMN delays.id IS 'the key'; "
        "COMMENT ON COLUMN delays.late IS 'gone soon'"
    )
    kept = (
        "SELECT relacl::text, reloptions::text, obj_description(oid), col_description(oid, 1), "
        "(SELECT attacl::text FROM pg_attribute WHERE attrelid = pg_class.oid AND attname = 'id') "
        "FROM pg_class WHERE relname = 'delays'"
    )
    before = world.served(kept)
    for query in ("SELECT 2 AS id, 'a' AS word, true AS late", "SELECT 'k' AS id, 3::DECIMAL(9,2) AS word"):
        world.version("delays", query)
        world.promote("delays")
        found = world.served(kept)
        assert sorted(found[0][0].strip("{}").split(",")) == sorted(before[0][0].strip("{}").split(","))
        assert found[0][1:] == before[0][1:]
    assert before[0][2:4] == ("It's late", "the key")
    assert world.served("SELECT * FROM delays")[0][0] == "k"


def test_what_somebody_else_made_is_neither_replaced_nor_pulled_from_under_a_view(world: PostgresWorld) -> None:
    world.version("delays", "SELECT 1 AS id")
    world.command("CREATE TABLE delays (mine int)")
    with pytest.raises(ConflictError, match=r"a table 'delays' in PostgreSQL .* would replace"):
        world.promote("delays")
    world.command("DROP TABLE delays; CREATE VIEW delays AS SELECT 7 AS mine")
    with pytest.raises(ConflictError, match="a view 'delays'"):
        world.promote("delays")
    assert world.served("SELECT * FROM delays") == [(7,)]
    assert world.versions() == []
    world.command("DROP VIEW delays")
    world.promote("delays")
    world.command("CREATE VIEW mine AS SELECT id FROM delays")
    world.version("delays", "SELECT 'x' AS other")
    with pytest.raises(ConflictError, match=r"other views .* stand upon it. Got: public.mine"):
        world.promote("delays")
    assert world.served("SELECT * FROM mine") == [(1,)]
    assert len(world.versions()) == 1


def test_a_staged_candidate_is_only_swapped_in(world: PostgresWorld) -> None:
    world.version("delays", "SELECT 1 AS release, i FROM range(100) t(i)")
    found = world.propose("delays")
    assert stage(found, world.ports())
    assert world.keeping().exists(staged_name(found))
    staged = world.versions()
    assert len(staged) == 1
    assert world.served("SELECT count(*) FROM pg_views WHERE schemaname = 'public'") == [(0,)]
    world.promote("delays")
    assert world.versions() == staged
    assert world.keeping().staged() == ()
    assert world.served("SELECT count(*) FROM delays") == [(100,)]


def test_a_crash_between_the_commit_point_and_the_swap_is_brought_to_its_end(world: PostgresWorld) -> None:
    world.version("delays", "SELECT 1 AS release")
    world.promote("delays")
    world.version("delays", "SELECT 2 AS release")
    with pytest.raises(KeyboardInterrupt):
        _promote_without_swap(world)
    assert world.served("SELECT release FROM delays") == [(1,)]
    done = finish(world.ports())
    assert done is not None
    assert done.number == 2
    assert world.served("SELECT d.release, r.release FROM delays d, penstock_release r") == [(2, 2)]


def _promote_without_swap(world: PostgresWorld) -> None:
    from penstock.promote.promoting import Promoting, promote

    releases = world.keeping()

    def interrupted(name: str) -> None:
        raise KeyboardInterrupt

    releases.swap = interrupted  # type: ignore[method-assign]
    ports = world.ports(files=releases)
    promote(Promoting(candidate=world.propose("delays", ports=ports), by="ada", at=world.clock()), ports)


def test_a_server_that_was_restored_from_a_backup_is_brought_to_the_newest_release(world: PostgresWorld) -> None:
    world.version("delays", "SELECT 1 AS release")
    world.promote("delays")
    world.command('DROP SCHEMA "penstock_public" CASCADE; DROP VIEW IF EXISTS penstock_release')
    assert finish(world.ports()) is None  # No other release became current; what readers see is mended all the same.
    assert world.served("SELECT release FROM delays") == [(1,)]


def test_production_moves_from_a_duckdb_file_to_postgresql(world: PostgresWorld) -> None:
    world.version("delays", "SELECT 1 AS release")
    embedded = World(world.root, world.engine, minute=50)
    embedded.promote("delays")
    assert isinstance(embedded.ports().releases, ReleaseFolder)
    finish(world.ports())
    assert world.served("SELECT release FROM delays") == [(1,)]


def test_two_lakes_do_not_share_a_schema(world: PostgresWorld, tmp_path: Path) -> None:
    """Somebody has the same project, and the same penstock.toml, on another machine."""
    for number in (1, 2, 3):
        world.version("delays", f"SELECT {number} AS release")
        world.promote("delays")
    kept = (world.versions(), world.keeping().names())
    other = opened(tmp_path / "other", world.engine, world.spec.connection.url)
    refused = pytest.raises(ConflictError, match=r"serves release 3 of another production lake. Choose another schema")
    with refused:
        finish(other.ports())
    other.version("delays", "SELECT 7 AS release")
    with refused:
        other.promote("delays")
    # Its own releases, made elsewhere, have the same numbers.
    elsewhere = World(other.root, other.engine, minute=100)
    elsewhere.promote("delays")
    with refused:
        finish(other.ports())
    assert kept == (world.versions(), world.keeping().names())
    assert world.served("SELECT release FROM delays") == [(3,)]


def test_names_and_widths_without_a_place_are_refused_before_anything_is_loaded(world: PostgresWorld) -> None:
    long = "é" * 32
    for query, sentence in (
        (f"SELECT 1 AS {long}", "cannot have that name .* Got: 64 bytes"),
        ("SELECT 1 AS ctid", "'ctid' of 'delays' has a name that every table of PostgreSQL holds already"),
        (
            "SELECT " + ", ".join(f"{i} AS c{i}" for i in range(1601)),
            "too many columns .* Got: 1601. Valid: up to 1600",
        ),
    ):
        world.version("delays", query)
        with pytest.raises(ConfigurationError, match=sentence):
            world.promote("delays")
    world.version("penstock_release", "SELECT 1 AS release")
    with pytest.raises(ConfigurationError, match="No table may be called 'penstock_release'"):
        world.promote("penstock_release")
    longest = "t" * 63
    world.version(longest, f'SELECT 1 AS {"é" * 31}, 2 AS "Id", 3 AS "id "')
    world.promote(longest)
    assert world.served(f"SELECT * FROM {longest}") == [(1, 2, 3)]


def test_a_load_that_fails_leaves_the_old_release_and_nothing_else(world: PostgresWorld) -> None:
    world.version("delays", "SELECT 1 AS id, 'a' AS word")
    world.promote("delays")
    before = world.versions()
    world.version("delays", "SELECT i AS id, IF(i = 4000, 'geheim' || chr(0), '') AS word FROM range(5000) t(i)")
    with pytest.raises(DataError, match=r"Column 'word' of 'delays' .* a text holds a byte 0") as refused:
        world.promote("delays")
    assert "geheim" not in str(refused.value)
    assert world.versions() == before
    assert world.served("SELECT * FROM delays") == [(1, "a")]


def test_a_lost_connection_leaves_the_old_release_and_orphans_are_collected(world: PostgresWorld) -> None:
    world.version("delays", "SELECT 1 AS id")
    world.version("planes", "SELECT 1 AS id")
    world.promote("delays", "planes")
    before = world.versions()
    world.version("delays", "SELECT 2 AS id")
    # Its rows take a while, within which the server ends the session.
    world.version("planes", "SELECT i AS id FROM range(3000000) t(i)")
    ended = _to_the_session_that_copies(world, "planes__", lambda pid: os.kill(pid, signal.SIGTERM))
    with pytest.raises(TransientError, match=r"The production warehouse .* is not available"):
        world.promote("delays", "planes")
    ended()
    assert world.served("SELECT d.id, p.id FROM delays d, planes p") == [(1, 1)]
    orphans = set(world.versions()) - set(before)
    assert len(orphans) == 1, "delays was loaded before the session ended"
    assert set(world.keeping().leftovers(1)) == orphans
    with world.keeping().holding():
        pass
    ports = world.ports()
    with ports.releases.holding():
        bring_forward(ports)
    assert world.versions() == before


def test_a_full_disk_of_the_server_leaves_the_old_release_and_nothing_else(world: PostgresWorld) -> None:
    world.version("delays", "SELECT 1 AS id")
    world.promote("delays")
    before = world.versions()
    world.version("delays", "SELECT i AS id, repeat('x', 100) AS word FROM range(1000000) t(i)")
    limited = _to_the_session_that_copies(world, "delays__", _forbid_long_files)
    with pytest.raises(TransientError, match=r"The disk of the server .* is full: could not extend file"):
        world.promote("delays")
    limited()
    assert world.versions() == before
    assert world.served("SELECT * FROM delays") == [(1,)]


def _forbid_long_files(pid: int) -> None:
    """Let a process make no file longer than two segments of the server's log; only its own user may."""
    user = unprivileged("postgres")
    groups = [] if user else None
    subprocess.run(["prlimit", f"--pid={pid}", f"--fsize={2**25}"], user=user, extra_groups=groups, cwd="/", check=True)


def _to_the_session_that_copies(
    world: PostgresWorld, beginning: str, act: Callable[[int], object]
) -> Callable[[], None]:
    """Do something to the server's process that loads a version, as soon as there is one."""
    copying = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'COPY%%' || %s || '%%' AND pid <> pg_backend_pid()"

    def wait() -> None:
        until = time.monotonic() + 60
        with world.reading(autocommit=True) as connection:
            while not (found := connection.execute(copying, (beginning,)).fetchall()):
                assert time.monotonic() < until, "nothing is loaded"
            act(found[0][0])

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread.join


def test_a_view_upon_a_version_itself_hinders_nothing_but_its_dropping(world: PostgresWorld) -> None:
    world.version("delays", "SELECT 1 AS id")
    world.promote("delays", keep=1)
    first = world.versions()
    world.command(f'CREATE VIEW mine AS SELECT id FROM penstock_public."{first[0]}"')
    for number in (2, 3):
        world.version("delays", f"SELECT {number} AS id")
        world.promote("delays", keep=1)
    assert world.served("SELECT d.id, m.id FROM delays d, mine m") == [(3, 1)]
    world.command("DROP VIEW mine")
    finish(world.ports())
    assert set(world.versions()).isdisjoint(first)


def test_a_version_that_somebody_dropped_is_loaded_again(world: PostgresWorld) -> None:
    world.version("planes", "SELECT 'N1' AS tail")
    world.version("delays", "SELECT 1 AS id")
    world.promote("delays", "planes")
    dropped = next(name for name in world.versions() if name.startswith("planes__"))
    world.command(f'DROP TABLE penstock_public."{dropped}" CASCADE')
    world.version("delays", "SELECT 2 AS id")
    world.promote("delays", "planes")
    assert world.served("SELECT d.id, p.tail FROM delays d, planes p") == [(2, "N1")]
    world.rollback(1)
    assert world.served("SELECT d.id, p.tail FROM delays d, planes p") == [(1, "N1")]


def test_what_was_loaded_is_compared_with_the_release(world: PostgresWorld) -> None:
    world.version("delays", "SELECT 1 AS id")
    release = world.promote("delays")
    from penstock.promote.finishing import expected

    world.keeping().verify(release.warehouse, expected(release.tables))
    world.command(f'DROP TABLE penstock_public."{world.versions()[0]}" CASCADE')
    with pytest.raises(BugError, match=r"should have 1 rows .* but has no"):
        world.keeping().verify(release.warehouse, expected(release.tables))
