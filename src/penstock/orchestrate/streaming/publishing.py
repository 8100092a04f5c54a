"""Publishing a stream straight to production: each micro-batch that passed its checks, as soon as it did."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice

from penstock.catalog.port import LoadRecord
from penstock.errors import ConfigurationError, ConflictError
from penstock.load.fresh import DELETED, FreshRows, fresh_rows
from penstock.model.buckets import is_bucket
from penstock.model.capture import captured
from penstock.model.entries import Column
from penstock.model.specs import SourceSpec, WriteMode
from penstock.names import CREATED, LOAD, ORDER, raw
from penstock.orchestrate.context import RunContext
from penstock.orchestrate.histories import History
from penstock.orchestrate.standing import accepted_load
from penstock.orchestrate.workspace import Workspace, now
from penstock.promote.live import Fresh, LiveFace, LivePorts, LiveTable
from penstock.stores.live_files import LiveFiles, LiveShape
from penstock.stores.warehouse import scratch

_TOGETHER = 200
"""Loads that are published as one file, where many wait."""


class Publisher:
    """Keeps one live table up with its stream.

    Args:
        source: The stream.
        context: The run that consumes it.

    Raises:
        ConfigurationError: The project has no production.
        ConflictError: A release has a table of that name.
    """

    def __init__(self, source: SourceSpec, context: RunContext) -> None:
        self._source = source
        self._context = context
        self._table = open_live(context.workspace, source.table, context.run)
        self._whole = captured(source) and source.write is WriteMode.MERGE
        self._shape: LiveShape | None = None
        self._behind = False

    def publish(self, records: History) -> None:
        """Make the rows of accepted loads readable that are not yet so; the same call again goes on after a failure.

        Args:
            records: The accepted loads, by number.

        Raises:
            ConflictError: The table was published from another raw zone.
            TransientError: The disk is full, or production's server away.
        """
        if self._shape is not None and self._behind:
            # They are in the lake since the attempt before.
            self._show(self._shape)
        after = self._table.published
        if self._shape is None:
            self._refuse_another(after)
        place = records.after(after)
        if self._whole and any(record.entry.taken is not None for record in records[place:]):
            # What came after a row that was set aside was told without it: all is made as if it had come in its time.
            self._bring([record for record in records if not self._withdrawn(record.entry.number)], anew=True)
            place = len(records)
        for first in range(place, len(records), _TOGETHER):
            self._bring(records[first : first + _TOGETHER])
        if self._shape is None and after:
            # Nothing was published here, which would have let readers see what the lake shows.
            self._begin([*islice((record for record in reversed(records[:place]) if record.entry.files), 1)])

    def join_small(self) -> None:
        """Write small files together, where there are enough of them."""
        while self._shape is not None and self._table.join_small(self._shape, now(), self._context.fence):
            self._show(self._shape)

    def close(self) -> None:
        """Let go of what shows the table to readers."""
        self._table.close()

    def _refuse_another(self, after: int) -> None:
        """Refuse a raw zone that was made anew: its loads have numbers that count as published already."""
        head = self._context.workspace.lake.table(raw(self._source.table)).head()
        if head < after:
            raise ConflictError(
                f"The live table {self._source.table!r} was published up to load {after}, and its raw zone ends with "
                f"load {head}: it was deleted or restored since, and what comes now would never be readable",
                remedy=f"Delete the folder {self._source.table} of production's lake: all loads are published anew",
            )

    def _begin(self, records: Sequence[LoadRecord]) -> None:
        """Let readers see what the lake shows: the process before may have died in between."""
        with rows_of(records, self._source, self._context.workspace) as (rows, _):
            if rows is not None:
                self._show(shape_of(rows, self._table.columns))

    def _bring(self, records: Sequence[LoadRecord], *, anew: bool = False) -> None:
        standing = self._table.standing if self._whole and not anew else ""
        with rows_of(records, self._source, self._context.workspace, standing, whole=anew) as (rows, fresh):
            if rows is None or fresh is None:
                return
            shape = shape_of(rows, self._table.columns)
            if not fresh.whole:
                self._table.retype(shape, now(), self._context.fence)
            self._table.publish(fresh, shape, now(), self._context.fence)
        self._show(shape)

    def _withdrawn(self, number: int) -> bool:
        return any(first <= number <= last for first, last in self._table.withdrawn)

    def _show(self, shape: LiveShape) -> None:
        self._shape, self._behind = shape, True
        self._table.serve(shape)
        self._behind = False


@contextmanager
def rows_of(
    records: Sequence[LoadRecord],
    source: SourceSpec,
    workspace: Workspace,
    standing: str = "",
    *,
    whole: bool = False,
) -> Iterator[tuple[FreshRows | None, Fresh | None]]:
    """Lend the rows of accepted loads, and what they are; None, where they have no column.

    Args:
        records: The loads.
        source: Their stream.
        workspace: The places.
        standing: See ``fresh_rows``.
        whole: They are all that there are.
    """
    lake, table = workspace.lake, raw(source.table)
    loads = [accepted_load(record, lake) for record in records]
    with (
        scratch(workspace.engine) as transaction,
        fresh_rows(source, loads, transaction, lake.table(table), standing) as rows,
    ):
        if rows is None:
            yield None, None
            return
        yield (
            rows,
            Fresh(
                query=rows.query,
                connection=transaction.connection,
                loads=tuple(record.entry.number for record in records),
                source=table,
                whole=whole or rows.emptied,
            ),
        )


def open_live(workspace: Workspace, table: str, run: str) -> LiveTable:
    """Open a live table.

    Raises:
        ConfigurationError: The project has no production.
        ConflictError: A release has a table of that name.
    """
    if workspace.production is None:
        raise ConfigurationError(
            f"The table {table!r} is live, and there is no production that it could be written to",
            remedy="Name one: [environments.production] in penstock.toml",
        )
    return LiveTable(LivePorts(workspace.production_lake().table(table), workspace.engine, live_face(workspace)), run)


def live_face(workspace: Workspace) -> LiveFace | None:
    """Return who shows live tables to readers of production's warehouse; None where they have the lake alone."""
    production = workspace.production
    if production is not None and production.postgres is not None:
        from penstock.stores.postgres.live import PostgresLive

        return PostgresLive(production.postgres, workspace.engine, workspace.waiting)
    if production is None or is_bucket(production.lake):
        return None
    return LiveFiles(production.warehouse, workspace.engine)


def shape_of(rows: FreshRows, known: Sequence[Column]) -> LiveShape:
    """Return the shape of a live table once rows have come: columns stay, and new ones stand behind them."""
    fresh = {column.name.lower(): column for column in rows.columns}
    names = {column.name.lower() for column in known}
    columns = [fresh.get(column.name.lower(), column) for column in known]
    columns += [column for name, column in fresh.items() if name not in names]
    added = (LOAD, CREATED, ORDER, DELETED)
    merged = any(column.name == DELETED for column in columns)
    return LiveShape(
        columns=tuple(sorted(columns, key=lambda column: column.name in added)),
        hidden=(ORDER, DELETED),
        key=rows.key,
        rank=rows.rank,
        deleted=DELETED if merged else "",
    )
