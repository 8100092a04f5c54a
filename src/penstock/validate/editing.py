"""Rows of the quarantine as a query: those that are still open, edited by SQL or by a file, ready to be landed again.

A row is named by ``_load`` and ``_position``: the load that set it aside, and its place in that load, from 0.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypedDict

import duckdb

from penstock.errors import ConfigurationError, DataError
from penstock.model.entries import Column
from penstock.names import DETAIL, DISCARDED, LINE, ORIGIN, REASONS, unknown
from penstock.queries import edges
from penstock.queries.text import file_literal, identifier, literal
from penstock.stores.parquet import first_line, without_values
from penstock.validate.expressions import one_row
from penstock.validate.quarantine import renamed
from penstock.validate.shelf import ORDER, TOLD, Shelf, opened, type_of
from penstock.values import dataclass

_NAMES = ("_load", "_position")


class Editing(TypedDict, total=False):
    """What may be said of an edit: the attributes of ``Edit``."""

    sets: Sequence[str]
    where: str | None
    file: str | None
    lines: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """What is done to rows before they are replayed.

    Attributes:
        sets: ``column = SQL expression``; all see the row as it was.
        where: An SQL condition: only these rows.
        file: Rows as they should be, from an export that was edited; only these rows.
        lines: What is meant are lines of files that were no rows.
    """

    sets: Sequence[str] = ()
    where: str | None = None
    file: str | None = None
    lines: bool = False


def edited(shelf: Shelf, edit: Edit, connection: duckdb.DuckDBPyConnection) -> str:
    """Return the query of the open rows that are meant, as they should be.

    Raises:
        ConfigurationError: A column that is not there; an expression or condition that is none; a file that cannot be.
        DataError: A value of the file that its column cannot hold; a row that the quarantine has not.
    """
    rows = opened(shelf, connection)
    if edit.file is not None:
        rows = _from_file(shelf, edit.file, rows, connection)
    changes = [_change(text, shelf, rows, connection) for text in edit.sets]
    names = [name for name, _ in changes]
    for name in names:
        if names.count(name) > 1:
            raise ConfigurationError(f"Column {name!r} is set twice", remedy="Give one --set for each column")
    replaced = ", ".join(f"{expression} AS {identifier(name)}" for name, expression in changes)
    alias = identifier(shelf.table)
    where = ""
    if edit.where is not None:
        where = f" WHERE {_bound(edit.where, 'BOOLEAN', '--where', (rows, alias), connection)}"
    return f"SELECT *{f' REPLACE ({replaced})' if replaced else ''} FROM ({rows}) AS {alias}{where}"


def landed(shelf: Shelf, query: str, connection: duckdb.DuckDBPyConnection) -> str:
    """Return the query of the rows for landing: under the names of the source, in the order of their places."""
    untyped = {column.name for column in shelf.columns if "NULL" in column.type}
    counts = ", ".join(f"count({identifier(renamed(name))}) AS {identifier(name)}" for name in untyped)
    found = connection.sql(f"SELECT {counts} FROM ({query})").to_arrow_table().to_pylist()[0] if untyped else {}
    # What still holds no value gets no type by being replayed.
    empty = {name for name, values in found.items() if not values}
    listed = ", ".join(
        f"{'NULL' if column.name in empty else _mended(column, shelf)} AS {identifier(column.at_source)}"
        for column in shelf.columns
    )
    return f"SELECT {listed} FROM ({query}) ORDER BY _position"


def stored(shelf: Shelf, query: str) -> str:
    """Return the query of the rows for checks: under the names of the lake."""
    listed = ", ".join(f"{_mended(column, shelf)} AS {identifier(column.name)}" for column in shelf.columns)
    return f"SELECT {listed} FROM ({query})"


def places(query: str) -> str:
    """Return the query of the file that says what was taken; see ``TakenRows``."""
    return (
        "SELECT row_number() OVER (ORDER BY _position) - 1 AS position, _position, order_load, order_position, "
        f"{ORIGIN}, {DETAIL} FROM ({query}) ORDER BY _position"
    )


def holds_lines(file: str, connection: duckdb.DuckDBPyConnection) -> bool:
    """Say whether a file is an export of lines that were no rows."""
    return LINE in _reading(file, connection)[1]


def named_loads(file: str, connection: duckdb.DuckDBPyConnection) -> set[int]:
    """Return the loads whose rows a file holds.

    Raises:
        ConfigurationError: It cannot be read, or has no rows that can be told.
    """
    relation, found = _reading(file, connection)
    missing = [name for name in _NAMES if name not in found]
    if missing:
        raise ConfigurationError(
            f"The file {file} does not say which rows of the quarantine its rows are",
            value=f"no column {', '.join(missing)}",
            remedy="Edit a file that penstock quarantine export wrote, and leave _load and _position as they are",
        )
    with _sentence(file):
        wrong = connection.execute(
            f"SELECT count(*) FROM {relation} "
            "WHERE TRY_CAST(_load AS BIGINT) IS NULL OR TRY_CAST(_position AS BIGINT) IS NULL"
        ).fetchone()
        if wrong and wrong[0]:
            raise _added(file, int(wrong[0]))
        twice = connection.execute(
            f"SELECT CAST(_load AS BIGINT) AS l, CAST(_position AS BIGINT) AS p FROM {relation} GROUP BY l, p "
            "HAVING count(*) > 1 LIMIT 1"
        ).fetchone()
        if twice:
            raise DataError(
                f"The file {file} holds a row twice",
                value=f"_load {twice[0]}, _position {twice[1]}",
                remedy="Keep one of them",
            )
        return {
            int(row[0])
            for row in connection.execute(f"SELECT DISTINCT CAST(_load AS BIGINT) FROM {relation}").fetchall()
        }


def export(query: str, file: str, columns: Sequence[Column], connection: duckdb.DuckDBPyConnection) -> int:
    """Write rows of the quarantine to a CSV, JSON lines or Parquet file, by its ending; return how many.

    Lines that were no rows come with their text, and with empty columns to be filled in.
    """
    kind = _kind(file)
    lines = [str(row[0]) for row in connection.execute(f"DESCRIBE {query}").fetchall() if row[0] == LINE]
    told = f"array_to_string({REASONS}, '; ') AS {REASONS}" if kind == "csv" else REASONS
    listed = ", ".join(identifier(renamed(column.name)) for column in columns)
    chosen = ", ".join(["_load", "_position", told, ORIGIN, DETAIL, *lines, *([listed] if listed else [])])
    select = f"SELECT {chosen} FROM ({query}) ORDER BY _load, _position"
    options = {"csv": "FORMAT csv, HEADER", "jsonl": "FORMAT json", "parquet": "FORMAT parquet"}[kind]
    if os.path.lexists(file):
        raise ConfigurationError(f"{file} is there already", remedy="Name another file, or remove it first")
    with _sentence(file):
        row = connection.execute(f"COPY ({select}) TO {literal(file)} ({options})").fetchone()
    return int(row[0]) if row else 0


def _mended(column: Column, shelf: Shelf) -> str:
    """Return the SQL of a column as it lands: what a contract left out is told no longer where there is a value now."""
    value = identifier(renamed(column.name))
    if column.name != DISCARDED:
        return value
    names = {json.dumps(c.at_source): c.name for c in shelf.columns}
    mended = ", ".join(
        f"CASE WHEN {identifier(renamed(stored))} IS NOT NULL THEN {literal(f'{name}:null')} END"
        for name, stored in names.items()
        if stored != DISCARDED
    )
    patch = f"concat('{{\"values\":{{', concat_ws(',', {mended}), '}}}}')"
    return f"CASE WHEN {value} IS NOT NULL THEN CAST(json_merge_patch({value}, {patch}) AS VARCHAR) END"


def _change(text: str, shelf: Shelf, rows: str, connection: duckdb.DuckDBPyConnection) -> tuple[str, str]:
    column, equals, expression = text.partition("=")
    wanted = column.strip().strip('"')
    if not equals or not wanted or not expression.strip():
        raise ConfigurationError("--set changes one column", value=text, valid='"column = SQL expression"')
    for known in shelf.columns:
        if wanted.lower() in (known.name.lower(), renamed(known.name).lower()) or wanted == known.source_name:
            if known.personal is not None:
                raise _protected(known, "--set")
            type_ = type_of(known)
            bound = _bound(expression, type_, "--set", (rows, identifier(shelf.table)), connection)
            return renamed(known.name), f"CAST({bound} AS {type_})"
    raise unknown("column", wanted, [renamed(each.name) for each in shelf.columns], where=f"--set, table {shelf.table}")


def _bound(text: str, type_: str, option: str, rows: tuple[str, str], connection: duckdb.DuckDBPyConnection) -> str:
    """Return a user's expression in brackets, once it is known to be one over these rows."""
    query = "SELECT\n" + text
    if edges.volatile(query, origin=option):
        raise ConfigurationError(
            f"{option} reads the clock or chance, so that the same rows could be replayed differently",
            value=text,
            remedy="Write the value itself",
        )
    one_row(query, option, what="condition" if type_ == "BOOLEAN" else "expression")
    inner = f"({text}\n)"
    try:
        connection.execute(f"SELECT CAST({inner} AS {type_}) FROM ({rows[0]}) AS {rows[1]} LIMIT 0").fetchall()
    except duckdb.Error as error:
        raise ConfigurationError(
            f"{option} is nothing that DuckDB understands: {first_line(error)[:200]}", value=text
        ) from error
    return inner


