"""A kill at any time, from outside, without hooks: the next telling gives the rows of an uninterrupted one."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from telling import KILLED, NAMES, Nursery, Reference, copy, drawn, tally
from test_kill_at_writes import told_again

KILLS = int(os.environ.get("PENSTOCK_CRASH_KILLS", "200"))
PARTS = 8
TRIES = 8


@pytest.mark.parametrize("part", range(4))
def test_some_times(part: int, told: Reference, nursery: Nursery, tmp_path: Path) -> None:
    for chance in drawn(3, f"some {part}"):
        killed_sometime(chance, told, nursery, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_many_times(part: int, told: Reference, nursery: Nursery, tmp_path: Path) -> None:
    for chance in drawn(KILLS // PARTS, f"many {part}"):
        # A telling may end sooner than the one that was measured: another moment is drawn until one meets it alive.
        assert any(killed_sometime(chance, told, nursery, tmp_path) for _ in range(TRIES)), "no child was met alive"


def killed_sometime(chance: random.Random, told: Reference, nursery: Nursery, folder: Path) -> bool:
    """Kill the story at a uniformly random moment of its length; begin from the chapter in which that lies."""
    moment = chance.uniform(0, sum(told.seconds))
    number = 0
    while moment > told.seconds[number] and number < len(NAMES) - 1:
        moment -= told.seconds[number]
        number += 1
    project = copy(told.states[number], folder / "project")
    ended = nursery.tell(project, [NAMES[number]], after_seconds=moment)
    where = f"after {moment:.3f} s of {NAMES[number]}"
    assert ended.status in (0, KILLED), f"{where}: {ended.said}"
    tally(f"time {'killed' if ended.status == KILLED else 'ended'} {where}")
    told_again(project, number, told, nursery, where, choice=chance.randrange(3))
    return ended.status == KILLED
