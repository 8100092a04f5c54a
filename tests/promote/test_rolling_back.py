from __future__ import annotations

import os

import pytest
from promote_world import World, approval, faces

from penstock.errors import ConfigurationError, ConflictError, NotFoundError
from penstock.promote.approval import may_promote
from penstock.promote.finishing import finish
from penstock.promote.ports import newest_release, read_release
from penstock.promote.proposing import unchanged


def _release(world: World, number: int) -> None:
    world.version("delays", f"SELECT {number} AS id")
    world.promote("delays")


def _served(world: World) -> int:
    number: int = world.served("FROM delays")[0][0]
    return number


def test_the_release_before_is_served_again_under_a_new_number(world: World) -> None:
    _release(world, 1)
    _release(world, 2)
    back = world.rollback()
    assert (back.number, back.previous, back.rollback_to) == (3, 2, 1)
    assert (back.candidate, back.pipeline, back.reason) == (
        read_release(world.ports().production, 1).candidate,
        "flights",
        "wrong",
    )
    seen = faces(world.root)
    assert seen["warehouse"] == seen["parquet"] == seen["delta"] == {"delays": ["(1,)"]}
    # The earlier file under a second name, not a second file.
    assert os.path.samefile(world.folder / "1.duckdb", world.folder / "3.duckdb")
    assert finish(world.ports()) is None


def test_rolling_back_twice_goes_further_back_and_not_to_and_fro(world: World) -> None:
    for number in (1, 2, 3):
        _release(world, number)
    world.rollback()
    assert _served(world) == 2
    world.rollback()
    assert _served(world) == 1
    with pytest.raises(ConfigurationError, match="no release before the one that production serves"):
        world.rollback()
    assert world.rollback(3).rollback_to == 3
    assert _served(world) == 3


def test_a_release_of_the_same_content_is_passed_over(world: World) -> None:
    _release(world, 1)
    _release(world, 2)
    world.promote("delays")
    assert world.rollback().rollback_to == 1
    assert _served(world) == 1


@pytest.mark.parametrize("to", [0, 2, 3, -1])
def test_only_an_earlier_release_can_be_named(world: World, to: int) -> None:
    _release(world, 1)
    _release(world, 2)
    with pytest.raises(ConfigurationError, match=r"it serves release 2\. Valid: a release from 1 to 1"):
        world.rollback(to)


def test_an_empty_production_cannot_be_rolled_back(world: World) -> None:
    with pytest.raises(ConfigurationError, match="no release yet"):
        world.rollback()


def test_a_file_that_retention_removed_is_built_again_from_the_lake(world: World) -> None:
    world.version("planes", "SELECT 7 AS seats")
    for number in (1, 2, 3, 4):
        world.version("delays", f"SELECT {number} AS id, {number} * 1.5 AS mean FROM range({number})")
        world.promote("delays", "planes", keep=2)
    assert not (world.folder / "1.duckdb").exists()
    world.rollback(1)
    assert world.served("SELECT id, seats FROM delays, planes") == [(1, 7)]


@pytest.mark.parametrize("damage", ["another release's rows", "no database"])
def test_a_kept_file_that_was_damaged_is_built_again(world: World, damage: str) -> None:
    _release(world, 1)
    world.version("delays", "SELECT i AS id FROM range(5) t(i)")
    world.promote("delays")
    kept = world.folder / "1.duckdb"
    kept.unlink()
    if damage == "no database":
        kept.write_bytes(bytes(20000))
    else:
        os.link(world.folder / "2.duckdb", kept)
    world.rollback()
    assert world.served("FROM delays") == [(1,)]


def test_data_files_that_are_gone_refuse_a_rollback(world: World) -> None:
    _release(world, 1)
    _release(world, 2)
    (world.lake / "delays" / "part-1-0.parquet").unlink()
    with pytest.raises(NotFoundError, match="release 1: 1 of the 1 data files of delays are gone"):
        world.rollback()
    assert _served(world) == 2
    assert not (world.folder / "3.duckdb").exists()


def test_a_warehouse_with_a_log_refuses_a_rollback(world: World) -> None:
    _release(world, 1)
    _release(world, 2)
    world.warehouse.with_name("warehouse.duckdb.wal").touch()
    with pytest.raises(ConflictError, match="write-ahead log"):
        world.rollback()
    assert not (world.lake / "releases" / "3.json").exists()


def test_a_version_rolled_back_may_not_return_until_it_is_replaced(world: World) -> None:
    _release(world, 1)
    _release(world, 2)
    world.rollback()
    found = world.propose("delays")
    sentence = "Version 2 of delays was rolled back by release 3; replace it or promote with --force and a reason"
    assert found.gate == (sentence,)
    current = newest_release(world.ports().production)
    approved = [approval(found.id)]
    assert may_promote(found, approved, current) == (sentence,)
    assert may_promote(found, approved, current, force=True) == ()
    world.version("delays", "SELECT 3 AS id")
    mended = world.propose("delays")
    assert mended.gate == ()
    assert may_promote(mended, [approval(mended.id)], current) == ()
    assert world.promote("delays").withdrawn == ()


def test_a_forced_version_is_no_longer_withdrawn(world: World) -> None:
    _release(world, 1)
    _release(world, 2)
    assert [(item.table, item.number, item.release) for item in world.rollback().withdrawn] == [("delays", 2, 3)]
    world.promote("delays")
    assert world.propose("delays").gate == ()
    assert unchanged(world.propose("delays"))


def test_a_version_that_stays_is_not_withdrawn(world: World) -> None:
    world.version("planes", "SELECT 7 AS seats")
    world.version("delays", "SELECT 1 AS id")
    world.promote("delays", "planes")
    world.version("delays", "SELECT 2 AS id")
    world.promote("delays", "planes")
    _ = world.rollback()
    assert world.propose("delays", "planes").gate == (
        "Version 2 of delays was rolled back by release 3; replace it or promote with --force and a reason",
    )


def test_going_back_over_several_releases_withdraws_all_between(world: World) -> None:
    for number in (1, 2, 3):
        _release(world, number)
    back = world.rollback(1)
    assert [(item.number, item.release) for item in back.withdrawn] == [(2, 4), (3, 4)]
    forth = world.rollback(3)
    # What is served again is not withdrawn; release 4 served version 1, which production has now left.
    assert [(item.number, item.release) for item in forth.withdrawn] == [(1, 5), (2, 4)]
