"""Settling the types of a load: the first rung of each column's ladder that every row fits.

A load that fits into one batch is settled by its rows in memory. A larger one is surveyed before, in the same read
transaction: by one scan in SQL where SQLite's storage classes tell, by a trial where only the values can (times,
decimals, columns without a type).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from penstock.extract.database.sqlite.plan import Query
from penstock.extract.database.sqlite.types import INTEGERS, Declared, MisfitError, Rung, build, finish
from penstock.queries.text import identifier

CHUNK_ROWS = 512
"""Rows that are turned into columns at once; more fall out of the processor's cache, and take ten times as long."""
_CONDITIONS = 500
"""Conditions in one statement: SQLite takes expressions up to a depth of 1,000."""

Chunk = Sequence[Sequence[Any]]
"""Columns of some rows."""


def held(columns: Sequence[Declared], chunks: Sequence[Chunk]) -> tuple[Rung, ...]:
    """Settle by rows in memory."""
    return tuple(
        next(rung for rung in column.rungs if _fits([chunk[place] for chunk in chunks], column, rung))
        for place, column in enumerate(columns)
    )


def survey(connection: sqlite3.Connection, query: Query) -> tuple[Rung, ...]:
    """Settle by reading what is needed of all rows."""
    known = [column for column in query.columns if column.misfit]
    misfits: set[str] = set()
    for first in range(0, len(known), _CONDITIONS):
        misfits |= _misfits(connection, query, known[first : first + _CONDITIONS])
    settled: dict[str, Rung] = {column.name: column.rungs[0] for column in known if column.name not in misfits}
    left = [column for column in query.columns if column.name not in settled]
    if left:
        settled.update(_tried(connection, query, left))
    return tuple(settled[column.name] for column in query.columns)


def _misfits(connection: sqlite3.Connection, query: Query, columns: Sequence[Declared]) -> set[str]:
    """Return the columns in which a value does not fit the first rung: one scan, or two if there is one."""
    odd = {column.name: column.misfit.replace("{}", identifier(column.name)) for column in columns}
    glue = f"{query.where} AND" if query.where else " WHERE"
    scan = f"SELECT 1 FROM {query.relation}{glue} ({' OR '.join(odd.values())}) LIMIT 1"
    if connection.execute(scan, query.values).fetchone() is None:
        return set()
    flags = ", ".join(f"max({condition})" for condition in odd.values())
    found = connection.execute(f"SELECT {flags} FROM {query.relation}{query.where}", query.values).fetchone()
    return {name for name, flag in zip(odd, found, strict=True) if flag}


def _tried(connection: sqlite3.Connection, query: Query, columns: Sequence[Declared]) -> dict[str, Rung]:
    """Try whole columns against their ladders; a rung counts only once it held for every row."""
    ladders = {column.name: list(column.rungs) for column in columns}
    stale = list(columns)
    while stale:
        again = []
        for chunks in _portions(connection, query, stale):
            for place, column in enumerate(stale):
                values = [chunk[place] for chunk in chunks]
                while not _fits(values, column, ladders[column.name][0]):
                    ladders[column.name].pop(0)
                    again.append(column)
        stale = list(dict.fromkeys(again))
    return {name: rungs[0] for name, rungs in ladders.items()}


def _portions(connection: sqlite3.Connection, query: Query, columns: Sequence[Declared]) -> Iterator[list[Chunk]]:
    """Yield some chunks of some columns at a time, so that types are tried on arrays of a good size."""
    reader = connection.execute(query.select([column.name for column in columns]), query.values)
    chunks: list[Chunk] = []
    while rows := reader.fetchmany(CHUNK_ROWS):
        chunks.append(list(zip(*rows, strict=True)))
        if len(chunks) == 16:
            yield chunks
            chunks = []
    if chunks:
        yield chunks


def _fits(values: Sequence[Sequence[Any]], column: Declared, rung: Rung) -> bool:
    try:
        parts = [build(part, rung, exactly=column.any or rung in INTEGERS) for part in values]
        finish(pa.concat_arrays(parts) if parts else build((), rung), rung)
    except MisfitError:
        return False
    return True
