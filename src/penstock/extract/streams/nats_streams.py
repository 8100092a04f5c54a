"""NATS JetStream: messages read by their sequence from positions that the lake keeps; nothing is acknowledged there.

The server keeps a consumer for as long as a reading lasts, which numbers what it sends: a message that was lost on the
way is noticed, and reading begins again at the position. Beside the sequence, under ``sequence``, the positions hold
under ``created`` when the stream was made, so that another one of the same name is known as another.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from penstock.extract.streams.gaps import declared
from penstock.extract.streams.nats_client import Client, State
from penstock.extract.streams.port import HEADERS, MOMENT, Opening, Polled, Reader, Run, begun, parted
from penstock.model.streams import Gap, Positions, Start

PARTITION = "sequence"
CREATED = "created"
"""The partition whose offset is the moment at which the stream was made."""
_MOST = 5_000
"""Messages that are asked for at a time."""
_FIRST = 16
"""The same while nothing is known of their size."""
_LOOK = 1.0
"""Seconds without a message after which the stream is looked at."""


class NatsSource:
    """Reads a stream of JetStream; ``options``: ``stream``, and ``subject``, which may have wildcards."""

    def open(self, opening: Opening) -> Reader:
        """Begin to read."""
        return begun(Client(opening.endpoint), lambda client: _Reader(opening, client))


class _Reader:
    """One reading of one stream."""

    def __init__(self, opening: Opening, client: Client) -> None:
        options, stream = opening.source.options, opening.source.stream
        assert stream is not None
        self._table = opening.source.table
        self._on_gap = stream.on_gap
        self._stream = str(options["stream"])
        self._subject: str | None = options.get("subject")
        self._client = client
        self._number = 0
        self._held: pa.RecordBatch | None = None
        known = opening.positions.get(self._stream, {})
        state = client.state(self._stream)
        self._size = state.size
        self._whole = state.whole and self._subject is None
        self._created = known.get(CREATED, state.created)
        self._moved = PARTITION not in known
        if PARTITION in known:
            self._at = known[PARTITION]
        else:
            self._at = state.following if stream.start is Start.LATEST else state.first
        self._looked = time.monotonic()
        self._gaps = self._gone(state)

    @property
    def envelope(self) -> Mapping[str, str]:
        """The subject, the sequence, when the server took the message, and its headers."""
        return {"_subject": "key", "_offset": "offset", "_timestamp": "timestamp", "_headers": "headers"}

    def poll(self, most: int, wait: float) -> Polled:
        """Return messages that came."""
        if self._held is None:
            self._take(most, wait)
        run = self._run(most) if self._held is not None else None
        gaps, self._gaps = self._gaps, ()
        moved = self._moved or bool(gaps) or run is not None
        self._moved = False
        places = ((self._stream, PARTITION, self._at), (self._stream, CREATED, self._created))
        return Polled((run,) if run else (), gaps, places if moved else ())

    def ends(self) -> Positions:
        """Return the sequence behind the last message, of the subject where one is named."""
        if self._subject is None:
            return {self._stream: {PARTITION: self._client.state(self._stream).following}}
        return {self._stream: {PARTITION: self._client.end(self._stream, self._subject)}}

    def acknowledge(self, positions: Positions) -> None:
        """Tell nobody: the server keeps no position of ours."""

    def close(self) -> None:
        """Leave."""
        self._client.close()

    def _take(self, most: int, wait: float) -> None:
        """Hold messages that came, if there are any and nothing was lost before them."""
        count = max(1, min(_MOST, int(most / self._size))) if self._size else _FIRST
        found = self._client.fetch(self._stream, self._at, self._subject, count, wait)
        if not found:
            if time.monotonic() - self._looked >= _LOOK:
                self._look()
            return
        data, numbers = messages(found)
        if numbers[0].as_py() == 1:
            self._number = 0
        expected = range(self._number + 1, self._number + 1 + len(numbers))
        if numbers.to_pylist() != list(expected):
            self._client.leave()
            return
        self._number = expected[-1]
        self._size = max(1.0, data.nbytes / data.num_rows, 0.9 * self._size)
        sequences = data.column("offset")
        jumps = self._whole and sequences[-1].as_py() - self._at + 1 != len(sequences)
        if jumps or (sequences[0].as_py() != self._at and not self._whole):
            self._look(sequences if jumps else None)
        self._held = data

    def _look(self, sequences: pa.Int64Array | None = None) -> None:
        """Look whether what comes next is gone, or reading does not see what is there."""
        self._looked = time.monotonic()
        state = self._client.state(self._stream)
        gaps = self._gone(state)
        self._gaps += gaps
        if sequences is not None and not gaps:
            self._gaps += self._deleted(sequences)
        elif sequences is None and self._held is None and self.ends()[self._stream][PARTITION] > self._at:
            # Messages are there and do not come: the server has forgotten the consumer.
            self._client.leave()

    def _gone(self, state: State) -> tuple[Gap, ...]:
        """Return what was gone before it could be read, and go on behind it; raises DataError where that is to stop."""
        if state.created != self._created:
            gap = self._missing(state.first, "the stream was made anew")
            self._created = state.created
        elif state.following < self._at:
            # What is there was read: an older state has come back, and new messages come behind that.
            gap = self._missing(state.following, f"it ends at {state.following}, as an older state")
        elif state.first > self._at:
            gap = self._missing(state.first, "its limits have removed them")
        else:
            return ()
        self._at = gap.found
        self._client.leave()
        return (gap,)

    def _deleted(self, sequences: pa.Int64Array) -> tuple[Gap, ...]:
        """Return the first of the messages that were deleted one by one, as a gap."""
        there = sequences.to_pylist()
        before = [self._at - 1, *there[:-1]]
        lost = [(last + 1, following) for last, following in zip(before, there, strict=True) if following > last + 1]
        return tuple(self._missing(found, "deleted one by one", wanted) for wanted, found in lost)

    def _missing(self, found: int, reason: str, wanted: int | None = None) -> Gap:
        wanted = self._at if wanted is None else wanted
        gap = Gap(topic=self._stream, partition=PARTITION, wanted=wanted, found=found, reason=reason)
        return declared(gap, self._on_gap, self._table)

    def _run(self, most: int) -> Run | None:
        """Return about ``most`` bytes of the messages that are held, one at least."""
        held = self._held
        assert held is not None
        held = held.filter(pc.greater_equal(held.column("offset"), self._at))
        self._held = None
        if not held.num_rows:
            return None
        data, self._held = parted(held, most)
        self._at = data.column("offset")[-1].as_py() + 1
        return Run(self._stream, PARTITION, self._at, data)


def messages(found: Sequence[Any]) -> tuple[pa.RecordBatch, pa.Int64Array]:
    """Return messages of the client as columns, and the numbers that their consumer gave them."""
    # $JS.ACK, (domain, account,) stream, consumer, deliveries, sequence, number, nanosecond, …
    parts = pc.split_pattern(pa.array([each.reply for each in found], pa.string()), ".")
    place = 5 if len(parts[0]) == 9 else 7
    sequence, number, moment = (pc.list_element(parts, place + each).cast(pa.int64()) for each in range(3))
    headers = [
        [{"name": name, "value": str(value).encode()} for name, value in (each.headers or {}).items()] for each in found
    ]
    data = pa.RecordBatch.from_pydict(
        {
            "offset": sequence,
            "timestamp": pc.divide(moment, 1000).cast(MOMENT),
            "key": pa.array([each.subject for each in found], pa.string()),
            "value": pa.array([each.data for each in found], pa.binary()),
            "headers": pa.array(headers, HEADERS),
        }
    )
    return data, number
