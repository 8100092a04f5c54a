"""Loading one version of a table: created, filled by COPY and analysed in one transaction.

DuckDB reads the Parquet files and makes the text of each row; its bytes go from the Arrow buffers straight to the
server, so no value passes through Python, and no more than one batch lies in memory. ``FREEZE`` makes the rows visible
to transactions that began before: one of ``REPEATABLE READ`` that meets the new view would else find an empty table.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from penstock.errors import BugError, ConfigurationError, DataError, PenstockError
from penstock.model.entries import Column
from penstock.model.production import PostgresSpec
from penstock.queries.text import identifier, identifiers
from penstock.stores.filelock import Tell
from penstock.stores.port import Engine
from penstock.stores.postgres.connecting import explain, explained
from penstock.stores.postgres.types import FINER, held
from penstock.stores.release_tables import ServedTable
from penstock.stores.warehouse import explained as explained_duckdb

if TYPE_CHECKING:
    import psycopg

MOST_COLUMNS = 1600
LONGEST_NAME = 63
"""Bytes of a name; PostgreSQL cuts longer ones silently."""
SYSTEM_COLUMNS = ("tableoid", "xmin", "cmin", "xmax", "cmax", "ctid")
_BATCH_ROWS = 16_384
_BATCH_BYTES = 8 * 2**20
"""What a batch of rows may roughly take, as text."""
_LOOKED_AT = 8
"""Files whose footers are asked how wide rows are."""
_PIECE = 4 * 2**20
_EACH = 5.0
"""Seconds between two sentences on how far a load is."""
_MEND = "Mend or leave out such values in the transform, then run and promote again"


def refuse_unfit(tables: Sequence[ServedTable], spec: PostgresSpec, taken: Sequence[str]) -> None:
    """Refuse names and widths that PostgreSQL has no place for, before anything is loaded.

    Args:
        tables: The tables of a release.
        spec: The warehouse.
        taken: Names in the published schema that are Penstock's own.

    Raises:
        ConfigurationError: A name is too long, empty or taken by the system; a table is too wide.
    """
    where = spec.shown
    for table in tables:
        if table.name in taken:
            raise ConfigurationError(
                f"No table may be called {table.name!r} in {where}: Penstock keeps the release's number there",
                remedy="Give the table another name",
            )
        _refuse_name(f"The table {table.name!r}", table.name, where)
        if len(table.columns) > MOST_COLUMNS:
            raise ConfigurationError(
                f"Table {table.name!r} has too many columns for {where}",
                value=len(table.columns),
                valid=f"up to {MOST_COLUMNS}",
                remedy="Split it, or keep rare columns as one JSON column",
            )
        for column in table.columns:
            _refuse_name(f"Column {column.name!r} of {table.name!r}", column.name, where)
            if column.name in SYSTEM_COLUMNS:
                raise ConfigurationError(
                    f"Column {column.name!r} of {table.name!r} has a name that every table of PostgreSQL holds already",
                    remedy="Name the column otherwise in the transform",
                )


def _refuse_name(what: str, name: str, where: str) -> None:
    size = len(name.encode())
    if not 0 < size <= LONGEST_NAME:
        raise ConfigurationError(
            f"{what} cannot have that name in {where}",
            value=f"{size} bytes",
            valid=f"1 to {LONGEST_NAME} bytes; PostgreSQL would cut it, and names could collide",
            remedy="Give it a shorter name in the transform",
        )


class Loading:
    """Loads tables over one connection.

    Args:
        connection: In autocommit mode.
        spec: The warehouse.
        engine: The local DuckDB.
        tell: Told how far a long load is.
        remedy: What to do about a value that PostgreSQL cannot hold.
    """

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        spec: PostgresSpec,
        engine: Engine,
        tell: Tell | None,
        remedy: str = _MEND,
    ) -> None:
        self._connection = connection
        self._spec = spec
        self._engine = engine
        self._tell = tell
        self._remedy = remedy
        self._told = time.monotonic()

    def load(self, table: ServedTable, name: str) -> None:
        """Make one version of a table, in one transaction: it is there whole or not at all.

        Args:
            table: Its columns and files.
            name: What the version is called in the schema of versions.

        Raises:
            DataError: PostgreSQL cannot hold a value, or a file cannot be read.
            TransientError: The connection is lost, or the disk of the server is full.
            BugError: The rows that arrived are not as many as the version has.
        """
        place = f"{identifier(self._spec.versions)}.{identifier(name)}"
        arrived = 0
        with explained(self._spec), self._connection.transaction():
            # Its rows never change and are frozen: what vacuum would do is done, and would hold up a swap.
            self._connection.execute(
                f"CREATE TABLE {place} ({defined(table.columns)}) WITH (autovacuum_enabled = false)".encode()
            )
            if table.uris and table.columns:
                arrived = self.copy(table, place, name, "(FREEZE)")
            if arrived != table.rows:
                raise BugError(
                    f"Table {table.name!r} should have {table.rows} rows in {self._spec.shown}, but {arrived} "
                    "arrived; nothing was published"
                )
            self._connection.execute(f"ANALYZE {place}".encode())

    def copy(self, table: ServedTable, place: str, name: str, how: str = "") -> int:
        """Copy the rows of a table into a relation that has its columns, within an open transaction.

        Args:
            table: Its columns and rows.
            place: The relation, quoted.
            name: The relation, as errors of the server name it.
            how: The options of ``COPY``.

        Returns:
            How many arrived.
        """
        import psycopg

        rows = 0
        try:
            with self._connection.cursor() as cursor:
                with cursor.copy(f"COPY {place} ({_listed(table)}) FROM STDIN {how}".encode()) as copy:
                    for payload, count in self._texts(table):
                        for start in range(0, len(payload), _PIECE):
                            copy.write(payload[start : start + _PIECE])
                        rows += count
                        self._say(table, rows)
                arrived = cursor.rowcount
        except psycopg.Error as error:
            raise self._sentence(error, table, name) from None
        if arrived != rows:
            raise BugError(f"Of {rows} rows of {table.name!r}, {arrived} arrived in {self._spec.shown}")
        return arrived

    def _texts(self, table: ServedTable) -> Iterator[tuple[memoryview, int]]:
        """Yield the text of batches of rows, each with how many rows it holds."""
        fields = ", chr(9), ".join(
            f"coalesce({held(column.type).text.replace('{}', identifier(column.name))}, '\\N')"
            for column in table.columns
        )
        query = f"SELECT concat({fields}, chr(10)) AS line FROM ({table.rows_sql()})"
        with _Reading(table, self._spec), self._engine.session() as connection:
            reader = connection.sql(query).to_arrow_reader(_batch_rows(table))
            for batch in reader:
                if batch.num_rows:
                    yield _bytes(batch.column(0)), batch.num_rows

    def _say(self, table: ServedTable, rows: int) -> None:
        if self._tell is not None and time.monotonic() - self._told > _EACH:
            self._told = time.monotonic()
            whole = f" of {table.rows:,}" if table.rows else ""
            self._tell(f"Loading {table.name} into {self._spec.shown}: {rows:,}{whole} rows.")

    def _sentence(self, error: psycopg.Error, table: ServedTable, name: str) -> PenstockError:
        """Return a sentence that names table and column, and not the value."""
        state = error.sqlstate or ""
        if not state.startswith("22") and state != "54000":
            return explain(error, self._spec)
        if state == "54000":
            return DataError(
                f"A row of {table.name!r} is too wide for PostgreSQL: even with its long values stored apart, it does "
                f"not fit a page ({len(table.columns)} columns)",
                remedy="Split the table, or keep rare columns as one JSON column",
            )
        column = _named(error.diag.context or "", name, table.columns) or self._with_null_byte(table)
        why = {
            "22021": "a text holds a byte 0, which no text of PostgreSQL may",
            "22P05": "a text holds the character U+0000, which no text or jsonb of PostgreSQL may",
            "22008": "a moment lies outside of PostgreSQL's range (4713 BC to 5874897, or 294276 with a time)",
            "22007": "a moment is none that PostgreSQL knows",
            "22003": "a number is out of range",
            "22P02": "a nested value holds NaN or infinity, which JSON has not",
        }.get(state, f"PostgreSQL refuses a value (SQLSTATE {state})")
        return DataError(
            f"Column {column!r} of {table.name!r} cannot be loaded into {self._spec.shown}: {why}"
            if column
            else f"Table {table.name!r} cannot be loaded into {self._spec.shown}: {why}",
            remedy=self._remedy,
        )

    def _with_null_byte(self, table: ServedTable) -> str | None:
        """Return the first column with a byte 0 in a text."""
        texts = [column for column in table.columns if "VARCHAR" in column.type]
        found = ", ".join(
            f"count(*) FILTER (contains(CAST({identifier(column.name)} AS VARCHAR), chr(0)))" for column in texts
        )
        if not texts:
            return None
        with self._engine.session() as connection:
            counts = connection.execute(f"SELECT {found} FROM ({table.rows_sql(texts)})").fetchall()[0]
        return next((column.name for column, count in zip(texts, counts, strict=True) if count), None)


def defined(columns: Sequence[Column]) -> str:
    """Return the columns of a table there, each with its type, as ``CREATE TABLE`` lists them."""
    return ", ".join(f"{identifier(column.name)} {held(column.type).type}" for column in columns)


def _listed(table: ServedTable) -> str:
    return identifiers(column.name for column in table.columns)


class _Reading:
    """Turns DuckDB's errors while a table is read into sentences."""

    def __init__(self, table: ServedTable, spec: PostgresSpec) -> None:
        self._table = table
        self._spec = spec

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, duckdb.Error):
            return
        if FINER in str(error):
            raise DataError(
                f"Table {self._table.name!r} holds a moment {FINER}, which {self._spec.shown} would round",
                remedy="Cast the column to TIMESTAMP in the transform, or to BIGINT by epoch_ns()",
            ) from None
        raise explained_duckdb(error, f"Reading table {self._table.name!r}") from error


