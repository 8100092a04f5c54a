"""DuckDB files: the engine reads them by itself, attached read-only, so every type and value stays what it is."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from penstock.errors import ConfigurationError, DataError, PenstockError, TransientError
from penstock.extract.database import address, catalog
from penstock.extract.database.catalog import Listed, Shape
from penstock.extract.database.dialect import Database, DatabaseColumn, Relation
from penstock.extract.database.reading import DatabaseExtraction, DatabaseSource
from penstock.extract.port import Batch, Request, Scan, SourceFigures, TableDescription
from penstock.model.specs import SourceTable
from penstock.names import unknown
from penstock.queries.text import identifier, identifiers, literal
from penstock.schema import parse

ALIAS = "penstock_source"
_SAMPLE = 200
_CURSORS = {
    "TINYINT": "integer", "SMALLINT": "integer", "INTEGER": "integer", "BIGINT": "integer", "UTINYINT": "integer",
    "USMALLINT": "integer", "UINTEGER": "integer", "UBIGINT": "integer", "FLOAT": "real", "DOUBLE": "real",
    "DECIMAL": "decimal", "DATE": "date", "TIMESTAMP": "timestamp", "TIMESTAMP_S": "timestamp",
    "TIMESTAMP_MS": "timestamp", "TIMESTAMP_NS": "timestamp", "TIMESTAMP WITH TIME ZONE": "timestamptz",
    "VARCHAR": "text",
}  # fmt: skip
_CASTS = {
    "integer": "HUGEINT", "real": "DOUBLE", "decimal": "DECIMAL(38,10)", "date": "DATE", "timestamp": "TIMESTAMP_NS",
    "timestamptz": "TIMESTAMPTZ", "text": "VARCHAR",
}  # fmt: skip
_COLUMNS = """
SELECT schema_name, table_name, list(column_name ORDER BY column_index), list(data_type ORDER BY column_index)
FROM duckdb_columns() WHERE database_name = current_database() AND NOT internal AND schema_name <> '_penstock'
GROUP BY ALL ORDER BY ALL
"""
_KEYS = """
SELECT schema_name, table_name, constraint_column_names FROM duckdb_constraints()
WHERE constraint_type = 'PRIMARY KEY' AND database_name = current_database()
"""


class DuckDbSource(DatabaseSource):
    """The source kind ``duckdb``; options ``table`` (``schema.table``) or ``query``."""

    def __init__(self) -> None:
        super().__init__(DuckDbFile)

    def open(self, request: Request) -> DuckDbExtraction:
        """Plan the columns; see the port."""
        return DuckDbExtraction(request, DuckDbFile(request))


class DuckDbExtraction(DatabaseExtraction):
    """One reading of a table; see the port."""

    @property
    def schema(self) -> None:
        """Nothing: the engine sees the types itself."""
        return

    def batches(self) -> Iterator[Batch]:
        """Yield the rows as one scan; see the port."""
        plan, source = self._plan, self._request.source
        columns = identifiers(column.name for column in plan.columns)
        if source.cursor is not None and self._request.interval is None:
            with self._database.translated():
                query = f"SELECT {identifier(source.cursor)} FROM {plan.relation.sql}{plan.where}"
                for batch in self._database.stream(query, _SAMPLE):
                    self._progress.add(batch.column(0))
        path = _path(self._request)
        # The engine cannot attach what this process holds open otherwise.
        self._database.close()
        connection = self._request.connection
        place = connection.name if connection is not None else path.stem
        yield Scan(
            f"SELECT {columns} FROM {plan.relation.sql}{plan.where}",
            origins=((f"{place}.{plan.relation.name}", {}),),
            attach=(ALIAS, str(path)),
            explain=lambda error: _explained(error, path),
        )


class DuckDbFile(Database):
    """A DuckDB file opened read-only; see the port."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._file = _path(request)
        with self.translated():
            self._connection = duckdb.connect(":memory:", config={"python_enable_replacements": "false"})
            self._connection.execute(f"ATTACH {literal(str(self._file))} AS {ALIAS} (READ_ONLY)")
            self._connection.execute(f"USE {ALIAS}; SET TimeZone = 'UTC'")

    def relation(self) -> Relation:
        """Find the table or query; see the port."""
        table, query = catalog.asked(self._request)
        if table is not None:
            schema, name = self._found(table)
            sql, called = f"{ALIAS}.{identifier(schema)}.{identifier(name)}", table
        else:
            sql, called = f"({self._qualified(str(query))}\n) AS _query", "the query"
        rows = self.ask(f"DESCRIBE SELECT * FROM {sql}")
        return Relation(sql, called, tuple(column(str(row[0]), str(row[1])) for row in rows))

    def identifier(self, name: str) -> str:
        """Return a name quoted."""
        return identifier(name)

    def constant(self, value: Any, cursor: str) -> str:
        """Return a cursor value as a constant; see the port."""
        return f"CAST({literal(str(value))} AS {_CASTS[cursor]})"

    def since(self, column: DatabaseColumn, value: Any, lag: timedelta) -> str:
        """Return the condition of a cursor; see the port."""
        behind = f" - to_microseconds({lag // timedelta(microseconds=1)})" if lag else ""
        cursor = str(column.cursor)
        bound = self.constant(value, "timestamp" if behind and cursor == "date" else cursor)
        bound = f"CAST({bound} AS TIMESTAMP)" if behind and cursor in ("date", "timestamp") else bound
        compared = identifier(column.name) + (" COLLATE binary" if cursor == "text" else "")
        return f"{compared} >= {bound}{behind}"

    def between(self, column: DatabaseColumn, start: datetime, end: datetime) -> str:
        """Return the condition of an interval; see the port."""
        zone = "TIMESTAMPTZ" if column.cursor == "timestamptz" else "TIMESTAMP"
        first, last = (
            f"CAST({literal((at if zone == 'TIMESTAMPTZ' else at.astimezone(UTC).replace(tzinfo=None)).isoformat())} "
            f"AS {zone})"
            for at in (start, end)
        )
        return f"{identifier(column.name)} >= {first} AND {identifier(column.name)} < {last}"

    def ask(self, sql: str) -> Sequence[Sequence[Any]]:
        """Run a query; see the port."""
        with self.translated():
            return self._connection.execute(sql).fetchall()

    def now(self) -> datetime:
        """Return this machine's clock: a file has none."""
        return datetime.now(UTC)

    def limited(self, sql: str, rows: int) -> str:
        """Return a SELECT cut to its first rows."""
        return f"{sql} LIMIT {rows}"

    def stream(self, sql: str, batch_rows: int) -> Iterator[pa.RecordBatch]:
        """Yield the rows; see the port."""
        del batch_rows
        yield from self._connection.sql(sql).to_arrow_reader(122_880)

    def tables(self) -> tuple[SourceTable, ...]:
        """Return tables and views; one outside ``main`` is named with its schema."""
        keys = {(row[0], row[1]): tuple(row[2]) for row in self.ask(_KEYS)}
        return tuple(
            SourceTable(name=_named(schema, name), columns=tuple(columns), key=keys.get((schema, name), ()))
            for schema, name, columns, _ in self.ask(_COLUMNS)
        )

    def describe(self) -> tuple[TableDescription, ...]:
        """Describe tables and views; see the port."""
        wanted = self._request.source.options.get("table")
        rows = self.ask(_COLUMNS)
        if wanted is not None:
            chosen = self._found(str(wanted))
            rows = [row for row in rows if (row[0], row[1]) == chosen]
        keys = {table.name: table.key for table in self.tables()}
        return tuple(self._describe(row, keys[_named(row[0], row[1])]) for row in rows)

    def figures(self, relation: Relation, columns: Sequence[DatabaseColumn], where: str) -> SourceFigures | None:
        """Return None: the engine that lands the rows is the one that would count them."""
        del relation, columns, where
        return None

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Raise DuckDB's errors as sentences."""
        try:
            yield
        except PenstockError:
            raise
        except duckdb.Error as error:
            raise _explained(error, self._file) from error

    def close(self) -> None:
        """Close the file; quiet."""
        with suppress(Exception):
            self._connection.close()

    def _found(self, table: str) -> tuple[str, str]:
        there = [(str(row[0]), str(row[1])) for row in self.ask(_COLUMNS)]
        for schema, name in there:
            if table.lower() in (f"{schema}.{name}".lower(), _named(schema, name).lower()):
                return schema, name
        raise unknown("table", table, [_named(*each) for each in there], where=str(self._file))

    def _qualified(self, query: str) -> str:
        """Return a query whose bare tables are those of the file, wherever it is run."""
        import sqlglot
        from sqlglot import exp

        try:
            tree = sqlglot.parse_one(query, dialect="duckdb")
        except sqlglot.errors.SqlglotError as error:
            raise ConfigurationError(
                f"The query of {self._request.source.table} cannot be read", value=str(error).splitlines()[0]
            ) from error
        made = {cte.alias_or_name.lower() for cte in tree.find_all(exp.CTE)}
        for table in tree.find_all(exp.Table):
            if not isinstance(table.this, exp.Identifier) or table.catalog or table.name.lower() in made:
                continue
            schema, name = self._found(f"{table.db}.{table.name}" if table.db else table.name)
            alias = table.alias or table.name
            new = exp.table_(name, db=schema, catalog=ALIAS, quoted=True)
            table.replace(exp.alias_(new, alias, table=True, quoted=True))
        return tree.sql(dialect="duckdb")

    def _describe(self, row: Sequence[Any], key: tuple[str, ...]) -> TableDescription:
        schema, name, columns, types = row
        relation = f"{ALIAS}.{identifier(schema)}.{identifier(name)}"
        sample = self.ask(f"SELECT * FROM {relation} LIMIT {_SAMPLE}")
        held = dict(zip(columns, zip(*sample, strict=True), strict=True)) if sample else {}
        spelt = dict(zip(columns, types, strict=True))
        shape = Shape(
            spelt=spelt,
            key=key,
            times=tuple(name for name, type_ in spelt.items() if "TIMESTAMP" in type_ or type_ == "DATE"),
            counting=tuple(name for name, type_ in spelt.items() if _CURSORS.get(type_) == "integer"),
        )
        rows = int(self.ask(f"SELECT count(*) FROM {relation}")[0][0])
        # A count is cheap here, whatever the size.
        listed = Listed(schema=schema, name=name, here=schema == "main", bytes=self._bytes(relation))
        found = catalog.described(replace(listed, bytes=0), shape, self._request, lambda: rows, held)
        return replace(found, bytes=listed.bytes)

    def _bytes(self, relation: str) -> int | None:
        """Return the size of a table's blocks; None for a view."""
        with suppress(duckdb.Error, PenstockError):
            ((blocks,),) = self.ask(
                f"SELECT count(DISTINCT block_id) FROM pragma_storage_info({literal(relation)}) WHERE persistent"
            )
            ((size,),) = self.ask(
                "SELECT block_size FROM pragma_database_size() WHERE database_name = current_database()"
            )
            return int(blocks) * int(size)
        return None


