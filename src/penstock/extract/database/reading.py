"""One reading of a table or query of a database, whatever its dialect."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

import pyarrow as pa

from penstock.errors import ConfigurationError, DataError, PenstockError
from penstock.extract import cursors
from penstock.extract.database.dialect import Database, DatabaseColumn, Relation
from penstock.extract.port import ArrowBatch, Batch, Request, SourceFigures, TableDescription
from penstock.extract.progress import Progress, encoded, in_no_interval, local_clock, null_excluded, null_refused
from penstock.model.specs import OnNullCursor, Reconcile, SourceTable
from penstock.names import unknown
from penstock.schema import SOURCE_TYPE
from penstock.stores.parquet import ROW_GROUP
from penstock.values import dataclass

_SAMPLE = 200
_TIMES = ("date", "timestamp", "timestamptz")


class DatabaseSource:
    """A kind of source that is a database.

    Args:
        connect: Opens a connection for a request.
    """

    def __init__(self, connect: Callable[[Request], Database]) -> None:
        self._connect = connect

    def open(self, request: Request) -> DatabaseExtraction:
        """Plan the columns and begin to stream; see the port."""
        return DatabaseExtraction(request, self._connect(request))

    def tables(self, request: Request) -> tuple[SourceTable, ...]:
        """List tables and views; see the port."""
        database = self._connect(request)
        try:
            with database.translated():
                return database.tables()
        finally:
            database.close()

    def describe(self, request: Request) -> tuple[TableDescription, ...]:
        """Describe the tables that the user may see, or the one that ``request.source`` names; see the port."""
        database = self._connect(request)
        try:
            with database.translated():
                return database.describe()
        finally:
            database.close()


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is read: the relation, its columns, the condition (empty for none) and the database's clock."""

    relation: Relation
    columns: tuple[DatabaseColumn, ...]
    where: str
    now: datetime