def _batch_rows(table: ServedTable) -> int:
    """Return how many rows a batch may have, by the widest row groups of the largest files."""
    largest = sorted(table.uris, key=lambda uri: os.stat(uri).st_size, reverse=True)[:_LOOKED_AT]
    width = max(16 * len(table.columns), 64)
    for uri in largest:
        footer = pq.read_metadata(uri)
        groups = (footer.row_group(place) for place in range(footer.num_row_groups))
        width = max([width, *(group.total_byte_size // group.num_rows for group in groups if group.num_rows)])
    return max(1, min(_BATCH_ROWS, _BATCH_BYTES // width))


def _bytes(lines: pa.Array) -> memoryview:
    """Return the bytes of all texts of an array, one after the other, without copying them."""
    wide = pa.types.is_large_string(lines.type)
    if not (wide or pa.types.is_string(lines.type)):
        lines = lines.cast(pa.large_string())
        wide = True
    _, offsets, data = lines.buffers()
    places = memoryview(offsets).cast("q" if wide else "i")
    return memoryview(data)[places[lines.offset] : places[lines.offset + len(lines)]]


def _named(context: str, name: str, columns: Sequence[Column]) -> str | None:
    """Return the column that the context of a failed COPY names."""
    found = re.search(rf"^COPY {re.escape(name)}, line \d+, column (.*)", context, re.DOTALL | re.MULTILINE)
    if found is None:
        return None
    matching = [column.name for column in columns if found[1].startswith(column.name)]
    return max(matching, key=len, default=None)
