"""Streams of a real Kafka, the whole way: what lies in lake and warehouse is what was produced, whatever dies."""

from __future__ import annotations

import json
import random
import signal
import time
from collections import Counter
from itertools import count
from pathlib import Path
from typing import Any

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
    made,
    overtaken,
    penstock,
    said,
    served,
    until,
)

from penstock.model.receipts import State
from penstock.project import Project
from servers.kafka import KafkaServer

_NUMBER = count()
PIPELINE = """
from penstock import Pipeline, checks, sources
clicks = Pipeline(
    name="clicks",
    sources=[sources.kafka("events", topics="TOPIC", table="clicks", stream={"every": "200ms"})],
    checks={"clicks": [checks.between("n", 0, 1_000_000, severity="quarantine")]},
)
"""


@pytest.fixture
def topic(kafka: KafkaServer) -> str:
    return kafka.create(f"clicks-{next(_NUMBER)}", 3)


@pytest.fixture
def folder(tmp_path: Path, kafka: KafkaServer, topic: str) -> Path:
    settings = f'{SETTINGS}[connections.events]\nurl = "{kafka.url}"\n'
    return made(tmp_path, PIPELINE.replace("TOPIC", topic), settings)


def produce(kafka: KafkaServer, topic: str, rows: list[Any], **message: Any) -> None:
    """Produce values over the partitions: objects as JSON, bytes and nothing as they are."""
    producer = kafka.producer()
    for number, row in enumerate(rows):
        value = row if row is None or isinstance(row, bytes) else json.dumps(row).encode()
        producer.produce(topic, value, **{"partition": number % 3, **message})
    assert not producer.flush(30)


def test_each_message_counts_once_with_its_place(kafka: KafkaServer, topic: str, folder: Path) -> None:
    produce(kafka, topic, events(0, 3000), key=b"k", headers=[("trace", b"t")])
    assert drained(folder).state is State.DONE
    produce(kafka, topic, events(3000, 300))
    assert drained(folder).steps[0].rows == 300
    assert drained(folder).state is State.UNCHANGED
    assert in_lake(folder) == in_warehouse(folder) == Counter(range(3300))
    query = (
        "SELECT _partition, count(*), min(_offset), max(_offset), count(DISTINCT _offset) FROM raw_clicks GROUP BY 1"
    )
    assert sorted(served(folder, query)) == [(partition, 1100, 0, 1099, 1100) for partition in range(3)]
    query = (
        "SELECT DISTINCT _topic, _key, _headers[1].name, _headers[1].value, _tombstone FROM raw_clicks WHERE n < 3000"
    )
    assert served(folder, query) == [(topic, "k", "trace", b"t", False)]
    assert served(folder, "SELECT count(*) FROM raw_clicks WHERE _timestamp > now() - INTERVAL 1 HOUR") == [(3300,)]


def test_a_topic_without_messages_is_waited_upon_whatever_the_checks_ask(
    kafka: KafkaServer, topic: str, folder: Path
) -> None:
    receipt = drained(folder)
    assert receipt.state in (State.DONE, State.UNCHANGED), receipt.error
    produce(kafka, topic, events(0, 30))
    assert drained(folder).state is State.DONE
    assert in_lake(folder) == in_warehouse(folder) == Counter(range(30))


def test_killed_at_any_time_each_message_counts_once(kafka: KafkaServer, topic: str, folder: Path) -> None:
    chance = random.Random(7)
    written = 0
    for _ in range(5):
        process = begun(folder, "stream")
        end = time.monotonic() + chance.uniform(1.5, 4.5)
        while time.monotonic() < end:
            produce(kafka, topic, events(written, 150))
            written += 150
        process.kill()
        process.wait()
    assert drained(folder).state in (State.DONE, State.UNCHANGED)
    assert in_lake(folder) == Counter(range(written))
    assert in_warehouse(folder) == Counter(range(written))


def test_killed_at_some_writes_each_message_counts_once(
    kafka: KafkaServer, topic: str, folder: Path, children: Children
) -> None:
    produce(kafka, topic, events(0, 60))
    assert children.stream(folder)["status"] == 0
    kept = Kept(folder)
    produce(kafka, topic, [*events(60, 60), b"{oops"])
    names, written = children.stream(folder)["writes"], 120
    for kill_at in range(3, len(names) + 1, 7):
        kept.back()
        assert children.stream(folder, kill_at, before=kill_at % 2 == 0)["status"] in (0, signal.SIGKILL)
        produce(kafka, topic, events(written, 30))
        written += 30
        assert children.stream(folder)["status"] == 0
        assert in_lake(folder) == in_warehouse(folder) == Counter(range(written)), f"write {kill_at}"
        with Project(folder) as project:
            assert [found.rows for found in project.quarantine.summaries("clicks")] == [1]


