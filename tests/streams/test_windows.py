"""Windows of streams: what micro-batches make of them is what all events at once make of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from stream_project import SETTINGS, append, begun, drained, end_leases, made, said, served, until
from windowed import PIPELINE, RUNNING, START, Event, alike, cut, expected, newest, shuffled, standing

from penstock import Project
from penstock.model.receipts import State
from servers.kafka import KafkaServer

MERGED = 'write="merge", key="id", cursor="version"'


def project(folder: Path, write: str = MERGED, stream: str = "", emit: str = "", running: str = RUNNING) -> Path:
    text = PIPELINE.replace("WRITE, ", f"{write}, " if write else "").replace("STREAM", stream)
    return made(folder, text.replace("EMIT", emit).replace("RUNNING", running))


def plan(user: str, second: float, name: str) -> dict[str, Any]:
    return {"user": user, "since": (START + timedelta(seconds=second)).isoformat(), "plan": name}


@pytest.mark.parametrize(
    ("seed", "write"),
    [(1, MERGED), (3, ""), *(pytest.param(seed, MERGED, marks=pytest.mark.slow) for seed in range(10, 20))],
)
def test_windows_are_what_all_events_make_of_them(tmp_path: Path, seed: int, write: str) -> None:
    folder = project(tmp_path, write, '"lateness": "10s"')
    came: list[Event] = []
    plans = [("a", 0.0, "free"), ("b", 50.0, "free"), ("a", 100.0, "paid"), ("c", 20.0, "paid"), ("a", 60.0, "trial")]
    for number, batch in enumerate(cut(seed, shuffled(seed))):
        came += batch
        append(folder / "logs/clicks.jsonl", [event.row for event in batch])
        if number < len(plans):
            append(folder / "logs/plans.jsonl", [plan(*plans[number])])
        receipt = drained(folder)
        assert receipt.state is State.DONE, receipt.error
        counting = newest(came) if write else came
        alike(standing(folder), expected(counting, plans[: number + 1]))
        whole = [step.table for step in receipt.steps if "All windows were computed anew." in step.notes]
        assert not whole
    streamed = standing(folder)
    with Project(folder) as opened:
        assert opened.run("clicks").state is State.DONE
    assert standing(folder) == streamed
    assert served(folder, "SELECT count(*) FROM _penstock.windows") == [(5,)]


def test_closed_windows_are_final_until_somebody_lets_late_events_in(tmp_path: Path) -> None:
    folder = project(tmp_path, "", '"lateness": "10s", "late": "quarantine"', 'emit="closed"', "")
    emitted: dict[str, set[tuple[Any, ...]]] = {"minutes": set(), "hops": set(), "sessions": set()}
    came: list[Event] = []
    for batch in cut(4, shuffled(4), 6):
        came += batch
        append(folder / "logs/clicks.jsonl", [event.row for event in batch])
        assert drained(folder).state is State.DONE
        second = 'epoch_us("at"::TIMESTAMPTZ) / 1e6'
        there = served(folder, f"SELECT id, version, user, video, ms, {second} FROM raw_clicks")
        counted = [Event(*row[:5], row[5] - START.timestamp()) for row in there]
        with Project(folder) as opened:
            reached = next(lag.watermark for lag in opened.lags() if lag.table == "clicks")
        assert reached is not None
        closed = (reached - START).total_seconds()
        all_of = expected(counted, [])
        ended = {
            table: [row for row in all_of[table] if row[-2 if table == "hops" else 2] <= closed] for table in emitted
        }
        now = standing(folder)
        alike(ended, now, *emitted)
        for table, rows in emitted.items():
            assert rows <= set(now[table]), table
            rows.update(now[table])
    assert len(came) > len(counted)
    with Project(folder) as opened:
        assert opened.quarantine.replay("clicks").state is State.DONE
        assert opened.quarantine.summaries()[0].open == 0
    alike(_ended(came, closed), standing(folder), *emitted)
    append(folder / "logs/clicks.jsonl", [Event(999, 1, "a", "v", 1, 1000).row])
    drained(folder)
    alike({"minutes": expected(came, [])["minutes"]}, standing(folder), "minutes")


def _ended(events: list[Event], second: float) -> dict[str, list[tuple[Any, ...]]]:
    """Return the windows that end by then."""
    end = {"minutes": 2, "hops": 1, "sessions": 2}
    found = expected(events, [])
    return {table: [row for row in found[table] if row[place] <= second] for table, place in end.items()}


def test_a_kill_between_micro_batches_changes_nothing(tmp_path: Path) -> None:
    folder = project(tmp_path)
    came = shuffled(5)
    process = begun(folder, "stream")
    try:
        for number, batch in enumerate(cut(5, came, 6)):
            append(folder / "logs/clicks.jsonl", [event.row for event in batch])
            append(folder / "logs/plans.jsonl", [plan("a", 10.0 * number, f"p{number}")])
            if number in (1, 4):
                until(lambda least=number: len(list(_loads(folder))) >= least)
                process.kill()
                process.wait()
                end_leases(folder)
                process = begun(folder, "stream")
    finally:
        process.kill()
        process.wait()
    end_leases(folder)
    assert drained(folder).state is State.DONE, said(folder)
    alike(standing(folder), expected(newest(came), [("a", 10.0 * number, f"p{number}") for number in range(6)]))


def _loads(folder: Path) -> Iterator[Path]:
    return (folder / "data/staging/lake/raw_clicks/_delta_log").glob("*.json")


def test_what_happens_to_windows_besides(tmp_path: Path) -> None:
    folder = project(tmp_path, MERGED, '"lateness": "10s"')
    came = shuffled(6)
    append(folder / "logs/clicks.jsonl", [event.row for event in came[:80]])
    append(folder / "logs/plans.jsonl", [plan("a", 10, "free")])
    with Project(folder) as opened:
        assert opened.run("clicks").state is State.UNCHANGED
    drained(folder)
    # A column that is not there stops the stream with a sentence; what came is in the lake, and comes in afterwards.
    right = (folder / "pipeline.py").read_text()
    (folder / "pipeline.py").write_text(right.replace("max(ms)", "max(mss)"))
    append(folder / "logs/clicks.jsonl", [event.row for event in came[80:90]])
    receipt = drained(folder)
    assert receipt.state is State.FAILED
    assert "Window 'sessions' cannot be run" in receipt.error
    (folder / "pipeline.py").write_text(right)
    assert drained(folder).state is State.DONE
    alike(standing(folder), expected(newest(came[:90]), [("a", 10.0, "free")]))
    # A run makes a version of what a stream made before; then the declaration changes; then the file is made anew.
    with Project(folder) as opened:
        assert opened.run("clicks").state is State.DONE
    pipeline = (folder / "pipeline.py").read_text()
    (folder / "pipeline.py").write_text(pipeline.replace('gap="15s"', 'gap="5m"'))
    append(folder / "logs/clicks.jsonl", [event.row for event in came[90:]])
    assert drained(folder).state is State.DONE
    assert served(folder, "SELECT count(*) FROM sessions") == [(3,)]
    with Project(folder) as opened:
        before = standing(folder)
        rebuilt = opened.rebuild()
        assert (rebuilt.replaced, rebuilt.notes) == (True, ())
        assert standing(folder) == before
    (folder / "pipeline.py").write_text(pipeline)
    append(folder / "logs/clicks.jsonl", [came[0].row])
    assert drained(folder).state is State.DONE
    with Project(folder) as opened:
        assert "main.minutes" in opened.rebuild(table="plans").carried
    append(folder / "logs/clicks.jsonl", [came[1].row])
    receipt = drained(folder)
    assert not [step.table for step in receipt.steps if "All windows were computed anew." in step.notes]
    alike(standing(folder), expected(newest(came), [("a", 10.0, "free")]))


def test_windows_of_partitions_of_kafka(tmp_path: Path, kafka: KafkaServer) -> None:
    topic = kafka.create("windowed", 3)
    folder = project(tmp_path, MERGED, '"lateness": "10s"')
    pipeline = (folder / "pipeline.py").read_text()
    (folder / "pipeline.py").write_text(
        pipeline.replace('sources.tail("logs/clicks*"', f'sources.kafka("events", topics="{topic}"')
    )
    (folder / "penstock.toml").write_text(f'{SETTINGS}[connections.events]\nurl = "{kafka.url}"\n')
    append(folder / "logs/plans.jsonl", [plan("a", 10, "free")])
    came = shuffled(7)
    producer = kafka.producer()
    for batch in cut(7, came, 3):
        for event in batch:
            producer.produce(topic, json.dumps(event.row).encode(), partition=event.id % 3)
        assert not producer.flush(30)
        assert drained(folder).state is State.DONE
    alike(standing(folder), expected(newest(came), [("a", 10.0, "free")]))
    with Project(folder) as opened:
        lag = next(lag for lag in opened.lags() if lag.table == "clicks")
    greatest = {str(p): max(each.at for each in came if each.id % 3 == p) for p in range(3)}
    assert {part.partition: part.event for part in lag.partitions} == greatest
    assert lag.watermark == min(greatest.values()) - timedelta(seconds=10)
