"""Draining an extraction: batches of Arrow and scans of DuckDB become Parquet files, in the order of their coming."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import duckdb

from penstock.arrow import pa
from penstock.errors import DataError, PenstockError
from penstock.extract.port import ArrowBatch, Batch, Extraction, Scan, byte_size
from penstock.land import arrow
from penstock.land.chunks import Chunks, Held, OriginRows
from penstock.land.columns import Columns, Plan, incoming
from penstock.land.misfits import MisfitFile
from penstock.land.parts import ArrowFile, Folder, Part, long_part
from penstock.land.protection import Personal
from penstock.land.refusing import MisfitError, Passed, sentences
from penstock.model.entries import Misfits
from penstock.model.events import Advance
from penstock.names import LOAD
from penstock.queries.text import identifier, literal
from penstock.schema import LONG
from penstock.stores.freeing import give_back
from penstock.stores.long_values import long_columns, text_type, texts_of_json
from penstock.stores.parquet import discard, first_line, refusals, write
from penstock.values import dataclass

Explain = Callable[[Exception], PenstockError]

_STREAMED = 4 * 2048
"""Rows that are asked of DuckDB at a time, in multiples of its own unit; few, because they may be wide."""
_DESCRIBED: dict[bytes, list[tuple[str, str]]] = {}
"""Schemas, as Arrow writes them, to what DuckDB calls them; the same for all tables of the process."""
_MOST_DESCRIBED = 1000
_KINDS = {"IO Error": duckdb.IOException, "Out of Memory Error": duckdb.OutOfMemoryException}


@dataclass(frozen=True, slots=True)
class Taken:
    """What an extraction gave: its files, how many rows it held, sentences about it, and lines that are no rows."""

    parts: tuple[Part, ...]
    rows: int
    notes: tuple[str, ...] = ()
    misfits: Misfits | None = None


class Intake:
    """Turns batches into files, in bounded memory.

    Args:
        connection: A session of the engine.
        folder: Names the files.
        columns: Decides on the columns.
        personal: Protects what is personal of them.
        misfits: Takes the lines that are no rows.
        number: The load's number.
        advance: Told of rows and bytes as they pass.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        folder: Folder,
        columns: Columns,
        personal: Personal,
        misfits: MisfitFile,
        number: int,
        advance: Advance,
    ) -> None:
        self._connection = connection
        self._folder = folder
        self._columns = columns
        self._personal = personal
        self._number = number
        self._advance = advance
        self._parts: list[Part] = []
        self._file: ArrowFile | None = None
        self._chunk_bytes = 0
        self._schema: pa.Schema | None = None
        self._plans: dict[pa.Schema, Plan] = {}
        self._source_types: dict[str, str] | None = None
        self._open: frozenset[str] = frozenset()
        self._rows = 0
        self._misfits = misfits
        self._passed = Passed()

    def drain(self, extraction: Extraction, chunk_bytes: int) -> Taken:
        """Take all batches; what a source raises passes through, and no file of the attempt is kept by the caller.

        Args:
            extraction: What is read.
            chunk_bytes: Bytes of rows that are gathered before they are written as a row group.
        """
        self._chunk_bytes = chunk_bytes
        chunks = Chunks(chunk_bytes)
        if extraction.schema is not None:
            self._source_types = arrow.source_types(extraction.schema)
            self._open = arrow.undecided(extraction.schema)
            empty = arrow.empty(extraction.schema)
            self._schema = arrow.plain(empty, self._folder.table.name).schema
        try:
            for batch in self._batches(extraction):
                if isinstance(batch, ArrowBatch):
                    if batch.misfits is not None:
                        self._misfits.take(iter((batch.misfits,)))
                    self._hold(batch, chunks)
                else:
                    self._write_chunk(chunks.rest())
                    self._close()
                    self._scan(batch)
                # The source makes the next batch now: this one, which may be large, is not to be held beside it.
                del batch
            self._write_chunk(chunks.rest())
            if not self._parts and self._file is None and self._schema is not None:
                self._plan(self._schema)
            self._close()
        finally:
            if self._file is not None:
                self._file.abandon()
        return Taken(tuple(self._parts), self._rows, misfits=self._misfits.close())

    def _batches(self, extraction: Extraction) -> Iterator[Batch]:
        try:
            yield from extraction.batches()
        except (PenstockError, GeneratorExit):
            raise
        except Exception as error:
            raise DataError(
                f"Reading {self._folder.table.name} stopped after {self._rows} rows: "
                f"{type(error).__name__}: {first_line(error)}"
            ) from error

    def _hold(self, batch: ArrowBatch, chunks: Chunks) -> None:
        rows = batch.data.num_rows
        if self._source_types is None:
            self._source_types = arrow.source_types(batch.data.schema)
        data = arrow.plain(batch.data, self._folder.table.name)
        if not rows:
            self._schema = arrow.united(self._schema, data.schema) or self._schema
            return
        for chunk in chunks.add(data, batch.origin):
            self._write_chunk(chunk)
        self._rows += rows
        self._advance(rows, byte_size(data))

    def _write_chunk(self, held: Sequence[Held]) -> None:
        """Write what is held, in one piece where its types can be united; else the columns decide, batch by batch."""
        if not held:
            return
        for batch, _ in held:
            self._columns.passed(batch.schema.names, batch.num_rows)
        whole = self._united([batch for batch, _ in held])
        if whole is not None:
            self._write(whole, [origin for _, origin in held])
            return
        self._schema = None
        for batch, origin in held:
            self._write(pa.Table.from_batches([batch]), [origin])

    def _united(self, batches: Sequence[pa.RecordBatch]) -> pa.Table | None:
        schema = self._schema
        if schema is not None and self._open:
            schema, self._open = arrow.decided(schema, self._open, batches[0].schema), frozenset()
        for batch in batches:
            schema = arrow.united(schema, batch.schema)
            if schema is None:
                return None
        try:
            whole = arrow.chunk(batches, schema, self._folder.table.name)
        except DataError:
            return None
        self._schema = schema
        return whole

    def _write(self, table: pa.Table, origins: Sequence[OriginRows]) -> None:
        while True:
            plan = self._plan(table.schema, origins)
            try:
                stored = self._stored(table, plan)
            except MisfitError as misfit:
                self._plans = {}
                if not self._columns.widen(misfit.column):
                    raise self._located(misfit, _placed(table), origins) from misfit
            else:
                self._append(stored, plan, origins)
                self._passed.take(origins)
                return

    def _located(self, misfit: MisfitError, table: pa.Table, origins: Sequence[OriginRows]) -> MisfitError:
        """Return the refusal with the first row that it is about."""
        with self._registered(table):
            found = self._first(misfit, "penstock_chunk")
        place = "" if found is None else self._passed.place(origins, found[0])
        return MisfitError(misfit.table, misfit.column, misfit.type, place)

    def _first(
        self, misfit: MisfitError, relation: str, values: Sequence[Any] = (), file: str = "NULL"
    ) -> tuple[int, Any] | None:
        """Return the place, from 0, of the first row whose value does not fit, and its file."""
        condition = self._columns.misfit(misfit.column)
        if condition is None:
            return None
        try:
            found: list[tuple[int, Any]] = self._connection.execute(
                f"SELECT n - 1, file FROM (SELECT row_number() OVER () AS n, {file} AS file, {condition} AS unfit "
                f"FROM {relation}) WHERE unfit ORDER BY n LIMIT 1",
                list(values),
            ).fetchall()
            return found[0] if found else None
        except duckdb.Error:
            # The refusal stands without the place.
            return None

    def _append(self, table: pa.Table, plan: Plan, origins: Sequence[OriginRows]) -> None:
        if table.num_rows == 1 and byte_size(table) >= LONG and long_columns(table):
            self._close()
            self._parts.append(long_part(table, plan.columns, self._folder, origins))
            give_back()
            return
        # A chunk that is greater than it should be holds a very long value, and is written in a way of its own.
        huge = byte_size(table) > 2 * self._chunk_bytes
        if self._file is not None and (huge or self._file.full or self._file.columns != plan.columns):
            self._close()
        if self._file is None:
            path, place = self._folder.new()
            self._file = ArrowFile(path, place, plan.columns)
        self._file.write(table, origins)
        # What reading and encoding freed lies in pieces: kept until the end, it would add up.
        give_back()

    def _plan(self, schema: pa.Schema, origins: Sequence[OriginRows] = ()) -> Plan:
        """Plan a schema; columns are known to DuckDB by their place, because it takes ``Id`` and ``ID`` for one."""
        found = self._plans.get(schema)
        if found is None:
            told = self._source_types or {}
            described = self._types(schema)
            came = [
                incoming(name, type_, identifier(place), told.get(name))
                for name, (place, type_) in zip(schema.names, described, strict=True)
            ]
            came = self._personal.shielded(came)
            with _from(self._passed.place(origins, 0)):
                found = self._columns.plan(came)
            self._plans = {schema: found}
        return found

    def _types(self, schema: pa.Schema) -> list[tuple[str, str]]:
        """Return what DuckDB calls the types of a schema; the micro-batches of a stream have the same one each time."""
        key = schema.serialize().to_pybytes()
        found = _DESCRIBED.get(key)
        if found is None:
            with self._registered(_placed(pa.Table.from_batches([arrow.empty(schema)]))):
                found = self._described("SELECT * FROM penstock_chunk")
            if len(_DESCRIBED) >= _MOST_DESCRIBED:
                _DESCRIBED.clear()
            _DESCRIBED[key] = found
        return found

    def _stored(self, table: pa.Table, plan: Plan) -> pa.Table:
        """Convert a chunk to stored types; columns that are stored as they come are not touched."""
        kept = [plain is not None and arrow.lasting(text_type(table.schema.field(plain).type)) for plain in plan.plain]
        number = _repeated(self._number, table.num_rows)
        if all(kept):
            columns = [texts_of_json(table.column(name)) for name in plan.plain]
        else:
            query = plan.query("penstock_chunk", [not keep for keep in kept])
            name = self._folder.table.name
            with self._registered(_placed(table)), sentences(name, plan.columns), refusals(name):
                made = self._connection.sql(query).to_arrow_table()
            columns = [
                texts_of_json(table.column(name)) if keep else made.column(column.name)
                for name, column, keep in zip(plan.plain, plan.columns, kept, strict=True)
            ]
        return pa.table([*columns, number], names=[*(column.name for column in plan.columns), LOAD])

    @contextmanager
    def _registered(self, table: pa.Table) -> Iterator[None]:
        self._connection.register("penstock_chunk", table)
        try:
            yield
        finally:
            self._connection.unregister("penstock_chunk")

    def _close(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            try:
                self._parts.append(file.close())
            except BaseException:
                file.abandon()
                raise

    def _scan(self, scan: Scan) -> None:
        with self._attached(scan):
            self._read(scan)

    @contextmanager
    def _attached(self, scan: Scan) -> Iterator[None]:
        if scan.attach is None:
            yield
            return
        alias, path = scan.attach
        with refusals(self._folder.table.name, scan.explain):
            self._connection.execute(f"ATTACH {literal(path)} AS {identifier(alias)} (READ_ONLY)")
        try:
            yield
        finally:
            self._connection.execute(f"DETACH {identifier(alias)}")

    def _read(self, scan: Scan) -> None:
        described = self._described(scan.sql, scan.values, scan.explain)
        came = [incoming(name, type_, identifier(name)) for name, type_ in described if name != scan.file_column]
        came = self._personal.shielded(came)
        parts, rows = len(self._parts), self._rows
        before = self._columns.remember()
        while True:
            with _from(f" (in {scan.origins[0][0]})" if len(scan.origins) == 1 else ""):
                plan = self._columns.plan(came)
            try:
                if scan.file_column is not None and len(scan.origins) != 1:
                    self._stream(scan, plan)
                else:
                    self._copy(scan, plan)
                other = scan.otherwise(self._connection, None) if scan.otherwise else None
                break
            except MisfitError as misfit:
                self._undo(scan, parts, rows)
                if not self._columns.widen(misfit.column):
                    raise self._located_in(scan, misfit) from misfit
            except PenstockError as error:
                other = scan.otherwise(self._connection, error.__cause__ or error) if scan.otherwise else None
                if other is None:
                    raise
                break
        if other is not None:
            self._undo(scan, parts, rows)
            self._columns.back_to(before)
            self._read(other)
            return
        self._columns.passed([column.name for column in came], self._rows - rows)
        if scan.misfits is not None:
            self._misfits.take(scan.misfits(self._connection, self._rows - rows))

    def _undo(self, scan: Scan, parts: int, rows: int) -> None:
        """Take back what a scan wrote before it was stopped."""
        if self._file is not None:
            self._file.abandon()
            self._file = None
        for part in self._parts[parts:]:
            discard(part.place)
        self._parts, self._rows = self._parts[:parts], rows
        if scan.again is not None:
            scan.again(self._connection)

    def _located_in(self, scan: Scan, misfit: MisfitError) -> MisfitError:
        file = "NULL" if scan.file_column is None else identifier(scan.file_column)
        found = self._first(misfit, f"({scan.sql})", scan.values, file)
        place = ""
        if found is not None and scan.file_column is None and len(scan.origins) == 1:
            place = f" (row {found[0] + 1} of {scan.origins[0][0]})"
        elif found is not None and scan.file_column is not None:
            place = f" (in {_Named(scan).origin(found[1])[0]})"
        return MisfitError(misfit.table, misfit.column, misfit.type, place)

    def _copy(self, scan: Scan, plan: Plan) -> None:
        """Let DuckDB write what it reads: rows of one origin need no counting."""
        path, place = self._folder.new()
        types = {column.name: column.stored or column.type for column in plan.columns}
        query = plan.query(f"({scan.sql})", number=self._number)
        with sentences(self._folder.table.name, plan.columns):
            written = write(self._connection, query, place, types, scan.values, scan.explain, scan.rows)
        uri, detail = scan.origins[0] if scan.origins else (self._folder.table.name, {})
        if written.rows:
            self._parts.append(Part(path, place, written, plan.columns, ((uri, detail, written.rows),)))
        self._rows += written.rows
        self._advance(written.rows, written.bytes)

    def _stream(self, scan: Scan, plan: Plan) -> None:
        """Write the rows of many files, counting those of each file as they pass, a batch at a time."""
        file_column = scan.file_column or ""
        query = plan.query(f"({scan.sql})", number=self._number)
        query = query.replace("SELECT ", f"SELECT {identifier(file_column)} AS _penstock_origin, ", 1)
        named = _Named(scan)
        table = self._folder.table.name
        with sentences(table, plan.columns), refusals(table, scan.explain):
            chunks = Chunks(self._chunk_bytes)
            for batch in _streamed(self._connection.sql(query, params=list(scan.values))):
                for chunk in chunks.add(batch, ("", {})):
                    self._append_named(chunk, plan, named)
                self._rows += batch.num_rows
                self._advance(batch.num_rows, batch.nbytes)
            self._append_named(chunks.rest(), plan, named)
        self._close()

    def _append_named(self, held: Sequence[Held], plan: Plan, named: _Named) -> None:
        if not held:
            return
        rows = pa.Table.from_batches([batch for batch, _ in held])
        origins = [run for batch, _ in held for run in named.runs(batch.column(0))]
        self._append(rows.drop_columns(["_penstock_origin"]), plan, origins)

    def _described(self, sql: str, values: Sequence[Any] = (), explain: Explain | None = None) -> list[tuple[str, str]]:
        with refusals(self._folder.table.name, explain):
            rows = self._connection.execute(f"DESCRIBE {sql}", list(values)).fetchall()
        return [(row[0], row[1]) for row in rows]


def _repeated(number: int, rows: int) -> pa.Array:
    """Return a column of one number; ``pa.scalar`` would import pandas where there is one, for half a second."""
    return pa.Array.from_buffers(pa.int64(), rows, [None, pa.py_buffer(array("q", [number]) * rows)])


class _Named:
    """Tells the origins of a scan from the values of its file column, in whatever way the reader spells a path."""

    def __init__(self, scan: Scan) -> None:
        self._known = {uri: (uri, detail) for uri, detail in scan.origins}
        self._known |= dict(zip(scan.paths, scan.origins, strict=bool(scan.paths)))

    def runs(self, files: pa.Array) -> list[OriginRows]:
        """Return the origins of consecutive rows, and how many there are of each."""
        import pyarrow.compute as pc

        encoded = pc.run_end_encode(files)
        runs: list[OriginRows] = []
        start = 0
        for value, end in zip(encoded.values.to_pylist(), encoded.run_ends.to_pylist(), strict=True):
            uri, detail = self.origin(value)
            runs.append((uri, detail, end - start))
            start = end
        return runs

    def origin(self, value: str) -> tuple[str, Mapping[str, Any]]:
        """Return the origin of a value of the file column."""
        found = self._known.get(value)
        place = 0
        # A reader may give the absolute path of an origin that is named from the project's folder on.
        while found is None and (place := value.find("/", place) + 1):
            found = self._known.get(value[place:])
        self._known[value] = found or (value, {})
        return self._known[value]


def _streamed(relation: duckdb.DuckDBPyRelation) -> Iterator[pa.RecordBatch]:
    """Yield rows; an error of DuckDB is raised as its own, as which Arrow does not pass it on."""
    try:
        yield from relation.to_arrow_reader(_STREAMED)
    except OSError as error:
        kind = _KINDS.get(str(error).partition(":")[0], duckdb.Error)
        raise kind(str(error)) from error


@contextmanager
def _from(place: str) -> Iterator[None]:
    """Add to a refusal of columns where they came from."""
    try:
        yield
    except DataError as error:
        error.what += place
        error.args = (error.sentence(),)
        raise


def _placed(table: pa.Table) -> pa.Table:
    return table.rename_columns([f"c{place}" for place in range(table.num_columns)])
