"""Tables and queries of a PostgreSQL server, streamed as Arrow out of one read-only snapshot.

The plan is made on one connection, the rows come over another (binary COPY, read by the ADBC driver) that shares its
snapshot. Numbers, NaN, infinities, arrays and odd types arrive exactly or, named in a note, as text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pyarrow as pa

from penstock.errors import ConfigurationError, DataError
from penstock.extract import cursor_values, cursors
from penstock.extract.database.postgres import catalog
from penstock.extract.database.postgres.connection import snapshot, translated
from penstock.extract.database.postgres.figures import Asked
from penstock.extract.database.postgres.horizon import Horizon
from penstock.extract.database.postgres.horizon import horizon as horizon_of
from penstock.extract.database.postgres.stream import stream
from penstock.extract.database.postgres.types import Column, bound, columns, convert
from penstock.extract.port import ArrowBatch, Request, SourceFigures, TableDescription
from penstock.extract.progress import Clock, Progress, in_no_interval, null_excluded, null_refused
from penstock.model.specs import OnNullCursor, Reconcile, SourceTable
from penstock.names import unknown
from penstock.queries.text import identifier
from penstock.schema import SOURCE_TYPE
from penstock.values import dataclass

_SAMPLE = 200
_CURSOR_KINDS = {
    "int2": "integer", "int4": "integer", "int8": "integer", "oid": "integer",
    "float4": "real", "float8": "real", "numeric": "decimal",
    "date": "date", "timestamp": "timestamp", "timestamptz": "timestamptz",
    "text": "text", "varchar": "text", "bpchar": "text", "name": "text", "uuid": "uuid",
}  # fmt: skip
_TIMES = ("date", "timestamp", "timestamptz")
_CLOCK = """
SELECT extract(epoch FROM now())::float8,
       extract(epoch FROM (now() AT TIME ZONE reset_val) - (now() AT TIME ZONE 'UTC'))::float8
FROM pg_settings WHERE name = 'TimeZone'
"""


class PostgresSource:
    """The source kind ``postgres``; options ``table`` (``schema.table``) or ``query``."""

    def open(self, request: Request) -> PostgresExtraction:
        """Plan the columns and begin to stream; see the port."""
        return PostgresExtraction(request)

    def tables(self, request: Request) -> tuple[SourceTable, ...]:
        """List tables, views and foreign tables; see the port."""
        with snapshot(request) as connection:
            return catalog.tables(connection)

    def describe(self, request: Request) -> tuple[TableDescription, ...]:
        """Describe the tables that the user may see, or the one that ``request.source`` names; see the port."""
        with snapshot(request) as connection:
            return catalog.describe(connection, request)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is read: a relation for FROM, its columns, the condition (empty for none), the clock and the horizon.

    ``table`` says that the relation is a table or a view, and no query.
    """

    relation: str
    columns: tuple[Column, ...]
    where: str
    clock: Clock
    horizon: Horizon | None = None
    table: bool = False

    @property
    def whole(self) -> str | None:
        """Return the table where all of it is read, else None."""
        return self.relation if self.table and not self.where else None

    @property
    def statement(self) -> str:
        listed = ", ".join(f"{column.expression} AS {identifier(column.name)}" for column in self.columns)
        return f"SELECT {listed} FROM {self.relation}{self.where}"


