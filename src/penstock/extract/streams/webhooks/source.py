"""Events of an inbox as a stream: positions are bytes of its segments, and what is committed may be removed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import pyarrow as pa

from penstock.extract.streams.gaps import declared
from penstock.extract.streams.lines import offsets, polled, whole
from penstock.extract.streams.port import Opening, Polled, Reader, Run
from penstock.extract.streams.webhooks import segments
from penstock.extract.streams.webhooks.segments import Segment
from penstock.extract.streams.webhooks.settings import folder_of, remembered
from penstock.model.streams import Gap, Positions, Start
from penstock.values import dataclass

_PAUSE = 0.02
_PIECE = 4 * 2**20
"""Bytes of events that are read at a time, about."""
PARTITION = "0"


@dataclass(frozen=True, slots=True)
class Form:
    """How events stand in segments, and what their stream is called.

    Attributes:
        topic: The topic.
        envelope: As that of a reader.
        parsed: Lines without their breaks to columns of ``MESSAGES``, but for the offset.
    """

    topic: str
    envelope: Mapping[str, str]
    parsed: Callable[[Sequence[bytes]], Mapping[str, pa.Array]]


class WebhookSource:
    """Reads the events that ``penstock serve`` has taken for a stream."""

    def open(self, opening: Opening) -> Reader:
        """Begin to read."""
        envelope = {"_message_id": "key", "_timestamp": "timestamp", "_offset": "offset"}
        form = Form(opening.source.table, envelope, segments.parsed)
        return Events(opening, folder_of(opening.root, opening.source), remembered(opening.endpoint), form)


class Events:
    """One reading of segments.

    Args:
        opening: Where it begins.
        folder: Where the segments are.
        remembered_: Seconds for which they are kept after they are committed.
        form: How events stand in them.
    """

    def __init__(self, opening: Opening, folder: Path, remembered_: float, form: Form) -> None:
        stream = opening.source.stream
        assert stream is not None
        self._folder = folder
        self._remembered = remembered_
        self._form = form
        self._topic = form.topic
        self._table = opening.source.table
        self._on_gap = stream.on_gap
        known = opening.positions.get(self._topic, {})
        latest = stream.start is Start.LATEST
        self._at = known.get(PARTITION, self._end() if latest else self._begin())

    @property
    def envelope(self) -> Mapping[str, str]:
        """The event's id, when it came, and the byte of the inbox at which it stands."""
        return self._form.envelope

    def poll(self, most: int, wait: float) -> Polled:
        """Return events that came."""
        return polled(lambda: self.look(most), wait, _PAUSE)

    def ends(self) -> Positions:
        """Return the offset after the last whole event."""
        return {self._topic: {PARTITION: self._end()}}

    def at(self, positions: Positions) -> int:
        """Return where positions stand; where they say nothing, how far was read."""
        return positions.get(self._topic, {}).get(PARTITION, self._at)

    def acknowledge(self, positions: Positions) -> None:
        """Note what is committed, and remove segments of which all is, and so old that nobody sends it again."""
        done = positions.get(self._topic, {}).get(PARTITION, 0)
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
        return found[-1].start + whole(found[-1].path) if found else 0

    def look(self, most: int) -> Polled:
        """Return events that are there now."""
        gaps: list[Gap] = []
        runs: list[Run] = []
        left = most
        for segment in segments.listed(self._folder):
            if segment.end <= self._at or left <= 0:
                continue
            if segment.start > self._at:
                gaps.append(self._gap(segment))
                self._at = segment.start
            # A piece is held several times over while it becomes columns.
            while left > 0 and self._at < segment.end:
                run = self._read(segment, min(left, _PIECE))
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
            partition=PARTITION,
            wanted=self._at,
            found=segment.start,
            reason=f"files of {self._folder.name} are gone",
        )
        remedy = "Put the files back; to go on behind them and keep a record of that: on_gap='record'"
        return declared(gap, self._on_gap, self._table, remedy)

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
        columns = {"offset": offsets(pa.array(lines, pa.binary()), self._at), **self._form.parsed(lines)}
        batch = pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
        return Run(self._topic, PARTITION, self._at + end, batch)
