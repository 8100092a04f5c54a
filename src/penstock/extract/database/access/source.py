"""Files of Microsoft Access (.mdb and .accdb, from Access 2000 on): tables, and queries over them in DuckDB's SQL.

The file itself is read, page by page; neither Access nor a driver of it is needed, and nothing is written. Conditions
and queries are DuckDB's: it reads each table as a stream of Arrow, as often as a query names it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace

import duckdb
import pyarrow as pa

from penstock.errors import ConfigurationError, DataError, PenstockError
from penstock.extract.database import address, catalog
from penstock.extract.database.access import values
from penstock.extract.database.access.pages import AccessPages, Definition
from penstock.extract.database.catalog import Listed, Shape
from penstock.extract.database.dialect import DatabaseColumn, Relation
from penstock.extract.database.duckdb_file import DuckDbFile, column
from penstock.extract.database.reading import DatabaseSource
from penstock.extract.port import Request, SourceFigures, TableDescription
from penstock.model.figures import Figures
from penstock.model.specs import SourceTable
from penstock.names import unknown
from penstock.queries.text import identifier

_SAMPLE = 200
_BATCH_BYTES = 4 * 2**20
_TIMES, _INTEGERS = ("Date/Time", "Date/Time Extended"), ("Byte", "Integer", "Long Integer", "Large Number")


class AccessSource(DatabaseSource):
    """The source kind ``access``; options ``table`` or ``query``, which is SQL of DuckDB over the file's tables."""

    def __init__(self) -> None:
        super().__init__(AccessFile)


