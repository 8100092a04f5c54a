"""Live tables: a micro-batch that passed its checks stands in production at once, for readers of other processes."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from stream_project import (
    PIPELINE,
    append,
    begun,
    drained,
    events,
    in_lake,
    in_warehouse,
    killed_while_events_come,
    live,
    made,
    penstock,
    said,
    until,
)

from penstock import Project, connect
from penstock.errors import ConfigurationError, ConflictError, NotFoundError
from penstock.model.receipts import State
from typed import typed

LIVE = PIPELINE.replace('"every": "200ms"', '"every": "200ms", "live": True')


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return made(tmp_path, LIVE)


def log(folder: Path) -> Path:
    return folder / "logs/clicks.jsonl"


def numbers(folder: Path) -> Counter[Any]:
    return Counter(n for (n,) in live(folder))


def in_production(folder: Path) -> Counter[Any]:
    """Return the same of what a reader of bare Delta sees."""
    from deltalake import DeltaTable

    found = DeltaTable(folder / "data/production/lake/clicks").to_pyarrow_table(columns=["n"])
    return Counter(found["n"].to_pylist())


def test_each_micro_batch_is_readable_once_it_passed(folder: Path) -> None:
    append(log(folder), events(0, 100))
    assert drained(folder).state is State.DONE
    assert numbers(folder) == in_production(folder) == Counter(range(100))
    append(log(folder), [*events(100, 5), {"user": "a", "n": -1}, "{oops"])
    drained(folder)
    assert numbers(folder) == in_production(folder) == Counter(range(105))
    assert live(folder, "SELECT DISTINCT _load, _created_at IS NOT NULL FROM clicks ORDER BY 1") == [
        (1, True),
        (3, True),
    ]
    with Project(folder) as project:
        project.quarantine.replay("clicks", sets=["n = 200"])
    drained(folder)
    assert numbers(folder) == in_warehouse(folder) == Counter([*range(105), 200])


def test_what_is_rejected_is_never_readable(folder: Path) -> None:
    append(log(folder), events(0, 10))
    drained(folder)
    append(log(folder), [*events(10, 5), {"n": 15}])
    assert drained(folder).exit_code == 3
    assert numbers(folder) == Counter(range(10))
    with Project(folder) as project:
        project.accept("clicks", 3, "the player forgot its user")
    append(log(folder), events(16, 4))
    drained(folder)
    assert numbers(folder) == in_production(folder) == Counter(range(20))


def test_columns_come_and_widen(folder: Path) -> None:
    append(log(folder), [{"user": "a", "n": 1, "size": 1}])
    drained(folder)
    append(log(folder), [{"user": "b", "n": 2, "size": 2**40, "device": {"os": "x", "tags": ["p", "q"]}, "when": None}])
    drained(folder)
    append(log(folder), [{"user": "c", "n": 3, "size": 1.5, "when": "2026-11-22"}])
    drained(folder)
    query = 'SELECT n, "size", device.os, device.tags, "when" FROM clicks ORDER BY n'
    assert live(folder, query) == [
        (1, 1.0, None, None, None),
        (2, float(2**40), "x", ["p", "q"], None),
        (3, 1.5, None, None, "2026-11-22"),
    ]
    assert in_production(folder) == Counter([1, 2, 3])


def test_small_files_are_written_together_while_readers_read(folder: Path) -> None:
    for n in range(0, 170, 5):
        append(log(folder), events(n, 5))
        drained(folder)
    files = list((folder / "data/production/lake/clicks").glob("*.parquet"))
    from deltalake import DeltaTable

    assert len(DeltaTable(folder / "data/production/lake/clicks").file_uris()) < 17 < len(files)
    assert numbers(folder) == in_production(folder) == Counter(range(170))


def test_merged_rows_and_deletions(folder: Path) -> None:
    text = LIVE.replace(
        'sources.tail("logs/clicks*", table="clicks",',
        'sources.tail("logs/clicks*", table="clicks", write="merge", key="user", cursor="n", '
        'deletes={"column": "gone"},',
    )
    (folder / "pipeline.py").write_text(text)
    rows = [{"user": f"u{n % 5}", "n": n, "gone": False} for n in range(40)]
    random.Random(1).shuffle(rows)
    for first in range(0, 40, 2):
        append(log(folder), rows[first : first + 2])
        drained(folder)
    expected = [(f"u{n % 5}", n) for n in range(35, 40)]
    assert live(folder, "SELECT user, n FROM clicks ORDER BY n") == expected
    append(log(folder), [{"user": "u0", "n": 50, "gone": True}])
    drained(folder)
    # An older row that comes late does not bring the key back.
    append(log(folder), [{"user": "u0", "n": 45, "gone": False}, {"user": "u9", "n": 1, "gone": False}])
    drained(folder)
    found = live(folder, "SELECT user, n FROM clicks ORDER BY user, n")
    assert found == [("u1", 36), ("u2", 37), ("u3", 38), ("u4", 39), ("u9", 1)]
    with duckdb.connect(str(folder / "data/staging/warehouse.duckdb"), read_only=True) as staging:
        assert staging.execute("SELECT user, n FROM raw_clicks ORDER BY user, n").fetchall() == found
    columns = [name for name, *_ in live(folder, "DESCRIBE clicks")]
    assert columns == ["_file", "_offset", "user", "n", "gone", "_load", "_created_at"]


READER = """
import sys, time, duckdb
path, end = sys.argv[1], time.monotonic() + float(sys.argv[2])
last = 0
while time.monotonic() < end:
    with duckdb.connect(path, read_only=True) as connection:
        query = "SELECT count(*), count(DISTINCT n), max(n) FROM clicks"
        rows, distinct, greatest = connection.execute(query).fetchall()[0]
    assert rows == distinct == greatest + 1, (rows, distinct, greatest)
    assert rows >= last, (rows, last)
    last = rows
