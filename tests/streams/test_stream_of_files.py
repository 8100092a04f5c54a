"""Streams of files that grow, the whole way: to lake and warehouse, each line once, whatever dies."""

from __future__ import annotations

import json
import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest
from stream_project import (
    PIPELINE,
    append,
    begun,
    drained,
    end_leases,
    events,
    in_lake,
    in_warehouse,
    made,
    overtaken,
    penstock,
    said,
    served,
    until,
)

from penstock.errors import ConfigurationError, ConflictError, LeaseHeldError
from penstock.model.receipts import State
from penstock.project import Project
from typed import typed


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return made(tmp_path)


def log(folder: Path) -> Path:
    return folder / "logs/clicks.jsonl"


def test_what_is_there_lands_once_and_is_loaded(folder: Path) -> None:
    append(log(folder), events(0, 1000))
    first = drained(folder)
    assert first.state is State.DONE
    assert (first.command, first.steps[0].step, first.steps[0].rows) == ("stream", "extract clicks", 1000)
    assert drained(folder).state is State.UNCHANGED
    append(log(folder), events(1000, 500))
    assert drained(folder).steps[0].rows == 500
    expected = Counter(range(1500))
    assert in_lake(folder) == expected
    assert in_warehouse(folder) == expected
    assert served(folder, "SELECT count(DISTINCT _offset), min(_file) FROM raw_clicks") == [(1500, "logs/clicks.jsonl")]


def test_lines_that_are_no_rows_are_kept_with_their_place_and_the_others_land(folder: Path) -> None:
    append(log(folder), [*events(0, 5), "{oops", "[1]", *events(5, 5), '{"user": "u", "n": "many"}', *events(10, 5)])
    drained(folder)
    assert in_warehouse(folder) == Counter(range(15))
    with Project(folder) as project:
        assert [(found.rows, found.open) for found in project.quarantine.summaries("clicks")] == [(3, 3)]
        project.quarantine.export("clicks", str(folder / "lines.jsonl"), lines=True)
    lines = [json.loads(line) for line in (folder / "lines.jsonl").read_text().splitlines()]
    assert [line["_line"] for line in lines] == ["{oops", "[1]", '{"user": "u", "n": "many"}']
    assert [line["_reasons"] for line in lines] == [["no_json"], ["no_object"], ["wrong_type"]]
    places = [json.loads(line["_origin_detail"])["offset"] for line in lines]
    text = log(folder).read_bytes()
    assert [text[place:].partition(b"\n")[0].decode() for place in places] == [line["_line"] for line in lines]


def test_a_row_that_a_check_sets_aside_is_replayed_and_the_stream_goes_on(folder: Path) -> None:
    append(log(folder), [*events(0, 3), {"user": "a", "n": -1}, *events(3, 3)])
    drained(folder)
    assert in_warehouse(folder) == Counter(range(6))
    with Project(folder) as project:
        project.quarantine.replay("clicks", sets=["n = 100"])
    append(log(folder), events(6, 3))
    drained(folder)
    assert in_warehouse(folder) == Counter([*range(9), 100])


def test_a_rejected_micro_batch_stops_the_stream_until_somebody_decides(folder: Path) -> None:
    append(log(folder), events(0, 10))
    drained(folder)
    append(log(folder), [*events(10, 5), {"n": 15}])
    stopped = drained(folder)
    assert (stopped.state, stopped.exit_code) == (State.FAILED, 3)
    assert "load 3 was rejected" in stopped.error
    append(log(folder), events(20, 5))
    with Project(folder) as project:
        blocked = project.stream("clicks", until_end=True)
        assert blocked.exit_code == ConflictError.exit_code
        assert "stands before load 3" in blocked.error
        project.accept("clicks", 3, "the player forgot its user")
    assert drained(folder).state is State.DONE
    assert in_warehouse(folder) == Counter([*range(16), *range(20, 25)])


