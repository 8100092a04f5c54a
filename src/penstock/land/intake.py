"""Draining an extraction: batches of Arrow and scans of DuckDB become Parquet files, in the order of their coming."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from penstock.errors import DataError, PenstockError
from penstock.extract.port import ArrowBatch, Batch, Extraction, Scan, byte_size
from penstock.land import arrow
from penstock.land.chunks import Chunks, Held, OriginRows
from penstock.land.columns import Columns, Plan, incoming, sentences
from penstock.land.misfits import MisfitFile
from penstock.land.parts import ArrowFile, Folder, Part
from penstock.land.protection import Personal
from penstock.model.entries import Misfits
from penstock.model.events import Advance
from penstock.names import LOAD
from penstock.queries.text import identifier, literal
from penstock.stores.parquet import first_line, refusals, write

Explain = Callable[[Exception], PenstockError]

_STREAMED = 4 * 2048
"""Rows that are asked of DuckDB at a time, in multiples of its own unit; few, because they may be wide."""


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
                    self._hold(batch, chunks)
                else:
                    self._write_chunk(chunks.rest())
                    self._close()
                    self._scan(batch)
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
        if not rows:
            self._schema = arrow.united(
                self._schema, arrow.plain(batch.data, self._folder.table.name).schema, self._folder.table.name
            )
            return
        data = arrow.plain(batch.data, self._folder.table.name)
        for chunk in chunks.add(data, batch.origin):
            self._write_chunk(chunk)
        self._rows += rows
        self._advance(rows, byte_size(data))

    def _write_chunk(self, held: Sequence[Held]) -> None:
        if not held:
            return
        table = self._folder.table.name
        schema = self._schema
        if schema is not None and self._open:
            schema, self._open = arrow.decided(schema, self._open, held[0][0].schema), frozenset()
        for batch, _ in held:
            schema = arrow.united(schema, batch.schema, table)
        whole = arrow.chunk([batch for batch, _ in held], schema, table)
        origins = [origin for _, origin in held]
        self._schema = schema
        self._write(whole, origins)

    def _write(self, table: pa.Table, origins: Sequence[OriginRows]) -> None:
        plan = self._plan(table.schema)
        self._append(self._stored(table, plan), plan, origins)

    def _append(self, table: pa.Table, plan: Plan, origins: Sequence[OriginRows]) -> None:
        if self._file is not None and (self._file.full or self._file.columns != plan.columns):
            self._close()
        if self._file is None:
            path, place = self._folder.new()
            self._file = ArrowFile(path, place, plan.columns)
        self._file.write(table, origins)

    def _plan(self, schema: pa.Schema) -> Plan:
        """Plan a schema; columns are known to DuckDB by their place, because it takes ``Id`` and ``ID`` for one."""
        found = self._plans.get(schema)
        if found is None:
            told = self._source_types or {}
            empty = _placed(pa.Table.from_batches([arrow.empty(schema)]))
            with self._registered(empty):
                described = self._described("SELECT * FROM penstock_chunk")
            columns = [
                incoming(name, type_, identifier(place), told.get(name))
                for name, (place, type_) in zip(schema.names, described, strict=True)
            ]
            found = self._columns.plan(self._personal.shielded(columns))
            self._plans = {schema: found}
        return found

    def _stored(self, table: pa.Table, plan: Plan) -> pa.Table:
        """Convert a chunk to stored types; columns that are stored as they come are not touched."""
        kept = [plain is not None and arrow.lasting(table.schema.field(plain).type) for plain in plan.plain]
        number = pa.repeat(pa.scalar(self._number, pa.int64()), table.num_rows)
        if all(kept):
            columns = [table.column(name) for name in plan.plain]
        else:
            query = plan.query("penstock_chunk", [not keep for keep in kept])
            name = self._folder.table.name
            with self._registered(_placed(table)), sentences(name, plan.columns), refusals(name):
                made = self._connection.sql(query).to_arrow_table()
            columns = [
                table.column(name) if keep else made.column(column.name)
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
        columns = [incoming(name, type_, identifier(name)) for name, type_ in described if name != scan.file_column]
        plan = self._columns.plan(self._personal.shielded(columns))
        before = self._rows
        if scan.file_column is not None and len(scan.origins) != 1:
            self._stream(scan, plan)
        else:
            self._copy(scan, plan)
        if scan.misfits is not None:
            self._misfits.take(scan.misfits(self._connection, self._rows - before))

    def _copy(self, scan: Scan, plan: Plan) -> None:
        """Let DuckDB write what it reads: rows of one origin need no counting."""
        path, place = self._folder.new()
        types = {column.name: column.stored or column.type for column in plan.columns}
        query = plan.query(f"({scan.sql})", number=self._number)
        with sentences(self._folder.table.name, plan.columns):
            written = write(self._connection, query, place, types, scan.values, scan.explain)
        uri, detail = scan.origins[0] if scan.origins else (self._folder.table.name, {})
        if written.rows:
            self._parts.append(Part(path, place, written, plan.columns, ((uri, detail, written.rows),)))
        self._rows += written.rows
        self._advance(written.rows, written.bytes)

    def _stream(self, scan: Scan, plan: Plan) -> None:
        """Write the rows of many files, counting those of each file as they pass, a batch at a time."""
        file_column = scan.file_column or ""
        query = plan.query(f"({scan.sql})", number=self._number)
        query = query.replace("SELECT ", f"SELECT {identifier(file_column)} AS penstock_origin, ", 1)
        named = _Named(scan)
        table = self._folder.table.name
        with sentences(table, plan.columns), refusals(table, scan.explain):
            chunks = Chunks(self._chunk_bytes)
            for batch in self._connection.sql(query, params=list(scan.values)).to_arrow_reader(_STREAMED):
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
        self._append(rows.drop_columns(["penstock_origin"]), plan, origins)

    def _described(self, sql: str, values: Sequence[Any] = (), explain: Explain | None = None) -> list[tuple[str, str]]:
        with refusals(self._folder.table.name, explain):
            rows = self._connection.execute(f"DESCRIBE {sql}", list(values)).fetchall()
        return [(row[0], row[1]) for row in rows]


class _Named:
    """Tells the origins of a scan from the values of its file column, in whatever way the reader spells a path."""

    def __init__(self, scan: Scan) -> None:
        self._known = {uri: (uri, detail) for uri, detail in scan.origins}
        self._known |= dict(zip(scan.paths, scan.origins, strict=bool(scan.paths)))

    def runs(self, files: pa.Array) -> list[OriginRows]:
        """Return the origins of consecutive rows, and how many there are of each."""
        encoded = pc.run_end_encode(files)
        runs: list[OriginRows] = []
        start = 0
        for value, end in zip(encoded.values.to_pylist(), encoded.run_ends.to_pylist(), strict=True):
            uri, detail = self._origin(value)
            runs.append((uri, detail, end - start))
            start = end
        return runs

    def _origin(self, value: str) -> tuple[str, Mapping[str, Any]]:
        found = self._known.get(value)
        place = 0
        # A reader may give the absolute path of an origin that is named from the project's folder on.
        while found is None and (place := value.find("/", place) + 1):
            found = self._known.get(value[place:])
        self._known[value] = found or (value, {})
        return self._known[value]


def _placed(table: pa.Table) -> pa.Table:
    return table.rename_columns([f"c{place}" for place in range(table.num_columns)])
