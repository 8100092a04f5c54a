"""What loading is told, and through what it works."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from penstock.load.layout import ROW_ID, Layout
from penstock.model.entries import DataFile, Entry
from penstock.model.events import Advance
from penstock.model.specs import Nested, SourceSpec, WriteMode
from penstock.names import CREATED, LOAD, ORDER, UPDATED, VALID_FROM, VALID_TO
from penstock.stores.port import LakeTable, WarehouseTransaction
from penstock.values import dataclass


@dataclass(frozen=True, slots=True)
class AcceptedLoad:
    """A load that may enter the warehouse.

    Attributes:
        entry: The load.
        quarantine: What DuckDB reads as the file of its rows that were set aside; None if there are none.
        taken: Of a load that replays rows: what DuckDB reads as the file of their places, see ``TakenRows``.
    """

    entry: Entry
    quarantine: str | None = None
    taken: str | None = None

    @property
    def turn(self) -> tuple[int, int]:
        """Return where the load stands in the order of extraction."""
        number = self.entry.number
        return (self.entry.taken.extracted if self.entry.taken is not None else number, number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loading:
    """Loads to apply to one warehouse table.

    Attributes:
        source: The source: write mode, key, cursor.
        table: The warehouse table, ``raw_…``.
        loads: Accepted loads, in any order; those applied before are passed over.
        prepare: A SELECT over ``new_rows`` (the rows of one load) whose result is loaded instead.
        superseded: Loads that were applied and no longer count, whether or not one of ``loads`` says so.
        settled: Every load that landed is accepted, or ended for good; else an older one than those may follow.
    """

    source: SourceSpec
    table: str
    loads: tuple[AcceptedLoad, ...]
    prepare: str | None = None
    settled: bool = False
    superseded: frozenset[int] = frozenset()


RESERVED = (LOAD, CREATED, UPDATED, ORDER)
"""The columns that a warehouse table of a source has beside the source's own."""


def reserved(source: SourceSpec) -> tuple[str, ...]:
    """Return the columns that the warehouse table of this source has beside the source's own."""
    if source.write is WriteMode.SCD2:
        return (*RESERVED, VALID_FROM, VALID_TO)
    return (*RESERVED, ROW_ID) if source.nested is Nested.TABLES else RESERVED


def _nothing(rows: int, bytes_: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPorts:
    """What loading works through.

    Attributes:
        transaction: An open transaction of the warehouse.
        lake_table: The lake table, which knows where its files are.
        live: Returns all loads that are accepted and not superseded. Asked only where rows must be found again: when
            a superseded load's rows leave a merged table, when rows of a table that is kept up by changes come back
            from the quarantine, when the table is gone from the warehouse, or when its write mode, key, cursor or
            preparation changed. None: there are no others than those to apply.
        layout: Where nested values go; None: they stay as they are.
        advance: Told of the rows and bytes written.
        replaced: Name of a temporary table into which rows go that newer ones replace; empty: nobody asks for them.
    """

    transaction: WarehouseTransaction
    lake_table: LakeTable
    live: Callable[[], Iterable[AcceptedLoad]] | None = None
    layout: Layout | None = None
    advance: Advance = _nothing
    replaced: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionLoading:
    """A transform's version to put into the warehouse.

    Attributes:
        table: The warehouse table.
        entry: The version: its files, its schema, and its interval if it rebuilt only that.
        relation: Name of a temporary table of the session that holds the same rows, to spare reading the files; without
            the column ``_interval``.
        files: The files to read instead of ``entry.files``.
    """

    table: str
    entry: Entry
    relation: str | None = None
    files: tuple[DataFile, ...] | None = None
