"""Redis Streams: entries read by their ids from positions that the lake keeps; consumer groups serve displays alone.

A stream is one partition, ``0``. Beside the offset, the positions hold how many entries there had been before it, as
the partition ``entries``: by that and Redis's own count of all that were ever added, what was trimmed is told exactly
from what had been read before, in the same transaction as the entries are read.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from penstock.errors import ConfigurationError
from penstock.extract.streams.gaps import declared
from penstock.extract.streams.port import Opening, Polled, Reader, Run, begun, fitting
from penstock.extract.streams.redis_client import Client, Entry, State
from penstock.extract.streams.redis_entries import messages
from penstock.extract.streams.redis_offsets import id_before, id_of, offset_of
from penstock.model.streams import Gap, OnGap, Positions, Start

PARTITION = "0"
COUNTED = "entries"
"""The partition whose offset is a number of entries."""
_FIRST = 16
"""Entries that are asked for while nothing is known of their size."""
_MOST = 20_000
"""Entries that are asked for at a time."""


class RedisSource:
    """Reads a stream; ``options``: ``stream``, ``value`` (the field that is the message) and ``group``."""

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
        self._value: str | None = options.get("value")
        self._group: str | None = options.get("group")
        self._client = client
        self._size = 0.0
        self._told = -1
        known = opening.positions.get(self._stream, {})
        state, _ = client.look(self._stream)
        if not state.there and not (known and stream.on_gap is OnGap.RECORD):
            raise ConfigurationError(
                f"There is no stream {self._stream!r} in the Redis of connection {opening.source.connection!r}",
                remedy=f"Add an entry, or make it: XGROUP CREATE {self._stream} penstock $ MKSTREAM",
            )
        if PARTITION in known:
            self._at, self._read = known[PARTITION], known.get(COUNTED, 0)
            if stream.on_gap is OnGap.STOP:
                # Who reads to the end alone might find nothing behind, and never ask.
                self._gap(state, ())
        elif stream.start is Start.LATEST:
            self._at, self._read = state.following, state.added
        else:
            self._at, self._read = state.first, state.added - state.length
        # Where it began is part of the first load, so that a restart begins there as well.
        self._moved = PARTITION not in known and self._at > 0

    @property
    def envelope(self) -> Mapping[str, str]:
        """The entry's id as Redis writes it, as a number that keeps the order, and the moment that it names."""
        beside = {} if self._value is None else {"_headers": "headers"}
        return {"_entry": "key", "_offset": "offset", "_timestamp": "timestamp", **beside}

    def poll(self, most: int, wait: float) -> Polled:
        """Return entries that came."""
        deadline = time.monotonic() + wait
        while True:
            found = self._look(most)
            left = deadline - time.monotonic()
            if found or left <= 0:
                return found
            self._client.wait(self._stream, id_before(self._at), left)

    def ends(self) -> Positions:
        """Return the offset behind the last entry."""
        return {self._stream: {PARTITION: self._client.look(self._stream)[0].following}}

    def behind(self, positions: Positions) -> int | None:
        """Return how many entries were added behind positions; None where the positions do not hold a number."""
        counted = positions.get(self._stream, {}).get(COUNTED)
        return None if counted is None else max(0, self._client.look(self._stream)[0].added - counted)

    def acknowledge(self, positions: Positions) -> None:
        """Set the id of the group, where one is named."""
        at = positions.get(self._stream, {})
        if self._group and PARTITION in at:
            self._client.show(self._stream, self._group, id_before(at[PARTITION]), at.get(COUNTED))

    def close(self) -> None:
        """Leave."""
        self._client.close()

    def _look(self, most: int) -> Polled:
        count = _FIRST if not self._size else max(1, min(_MOST, int(most / self._size)))
        state, entries = self._client.look(self._stream, id_of(self._at), count)
        gap = self._gap(state, entries)
        if gap is not None:
            self._at, self._moved = gap.found, True
            if state.first >= gap.found:
                self._read = state.added - state.length
        runs = (self._run(state, entries, most),) if entries else ()
        moved = self._moved or bool(runs)
        self._moved = False
        places = ((self._stream, PARTITION, self._at), (self._stream, COUNTED, self._read))
        return Polled(runs, () if gap is None else (gap,), places if moved else ())

    def _gap(self, state: State, entries: Sequence[Entry]) -> Gap | None:
        """Return what was gone before it could be read."""
        if not state.there:
            # Whoever deletes a stream may make another: then the gap is known whole.
            return self._missing(0, "the stream was deleted") if self._on_gap is OnGap.STOP else None
        if state.following < self._at:
            # What is there was read: an older state has come back, and new entries come behind that.
            return self._missing(state.following, f"it ends at {id_of(state.following)}, as an older state or another")
        if state.first >= self._at:
            # None of those that were read is there: of all that ever were, what is neither there nor read is gone.
            missing = state.added - state.length - self._read
            if missing < 0:
                return self._missing(state.first, "the stream was made anew")
            return self._missing(state.first, f"trimmed: {missing} from {id_of(self._at)} on") if missing else None
        if state.deleted >= self._at and state.deleted > self._told:
            self._told = state.deleted
            following = offset_of(entries[0][0], self._stream) if entries else state.following
            return self._missing(following, f"entries up to {id_of(state.deleted)} were deleted one by one")
        return None

    def _missing(self, found: int, reason: str) -> Gap:
        gap = Gap(topic=self._stream, partition=PARTITION, wanted=self._at, found=found, reason=reason)
        return declared(gap, self._on_gap, self._table)

    def _run(self, state: State, entries: Sequence[Entry], most: int) -> Run:
        """Return about ``most`` bytes of entries, one at least."""
        data = messages(entries, self._stream, self._value)
        self._size = max(1.0, data.nbytes / data.num_rows, 0.9 * self._size)
        data = data.slice(0, fitting(data, most))
        self._at = data.column("offset")[-1].as_py() + 1
        self._read = state.added if self._at == state.following else self._read + data.num_rows
        return Run(self._stream, PARTITION, self._at, data)
