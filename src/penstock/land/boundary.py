"""Rows that were landed before and were read again, because a cursor goes back by its lag and over its last value."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence

import duckdb

from penstock.errors import DataError
from penstock.land.chunks import OriginRows
from penstock.land.parts import Folder, Part, rewrite
from penstock.model.entries import Column, DataFile, Entry
from penstock.names import LOAD
from penstock.queries.relations import FILE, ROW, FileSet, accepted, parquet
from penstock.queries.text import alike, identifier
from penstock.schema import restore
from penstock.stores.parquet import discard
from penstock.values import dataclass

_Landed = tuple[Entry, DataFile]


@dataclass(frozen=True, slots=True)
class Boundary:
    """What was landed before and may come again.

    Attributes:
        loads: The loads whose rows may come again.
        reading: Returns where the rows of files stand.
        columns: Columns of the table.
        cursor: The cursor column, by its name at the source.
        key: The key columns, by their names at the source. With a key a row that comes twice is one row, else each
            copy counts.
        given: The columns that came, by their names at the source. Rows are compared by those that both they and the
            load landed before have, so that a column which was added or dropped makes no new row. None compares all:
            where rows are merged, one of which a new column is known is a new version.
    """

    loads: tuple[Entry, ...]
    reading: Callable[[Sequence[DataFile]], FileSet]
    columns: tuple[Column, ...]
    cursor: str
    key: tuple[str, ...] = ()
    given: frozenset[str] | None = None


def without_known(
    connection: duckdb.DuckDBPyConnection, parts: Sequence[Part], boundary: Boundary, folder: Folder
) -> list[Part]:
    """Take out the rows that equal, in every column, a row landed before; nulls are equal to nulls.

    Only rows whose cursor is not past the greatest one landed before are looked at. Without a key the difference is
    one of multisets: two equal rows landed before take out two of three. With a key, a row that equals an older version
    of itself but not the newest is a change back, and stays.

    Returns:
        The parts without those rows; parts in which none was found are as they were.
    """
    columns = {column.at_source: column for column in boundary.columns}
    if boundary.cursor not in columns:
        raise DataError(
            f"The cursor column {boundary.cursor!r} is not among the columns that came", valid=list(columns)
        )
    connection.execute(f"CREATE OR REPLACE TEMP TABLE penstock_again ({FILE} VARCHAR, {ROW} BIGINT)")
    cursor = columns[boundary.cursor]
    for known, names in _alike(_near(connection, parts, boundary, cursor), boundary):
        compared = [column for column in boundary.columns if names is None or column.name.lower() in names]
        _Comparing(connection, boundary, tuple(compared), cursor).mark(known, [part.place for part in parts])
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
    connection.execute("DROP TABLE penstock_again")
    return kept


def _alike(near: Sequence[_Landed], boundary: Boundary) -> list[tuple[str, frozenset[str] | None]]:
    """Return relations over the files, in groups with the columns that they share with those that came."""
    given = boundary.given
    came = {column.name.lower() for column in boundary.columns if given is None or column.at_source in given}
    groups: dict[frozenset[str] | None, list[DataFile]] = {}
    for load, file in near:
        had = None if given is None else came & {column.name.lower() for column in load.schema}
        groups.setdefault(None if had is None else frozenset(had), []).append(file)
    return [(accepted([boundary.reading(files)], located=True), names) for names, files in groups.items()]


def _near(
    connection: duckdb.DuckDBPyConnection, parts: Sequence[Part], boundary: Boundary, cursor: Column
) -> list[_Landed]:
    """Return the files that may hold a cursor value which came again, told from the bounds in their manifests."""
    landed = [(load, file) for load in boundary.loads for file in load.files]
    quoted = identifier(cursor.name)
    if restore(quoted, cursor.type) != quoted or not any(_has(part, cursor) for part in parts):
        return landed
    bounds = [file.statistics.get(cursor.name) for _, file in landed]
    highest = [None if found is None or found[1] is None else str(found[1]) for found in bounds]
    nulls = [found is None or found[2] > 0 for found in bounds]
    new = parquet([part.place for part in parts if _has(part, cursor)])
    rows = connection.execute(
        "SELECT place FROM (SELECT unnest(range(len(?::VARCHAR[]))) AS place, unnest(?::VARCHAR[]) AS high, "
        "unnest(?::BOOLEAN[]) AS nulls) "
        f"CROSS JOIN (SELECT min({quoted}) AS least, count(*) > count({quoted}) AS without FROM {new}), "
        f"LATERAL (SELECT TRY_CAST(high AS {cursor.type}) AS bound) "
        "WHERE (nulls AND without) OR coalesce(bound >= least, bound IS NULL) ORDER BY place",
        [highest, highest, nulls],
    ).fetchall()
    return [landed[place] for (place,) in rows]


def _has(part: Part, column: Column) -> bool:
    return any(other.name == column.name for other in part.columns)


@dataclass(frozen=True, slots=True)
class _Comparing:
    """Finds rows that came again among files landed before, by some columns.

    Attributes:
        connection: A session, with the table ``penstock_again`` of rows that were found so far.
        boundary: What may come again.
        columns: The columns that are compared.
        cursor: The cursor column.
    """

    connection: duckdb.DuckDBPyConnection
    boundary: Boundary
    columns: tuple[Column, ...]
    cursor: Column

    def mark(self, old: str, new: Sequence[str]) -> None:
        """Add to ``penstock_again`` the rows of new files that a relation over old ones has."""
        cursor = restore(identifier(self.cursor.name), self.cursor.type)
        if not self._gather(old, new, cursor):
            return
        names = [identifier(column.name) for column in self.columns]
        same = alike([column.name for column in self.columns], "n", "k")
        partition = ", ".join(f"n.{name}" for name in names)
        came = _relation(self.connection, parquet(new, located=True), self.columns, [FILE, ROW])
        alone, again = "true", "rank <= known"
        if self._key:
            alone = f"count(*) FILTER (rank = 1) OVER (PARTITION BY {', '.join(self._key)}) = 1"
            again = "rank > 1 OR (known > 0 AND (newest OR NOT alone))"
        self.connection.execute(
            f"INSERT INTO penstock_again SELECT {FILE}, {ROW} FROM (SELECT *, {alone} AS alone FROM ("
            f"SELECT n.*, coalesce(k.penstock_count, 0) AS known, coalesce(k.penstock_newest, false) AS newest, "
            f"row_number() OVER (PARTITION BY {partition} ORDER BY n.{FILE}, n.{ROW}) AS rank "
            f"FROM (SELECT * FROM {came} ANTI JOIN penstock_again USING ({FILE}, {ROW}) WHERE {cursor} IS NULL "
            f"OR {cursor} <= (SELECT max({cursor}) FROM penstock_known)) n "
            f"{'LEFT ' if self._key else ''}JOIN penstock_known k ON {same})) WHERE {again}"
        )
        self.connection.execute("DROP TABLE penstock_known")

    @property
    def _key(self) -> list[str]:
        return [identifier(column.name) for column in self.columns if column.at_source in self.boundary.key]

    def _gather(self, old: str, new: Sequence[str], cursor: str) -> bool:
        """Make the table of rows landed before that may have come again, with how often each; False for none."""
        listed = ", ".join(identifier(column.name) for column in self.columns)
        least = f"(SELECT min({cursor}) FROM {_relation(self.connection, parquet(new), self.columns)})"
        landed = _relation(self.connection, old, self.columns, [LOAD, FILE, ROW])
        newest = "true"
        if self._key:
            place = f"max({{'load': {LOAD}, 'file': {FILE}, 'row': {ROW}}})"
            newest = f"{place} = max({place}) OVER (PARTITION BY {', '.join(self._key)})"
        self.connection.execute(
            f"CREATE OR REPLACE TEMP TABLE penstock_known AS "
            f"SELECT {listed}, count(*) AS penstock_count, {newest} AS penstock_newest FROM {landed} "
            f"WHERE {cursor} >= {least} OR {cursor} IS NULL GROUP BY {listed}"
        )
        found = self.connection.execute("SELECT count(*) FROM penstock_known").fetchone()
        if found is not None and found[0]:
            return True
        self.connection.execute("DROP TABLE penstock_known")
        return False


def _relation(
    connection: duckdb.DuckDBPyConnection, files: str, columns: Sequence[Column], added: Sequence[str] = ()
) -> str:
    """Return a relation over files with all the columns, null where no file has one."""
    there = {row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM {files}").fetchall()}
    select = [
        identifier(column.name)
        if column.name in there
        else f"CAST(NULL AS {column.stored or column.type}) AS {identifier(column.name)}"
        for column in columns
    ]
    return f"(SELECT {', '.join([*select, *added])} FROM {files})"


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
