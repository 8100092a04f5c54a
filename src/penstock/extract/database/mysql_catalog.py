"""MySQL's own catalog: finding a table, and what ``scope`` says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from penstock.errors import ConfigurationError
from penstock.extract import scoping
from penstock.extract.port import Request, TableDescription
from penstock.model.specs import SourceTable
from penstock.names import unknown

Ask = Callable[[str], Sequence[Sequence[Any]]]

_SAMPLE = 200
_COUNTED_BYTES = 64 * 2**20
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
    options = request.source.options
    table, query = options.get("table"), options.get("query")
    if (table is None) == (query is None):
        raise ConfigurationError(
            f"The source {request.source.table} must name either a table or a query",
            remedy="Add table= or query= (in a URL ?table=NAME); penstock scope lists the tables",
        )
    if table is None:
        return Found(f"({str(query).strip().rstrip(';')}\n) AS _query", "the query", None)
    row = _table(ask(_TABLES), str(table))
    size = int(row[4]) if row[4] else None
    return Found(f"{quoted(row[0])}.{quoted(row[1])}", str(table), size, steady=row[6] == "InnoDB")


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
    columns = ask(_COLUMNS.format(**place))
    key = tuple(str(column) for (column,) in ask(_KEY.format(**place)))
    spelt = {str(column): str(type_) for column, type_, _, _ in columns}
    times = {str(column): base in _TIMES for column, _, base, _ in columns}
    full, source = name if here else f"{schema}.{name}", f"{quoted(schema)}.{quoted(name)}"
    texts = [str(column) for column, _, base, _ in columns if base in _TEXTS]
    remarks = scoping.personal(spelt, _sample(ask, source, texts))
    if engine not in (None, "InnoDB"):
        remarks = (*remarks, f"its engine {engine} has no snapshots: rows may change while they are read")
    small = size <= _COUNTED_BYTES
    counted = int(ask(f"SELECT count(*) FROM {source}")[0][0]) if small else int(estimate or 0)
    found = scoping.cursors(times, key, [str(column) for column, _, base, _ in columns if base in _INTEGERS])
    pattern, reason = scoping.pattern(found, key, counted)
    connected = request.connection.name if request.connection is not None else "mysql"
    return TableDescription(
        name=full,
        columns=spelt,
        rows=counted,
        bytes=int(size),
        key=key,
        cursors=found,
        pattern=pattern,
        reason=reason,
        remarks=remarks,
        suggestion=scoping.suggestion(connected, full, found, key),
    )


def _sample(ask: Ask, source: str, texts: list[str]) -> dict[str, tuple[Any, ...]]:
    if not texts:
        return {}
    rows = ask(f"SELECT {', '.join(quoted(name) for name in texts)} FROM {source} LIMIT {_SAMPLE}")
    return dict(zip(texts, zip(*rows, strict=True), strict=True)) if rows else {}


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
