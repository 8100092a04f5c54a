"""Whatever the moment a promotion or rollback is killed at: readers see one release, and the next command mends it."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from crash_driver import TABLES, act
from promote_world import World, day, faces

from penstock.promote.finishing import finish
from penstock.promote.ports import newest_number
from penstock.stores.engine import LocalEngine
from penstock.stores.lake import DeltaLake
from penstock.stores.objects import TEMPORARY

_HERE = Path(__file__).parent


@pytest.fixture
def base(tmp_path: Path, engine: LocalEngine) -> Path:
    """Production serves release 2; staging holds what release 3 would be."""
    world = World(tmp_path / "base", engine)
    for number in (0, 1, 2):
        world.version("delays", f"SELECT 1 AS release, DATE '2013-01-01' + {number} AS day", interval=day(number))
    world.version("airports", "SELECT 'EWR' AS faa")
    world.version("planes", "SELECT 1 AS release, 7 AS seats")
    world.promote("airports", "delays", "planes")
    world.version("delays", "SELECT 2 AS release, DATE '2013-01-03' AS day", interval=day(2))
    world.promote("airports", "delays", "planes")
    world.version("delays", "SELECT 3 AS release, DATE '2013-01-02' AS day, 'new' AS word", interval=day(1))
    world.version("fresh", "SELECT 3 AS release")
    world.propose(*TABLES)
    return world.root


@pytest.mark.parametrize("action", ["promote", "rollback"])
@pytest.mark.parametrize("boundaries", ["coarse", pytest.param("fine", marks=pytest.mark.slow)])
def test_killed_at_every_boundary(
    base: Path, tmp_path: Path, engine: LocalEngine, action: str, boundaries: str
) -> None:
    cases = _cases(base, tmp_path, action, boundaries)
    whole = _ended(cases[-1])
    before = _ended(base)
    assert whole["warehouse"] != before["warehouse"]
    outcomes = {_examine(case, action, before, whole, engine) for case in _distinct(cases[:-1])}
    # The boundaries lie on both sides of the commit point.
    assert outcomes == {"undone", "finished"}
    assert len(cases) > 8


@pytest.mark.parametrize("boundaries", ["coarse", pytest.param("fine", marks=pytest.mark.slow)])
def test_killed_while_finishing(base: Path, tmp_path: Path, engine: LocalEngine, boundaries: str) -> None:
    """The command that mends may be killed as well, at each of its own boundaries."""
    before, committed = _ended(base), tmp_path / "committed"
    shutil.copytree(base, committed)
    world = World(committed, engine)
    with pytest.raises(KeyboardInterrupt):
        act("promote", world.ports(_Interrupted(world.lake)), world)
    assert faces(committed)["parquet"] == before["parquet"]
    act("promote", World(base, engine).ports(), World(base, engine))
    whole = _ended(base)
    cases = _cases(committed, tmp_path, "finish", boundaries)
    assert len(cases) > 5
    outcomes = {_examine(case, "finish", before, whole, engine) for case in _distinct(cases)}
    assert outcomes == {"finished"}


@pytest.mark.parametrize("count", [5, pytest.param(200, marks=pytest.mark.slow)])
def test_killed_at_random_times(base: Path, tmp_path: Path, engine: LocalEngine, count: int) -> None:
    cases = _cases(base, tmp_path, "promote", str(count))
    before, whole = _ended(base), _ended(cases.pop())
    assert len(cases) == count
    for case in _distinct(cases):
        _examine(case, "promote", before, whole, engine)


class _Interrupted(DeltaLake):
    """A lake whose tables cannot be committed to: what follows the commit point stops at its beginning."""

    def table(self, name: str) -> Any:
        return _Broken(super().table(name))


class _Broken:
    def __init__(self, table: Any) -> None:
        self._table = table

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    def commit(self, *_: Any) -> None:
        raise KeyboardInterrupt


def _cases(base: Path, tmp_path: Path, action: str, how: str) -> list[Path]:
    folder = tmp_path / action
    folder.mkdir()
    # Coverage and import paths of the tests' folder come from here.
    environment = {**os.environ, "PYTHONPATH": str(_HERE)}
    command = [sys.executable, str(_HERE / "crash_driver.py"), str(base), str(folder), action, how]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return sorted(folder.iterdir())


def _examine(case: Path, action: str, before: dict[str, Any], whole: dict[str, Any], engine: LocalEngine) -> str:
    """Look as readers do right after the kill, mend, look again, and do it once more where it was undone."""
    seen = faces(case)
    for face in ("warehouse", "parquet"):
        assert seen[face] in (before[face], whole[face]), f"{case.name}: {face} shows a mixture"
    world = World(case, engine)
    committed = newest_number(world.ports().production)
    finish(world.ports())
    assert finish(world.ports()) is None
    ended = _ended(case)
    if committed == before["number"]:
        _agree(ended, before, case)
        act(action, world.ports(), world)
        _agree(_ended(case), whole, case)
        return "undone"
    _agree(ended, whole, case)
    return "finished"


def _agree(found: dict[str, Any], expected: dict[str, Any], case: Path) -> None:
    # Data files that were staged for nothing may lie about, which the next promotion takes; and files of old releases
    # that it removes.
    loose = {"data": None, "kept": None}
    assert {**found, **loose} == {**expected, **loose}, case.name
    assert set(found["kept"]) >= set(expected["kept"]), case.name
    assert found["data"] >= expected["data"], case.name


def _ended(root: Path) -> dict[str, Any]:
    """Return what readers see, the releases as written, and which data files there are."""
    lake = root / "production" / "lake"
    releases = {path.name: path.read_bytes() for path in (lake / "releases").glob("*.json")}
    return {
        **faces(root),
        "number": len(releases),
        "releases": releases,
        "current": (lake / "releases" / "current").read_bytes(),
        "data": {
            path.relative_to(lake).as_posix() for path in lake.rglob("*.parquet") if "_delta_log" not in path.parts
        },
        "manifests": sorted(path.relative_to(lake).as_posix() for path in lake.rglob("_manifests/*.json")),
    }


def _distinct(cases: list[Path]) -> Iterator[Path]:
    """Yield the cases that differ on the disk: between some boundaries nothing is written."""
    known = set()
    for case in cases:
        digest = hashlib.sha256()
        for path in sorted((case / "production").rglob("*")):
            if path.is_file() and TEMPORARY not in path.name and path.suffix != ".lock":
                digest.update(str(path.relative_to(case)).encode() + b"\0")
                digest.update(path.read_bytes())
        if digest.digest() not in known:
            known.add(digest.digest())
            yield case