def _from_file(shelf: Shelf, file: str, rows: str, connection: duckdb.DuckDBPyConnection) -> str:
    """Return the open rows that a file holds, with its values."""
    relation, found = _reading(file, connection, shelf.columns)
    names = [renamed(column.name) for column in shelf.columns]
    missing = [name for name in names if name not in found]
    told = (*TOLD, LINE) if shelf.lines else TOLD
    strange = [name for name in found if name not in (*names, *_NAMES, *told)]
    if missing or strange:
        said = ", ".join(
            [*(f"{name} is missing" for name in missing), *(f"{name} is no column of it" for name in strange)]
        )
        raise ConfigurationError(
            f"The columns of the file {file} are not those of {shelf.table}",
            value=said,
            valid=names,
            remedy="Leave the columns of the export as they are, and edit the values alone",
        )
    mine = f"(SELECT * FROM {relation} WHERE CAST(_load AS BIGINT) = {shelf.load})"
    known = f"SELECT _position FROM ({opened(shelf, connection, all_rows=True)})"
    with _sentence(file):
        added = connection.execute(
            f"SELECT count(*) FROM {mine} f WHERE CAST(f._position AS BIGINT) NOT IN ({known})"
        ).fetchone()
    if added and added[0]:
        raise _added(file, int(added[0]))
    types = {renamed(column.name): type_of(column) for column in shelf.columns}
    unfit = ", ".join(
        f"CASE WHEN {identifier(name)} IS NOT NULL AND TRY_CAST({identifier(name)} AS {type_}) IS NULL "
        f"THEN {literal(name)} END"
        for name, type_ in types.items()
    )
    with _sentence(file):
        wrong = (
            connection.execute(
                f"SELECT _load, _position, coalesce({unfit}, NULL) AS c FROM {mine} WHERE c IS NOT NULL LIMIT 1"
            ).fetchone()
            if types
            else None
        )
    if wrong:
        raise DataError(
            f"The file {file} holds a value of {wrong[2]!r} that is no {types[str(wrong[2])]}",
            value=f"the row with _load {wrong[0]}, _position {wrong[1]}",
            remedy="Mend the value in the file",
        )
    protected = [column for column in shelf.columns if column.personal is not None]
    for column in protected:
        name = identifier(renamed(column.name))
        with _sentence(file):
            changed = connection.execute(
                f"SELECT count(*) FROM ({rows}) o JOIN {mine} f ON CAST(f._position AS BIGINT) = o._position "
                f"WHERE CAST(f.{name} AS {type_of(column)}) IS DISTINCT FROM o.{name}"
            ).fetchone()
        if changed and changed[0]:
            raise _protected(column, f"the file {file}")
    values = ", ".join(f"CAST(f.{identifier(name)} AS {type_}) AS {identifier(name)}" for name, type_ in types.items())
    kept = ", ".join(f"o.{name}" for name in (*told, *_NAMES, *ORDER))
    return (
        f"SELECT {values + ', ' if values else ''}{kept} FROM ({rows}) o "
        f"JOIN {mine} f ON CAST(f._position AS BIGINT) = o._position"
    )


