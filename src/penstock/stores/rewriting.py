"""Writing the rows of several data files of a lake table as one file, in the same order, under its present columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import duckdb

from penstock.errors import BugError
from penstock.model.entries import Column, DataFile, Slice
from penstock.names import LOAD
from penstock.queries.mixing import MIXED, remade, stored_otherwise
from penstock.queries.relations import FILE, ROW, parquet
from penstock.queries.text import identifier, literal
from penstock.schema import parse, restore, store
from penstock.stores.parquet import discard, refusals, write
from penstock.stores.port import LakeTable
from penstock.values import dataclass


@dataclass(frozen=True, slots=True)
class Source:
    """A data file to write anew.

    Attributes:
        file: The file, live in the table.
        columns: Its columns, with the types they had when it was written; a column that is not named keeps its type.
        load: The load of its rows; 0 if they are of several.
        order: Where it stands among the others: the load of its first row, and its place among that load's files.
    """

    file: DataFile
    columns: tuple[Column, ...]
    load: int
    order: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Target:
    """The file to write.

    Attributes:
        path: Relative to the table's folder; nothing is there yet.
        partition: Its partition column and value.
        into: Its place among the files of the entry that will name it.
    """

    path: str
    partition: tuple[str, str]
    into: int = 0


def rewrite(
    connection: duckdb.DuckDBPyConnection,
    table: LakeTable,
    sources: Sequence[Source],
    columns: Sequence[Column],
    target: Target,
) -> tuple[DataFile, tuple[Slice, ...]]:
    """Write the rows of files, one file after the other, as one durable file; the old ones stay as they are.

    A column whose type has changed is converted to the present one; where the present columns lack one, it stays. A
    column that no file has is left out, as readers take it for null. Bounds of a column are kept for the Delta log
    where every file that has the column had them: what was left out on purpose stays so.

    Args:
        connection: A session of the engine.
        table: The lake table.
        sources: At least one file.
        columns: The table's present columns.
        target: Where to.

    Returns:
        The new file, and where the rows of each old one stand in it.

    Raises:
        DataError: A file cannot be read, or a value not be converted.
        TransientError: The disk is full.
        BugError: The new file has not the rows of the old ones in their order; it is deleted.
    """
    place = table.uri(target.path)
    with refusals(place):
        selects = list(_selects(connection, table, sources, columns))
    written = write(connection, " UNION ALL BY NAME ".join(selects), place, _bounded(sources, columns))
    slices, first = [], 0
    for source in sources:
        slices.append(
            Slice(file=source.file.path, into=target.into, first=first, rows=source.file.rows, load=source.load)
        )
        first += source.file.rows
    if written.rows != first or _marks(connection, table, slices) != _marks(connection, table, (), place):
        discard(place)
        raise BugError(f"The rows of {len(sources)} files of {table.name} came out in another order, or others")
    file = DataFile(
        path=target.path,
        rows=written.rows,
        bytes=written.bytes,
        partition=dict([target.partition]),
        statistics=written.statistics,
    )
    return file, tuple(slices)


def _selects(
    connection: duckdb.DuckDBPyConnection, table: LakeTable, sources: Sequence[Source], columns: Sequence[Column]
) -> Iterator[str]:
    """Yield one query for each run of files with the same columns."""
    for former, run in groupby(sources, key=lambda source: source.columns):
        scan = parquet(table.places([source.file for source in run]))
        there = {str(row[0]): str(row[1]) for row in connection.execute(f"DESCRIBE SELECT * FROM {scan}").fetchall()}
        present = {column.name.lower(): column for column in columns}
        before = {column.name.lower(): column for column in former}
        listed = []
        for name, stored in there.items():
            new, old = present.get(name.lower()), before.get(name.lower())
            value = identifier(name)
            if new is not None and (parse(stored) != parse(new.stored or new.type) or _mixes(old, new)):
                value = restore(value, old.type) if old is not None else value
                made = _made(value, old, new) or f"CAST({value} AS {new.type})"
                value = f"{store(made, new.type)} AS {identifier(new.name)}"
            listed.append(value)
        yield f"SELECT {', '.join(listed)} FROM {scan}"


def _made(value: str, old: Column | None, new: Column) -> str | None:
    """Return the SQL of a value of several kinds as JSON; None where a plain conversion does."""
    if old is None or "JSON" not in new.type:
        return None
    return remade(value, old.type, new.type, new.name, mixed=new.source_type == MIXED)


def _mixes(old: Column | None, new: Column) -> bool:
    return old is not None and stored_otherwise(old, new)


def _bounded(sources: Sequence[Source], columns: Sequence[Column]) -> dict[str, str]:
    """Return name and stored type of the columns whose bounds every file told and that are not personal."""
    filled = [source for source in sources if source.file.rows]
    told = {name for source in filled for name in source.file.statistics}
    told -= {
        column.name
        for known in (columns, *(source.columns for source in sources))
        for column in known
        if column.personal
    }
    for source in filled:
        held = {column.name for column in source.columns}
        told -= {name for name in told if name in held and name not in source.file.statistics}
    return {column.name: column.stored or column.type for column in columns if column.name in told}


def _marks(
    connection: duckdb.DuckDBPyConnection, table: LakeTable, slices: Sequence[Slice], place: str = ""
) -> tuple[object, ...]:
    """Return a hash of which load stands at which row, over the old files by their places or over the new file."""
    if place:
        scan = parquet([place], located=True)
        marked = f"SELECT hash({ROW}, {LOAD}) AS mark FROM {scan}"
    else:
        scan = parquet([table.place(piece.file) for piece in slices], located=True)
        rows = ", ".join(f"({literal(table.place(piece.file))}, {piece.first})" for piece in slices)
        marked = (
            f"SELECT hash({ROW} + first, {LOAD}) AS mark FROM {scan} JOIN (VALUES {rows}) f(was, first) ON {FILE} = was"
        )
    query = f"SELECT count(*), sum(mark::HUGEINT), bit_xor(mark) FROM ({marked})"
    return tuple(connection.execute(query).fetchall()[0])
