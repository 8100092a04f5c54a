"""Two runs at once: the second is refused; one that slept while its lease went to a successor is refused in the end."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from facts import examine, facts
from telling import NAMES, Nursery, Reference, copy

FIRST = NAMES[0]
ASLEEP: list[int] = []


@pytest.fixture(autouse=True)
def none_sleeps_on(nursery: Nursery) -> Iterator[None]:
    """End a child that a failed test left asleep: the nursery would wait for it for ever."""
    yield
    while ASLEEP:
        try:
            os.kill(ASLEEP.pop(), signal.SIGKILL)
        except ProcessLookupError:
            continue
        nursery.end()


@pytest.fixture
def second(tmp_path: Path) -> Iterator[Nursery]:
    made = Nursery(tmp_path / "second.log")
    yield made
    made.close()


def asleep(
    told: Reference, nursery: Nursery, folder: Path, name: str, number: int, *, before: bool
) -> tuple[Path, int]:
    """Begin the story and let it fall asleep at a write of this name."""
    at = [place for place, write in enumerate(told.writes[0], 1) if write == f"write {name}"][number]
    for attempt in range(10):
        project = copy(told.states[0], folder / f"project{attempt}")
        pid = nursery.begin(project, [FIRST], kill_at=at, before=before, with_signal=signal.SIGSTOP)
        ASLEEP.append(pid)
        deadline = time.monotonic() + 60
        while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
            assert time.monotonic() < deadline, "it never came to that write"
            time.sleep(0.01)
        if not locked(project):
            return project, pid
        # Another of its threads fell asleep in the middle of a change to the catalog, which SQLite then keeps locked.
        os.kill(ASLEEP.pop(), signal.SIGKILL)
        nursery.end()
    raise AssertionError("it never slept without a lock on its catalog")


def locked(project: Path) -> bool:
    """Say whether somebody holds the catalog of a project."""
    with closing(sqlite3.connect(project / "data/catalog/catalog.db", timeout=0.5)) as catalog:
        try:
            catalog.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        catalog.rollback()
        return False


def expire(project: Path) -> None:
    """Let every lease run out, as an hour of sleep would."""
    with closing(sqlite3.connect(project / "data/catalog/catalog.db", timeout=10)) as catalog, catalog:
        assert catalog.execute("UPDATE leases SET expires = 1 WHERE holder IS NOT NULL").rowcount == 1
    catalog.close()


def test_a_second_run_is_refused(told: Reference, nursery: Nursery, tmp_path: Path) -> None:
    project, pid = asleep(told, nursery, tmp_path, "DeltaLog.create", 0, before=True)
    asked = [sys.executable, "-m", "penstock", "--project", str(project), "run", "shop"]
    asked += ["--interval", "2026-01-02"]
    refused = subprocess.run(asked, capture_output=True, text=True, check=False, cwd=project)
    assert refused.returncode == 5, refused.stderr
    assert "Another run of shop is at work: process" in refused.stderr
    assert str(pid) in refused.stderr
    cleaning = [sys.executable, "-m", "penstock", "--project", str(project), "doctor", "--clean"]
    assert subprocess.run(cleaning, capture_output=True, check=False, cwd=project).returncode == 5
    os.kill(pid, signal.SIGCONT)
    ended = nursery.end()
    assert "ended done" in ended.said, ended.said
    assert facts(project) == facts(told.states[1])


@pytest.mark.parametrize(
    ("name", "number", "before"),
    [
        ("DeltaLog.create", 0, True),
        ("DeltaLog.create", 0, False),
        ("DeltaLog.append", 0, True),
        ("LocalObjects.create", 2, False),
    ],
)
def test_one_that_slept_is_refused(
    name: str, number: int, before: bool, told: Reference, nursery: Nursery, second: Nursery, tmp_path: Path
) -> None:
    project, pid = asleep(told, nursery, tmp_path, name, number, before=before)
    expire(project)
    successor = second.tell(project, [FIRST])
    assert "ended done" in successor.said, successor.said
    wanted = facts(told.states[1])
    assert facts(project) == wanted
    os.kill(pid, signal.SIGCONT)
    ended = nursery.end()
    assert "ended failed" in ended.said, ended.said
    assert "taken over" in ended.said
    assert facts(project) == wanted
    examine(project, clean=True)
    assert facts(project) == wanted
    if number == 2:
        assert second.tell(project, NAMES[1:]).status == 0
        assert facts(project) == facts(told.states[-1])
