"""What a candidate would change in a table: rows, columns, key figures. Only files that differ are compared."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import field, replace
from typing import Any

import duckdb

from penstock.errors import DataError
from penstock.model.entries import Column, DataFile
from penstock.model.releases import TableChange, TableVersion
from penstock.queries.text import identifier
from penstock.stores.port import Engine
from penstock.stores.release_tables import rows_of
from penstock.stores.warehouse import explained
from penstock.values import dataclass

MOST_FIGURES = 12
"""Columns of a table for which key figures are shown."""
_EXACT_ROWS = 1_000_000
"""Up to so many rows distinct texts are counted exactly; beyond, estimated within a few percent."""
_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
_FRACTIONS = ("FLOAT", "DOUBLE", "DECIMAL")


@dataclass(frozen=True, slots=True)
class Sides:
    """How both sides of a comparison are read.

    Attributes:
        engine: The local DuckDB.
        before: Table and files of it in production to what DuckDB reads as these.
        after: The same in staging.
        known: (Table, version) to figures that an earlier report measured, so that old data is not read again.
        keys: Table to the columns of its key, where one is known.
    """

    engine: Engine
    before: Callable[[str, Sequence[DataFile]], Sequence[str]]
    after: Callable[[str, Sequence[DataFile]], Sequence[str]]
    known: Mapping[tuple[str, int], Mapping[str, Any]] = field(default_factory=dict)
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def same_file(one: DataFile, other: DataFile) -> bool:
    """Say whether two entries name the same immutable file."""
    return (one.path, one.bytes, one.rows) == (other.path, other.bytes, other.rows)


def same_rows(one: TableVersion, other: TableVersion) -> bool:
    """Say whether two versions have the same columns and the same files."""
    return one.schema == other.schema and _keys(one) == _keys(other)


def differing(one: TableVersion, other: TableVersion) -> tuple[DataFile, ...]:
    """Return the files of one version that another has not; immutable files of both are equal."""
    known = _keys(other)
    return tuple(file for file in one.files if (file.path, file.bytes, file.rows) not in known)


def compare(before: TableVersion | None, after: TableVersion, sides: Sides) -> TableChange:
    """Return what a table would change.

    Rows are compared whole, over the columns that both sides have with the same type, as multisets of 64-bit hashes
    (two rows in 10^9 may be taken for equal with a probability of about 3 %); where a key is known, those that differ
    are told apart by it. DuckDB groups them within the engine's memory, and spills.
    """
    common = _common(before, after)
    there = {column.name.lower(): column.name for column in common}
    wanted = sides.keys.get(after.table, ())
    key = tuple(there[name.lower()] for name in wanted if name.lower() in there)
    key = key if len(key) == len(wanted) else ()
    change = TableChange(
        table=after.table,
        before=before.number if before else None,
        after=after.number,
        rows_before=before.rows if before else 0,
        rows_after=after.rows,
        added=after.rows,
        removed=before.rows if before else 0,
        changed=0 if key else None,
        key=key,
        columns=_sentences(before, after),
        bytes=sum(file.bytes for file in (differing(after, before) if before else after.files)),
    )
    if before is not None and same_rows(before, after):
        return replace(change, added=0, removed=0)
    with _readable(after.table):
        change = replace(change, figures=_figures(before, after, sides))
        if before is None or not common:
            return change
        if before.schema == after.schema and before.content and before.content == after.content:
            return replace(change, added=0, removed=0)
        added, removed, changed = _differences(before, after, common, key, sides)
    return replace(change, added=added, removed=removed, changed=changed if key else None)


def gone(before: TableVersion, reason: str) -> TableChange:
    """Return the change of a table that production would lose, and why."""
    return TableChange(
        table=before.table,
        before=before.number,
        after=0,
        rows_before=before.rows,
        rows_after=0,
        added=0,
        removed=before.rows,
        columns=(f"the table {before.table} leaves production: {reason}",),
    )


def _keys(version: TableVersion) -> set[tuple[str, int, int]]:
    return {(file.path, file.bytes, file.rows) for file in version.files}


def _common(before: TableVersion | None, after: TableVersion) -> tuple[Column, ...]:
    known = {(column.name, column.type, column.stored) for column in before.schema} if before else set()
    return tuple(column for column in after.schema if (column.name, column.type, column.stored) in known)


def _sentences(before: TableVersion | None, after: TableVersion) -> tuple[str, ...]:
    if before is None:
        return (f"the table {after.table} is new, with {len(after.schema)} columns",)
    old = {column.name: column.type for column in before.schema}
    new = {column.name: column.type for column in after.schema}
    found = [f"column {name} appears ({type_})" for name, type_ in new.items() if name not in old]
    found += [f"column {name} vanishes (was {type_})" for name, type_ in old.items() if name not in new]
    found += [
        f"column {name} changes its type from {old[name]} to {type_}"
        for name, type_ in new.items()
        if name in old and old[name] != type_
    ]
    if found:
        found.append("rows are compared over the columns that stay as they are")
    return tuple(found)


def _differences(
    before: TableVersion, after: TableVersion, common: Sequence[Column], key: Sequence[str], sides: Sides
) -> tuple[int, int, int]:
    """Return how many rows are added, removed and, where there is a key, changed."""
    new, old = differing(after, before), differing(before, after)
    listed = ", ".join(identifier(column.name) for column in common)
    # Without a key no row is taken for another one: each hash is a key of its own kind of row.
    keyed = ", ".join(identifier(name) for name in key) if key else "NULL"
    sources = [
        f"SELECT hash({listed}) AS h, hash({keyed}) AS k, {weight} AS w "
        f"FROM ({_select(after.table, common, files, locate)})"
        for files, locate, weight in ((new, sides.after, 1), (old, sides.before, -1))
        if files
    ]
    if not sources:
        return 0, 0, 0
    counted = f"SELECT k, sum(w) AS n FROM ({' UNION ALL '.join(sources)}) GROUP BY h, k HAVING n <> 0"
    sums = "sum(greatest(n, 0))::BIGINT AS more, sum(greatest(-n, 0))::BIGINT AS less"
    by_key = f"SELECT more, less, least(more, less) AS alike FROM (SELECT {sums} FROM ({counted}) GROUP BY k)"
    alike = "alike" if key else "0"
    with sides.engine.session() as connection:
        row = connection.execute(
            f"SELECT coalesce(sum(more - {alike}), 0)::BIGINT, coalesce(sum(less - {alike}), 0)::BIGINT, "
            f"coalesce(sum({alike}), 0)::BIGINT FROM ({by_key})"
        ).fetchall()[0]
    return int(row[0]), int(row[1]), int(row[2])


def _select(
    table: str,
    columns: Sequence[Column],
    files: Sequence[DataFile],
    locate: Callable[[str, Sequence[DataFile]], Sequence[str]],
) -> str:
    return rows_of(columns, locate(table, files))


def _figures(before: TableVersion | None, after: TableVersion, sides: Sides) -> dict[str, tuple[Any, Any]]:
    exact = max(after.rows, before.rows if before else 0) <= _EXACT_ROWS
    chosen = [column.name for column in after.schema if _figure(column, exact=exact) is not None][:MOST_FIGURES]
    new = _measured(after, chosen, sides.after, sides.engine, exact=exact)
    old: Mapping[str, Any] = {}
    if before is not None:
        wanted = {column.name for column in before.schema} & set(chosen)
        old = sides.known.get((before.table, before.number), {})
        if not wanted <= old.keys():
            old = _measured(before, chosen, sides.before, sides.engine, exact=exact)
    return {name: (old.get(name), new.get(name)) for name in chosen}


def _measured(
    version: TableVersion,
    chosen: Sequence[str],
    locate: Callable[[str, Sequence[DataFile]], Sequence[str]],
    engine: Engine,
    *,
    exact: bool,
) -> dict[str, Any]:
    columns = [column for column in version.schema if column.name in chosen]
    figures = {column.name: sql for column in columns if (sql := _figure(column, exact=exact)) is not None}
    if not figures:
        return {}
    source = _select(version.table, [column for column in columns if column.name in figures], version.files, locate)
    with engine.session() as connection:
        row = connection.execute(f"SELECT {', '.join(figures.values())} FROM ({source})").fetchall()[0]
    return {name: _rounded(value) for name, value in zip(figures, row, strict=True)}


def _figure(column: Column, *, exact: bool) -> str | None:
    """Return the SQL of a column's key figure: the mean of numbers and truth values, the distinct texts."""
    name = identifier(column.name)
    if column.type in _NUMBERS or column.type.startswith(_FRACTIONS):
        return f"avg({name})"
    if column.type == "BOOLEAN":
        return f"avg(CAST({name} AS INTEGER))"
    if column.type == "VARCHAR":
        return f"count(DISTINCT {name})" if exact else f"approx_count_distinct({name})"
    return None


def _rounded(value: Any) -> Any:
    """Return a figure that JSON can hold; nine digits, since parallel sums differ in the last ones."""
    if isinstance(value, float):
        return float(f"{value:.9g}") if math.isfinite(value) else str(value)
    return value


@contextmanager
def _readable(table: str) -> Iterator[None]:
    try:
        yield
    except duckdb.IOException as error:
        raise DataError(
            f"A data file of {table} cannot be read, so that the versions cannot be compared",
            value=str(error).splitlines()[0],
            remedy="penstock doctor shows which files are missing",
        ) from error
    except duckdb.Error as error:
        raise explained(error, f"Comparing the versions of {table}") from error