class _Table:
    """A table that DuckDB reads as a stream of Arrow, from the start at each asking."""

    def __init__(self, file: AccessFile, definition: Definition) -> None:
        self._file = file
        self._definition = definition
        self._fields = [field for field in definition.fields if values.readable(field)]
        self._schema = pa.schema([pa.field(each.name, values.arrow_type(each)) for each in self._fields])

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Return a new reading of all rows."""
        return self.reader().__arrow_c_stream__(requested_schema)

    def reader(self) -> pa.RecordBatchReader:
        """Return a new reading of all rows."""
        return pa.RecordBatchReader.from_batches(self._schema, self._batches())

    def _batches(self) -> Iterator[pa.RecordBatch]:
        table, pages = self._definition, self._file.pages
        try:
            for rows in pages.rows(table, _BATCH_BYTES):
                arrays = [values.array(pages, rows, field, table.name) for field in self._fields]
                yield pa.RecordBatch.from_arrays(arrays, schema=self._schema)
        except PenstockError as error:
            # DuckDB would tell no more than its text.
            self._file.failure = error
            raise


class AccessFile(DuckDbFile):
    """A file of Access opened for reading; see the port."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._file = address.file(request, "access", "file of Access", (".mdb", ".accdb"))
        self.failure: PenstockError | None = None
        with self.translated():
            self.pages = AccessPages(self._file)
        self._stamp = self.pages.stamp()
        try:
            self._names = self.pages.tables()
            self._definitions: dict[str, Definition] = {}
            self._connection = duckdb.connect(":memory:", config={"python_enable_replacements": "false"})
            self._connection.execute("SET TimeZone = 'UTC'; SET arrow_lossless_conversion = true")
        except BaseException:
            self.close()
            raise

    def relation(self) -> Relation:
        """Find the table or query; see the port."""
        table, query = catalog.asked(self._request)
        if table is None:
            for name, page in self._names.items():
                if page >= 0:
                    self._registered(name)
            sql = f"({query}\n) AS _query"
            described = self.ask(f"DESCRIBE SELECT * FROM {sql}")
            schema = self._connection.sql(f"SELECT * FROM {sql} LIMIT 0").to_arrow_reader().schema
            found = [column(str(row[0]), str(row[1]), target=schema.field(at).type) for at, row in enumerate(described)]
            return Relation(sql, "the query", tuple(found))
        definition = self._registered(self._found_table(table))
        columns = [values.column(each) for each in definition.fields if values.readable(each)]
        width = len(definition.pages) * 4096 // max(1, definition.rows)
        note = values.passed_over(definition)
        return Relation(identifier(definition.name), table, tuple(columns), max(1, width), note)

    def stream(self, sql: str, batch_rows: int) -> Iterator[pa.RecordBatch]:
        """Yield the rows; see the port.

        Raises:
            DataError: The file changed while it was read.
        """
        yield from self._connection.sql(sql).to_arrow_reader(batch_rows)
        if self.pages.stamp() != self._stamp:
            raise DataError(
                f"{self._file} changed while it was read",
                remedy="Run again; where somebody works in it, read a copy",
            )

    def figures(self, relation: Relation, columns: Sequence[DatabaseColumn], where: str) -> SourceFigures | None:
        """Return how many rows the file says that the table has, where all of it is read; see the port."""
        del relation, columns
        table = self._request.source.options.get("table")
        if table is None or where:
            return None
        return SourceFigures(Figures(rows=self._defined(self._found_table(str(table))).rows), snapshot=False)

    def tables(self) -> tuple[SourceTable, ...]:
        """Return the tables; see the port."""
        found = [self._defined(name) for name, page in self._names.items() if page >= 0]
        return tuple(
            SourceTable(name=each.name, columns=tuple(field.name for field in each.fields), key=each.key)
            for each in sorted(found, key=lambda each: each.name)
        )

    def describe(self) -> tuple[TableDescription, ...]:
        """Describe the tables; see the port."""
        wanted = self._request.source.options.get("table")
        names = sorted(self._names) if wanted is None else [self._found_table(str(wanted))]
        return tuple(self._described(name) for name in names)

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Raise what goes wrong as sentences."""
        try:
            yield
        except PenstockError:
            raise
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            if self.failure is not None:
                raise self.failure from error
            text = str(error).strip().partition("\n")[0][:300]
            if isinstance(error, OSError):
                raise ConfigurationError(f"{self._file} cannot be read: {text}") from error
            raise ConfigurationError(f"The table or query of {self._file} cannot be read: {text}") from error

    def close(self) -> None:
        """Close the file; quiet."""
        super().close()
        with suppress(Exception):
            self.pages.close()

    def _found_table(self, table: str) -> str:
        name = next((name for name in self._names if name.casefold() == table.casefold()), None)
        if name is None:
            raise unknown("table", table, self._names, where=str(self._file))
        if self._names[name] < 0:
            raise ConfigurationError(
                f"The table {name} of {self._file} is only linked there, and stands elsewhere",
                remedy="Read the file or database that it is linked to",
            )
        return name

    def _defined(self, name: str) -> Definition:
        if name not in self._definitions:
            self._definitions[name] = self.pages.definition(name, self._names[name])
        return self._definitions[name]

    def _registered(self, name: str) -> Definition:
        definition = self._defined(name)
        self._connection.register(name, _Table(self, definition))
        return definition

    def _described(self, name: str) -> TableDescription:
        if self._names[name] < 0:
            reason = "the table is only linked here; read the file or database that it stands in"
            return TableDescription(name=name, reason=reason, remarks=("linked from elsewhere",))
        table = self._defined(name)
        first = next(iter(_Table(self, table).reader()), None)
        held = {} if first is None else first.slice(0, _SAMPLE).to_pydict()
        spelt = {field.name: values.spelt(field) for field in table.fields}
        shape = Shape(
            spelt=spelt,
            key=table.key,
            times=tuple(column for column, type_ in spelt.items() if type_ in _TIMES),
            counting=tuple(column for column, type_ in spelt.items() if type_ in _INTEGERS),
        )
        left = values.passed_over(table)
        size = len(table.pages) * 4096
        listed = Listed(schema="", name=name, here=True, bytes=0)
        found = catalog.described(listed, shape, self._request, lambda: table.rows, held, [left] if left else [])
        return replace(found, bytes=size)
