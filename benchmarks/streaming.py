"""Kafka to the raw lake: ``python -m benchmarks.streaming bare|by_hand|penstock|lake FOLDER HOSTS COUNT``."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TOPIC, FEW = "clicks", "clicks_few"
"""The topic, and one with fewer of the same events, for peers that would take minutes for all."""
_PARTITIONS = 3
_BATCH = 200_000
_SETTINGS = """
[project]
name = "video"
pipelines = ["pipeline:clicks"]
[environments.staging]
lake = "lake"
warehouse = "t.duckdb"
[connections.events]
url = "kafka://HOSTS"
"""
_PIPELINE = """
from penstock import Pipeline, sources
clicks = Pipeline(name="clicks", sources=[sources.kafka("events", topics="clicks", table="t", stream={"every": "10s"})])
"""


def main() -> None:
    """Do the work that the arguments name."""
    work, folder, hosts, count = sys.argv[1:]
    WORKS[work](Path(folder), hosts, int(count))


def produce(producer: Any, count: int, topic: str = TOPIC) -> None:
    """Write events of about 300 bytes over the partitions of a topic."""
    for number in range(count):
        event = {
            "id": number,
            "user": f"user-{number % 50_000}",
            "video": f"video-{number % 3_000}",
            "seconds": number % 600,
            "share": number % 1000 / 1000,
            "at": f"2026-11-22T05:{number // 60 % 60:02}:{number % 60:02}Z",
            "agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)",
            "page": f"/watch/{number % 3_000}?from=home&list={number % 77}",
        }
        producer.produce(topic, json.dumps(event).encode(), partition=number % _PARTITIONS)
        if not number % 10_000:
            producer.poll(0)
    if producer.flush(60):
        raise SystemExit("The broker did not take all events")


def bare(folder: Path, hosts: str, count: int) -> None:
    """Consume and count: the least that a client does."""
    found = sum(len(messages) for messages in _messages(hosts, count))
    (folder / "count").write_text(str(found))


def by_hand(folder: Path, hosts: str, count: int) -> None:
    """Consume, parse many values at once by Arrow, and write a Parquet file for each many: nothing is kept apart."""
    import io

    import pyarrow.json as pj
    import pyarrow.parquet as pq

    waiting: list[bytes] = []
    lake = folder / "lake"
    lake.mkdir()

    def write(number: int) -> None:
        table = pj.read_json(io.BytesIO(b"\n".join(waiting)), pj.ReadOptions(block_size=16 * 2**20))
        pq.write_table(table, lake / f"{number}.parquet", compression="zstd")
        waiting.clear()

    written = 0
    for messages in _messages(hosts, count):
        waiting += [message.value() for message in messages]
        if len(waiting) >= _BATCH:
            written += 1
            write(written)
    if waiting:
        write(written + 1)


def penstock(folder: Path, hosts: str, count: int) -> None:
    """Let a stream drain the topic: into lake and warehouse, each event once."""
    del count
    _stream(folder, hosts, _PIPELINE)


def lake(folder: Path, hosts: str, count: int) -> None:
    """Let a stream drain the topic into the lake alone: checked and committed, each event once."""
    del count
    _stream(folder, hosts, _PIPELINE.replace('"10s"', '"10s", "load": "run"'))


def _stream(folder: Path, hosts: str, pipeline: str) -> None:
    (folder / "penstock.toml").write_text(_SETTINGS.replace("HOSTS", hosts))
    (folder / "pipeline.py").write_text(pipeline)
    # In the place of this process, whose memory would count as well.
    os.chdir(folder)
    os.execv(sys.executable, [sys.executable, "-m", "penstock", "stream", "--until-end"])


def _messages(hosts: str, count: int) -> Iterator[list[Any]]:
    from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": hosts, "group.id": "bench", "enable.auto.commit": False})
    consumer.assign([TopicPartition(TOPIC, partition, OFFSET_BEGINNING) for partition in range(_PARTITIONS)])
    found = 0
    while found < count:
        messages = [message for message in consumer.consume(10_000, 1.0) if message.error() is None]
        found += len(messages)
        yield messages
    consumer.close()


WORKS = {"bare": bare, "by_hand": by_hand, "penstock": penstock, "lake": lake}

if __name__ == "__main__":
    main()
