"""Rows of the quarantine as a query: those that are still open, edited by SQL or by a file, ready to be landed again.

A row is named by ``_load`` and ``_position``: the load that set it aside, and its place in that load, from 0.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb

from penstock.errors import ConfigurationError, DataError
from penstock.model.entries import Column, DataFile
from penstock.names import DETAIL, DISCARDED, ORIGIN, REASONS, unknown
from penstock.queries import edges
from penstock.queries.text import identifier, literal
from penstock.schema import parse, restore
from penstock.stores.parquet import first_line, without_values
from penstock.validate.expressions import one_row
from penstock.validate.quarantine import renamed

ORDER = ("order_load", "order_position")
_NAMES = ("_load", "_position")
_TOLD = (REASONS, ORIGIN, DETAIL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """The quarantine of one load.

    Attributes:
        table: The source's table.
        load: The load.
        extracted: The load that extracted its rows; see ``TakenRows``.
        quarantine: What DuckDB reads as the file of its rows.
        files: The files of the load, in order.
        columns: The columns of the table as they are now.
        landed: The columns of the load when it landed.
        taken: What DuckDB reads as the files of rows that were replayed or discarded.
        replayed: Of a load that replays rows itself: the file of their places.
    """

    table: str
    load: int
    extracted: int
    quarantine: str
    files: tuple[DataFile, ...]
    columns: tuple[Column, ...]
    landed: tuple[Column, ...] = ()
    taken: tuple[str, ...] = ()
    replayed: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """What is done to rows before they are replayed.

    Attributes:
        sets: ``column = SQL expression``; all see the row as it was.
        where: An SQL condition: only these rows.
        file: Rows as they should be, from an export that was edited; only these rows.
    """

    sets: tuple[str, ...] = ()
    where: str | None = None
    file: str | None = None


def opened(shelf: Shelf, connection: duckdb.DuckDBPyConnection, *, all_rows: bool = False) -> str:
    """Return the query of the rows that were neither replayed nor discarded, in their original types.

    Beside the columns: ``_reasons``, ``_origin``, ``_origin_detail``, ``_load``, ``_position``, what ``_order`` says.

    Args:
        shelf: The quarantine.
        connection: A session of the engine.
        all_rows: Also those that were replayed or discarded.
    """
    scan = f"read_parquet({literal(shelf.quarantine)}, hive_partitioning=false)"
    stored = {str(row[0]).lower(): str(row[1]) for row in connection.execute(f"DESCRIBE FROM {scan}").fetchall()}
    former = {column.name: column for column in shelf.landed}
    firsts, first = [], 0
    for file in shelf.files:
        firsts.append(f"({literal(file.path)}, CAST({first} AS BIGINT))")
        first += file.rows
    columns = ", ".join(
        f"{_original(column, stored, former)} AS {identifier(renamed(column.name))}" for column in shelf.columns
    )
    relation = (
        f"(SELECT q.*, f.first + q._row AS penstock_place FROM {scan} q "
        f"JOIN (VALUES {', '.join(firsts)}) f(file, first) ON f.file = q._file) q"
    )
    order = f"CAST({shelf.load} AS BIGINT) AS order_load, q.penstock_place AS order_position"
    if shelf.replayed is not None:
        relation += (
            f" JOIN read_parquet({literal(shelf.replayed)}, hive_partitioning=false) o ON o.position = q.penstock_place"
        )
        order = "o.order_load, o.order_position"
    if shelf.taken and not all_rows:
        listed = ", ".join(literal(uri) for uri in shelf.taken)
        relation += (
            f" ANTI JOIN (SELECT _position FROM read_parquet([{listed}], hive_partitioning=false)) t "
            "ON t._position = q.penstock_place"
        )
    return (
        f"SELECT {columns + ', ' if columns else ''}{', '.join(f'q.{name}' for name in _TOLD)}, "
        f"CAST({shelf.load} AS BIGINT) AS _load, q.penstock_place AS _position, {order} FROM {relation}"
    )


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
    """Write rows of the quarantine to a CSV, JSON lines or Parquet file, by its ending; return how many."""
    kind = _kind(file)
    told = f"array_to_string({REASONS}, '; ') AS {REASONS}" if kind == "csv" else REASONS
    listed = ", ".join(identifier(renamed(column.name)) for column in columns)
    chosen = ", ".join(["_load", "_position", told, ORIGIN, DETAIL, *([listed] if listed else [])])
    select = f"SELECT {chosen} FROM ({query}) ORDER BY _load, _position"
    options = {"csv": "FORMAT csv, HEADER", "jsonl": "FORMAT json", "parquet": "FORMAT parquet"}[kind]
    if os.path.lexists(file):
        raise ConfigurationError(f"{file} is there already", remedy="Name another file, or remove it first")
    with _sentence(file):
        row = connection.execute(f"COPY ({select}) TO {literal(file)} ({options})").fetchone()
    return int(row[0]) if row else 0


def _original(column: Column, stored: dict[str, str], former: dict[str, Column]) -> str:
    """Return the SQL of a column in its present type; the quarantine's file has it as it was when it was written."""
    name, type_ = renamed(column.name), _type(column)
    actual = stored.get(name.lower())
    if actual is None:
        return f"CAST(NULL AS {type_})"
    value = f"q.{identifier(name)}"
    if actual == type_:
        return value
    if parse(actual) == parse(column.stored or column.type):
        return restore(value, type_)
    before = former.get(column.name, column)
    known = parse(actual) == parse(before.stored or before.type)
    return f"CAST({restore(value, before.type) if known else value} AS {type_})"


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
            type_ = _type(known)
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
    strange = [name for name in found if name not in (*names, *_NAMES, *_TOLD)]
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
    types = {renamed(column.name): _type(column) for column in shelf.columns}
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
                f"WHERE CAST(f.{name} AS {_type(column)}) IS DISTINCT FROM o.{name}"
            ).fetchone()
        if changed and changed[0]:
            raise _protected(column, f"the file {file}")
    values = ", ".join(f"CAST(f.{identifier(name)} AS {type_}) AS {identifier(name)}" for name, type_ in types.items())
    told = ", ".join(f"o.{name}" for name in (*_TOLD, *_NAMES, *ORDER))
    return (
        f"SELECT {values + ', ' if values else ''}{told} FROM ({rows}) o "
        f"JOIN {mine} f ON CAST(f._position AS BIGINT) = o._position"
    )


def _reading(file: str, connection: duckdb.DuckDBPyConnection, columns: Sequence[Column] = ()) -> tuple[str, list[str]]:
    """Return a file as a relation, and the names of its columns."""
    kind, place = _kind(file), literal(file)
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
        types = {renamed(column.name): _type(column) for column in columns}
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


def _type(column: Column) -> str:
    """Return the type in which users see a column."""
    untyped = column.type.strip('"').upper() == "NULL" or column.type.upper().startswith("ENUM(")
    return "VARCHAR" if untyped else column.type
