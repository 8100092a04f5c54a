"""Tables and queries of a SQLite file, read in one read transaction of a connection that cannot write.

In a database with a rollback journal (the default mode) writers wait while it is read; in WAL mode they do not.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from penstock.errors import ConfigurationError, DataError
from penstock.extract import cursors, sqlite_files
from penstock.extract.port import ArrowBatch, Request, TableDescription
from penstock.extract.sqlite_types import Declared, MisfitError, Rung, convert, fits
from penstock.model.specs import WriteMode
from penstock.names import unknown
from penstock.queries.text import identifier, identifiers, literal

_FIRST_ROWS = 512
_MOST_CELLS = 262_144
_SAMPLE = 200
_CONDITIONS = 500
"""Conditions in one statement: SQLite takes expressions up to a depth of 1,000."""


class SqliteSource:
    """The source kind ``sqlite``; options ``table`` or ``query``, connection URL ``sqlite:///path``."""

    def open(self, request: Request) -> SqliteExtraction:
        """Begin a read transaction and settle the types; see the port."""
        path = sqlite_files.find(request)
        with sqlite_files.translated(path, _named(request)):
            try:
                return SqliteExtraction(request, path)
            except sqlite3.OperationalError as error:
                if not sqlite_files.undecodable(error):
                    raise
                return SqliteExtraction(request, path, lenient=True)

    def describe(self, request: Request) -> tuple[TableDescription, ...]:
        """Describe all tables and views, or the one that ``request.source`` names; see the port."""
        path = sqlite_files.find(request)
        with sqlite_files.translated(path, _named(request)), closing(sqlite_files.connect(path)) as connection:
            connection.text_factory = sqlite_files.lenient
            wanted = request.source.options.get("table")
            names = sqlite_files.tables(connection)
            if wanted is not None and wanted not in names:
                raise unknown("table", str(wanted), names, where=str(path))
            listed = names if wanted is None else [str(wanted)]
            return tuple(sqlite_files.describe(connection, name, request, path) for name in listed)


@dataclass(frozen=True, slots=True)
class _Query:
    """What is read.

    Attributes:
        relation: The table, or the temporary view over the user's query, quoted.
        columns: Its columns.
        where: The condition; empty for none.
        values: The values bound in it.
    """

    relation: str
    columns: tuple[Declared, ...]
    where: str
    values: tuple[Any, ...]

    def select(self, columns: Sequence[str] | None = None) -> str:
        """Return the statement for all columns or some."""
        names = columns or [column.name for column in self.columns]
        return f"SELECT {identifiers(names)} FROM {self.relation}{self.where}"


