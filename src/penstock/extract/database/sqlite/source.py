"""Tables and queries of a SQLite file, read in one read transaction of a connection that cannot write.

In a database with a rollback journal (the default mode) writers wait while it is read; in WAL mode they do not.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa

from penstock.errors import ConfigurationError, DataError
from penstock.extract import cursors
from penstock.extract.database.sqlite import figures, files
from penstock.extract.database.sqlite.plan import Planner, named
from penstock.extract.database.sqlite.survey import CHUNK_ROWS, Chunk, held, survey
from penstock.extract.database.sqlite.types import Declared, MisfitError, Rung, build, finish
from penstock.extract.port import ArrowBatch, Request, SourceFigures, TableDescription
from penstock.extract.progress import Progress, encoded, local_clock
from penstock.model.specs import Reconcile, SourceTable
from penstock.names import unknown
from penstock.schema import SOURCE_TYPE

_FIRST_ROWS = 16
_MOST_CELLS = 1_048_576


class SqliteSource:
    """The source kind ``sqlite``; options ``table`` or ``query``, connection URL ``sqlite:///path``."""

    def open(self, request: Request) -> SqliteExtraction:
        """Begin a read transaction and settle the types; see the port."""
        path = files.find(request)
        figures.refuse_hashes(request)
        with files.translated(path, named(request)):
            try:
                return SqliteExtraction(request, path)
            except sqlite3.OperationalError as error:
                if not files.undecodable(error):
                    raise
                return SqliteExtraction(request, path, lenient=True)

    def tables(self, request: Request) -> tuple[SourceTable, ...]:
        """List tables and views; see the port."""
        path = files.find(request)
        with files.translated(path, "its tables"), closing(files.connect(path)) as connection:
            return files.listed(connection)

    def describe(self, request: Request) -> tuple[TableDescription, ...]:
        """Describe all tables and views, or the one that ``request.source`` names; see the port."""
        path = files.find(request)
        with files.translated(path, named(request)), closing(files.connect(path)) as connection:
            connection.text_factory = files.lenient
            wanted = request.source.options.get("table")
            names = files.tables(connection)
            if wanted is not None and wanted not in names:
                raise unknown("table", str(wanted), names, where=str(path))
            listed = names if wanted is None else [str(wanted)]
            return tuple(files.describe(connection, name, request, path) for name in listed)