def test_a_broker_that_fails_and_comes_back_loses_nothing(kafka: KafkaServer, topic: str, folder: Path) -> None:
    produce(kafka, topic, events(0, 300))
    process = begun(folder, "stream")
    try:
        until((folder / "data/staging/warehouse.duckdb").exists)
        kafka.kill()
        time.sleep(2)
        kafka.start()
        produce(kafka, topic, events(300, 300))
        until(lambda: in_lake(folder).total() == 600)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, said(folder)
    finally:
        process.kill()
        process.wait()
    assert in_warehouse(folder) == Counter(range(600))


def test_a_consumer_that_slept_while_another_took_over_adds_nothing(
    kafka: KafkaServer, topic: str, folder: Path
) -> None:
    produce(kafka, topic, events(0, 300))
    with overtaken(
        folder, lambda: (folder / "data/staging/warehouse.duckdb").exists() and in_lake(folder).total() == 300
    ):
        produce(kafka, topic, events(300, 300))
        end_leases(folder)
        assert drained(folder).state is State.DONE
        produce(kafka, topic, events(600, 300))
    drained(folder)
    assert in_lake(folder) == in_warehouse(folder) == Counter(range(900))


def test_what_was_polled_ahead_of_a_rejected_micro_batch_is_read_again(
    kafka: KafkaServer, topic: str, folder: Path
) -> None:
    pipeline = (folder / "pipeline.py").read_text()
    (folder / "pipeline.py").write_text(
        pipeline.replace('"every": "200ms"', '"rows": 100').replace('severity="quarantine"', 'severity="error"')
    )
    rows = events(0, 1000)
    rows[450]["n"] = -1
    produce(kafka, topic, rows)
    stopped = drained(folder)
    assert stopped.exit_code == 3
    (folder / "pipeline.py").write_text(pipeline.replace('"every": "200ms"', '"rows": 100'))
    assert drained(folder, retry=True).state is State.DONE
    assert in_warehouse(folder) == Counter(range(1000)) - Counter([450])


def test_messages_that_are_no_rows_are_kept_whole_and_their_neighbours_land(
    kafka: KafkaServer, topic: str, folder: Path
) -> None:
    produce(kafka, topic, [b"{oops", *events(0, 30), b"\xff\xfe", *events(30, 30), {"n": "many"}, *events(60, 30)])
    produce(kafka, topic, [{"n": 90}], key=b"\xff", headers=[("h", b"\xfe")], partition=2)
    drained(folder)
    assert in_warehouse(folder) == Counter(range(90))
    with Project(folder) as project:
        project.quarantine.export("clicks", str(folder / "lines.jsonl"), lines=True)
    lines = [json.loads(line) for line in (folder / "lines.jsonl").read_text().splitlines()]
    found = {line["_reasons"][0]: (line["_line"], json.loads(line["_origin_detail"])) for line in lines[:3]}
    assert {reason: line for reason, (line, _) in found.items()} == {
        "no_json": "{oops",
        "wrong_encoding": None,
        "wrong_type": '{"n": "many"}',
    }
    detail = found["no_json"][1]
    assert (detail["topic"], detail["partition"], detail["offset"]) == (topic, "0", 0)
    assert found["wrong_encoding"][1]["value_base64"] == "//4="
    last = json.loads(lines[3]["_origin_detail"])
    assert (lines[3]["_line"], last["key"], last["headers"]) == (
        '{"n": 90}',
        {"base64": "/w=="},
        [["h", {"base64": "/g=="}]],
    )


def test_what_retention_deleted_stops_the_stream_or_is_written_down(
    kafka: KafkaServer, topic: str, folder: Path
) -> None:
    from confluent_kafka import TopicPartition

    produce(kafka, topic, events(0, 30))
    drained(folder)
    produce(kafka, topic, events(30, 30))
    admin = kafka.admin()
    admin.delete_records([TopicPartition(topic, 1, 15)])[TopicPartition(topic, 1)].result(20)
    stopped = drained(folder)
    assert (stopped.state, stopped.exit_code) == (State.FAILED, 3)
    assert f"Partition 1 of {topic} no longer has offset 10: it goes on at 15" in stopped.error
    assert in_lake(folder).total() == 30
    recording = (folder / "pipeline.py").read_text().replace('"200ms"', '"200ms", "on_gap": "record"')
    (folder / "pipeline.py").write_text(recording)
    went_on = drained(folder)
    assert any("it goes on at 15" in note for note in went_on.steps[0].notes)
    assert in_warehouse(folder).total() == 55
    with Project(folder) as project:
        loads = [entry for entry in project.versions("clicks") if entry.work and "gaps" in (entry.work.position or {})]
    assert [gap["wanted"] for entry in loads for gap in entry.work.position["gaps"]] == [10]
    assert drained(folder).state is State.UNCHANGED


