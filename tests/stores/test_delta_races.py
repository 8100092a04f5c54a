"""Several processes commit to one table at the same moment: one of them wins, the others are told."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from deltalake import Field, Schema
from deltalake.schema import PrimitiveType

from penstock.model.entries import DataFile
from penstock.stores.delta import DeltaLog
from penstock.stores.delta_actions import DeltaCommit
from penstock.stores.objects import LocalObjects

RACER = """
import os, sys, time
from datetime import UTC, datetime
from deltalake import Field, Schema
from deltalake.schema import PrimitiveType
from penstock.errors import ConflictError
from penstock.model.entries import DataFile
from penstock.stores.delta import DeltaLog
from penstock.stores.delta_actions import DeltaCommit
from penstock.stores.objects import LocalObjects

root, number, rounds, kind = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
schema = Schema([Field("a", PrimitiveType("long"))])

def commit(number):
    file = DataFile(path=f"f{number}.parquet", rows=1, bytes=10)
    return DeltaCommit(number=number, at=datetime.now(UTC), added=[file], removed=(), schema=schema, partition_by=())

logs = []
for place in range(rounds):
    folder = f"{root}/{place}"
    os.makedirs(f"{folder}/racing", exist_ok=True)
    logs.append(DeltaLog(LocalObjects(folder), "racing"))
    logs[-1].refresh()
# Nobody begins before all have looked: who looks later would rightly commit after another.
print("ready", flush=True)
start = float(sys.stdin.readline())
for place, log in enumerate(logs):
    # All begin a round at the same moment of the clock.
    while time.time() < start + place * 0.02:
        pass
    try:
        {"create": lambda: log.create(commit(number), {}), "append": lambda: log.append(commit(number)),
         "columns": lambda: log.add_columns([Field(f"column_{number}", PrimitiveType("long"))])}[kind]()
        print(place, "won")
    except ConflictError:
        print(place, "lost")
"""


def race(root: Path, numbers: tuple[int, ...], kind: str, rounds: int = 30) -> Counter[int]:
    """Return how many rounds had how many winners."""
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(root), str(number), str(rounds), kind],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in numbers
    ]
    won: Counter[str] = Counter()
    assert [racer.stdout.readline() for racer in racers] == ["ready\n"] * len(racers)
    start = f"{time.time() + 0.2}\n"
    for racer in racers:
        racer.stdin.write(start)
        racer.stdin.flush()
    for racer in racers:
        said, _ = racer.communicate(timeout=60)
        assert racer.returncode == 0
        assert len(said.splitlines()) == rounds
        won.update(line.split()[0] for line in said.splitlines() if line.endswith("won"))
    return Counter(won[str(place)] for place in range(rounds))


@pytest.mark.parametrize("kind", ["append", "columns"])
def test_one_of_several_writers_wins(tmp_path: Path, kind: str) -> None:
    assert race(tmp_path, (1, 2, 3), "create") == {1: 30}
    assert race(tmp_path, (4, 5, 6), kind) == {1: 30}
    for place in range(30):
        names = sorted(path.name for path in (tmp_path / str(place) / "racing" / "_delta_log").glob("*.json"))
        assert [int(name.removesuffix(".json")) for name in names] == [0, 1]
        log = DeltaLog(LocalObjects(tmp_path / str(place)), "racing")
        log.refresh()
        assert len(log.files()) == (2 if kind == "append" else 1)
        first = json.loads((tmp_path / str(place) / "racing" / "_delta_log" / names[0]).read_text().splitlines()[0])
        assert first["commitInfo"]["operation"] == "CREATE TABLE"


@pytest.mark.parametrize("commits", [1, 3, 4, 6])
def test_a_table_made_anew_under_an_open_handle_is_read_anew(tmp_path: Path, commits: int) -> None:
    def committed(name: str, count: int) -> DeltaLog:
        log = DeltaLog(LocalObjects(tmp_path), "table")
        schema = Schema([Field("a", PrimitiveType("long"))])
        for number in range(1, count + 1):
            file = DataFile(path=f"{name}{number}.parquet", rows=1, bytes=10)
            write = log.append if log.schema else lambda commit: log.create(commit, {})
            write(
                DeltaCommit(
                    number=number, at=datetime.now(UTC), added=[file], removed=(), schema=schema, partition_by=()
                )
            )
        return log

    open_ = committed("old", 3)
    assert len(open_.live()) == 3
    shutil.rmtree(tmp_path / "table")
    wanted = committed("new", commits).files()
    # Neither the number of commits nor the names of their objects tell it from the one before.
    open_.refresh()
    assert (open_.files(), open_.number, open_.version) == (wanted, commits, commits - 1)