def test_what_was_rejected_is_read_again_with_checks_of_today(folder: Path) -> None:
    append(log(folder), [*events(0, 5), {"n": 5}])
    assert drained(folder).exit_code == 3
    (folder / "pipeline.py").write_text(PIPELINE.replace('checks.not_null("user"), ', ""))
    assert drained(folder).exit_code == ConflictError.exit_code
    assert drained(folder, retry=True).state is State.DONE
    assert in_warehouse(folder) == Counter(range(6))


def test_a_file_that_was_cut_is_noticed_where_nothing_is_behind(folder: Path) -> None:
    append(log(folder), events(0, 10))
    drained(folder)
    with log(folder).open("r+") as file:
        file.truncate(len(file.readline()))
    found = drained(folder)
    assert found.state is State.FAILED
    assert "no longer has offset" in (found.error or "")


def test_columns_that_come_and_stay_away_are_no_change(folder: Path) -> None:
    append(log(folder), events(0, 3))
    drained(folder)
    append(log(folder), [{"user": "a", "n": 3, "at": "2026-11-22T05:00:00Z", "device": {"os": "x"}}])
    drained(folder)
    append(log(folder), [{"user": "a", "n": 4}, "{oops"])
    assert drained(folder).steps[0].notes == ()
    append(log(folder), ["{oops"])
    assert drained(folder).steps[0].notes == ()
    assert served(folder, 'SELECT n, "at", device.os FROM raw_clicks WHERE n > 2 ORDER BY n') == [
        (3, "2026-11-22T05:00:00Z", "x"),
        (4, None, None),
    ]


def test_an_interrupt_that_is_lost_on_its_way_ends_the_stream_all_the_same(folder: Path) -> None:
    """Code of others may swallow what is raised, as this pipeline does."""
    swallowing = (
        "import os, pathlib, signal, time\ntry:\n    pathlib.Path('told').touch(exist_ok=False)\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n    time.sleep(1)\nexcept BaseException:\n    pass\n"
    )
    (folder / "pipeline.py").write_text(swallowing + PIPELINE)
    append(log(folder), events(0, 100))
    done = penstock(folder, "stream")
    assert done.returncode == 0, done.stdout + done.stderr


