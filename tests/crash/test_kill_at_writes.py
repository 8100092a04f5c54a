"""A kill before or after any write: the next telling gives the rows of an uninterrupted one, and nothing is left."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from facts import examine, facts, served
from telling import KILLED, NAMES, Nursery, Reference, copy, drawn, tally

SHORT = 2
"""Kills in each chapter, in the short form."""


def test_the_story_leaves_nothing_over(told: Reference, tmp_path: Path) -> None:
    last = copy(told.states[-1], tmp_path / "project")
    before = facts(last)
    assert examine(last, clean=True) == []
    assert facts(last) == before
    assert before["production"]["release"] == 5
    assert sum(before["staging lake"]["raw_orders"].values()) == 72
    assert sum(before["staging lake"]["raw_orders set aside"].values()) == 6
    kinds = Counter(name for chapter in told.writes for name in chapter)
    for port in ("LocalObjects.create", "DeltaLog.append", "DeltaLog.create", "ReleaseFolder.swap", "duckdb COMMIT"):
        assert kinds[f"write {port}"] > 3, f"the hooks do not see {port}: {kinds}"


@pytest.mark.parametrize("chapter", NAMES)
def test_some_writes(chapter: str, told: Reference, nursery: Nursery, tmp_path: Path) -> None:
    number = NAMES.index(chapter)
    for chance in drawn(SHORT, chapter):
        at = chance.randint(1, len(told.writes[number]))
        killed_at(at, number, before=chance.random() < 0.5, told=told, nursery=nursery, folder=tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(8))
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("chapter", NAMES)
def test_every_write(chapter: str, before: bool, part: int, told: Reference, nursery: Nursery, tmp_path: Path) -> None:
    tally(f"story {sum(map(len, told.writes))}")
    number = NAMES.index(chapter)
    step = int(os.environ.get("PENSTOCK_CRASH_STEP", "1"))
    for at in range(1 + part, len(told.writes[number]) + 1, 8 * step):
        killed_at(at, number, before=before, told=told, nursery=nursery, folder=tmp_path)


def killed_at(at: int, number: int, *, before: bool, told: Reference, nursery: Nursery, folder: Path) -> None:
    """Kill a chapter at one write, then tell it again and compare."""
    project = copy(told.states[number], folder / "project")
    ended = nursery.tell(project, [NAMES[number]], kill_at=at, before=before)
    where = f"{'before' if before else 'after'} write {at} of {NAMES[number]} ({told.writes[number][at - 1]})"
    assert ended.status in (0, KILLED), f"{where}: {ended.said}"
    tally(f"write {'killed' if ended.status == KILLED else 'ended'} {where}")
    told_again(project, number, told, nursery, where, choice=at % 3)


@cache
def _reference(state: Path) -> dict[str, Any]:
    return facts(state)


def told_again(project: Path, number: int, told: Reference, nursery: Nursery, where: str, *, choice: int) -> None:
    """Tell a chapter to its end after a kill; whatever the kill left, it ends as if there had been none.

    In one case of three the doctor cleans first, in another the catalog is lost as well.
    """
    start, end = _reference(told.states[number]), _reference(told.states[number + 1])
    seen = served(project)
    assert seen in (start["production"].get("tables"), end["production"].get("tables")), f"{where}: half a release"
    if choice == 1:
        examine(project, clean=True)
    if choice == 2:
        shutil.rmtree(project / "data/catalog", ignore_errors=True)
    ended = nursery.tell(project, [NAMES[number]])
    assert ended.status == 0, f"{where}: {ended.said}"
    wanted, found = end, facts(project)
    for place in wanted:
        assert found[place] == wanted[place], f"{where}: {place}"
    if listed := examine(project, clean=False):
        assert examine(project, clean=True) == listed, where
        assert examine(project, clean=False) == [], where
        assert facts(project) == wanted, f"{where}: cleaning took something away"