print(last)
"""


def test_killed_at_any_time_readers_see_whole_micro_batches_once(folder: Path) -> None:
    append(log(folder), events(0, 10))
    drained(folder)
    path = folder / "data/production/warehouse.live/clicks.duckdb"
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, str(path), "20"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        count = killed_while_events_come(folder, 10, 18, (0.8, 3), seed=3)
        told, failed = reader.communicate(timeout=30)
        assert reader.returncode == 0, failed
        assert int(told) >= 10
    finally:
        reader.kill()
        reader.wait()
    assert drained(folder).exit_code == 0, said(folder)
    assert numbers(folder) == in_production(folder) == in_warehouse(folder) == in_lake(folder) == Counter(range(count))


def test_taken_back_to_a_load_and_forward_again(folder: Path) -> None:
    for n in range(0, 50, 10):
        append(log(folder), events(n, 10))
        drained(folder)
    with Project(folder) as project:
        loads = [load for (load,) in live(folder, "SELECT DISTINCT _load FROM clicks ORDER BY 1")]
        done = project.live.rollback("clicks", loads[1], reason="the player counted twice", by="ada")
        assert (done.rows_before, done.rows, done.withdrawn) == (50, 20, tuple(loads[2:]))
        assert numbers(folder) == in_production(folder) == Counter(range(20))
        with pytest.raises(NotFoundError, match=r"never published up to a load of that number\. Got: 77"):
            project.live.rollback("clicks", 77, reason="x")
        with pytest.raises(ConfigurationError, match="needs a reason"):
            project.live.rollback("clicks", loads[1], reason=" ")
        with pytest.raises(ConfigurationError, match="videos"):
            project.live.rollback("videos", 1, reason="x")
    append(log(folder), events(50, 10))
    drained(folder)
    assert numbers(folder) == in_production(folder) == Counter([*range(20), *range(50, 60)])
    assert in_warehouse(folder) == Counter(range(60))
    with Project(folder) as project:
        assert project.live.rollback("clicks", loads[3], reason="it was right").rows == 40
        assert project.live.rollback("clicks", 0, reason="all of it").rows == 0
        assert numbers(folder) == Counter()
    said_ = penstock(folder, "rollback", "--table", "clicks", "--to", str(loads[4]), "--reason", "r", "--json")
    assert json.loads(said_.stdout)["rows"] == 50
    said_ = penstock(folder, "rollback", "--table", "clicks", "--reason", "r")
    assert said_.returncode == 2
    assert "--to NUMBER" in said_.stderr


def test_runs_plans_and_releases_go_on_beside_it(folder: Path) -> None:
    text = LIVE.replace("transforms=", 'promote=["per_user"], approve="automatic", transforms=')
    (folder / "pipeline.py").write_text(text)
    append(log(folder), events(0, 10))
    stop, count = threading.Event(), 10

    def produce() -> None:
        nonlocal count
        while not stop.is_set():
            append(log(folder), events(count, 5))
            count += 5
            time.sleep(0.02)

    process = begun(folder, "stream")
    producer = threading.Thread(target=produce)
    producer.start()
    try:
        until((folder / "data/production/warehouse.live/clicks.duckdb").exists)
        for _ in range(3):
            before = numbers(folder).total()
            for command in (["run"], ["diff"], ["plan"], ["promote"]):
                done = typed(folder, *command)
                assert done.returncode == 0, (command, done.stdout, done.stderr)
            until(lambda before=before: numbers(folder).total() > before)
        with connect(folder) as connection:
            assert connection.execute("SELECT sum(clicks) FROM per_user").fetchall()[0][0] > 0
            assert connection.execute("SELECT count(*) FROM clicks").fetchall()[0][0] > 0
    finally:
        stop.set()
        producer.join()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, said(folder)
    drained(folder)
    assert numbers(folder) == in_production(folder) == in_warehouse(folder) == Counter(range(count))


def test_a_disk_that_is_full_is_waited_for(folder: Path) -> None:
    place = folder / "data/production"
    place.mkdir(parents=True)
    made_ = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", place], capture_output=True, check=False)
    if made_.returncode:
        pytest.skip("no disk of its own can be mounted here")
    process = None
    try:
        append(log(folder), events(0, 10))
        process = begun(folder, "stream")
        until((place / "warehouse.live/clicks.duckdb").exists)
        with suppress(OSError), open(place / "filler", "wb", buffering=0) as filler:
            while filler.write(b"x" * 4096):
                pass
        append(log(folder), events(10, 10))
        until(lambda: "disk is full" in said(folder) or process.poll() is not None)
        assert process.poll() is None, said(folder)
        assert ". ." not in said(folder)
        assert numbers(folder) == Counter(range(10))
        (place / "filler").unlink()
        until(lambda: numbers(folder) == Counter(range(20)))
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, said(folder)
    finally:
        if process is not None:
            process.kill()
            process.wait()
        subprocess.run(["umount", place], check=True)


def test_doctor_and_vacuum_know_them(folder: Path) -> None:
    for n in range(0, 100, 5):
        append(log(folder), events(n, 5))
        drained(folder)
    with Project(folder) as project:
        assert project.examine().orphans == ()
        stray = folder / "data/production/lake/clicks/part-x.parquet"
        stray.write_bytes(b"x")
        assert [path for path, _ in project.examine().orphans] == [str(stray)]
        stray.unlink()
        before = len(list((folder / "data/production/lake/clicks").glob("*.parquet")))
        project.vacuum(timedelta(0))
        assert len(list((folder / "data/production/lake/clicks").glob("*.parquet"))) < before
        assert project.examine().orphans == ()
    assert numbers(folder) == in_production(folder) == Counter(range(100))


def test_production_made_anew_gets_all_loads_and_another_raw_zone_is_refused(folder: Path) -> None:
    for n in range(0, 30, 10):
        append(log(folder), events(n, 10))
        drained(folder)
    shutil.rmtree(folder / "data/production")
    append(log(folder), events(30, 1))
    drained(folder)
    assert numbers(folder) == in_production(folder) == Counter(range(31))
    shutil.rmtree(folder / "data/staging")
    shutil.rmtree(folder / ".penstock")
    # Its loads begin with 1 again, which counts as published: their rows would be missing, and nobody told.
    said_ = drained(folder).error
    assert "its raw zone ends with load 0: it was deleted" in said_
    assert numbers(folder) == Counter(range(31))
    shutil.rmtree(folder / "data/production/lake/clicks")
    assert drained(folder).state is State.DONE
    assert numbers(folder) == in_production(folder) == Counter(range(31))


def test_a_name_that_a_release_has_is_refused(folder: Path) -> None:
    text = PIPELINE.replace("transforms=", 'promote=["per_user"], approve="automatic", transforms=')
    (folder / "pipeline.py").write_text(text)
    append(log(folder), events(0, 10))
    drained(folder)
    for command in ("run", "diff", "promote"):
        assert penstock(folder, command).returncode == 0
    other = LIVE.replace('"clicks"', '"per_user"').replace('name="per_user"', 'name="clicks"')
    other = other[: other.index("    checks=")] + ")\n"
    (folder / "pipeline.py").write_text(other)
    assert "comes with releases" in drained(folder).error


def test_two_tables_of_one_name_are_told(folder: Path) -> None:
    append(log(folder), events(0, 10))
    drained(folder)
    with duckdb.connect(str(folder / "data/production/warehouse.duckdb")) as release:
        release.execute('CREATE TABLE "Clicks" (n INTEGER)')
    with pytest.raises(ConflictError, match=r"two tables whose names are one .* Got: Clicks, clicks"):
        connect(folder)


@pytest.mark.parametrize(
    ("change", "said_"),
    [('"live": "yes"', "is no yes and no no"), ('"live": True}, nested="tables"', "live table cannot be made so")],
)
def test_what_cannot_be_live_is_refused(folder: Path, change: str, said_: str) -> None:
    (folder / "pipeline.py").write_text(LIVE.replace('"live": True}', change if "}" in change else change + "}"))
    done = penstock(folder, "plan")
    assert done.returncode == 2
    assert said_ in done.stderr
