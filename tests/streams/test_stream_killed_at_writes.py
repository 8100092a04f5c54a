"""A stream that is killed at any of its writes: the next one goes on, and each line counts once."""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path

import pytest
from children import Children, Kept
from stream_project import append, events, in_lake, in_warehouse, made

PARTS = 4


@pytest.fixture
def begun(tmp_path: Path, children: Children) -> Path:
    """A project whose stream has landed something, and has more to land: rows, one set aside, a line that is no row."""
    folder = made(tmp_path / "begun")
    append(folder / "logs/clicks.jsonl", events(0, 50))
    assert children.stream(folder)["status"] == 0
    append(folder / "logs/clicks.jsonl", [*events(50, 50), {"user": "a", "n": -1}, "{oops"])
    return folder


def killed_and_gone_on(kept: Kept, children: Children, kill_at: int, *, before: bool) -> None:
    folder = kept.folder
    kept.back()
    ended = children.stream(folder, kill_at, before=before)
    where = f"{'before' if before else 'after'} write {kill_at}"
    assert ended["status"] in (0, signal.SIGKILL), where
    append(folder / "logs/clicks.jsonl", events(100, 20))
    assert children.stream(folder)["status"] == 0, where
    assert in_warehouse(folder) == Counter(range(120)), where
    assert in_lake(folder) == Counter([*range(120), -1]), where
    from penstock.project import Project

    with Project(folder) as project:
        aside = [(found.rows, found.open, dict(found.reasons)) for found in project.quarantine.summaries("clicks")]
    assert sorted(aside, key=str) == [(1, 1, {"between(n)": 1}), (1, 1, {"no_json": 1})], where


def writes_of(folder: Path, children: Children) -> list[str]:
    names = children.stream(folder)["writes"]
    assert {"DeltaLog.append", "LocalObjects.create", "duckdb COMMIT", "catalog commit"} <= set(names)
    return names


def test_killed_at_some_writes(begun: Path, children: Children) -> None:
    kept = Kept(begun)
    names = writes_of(begun, children)
    for kill_at in range(2, len(names) + 1, 7):
        killed_and_gone_on(kept, children, kill_at, before=kill_at % 2 == 0)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_killed_at_each_write(part: int, begun: Path, children: Children) -> None:
    kept = Kept(begun)
    names = writes_of(begun, children)
    for kill_at in range(1 + part, len(names) + 1, PARTS):
        for before in (True, False):
            killed_and_gone_on(kept, children, kill_at, before=before)
