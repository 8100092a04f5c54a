"""Apache Kafka: partitions read from positions that the lake keeps; the consumer group serves lag displays alone.

Partitions are assigned by hand, not by the group: which process may write is decided by the lease and by the lake, and
a rebalance in the middle of a commit cannot happen. Only committed transactions are read. Where a partition no longer
has the offset that comes next, the stream stops or records a gap; the client never chooses another offset by itself.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from penstock.errors import ConfigurationError, DataError, MissingExtraError, TransientError
from penstock.extract.streams.kafka_client import Client, offsets_of
from penstock.extract.streams.port import HEADERS, MESSAGES, MOMENT, Opening, Polled, Reader, Run
from penstock.model.streams import Gap, OnGap, Positions, Start

_REFRESH = 10.0
"""Seconds between two looks for partitions that were added."""
_MOST = 20_000
"""Messages that are taken from the client at a time."""
_FIRST = 500
"""The same at the beginning, while nothing is known of their size."""
_SLICE = 0.05
"""Seconds for which the client gathers messages, once some are there."""


class KafkaSource:
    """Reads topics; ``options`` name them: ``topics``, and the group for displays: ``group``."""

    def open(self, opening: Opening) -> Reader:
        """Begin to read."""
        if opening.connection is None:
            raise ConfigurationError(f"Stream {opening.source.table!r} has no connection", remedy="Name a connection")
        try:
            import confluent_kafka  # noqa: F401
        except ImportError:
            raise MissingExtraError("Reading from Kafka", "kafka") from None
        topics = opening.source.options.get("topics") or ()
        client = Client(
            opening.connection, str(opening.source.options.get("group") or f"penstock-{opening.source.table}")
        )
        try:
            return _Reader(opening, client, tuple(topics))
        except BaseException:
            client.close()
            raise


class _Reader:
    """One reading of some topics."""

    def __init__(self, opening: Opening, client: Client, topics: tuple[str, ...]) -> None:
        stream = opening.source.stream
        assert stream is not None
        self._table = opening.source.table
        self._stream = stream
        self._client = client
        self._topics = topics
        self._at: dict[tuple[str, int], int] = {}
        self._gaps: list[Gap] = []
        self._moved: list[tuple[str, str, int]] = []
        self._size = 0.0
        self._looked = time.monotonic()
        self._begin(opening.positions)

    @property
    def envelope(self) -> Mapping[str, str]:
        """Everything that a message has beside its value."""
        return {
            "_topic": "topic",
            "_partition": "partition",
            "_offset": "offset",
            "_timestamp": "timestamp",
            "_key": "key",
            "_headers": "headers",
            "_tombstone": "tombstone",
        }

    def poll(self, most: int, wait: float) -> Polled:
        """Return messages that came."""
        if time.monotonic() - self._looked >= _REFRESH:
            self._look_for_partitions()
        count = _FIRST if not self._size else max(1, min(_MOST, int(most / self._size)))
        messages = self._client.consume(1, wait)
        if messages and count > 1:
            messages += self._client.consume(count - 1, _SLICE)
        found = self._taken(messages)
        gaps, self._gaps = tuple(self._gaps), []
        moved, self._moved = tuple(self._moved), []
        if not messages:
            self._client.raise_if_away()
        return Polled(found, gaps, moved)

    def ends(self) -> Positions:
        """Return where each partition ends for readers of committed messages."""
        return _positions(self._client.ends(list(self._at)))

    def acknowledge(self, positions: Positions) -> None:
        """Commit the offsets of the group, which nobody reads from."""
        self._client.commit(offsets_of(positions))

    def close(self) -> None:
        """Leave."""
        self._client.close()

    def _begin(self, positions: Positions) -> None:
        partitions = self._client.partitions(self._topics)
        for topic in self._topics:
            if not partitions.get(topic):
                raise ConfigurationError(
                    f"There is no topic {topic!r} (stream {self._table!r})",
                    valid=self._client.topics(),
                    remedy="Create it, or name one that is there",
                )
        everything = [(topic, partition) for topic in self._topics for partition in partitions[topic]]
        known = offsets_of(positions)
        # A partition that came later than the others is read from its beginning: none of it was seen.
        latest = self._stream.start is Start.LATEST and not known
        ends = self._client.ends(everything) if latest or known else {}
        for place in everything:
            low = self._client.beginning(*place)
            if place in known:
                self._at[place] = self._verified(place, known[place], low, ends[place])
            else:
                self._at[place] = ends[place] if latest else low
                # Where it began is part of the first load, so that a restart begins there as well.
                self._moved.append((place[0], str(place[1]), self._at[place]))
        self._client.assign(self._at)

    def _verified(self, place: tuple[str, int], wanted: int, low: int, end: int) -> int:
        """Return where a partition goes on; raises DataError, or notes a gap, where that is no longer there."""
        if low <= wanted <= end:
            return wanted
        why = f"the topic ends at {end}: it was made anew, or cut" if wanted > end else "retention has deleted them"
        gap = Gap(topic=place[0], partition=str(place[1]), wanted=wanted, found=low, reason=why)
        if self._stream.on_gap is OnGap.STOP:
            raise DataError(
                f"The stream {self._table!r} cannot go on: {gap.sentence}",
                remedy="To go on there and keep a record of what is missing: on_gap='record'",
            )
        self._gaps.append(gap)
        return low

    def _look_for_partitions(self) -> None:
        self._looked = time.monotonic()
        with contextlib.suppress(TransientError):
            partitions = self._client.partitions(self._topics)
            new = [(t, p) for t in self._topics for p in partitions.get(t, ()) if (t, p) not in self._at]
            for place in new:
                self._at[place] = self._client.beginning(*place)
            if new:
                self._client.assign(self._at)

    def _taken(self, messages: Sequence[Any]) -> tuple[Run, ...]:
        """Return messages as runs; what is no message says where a partition ends, or that an offset is gone."""
        from confluent_kafka import KafkaError

        held: dict[tuple[str, int], list[Any]] = {}
        for message in messages:
            error = message.error()
            if error is None:
                held.setdefault((message.topic(), message.partition()), []).append(message)
                continue
            place = (message.topic(), message.partition())
            if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - the client's name for it
                self._ended(place, message.offset(), held.get(place))
            elif error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):  # noqa: SLF001
                self._lost(place, held.get(place))
            else:
                self._client.refuse(error, f"Reading {place[0]} (stream {self._table!r})")
        runs = []
        for place, came in held.items():
            # After a partition was assigned anew, what the client had fetched before may come once more.
            new = [message for message in came if message.offset() >= self._at[place]]
            if new:
                run = _run(place, new)
                runs.append(run)
                self._at[place] = max(self._at[place], run.following)
        rows = sum(run.data.num_rows for run in runs)
        if rows:
            self._size = max(16.0, sum(run.data.nbytes for run in runs) / rows, self._size * 0.9)
        return tuple(runs)

    def _ended(self, place: tuple[str, int], end: int, held: Sequence[Any] | None) -> None:
        """Take in that a partition ends: past markers and aborted messages, which come as nothing else."""
        after = held[-1].offset() + 1 if held else self._at[place]
        if end > after:
            self._moved.append((place[0], str(place[1]), end))
            if not held:
                self._at[place] = end

    def _lost(self, place: tuple[str, int], held: Sequence[Any] | None) -> None:
        """Take in that the offset that comes next is gone at the broker."""
        wanted = held[-1].offset() + 1 if held else self._at[place]
        ends = self._client.ends([place])
        self._at[place] = self._verified(place, wanted, self._client.beginning(*place), ends[place])
        self._client.assign(self._at)


def _run(place: tuple[str, int], messages: Sequence[Any]) -> Run:
    """Return messages of one partition as columns."""
    headers = [message.headers() for message in messages]
    columns = [
        pa.array([message.offset() for message in messages], pa.int64()),
        pa.array([_millis(message.timestamp()) for message in messages], pa.timestamp("ms", "UTC")).cast(MOMENT),
        pa.array([message.key() for message in messages], pa.binary()),
        pa.array([message.value() for message in messages], pa.binary()),
        pa.array([_named(each) for each in headers], HEADERS) if any(headers) else pa.nulls(len(messages), HEADERS),
    ]
    data = pa.RecordBatch.from_arrays(columns, schema=MESSAGES)
    return Run(place[0], str(place[1]), messages[-1].offset() + 1, data)


def _millis(timestamp: tuple[int, int]) -> int | None:
    kind, moment = timestamp
    return moment if kind else None


def _named(headers: Sequence[tuple[str, bytes | None]] | None) -> list[dict[str, Any]] | None:
    return None if headers is None else [{"name": name, "value": value} for name, value in headers]


def _positions(ends: Mapping[tuple[str, int], int]) -> Positions:
    found: dict[str, dict[str, int]] = {}
    for (topic, partition), end in ends.items():
        found.setdefault(topic, {})[str(partition)] = end
    return found
