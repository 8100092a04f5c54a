"""What waits in the quarantine, as a query: rows that failed checks, or lines of files that were no rows.

A row is named by ``_load`` and ``_position``: the load that set it aside, and its place in that load, from 0.
"""

from __future__ import annotations

import duckdb

from penstock.model.entries import Column, DataFile
from penstock.names import DETAIL, LINE, ORIGIN, REASONS
from penstock.queries.text import file_literal, file_literals, identifier, literal
from penstock.schema import parse, restore
from penstock.validate.quarantine import renamed
from penstock.values import dataclass

ORDER = ("order_load", "order_position")
TOLD = (REASONS, ORIGIN, DETAIL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """The quarantine of one load.

    Attributes:
        table: The source's table.
        load: The load.
        extracted: The load that extracted its rows; see ``TakenRows``.
        quarantine: What DuckDB reads as the file of its rows, or lines.
        files: The files of the load, in order.
        columns: The columns of the table as they are now.
        landed: The columns of the load when it landed.
        taken: What DuckDB reads as the files of rows that were replayed or discarded.
        replayed: Of a load that replays rows itself: the file of their places.
        lines: These are the lines that were no rows; they hold no values yet. Their places follow those of the rows.
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
    lines: bool = False


def opened(shelf: Shelf, connection: duckdb.DuckDBPyConnection, *, all_rows: bool = False) -> str:
    """Return the query of the rows that were neither replayed nor discarded, in their original types.

    Beside the columns: ``_reasons``, ``_origin``, ``_origin_detail``, ``_load``, ``_position``, what ``_order`` says;
    of a line its text as well, ``_line``.

    Args:
        shelf: The quarantine.
        connection: A session of the engine.
        all_rows: Also those that were replayed or discarded.
    """
    if shelf.lines:
        return _lines(shelf, all_rows=all_rows)
    scan = f"read_parquet({file_literal(shelf.quarantine)}, hive_partitioning=false)"
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
        replayed = f"read_parquet({file_literal(shelf.replayed)}, hive_partitioning=false)"
        relation += f" JOIN {replayed} o ON o.position = q.penstock_place"
        order = "o.order_load, o.order_position"
    relation += "" if all_rows else _untaken(shelf)
    return (
        f"SELECT {columns + ', ' if columns else ''}{', '.join(f'q.{name}' for name in TOLD)}, "
        f"CAST({shelf.load} AS BIGINT) AS _load, q.penstock_place AS _position, {order} FROM {relation}"
    )


def _lines(shelf: Shelf, *, all_rows: bool) -> str:
    columns = "".join(
        f"CAST(NULL AS {type_of(column)}) AS {identifier(renamed(column.name))}, " for column in shelf.columns
    )
    first = sum(file.rows for file in shelf.files)
    return (
        f"SELECT {columns}{', '.join(f'q.{name}' for name in (*TOLD, LINE))}, CAST({shelf.load} AS BIGINT) AS _load, "
        f"q.penstock_place AS _position, CAST({shelf.load} AS BIGINT) AS order_load, "
        f"q.penstock_place AS order_position FROM (SELECT *, {first} + file_row_number AS penstock_place "
        f"FROM read_parquet({file_literal(shelf.quarantine)}, hive_partitioning=false, file_row_number=true)) q"
        f"{'' if all_rows else _untaken(shelf)}"
    )


def _untaken(shelf: Shelf) -> str:
    if not shelf.taken:
        return ""
    listed = file_literals(shelf.taken)
    return (
        f" ANTI JOIN (SELECT _position FROM read_parquet([{listed}], hive_partitioning=false)) t "
        "ON t._position = q.penstock_place"
    )


def _original(column: Column, stored: dict[str, str], former: dict[str, Column]) -> str:
    """Return the SQL of a column in its present type; the quarantine's file has it as it was when it was written."""
    name, type_ = renamed(column.name), type_of(column)
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


def type_of(column: Column) -> str:
    """Return the type in which users see a column."""
    untyped = column.type.strip('"').upper() == "NULL" or column.type.upper().startswith("ENUM(")
    return "VARCHAR" if untyped else column.type