def column(name: str, type_: str, target: pa.DataType | None = None) -> DatabaseColumn:
    """Plan a column of a query; the engine knows its Arrow type where ``target`` is None."""
    try:
        cursor = _CURSORS.get(parse(type_).name)
    except ValueError:
        cursor = None
    return DatabaseColumn(
        name=name, spelt=type_, expression=identifier(name), target=target or pa.null(), cursor=cursor
    )


def _named(schema: str, name: str) -> str:
    return name if schema == "main" else f"{schema}.{name}"


def _path(request: Request) -> Path:
    return address.file(request, "duckdb", "DuckDB file", (".db", ".ddb", ".duckdb"))


def _explained(error: Exception, path: Path) -> PenstockError:
    text = str(error).strip().partition("\n")[0][:300]
    if "lock" in text.lower() and isinstance(error, duckdb.IOException):
        return TransientError(f"The DuckDB file {path} is held by another process", remedy="Close it there, or wait")
    if isinstance(error, duckdb.IOException | duckdb.SerializationException | duckdb.FatalException):
        if not os.access(path, os.R_OK):
            return ConfigurationError(f"The DuckDB file {path} may not be read by this user")
        return DataError(f"{path} is no DuckDB file that this version reads, or it is damaged", value=text)
    if isinstance(error, duckdb.BinderException | duckdb.CatalogException | duckdb.ParserException):
        return ConfigurationError(f"DuckDB cannot read the table or query of {path}: {text}")
    return DataError(f"Reading {path} stopped: {text}")
