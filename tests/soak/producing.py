"""A producer of known events: ``python producing.py HOSTS TOPIC EVENTS SECONDS SEED FILE``.

It is idempotent, waits for ``acks=all`` for as long as it takes, and writes at the end which events were acknowledged,
with the place that the broker gave to each.
"""

from __future__ import annotations

import hashlib
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

PARTITIONS = 6
_STEP = 0.05
"""Seconds between two portions."""


def event(seed: str, number: int) -> bytes:
    """Return an event; one of 997 has a value that a check sets aside."""
    watched = -1 if number % 997 == 0 else number % 600
    text = hashlib.md5(f"{seed}:{number}".encode(), usedforsecurity=False).hexdigest()
    return f'{{"n": {number}, "user": "u{number % 5003}", "watched": {watched}, "text": "{text}"}}'.encode()


EXPECTED = """
    SELECT n, {own}, 'u' || n % 5003 AS u, CASE WHEN n % 997 = 0 THEN -1 ELSE n % 600 END AS w, md5('{seed}:' || n) AS t
    FROM {of}
"""
"""The multiset that ``event`` made; ``own`` is what the far end told of each."""


def main() -> None:
    hosts, topic, events, seconds, seed, file = sys.argv[1:]
    sent = Sent(hosts, int(events))
    sent.all(topic, float(seconds), seed)
    sent.write(Path(file))


class Sent:
    """What was sent, and what came back."""

    def __init__(self, hosts: str, events: int) -> None:
        from confluent_kafka import Producer

        self.times = np.zeros(events, np.int32)
        self.partitions = np.full(events, -1, np.int16)
        self.offsets = np.full(events, -1, np.int64)
        self.refused = 0
        settings = {
            "bootstrap.servers": hosts,
            "enable.idempotence": True,
            "acks": "all",
            "message.timeout.ms": 0,
            "linger.ms": 20,
            "reconnect.backoff.max.ms": 500,
            "log_level": 0,
        }
        self._producer: Any = Producer(settings)

    def all(self, topic: str, seconds: float, seed: str) -> None:
        events, begun = len(self.times), time.monotonic()
        done = 0
        while done < events:
            passed = time.monotonic() - begun
            upto = min(events, int(events * min(1.0, passed / seconds)) + 1)
            for number in range(done, upto):
                self._send(topic, number, event(seed, number))
            done = upto
            self._producer.poll(_STEP)
        if self._producer.flush(600):
            raise SystemExit("the broker did not take all events")

    def _send(self, topic: str, number: int, value: bytes) -> None:
        while True:
            try:
                self._producer.produce(
                    topic,
                    value,
                    partition=number % PARTITIONS,
                    on_delivery=lambda error, message: self._told(number, error, message),
                )
            except BufferError:
                self._producer.poll(0.1)
            else:
                return

    def _told(self, number: int, error: Any, message: Any) -> None:
        if error is not None:
            self.refused += 1
            return
        self.times[number] += 1
        self.partitions[number] = message.partition()
        self.offsets[number] = message.offset()

    def write(self, file: Path) -> None:
        if self.refused or (self.times != 1).any():
            raise SystemExit(f"{self.refused} events were refused, {(self.times != 1).sum()} not told of once")
        numbers = np.arange(len(self.times), dtype=np.int64)
        columns = {"n": numbers, "partition": self.partitions, "offset": self.offsets}
        pq.write_table(pa.table(columns), file.with_suffix(".part"))
        file.with_suffix(".part").rename(file)


if __name__ == "__main__":
    main()
