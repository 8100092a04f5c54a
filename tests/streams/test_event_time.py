"""Watermarks and late rows of streams: what a manifest says of them, after crashes and restarts too."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from stream_project import PIPELINE, append, begun, drained, in_warehouse, made, said, until

from penstock import Project
from penstock.errors import ConfigurationError
from penstock.model.event_time import Progress, progress
from penstock.model.receipts import State

START = datetime(2026, 11, 22, 5, tzinfo=UTC)
TIMED = PIPELINE.replace('stream={"every": "200ms"}', 'event_time="at", stream=STREAM')


def project(folder: Path, **stream: Any) -> Path:
    return made(folder, TIMED.replace("STREAM", json.dumps({"every": "200ms", "lateness": "10s", **stream})))


def event(n: int, second: float, **more: Any) -> dict[str, Any]:
    return {"user": "ada", "n": n, "at": (START + timedelta(seconds=second)).isoformat(), **more}


def loads(folder: Path) -> dict[int, Progress]:
    """Return what the manifests of the loads say that lead to the newest entry; a kill leaves others beside them."""
    folder = folder / "data/staging/lake/raw_clicks/_manifests"
    entries = {each["number"]: each for each in (json.loads(path.read_text()) for path in folder.glob("*.json"))}
    found, number = {}, max(entries, default=None)
    while number is not None:
        told = progress((entries[number].get("work") or {}).get("position"))
        if told is not None:
            found[number] = told
        number = entries[number]["previous"]
    return dict(sorted(found.items()))


def known(folder: Path) -> list[Progress]:
    return list(loads(folder).values())


def second(microseconds: int | None) -> float | None:
    return None if microseconds is None else microseconds / 1e6 - START.timestamp()


def test_the_watermark_follows_the_greatest_event_and_never_goes_back(tmp_path: Path) -> None:
    folder = project(tmp_path)
    for batch in ([event(1, 0), event(2, 50)], [event(3, 20)], [event(4, 100)]):
        append(folder / "logs/clicks.jsonl", batch)
        drained(folder)
    assert [(second(each.before), second(each.watermark), each.late) for each in known(folder)] == [
        (None, 40, 0),
        (40, 40, 1),
        (40, 90, 0),
    ]
    assert in_warehouse(folder) == {1: 1, 2: 1, 3: 1, 4: 1}
    with Project(folder) as opened:
        (lag,) = opened.lags()
    assert (lag.watermark, lag.late, lag.partitions[0].late) == (START + timedelta(seconds=90), 1, 1)
    assert lag.partitions[0].event == START + timedelta(seconds=100)
    assert lag.event_lag is not None
    assert lag.event_lag_most is not None
    assert lag.event_lag <= lag.event_lag_most


def test_a_partition_holds_the_others_back_until_it_is_idle(tmp_path: Path) -> None:
    folder = project(tmp_path, idle="1h")
    append(folder / "logs/clicks-a.jsonl", [event(1, 100)])
    append(folder / "logs/clicks-b.jsonl", [event(2, 30)])
    drained(folder)
    append(folder / "logs/clicks-a.jsonl", [event(3, 500)])
    drained(folder)
    assert [second(each.watermark) for each in known(folder)] == [20, 20]
    (folder / "pipeline.py").write_text(TIMED.replace("STREAM", '{"lateness": "10s", "idle": "0s"}'))
    append(folder / "logs/clicks-a.jsonl", [event(4, 510)])
    drained(folder)
    assert second(known(folder)[-1].watermark) == 500


def test_what_is_not_read_yet_holds_the_watermark_back(tmp_path: Path) -> None:
    # The first file fills a micro-batch by itself; the second one is older, and none of its rows is late.
    folder = project(tmp_path, rows=1, bytes=1, idle="0s")
    append(folder / "logs/clicks-a.jsonl", [event(n, 1000 + n) for n in range(3)])
    append(folder / "logs/clicks-b.jsonl", [event(n, n) for n in range(3, 6)])
    drained(folder)
    assert len(known(folder)) > 2
    assert sum(each.late for each in known(folder)) == 0
    assert known(folder)[0].watermark is None


def test_events_of_a_wrong_clock_do_not_move_the_watermark(tmp_path: Path) -> None:
    folder = project(tmp_path)
    append(folder / "logs/clicks.jsonl", [event(1, 50), event(2, 10**9), {"user": "a", "n": 3}, event(4, 0, at="oops")])
    receipt = drained(folder)
    assert (second(known(folder)[0].watermark), known(folder)[0].ahead, known(folder)[0].undated) == (40, 1, 2)
    notes = " ".join(note for step in receipt.steps for note in step.notes)
    assert "1 rows of clicks lie in the future" in notes
    assert "2 rows of clicks have no event time in 'at'" in notes


def test_late_rows_are_set_aside_and_replayed_once(tmp_path: Path) -> None:
    folder = project(tmp_path, late="quarantine")
    append(folder / "logs/clicks.jsonl", [event(1, 0), event(2, 50)])
    drained(folder)
    append(folder / "logs/clicks.jsonl", [event(3, 39.999), event(4, 40), event(5, 20), event(6, 60)])
    receipt = drained(folder)
    assert sum(step.quarantined for step in receipt.steps) == 2
    assert in_warehouse(folder) == {1: 1, 2: 1, 4: 1, 6: 1}
    with Project(folder) as opened:
        (summary,) = opened.quarantine.summaries()
        assert summary.open == 2
        assert opened.quarantine.replay("clicks").state is State.DONE
    assert in_warehouse(folder) == dict.fromkeys(range(1, 7), 1)
    with Project(folder) as opened:
        assert [(each.open, each.replayed) for each in opened.quarantine.summaries()] == [(0, 2)]
    append(folder / "logs/clicks.jsonl", [event(7, 70)])
    drained(folder)
    assert in_warehouse(folder) == dict.fromkeys(range(1, 8), 1)
    assert second(known(folder)[-1].watermark) == 60


def test_the_watermark_is_the_same_after_a_kill(tmp_path: Path) -> None:
    folder = project(tmp_path, every="50ms", late="quarantine")
    rows = [event(n, n - (25 if n % 7 == 3 else 0)) for n in range(200)]
    process = begun(folder, "stream")
    try:
        for first in range(0, 200, 20):
            append(folder / "logs/clicks.jsonl", rows[first : first + 20])
            if first in (0, 100):
                wanted = 1 if first == 0 else 2
                until(lambda least=wanted: len(known(folder)) >= least)
            if first == 100:
                process.kill()
                process.wait()
    finally:
        process.kill()
        process.wait()
    before = loads(folder)
    assert drained(folder).state is State.DONE, said(folder)
    after = loads(folder)
    assert {number: after[number] for number in before if number in after}.items() <= before.items()
    # The newest manifest that was seen may be one that the kill kept from its commit.
    assert before.keys() & after.keys()
    assert second(known(folder)[-1].watermark) == 188
    # Which rows are late is said by the watermark that stands in the manifest before theirs.
    late = sum(each.late for each in after.values())
    assert late > 0
    assert sum(in_warehouse(folder).values()) == 200 - late
    assert max(in_warehouse(folder).values()) == 1


@pytest.mark.parametrize(
    ("stream", "source", "what"),
    [
        ('{"lateness": "10s"}', "", "has a lateness, and no event time"),
        ('{"late": "quarantine"}', 'event_time="at", ', "has no lateness, which this goes with"),
        ('{"lateness": "10s", "late": "drop"}', 'event_time="at", ', "The late of stream 'clicks' is not known"),
        ('{"lateness": "soon"}', 'event_time="at", ', "This is not a duration"),
    ],
)
def test_a_lateness_that_is_none_is_told(tmp_path: Path, stream: str, source: str, what: str) -> None:
    folder = made(tmp_path, PIPELINE.replace('stream={"every": "200ms"}', f"{source}stream={stream}"))
    with pytest.raises(ConfigurationError, match=what):
        drained(folder)


def test_a_column_of_numbers_is_told_and_stops_nothing(tmp_path: Path) -> None:
    folder = made(tmp_path, TIMED.replace("STREAM", '{"lateness": "10s"}').replace('"at"', '"n"'))
    append(folder / "logs/clicks.jsonl", [event(1, 50), event(2, 60)])
    receipt = drained(folder)
    assert receipt.state is State.DONE
    notes = " ".join(note for step in receipt.steps for note in step.notes)
    assert "2 rows of clicks have no event time in 'n': no moment" in notes
    assert (known(folder)[-1].watermark, known(folder)[-1].undated) == (None, 2)
