"""MySQL's own catalog: finding a table, and what ``scope`` says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from penstock.extract.database import catalog
from penstock.extract.database.catalog import Ask, Listed, Shape
from penstock.extract.port import Request, TableDescription
from penstock.model.specs import SourceTable
from penstock.names import unknown
from penstock.values import dataclass

_TIMES = ("date", "datetime", "timestamp")
_TEXTS = ("varchar", "char", "text", "tinytext", "mediumtext", "longtext")
_INTEGERS = ("tinyint", "smallint", "mediumint", "int", "bigint")

_TABLES = """
SELECT table_schema, table_name, table_schema = DATABASE(), table_rows, avg_row_length,
       coalesce(data_length, 0) + coalesce(index_length, 0), engine
FROM information_schema.tables
WHERE table_schema NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys')
ORDER BY table_schema = DATABASE() DESC, 1, 2
"""
_LISTED = """
SELECT table_name, column_name FROM information_schema.columns
WHERE table_schema = DATABASE() ORDER BY table_name, ordinal_position
"""
_KEYS = """
SELECT table_name, column_name FROM information_schema.statistics
WHERE table_schema = DATABASE() AND index_name = 'PRIMARY' ORDER BY table_name, seq_in_index
"""
_COLUMNS = """
SELECT column_name, column_type, data_type, column_key = 'PRI' FROM information_schema.columns
WHERE table_schema = {schema} AND table_name = {name} ORDER BY ordinal_position
"""
_KEY = """
SELECT column_name FROM information_schema.statistics
WHERE table_schema = {schema} AND table_name = {name} AND index_name = 'PRIMARY' ORDER BY seq_in_index
"""


@dataclass(frozen=True, slots=True)
class Found:
    """What stands in FROM, its name, about how many bytes a row has, and whether a snapshot of it stays the same."""

    sql: str
    name: str
    row_bytes: int | None
    steady: bool = False


def relation(ask: Ask, request: Request) -> Found:
    """Return what stands in FROM.

    Raises:
        ConfigurationError: If neither or both of table and query are named, or there is no such table.
    """
    table, query = catalog.asked(request)
    if table is None:
        return Found(f"({query}\n) AS _query", "the query", None)
    row = _table(ask(_TABLES), table)
    size = int(row[4]) if row[4] else None
    return Found(f"{quoted(row[0])}.{quoted(row[1])}", table, size, steady=row[6] == "InnoDB")


def tables(ask: Ask) -> tuple[SourceTable, ...]:
    """Return the tables and views of the connection's own database."""
    found: dict[str, list[str]] = {}
    for name, column in ask(_LISTED):
        found.setdefault(str(name), []).append(str(column))
    keys: dict[str, list[str]] = {}
    for name, column in ask(_KEYS):
        keys.setdefault(str(name), []).append(str(column))
    return tuple(
        SourceTable(name=name, columns=tuple(columns), key=tuple(keys.get(name, ())))
        for name, columns in sorted(found.items())
    )


def describe(ask: Ask, request: Request) -> tuple[TableDescription, ...]:
    """Describe tables and views; rows are the server's estimate for tables over 64 MiB."""
    wanted = request.source.options.get("table")
    rows = ask(_TABLES)
    chosen = [row for row in rows if row[2]] if wanted is None else [_table(rows, str(wanted))]
    return tuple(_describe(ask, request, row) for row in chosen or rows)


def quoted(name: str) -> str:
    """Return a name in backticks."""
    return "`" + name.replace("`", "``") + "`"


def _describe(ask: Ask, request: Request, row: Sequence[Any]) -> TableDescription:
    schema, name, here, estimate, _, size, engine = row
    place = {"schema": _literal(schema), "name": _literal(name)}
    columns = [(str(column), str(type_), str(base).lower()) for column, type_, base, _ in ask(_COLUMNS.format(**place))]
    shape = Shape(
        spelt={column: type_ for column, type_, _ in columns},
        key=tuple(str(column) for (column,) in ask(_KEY.format(**place))),
        times=tuple(column for column, _, base in columns if base in _TIMES),
        counting=tuple(column for column, _, base in columns if base in _INTEGERS),
        texts=tuple(column for column, _, base in columns if base in _TEXTS),
    )
    source = f"{quoted(schema)}.{quoted(name)}"
    listed = Listed(
        schema=str(schema),
        name=str(name),
        here=bool(here),
        rows=None if estimate is None else int(estimate),
        bytes=None if engine is None else int(size),
    )
    remarks = ["a view: its rows are not counted"] if engine is None else []
    if engine not in (None, "InnoDB"):
        remarks.append(f"its engine {engine} has no snapshots: rows may change while they are read")

    def count() -> int:
        return int(ask(f"SELECT count(*) FROM {source}")[0][0])

    return catalog.described(listed, shape, request, count, _sample(ask, source, shape), remarks)


def _sample(ask: Ask, source: str, shape: Shape) -> dict[str, tuple[Any, ...]]:
    if not shape.sampled:
        return {}
    listed = ", ".join(
        f"CAST({quoted(name)} AS CHAR)" if name in shape.times else quoted(name) for name in shape.sampled
    )
    return catalog.sampled(ask(f"SELECT {listed} FROM {source} LIMIT {catalog.SAMPLE}"), shape.sampled)


def _table(rows: Sequence[Sequence[Any]], table: str) -> Sequence[Any]:
    for row in rows:
        if table == f"{row[0]}.{row[1]}" or (row[2] and table == row[1]):
            return row
    folded = [row for row in rows if table.lower() in (f"{row[0]}.{row[1]}".lower(), str(row[1]).lower() * row[2])]
    if len(folded) == 1:
        return folded[0]
    raise unknown("table", table, [row[1] if row[2] else f"{row[0]}.{row[1]}" for row in rows], where="MySQL")


def _literal(text: str) -> str:
    return "'" + str(text).replace("\\", "\\\\").replace("'", "''") + "'"
