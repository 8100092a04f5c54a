"""The port of streams: a reader is opened at positions, gives runs of messages, and is told what is safe.

A reader keeps no position that counts. It is opened at those of the newest accepted load, and told of them again once
the next one is committed, which serves the far end's displays alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar, runtime_checkable
from zlib import crc32

import pyarrow as pa
import pyarrow.compute as pc

from penstock.errors import ConfigurationError
from penstock.model.specs import ConnectionSpec, SourceSpec
from penstock.model.streams import Gap, Positions
from penstock.values import dataclass

MOMENT = pa.timestamp("us", tz="UTC")
HEADERS = pa.list_(pa.struct([("name", pa.string()), ("value", pa.binary())]))
MESSAGES = pa.schema(
    [
        ("offset", pa.int64()),
        ("timestamp", MOMENT),
        ("key", pa.binary()),
        ("value", pa.binary()),
        ("headers", HEADERS),
    ]
)
"""The columns of messages; a reader may leave out those that its messages never have, but for offset and value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """The partitions that one of several processes reads, of all.

    Attributes:
        rank: Its number among them, from 0.
        count: How many they are.
    """

    rank: int = 0
    count: int = 1

    def holds(self, topic: str, partition: int) -> bool:
        """Say whether a partition is in it; each is in one of the shares of as many processes."""
        return (partition + crc32(topic.encode())) % self.count == self.rank


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """Where reading begins.

    Attributes:
        source: The stream; ``source.stream`` says how.
        connection: Its connection, secrets resolved; None for kinds that need none.
        positions: What comes next; a partition that is not named begins where ``source.stream.start`` says.
        root: The project's folder.
        share: The partitions that are read, of kinds that can be shared.
    """

    source: SourceSpec
    connection: ConnectionSpec | None
    positions: Positions
    root: str = "."
    share: Share = Share()

    @property
    def endpoint(self) -> ConnectionSpec:
        """Return the connection of a kind that needs one.

        Raises:
            ConfigurationError: The stream has none.
        """
        if self.connection is None:
            raise ConfigurationError(f"Stream {self.source.table!r} has no connection", remedy="Name a connection")
        return self.connection


@dataclass(frozen=True, slots=True)
class Run:
    """Messages of one partition, in the order of their offsets.

    Attributes:
        topic: The topic.
        partition: The partition, as text.
        following: The offset that comes after them.
        data: The messages, with columns of ``MESSAGES``.
        place: What a person knows the place by, as a file's path; empty: the topic.
    """

    topic: str
    partition: str
    following: int
    data: pa.RecordBatch
    place: str = ""


@dataclass(frozen=True, slots=True)
class Polled:
    """What a poll brought.

    Attributes:
        runs: Messages; of one partition there may be several, in their order.
        gaps: What was gone before it could be read.
        moved: Partitions whose position moved without a message (aborted ones, markers): topic, partition, following.
    """

    runs: tuple[Run, ...] = ()
    gaps: tuple[Gap, ...] = ()
    moved: tuple[tuple[str, str, int], ...] = ()

    @property
    def bytes(self) -> int:
        """Return how many bytes the messages hold."""
        return sum(run.data.nbytes for run in self.runs)

    @property
    def rows(self) -> int:
        """Return how many messages there are."""
        return sum(run.data.num_rows for run in self.runs)

    @property
    def moves(self) -> list[tuple[str, str, int]]:
        """Return where each partition goes on after the poll: topic, partition, following."""
        after = {(gap.topic, gap.partition): gap.found for gap in self.gaps}
        told = [*((run.topic, run.partition, run.following) for run in self.runs), *self.moved]
        for topic, partition, following in told:
            after[topic, partition] = max(following, after.get((topic, partition), 0))
        return [(topic, partition, following) for (topic, partition), following in after.items()]

    def __bool__(self) -> bool:
        """Say whether anything moved."""
        return bool(self.runs or self.gaps or self.moved)


def fitting(data: pa.RecordBatch, most: int) -> int:
    """Return how many of the first messages hold about ``most`` bytes; one at least."""
    sizes = pc.cumulative_sum(pc.binary_length(data.column("value")).cast(pa.int64()))
    return max(1, int(pc.sum(pc.less_equal(sizes, most)).as_py()))


def parted(data: pa.RecordBatch, most: int) -> tuple[pa.RecordBatch, pa.RecordBatch | None]:
    """Return the first messages, of about ``most`` bytes, and the rest; None: there is none."""
    count = fitting(data, most)
    return data.slice(0, count), data.slice(count) if count < data.num_rows else None


class Closing(Protocol):
    """What is closed when it is not needed any more."""

    def close(self) -> None:
        """Close it."""
        ...


_Client = TypeVar("_Client", bound=Closing)


def begun(client: _Client, reading: Callable[[_Client], Reader]) -> Reader:
    """Begin a reading with a client, which is closed where that fails."""
    try:
        return reading(client)
    except BaseException:
        client.close()
        raise


class Reader(Protocol):
    """One reading of one stream, by one thread."""

    @property
    def envelope(self) -> Mapping[str, str]:
        """Name of a column of the raw rows to what it holds.

        That is a column of ``MESSAGES``, ``topic``, ``partition`` (a number), or ``tombstone``: there is no value.
        """
        ...

    def poll(self, most: int, wait: float) -> Polled:
        """Return messages that are there, about ``most`` bytes of them; wait ``wait`` seconds where there are none.

        Raises:
            DataError: What comes next is no longer there, and the stream stops at a gap.
            TransientError: The far end cannot be reached.
        """
        ...

    def ends(self) -> Positions:
        """Return the offset that the next message of each partition will get."""
        ...

    def acknowledge(self, positions: Positions) -> None:
        """Tell the far end, for its displays, that everything before these positions is committed."""
        ...

    def close(self) -> None:
        """Release connections; called always, also after a failure."""
        ...


@runtime_checkable
class Counting(Protocol):
    """What a reader has besides whose offsets are no numbers of messages: it counts by itself what is behind."""

    def behind(self, positions: Positions) -> int | None:
        """Return how many messages came behind positions; None where nobody knows.

        Raises:
            TransientError: The far end cannot be reached.
        """
        ...


@runtime_checkable
class Ending(Protocol):
    """What a reader has besides whose far end cannot say where it ends: it says by itself when all was read."""

    def reached(self, positions: Positions) -> bool:
        """Say whether all that was there when this was asked first lies before positions; ``poll`` raises."""
        ...


@runtime_checkable
class Ahead(Protocol):
    """What a reader has besides that may be polled, in another thread, while positions before are acknowledged.

    What was polled and never acknowledged comes again to the next reader.
    """

    ahead: bool


@runtime_checkable
class Shareable(Protocol):
    """What a kind of stream has besides whose partitions several processes may read: it keeps to ``Opening.share``."""

    shareable: bool


@runtime_checkable
class Enveloping(Protocol):
    """What a kind of stream has besides whose messages are kept whole where they are no rows: see ``Reader.envelope``.

    They can be decoded again from what was set aside, without the far end.
    """

    envelope: Mapping[str, str]


class StreamSource(Protocol):
    """A kind of stream. Constructed without arguments."""

    def open(self, opening: Opening) -> Reader:
        """Begin to read.

        Raises:
            ConfigurationError: A topic, file or option that is not there; credentials are refused.
            TransientError: The far end cannot be reached.
        """
        ...
