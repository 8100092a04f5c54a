"""The tables of a release's DuckDB file: written from Parquet files, or changed by just the files that differ."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import duckdb

from penstock.model.entries import Column
from penstock.queries.relations import parquet
from penstock.queries.text import identifier, literal
from penstock.schema import restore
from penstock.values import dataclass

_ORDERED = ("DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "BIGINT", "INTEGER", "SMALLINT", "TINYINT")
_MOST_TRIED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Amendment:
    """How a table differs from the one in the file that is begun from.

    Attributes:
        removed: Files whose rows go out, those of one partition together.
        removed_rows: How many rows they have.
        added: Files whose rows come in.
    """

    removed: tuple[tuple[str, ...], ...]
    removed_rows: int
    added: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedTable:
    """A table of a release's file.

    Attributes:
        name: The table.
        columns: Its columns, with the types that readers get.
        uris: The Parquet files whose rows it holds; none for an empty table.
        rows: How many rows it must have.
        amendment: How it differs from the same table, with the same columns, in the file that is begun from; None
            where it is to be written anew.
        query: The SELECT that gives its rows, where these are not simply those of the files.
    """

    name: str
    columns: tuple[Column, ...]
    uris: tuple[str, ...]
    rows: int
    amendment: Amendment | None = None
    query: str = ""

    def rows_sql(self, columns: Sequence[Column] | None = None) -> str:
        """Return the SELECT that gives its rows, or some of their columns, in the types that readers get."""
        return self.query or rows_of(self.columns if columns is None else columns, self.uris)


def rows_of(columns: Sequence[Column], uris: Sequence[str]) -> str:
    """Return the SELECT that gives the rows of files in the order and the types that readers get.

    Args:
        columns: The columns; null where no file has them.
        uris: The Parquet files; none for no rows.
    """
    chosen = ", ".join(
        f"CAST({restore(identifier(column.name), column.type)} AS {column.type}) AS {identifier(column.name)}"
        for column in columns
    )
    return f"SELECT {chosen} FROM ({stored_rows(columns, uris)})"


def stored_rows(columns: Sequence[Column], uris: Sequence[str]) -> str:
    """Return a query for the rows of files, or none, in their stored forms; null where no file has a column."""
    empty = ", ".join(
        f"CAST(NULL AS {column.stored or column.type}) AS {identifier(column.name)}" for column in columns
    )
    source = f"SELECT {empty} WHERE false"
    if uris:
        # The empty part names and types columns that none of the files has.
        source += f" UNION ALL BY NAME SELECT * FROM {parquet(uris)}"
    return source


def write_tables(
    connection: duckdb.DuckDBPyConnection, database: str, tables: Sequence[ServedTable], kept: Collection[str]
) -> None:
    """Make the tables of an attached file those of a release, and checkpoint it.

    Args:
        connection: A session of the engine.
        database: The quoted name of the attached file.
        tables: All tables of the release.
        kept: Names of those that are in the file already, as they are to be.
    """
    present = set(table_names(connection, database))
    stale = present - set(kept)
    anew = []
    for table in tables:
        if table.name in kept:
            continue
        if table.name in stale and _amended(connection, _place(database, table), table):
            stale.discard(table.name)
        else:
            anew.append(table)
    for name in sorted(stale):
        connection.execute(f"DROP TABLE {database}.main.{identifier(name)}")
    if stale:
        # The blocks of dropped tables are free only after a checkpoint: so the file does not grow.
        connection.execute(f"CHECKPOINT {database}")
    for table in anew:
        connection.execute(f"CREATE TABLE {_place(database, table)} AS {rows_of(table.columns, table.uris)}")
    connection.execute(f"CHECKPOINT {database}")


def table_names(connection: duckdb.DuckDBPyConnection, database: str) -> tuple[str, ...]:
    """Return the names of an attached file's tables."""
    listed = connection.execute("SELECT table_name FROM duckdb_tables() WHERE database_name = ?", [database])
    return tuple(name for (name,) in listed.fetchall())


def _place(database: str, table: ServedTable) -> str:
    return f"{database}.main.{identifier(table.name)}"


def _amended(connection: duckdb.DuckDBPyConnection, place: str, table: ServedTable) -> bool:
    """Take the rows of removed files out and bring those of added files in; False where that cannot be done."""
    change = table.amendment
    if change is None:
        return False
    if change.removed_rows:
        condition = _separating(connection, place, table, change)
        if condition is None:
            return False
        connection.execute(f"DELETE FROM {place} WHERE {condition}")
    if change.added:
        connection.execute(f"INSERT INTO {place} {rows_of(table.columns, change.added)}")
    return True


def _separating(connection: duckdb.DuckDBPyConnection, place: str, table: ServedTable, change: Amendment) -> str | None:
    """Return a condition that holds for exactly the rows of the removed files, or None if no column gives one.

    It says that a column lies between the least and the greatest value that it has in the removed files. All removed
    rows satisfy it and all are in the table; so where the table has just as many such rows, there are no others.
    """
    ordered = sorted(
        (column for column in table.columns if column.type in _ORDERED), key=lambda c: _ORDERED.index(c.type)
    )[:_MOST_TRIED]
    if not ordered:
        return None
    bounds = ", ".join(
        f"count({name}), min({name})::VARCHAR, max({name})::VARCHAR"
        for name in (identifier(column.name) for column in ordered)
    )
    ranges: dict[str, list[str]] = {column.name: [] for column in ordered}
    for uris in change.removed:
        row = connection.execute(f"SELECT count(*), {bounds} FROM ({rows_of(ordered, uris)})").fetchall()[0]
        for position, column in enumerate(ordered):
            filled, least, greatest = row[1 + 3 * position : 4 + 3 * position]
            if filled < row[0]:
                ranges.pop(column.name, None)
            elif filled and column.name in ranges:
                ranges[column.name].append(_between(column, least, greatest))
    for conditions in ranges.values():
        condition = " OR ".join(conditions)
        found = connection.execute(f"SELECT count(*) FROM {place} WHERE {condition}").fetchall()[0][0]
        if found == change.removed_rows:
            return condition
    return None


def _between(column: Column, least: str, greatest: str) -> str:
    low, high = (f"CAST({literal(value)} AS {column.type})" for value in (least, greatest))
    return f"({identifier(column.name)} BETWEEN {low} AND {high})"