class SqliteExtraction:
    """One reading of a table; see the port."""

    def __init__(self, request: Request, path: Path, *, lenient: bool = False) -> None:
        self._request = request
        self._path = path
        self._notes: list[str] = []
        self._fetched = 0
        self._connection = files.connect(path)
        try:
            if lenient:
                self._be_lenient()
            self._begin()
        except BaseException:
            self._connection.close()
            raise

    @property
    def schema(self) -> pa.Schema:
        """The columns, types as settled for this load."""
        return self._schema

    def batches(self) -> Iterator[ArrowBatch]:
        """Yield the rows; see the port."""
        place = self._request.connection.name if self._request.connection is not None else self._path.name
        origin: tuple[str, Mapping[str, Any]] = (f"{place}.{named(self._request)}", {})
        with files.translated(self._path, named(self._request)):
            parts: list[list[pa.Array]] = []
            size = rows = 0
            for chunk in self._chunks():
                rows += len(chunk[0])
                parts.append(self._built(chunk))
                # Python's texts may be long, and the next ones are made beside what is still held.
                del chunk
                size += sum(array.nbytes for array in parts[-1])
                if size >= self._request.batch_bytes or rows >= self._most_rows:
                    batch = self._batch(parts)
                    parts, size, rows = [], 0, 0
                    yield ArrowBatch(batch, origin)
                    del batch
            if parts:
                yield ArrowBatch(self._batch(parts), origin)

    def position(self) -> Mapping[str, Any] | None:
        """Return the greatest cursor value read; see the port."""
        return encoded(self._progress, str(self._request.source.cursor))

    def figures(self) -> SourceFigures | None:
        """Return what SQLite says of the rows, in the same transaction; see the port."""
        if self._request.source.reconcile is Reconcile.OFF:
            return None
        plain = self._connection.text_factory is str
        try:
            return figures.ask(self._connection, self._request, self._query, self._rungs, plain=plain)
        except sqlite3.Error as error:
            why = files.explain(error, self._path, named(self._request))
            self._notes.append(f"{self._request.source.table} could not be compared with its source: {why.what}")
            return None

    def notes(self) -> tuple[str, ...]:
        """Return what was met on the way."""
        return (*self._notes, *self._progress.notes())

    def commit(self) -> None:
        """Nothing is to be acknowledged."""

    def close(self) -> None:
        """End the transaction and close the file."""
        self._connection.close()

    def _begin(self) -> None:
        self._connection.execute("BEGIN")
        self._query = Planner(self._request, self._connection, self._path, self._notes).plan()
        clock = local_clock(files.now(self._connection))
        self._progress = Progress(self._request.source, named(self._request), clock, zones=self._query.zones)
        columns = self._query.columns
        self._most_rows = max(1, _MOST_CELLS // max(1, len(columns)))
        self._rows_per_fetch = _FIRST_ROWS
        self._reader = self._connection.execute(self._query.select(), self._query.values)
        self._first, exhausted = self._fetch_first()
        self._rungs = held(columns, self._first) if exhausted else survey(self._connection, self._query)
        self._note_surprises()
        types = [pa.string() if isinstance(rung, str) else rung for rung in self._rungs]
        self._schema = pa.schema(
            [
                pa.field(column.name, type_, metadata={SOURCE_TYPE: column.type} if column.type else None)
                for column, type_ in zip(columns, types, strict=True)
            ]
        )
        cursor = self._request.source.cursor if self._request.interval is None else None
        self._cursor = None if cursor is None else self._schema.get_field_index(cursor)

    def _fetch_first(self) -> tuple[list[Chunk], bool]:
        """Fetch about one batch; says whether that is all."""
        chunks: list[Chunk] = []
        rows = size = 0
        while rows < self._most_rows and size < self._request.batch_bytes:
            chunk = self._fetch()
            if chunk is None:
                return chunks, True
            chunks.append(chunk)
            rows += len(chunk[0])
            width = max(_width(chunk, 0), _width(chunk, -1))
            size += width * len(chunk[0])
            self._adapt(width)
        return chunks, False

    def _chunks(self) -> Iterator[Chunk]:
        first, self._first = self._first, []
        while first:
            yield first.pop(0)
        # No name here holds a chunk while the next one is fetched.
        yield from iter(self._fetch, None)

    def _fetch(self) -> Chunk | None:
        try:
            rows = self._reader.fetchmany(self._rows_per_fetch)
        except sqlite3.OperationalError as error:
            if not files.undecodable(error) or self._connection.text_factory is not str:
                raise
            self._be_lenient()
            # The same statement in the same snapshot gives the same rows in the same order.
            self._reader = self._connection.execute(self._query.select(), self._query.values)
            for done in range(0, self._fetched, CHUNK_ROWS):
                self._reader.fetchmany(min(CHUNK_ROWS, self._fetched - done))
            rows = self._reader.fetchmany(self._rows_per_fetch)
        self._fetched += len(rows)
        return list(zip(*rows, strict=True)) if rows else None

    def _be_lenient(self) -> None:
        self._connection.text_factory = files.lenient
        self._notes.append(f"{named(self._request)} holds texts that are not UTF-8; they are read as Latin-1")

    def _adapt(self, width: int) -> None:
        """Fetch as many rows at once as stay well under a batch, and never many more than before."""
        fitting = self._request.batch_bytes // 4 // max(1, width)
        self._rows_per_fetch = max(1, min(CHUNK_ROWS, fitting, self._rows_per_fetch * 4))

    def _built(self, chunk: Chunk) -> list[pa.Array]:
        try:
            arrays = [build(values, rung) for values, rung in zip(chunk, self._rungs, strict=True)]
        except MisfitError as error:
            raise DataError(f"A value of {named(self._request)} changed its type while it was read") from error
        if self._cursor is not None:
            self._advance(chunk[self._cursor])
        self._adapt(sum(array.nbytes for array in arrays) // len(chunk[0]))
        return arrays

    def _batch(self, parts: Sequence[Sequence[pa.Array]]) -> pa.RecordBatch:
        whole = parts[0] if len(parts) == 1 else [pa.concat_arrays(column) for column in zip(*parts, strict=True)]
        arrays = [finish(array, rung) for array, rung in zip(whole, self._rungs, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=self._schema)

    def _advance(self, values: Sequence[Any]) -> None:
        """Keep the greatest cursor value, as SQLite holds it."""
        column, where = str(self._request.source.cursor), named(self._request)
        try:
            array = pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            cursors.greatest(values, column, where)
            raise
        if pa.types.is_binary(array.type):
            raise ConfigurationError(f"The cursor {column!r} of {where} has no useful order", value="BLOB")
        if self._progress.value is not None and array.null_count < len(array):
            cursors.greatest((self._progress.value.as_py(), next(v for v in values if v is not None)), column, where)
        self._progress.add(array)

    def _note_surprises(self) -> None:
        for column, rung in zip(self._query.columns, self._rungs, strict=True):
            if rung != column.rungs[0] and not column.any and _surprising(column, rung):
                self._notes.append(
                    f"{named(self._request)}.{column.name} is declared {column.type} but holds other values; "
                    f"it is read as {'text' if isinstance(rung, str) else rung}"
                )


def _surprising(column: Declared, rung: Rung) -> bool:
    """Say whether a type differs from what the declaration promised; a zone or time of day is no surprise."""
    first = column.rungs[0]
    temporal = isinstance(rung, pa.DataType) and pa.types.is_temporal(first) and pa.types.is_temporal(rung)
    return not temporal


def _width(chunk: Chunk, row: int) -> int:
    return sum(len(values[row]) if isinstance(values[row], str | bytes) else 8 for values in chunk)
