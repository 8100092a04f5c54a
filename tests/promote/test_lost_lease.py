"""A promotion that loses its lease: before each of its writes, a successor on another machine makes the release."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from promote_world import World, faces

from penstock.errors import ConflictError
from penstock.promote.promoting import Promoting, promote
from penstock.promote.rolling_back import RollingBack, rollback
from penstock.stores.engine import LocalEngine
from penstock.stores.lake import DeltaLake
from penstock.stores.objects import LocalObjects
from penstock.stores.releases import ReleaseFolder


class Elsewhere(ReleaseFolder):
    """The files as another machine sees them, which knows nothing of this one's locks."""

    @contextmanager
    def holding(self, patience: float | None = None) -> Iterator[None]:  # noqa: ARG002
        yield


class Watched:
    """A port that calls somebody before one of its writes."""

    def __init__(self, inner: Any, writes: set[str], before: Callable[[str], None]) -> None:
        self._inner, self._writes, self._before = inner, writes, before

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in self._writes:
            return found

        def watched(*arguments: Any, **named: Any) -> Any:
            self._before(name)
            return found(*arguments, **named)

        return watched


class WatchedLake:
    """A lake whose writes are watched."""

    def __init__(self, root: Path, before: Callable[[str], None]) -> None:
        self.objects: Any = Watched(LocalObjects(root), {"create", "replace", "remove", "adopt", "take"}, before)
        self._lake = DeltaLake(self.objects)

    def table(self, name: str) -> Any:
        return self._lake.table(name)

    def tables(self) -> tuple[str, ...]:
        return self._lake.tables()


def attempt(world: World, at: int) -> tuple[BaseException | None, list[str]]:
    """Promote while a successor rolls back before the write of a number; return the refusal and the writes."""
    world.version("delays", "SELECT 3 AS release")
    world.version("planes", "SELECT 3 AS release")
    found = world.propose("delays", "planes")
    seen: list[str] = []

    def before(name: str) -> None:
        seen.append(name)
        if len(seen) == at:
            spec = RollingBack(by="grace", reason="taken over", at=world.clock(), fence=9)
            rollback(spec, world.ports(files=Elsewhere(world.warehouse, world.engine)))

    files: Any = Watched(ReleaseFolder(world.warehouse, world.engine), {"build", "link", "swap"}, before)
    lake: Any = WatchedLake(world.lake, before)
    try:
        promote(Promoting(candidate=found, by="ada", at=world.clock(), fence=3), world.ports(lake, files))
    except ConflictError as error:
        return error, seen
    return None, seen


def test_whoever_lost_the_lease_leaves_the_release_of_the_successor_whole(engine: LocalEngine, tmp_path: Path) -> None:
    base = World(tmp_path / "base", engine)
    for number in (1, 2):
        base.version("delays", f"SELECT {number} AS release")
        base.version("planes", f"SELECT {number} AS release")
        base.promote("delays", "planes", fence=number)
    seen: list[str] = []
    # The files of two tables, the DuckDB file, and the commit itself; what follows it cannot be taken over any more.
    while "create" not in seen[: (number := len(list(tmp_path.iterdir()))) - 1]:
        shutil.copytree(base.root, tmp_path / str(number))
        world = World(tmp_path / str(number), engine, minute=500)
        error, seen = attempt(world, number)
        assert isinstance(error, ConflictError)
        shown = faces(world.root)
        assert set(shown["warehouse"]) == {"delays", "planes"}
        assert {row for rows in shown["warehouse"].values() for row in rows} == {"(1,)"}
        assert shown["parquet"] == shown["delta"] == shown["warehouse"]
        with pytest.raises(ConflictError, match=r"Another run has taken over"):
            promote(
                Promoting(candidate=world.propose("delays", "planes"), by="ada", at=world.clock(), fence=3),
                world.ports(),
            )
    assert number == 5
