"""A candidate that was staged ahead: no reader sees it, and its promotion builds nothing."""

from __future__ import annotations

from typing import Any

import pytest
from promote_world import World, faces

from penstock.errors import ConflictError
from penstock.model.releases import Candidate, Release
from penstock.promote.promoting import Promoting, promote, stage, staged_name
from penstock.stores.releases import ReleaseFolder


class Counting(ReleaseFolder):
    """Counts the files that are built."""

    built = 0

    def build(self, *arguments: Any) -> None:
        self.built += 1
        super().build(*arguments)


def released(world: World, found: Candidate) -> tuple[Release, int]:
    files = Counting(world.warehouse, world.engine)
    made = promote(Promoting(candidate=found, by="ada", at=world.clock()), world.ports(files=files))
    return made, files.built


def second(world: World) -> Candidate:
    for number in (1, 2):
        world.version("delays", f"SELECT {number} AS release, i FROM range(10) t(i)")
        world.version("planes", f"SELECT {number} AS release")
        if number == 1:
            world.promote("delays", "planes")
    return world.propose("delays", "planes")


def test_what_is_staged_is_seen_by_nobody_and_promoted_without_building(world: World) -> None:
    found = second(world)
    before = faces(world.root)
    assert stage(found, world.ports())
    assert stage(found, world.ports())
    after = faces(world.root)
    assert after.pop("kept") == ["1.duckdb", staged_name(found)]
    before.pop("kept")
    assert after == before
    made, built = released(world, found)
    assert (made.number, built) == (2, 0)
    shown = faces(world.root)
    assert shown["kept"] == ["1.duckdb", "2.duckdb"]
    assert shown["warehouse"] == shown["delta"] == shown["parquet"]
    assert shown["warehouse"]["planes"] == ["(2,)"]


@pytest.mark.parametrize("content", [b"", b"half of a file"])
def test_a_damaged_staged_file_is_built_again(world: World, content: bytes) -> None:
    found = second(world)
    stage(found, world.ports())
    place = world.folder / staged_name(found)
    place.chmod(0o644)
    place.write_bytes(content)
    made, built = released(world, found)
    assert (made.number, built) == (2, 1)
    assert world.served("FROM planes") == [(2,)]


def test_what_was_staged_upon_a_former_release_goes(world: World) -> None:
    found = second(world)
    assert stage(found, world.ports())
    world.version("planes", "SELECT 3 AS release")
    assert world.promote("delays", "planes").number == 2
    with pytest.raises(ConflictError, match="Production has moved"):
        released(world, found)
    assert not stage(found, world.ports())
    assert faces(world.root)["kept"] == ["1.duckdb", "2.duckdb"]
    assert world.served("FROM planes") == [(3,)]
