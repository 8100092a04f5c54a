"""Events of an inbox as a stream: positions are bytes of its segments, and what is committed may be removed."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from penstock.errors import ConfigurationError, DataError
from penstock.extract.streams.port import Opening, Polled, Reader, Run
from penstock.extract.streams.webhooks import segments
from penstock.extract.streams.webhooks.segments import Segment
from penstock.extract.streams.webhooks.settings import folder_of, remembered
from penstock.model.streams import Gap, OnGap, Positions, Start

_PAUSE = 0.02
_PARTITION = "0"


class WebhookSource:
    """Reads the events that ``penstock serve`` has taken for a stream."""

    def open(self, opening: Opening) -> Reader:
        """Begin to read."""
        if opening.connection is None:
            raise ConfigurationError(f"Stream {opening.source.table!r} names no connection")
        return _Events(opening, folder_of(opening.root, opening.source), remembered(opening.connection))


class _Events:
    """One reading of an inbox."""

    def __init__(self, opening: Opening, folder: Path, remembered_: float) -> None:
        stream = opening.source.stream
        assert stream is not None
        self._folder = folder
        self._remembered = remembered_
        self._topic = opening.source.table
        self._on_gap = stream.on_gap
        known = opening.positions.get(self._topic, {})
        latest = stream.start is Start.LATEST
        self._at = known.get(_PARTITION, self._end() if latest else self._begin())

    @property
    def envelope(self) -> Mapping[str, str]:
        """The event's id, when it came, and the byte of the inbox at which it stands."""
        return {"_message_id": "key", "_timestamp": "timestamp", "_offset": "offset"}

    def poll(self, most: int, wait: float) -> Polled:
        """Return events that came."""
        deadline = time.monotonic() + wait
        while True:
            found = self._look(most)
            if found or time.monotonic() >= deadline:
                return found
            time.sleep(max(0.0, min(_PAUSE, deadline - time.monotonic())))

    def ends(self) -> Positions:
        """Return the offset after the last whole event."""
        return {self._topic: {_PARTITION: self._end()}}

    def acknowledge(self, positions: Positions) -> None:
        """Note what is committed, and remove segments of which all is, and so old that nobody sends it again."""
        done = positions.get(self._topic, {}).get(_PARTITION, 0)
        if self._folder.is_dir():
            segments.commit(self._folder, done)
        oldest = time.time() - self._remembered
        for segment in segments.listed(self._folder)[:-1]:
            if segment.end > done:
                return
            with suppress(FileNotFoundError):
                if segment.path.stat().st_mtime >= oldest:
                    return
                segment.path.unlink()

    def close(self) -> None:
        """Close nothing: segments are open for a poll alone."""

    def _begin(self) -> int:
        found = segments.listed(self._folder)
        return found[0].start if found else 0

    def _end(self) -> int:
        found = segments.listed(self._folder)
        return found[-1].start + segments.whole(found[-1].path) if found else 0

    def _look(self, most: int) -> Polled:
        gaps: list[Gap] = []
        runs: list[Run] = []
        left = most
        for segment in segments.listed(self._folder):
            if segment.end <= self._at or left <= 0:
                continue
            if segment.start > self._at:
                gaps.append(self._gap(segment))
                self._at = segment.start
            run = self._read(segment, left)
            if run is None:
                break
            runs.append(run)
            left -= run.data.nbytes
            self._at = run.following
            if self._at < segment.end:
                break
        return Polled(tuple(runs), tuple(gaps))

    def _gap(self, segment: Segment) -> Gap:
        gap = Gap(
            topic=self._topic,
            partition=_PARTITION,
            wanted=self._at,
            found=segment.start,
            reason=f"files of {self._folder.name} are gone",
        )
        if self._on_gap is OnGap.STOP:
            raise DataError(
                f"The stream {self._topic!r} cannot go on: {gap.sentence}",
                remedy="Put the files back; to go on behind them and keep a record of that: on_gap='record'",
            )
        return gap

    def _read(self, segment: Segment, most: int) -> Run | None:
        """Return events of a segment, about ``most`` bytes of them."""
        try:
            with segment.path.open("rb") as file:
                # What is read here will count: so it is durable first, whoever wrote it.
                os.fsync(file.fileno())
                data, size = b"", most
                while b"\n" not in data:
                    file.seek(self._at - segment.start)
                    data = file.read(size)
                    if len(data) < size:
                        break
                    size *= 2
        except FileNotFoundError:
            return None
        end = data.rfind(b"\n") + 1
        if not end:
            return None
        lines = data[:end].split(b"\n")[:-1]
        lengths = pc.add(pc.binary_length(pa.array(lines, pa.binary())).cast(pa.int64()), 1)
        offsets = pc.subtract(pc.add(pc.cumulative_sum(lengths), self._at), lengths)
        moments, ids, bodies = segments.parsed(lines)
        batch = pa.RecordBatch.from_arrays(
            [offsets, moments, ids, bodies], names=["offset", "timestamp", "key", "value"]
        )
        return Run(self._topic, _PARTITION, self._at + end, batch)