def test_a_compacted_topic_is_the_state_of_its_keys(kafka: KafkaServer, topic: str, folder: Path) -> None:
    merging = (folder / "pipeline.py").read_text()
    merging = merging.replace('stream={"', 'write="merge", key="_key", deletes="_tombstone", stream={"')
    (folder / "pipeline.py").write_text(merging)
    for key, value in ((b"a", {"n": 1}), (b"b", {"n": 2}), (b"a", None), (b"c", {"n": 3}), (b"b", {"n": 4})):
        produce(kafka, topic, [value], key=key, partition=0)
    drained(folder)
    assert sorted(served(folder, "SELECT _key, n FROM raw_clicks")) == [("b", 4), ("c", 3)]
    for key, value in ((b"c", None), (b"a", {"n": 5}), (b"b", None), (b"b", {"n": 6})):
        produce(kafka, topic, [value], key=key, partition=0)
    drained(folder)
    assert sorted(served(folder, "SELECT _key, n FROM raw_clicks")) == [("a", 5), ("b", 6)]
    assert in_lake(folder, "_key") == Counter({"a": 3, "b": 4, "c": 2}), "the raw zone keeps everything"


def test_what_compaction_took_is_no_gap(kafka: KafkaServer, tmp_path: Path) -> None:
    from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

    config = {"cleanup.policy": "compact", "segment.ms": "200", "min.cleanable.dirty.ratio": "0.01"}
    topic = kafka.create(f"compacted-{next(_NUMBER)}", 1, config)
    settings = f'{SETTINGS}[connections.events]\nurl = "{kafka.url}"\n'
    pipeline = PIPELINE.replace("TOPIC", topic).replace(
        'stream={"', 'write="merge", key="_key", deletes="_tombstone", stream={"'
    )
    folder = made(tmp_path, pipeline, settings)
    produce(kafka, topic, [{"n": 0}], key=b"first", partition=0)
    drained(folder)
    for n in range(200):
        produce(kafka, topic, [{"n": n}], key=b"k%d" % (n % 5), partition=0)
    produce(kafka, topic, [None], key=b"k0", partition=0)

    def left() -> int:
        """Return how many messages a reader finds; another one ends the segment, so that it can be compacted."""
        time.sleep(0.3)
        produce(kafka, topic, [{"n": 1000}], key=b"last", partition=0)
        looking = Consumer({"bootstrap.servers": kafka.hosts, "group.id": "looking", "enable.partition.eof": True})
        looking.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
        found = 0
        while (message := looking.poll(20)) is not None and message.error() is None:
            found += 1
        looking.close()
        return found

    until(lambda: left() < 100)
    assert drained(folder).state is State.DONE
    expected = [("first", 0), *((f"k{n % 5}", n) for n in (196, 197, 198, 199)), ("last", 1000)]
    assert sorted(served(folder, "SELECT _key, n FROM raw_clicks")) == sorted(expected)
    assert in_lake(folder, "_offset").total() < 150, "most were gone before they were read"
    assert drained(folder).state is State.UNCHANGED


def test_a_message_that_a_transaction_aborted_never_counts(kafka: KafkaServer, topic: str, folder: Path) -> None:
    producer = kafka.producer(**{"transactional.id": topic})
    producer.init_transactions()
    for number in range(20):
        producer.begin_transaction()
        for row in events(number * 10, 10):
            producer.produce(topic, json.dumps(row).encode(), partition=row["n"] % 3)
        producer.flush()
        if number % 3:
            producer.commit_transaction()
        else:
            producer.abort_transaction()
        if number in (7, 12):
            drained(folder)
    drained(folder)
    expected = Counter(n for n in range(200) if n // 10 % 3)
    assert in_lake(folder) == in_warehouse(folder) == expected
    assert drained(folder).state is State.UNCHANGED, "markers were passed"


def test_how_fresh_it_is_stands_in_the_manifests(kafka: KafkaServer, topic: str, folder: Path) -> None:
    with Project(folder) as project:
        assert [each.batches for each in project.lags()] == [0]
        made = int(time.time() * 1000) - 60_000
        for first in (0, 30):
            produce(kafka, topic, events(first, 30), timestamp=made + first)
            drained(folder)
        (found,) = project.lags("clicks")
    assert (found.table, found.live) == ("clicks", False)
    assert found.batches >= 2
    assert [(part.partition, part.following) for part in found.partitions] == [("0", 20), ("1", 20), ("2", 20)]
    assert {part.newest.timestamp() for part in found.partitions if part.newest} == {(made + 30) / 1000}
    assert found.lag is not None
    assert found.lag_most is not None
    assert 60 <= found.lag <= found.lag_most < 180
    assert found.age is not None
    assert found.interval is not None
    assert found.longest is not None
    assert 0 < found.interval <= found.longest
    said_ = penstock(folder, "lag")
    assert "clicks: committed" in said_.stdout
    assert topic in said_.stdout
