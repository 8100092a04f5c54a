"""Runs an action on copies of a project, each killed at the next boundary, until one ends by itself.

As a script: ``crash_driver.py BASE CASES ACTION [coarse | fine | COUNT]``; a count kills at so many random times.
It never opens an engine itself, so that it may fork.
"""

from __future__ import annotations

import importlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from promote_world import World, at, small_engine

from penstock.errors import DataError
from penstock.model.codec import decode
from penstock.model.entries import Entry
from penstock.model.releases import Candidate, Release
from penstock.promote.finishing import finish
from penstock.promote.ports import PromotePorts
from penstock.promote.promoting import Promoting, promote
from penstock.promote.rolling_back import RollingBack, rollback
from penstock.stores.lake import DeltaLake
from penstock.stores.objects import LocalObjects
from penstock.stores.releases import ReleaseFolder

TABLES = ("airports", "delays", "fresh")
"""What the promoted release holds; the one before holds ``planes`` instead of ``fresh``."""
_OBJECTS = {"create", "replace", "remove", "adopt", "take"}
_FILES = {"build", "link", "swap", "remove"}
_SYSTEM = ("link", "replace", "unlink", "fsync")
"""Within the writes of a port these are boundaries too, where the fine ones are asked for."""


@dataclass
class Boundary:
    """Counts the moments after each write (where they are fine: before it too), and dies at one of them."""

    deadly: int
    fine: bool
    passed: int = 0

    def reach(self) -> None:
        self.passed += 1
        if self.passed == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def bounded(*arguments: Any, **named: Any) -> Any:
            if self.fine:
                self.reach()
            try:
                return function(*arguments, **named)
            finally:
                self.reach()

        return bounded


class Counted:
    """A port whose writes are boundaries."""

    def __init__(self, inner: Any, writes: set[str], boundary: Boundary) -> None:
        self._inner, self._writes, self._boundary = inner, writes, boundary

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        return self._boundary.around(found) if name in self._writes else found


class CountedLake:
    """A lake whose objects and tables are counted."""

    def __init__(self, root: Path, boundary: Boundary) -> None:
        self.objects: Any = Counted(LocalObjects(root), _OBJECTS, boundary)
        self._lake = DeltaLake(self.objects)
        self._boundary = boundary

    def table(self, name: str) -> Any:
        return Counted(self._lake.table(name), {"commit"}, self._boundary)

    def tables(self) -> tuple[str, ...]:
        return self._lake.tables()


def act(action: str, ports: PromotePorts, world: World) -> None:
    """Do what the case is about, always at the same moment and by the same person."""
    if action == "promote":
        found = world.propose(*TABLES, ports=ports)
        promote(Promoting(candidate=found, by="ada", at=at(500), fence=3, keep=2), ports)
    elif action == "rollback":
        rollback(RollingBack(by="ada", reason="wrong", at=at(500), fence=3, keep=2), ports)
    else:
        finish(ports)


def run(root: Path, action: str, deadly: int, *, fine: bool = False) -> None:
    """Do it, and die at a boundary; 0 never does."""
    boundary = Boundary(deadly, fine)
    with small_engine() as engine:
        world = World(root, engine)
        lake = CountedLake(world.lake, boundary)
        files = Counted(ReleaseFolder(world.warehouse, engine), _FILES, boundary)
        for name in _SYSTEM if fine else ():
            setattr(os, name, boundary.around(getattr(os, name)))
        act(action, world.ports(lake, files), world)


def fork(base: Path, case: Path, action: str, deadly: int, *, fine: bool = False) -> int:
    """Start one case in a child of its own and return its process id."""
    subprocess.run(["cp", "-a", str(base), str(case)], check=True)
    child = os.fork()
    if not child:
        code = 1
        try:
            run(case, action, deadly, fine=fine)
            code = 0
        finally:
            os._exit(code)
    return child


def at_boundaries(base: Path, cases: Path, action: str, *, fine: bool) -> int:
    """Kill at every boundary; the last case is the one that was not killed."""
    number = 0
    while True:
        number += 1
        _, status = os.waitpid(fork(base, cases / f"{number:03}", action, number, fine=fine), 0)
        if not os.WIFSIGNALED(status):
            return os.waitstatus_to_exitcode(status)


def at_random(base: Path, cases: Path, action: str, count: int) -> int:
    """Kill at uniformly random times within the time that the action takes."""
    began = time.monotonic()
    _, status = os.waitpid(fork(base, cases / "whole", action, 0), 0)
    whole = time.monotonic() - began
    chance = random.Random(20261120)
    for number in range(count):
        child = fork(base, cases / f"random-{number:03}", action, 0)
        time.sleep(chance.uniform(0, whole))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def warm() -> None:
    """Import and prepare what every child would, once."""
    with suppress(ImportError):
        importlib.import_module("pandas")
    for kind in (Release, Candidate, Entry):
        with suppress(DataError):
            decode(kind, b"{}", where="nothing")


if __name__ == "__main__":
    place, folder, what, how = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]
    warm()
    if how.isdigit():
        sys.exit(at_random(place, folder, what, int(how)))
    sys.exit(at_boundaries(place, folder, what, fine=how == "fine"))
