"""From an event to a row that others read: ``python -m benchmarks.living FOLDER HOSTS SECONDS RATE``.

A producer writes a fixed number of events each second, each with its moment; a stream lands them, commits each second,
and publishes them as a live table; a reader with DuckDB alone opens the table's file whenever there is a new one, and
asks for the rows that it has not seen. What it measures ends when the rows are in its hands.
"""

from __future__ import annotations

import json
import multiprocessing
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import numpy as np

TOPIC = "living"
_PARTITIONS = 3
_TICK = 0.02
_WARM = 5.0
"""Seconds at the beginning that are not measured: tables are made, code is loaded."""
_SETTINGS = """
[project]
name = "video"
pipelines = ["pipeline:clicks"]
[environments.staging]
lake = "lake"
warehouse = "t.duckdb"
[environments.production]
lake = "production/lake"
warehouse = "production/warehouse.duckdb"
[connections.events]
url = "kafka://HOSTS"
"""
_PIPELINE = """
from penstock import Pipeline, checks, sources
clicks = Pipeline(
    name="clicks",
    sources=[sources.kafka("events", topics="living", table="t", stream={"every": "1s", "live": True})],
    checks={"t": [checks.not_null("user"), checks.between("seconds", 0, 600, severity="quarantine")]},
)
"""
_EVENT = (
    '{"id": %d, "sent": %d, "user": "user-%d", "video": "video-%d", "seconds": %d, "share": 0.5, '
    '"at": "2026-11-22T05:00:00Z", "agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)", '
    '"page": "/watch/%d?from=home&list=7&more=0123456789012345678901234567890123456789"}'
)


def main() -> None:
    """Produce, stream and read, then tell the latencies."""
    folder, hosts, seconds, rate = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
    (folder / "penstock.toml").write_text(_SETTINGS.replace("HOSTS", hosts))
    (folder / "pipeline.py").write_text(_PIPELINE)
    with open(folder / "said.txt", "w") as said:
        stream = subprocess.Popen([sys.executable, "-m", "penstock", "stream"], cwd=folder, stdout=said, stderr=said)
    producer = multiprocessing.Process(target=produce, args=(hosts, seconds, rate))
    producer.start()
    try:
        waited, commits = read(folder / "production/warehouse.live/t.duckdb", int(seconds * rate), stream, seconds)
    finally:
        producer.terminate()
        producer.join()
        stream.send_signal(signal.SIGTERM)
        stream.wait(60)
    found = {"p50": 50, "p95": 95, "p99": 99, "most": 100}
    told = {name: float(np.percentile(waited, share)) for name, share in found.items()}
    (folder / "latency.json").write_text(json.dumps(told | {"commits": commits, "rows": len(waited)}))


def produce(hosts: str, seconds: float, rate: int) -> None:
    """Write events at a rate, each with the moment at which it was handed to the client, in microseconds."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": hosts, "linger.ms": 5, "queue.buffering.max.messages": 1_000_000})
    begun, number = time.monotonic(), 0
    while number < seconds * rate:
        due = int(min(time.monotonic() - begun, seconds) * rate)
        sent = time.time_ns() // 1000
        for n in range(number, due):
            event = _EVENT % (n, sent, n % 50_000, n % 3_000, n % 600, n % 3_000)
            producer.produce(TOPIC, event.encode(), partition=n % _PARTITIONS)
        number = due
        producer.poll(0)
        time.sleep(_TICK)
    producer.flush(60)


def read(file: Path, count: int, stream: subprocess.Popen[bytes], seconds: float) -> tuple[np.ndarray, int]:
    """Return how many seconds each row took after the warm-up, and how many files there were; all rows once."""
    seen, newest, commits, found = 0, 0, 0, list[np.ndarray]()
    inode, end, first = 0, time.monotonic() + seconds + 120, 0.0
    while seen < count:
        if stream.poll() is not None or time.monotonic() > end:
            raise SystemExit(f"The stream ended, or took too long: {seen} of {count} rows are there")
        if not file.exists() or file.stat().st_ino == inode:
            time.sleep(0.005)
            continue
        inode = file.stat().st_ino
        with duckdb.connect(str(file), read_only=True) as connection:
            connection.execute("SET threads = 1")
            rows = connection.execute("SELECT sent, _load FROM t WHERE _load > ?", [newest]).fetchnumpy()
        if not len(rows["sent"]):
            continue
        now, commits = time.time_ns() // 1000, commits + 1
        seen, newest = seen + len(rows["sent"]), int(rows["_load"].max())
        first = first or float(rows["sent"].min())
        found.append(((now - rows["sent"]) / 1e6)[rows["sent"] > first + _WARM * 1e6])
    return np.concatenate(found), commits


if __name__ == "__main__":
    main()