class PostgresExtraction:
    """One reading of a table; see the port."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._notes: list[str] = []
        self._rows = 0
        self._open = ExitStack()
        self._asked: Asked | None = None
        try:
            with ExitStack() as planning:
                connection = planning.enter_context(snapshot(request))
                self._plan = _Planner(request, connection, self._notes).plan()
                shared = connection.execute("SELECT pg_export_snapshot()").fetchone()
                with translated(request):
                    self._reader = stream(
                        request, connection, str(shared[0]) if shared else "", self._plan.statement, self._plan.whole
                    )
                    self._open.callback(self._reader.close)
                if request.source.reconcile is not Reconcile.OFF:
                    read = (self._plan.relation, self._plan.where)
                    self._asked = Asked(request, connection, self._plan.columns, read, planning.pop_all())
        except BaseException:
            self.close()
            raise
        self._progress = Progress(request.source, _named(request), self._plan.clock)
        self._schema = pa.schema(
            [
                pa.field(column.name, column.target or field.type, metadata={SOURCE_TYPE: column.spelt})
                for column, field in zip(self._plan.columns, self._reader.schema, strict=True)
            ]
        )

    @property
    def schema(self) -> pa.Schema:
        """The columns with the types of this load."""
        return self._schema

    def batches(self) -> Iterator[ArrowBatch]:
        """Yield the rows; see the port."""
        place = self._request.connection.name if self._request.connection is not None else "postgres"
        origin: tuple[str, Mapping[str, Any]] = (f"{place}.{_named(self._request)}", {})
        with translated(self._request):
            for raw in self._reader.batches():
                arrays = [convert(array, column) for array, column in zip(raw.columns, self._plan.columns, strict=True)]
                batch = pa.RecordBatch.from_arrays(arrays, schema=self._schema)
                self._rows += batch.num_rows
                self._advance(batch)
                yield ArrowBatch(batch, origin)
                # Rows may be large, and the next ones are read beside what is still held.
                del raw, arrays, batch

    def position(self) -> Mapping[str, Any] | None:
        """Return the greatest cursor value read; see the port."""
        column, top = str(self._request.source.cursor), self._progress.value
        if not self._rows or (top is None and self._plan.horizon is None):
            return None
        kind = _CURSOR_KINDS[next(item.base for item in self._plan.columns if item.name == column)]
        # A UUID was compared by its bytes, as PostgreSQL does.
        value = None if top is None else str(UUID(bytes=top.as_py())) if kind == "uuid" else cursor_values.encode(top)
        found = {"column": column, "cursor": value, "cursor_type": kind}
        return found if self._plan.horizon is None else {**found, "horizon": self._plan.horizon.position()}

    def figures(self) -> SourceFigures | None:
        """Return what the server says of the rows, which it counted while they came; see the port."""
        return None if self._asked is None else self._asked.figures()

    def notes(self) -> tuple[str, ...]:
        """Return what was met on the way."""
        unanswered = () if self._asked is None else self._asked.notes()
        return (*self._notes, *self._progress.notes(), *unanswered)

    def commit(self) -> None:
        """Nothing is to be acknowledged."""

    def close(self) -> None:
        """End the transactions and close the connections."""
        if self._asked is not None:
            self._asked.close()
        with suppress(Exception):
            self._open.close()

    def _advance(self, batch: pa.RecordBatch) -> None:
        name = self._request.source.cursor
        if name is None or self._request.interval is not None:
            return
        column = batch.column(batch.schema.get_field_index(name))
        if isinstance(column, pa.ExtensionArray):
            column = column.storage.cast(pa.binary())
        self._progress.add(column)


class _Planner:
    """Finds out what is to be read, on the connection that holds the snapshot."""

    def __init__(self, request: Request, connection: Any, notes: list[str]) -> None:
        self._request = request
        self._connection = connection
        self._notes = notes

    def plan(self) -> _Plan:
        source = self._request.source
        relation, found = catalog.relation(self._connection, self._request)
        planned = columns(self._connection, found)
        names = [column.name for column in planned]
        for column in (source.cursor, source.interval, *source.key):
            if column is not None and column not in names:
                raise unknown("column", column, names, where=_named(self._request))
        horizon = horizon_of(self._connection, relation, _named(self._request)) if source.horizon else None
        where = self._condition(relation, {column.name: column for column in planned}, horizon)
        guarded = self._guarded(relation, planned, where)
        self._notes += [column.note for column in guarded if column.note]
        return _Plan(relation, tuple(guarded), where, self._clock(), horizon, "table" in source.options)

    def _clock(self) -> Clock:
        """Return the server's clock; times without a zone may be written in the zone that it gives to sessions."""
        (seconds, ahead) = self._connection.execute(_CLOCK).fetchone()
        return Clock(datetime.fromtimestamp(seconds, UTC), timedelta(seconds=ahead))

    def _condition(self, relation: str, planned: Mapping[str, Column], horizon: Horizon | None) -> str:
        source, interval = self._request.source, self._request.interval
        if interval is not None:
            if source.interval is None:
                raise ConfigurationError(
                    f"{source.table} was asked for an interval but names no interval column",
                    remedy="Add interval=… to the source",
                )
            quoted = identifier(source.interval)
            self._tell_outside(relation, planned[source.interval])
            start, end = (self._moment(relation, planned[source.interval], at) for at in (interval.start, interval.end))
            return f" WHERE {quoted} >= {start} AND {quoted} < {end}"
        if source.cursor is None or not cursors.steers(self._request):
            return ""
        column = planned[source.cursor]
        kind = _CURSOR_KINDS.get(column.base)
        if kind is None:
            raise ConfigurationError(
                f"The cursor {source.cursor!r} of {source.table} has no useful order",
                value=column.spelt,
                valid="a column of numbers, dates, times, texts or UUIDs",
            )
        quoted = identifier(column.name)
        found = self._new(quoted, kind, horizon) if horizon is not None else self._since(column, kind)
        without = self._without(relation, quoted)
        both = " AND ".join(part for part in (found, without) if part)
        return f" WHERE {both}" if both else ""

    def _tell_outside(self, relation: str, column: Column) -> None:
        """Note how many rows are in no interval, where that is asked for: infinity is in none either."""
        if not self._request.without_interval:
            return
        quoted = identifier(column.name)
        infinite = f" OR NOT isfinite({quoted})" if column.base in _TIMES else ""
        ((rows,),) = self._connection.execute(
            f"SELECT count(*) FROM {relation} WHERE {quoted} IS NULL{infinite}".encode()
        ).fetchall()
        if rows:
            self._notes.append(in_no_interval(rows, column.name, _named(self._request)))

    def _new(self, quoted: str, kind: str, horizon: Horizon) -> str:
        """Return the condition of rows that the last reading did not see; with a lag, of those not older than that."""
        source, position = self._request.source, self._request.position
        if not position:
            return ""
        unseen = horizon.since(position.get("horizon"))
        if unseen.why:
            self._notes.append(f"{_named(self._request)} is compared with what was landed: {unseen.why}")
        found = unseen.recent
        same = position.get("column") == source.cursor and position.get("cursor_type") == kind
        if found and source.lag and same and position.get("cursor") is not None:
            found = f"{self._bounded(quoted, kind, position['cursor'])} AND {found}"
        return f"(({found}) OR {unseen.whole})" if unseen.whole else found

    def _since(self, column: Column, kind: str) -> str:
        source, position = self._request.source, cursors.resume(self._request)
        if position is None:
            return ""
        if position.get("cursor_type") != kind:
            raise ConfigurationError(
                f"The cursor {source.cursor!r} of {source.table} changed its type since it was last read",
                value=column.spelt,
                valid=f"{position.get('cursor_type')}, or a new table name, which is read from the start",
            )
        return self._bounded(identifier(column.name), kind, position["cursor"])

    def _bounded(self, quoted: str, kind: str, value: Any) -> str:
        """Return the condition of rows from a cursor value on, less the lag, and of rows that have none."""
        source = self._request.source
        if kind in _TIMES:
            lag = f" - interval '{source.lag.total_seconds():.6f} seconds'" if source.lag else ""
            since = f"{quoted} >= {bound(value, kind)}{lag}"
        else:
            value = cursors.behind(value, kind, source.lag, source.table)
            compared = f'{quoted} COLLATE "C"' if kind == "text" else quoted
            since = f"{compared} >= {bound(value, kind)}"
        return f"({since} OR {quoted} IS NULL)" if source.on_null_cursor is OnNullCursor.INCLUDE else since

    def _without(self, relation: str, quoted: str) -> str:
        """Return the condition that leaves out rows without a cursor value, where the source says so."""
        source = self._request.source
        if source.on_null_cursor is OnNullCursor.INCLUDE:
            return ""
        (without,) = self._connection.execute(
            f"SELECT count(*) FROM {relation} WHERE {quoted} IS NULL".encode()
        ).fetchone()
        if without and source.on_null_cursor is OnNullCursor.RAISE:
            raise null_refused(without, str(source.cursor), _named(self._request))
        if without:
            self._notes.append(null_excluded(without, str(source.cursor), _named(self._request)))
        return f"{quoted} IS NOT NULL"

    def _moment(self, relation: str, column: Column, at: datetime) -> str:
        naive = at.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ")
        if column.base == "timestamptz":
            return f"CAST('{naive}+00' AS timestamptz)"
        if column.base in _TIMES:
            return f"CAST('{naive}' AS timestamp)"
        quoted = identifier(column.name)
        sample = self._connection.execute(
            f"SELECT {quoted} FROM {relation} WHERE {quoted} IS NOT NULL LIMIT {_SAMPLE}".encode()
        ).fetchall()
        form = cursors.form_of([value for (value,) in sample])
        if form is None or form.zone == "offset":
            raise ConfigurationError(
                f"How the interval column {column.name!r} of {_named(self._request)} writes moments cannot be told",
                value=column.spelt,
                valid="a date or time, or ISO 8601 texts of one spelling, or whole seconds since 1970",
            )
        value = form.bound(at)
        return bound(value, "text") if isinstance(value, str) else str(value)

    def _guarded(self, relation: str, planned: list[Column], where: str) -> list[Column]:
        """Turn columns into text that hold a value which their type cannot; one scan where there is none."""
        guards = {column.name: column.guard for column in planned if column.guard}
        if not guards:
            return planned
        glue = f"{where} AND" if where else " WHERE"
        # To count them is what the server shares among its workers; a search for the first one is not.
        scan = f"SELECT count(*) FROM {relation}{glue} ({' OR '.join(guards.values())})"
        if not self._connection.execute(scan.encode()).fetchone()[0]:
            return planned
        flags = ", ".join(f"bool_or({guard})" for guard in guards.values())
        row = self._connection.execute(f"SELECT {flags} FROM {relation}{where}".encode()).fetchone()
        odd = {name for name, flag in zip(guards, row, strict=True) if flag}
        if self._request.source.cursor in odd and self._request.interval is None:
            raise DataError(
                f"The cursor {self._request.source.cursor!r} of {_named(self._request)} holds infinity or NaN, "
                "past which nothing can be read",
                remedy="Read a query that leaves such rows out, or name another cursor",
            )
        return [column.as_text() if column.name in odd else column for column in planned]


def _named(request: Request) -> str:
    return str(request.source.options.get("table", "the query"))
