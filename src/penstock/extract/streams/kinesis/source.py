"""Streams of Kinesis: records read by their sequence numbers from positions that the lake keeps.

The positions hold of each shard the sequence number that comes next, how many records were read of it (the offset of a
row; a sequence number is too long for one) and when the last one arrived; whether a closed shard was read to its end,
after which its children are; and when the stream was made, so that another one of the same name is known as another.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from penstock.extract.streams.gaps import declared
from penstock.extract.streams.kinesis.client import Client, Shard, State
from penstock.extract.streams.port import HEADERS, MOMENT, Opening, Polled, Reader, Run, begun, fitting
from penstock.model.streams import Gap, Positions, Start
from penstock.values import dataclass

CREATED = "created"
"""The partition whose offset is the moment at which the stream was made, in microseconds since 1970."""
SINCE = "since"
"""The same of the millisecond from which on shards are read, where reading began with what comes."""
_COUNT, _ARRIVED, _CLOSED = "count of ", "arrival in ", "end of "
_MOST = 10_000
"""Records of an answer; the service gives no more."""
_FIRST = 100
"""The same while nothing is known of their size."""
_PAUSE = 0.25
"""Seconds between two requests about a shard that had nothing; it may be asked five times a second."""
_LOOK = 10.0
"""Seconds after which it is asked for new shards."""


@dataclass(slots=True)
class _Reading:
    """A shard that is read."""

    iterator: str | None = None
    asked: float = 0.0
    current: bool = False
    ended: bool = False
    held: list[dict[str, Any]] = field(default_factory=list)


class KinesisSource:
    """Reads a stream; ``options``: ``stream``."""

    def open(self, opening: Opening) -> Reader:
        """Begin to read."""
        client = Client(opening.endpoint, str(opening.source.options["stream"]))
        return begun(client, lambda client: _Reader(opening, client))


class _Reader:
    """One reading of one stream."""

    def __init__(self, opening: Opening, client: Client) -> None:
        stream = opening.source.stream
        assert stream is not None
        self._table = opening.source.table
        self._on_gap = stream.on_gap
        self._stream = str(opening.source.options["stream"])
        self._client = client
        self._gaps: list[Gap] = []
        self._at = dict(opening.positions.get(self._stream, {}))
        self._moved: dict[str, int] = {}
        self._reading: dict[str, _Reading] = {}
        self._size = 0.0
        latest = not self._at and stream.start is Start.LATEST
        if latest:
            self._move(SINCE, int(time.time() * 1000))
        self._look()
        self._latest = set(self._reading) if latest else set[str]()
        self._expired()

    @property
    def envelope(self) -> Mapping[str, str]:
        """The shard, how many records of it came before, when it arrived, its partition key and sequence number."""
        return {
            "_shard": "topic",
            "_offset": "offset",
            "_timestamp": "timestamp",
            "_key": "key",
            "_headers": "headers",
        }

    def poll(self, most: int, wait: float) -> Polled:
        """Return records that came."""
        deadline = time.monotonic() + wait
        while True:
            runs = self._round(most)
            moves = tuple((self._stream, name, at) for name, at in self._moved.items())
            if runs or moves or self._gaps or time.monotonic() >= deadline:
                gaps, self._gaps, self._moved = tuple(self._gaps), [], {}
                return Polled(tuple(runs), gaps, moves)
            time.sleep(max(0.0, min(_PAUSE, deadline - time.monotonic())))

    def ends(self) -> Positions:
        """Return nothing: nobody tells a sequence number before its record. ``reached`` begins anew."""
        self._look()
        for each in self._reading.values():
            each.current = False
        return {}

    def reached(self, positions: Positions) -> bool:  # noqa: ARG002 - what was read is here
        """Say whether each shard was found without a record behind what was read of it."""
        return all(each.current for each in self._reading.values())

    def behind(self, positions: Positions) -> int | None:  # noqa: ARG002 - as it is called
        """Return nothing: the service tells a time, and no number."""
        return None

    def acknowledge(self, positions: Positions) -> None:
        """Tell nobody: the service keeps no position."""

    def close(self) -> None:
        """Leave."""
        self._client.close()

    def _round(self, most: int) -> list[Run]:
        """Ask each shard that may be asked, until there is enough."""
        if time.monotonic() - self._looked >= _LOOK:
            self._look()
        runs, left = list[Run](), most
        # The one that was asked longest ago comes first, so that a busy shard does not starve the others.
        for shard, reading in sorted(self._reading.items(), key=lambda each: each[1].asked):
            if left <= 0:
                break
            if reading.current and time.monotonic() - reading.asked < _PAUSE:
                continue
            run = self._asked(shard, reading, left)
            if run is not None:
                runs.append(run)
                left -= run.data.nbytes
        return runs

    def _asked(self, shard: str, reading: _Reading, most: int) -> Run | None:
        if not reading.held and not reading.ended:
            self._fetch(shard, reading, most)
        run = self._run(shard, reading, most) if reading.held else None
        if reading.ended and not reading.held:
            self._move(_CLOSED + shard, 1)
            self._look()
        return run

    def _fetch(self, shard: str, reading: _Reading, most: int) -> None:
        """Hold records that come next, if there are any."""
        reading.asked = time.monotonic()
        if reading.iterator is None:
            reading.iterator = self._client.iterator(shard, self._where(shard))
            self._latest.discard(shard)
        count = max(1, min(_MOST, int(most / self._size))) if self._size else _FIRST
        answer = self._client.records(reading.iterator, count)
        if answer is None:
            reading.iterator, reading.current = None, False
            return
        reading.iterator, reading.held = answer.following, answer.records
        reading.current, reading.ended = answer.current and not answer.records, answer.following is None

    def _where(self, shard: str) -> dict[str, Any]:
        if self._at.get(shard):
            return {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": str(self._at[shard] - 1)}
        if shard in self._latest:
            return {"ShardIteratorType": "LATEST"}
        if self._at.get(SINCE):
            since = datetime.fromtimestamp(self._at[SINCE] / 1000, UTC)
            return {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": since}
        return {"ShardIteratorType": "TRIM_HORIZON"}

    def _run(self, shard: str, reading: _Reading, most: int) -> Run:
        """Return about ``most`` bytes of the records that are held, one at least."""
        first = self._at.get(_COUNT + shard, 0)
        data = messages(reading.held, first)
        self._size = max(1.0, data.nbytes / data.num_rows, 0.9 * self._size)
        count = fitting(data, most)
        data = data.slice(0, count)
        following = int(reading.held[count - 1]["SequenceNumber"]) + 1
        reading.held = reading.held[count:]
        self._move(shard, following)
        self._move(_COUNT + shard, first + count)
        self._move(_ARRIVED + shard, data.column("timestamp")[-1].cast(pa.int64()).as_py())
        return Run(self._stream, shard, following, data, shard)

    def _move(self, name: str, at: int) -> None:
        self._at[name] = self._moved[name] = at

    def _look(self) -> None:
        """Begin with shards whose parents were read to their ends, or are gone; leave those that were."""
        self._looked = time.monotonic()
        self._compare(self._client.state())
        there = self._client.shards()
        ids = {shard.id for shard in there}
        for shard in there:
            if self._at.get(_CLOSED + shard.id):
                self._reading.pop(shard.id, None)
            elif shard.id not in self._reading and self._may(shard, ids):
                self._reading[shard.id] = _Reading()
        for name in [each for each in self._reading if each not in ids]:
            del self._reading[name]

    def _may(self, shard: Shard, there: set[str]) -> bool:
        return all(parent not in there or self._at.get(_CLOSED + parent) for parent in shard.parents)

    def _expired(self) -> None:
        """Notice shards of which so little was read lately that what came next may be gone."""
        oldest = int((time.time() - self._kept) * 1e6)
        for name, arrived in list(self._at.items()):
            shard = name.removeprefix(_ARRIVED)
            if shard == name or not arrived or self._at.get(_CLOSED + shard):
                continue
            if arrived < oldest:
                hours = f"{self._kept / 3600:g} hours"
                self._miss(shard, self._at[shard], f"the last record that was read is older than the {hours} it keeps")
                self._move(_ARRIVED + shard, int(time.time() * 1e6))

    def _compare(self, state: State) -> None:
        """Notice another stream of the same name, and go on at the beginning of what is there."""
        self._kept = state.kept
        if self._at.get(CREATED, state.created) != state.created:
            for name in [each for each in self._at if each.startswith(_ARRIVED)] or [_ARRIVED]:
                self._miss(name.removeprefix(_ARRIVED), 0, "the stream was made anew")
            for name in self._at:
                self._move(name, 0)
            self._reading.clear()
        if self._at.get(CREATED) != state.created:
            self._move(CREATED, state.created)

    def _miss(self, shard: str, found: int, reason: str) -> None:
        wanted = self._at.get(shard, 0)
        gap = Gap(topic=self._stream, partition=shard, wanted=wanted, found=found, reason=reason)
        self._gaps.append(declared(gap, self._on_gap, self._table))


def messages(records: Sequence[Mapping[str, Any]], first: int) -> pa.RecordBatch:
    """Return records of the service as columns; ``first`` is the offset of the first."""
    headers = [[{"name": "sequence_number", "value": each["SequenceNumber"].encode()}] for each in records]
    return pa.RecordBatch.from_pydict(
        {
            "offset": pa.array(range(first, first + len(records)), pa.int64()),
            "timestamp": pa.array([each["ApproximateArrivalTimestamp"] for each in records], MOMENT),
            "key": pa.array([each["PartitionKey"] for each in records], pa.string()),
            "value": pa.array([each["Data"] for each in records], pa.binary()),
            "headers": pa.array(headers, HEADERS),
        }
    )