class SqliteExtraction:
    """One reading of a table; see the port."""

    def __init__(self, request: Request, path: Path, *, lenient: bool = False) -> None:
        self._request = request
        self._path = path
        self._notes: list[str] = []
        self._cursor_value: Any = None
        self._held_back = 0
        self._fetched = 0
        self._connection = sqlite_files.connect(path)
        try:
            if lenient:
                self._be_lenient()
            self._begin()
        except BaseException:
            self._connection.close()
            raise

    def _begin(self) -> None:
        self._connection.execute("BEGIN")
        self._query = self._plan()
        self._now = sqlite_files.now(self._connection)
        self._most_rows = max(1, _MOST_CELLS // max(1, len(self._query.columns)))
        self._rows_per_fetch = min(_FIRST_ROWS, self._most_rows)
        self._reader = self._connection.execute(self._query.select(), self._query.values)
        self._first, exhausted = self._fetch_first()
        self._rungs = self._settle(self._first, exhausted)
        self._schema = pa.schema(
            [
                pa.field(column.name, pa.string() if isinstance(rung, str) else rung)
                for column, rung in zip(self._query.columns, self._rungs, strict=True)
            ]
        )

    @property
    def schema(self) -> pa.Schema:
        """The columns, types as settled for this load."""
        return self._schema

    def batches(self) -> Iterator[ArrowBatch]:
        """Yield the rows; see the port."""
        place = self._request.connection.name if self._request.connection is not None else self._path.name
        origin: tuple[str, Mapping[str, Any]] = (f"{place}.{self._named}", {})
        with sqlite_files.translated(self._path, self._named):
            rows, self._first = self._first, []
            while rows:
                batch = self._batch(rows)
                yield ArrowBatch(batch, origin)
                self._adapt(batch)
                rows = self._fetch()

    def position(self) -> Mapping[str, Any] | None:
        """Return the greatest cursor value read; see the port."""
        if self._cursor_value is None or self._request.interval is not None:
            return None
        kinds = {str: "text", int: "integer", float: "real"}
        return {
            "column": self._request.source.cursor,
            "cursor": self._cursor_value,
            "cursor_type": kinds[type(self._cursor_value)],
        }

    def notes(self) -> tuple[str, ...]:
        """Return what was met on the way."""
        if not self._held_back:
            return tuple(self._notes)
        late = (
            f"{self._held_back} rows of {self._named} have a {self._request.source.cursor} over a day in the future; "
            "they were read, and will be read again, but do not move the cursor"
        )
        return (*self._notes, late)

    def commit(self) -> None:
        """Nothing is to be acknowledged."""

    def close(self) -> None:
        """End the transaction and close the file."""
        self._connection.close()

    @property
    def _named(self) -> str:
        return _named(self._request)

    def _plan(self) -> _Query:
        relation = sqlite_files.relation(self._connection, self._request, self._path)
        columns = sqlite_files.columns(self._connection, relation)
        query = _Query(relation, columns, "", ())
        source = self._request.source
        names = [column.name for column in columns]
        for column in (source.cursor, source.interval, *source.key):
            if column is not None and column not in names:
                raise unknown("column", column, names, where=f"{self._named} of {self._path}")
        if self._request.interval is not None:
            return self._between(query)
        return self._since(query)

    def _between(self, query: _Query) -> _Query:
        interval, column = self._request.interval, self._request.source.interval
        if interval is None or column is None:
            raise ConfigurationError(
                f"{self._request.source.table} was asked for an interval but names no interval column",
                remedy="Add interval=… to the source",
            )
        sample = self._sample(query, column)
        form = cursors.form_of(sample)
        if form is None and any(value is not None for value in sample):
            raise ConfigurationError(
                f"How the interval column {column!r} of {self._named} writes moments cannot be told",
                value=next(value for value in sample if value is not None),
                valid="ISO 8601 texts of one spelling, or whole seconds, milliseconds or microseconds since 1970",
            )
        form = form or cursors.Form("date")
        quoted = identifier(column)
        if form.zone == "offset":
            seconds = f"CAST(strftime('%s', {quoted}) AS INTEGER)"
            bounds = (int(interval.start.timestamp()), int(interval.end.timestamp()))
            return _Query(query.relation, query.columns, f" WHERE {seconds} >= ? AND {seconds} < ?", bounds)
        values = (form.bound(interval.start), form.bound(interval.end))
        return _Query(query.relation, query.columns, f" WHERE {quoted} >= ? AND {quoted} < ?", values)

    def _since(self, query: _Query) -> _Query:
        source = self._request.source
        if source.cursor is None or source.write is WriteMode.REPLACE:
            return query
        sample = self._sample(query, source.cursor)
        self._warn_about_cursor(sample)
        position = cursors.resume(self._request)
        if position is None:
            return query
        value = position["cursor"]
        if sample and isinstance(value, str) != isinstance(next(iter(sample)), str):
            raise ConfigurationError(
                f"The cursor {source.cursor!r} of {source.table} changed its type since it was last read",
                value=value,
                valid="values as before, or a new table name, which is read from the start",
            )
        bound = cursors.behind(value, str(position.get("cursor_type", "text")), source.lag, source.table)
        quoted = identifier(source.cursor)
        self._count_without_cursor(query, quoted)
        return _Query(query.relation, query.columns, f" WHERE {quoted} >= ? COLLATE BINARY", (bound,))

    def _count_without_cursor(self, query: _Query, quoted: str) -> None:
        counted = self._connection.execute(f"SELECT count(*) FROM {query.relation} WHERE {quoted} IS NULL")
        (without,) = counted.fetchone()
        if without:
            self._notes.append(
                f"{without} rows of {self._named} have no {self._request.source.cursor}; "
                "such rows are read only by the first load"
            )

    def _warn_about_cursor(self, sample: Sequence[Any]) -> None:
        texts = [value for value in sample if isinstance(value, str)]
        if texts and all(text.isdigit() for text in texts) and len({len(text) for text in texts}) > 1:
            self._notes.append(
                f"The cursor {self._request.source.cursor} of {self._named} holds numbers as text, "
                "compared letter by letter: '9' comes after '10'"
            )

    def _sample(self, query: _Query, column: str) -> list[Any]:
        quoted = identifier(column)
        taken = self._connection.execute(
            f"SELECT {quoted} FROM {query.relation} WHERE {quoted} IS NOT NULL LIMIT {_SAMPLE}"
        )
        return [value for (value,) in taken]

    def _fetch_first(self) -> tuple[list[Any], bool]:
        """Fetch up to about one batch; says whether that is all."""
        rows: list[Any] = []
        size = 0
        while len(rows) < self._most_rows and size < self._request.batch_bytes:
            part = self._fetch()
            if not part:
                return rows, True
            rows += part
            size += _width(part[0]) * len(part)
        return rows, False

    def _fetch(self) -> list[Any]:
        try:
            rows = self._reader.fetchmany(self._rows_per_fetch)
        except sqlite3.OperationalError as error:
            if not sqlite_files.undecodable(error) or self._connection.text_factory is not str:
                raise
            self._be_lenient()
            # The same statement in the same snapshot gives the same rows in the same order.
            self._reader = self._connection.execute(self._query.select(), self._query.values)
            for done in range(0, self._fetched, self._rows_per_fetch):
                self._reader.fetchmany(min(self._rows_per_fetch, self._fetched - done))
            rows = self._reader.fetchmany(self._rows_per_fetch)
        self._fetched += len(rows)
        return rows

    def _be_lenient(self) -> None:
        self._connection.text_factory = sqlite_files.lenient
        self._notes.append(f"{self._named} holds texts that are not UTF-8; they are read as Latin-1")

    def _adapt(self, batch: pa.RecordBatch) -> None:
        width = max(1, batch.nbytes // batch.num_rows)
        self._rows_per_fetch = max(
            1, min(self._most_rows, self._request.batch_bytes // width, self._rows_per_fetch * 4)
        )

    def _settle(self, rows: list[Any], exhausted: bool) -> tuple[Rung, ...]:
        columns = self._query.columns
        held = list(zip(*rows, strict=True)) if rows else [()] * len(columns)
        if exhausted:
            rungs = [next(rung for rung in c.rungs if fits(v, rung)) for c, v in zip(columns, held, strict=True)]
        else:
            rungs = self._survey()
        for column, rung in zip(columns, rungs, strict=True):
            if rung != column.rungs[0] and column.type and _surprising(column, rung):
                self._notes.append(
                    f"{self._named}.{column.name} is declared {column.type} but holds other values; it is read as "
                    f"{'text' if isinstance(rung, str) else rung}"
                )
        return tuple(rungs)

    def _survey(self) -> list[Rung]:
        """Find for each column the first type that all rows fit: in SQL where storage classes tell, else by trial."""
        known = [column for column in self._query.columns if column.classes]
        misfits = self._misfits(known)
        settled: dict[str, Rung] = {column.name: column.rungs[0] for column in known if column.name not in misfits}
        open_columns = [column for column in self._query.columns if column.name not in settled]
        if open_columns:
            settled.update(self._try(open_columns))
        return [settled[column.name] for column in self._query.columns]

    def _misfits(self, columns: Sequence[Declared]) -> set[str]:
        """Return the columns in which a value has another storage class than declared."""
        found: set[str] = set()
        for first in range(0, len(columns), _CONDITIONS):
            found |= self._misfits_among(columns[first : first + _CONDITIONS])
        return found

    def _misfits_among(self, columns: Sequence[Declared]) -> set[str]:
        """Look at some columns in one scan, or two if there is a misfit."""
        odd = {
            column.name: f"typeof({identifier(column.name)}) NOT IN "
            f"({', '.join(literal(name) for name in (*column.classes, 'null'))})"
            for column in columns
        }
        glue = f"{self._query.where} AND" if self._query.where else " WHERE"
        scan = f"SELECT 1 FROM {self._query.relation}{glue} ({' OR '.join(odd.values())}) LIMIT 1"
        if self._connection.execute(scan, self._query.values).fetchone() is None:
            return set()
        flags = ", ".join(f"max({condition})" for condition in odd.values())
        found = self._connection.execute(
            f"SELECT {flags} FROM {self._query.relation}{self._query.where}", self._query.values
        ).fetchone()
        return {name for name, flag in zip(odd, found, strict=True) if flag}

    def _try(self, columns: Sequence[Declared]) -> dict[str, Rung]:
        """Try whole columns against their ladders; a rung counts only if it held for every batch."""
        ladders = {column.name: list(column.rungs) for column in columns}
        stale = set(ladders)
        while stale:
            names = [column.name for column in columns if column.name in stale]
            reader = self._connection.execute(self._query.select(names), self._query.values)
            left: set[str] = set()
            while rows := reader.fetchmany(8192):
                for name, values in zip(names, zip(*rows, strict=True), strict=True):
                    while not fits(values, ladders[name][0]):
                        ladders[name].pop(0)
                        left.add(name)
            stale = left
        return {name: rungs[0] for name, rungs in ladders.items()}

    def _batch(self, rows: list[Any]) -> pa.RecordBatch:
        held = list(zip(*rows, strict=True))
        cursor = self._request.source.cursor
        if cursor is not None and self._request.interval is None:
            self._advance(held[[column.name for column in self._query.columns].index(cursor)])
        try:
            arrays = [convert(values, rung) for values, rung in zip(held, self._rungs, strict=True)]
        except MisfitError as error:
            raise DataError(f"A value of {self._named} changed its type while it was read: {error}") from error
        return pa.RecordBatch.from_arrays(arrays, schema=self._schema)

    def _advance(self, values: Sequence[Any]) -> None:
        column = str(self._request.source.cursor)
        top = cursors.greatest(values, column, self._named)
        if top is not None and cursors.ahead(top, self._now):
            kept = [value for value in values if value is not None and not cursors.ahead(value, self._now)]
            self._held_back += sum(value is not None for value in values) - len(kept)
            top = cursors.greatest(kept, column, self._named)
        self._cursor_value = cursors.greatest((self._cursor_value, top), column, self._named)


def _surprising(column: Declared, rung: Rung) -> bool:
    """Say whether a type differs from what the declaration promised; a zone or time of day is no surprise."""
    first = column.rungs[0]
    if isinstance(first, pa.DataType) and isinstance(rung, pa.DataType):
        if pa.types.is_null(first):
            return False
        return not (pa.types.is_temporal(first) and pa.types.is_temporal(rung))
    return True


def _width(row: Sequence[Any]) -> int:
    return sum(len(value) if isinstance(value, str | bytes) else 8 for value in row)


def _named(request: Request) -> str:
    return str(request.source.options.get("table", "the query"))