def test_sigterm_lands_what_was_read_and_ends_in_order(folder: Path) -> None:
    (folder / "pipeline.py").write_text(PIPELINE.replace("200ms", "10m"))
    append(log(folder), events(0, 100))
    process = begun(folder, "stream")
    try:
        until(lambda: "running" in penstock(folder, "runs", "--json").stdout)
        time.sleep(2)
        append(log(folder), events(100, 100))
        time.sleep(2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, said(folder)
    finally:
        process.kill()
        process.wait()
    drained(folder)
    assert in_warehouse(folder) == Counter(range(200))
    assert served(folder, "SELECT count(DISTINCT _load) FROM raw_clicks") == [(1,)], "it was flushed by the signal"


def test_killed_at_any_time_each_line_lands_once(folder: Path) -> None:
    chance = random.Random(11)
    written = 0
    for _ in range(6):
        process = begun(folder, "stream")
        end = time.monotonic() + chance.uniform(0.8, 3.0)
        while time.monotonic() < end:
            append(log(folder), events(written, 40))
            written += 40
            time.sleep(0.02)
        process.kill()
        process.wait()
        if chance.random() < 0.5:
            log(folder).rename(folder / f"logs/clicks.{written}")
    assert drained(folder).state is State.DONE
    assert in_lake(folder) == Counter(range(written))
    assert in_warehouse(folder) == Counter(range(written))


def test_a_consumer_that_slept_while_another_took_over_adds_nothing(folder: Path) -> None:
    append(log(folder), events(0, 100))
    with overtaken(folder, lambda: (folder / "data/staging/warehouse.duckdb").exists() and in_lake(folder)[99] == 1):
        append(log(folder), events(100, 50))
        end_leases(folder)
        assert drained(folder).state is State.DONE
        append(log(folder), events(150, 50))
    drained(folder)
    assert in_lake(folder) == Counter(range(200))
    assert in_warehouse(folder) == Counter(range(200))


def test_a_consumer_whose_catalog_was_moved_away_ends_once_another_reads_the_table(folder: Path) -> None:
    """Its lease is its own for ever, so that no reading afresh would help."""
    append(log(folder), events(0, 100))
    with overtaken(folder, lambda: (folder / "data/staging/warehouse.duckdb").exists() and in_lake(folder)[99] == 1):
        (folder / ".penstock").rename(folder / "away")
        append(log(folder), events(100, 50))
        assert drained(folder).state is State.DONE
        append(log(folder), events(150, 50))
    drained(folder)
    assert in_lake(folder) == Counter(range(200))
    assert in_warehouse(folder) == Counter(range(200))


def test_runs_of_the_pipeline_go_on_beside_the_stream(folder: Path) -> None:
    append(log(folder), events(0, 70))
    process = begun(folder, "stream")
    written = 70
    try:
        until((folder / "data/staging/lake/raw_clicks").exists)
        for number in range(4):
            append(log(folder), events(written, 70))
            written += 70
            (folder / "videos.csv").write_text(f"video,title\nv{number},{number}\n")
            ran = typed(folder, "run", "--json")
            assert ran.returncode == 0, ran.stdout + ran.stderr
            # What the transform counted is what its version says that it read.
            [(counted,)] = served(folder, "SELECT sum(clicks) FROM per_user")
            assert counted % 70 == 0 or counted <= written
        refused = typed(folder, "quarantine", "replay", "clicks")
        assert refused.returncode == LeaseHeldError.exit_code, refused.stderr
        assert "clicks (stream)" in refused.stderr
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, said(folder)
    finally:
        process.kill()
        process.wait()
    drained(folder)
    assert in_warehouse(folder) == Counter(range(written))
    assert typed(folder, "run").returncode == 0
    assert served(folder, "SELECT sum(clicks) FROM per_user") == [(written,)]
    runs = json.loads(typed(folder, "runs", "--json").stdout)
    assert {run["state"] for run in runs} == {"done"}


def test_a_run_leaves_streams_to_the_stream(folder: Path) -> None:
    append(log(folder), events(0, 3))
    with Project(folder) as project:
        planned = project.plan()
        assert "clicks: a stream, which penstock stream reads" in planned.unchanged
        assert not [step for step in planned.steps if step.table == "clicks"]
        assert [step.table for step in project.run().steps if step.step.startswith("extract")] == ["raw_videos"]


def test_a_pipeline_without_a_stream_is_refused(folder: Path) -> None:
    (folder / "pipeline.py").write_text(
        PIPELINE.replace(
            'sources.tail("logs/clicks*", table="clicks", stream={"every": "200ms"})',
            'sources.files("logs/*.jsonl", table="clicks")',
        )
    )
    with Project(folder) as project, pytest.raises(ConfigurationError, match="has no stream"):
        project.stream()


def test_a_stream_that_leaves_the_warehouse_to_runs(folder: Path) -> None:
    (folder / "pipeline.py").write_text(PIPELINE.replace('"every": "200ms"', '"every": "200ms", "load": "run"'))
    append(log(folder), events(0, 30))
    assert [step.step for step in drained(folder).steps] == ["extract clicks"]
    append(log(folder), [*events(30, 30), {"user": "a", "n": -1}])
    drained(folder)
    assert in_lake(folder).total() == 61
    assert not (folder / "data/staging/warehouse.duckdb").exists()
    for _ in range(2):
        assert typed(folder, "run").returncode == 0
        assert in_warehouse(folder) == Counter(range(60))
        assert served(folder, "SELECT sum(clicks) FROM per_user") == [(60,)]
