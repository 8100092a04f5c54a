"""Apache Kafka: partitions read from positions that the lake keeps; the consumer group serves lag displays alone.

Partitions are assigned by hand, not by the group: which process may write is decided by the lease and by the lake, and
a rebalance in the middle of a commit cannot happen. Only committed transactions are read. Where a partition no longer
has the offset that comes next, the stream stops or records a gap; the client never chooses another offset by itself.
"""

from __future__ import annotations

import contextlib
import time
from array import array
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, chain, pairwise
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from penstock.errors import ConfigurationError, MissingExtraError, TransientError
from penstock.extract.streams.gaps import declared
from penstock.extract.streams.kafka_client import Client, offsets_of
from penstock.extract.streams.port import HEADERS, MESSAGES, MOMENT, Opening, Polled, Reader, Run, begun
from penstock.model.streams import Gap, Positions, Start

_REFRESH = 10.0
"""Seconds between two looks for partitions that were added."""
_MOST = 20_000
"""Messages that are taken from the client at a time."""
_FIRST = 500
"""The same at the beginning, while nothing is known of their size."""
_STRETCH = 16
"""Messages of one partition after the other, from which on stretches are told as they came."""
_SLICE = 0.05
"""Seconds for which the client gathers messages, once some are there."""


ENVELOPE: Mapping[str, str] = {
    "_topic": "topic",
    "_partition": "partition",
    "_offset": "offset",
    "_timestamp": "timestamp",
    "_key": "key",
    "_headers": "headers",
    "_tombstone": "tombstone",
}
"""Everything that a message has beside its value."""


class KafkaSource:
    """Reads topics; ``options`` name them: ``topics``, and the group for displays: ``group``."""

    envelope = ENVELOPE
    shareable = True

    def open(self, opening: Opening) -> Reader:
        """Begin to read."""
        try:
            import confluent_kafka  # noqa: F401
        except ImportError:
            raise MissingExtraError("Reading from Kafka", "kafka") from None
        topics = opening.source.options.get("topics") or ()
        client = Client(
            opening.endpoint, str(opening.source.options.get("group") or f"penstock-{opening.source.table}")
        )
        return begun(client, lambda client: _Reader(opening, client, tuple(topics)))


class _Reader:
    """One reading of some topics."""

    ahead = True

    def __init__(self, opening: Opening, client: Client, topics: tuple[str, ...]) -> None:
        stream = opening.source.stream
        assert stream is not None
        self._table = opening.source.table
        self._stream = stream
        self._client = client
        self._topics = topics
        self._share = opening.share
        self._at: dict[tuple[str, int], int] = {}
        self._acknowledged: Positions | None = None
        self._gaps: list[Gap] = []
        self._moved: list[tuple[str, str, int]] = []
        self._size = 0.0
        self._looked = time.monotonic()
        self._begin(opening.positions)

    @property
    def envelope(self) -> Mapping[str, str]:
        """Everything that a message has beside its value."""
        return ENVELOPE

    def poll(self, most: int, wait: float) -> Polled:
        """Return messages that came."""
        self._commit()
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
        """Have the offsets of the group committed, which nobody reads from."""
        # By whoever polls: a commit beside a poll in another thread may wait for ever within the client.
        self._acknowledged = positions
        self._client.raise_if_uncommitted()

    def close(self) -> None:
        """Leave."""
        self._commit()
        self._client.close()

    def _commit(self) -> None:
        positions, self._acknowledged = self._acknowledged, None
        if positions is not None:
            self._client.commit(offsets_of(positions))

    def _begin(self, positions: Positions) -> None:
        partitions = self._client.partitions(self._topics)
        for topic in self._topics:
            if not partitions.get(topic):
                raise ConfigurationError(
                    f"There is no topic {topic!r} (stream {self._table!r})",
                    valid=self._client.topics(),
                    remedy="Create it, or name one that is there",
                )
        everything = self._shared(partitions)
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

    def _shared(self, partitions: Mapping[str, Sequence[int]]) -> list[tuple[str, int]]:
        """Return the partitions of the topics that are read here."""
        return [(t, p) for t in self._topics for p in partitions.get(t, ()) if self._share.holds(t, p)]

    def _verified(self, place: tuple[str, int], wanted: int, low: int, end: int) -> int:
        """Return where a partition goes on; raises DataError, or notes a gap, where that is no longer there."""
        if low <= wanted <= end:
            return wanted
        why = f"the topic ends at {end}: it was made anew, or cut" if wanted > end else "retention has deleted them"
        gap = Gap(topic=place[0], partition=str(place[1]), wanted=wanted, found=low, reason=why)
        self._gaps.append(declared(gap, self._stream.on_gap, self._table))
        return low

    def _look_for_partitions(self) -> None:
        self._looked = time.monotonic()
        with contextlib.suppress(TransientError):
            partitions = self._client.partitions(self._topics)
            new = [place for place in self._shared(partitions) if place not in self._at]
            for place in new:
                self._at[place] = self._client.beginning(*place)
            if new:
                self._client.assign(self._at)

    def _taken(self, messages: Sequence[Any]) -> tuple[Run, ...]:
        """Return messages as runs; what is no message says where a partition ends, or that an offset is gone."""
        from confluent_kafka import KafkaError, Message

        errors = list(map(Message.error, messages))
        told = [at for at, error in enumerate(errors) if error is not None] if any(errors) else []
        for at in told:
            error: Any = errors[at]
            place = _place(messages[at])
            if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - the client's name for it
                self._ended(place, messages[at].offset(), _before(messages, errors, at))
            elif error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):  # noqa: SLF001
                self._lost(place, _before(messages, errors, at))
            else:
                self._client.refuse(error, f"Reading {place[0]} (stream {self._table!r})")
        came = [message for message, error in zip(messages, errors, strict=True) if error is None] if told else messages
        runs = []
        for place, data in _split(came, len(self._topics)):
            # After a partition was assigned anew, what the client had fetched before may come once more.
            old = data.column("offset")[0].as_py() < self._at[place]
            new = data.filter(pc.greater_equal(data.column("offset"), self._at[place])) if old else data
            if new.num_rows:
                run = Run(place[0], str(place[1]), new.column("offset")[-1].as_py() + 1, new)
                runs.append(run)
                self._at[place] = max(self._at[place], run.following)
        rows = sum(run.data.num_rows for run in runs)
        if rows:
            self._size = max(16.0, sum(run.data.nbytes for run in runs) / rows, self._size * 0.9)
        return tuple(runs)

    def _ended(self, place: tuple[str, int], end: int, before: int | None) -> None:
        """Take in that a partition ends: past markers and aborted messages, which come as nothing else."""
        if end > (self._at[place] if before is None else before + 1):
            self._moved.append((place[0], str(place[1]), end))
            if before is None:
                self._at[place] = end

    def _lost(self, place: tuple[str, int], before: int | None) -> None:
        """Take in that the offset that comes next is gone at the broker."""
        wanted = self._at[place] if before is None else before + 1
        ends = self._client.ends([place])
        self._at[place] = self._verified(place, wanted, self._client.beginning(*place), ends[place])
        self._client.assign(self._at)


