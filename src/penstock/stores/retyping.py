"""Retyping: columns of a table get wider types, and the files that hold the narrower ones are written anew.

Plain readers of a Delta table expect every file to hold the types that its log says; only some of them widen by
themselves. Step by step: (1) each value of the columns is tried, and the first that would change refuses everything,
(2) the files that have the columns are written anew, one for one, (3) the entry's manifest says which they replace,
(4) one Delta commit changes the schema and exchanges the files, without a change of data. A crash before (4) leaves
files and a manifest that nothing names; after it the table is wider, whatever becomes of the load that asked for it.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import duckdb

from penstock.errors import DataError
from penstock.model.entries import Column, DataFile, Entry, EntryKind, Slice
from penstock.names import LOAD, PARTITION
from penstock.queries.mixing import MIXED, remade, stored_otherwise
from penstock.queries.relations import parquet
from penstock.queries.text import identifier
from penstock.queries.widening import fitting
from penstock.schema import restore
from penstock.stores.compaction import sources_of
from penstock.stores.parquet import discard, refusals
from penstock.stores.port import LakeTable
from penstock.stores.rewriting import Source, Target, rewrite
from penstock.values import dataclass

_AT_ONCE = 500
"""Files whose values are tried in one query."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retyping:
    """What is to be stored anew.

    Attributes:
        run: The run.
        fence: The fencing token of its lease.
        at: The moment, UTC.
        before: The table's columns so far.
        after: The same columns with the types that they get, by stored name; others may be left out.
    """

    run: str
    fence: int
    at: datetime
    before: tuple[Column, ...]
    after: tuple[Column, ...]


def retype(spec: Retyping, table: LakeTable, connection: duckdb.DuckDBPyConnection) -> Entry:
    """Give columns their types, in the schema and in every file; rows and their order stay.

    Raises:
        DataError: A value that the table holds would change; nothing was done.
        ConflictError: Somebody else committed first; nothing was done.
        TransientError: The disk is full; nothing was done.
    """
    given = {column.name: column for column in spec.after}
    columns = tuple(given.get(column.name, column) for column in spec.before)
    changed = [(old, new) for old, new in zip(spec.before, columns, strict=True) if stored_otherwise(old, new)]
    sources = _holding(spec, table, changed, connection)
    for begin in range(0, len(sources), _AT_ONCE):
        _try(table, sources[begin : begin + _AT_ONCE], changed, connection)
    files: list[DataFile] = []
    slices: list[Slice] = []
    try:
        for source in sources:
            partition = source.file.partition[PARTITION]
            path = f"{PARTITION}={partition}/retyped-{source.order[0]}-{secrets.token_hex(4)}.parquet"
            target = Target(path, (PARTITION, partition), len(files))
            file, pieces = rewrite(connection, table, [source], columns, target)
            files.append(file)
            slices += pieces
        entry = Entry(
            table=table.name,
            number=table.next_number(),
            previous=None,
            kind=EntryKind.COMPACTION,
            created_at=spec.at,
            run=spec.run,
            fence=spec.fence,
            files=tuple(files),
            removed=tuple(piece.file for piece in slices),
            rows=sum(file.rows for file in files),
            schema=columns,
            slices=tuple(slices),
        )
        return table.commit(entry)
    except BaseException:
        named = {file.path for file in table.live()}
        for file in files:
            if file.path not in named:
                discard(table.place(file.path))
        raise


def _holding(
    spec: Retyping,
    table: LakeTable,
    changed: Sequence[tuple[Column, Column]],
    connection: duckdb.DuckDBPyConnection,
) -> list[Source]:
    """Return the live files that have one of the columns, with the columns as they are stored now."""
    live = {file.path: file for file in table.live()}
    entries = list(table.entries())
    known = {
        source.file.path: source
        for source in sources_of(
            [entry for entry in entries if entry.kind is EntryKind.LOAD],
            [entry for entry in entries if entry.kind is EntryKind.COMPACTION],
        )
    }
    names = {old.name for old, _ in changed}
    found = []
    table.places(tuple(live.values()))
    for path, file in live.items():
        there = connection.execute(f"DESCRIBE SELECT * FROM {parquet(table.places([file]))}").fetchall()
        if names.isdisjoint(row[0] for row in there):
            continue
        source = known[path]
        partitioned = replace(source.file, partition=file.partition)
        found.append(replace(source, file=partitioned, columns=spec.before, load=_load(table, file, connection)))
    return found


def _load(table: LakeTable, file: DataFile, connection: duckdb.DuckDBPyConnection) -> int:
    scan = parquet(table.places([file]))
    low, high = connection.execute(f"SELECT min({LOAD}), max({LOAD}) FROM {scan}").fetchall()[0]
    return int(low) if low is not None and low == high else 0


def _try(
    table: LakeTable,
    sources: Sequence[Source],
    changed: Sequence[tuple[Column, Column]],
    connection: duckdb.DuckDBPyConnection,
) -> None:
    """Refuse a type in which a value that the table holds would not be the same."""
    scan = parquet(table.places([source.file for source in sources]))
    with refusals(table.name):
        there = {row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM {scan}").fetchall()}
        for old, new in changed:
            if old.name not in there:
                continue
            if remade("x", old.type, new.type, old.name, mixed=new.source_type == MIXED) is not None:
                continue
            _, unfit = fitting(restore(identifier(old.name), old.type), old.type, new.type)
            if connection.execute(f"SELECT coalesce(bool_or({unfit}), false) FROM {scan}").fetchall()[0][0]:
                raise DataError(
                    f"The column {old.name!r} of {table.name} would become {new.type}, and it holds values, "
                    f"as {old.type}, that no {new.type} is",
                    remedy="Mend the source, or give the column a type for all: "
                    f"contract={{'each': {{{old.at_source!r}: 'VARCHAR'}}}}",
                )
