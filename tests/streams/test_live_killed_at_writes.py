"""A live stream that is killed at any of its writes: readers see each row once, before and after the next one."""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path

import duckdb
import pytest
from children import Children, Kept
from stream_project import PIPELINE, append, in_warehouse, made

PARTS = 4
LIVE = PIPELINE.replace('"every": "200ms"', '"every": "200ms", "live": True')


def events(first: int, count: int, size: float) -> list[dict[str, float]]:
    return [{"user": "ada", "n": n, "size": size} for n in range(first, first + count)]


@pytest.fixture
def begun(tmp_path: Path, children: Children) -> Path:
    """A project with fifteen published files, so that the next are written together, and a type that becomes wider."""
    folder = made(tmp_path / "begun", LIVE)
    for n in range(15):
        append(folder / "logs/clicks.jsonl", events(n, 1, 1))
        assert children.stream(folder)["status"] == 0
    append(folder / "logs/clicks.jsonl", events(15, 1, 2))
    return folder


def readable(folder: Path) -> tuple[Counter[int], Counter[int]]:
    """Return what readers get who have DuckDB alone, and those who have Delta alone."""
    from deltalake import DeltaTable

    path = folder / "data/production/warehouse.live/clicks.duckdb"
    with duckdb.connect(str(path), read_only=True) as connection:
        found = Counter(n for (n,) in connection.execute("SELECT n FROM clicks").fetchall())
    bare = DeltaTable(folder / "data/production/lake/clicks").to_pyarrow_table(columns=["n"])
    return found, Counter(bare["n"].to_pylist())


def killed_and_gone_on(kept: Kept, children: Children, kill_at: int, rows: int, *, before: bool) -> None:
    folder, where = kept.folder, f"{'before' if before else 'after'} write {kill_at}"
    kept.back()
    assert children.stream(folder, kill_at, before=before)["status"] in (0, signal.SIGKILL), where
    for found in readable(folder):
        assert found in (Counter(range(rows - 1)), Counter(range(rows))), where
    append(folder / "logs/clicks.jsonl", events(rows, 2, 0.5))
    assert children.stream(folder)["status"] == 0, where
    assert readable(folder) == (Counter(range(rows + 2)),) * 2, where
    assert in_warehouse(folder) == Counter(range(rows + 2)), where


def writes_of(folder: Path, children: Children) -> list[str]:
    names = children.stream(folder)["writes"]
    assert {"DeltaLog.append", "LocalObjects.create", "duckdb COMMIT", "catalog commit"} <= set(names)
    return names


@pytest.fixture
def widened(begun: Path, children: Children) -> Path:
    """The same project, in which the next row makes a column wider."""
    assert children.stream(begun)["status"] == 0
    append(begun / "logs/clicks.jsonl", events(16, 1, 1.5))
    return begun


def test_killed_at_some_writes_while_files_are_joined(begun: Path, children: Children) -> None:
    kept = Kept(begun)
    names = writes_of(begun, children)
    for kill_at in range(3, len(names) + 1, 11):
        killed_and_gone_on(kept, children, kill_at, 16, before=kill_at % 2 == 0)


def test_killed_at_some_writes_while_a_type_becomes_wider(widened: Path, children: Children) -> None:
    kept = Kept(widened)
    names = writes_of(widened, children)
    for kill_at in range(3, len(names) + 1, 11):
        killed_and_gone_on(kept, children, kill_at, 17, before=kill_at % 2 == 0)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("rows", [16, 17])
def test_killed_at_each_write(part: int, rows: int, request: pytest.FixtureRequest, children: Children) -> None:
    folder = request.getfixturevalue("begun" if rows == 16 else "widened")
    kept = Kept(folder)
    names = writes_of(folder, children)
    for kill_at in range(1 + part, len(names) + 1, PARTS):
        for before in (True, False):
            killed_and_gone_on(kept, children, kill_at, rows, before=before)