def _before(messages: Sequence[Any], errors: Sequence[Any], at: int) -> int | None:
    """Return the offset of the last message of a partition before a place; None: there is none."""
    place = _place(messages[at])
    for back in range(at - 1, -1, -1):
        if errors[back] is None and _place(messages[back]) == place:
            return int(messages[back].offset())
    return None


def _split(messages: Sequence[Any], topics: int) -> Iterator[tuple[tuple[str, int], pa.RecordBatch]]:
    """Yield messages as columns, partition by partition; of one there may be several, in order."""
    from confluent_kafka import Message

    if not messages:
        return
    data = _columns(messages)
    if topics > 1:
        places: list[Any] = list(zip(map(Message.topic, messages), map(Message.partition, messages), strict=True))
        number_of = {place: number for number, place in enumerate(dict.fromkeys(places))}
        numbers = _whole_numbers(array("q", map(number_of.__getitem__, places)))
    else:
        partitions: list[Any] = list(map(Message.partition, messages))
        numbers = _whole_numbers(array("q", partitions))
    starts = pc.add(pc.indices_nonzero(pc.not_equal(numbers[1:], numbers[:-1])), 1).to_pylist()
    if len(starts) * _STRETCH <= len(messages):
        # As they mostly come: what the broker sent of a partition, and then of another one.
        for first, following in pairwise((0, *starts, len(messages))):
            yield _place(messages[first]), data.slice(first, following - first)
        return
    for number in pc.unique(numbers):
        ours = pc.equal(numbers, number)
        yield _place(messages[pc.index(ours, True).as_py()]), data.filter(ours)


def _place(message: Any) -> tuple[str, int]:
    return message.topic(), message.partition()


def _columns(messages: Sequence[Any]) -> pa.RecordBatch:
    """Return messages as columns: each attribute of all messages by one call."""
    from confluent_kafka import Message

    told = _whole_numbers(array("q", chain.from_iterable(map(Message.timestamp, messages))))
    kinds, millis = (pc.list_element(pa.FixedSizeListArray.from_arrays(told, 2), place) for place in (0, 1))
    if pc.any(pc.equal(kinds, 0)).as_py():
        millis = pc.if_else(pc.equal(kinds, 0), None, millis)
    headers: list[Any] = list(map(Message.headers, messages))
    offsets: list[Any] = list(map(Message.offset, messages))
    columns = [
        _whole_numbers(array("q", offsets)),
        millis.cast(pa.timestamp("ms", "UTC")).cast(MOMENT),
        _binary(list(map(Message.key, messages))),
        _binary(list(map(Message.value, messages))),
        pa.array(map(_named, headers), HEADERS) if any(headers) else pa.nulls(len(messages), HEADERS),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=MESSAGES)


def _whole_numbers(numbers: array[int]) -> pa.Int64Array:
    """Return numbers as a column, without a look at each."""
    return pa.Array.from_buffers(pa.int64(), len(numbers), [None, pa.py_buffer(numbers)])


def _binary(values: list[Any]) -> pa.BinaryArray:
    """Return bytes as a column; where none is missing they are put together in one call."""
    missing = values.count(None)
    if missing == len(values):
        return pa.nulls(len(values), pa.binary())
    if missing:
        return pa.array(values, pa.binary())
    ends = array("i", accumulate(map(len, values), initial=0))
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(values))]
    return pa.Array.from_buffers(pa.binary(), len(values), buffers)


def _named(headers: Sequence[tuple[str, bytes | None]] | None) -> list[dict[str, Any]] | None:
    return None if headers is None else [{"name": name, "value": value} for name, value in headers]


def _positions(ends: Mapping[tuple[str, int], int]) -> Positions:
    found: dict[str, dict[str, int]] = {}
    for (topic, partition), end in ends.items():
        found.setdefault(topic, {})[str(partition)] = end
    return found
