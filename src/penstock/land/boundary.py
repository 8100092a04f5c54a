"""Rows that were landed before and were read again, because a cursor goes back by its lag and over its last value."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from penstock.errors import DataError
from penstock.land.columns import source_name
from penstock.land.parts import Folder, OriginRows, Part, rewrite
from penstock.model.entries import Column
from penstock.queries.relations import FILE, ROW, FileSet, accepted, parquet
from penstock.queries.text import identifier
from penstock.schema import restore
from penstock.stores.parquet import discard


@dataclass(frozen=True, slots=True)
class Boundary:
    """What was landed before and may come again.

    Attributes:
        known: The rows of the recent accepted loads.
        columns: Columns of the table.
        cursor: The cursor column, by its name at the source.
        keyed: The table has a key: a row that comes twice is one row, else each copy counts.
    """

    known: tuple[FileSet, ...]
    columns: tuple[Column, ...]
    cursor: str
    keyed: bool


def without_known(
    connection: duckdb.DuckDBPyConnection, parts: Sequence[Part], boundary: Boundary, folder: Folder
) -> list[Part]:
    """Take out the rows that equal, in every column, a row landed before; nulls are equal to nulls.

    Only rows whose cursor is not past the greatest one landed before are looked at. Without a key the difference is
    one of multisets: two equal rows landed before take out two of three.

    Returns:
        The parts without those rows; parts in which none was found are as they were.
    """
    cursor = _cursor(boundary)
    if not _known(connection, parts, boundary, cursor):
        return list(parts)
    _mark(connection, parts, boundary, cursor)
    kept = []
    for part in parts:
        rows = [
            row
            for (row,) in connection.execute(
                f"SELECT {ROW} FROM penstock_again WHERE {FILE} = ? ORDER BY 1", [part.place]
            ).fetchall()
        ]
        if len(rows) == part.written.rows:
            discard(part.place)
        elif rows:
            kept.append(_without(connection, part, rows, folder))
        else:
            kept.append(part)
    connection.execute("DROP TABLE penstock_known; DROP TABLE penstock_again")
    return kept


def _cursor(boundary: Boundary) -> str:
    for column in boundary.columns:
        if source_name(column) == boundary.cursor:
            return restore(identifier(column.name), column.type)
    raise DataError(
        f"The cursor column {boundary.cursor!r} is not among the columns that came",
        valid=[source_name(column) for column in boundary.columns],
    )


def _known(connection: duckdb.DuckDBPyConnection, parts: Sequence[Part], boundary: Boundary, cursor: str) -> bool:
    """Make the table of rows landed before that may have come again, with how often each; False if there is none."""
    old = _relation(connection, accepted(boundary.known), boundary.columns)
    new = _relation(connection, parquet([part.place for part in parts]), boundary.columns)
    names = [column.name for column in boundary.columns]
    listed = ", ".join(identifier(name) for name in names)
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE penstock_known AS SELECT {listed}, count(*) AS penstock_count FROM {old} "
        f"WHERE {cursor} >= (SELECT min({cursor}) FROM {new}) OR {cursor} IS NULL GROUP BY ALL"
    )
    found = connection.execute("SELECT count(*) FROM penstock_known").fetchone()
    if found is not None and found[0]:
        return True
    connection.execute("DROP TABLE penstock_known")
    return False


def _mark(connection: duckdb.DuckDBPyConnection, parts: Sequence[Part], boundary: Boundary, cursor: str) -> None:
    names = [identifier(column.name) for column in boundary.columns]
    new = _relation(connection, parquet([part.place for part in parts], located=True), boundary.columns, located=True)
    same = " AND ".join(f"n.{name} IS NOT DISTINCT FROM k.{name}" for name in names)
    again = "rank > 1 OR known > 0" if boundary.keyed else "rank <= known"
    partition = ", ".join(f"n.{name}" for name in names)
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE penstock_again AS SELECT {FILE}, {ROW} FROM ("
        f"SELECT n.{FILE}, n.{ROW}, coalesce(k.penstock_count, 0) AS known, "
        f"row_number() OVER (PARTITION BY {partition} ORDER BY n.{FILE}, n.{ROW}) AS rank "
        f"FROM (SELECT * FROM {new} WHERE {cursor} IS NULL "
        f"OR {cursor} <= (SELECT max({cursor}) FROM penstock_known)) n "
        f"{'LEFT ' if boundary.keyed else ''}JOIN penstock_known k ON {same}) WHERE {again}"
    )


def _relation(
    connection: duckdb.DuckDBPyConnection, files: str, columns: Sequence[Column], *, located: bool = False
) -> str:
    """Return a relation over files with all the columns, null where no file has one."""
    there = {row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM {files}").fetchall()}
    select = [
        identifier(column.name)
        if column.name in there
        else f"CAST(NULL AS {column.stored or column.type}) AS {identifier(column.name)}"
        for column in columns
    ]
    return f"(SELECT {', '.join([*select, *([FILE, ROW] if located else [])])} FROM {files})"


def _without(connection: duckdb.DuckDBPyConnection, part: Part, rows: list[int], folder: Folder) -> Part:
    literal_place = "'" + part.place.replace("'", "''") + "'"
    where = f"WHERE file_row_number NOT IN (SELECT {ROW} FROM penstock_again WHERE {FILE} = {literal_place})"
    made = rewrite(connection, part, folder, part.columns, "* EXCLUDE (file_row_number)", where)
    return Part(made.path, made.place, made.written, made.columns, _fewer(part.origins, rows))


def _fewer(origins: Sequence[OriginRows], rows: list[int]) -> tuple[OriginRows, ...]:
    """Subtract rows, given by their sorted positions, from the origins they belong to."""
    first, fewer = 0, []
    for uri, detail, count in origins:
        gone = bisect_left(rows, first + count) - bisect_left(rows, first)
        fewer.append((uri, detail, count - gone))
        first += count
    return tuple(fewer)
