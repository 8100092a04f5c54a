"""Streams: tables whose rows never end, read in micro-batches that are named by the positions at the source.

A position says of each partition of each topic which offset comes next. It stands in the manifest of a load, whose
commit makes it count; what the far end is told of it serves displays alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from penstock.values import dataclass

if TYPE_CHECKING:
    from penstock.model.event_time import Lateness
    from penstock.model.scoring import Scoring

Positions = Mapping[str, Mapping[str, int]]
"""Topic to partition to the offset that comes next."""
OFFSETS = "offsets"
"""The key under which positions stand in the position of a load."""
GAPS = "gaps"
"""The key under which a load says what was gone at the source before it could be read."""
TIMES = "times"
"""The key under which a load says when oldest and newest message of each partition were made, in ms since 1970."""
COMMAND = "stream"
"""The command of runs that carry out streams."""


class OnGap(StrEnum):
    """What becomes of a stream whose source no longer has what comes next."""

    STOP = "stop"
    RECORD = "record"


class KeyForm(StrEnum):
    """As what the key of a message stands in its row."""

    TEXT = "text"
    BYTES = "bytes"


class LoadBy(StrEnum):
    """Who loads what a stream landed into the staging warehouse: the stream itself, or the runs of its pipeline."""

    STREAM = "stream"
    RUN = "run"


class Start(StrEnum):
    """Where a stream begins that has landed nothing yet."""

    EARLIEST = "earliest"
    LATEST = "latest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """When a micro-batch is closed: by whichever of these it reaches first.

    Attributes:
        bytes: Bytes of messages.
        rows: Messages.
        age: The time since its first message came.
    """

    bytes: int = 16 * 2**20
    rows: int = 200_000
    age: timedelta = timedelta(seconds=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSpec:
    """What makes a source a stream.

    Attributes:
        format: How a message is written: see ``extract/streams/decoding``.
        trigger: When a micro-batch is closed.
        on_gap: What becomes of it where the source no longer has what comes next.
        start: Where it begins where nothing has landed yet.
        key: As what the keys of messages stand in rows.
        load: Who loads its rows into the staging warehouse.
        live: Its rows stand in production as soon as a micro-batch has passed its checks, outside of releases.
        registry: The connection of the schema registry, of formats whose messages name their schemas.
        lateness: How much out of order its events may come; None: it has no watermark.
        scoring: What a function of the user adds to the rows of each micro-batch; None: nothing.
    """

    format: str = "json"
    trigger: Trigger = field(default_factory=Trigger)
    on_gap: OnGap = OnGap.STOP
    start: Start = Start.EARLIEST
    key: KeyForm = KeyForm.TEXT
    load: LoadBy = LoadBy.STREAM
    live: bool = False
    registry: str | None = None
    lateness: Lateness | None = None
    scoring: Scoring | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Messages of one partition, one after the other.

    Attributes:
        topic: The topic.
        partition: The partition, as text.
        first: The first offset.
        last: The last one; offsets between them may be missing, where a topic is compacted.
    """

    topic: str
    partition: str
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Messages that the source has thrown away before they were read.

    Attributes:
        topic: The topic.
        partition: The partition.
        wanted: The offset that was to come next.
        found: The first that is still there.
        reason: Why, in a few words.
    """

    topic: str
    partition: str
    wanted: int
    found: int
    reason: str = ""

    @property
    def sentence(self) -> str:
        """Return it as a sentence."""
        why = f" ({self.reason})" if self.reason else ""
        return (
            f"Partition {self.partition} of {self.topic} no longer has offset {self.wanted}: "
            f"it goes on at {self.found}{why}"
        )


def moment_of(milliseconds: int) -> datetime:
    """Return a moment of ``TIMES``."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def offsets(position: Mapping[str, Any] | None) -> dict[str, dict[str, int]]:
    """Return the positions that stand in the position of a load."""
    found = (position or {}).get(OFFSETS) or {}
    return {topic: {partition: int(at) for partition, at in each.items()} for topic, each in found.items()}


def advanced(before: Positions, moved: Iterable[tuple[str, str, int]]) -> dict[str, dict[str, int]]:
    """Return positions after topics and partitions have moved to other offsets."""
    after = {topic: dict(each) for topic, each in before.items()}
    for topic, partition, following in moved:
        after.setdefault(topic, {})[partition] = following
    return after


def behind(now: Positions, ends: Positions) -> int:
    """Return by how many offsets positions lie before the ends."""
    return sum(
        max(0, end - now.get(topic, {}).get(partition, 0))
        for topic, each in ends.items()
        for partition, end in each.items()
    )
