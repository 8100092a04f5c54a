"""Several processes that read one topic together: whoever comes, dies, sleeps and wakes, each message counts once."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from children import Children, Kept
from stream_project import (
    SETTINGS,
    begun,
    drained,
    end_leases,
    events,
    in_lake,
    in_warehouse,
    landed,
    made,
    put_to_sleep,
    said,
)
from stream_project import until as wait_until

from penstock.errors import ConfigurationError
from penstock.model.receipts import State
from penstock.orchestrate.streaming.sharing import Member
from penstock.project import Project
from servers.kafka import KafkaServer

_NUMBER = count()
_PARTITIONS = 6
PIPELINE = """
from penstock import Pipeline, checks, sources
clicks = Pipeline(
    name="clicks",
    sources=[sources.kafka("events", topics="TOPIC", table="clicks", stream={"every": "EVERY"})],
    checks={"clicks": [checks.between("n", 0, 1_000_000, severity="quarantine")]},
)
"""


@pytest.fixture
def topic(kafka: KafkaServer) -> str:
    return kafka.create(f"shared-{next(_NUMBER)}", _PARTITIONS)


def project(folder: Path, kafka: KafkaServer, topic: str, every: str = "300ms") -> Path:
    settings = f'{SETTINGS}[connections.events]\nurl = "{kafka.url}"\n'
    return made(folder, PIPELINE.replace("TOPIC", topic).replace("EVERY", every), settings)


def produce(kafka: KafkaServer, topic: str, first: int, number: int) -> None:
    producer = kafka.producer()
    for row in events(first, number):
        producer.produce(topic, json.dumps(row).encode(), partition=row["n"] % _PARTITIONS)
    assert not producer.flush(30)


@contextmanager
def members(folder: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """Give a list of processes; those that are in it at the end are ended."""
    running: list[subprocess.Popen[str]] = []
    try:
        yield running
    finally:
        for process in running:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()


def shares(folder: Path) -> int:
    """Return how many members there are, as a further one sees it."""
    with Project(folder) as opened:
        member = Member(opened._workspace, opened.pipelines()["clicks"])
        try:
            return member.share().count - 1
        finally:
            member.close()


def test_three_processes_read_together_and_each_reads_its_share(kafka: KafkaServer, topic: str, tmp_path: Path) -> None:
    folder = project(tmp_path, kafka, topic)
    with members(folder) as running:
        running += [begun(folder, "stream", "--share") for _ in range(3)]
        wait_until(lambda: shares(folder) == 3)
        time.sleep(2)
        written = 0
        for _ in range(12):
            produce(kafka, topic, written, 300)
            written += 300
            time.sleep(0.3)
        wait_until(lambda: landed(folder) == written)
        for process in running:
            process.terminate()
        assert [process.wait(90) for process in running] == [0, 0, 0], said(folder)
    assert in_lake(folder) == in_warehouse(folder) == Counter(range(written))
    with Project(folder) as opened:
        rows = [run.steps[0].rows for run in opened.runs() if run.steps]
    assert len(rows) == 3
    assert all(rows), "each has read some"
    assert drained(folder).state is State.UNCHANGED


def test_members_that_come_and_die_and_sleep_lose_and_double_nothing(
    kafka: KafkaServer, topic: str, tmp_path: Path
) -> None:
    folder = project(tmp_path, kafka, topic)
    chance = random.Random(11)
    written = 90
    produce(kafka, topic, 0, written)
    with members(folder) as running:
        running += [begun(folder, "stream", "--share") for _ in range(2)]
        wait_until((folder / "data/staging/warehouse.duckdb").exists)
        for turn in range(6):
            running.append(begun(folder, "stream", "--share"))
            end = time.monotonic() + chance.uniform(1.5, 3)
            while time.monotonic() < end:
                produce(kafka, topic, written, 90)
                written += 90
            chosen = running.pop(chance.randrange(len(running)))
            if turn % 3 == 2:
                put_to_sleep(folder, chosen)
                end_leases(folder)
                produce(kafka, topic, written, 90)
                written += 90
                time.sleep(chance.uniform(0.5, 2))
                chosen.send_signal(signal.SIGCONT)
                running.append(chosen)
            else:
                chosen.kill()
                chosen.wait()
        wait_until(lambda: landed(folder) == written)
        for process in running:
            process.terminate()
        # One that is told to end before it has begun ends by the signal.
        assert {process.wait(90) for process in running} <= {0, 128 + signal.SIGTERM, -signal.SIGTERM}, said(folder)
    assert in_lake(folder) == in_warehouse(folder) == Counter(range(written))
    assert drained(folder).state in (State.DONE, State.UNCHANGED)
    assert in_warehouse(folder) == Counter(range(written))


def test_what_a_sleeper_holds_is_dropped_and_it_goes_on_as_a_member(
    kafka: KafkaServer, topic: str, tmp_path: Path
) -> None:
    folder = project(tmp_path, kafka, topic, every="4s")
    with members(folder) as running:
        running.append(begun(folder, "stream", "--share"))
        produce(kafka, topic, 0, 60)
        wait_until(lambda: landed(folder) == 60)
        wait_until((folder / "data/staging/warehouse.duckdb").exists)
        written = 60
        for _ in range(5):
            produce(kafka, topic, written, 600)
            written += 600
            time.sleep(1)
            put_to_sleep(folder, running[0])
            if landed(folder) < written:
                break
            # It was quicker than that; what comes next is held for a while again.
            running[0].send_signal(signal.SIGCONT)
        assert landed(folder) < written, "its batch is in its memory alone"
        end_leases(folder)
        running.append(begun(folder, "stream", "--share"))
        wait_until(lambda: landed(folder) == written)
        running[0].send_signal(signal.SIGCONT)
        wait_until(lambda: shares(folder) == 2)
        produce(kafka, topic, written, 600)
        written += 600
        wait_until(lambda: landed(folder) == written)
        for process in running:
            process.terminate()
        assert [process.wait(90) for process in running] == [0, 0], said(folder)
    assert in_lake(folder) == in_warehouse(folder) == Counter(range(written))


def test_killed_at_some_writes_each_message_counts_once(
    kafka: KafkaServer, topic: str, tmp_path: Path, children: Children
) -> None:
    folder = project(tmp_path, kafka, topic)
    produce(kafka, topic, 0, 60)
    assert children.stream(folder, share=True)["status"] == 0
    kept = Kept(folder)
    produce(kafka, topic, 60, 60)
    names, written = children.stream(folder, share=True)["writes"], 120
    for kill_at in range(2, len(names) + 1, 6):
        kept.back()
        assert children.stream(folder, kill_at, before=kill_at % 4 == 0, share=True)["status"] in (0, signal.SIGKILL)
        produce(kafka, topic, written, 30)
        written += 30
        with members(folder) as running:
            running += [begun(folder, "stream", "--share", "--until-end") for _ in range(2)]
            assert [process.wait(120) for process in running] == [0, 0], said(folder)
        assert in_lake(folder) == in_warehouse(folder) == Counter(range(written)), f"write {kill_at}"


def test_draining_together_leaves_nothing(kafka: KafkaServer, topic: str, tmp_path: Path) -> None:
    folder = project(tmp_path, kafka, topic)
    produce(kafka, topic, 0, 3000)
    with members(folder) as running:
        running += [begun(folder, "stream", "--share", "--until-end") for _ in range(3)]
        assert [process.wait(120) for process in running] == [0, 0, 0], said(folder)
    assert in_lake(folder) == in_warehouse(folder) == Counter(range(3000))


def test_columns_that_another_member_brings_are_known_to_all(kafka: KafkaServer, topic: str, tmp_path: Path) -> None:
    folder = project(tmp_path, kafka, topic)
    with members(folder) as running:
        running += [begun(folder, "stream", "--share") for _ in range(2)]
        wait_until(lambda: shares(folder) == 2)
        producer = kafka.producer()
        for n in range(300):
            extra = {f"p{n % _PARTITIONS}": n} if n < 150 else {"text": str(n), "p0": n}
            producer.produce(topic, json.dumps({"n": n, **extra}).encode(), partition=n % _PARTITIONS)
            if n % 60 == 0:
                producer.flush(30)
                time.sleep(0.5)
        assert not producer.flush(30)
        wait_until(lambda: landed(folder) == 300)
        for process in running:
            process.terminate()
        assert [process.wait(90) for process in running] == [0, 0], said(folder)
    assert in_lake(folder) == in_warehouse(folder) == Counter(range(300))


def test_streams_that_cannot_be_shared_are_named(tmp_path: Path) -> None:
    folder = made(tmp_path)
    with Project(folder) as opened, pytest.raises(ConfigurationError, match="'clicks' cannot be shared"):
        opened.stream("clicks", share=True)
