"""Event time of streams: when things happened, up to where they are taken to be known, and what came after that.

The watermark of a partition is its greatest event time less the lateness that is allowed; that of a stream is the
least over its partitions. It stands in the manifest of each load, beside the offsets that the load goes up to, so it is
what it was after a crash, a restart or a replay. It never goes back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from penstock.values import dataclass

EVENTS = "events"
"""The key under which a load's position says what is known of event times after it."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class OnLate(StrEnum):
    """What becomes of rows that came behind the watermark: they count, or are set aside until they are replayed."""

    INCLUDE = "include"
    QUARANTINE = "quarantine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lateness:
    """How much out of order the events of a stream may come.

    Attributes:
        allowed: How far behind the greatest event time of its partition an event may lie and not be late.
        late: What becomes of late rows.
        idle: A partition that has brought nothing for so long, and of which all is read, does not hold the stream back.
        ahead: An event further in the future than this does not move the watermark: its clock is wrong.
    """

    allowed: timedelta
    late: OnLate = OnLate.INCLUDE
    idle: timedelta = timedelta(minutes=1)
    ahead: timedelta = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a partition has brought. Moments are microseconds since 1970.

    Attributes:
        greatest: Its greatest event time so far; None: none.
        moved: When it brought something last, by our clock.
        late: How many rows of the newest micro-batch were late.
        oldest: The least event time of the newest micro-batch; None: there is none.
    """

    greatest: int | None
    moved: int
    late: int = 0
    oldest: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What is known of the event times of a stream after one of its loads.

    Attributes:
        watermark: The watermark; None: there is none yet.
        before: The watermark before the load, by which its rows were late or not.
        ahead: Rows of the load that lie in the future, beyond the tolerance.
        undated: Rows of the load whose event time is none.
        partitions: Topic to partition to what it has brought.
    """

    watermark: int | None = None
    before: int | None = None
    ahead: int = 0
    undated: int = 0
    partitions: Mapping[str, Mapping[str, Seen]] = field(default_factory=dict)

    @property
    def late(self) -> int:
        """Return how many rows of the load were late."""
        return sum(seen.late for each in self.partitions.values() for seen in each.values())

    @property
    def oldest(self) -> int | None:
        """Return the least event time of the load; None: none of its rows has one."""
        found = [seen.oldest for each in self.partitions.values() for seen in each.values()]
        return min((each for each in found if each is not None), default=None)


def progress(position: Mapping[str, Any] | None) -> Progress | None:
    """Return what stands in the position of a load; None: nothing."""
    found = (position or {}).get(EVENTS)
    if not found:
        return None
    return Progress(
        watermark=found.get("watermark"),
        before=found.get("before"),
        ahead=found.get("ahead", 0),
        undated=found.get("undated", 0),
        partitions={
            topic: {
                partition: Seen(greatest=each[0], moved=each[1], late=each[2], oldest=each[3])
                for partition, each in partitions.items()
            }
            for topic, partitions in found.get("partitions", {}).items()
        },
    )


def told(known: Progress) -> dict[str, Any]:
    """Return what stands in a position."""
    return {
        "watermark": known.watermark,
        "before": known.before,
        "ahead": known.ahead,
        "undated": known.undated,
        "partitions": {
            topic: {name: [seen.greatest, seen.moved, seen.late, seen.oldest] for name, seen in each.items()}
            for topic, each in known.partitions.items()
        },
    }


def microseconds(at: datetime | timedelta) -> int:
    """Return a moment as microseconds since 1970, or a duration as microseconds."""
    return (at - _EPOCH if isinstance(at, datetime) else at) // timedelta(microseconds=1)


def moment_at(microseconds_: int) -> datetime:
    """Return a moment from microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=microseconds_)
