"""Streams of real brokers, the whole way: to lake and warehouse, each message once, whatever dies."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from brokers import Broker
from children import Children
from every_broker import BROKERS, UNORDERED, stand_of
from stream_project import PIPELINE, SETTINGS, begun, events, in_lake, in_warehouse, landed, made, said, served, until

from penstock.project import Project


@pytest.fixture(params=list(BROKERS))
def broker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Broker:
    monkeypatch.setenv("BROKER_PASSWORD", BROKERS[request.param][1])
    return stand_of(request.param, request, tmp_path)


@pytest.fixture
def folder(broker: Broker, tmp_path: Path) -> Path:
    pipeline = PIPELINE.replace(
        'sources.tail("logs/clicks*", table="clicks", stream={"every": "200ms"})', broker.source
    )
    assert broker.source in pipeline
    return made(tmp_path / "project", pipeline, SETTINGS + broker.connection)


@pytest.fixture
def children(broker: Broker) -> Iterator[Children]:
    made = Children()
    yield made
    made.close()


def written(rows: Sequence[dict[str, Any] | str]) -> list[bytes]:
    return [(row if isinstance(row, str) else json.dumps(row)).encode() for row in rows]


@pytest.mark.parametrize(
    ("at_writes", "at_times"), [(2, 1), pytest.param(8, 4, marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_killed_at_any_time_and_at_writes_each_message_lands_once(
    broker: Broker, folder: Path, children: Children, at_writes: int, at_times: int
) -> None:
    chance = random.Random(5)
    count = 0

    def append(more: int) -> None:
        nonlocal count
        broker.append(written(events(count, more)))
        count += more

    append(100)
    assert children.stream(folder)["status"] == 0
    append(100)
    writes = len(children.stream(folder)["writes"])
    for kill_at in sorted(chance.sample(range(2, writes + 1), at_writes)):
        append(30)
        assert children.stream(folder, kill_at, before=chance.random() < 0.5)["status"] in (0, signal.SIGKILL)
    for _ in range(at_times):
        process = begun(folder, "stream")
        end = time.monotonic() + chance.uniform(0.8, 3.0)
        while time.monotonic() < end:
            append(40)
            time.sleep(0.02)
        process.kill()
        process.wait()
    assert children.stream(folder)["status"] == 0
    # What a server had given to a consumer that was killed, some give to the next one after a while only.
    until(lambda: landed(folder) >= count or children.stream(folder)["status"] != 0)
    assert in_lake(folder) == Counter(range(count))
    assert in_warehouse(folder) == Counter(range(count))


@pytest.mark.parametrize("broker", [name for name in BROKERS if name not in UNORDERED], indirect=True)
def test_poison_is_set_aside_with_its_place_and_its_neighbours_land(broker: Broker, folder: Path) -> None:
    broker.append(
        [*written(events(0, 5)), b"{oops", b"\xff\xfe", *written(events(5, 5)), b"[1]", *written(events(10, 2))]
    )
    with Project(folder) as project:
        assert project.stream("clicks", until_end=True).exit_code == 0
        assert in_warehouse(folder) == Counter(range(12))
        project.quarantine.export("clicks", str(folder / "lines.jsonl"), lines=True)
    lines = [json.loads(line) for line in (folder / "lines.jsonl").read_text().splitlines()]
    lines.sort(key=lambda line: json.loads(line["_origin_detail"])["offset"])
    details = [json.loads(line["_origin_detail"]) for line in lines]
    assert [line["_line"] for line in lines] == ["{oops", None, "[1]"]
    assert details[1]["value_base64"] == "//4="
    taken = [offset for (offset,) in served(folder, "SELECT _offset FROM raw_clicks ORDER BY n")]
    assert taken[4] < details[0]["offset"] < details[1]["offset"] < taken[5]
    assert {detail["topic"] for detail in details} == {broker.name}


def test_a_server_that_is_restarted_is_waited_for(broker: Broker, folder: Path) -> None:
    broker.append(written(events(0, 50)))
    process = begun(folder, "stream")
    try:
        until(lambda: landed(folder) == 50)
        with broker.away():
            time.sleep(1)
        broker.append(written(events(50, 50)))
        until(lambda: landed(folder) == 100)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, said(folder)
    finally:
        process.kill()
        process.wait()
    assert "cannot be reached" in said(folder)
    assert os.environ["BROKER_PASSWORD"] not in said(folder)
    assert in_warehouse(folder) == Counter(range(100))


def test_a_server_that_is_away_at_first_is_waited_for(broker: Broker, folder: Path) -> None:
    broker.append(written(events(0, 50)))
    with ExitStack() as stack:
        with broker.away():
            process = begun(folder, "stream")
            stack.callback(process.wait)
            stack.callback(process.kill)
            until(lambda: "cannot be reached" in said(folder))
            assert process.poll() is None
        until(lambda: landed(folder) == 50)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, said(folder)
    assert in_warehouse(folder) == Counter(range(50))