class DatabaseExtraction:
    """One reading of a table; see the port."""

    def __init__(self, request: Request, database: Database) -> None:
        self._request = request
        self._database = database
        self._notes: list[str] = []
        try:
            with database.translated():
                self._plan = _Planner(request, database, self._notes).plan()
        except BaseException:
            self.close()
            raise
        self._progress = Progress(request.source, self._plan.relation.name, local_clock(self._plan.now))
        self._schema = pa.schema(
            [pa.field(c.name, c.target, metadata={SOURCE_TYPE: c.spelt}) for c in self._plan.columns]
        )

    @property
    def schema(self) -> pa.Schema:
        """The columns with the types of this load."""
        return self._schema

    def batches(self) -> Iterator[Batch]:
        """Yield the rows; see the port."""
        plan, database = self._plan, self._database
        connection = self._request.connection
        place = connection.name if connection is not None else "database"
        origin: tuple[str, Mapping[str, Any]] = (f"{place}.{plan.relation.name}", {})
        # Columns are numbered: some drivers mind the case or the characters of names.
        listed = ", ".join(
            f"{column.expression} AS {database.identifier(f'c{place}')}" for place, column in enumerate(plan.columns)
        )
        rows = max(1, min(ROW_GROUP, self._request.batch_bytes // max(1, plan.relation.row_bytes or 128)))
        with database.translated():
            for raw in database.stream(f"SELECT {listed} FROM {plan.relation.sql}{plan.where}", rows):
                arrays = [cast(array, column) for array, column in zip(raw.columns, plan.columns, strict=True)]
                batch = pa.RecordBatch.from_arrays(arrays, schema=self._schema)
                self._advance(batch)
                yield ArrowBatch(batch, origin)

    def position(self) -> Mapping[str, Any] | None:
        """Return the greatest cursor value read; see the port."""
        name = str(self._request.source.cursor)
        kind = next((column.cursor for column in self._plan.columns if column.name == name), None)
        return encoded(self._progress, name, kind)

    def figures(self) -> SourceFigures | None:
        """Return what the database says of the rows; see the port."""
        source, plan = self._request.source, self._plan
        if source.reconcile is Reconcile.OFF:
            return None
        try:
            with self._database.translated():
                return self._database.figures(plan.relation, plan.columns, plan.where)
        except PenstockError as error:
            self._notes.append(f"{source.table} could not be compared with its source: {error.what}")
            return None

    def notes(self) -> tuple[str, ...]:
        """Return what was met on the way."""
        return (*self._notes, *self._progress.notes())

    def commit(self) -> None:
        """Nothing is to be acknowledged."""

    def close(self) -> None:
        """Close the connection."""
        with suppress(Exception):
            self._database.close()

    def _advance(self, batch: pa.RecordBatch) -> None:
        name = self._request.source.cursor
        if name is None or self._request.interval is not None:
            return
        self._progress.add(batch.column(batch.schema.get_field_index(name)))


class _Planner:
    """Finds out what is to be read."""

    def __init__(self, request: Request, database: Database, notes: list[str]) -> None:
        self._request = request
        self._database = database
        self._notes = notes

    def plan(self) -> _Plan:
        source = self._request.source
        relation = self._database.relation()
        known = {column.name: column for column in relation.columns}
        for name in (source.cursor, source.interval, *source.key):
            if name is not None and name not in known:
                raise unknown("column", name, known, where=relation.name)
        where = self._condition(relation, known)
        columns = self._guarded(relation, where)
        self._notes += [note for note in (relation.note, *(column.note for column in columns)) if note]
        return _Plan(relation, columns, where, self._database.now())

    def _condition(self, relation: Relation, known: Mapping[str, DatabaseColumn]) -> str:
        source, interval = self._request.source, self._request.interval
        if interval is not None:
            if source.interval is None:
                raise ConfigurationError(
                    f"{source.table} was asked for an interval but names no interval column",
                    remedy="Add interval=… to the source",
                )
            column = known[source.interval]
            self._tell_outside(relation, column)
            if column.cursor in _TIMES:
                return f" WHERE {self._database.between(column, interval.start, interval.end)}"
            return self._written_moments(relation, column)
        if source.horizon:
            raise ConfigurationError(
                f"Source {source.table!r} has a horizon, and only tables of PostgreSQL have one",
                value=relation.name,
                remedy="Drop horizon, and give it a lag as long as its longest transaction",
            )
        if source.cursor is None or not cursors.steers(self._request):
            return ""
        column = known[source.cursor]
        if column.cursor is None:
            raise ConfigurationError(
                f"The cursor {source.cursor!r} of {source.table} has no useful order",
                value=column.spelt,
                valid="a column of numbers, dates, times or texts",
            )
        position = cursors.resume(self._request)
        return self._with_nulls(relation, column, "" if position is None else self._since(column, position))

    def _tell_outside(self, relation: Relation, column: DatabaseColumn) -> None:
        """Note how many rows are in no interval, where that is asked for."""
        if not self._request.without_interval:
            return
        missing = f"{self._database.identifier(column.name)} IS NULL"
        ((rows,),) = self._database.ask(f"SELECT count(*) FROM {relation.sql} WHERE {missing}")
        if rows:
            self._notes.append(in_no_interval(int(rows), column.name, relation.name))

    def _since(self, column: DatabaseColumn, position: Mapping[str, Any]) -> str:
        source = self._request.source
        if position.get("cursor_type") != column.cursor:
            raise ConfigurationError(
                f"The cursor {source.cursor!r} of {source.table} changed its type since it was last read",
                value=column.spelt,
                valid=f"{position.get('cursor_type')}, or a new table name, which is read from the start",
            )
        value, lag = position["cursor"], source.lag
        if column.cursor not in _TIMES:
            value = cursors.behind(value, str(column.cursor), lag, source.table)
        return self._database.since(column, value, lag)

    def _with_nulls(self, relation: Relation, column: DatabaseColumn, wanted: str) -> str:
        """Return the condition with what the source says of rows without a cursor value."""
        policy, quoted = self._request.source.on_null_cursor, self._database.identifier(column.name)
        if policy is OnNullCursor.INCLUDE:
            return f" WHERE ({wanted} OR {quoted} IS NULL)" if wanted else ""
        ((without,),) = self._database.ask(f"SELECT count(*) FROM {relation.sql} WHERE {quoted} IS NULL")
        if without and policy is OnNullCursor.RAISE:
            raise null_refused(int(without), column.name, relation.name)
        if without:
            self._notes.append(null_excluded(int(without), column.name, relation.name))
        return f" WHERE {quoted} IS NOT NULL" + (f" AND {wanted}" if wanted else "")

    def _written_moments(self, relation: Relation, column: DatabaseColumn) -> str:
        """Return the condition of an interval for moments written as texts or numbers."""
        interval = self._request.interval
        quoted = self._database.identifier(column.name)
        sample = self._database.ask(
            self._database.limited(f"SELECT {quoted} FROM {relation.sql} WHERE {quoted} IS NOT NULL", _SAMPLE)
        )
        form = cursors.form_of([value for (value,) in sample])
        if interval is None or form is None or form.zone == "offset" or column.cursor is None:
            raise ConfigurationError(
                f"How the interval column {column.name!r} of {relation.name} writes moments cannot be told",
                value=column.spelt,
                valid="a date or time, or ISO 8601 texts of one spelling, or whole seconds since 1970",
            )
        start, end = (self._database.constant(form.bound(at), column.cursor) for at in (interval.start, interval.end))
        return f" WHERE {quoted} >= {start} AND {quoted} < {end}"

    def _guarded(self, relation: Relation, where: str) -> tuple[DatabaseColumn, ...]:
        """Turn columns into text that hold a value which their type cannot; one scan where there is none."""
        guards = {column.name: column.guard for column in relation.columns if column.guard}
        if not guards:
            return relation.columns
        glue = f"{where} AND" if where else " WHERE"
        met = f"SELECT 1 FROM {relation.sql}{glue} ({' OR '.join(guards.values())})"
        if not self._database.ask(self._database.limited(met, 1)):
            return relation.columns
        flags = ", ".join(f"max(CASE WHEN {guard} THEN 1 ELSE 0 END)" for guard in guards.values())
        (row,) = self._database.ask(f"SELECT {flags} FROM {relation.sql}{where}")
        odd = {name for name, flag in zip(guards, row, strict=True) if flag}
        if self._request.source.cursor in odd and self._request.interval is None:
            raise DataError(
                f"The cursor {self._request.source.cursor!r} of {relation.name} holds a value past which nothing can "
                "be read",
                value=next(column.odd for column in relation.columns if column.name == self._request.source.cursor),
                remedy="Read a query that leaves such rows out, or name another cursor",
            )
        return tuple(column.as_text() if column.name in odd else column for column in relation.columns)


def cast(array: pa.Array, column: DatabaseColumn) -> pa.Array:
    """Return what a driver gave for a column as the type that the column has."""
    if array.type.equals(column.target):
        return array
    if isinstance(column.target, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(column.target, array.cast(column.target.storage_type))
    if pa.types.is_date32(column.target) and pa.types.is_integer(array.type):
        array = array.cast(pa.int32())
    if pa.types.is_time64(column.target) and not pa.types.is_integer(array.type):
        # Arrow reads no clock from a text, but a moment: the expression puts a day before it.
        array = array.cast(pa.timestamp(column.target.unit))
    return array.cast(column.target)
