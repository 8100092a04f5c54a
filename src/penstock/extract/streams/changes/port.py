"""The port of change data capture: many tables of one database, read together in the order of their commits.

A reading is opened at the positions of its tables. It gives whole transactions, never a part of one; what is told to be
safe may be thrown away at the source.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from penstock.extract.port import ArrowBatch, Extraction
from penstock.model.capture import Landed
from penstock.model.specs import ConnectionSpec, SourceSpec
from penstock.model.streams import OFFSETS, TIMES
from penstock.stores.port import Engine
from penstock.values import dataclass

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureOpening:
    """What is read together, and where it begins.

    Attributes:
        sources: The tables.
        connection: Their connection, secrets resolved.
        pipeline: The pipeline, after which what is made at the source is called.
        positions: Table to the position of its newest accepted load; None: nothing has landed.
        root: The project's folder.
        engine: The DuckDB of the process.
        batch_bytes: About how many bytes a batch may hold.
    """

    sources: tuple[SourceSpec, ...]
    connection: ConnectionSpec
    pipeline: str
    positions: Landed
    root: str = "."
    engine: Engine | None = None
    batch_bytes: int = 16 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """What a source has of its log that a reading has not read.

    Attributes:
        name: What the reading is called there.
        bytes: How many bytes; None: nobody knows.
        keeps: After which time the source throws its log away, read or not; None: it keeps it for the reading.
        left: How long what was not read is still there; None: without end.
    """

    name: str
    bytes: int | None = None
    keeps: timedelta | None = None
    left: timedelta | None = None


@dataclass(slots=True)
class Taken:
    """Whole transactions, table by table.

    Attributes:
        rows: Table to its rows.
        following: The position behind them.
        count: How many rows there are.
        bytes: What they hold.
    """

    rows: dict[str, Held] = field(default_factory=dict)
    following: int = 0
    count: int = 0
    bytes: int = 0

    def close(self) -> None:
        """Throw away what is on the disk."""
        for held in self.rows.values():
            held.close()


class Held(Protocol):
    """Rows of one table that are kept until they land."""

    @property
    def moments(self) -> list[int]:
        """Return when the first and the last of them were committed, in ms since 1970; empty: nobody knows."""
        ...

    def add(self, batch: pa.RecordBatch) -> None:
        """Keep some more."""
        ...

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield them in their order, as often as asked."""
        ...

    def close(self) -> None:
        """Let go of them."""
        ...


class Capture(Protocol):
    """One reading of some tables, by one thread."""

    @property
    def unread(self) -> Sequence[str]:
        """Return the tables that are read whole next, because nothing of them has landed, or because of a gap.

        A gap may come up amid the changes: then nothing behind it is taken before the table was read.
        """
        ...

    def whole(self, table: str) -> Extraction:
        """Begin to read a table whole; its position is where its changes go on."""
        ...

    def begin(self) -> None:
        """Begin to receive changes; called once, when no table is unread any more."""
        ...

    def take(self, into: Taken, most: int, wait: float) -> bool:
        """Add what has come, about ``most`` bytes of it; says whether anything has.

        Args:
            into: What was taken so far.
            most: About how many bytes.
            wait: Seconds to wait where nothing is there.

        Raises:
            TransientError: The far end cannot be reached; all that was taken and not landed is read again.
            DataError: What comes next is no longer there.
        """
        ...

    def settle(self, into: Taken) -> bool:
        """Make rows of all whole transactions that have come; says that no part of another is among them."""
        ...

    def end(self) -> int:
        """Return the position behind all that is committed now."""
        ...

    def confirm(self, position: int) -> None:
        """Say that everything before a position is landed."""
        ...

    def behind(self) -> int | None:
        """Return how many bytes of its log the source keeps for this reading; None where nobody knows."""
        ...

    def position(self, table: str, following: int) -> Mapping[str, Any]:
        """Return the position of a table as it stands in a load."""
        ...

    def stand(self, at: int) -> Mapping[str, Any]:
        """Return what a position must say beside its number, where that alone does not find it again.

        Args:
            at: A position that was read up to, or that a load named when the reading was opened.
        """
        ...

    def close(self) -> None:
        """Release connections; called always."""
        ...


class CaptureSource(Protocol):
    """A kind of capture. Constructed without arguments."""

    def capture(self, opening: CaptureOpening) -> Capture:
        """Look at the source and begin.

        Raises:
            ConfigurationError: What the source must have for this it has not.
            DataError: Changes are gone that were to come next, and the stream stops at gaps.
            TransientError: The far end cannot be reached.
        """
        ...

    def name(self, opening: CaptureOpening) -> str:
        """Return what it is called that the source keeps for a reading."""
        ...

    def held(self, opening: CaptureOpening) -> Unread:
        """Return what the source has of its log that was not read."""
        ...

    def left(self, connection: ConnectionSpec, wanted: Sequence[str], root: str) -> tuple[str, ...]:
        """Return a sentence for each such thing at a connection that is not wanted."""
        ...

    def forget(self, opening: CaptureOpening) -> tuple[str, ...]:
        """Remove what was made at the source; returns a sentence for each thing."""
        ...


class Changes:
    """The changes of one table as an extraction.

    Args:
        held: The rows.
        where: Topic and partition, for the span.
        position: The position behind them, as it stands in the load.
        origin: What the rows come from.
    """

    def __init__(self, held: Held | None, position: Mapping[str, Any], origin: str) -> None:
        self._held = held
        self._position = position
        self._origin = origin

    @property
    def schema(self) -> pa.Schema | None:
        """The columns are in the rows."""
        return None

    def batches(self) -> Iterator[ArrowBatch]:
        """Yield the rows."""
        for batch in self._held.batches() if self._held is not None else ():
            yield ArrowBatch(batch, (self._origin, {}))

    def position(self) -> Mapping[str, Any]:
        """Return the position behind the rows, and when the first and the last of them were committed."""
        moments = self._held.moments if self._held is not None else []
        places = self._position.get(OFFSETS, {}).items()
        times = {topic: dict.fromkeys(each, moments) for topic, each in places} if moments else {}
        return {**self._position, **({TIMES: times} if times else {})}

    def notes(self) -> tuple[str, ...]:
        """Nothing was met."""
        return ()

    def commit(self) -> None:
        """Tell nobody yet: other tables of the same transactions may not be landed."""

    def close(self) -> None:
        """Keep the rows: they may be drained again."""
