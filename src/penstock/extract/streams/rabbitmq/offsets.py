"""Streams of RabbitMQ: messages read by their offsets from positions that the lake keeps.

Reading begins at the last message that was read, whose bytes are known by a checksum that stands in the positions
beside the offset: so another stream of the same name is known as another, as long as that message is there. What is
acknowledged to the server is credit, and no position.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from penstock.extract.streams.gaps import declared
from penstock.extract.streams.port import HEADERS, MOMENT, Opening, Polled, Reader, Run, begun, parted
from penstock.extract.streams.rabbitmq.client import Client, header_list
from penstock.model.streams import Gap, Positions, Start

PARTITION = "offset"
LAST = "last"
"""The partition whose offset is the checksum of the last message that was read."""
_OFFSET = "x-stream-offset"
_CREDIT = 1_000
"""Messages that the server sends before it hears that some were taken."""
_HEARTBEAT = 600
"""Seconds; while a micro-batch lands nobody answers, and a connection that broke is made anew at the position."""
_LOOK = 2.0
"""Seconds without a message after which it is asked whether there is none."""


def opened(opening: Opening) -> Reader:
    """Begin to read a stream; ``options``: ``stream``."""
    client = Client(opening.endpoint, str(opening.source.options["stream"]), _HEARTBEAT)
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
        self._held: pa.RecordBatch | None = None
        self._heard = time.monotonic()
        known = opening.positions.get(self._stream, {})
        self._last: int | None = known.get(LAST)
        self._moved = PARTITION not in known
        end = client.end()
        if PARTITION in known:
            self._at = known[PARTITION]
        else:
            self._at = end if stream.start is Start.LATEST else 0
        self._begun = PARTITION in known or stream.start is Start.LATEST
        self._gaps: tuple[Gap, ...] = ()
        self._compare(end)

    @property
    def envelope(self) -> Mapping[str, str]:
        """The offset, when the publisher says that it sent the message, its routing key, and its headers."""
        return {"_offset": "offset", "_timestamp": "timestamp", "_routing_key": "key", "_headers": "headers"}

    def poll(self, most: int, wait: float) -> Polled:
        """Return messages that came."""
        if self._held is None:
            self._take(most, wait)
        run = self._run(most) if self._held is not None else None
        gaps, self._gaps = self._gaps, ()
        moved = self._moved or bool(gaps) or run is not None
        self._moved = False
        places = [(self._stream, PARTITION, self._at)]
        if self._last is not None:
            places.append((self._stream, LAST, self._last))
        return Polled((run,) if run else (), gaps, tuple(places) if moved else ())

    def ends(self) -> Positions:
        """Return the offset behind the last message."""
        end = self._client.end()
        self._compare(end)
        return {self._stream: {PARTITION: end}}

    def acknowledge(self, positions: Positions) -> None:
        """Tell nobody: the server keeps no position of ours."""

    def close(self) -> None:
        """Leave."""
        self._client.close()

    def _take(self, most: int, wait: float) -> None:
        """Hold messages that came, if there are any."""
        deadline = time.monotonic() + wait
        while self._held is None:
            self._attach()
            found = self._client.receive(max(0.0, deadline - time.monotonic()), most)
            if found:
                self._heard = time.monotonic()
                self._client.acknowledge(found[-1][0].delivery_tag)
                self._hold(messages(found))
            if time.monotonic() - self._heard >= _LOOK:
                self._heard = time.monotonic()
                self._compare(self._client.end())
            if time.monotonic() >= deadline:
                return

    def _attach(self) -> None:
        if not self._client.consuming:
            # The last message that was read comes first, and tells whether this is still the same stream.
            first = self._at - 1 if self._last is not None and self._at else self._at
            self._client.consume(_CREDIT, {_OFFSET: first if self._begun else "first"})

    def _hold(self, data: pa.RecordBatch) -> None:
        """Hold what comes next of messages, unless they are of another stream, or something is missing before them."""
        offset = data.column("offset")[0].as_py()
        if self._last is not None and offset == self._at - 1 and checksum(data, 0) != self._last:
            self._restart("the stream was made anew")
            return
        fresh = data.slice(max(0, min(data.num_rows, self._at - offset)) if self._begun else 0)
        if not fresh.num_rows:
            return
        first = fresh.column("offset")[0].as_py()
        if self._begun and first > self._at:
            self._gaps += (self._gap(first, "its retention has removed them"),)
        self._begun, self._at, self._held = True, first, fresh

    def _compare(self, end: int) -> None:
        """Notice that the stream ends before what was read of it."""
        if self._begun and end < self._at:
            self._restart(f"it ends at {end}, as another or an older stream")

    def _restart(self, reason: str) -> None:
        """Go on at the beginning of what is there."""
        self._gaps += (self._gap(0, reason),)
        self._at, self._last, self._begun, self._held = 0, None, False, None
        self._client.leave()

    def _gap(self, found: int, reason: str) -> Gap:
        gap = Gap(topic=self._stream, partition=PARTITION, wanted=self._at, found=found, reason=reason)
        return declared(gap, self._on_gap, self._table)

    def _run(self, most: int) -> Run | None:
        """Return about ``most`` bytes of the messages that are held, one at least."""
        held = self._held
        assert held is not None
        data, self._held = parted(held, most)
        self._at = data.column("offset")[-1].as_py() + 1
        self._last = checksum(data, data.num_rows - 1)
        return Run(self._stream, PARTITION, self._at, data)


def checksum(data: pa.RecordBatch, place: int) -> int:
    """Return a checksum of the value of one of the messages."""
    return zlib.crc32(data.column("value")[place].as_py())


def messages(found: Sequence[tuple[Any, Any, bytes]]) -> pa.RecordBatch:
    """Return deliveries, properties and bodies as columns."""
    moments = [properties.timestamp for _, properties, _ in found]
    headers = [
        header_list({name: value for name, value in properties.headers.items() if name != _OFFSET})
        for _, properties, _ in found
    ]
    return pa.RecordBatch.from_pydict(
        {
            "offset": pa.array([int(properties.headers[_OFFSET]) for _, properties, _ in found], pa.int64()),
            "timestamp": pa.array([None if each is None else each * 1_000_000 for each in moments], MOMENT),
            "key": pa.array([delivery.routing_key for delivery, _, _ in found], pa.string()),
            "value": pa.array([body for _, _, body in found], pa.binary()),
            "headers": pa.array(
                [[{"name": name, "value": value} for name, value in each] for each in headers], HEADERS
            ),
        }
    )