def _reading(file: str, connection: duckdb.DuckDBPyConnection, columns: Sequence[Column] = ()) -> tuple[str, list[str]]:
    """Return a file as a relation, and the names of its columns."""
    kind, place = _kind(file), file_literal(file)
    if not os.path.isfile(file):
        raise ConfigurationError(
            f"There is no file {file}", remedy="Write one: penstock quarantine export TABLE --to FILE"
        )
    if kind == "jsonl":
        with _sentence(file):
            keys = connection.execute(
                f"SELECT DISTINCT unnest(json_keys(json)) FROM read_ndjson_objects({place})"
            ).fetchall()
        found = sorted(str(key) for (key,) in keys)
        types = {renamed(column.name): type_of(column) for column in columns}
        typed = ", ".join(f"{literal(name)}: {literal(types.get(name, 'VARCHAR'))}" for name in found)
        return f"read_json({place}, format='newline_delimited', columns={{{typed}}})", found
    relation = f"read_parquet({place}, hive_partitioning=false)"
    if kind == "csv":
        relation = (
            f"read_csv({place}, header=true, all_varchar=true, delim=',', quote='\"', escape='\"', nullstr='', "
            "allow_quoted_nulls=false, hive_partitioning=false)"
        )
    with _sentence(file):
        return relation, [str(row[0]) for row in connection.execute(f"DESCRIBE FROM {relation}").fetchall()]


def _kind(file: str) -> str:
    ending = file.rpartition(".")[2].lower()
    kind = {"ndjson": "jsonl"}.get(ending, ending)
    if kind not in ("csv", "jsonl", "parquet"):
        raise ConfigurationError(
            "Rows of the quarantine are exchanged in three formats", value=file, valid=[".csv", ".jsonl", ".parquet"]
        )
    return kind


def _protected(column: Column, where: str) -> ConfigurationError:
    return ConfigurationError(
        f"Column {column.name!r} is personal: what is kept of it was protected when it landed, and cannot be edited "
        f"({where})",
        remedy="Mend it at the source and read it again, or leave it as it is",
    )


def _added(file: str, rows: int) -> DataError:
    return DataError(
        f"The file {file} holds rows that are not in the quarantine",
        value=f"{rows} such rows",
        remedy="New rows come from a source; leave _load and _position of each row as the export wrote them",
    )


@contextmanager
def _sentence(file: str) -> Iterator[None]:
    """Turn what DuckDB says of a user's file into a sentence without values."""
    try:
        yield
    except duckdb.Error as error:
        raise ConfigurationError(f"The file {file} cannot be read or written: {without_values(error)}") from error
