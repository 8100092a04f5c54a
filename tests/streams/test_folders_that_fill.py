"""Folders that fill: each file counts once, as soon as it is whole, whatever dies."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest
from stream_project import PIPELINE, begun, drained, events, in_lake, in_warehouse, made, penstock, said, served, until

from penstock import Project
from penstock.model.receipts import State

FOLDER = PIPELINE.replace(
    'sources.tail("logs/clicks*", table="clicks", stream={"every": "200ms"})',
    'sources.files("in/**/*.jsonl", table="clicks", options={"settle": "0s"}, stream={"every": "200ms"})',
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return made(tmp_path, FOLDER)


def put(folder: Path, name: str, first: int, count: int) -> Path:
    """Write a file under another name, and rename it when it is whole."""
    path = folder / "in" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    begun_ = path.with_suffix(".part")
    begun_.write_text("".join(json.dumps(row) + "\n" for row in events(first, count)))
    begun_.replace(path)
    return path


def test_an_empty_folder_is_waited_upon_and_each_file_counts_once(folder: Path) -> None:
    assert drained(folder).state is State.UNCHANGED
    put(folder, "a.jsonl", 0, 50)
    put(folder, "deep/b.jsonl", 50, 50)
    done = drained(folder)
    assert (done.state, done.steps[0].rows) == (State.DONE, 100)
    assert drained(folder).state is State.UNCHANGED
    put(folder, "c.jsonl", 100, 5)
    assert drained(folder).steps[0].rows == 5
    assert in_lake(folder) == in_warehouse(folder) == Counter(range(105))
    assert penstock(folder, "run").returncode == 0
    assert served(folder, "SELECT sum(clicks) FROM per_user") == [(105,)]
    with Project(folder) as project:
        assert [each.batches for each in project.lags()] == [2]


def test_a_file_that_is_being_written_is_left_for_the_next_look(folder: Path) -> None:
    (folder / "pipeline.py").write_text(FOLDER.replace('"settle": "0s"', '"settle": "5m"'))
    path = put(folder, "a.jsonl", 0, 50)
    assert drained(folder).state is State.UNCHANGED
    long_ago = time.time() - 600
    os.utime(path, (long_ago, long_ago))
    assert drained(folder).steps[0].rows == 50
    assert in_lake(folder) == Counter(range(50))


def test_checks_and_live_tables_are_as_of_every_stream(folder: Path) -> None:
    (folder / "pipeline.py").write_text(FOLDER.replace('"every": "200ms"', '"every": "200ms", "live": True'))
    put(folder, "a.jsonl", 0, 10)
    (folder / "in/b.jsonl").write_text('{"user": "a", "n": -1}\n{"user": "b", "n": 10}\n')
    drained(folder)
    assert in_warehouse(folder) == Counter(range(11))
    (folder / "in/c.jsonl").write_text('{"n": 11}\n')
    stopped = drained(folder)
    assert (stopped.state, stopped.exit_code) == (State.FAILED, 3)
    assert "was rejected" in (stopped.error or "")
    (folder / "in/c.jsonl").write_text('{"user": "c", "n": 11}\n')
    assert drained(folder, retry=True).state is State.DONE
    assert in_warehouse(folder) == Counter(range(12))


def test_killed_at_any_time_each_file_counts_once(folder: Path) -> None:
    chance, count, number = random.Random(4), 0, 0
    end = time.monotonic() + 15
    while time.monotonic() < end:
        process = begun(folder, "stream")
        stop = time.monotonic() + chance.uniform(0.5, 3)
        while time.monotonic() < stop:
            put(folder, f"{number}.jsonl", count, 9)
            count, number = count + 9, number + 1
            time.sleep(0.05)
        process.kill()
        process.wait()
    process = begun(folder, "stream")
    try:
        until(lambda: in_lake(folder).total() >= count)
    finally:
        process.send_signal(signal.SIGTERM)
        # All may have landed before it: one that is told to end before it has begun ends by the signal.
        assert process.wait(60) in (0, 128 + signal.SIGTERM, -signal.SIGTERM), said(folder)
    assert drained(folder).exit_code == 0
    assert in_lake(folder) == in_warehouse(folder) == Counter(range(count))
