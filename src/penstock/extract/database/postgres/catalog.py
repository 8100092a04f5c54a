"""PostgreSQL's own catalog: finding a table, the columns of a query, and what ``scope`` says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from penstock.extract.database import catalog
from penstock.extract.database.catalog import Listed, Shape
from penstock.extract.port import Request, TableDescription
from penstock.model.specs import SourceTable
from penstock.names import distinct, unknown
from penstock.queries.text import identifier, identifiers

_TIMES = ("date", "timestamp", "timestamptz")

_RELATIONS = """
SELECT n.nspname, c.relname, c.oid, pg_table_is_visible(c.oid), c.reltuples::int8, pg_total_relation_size(c.oid),
       has_table_privilege(c.oid, 'SELECT'), c.relkind::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'v', 'm', 'f', 'p') AND NOT c.relispartition
  AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_t%'
ORDER BY 1, 2
"""
_COLUMNS = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod), t.typname
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
_KEY = """
SELECT a.attname FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k(number, place)
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
WHERE i.indrelid = %s AND i.indisprimary ORDER BY k.place
"""


_LISTED = """
SELECT n.nspname, c.relname, pg_table_is_visible(c.oid),
       ARRAY(SELECT a.attname::text FROM pg_attribute a
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum),
       (SELECT array_agg(a.attname::text ORDER BY k.place)
        FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k(number, place)
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
        WHERE i.indrelid = c.oid AND i.indisprimary)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'v', 'm', 'f', 'p') AND NOT c.relispartition
  AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_t%'
  AND has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE')
ORDER BY 1, 2
"""


def relation(connection: Any, request: Request) -> tuple[str, list[tuple[str, int, int]]]:
    """Return what stands in FROM, and name, type id and type modifier of each column.

    Raises:
        ConfigurationError: If neither or both of table and query are named, or there is no such table.
    """
    table, query = catalog.asked(request)
    inner = _table(connection, table) if table is not None else f"({query}\n) AS _query"
    cursor = connection.execute(f"SELECT * FROM {inner} LIMIT 0".encode())
    result = cursor.pgresult
    found = [
        (item.name, result.ftype(place), result.fmod(place)) for place, item in enumerate(cursor.description or ())
    ]
    if table is not None:
        return inner, found
    names = distinct(("" if name == "?column?" else name for name, _, _ in found), cased=True)
    renamed = [(name, oid, modifier) for name, (_, oid, modifier) in zip(names, found, strict=True)]
    return f"{inner}({identifiers(names)})", renamed


def tables(connection: Any) -> tuple[SourceTable, ...]:
    """Return the tables that the user may read; one outside the search path is named with its schema."""
    rows = connection.execute(_LISTED).fetchall()
    return tuple(
        SourceTable(name=name if visible else f"{schema}.{name}", columns=tuple(columns), key=tuple(key or ()))
        for schema, name, visible, columns, key in rows
    )


def describe(connection: Any, request: Request) -> tuple[TableDescription, ...]:
    """Describe tables, views and foreign tables; rows are the planner's estimate for tables over 64 MiB."""
    wanted = request.source.options.get("table")
    rows = connection.execute(_RELATIONS).fetchall()
    if wanted is not None:
        quoted = _table(connection, str(wanted))
        rows = [row for row in rows if _quoted(row[0], row[1]) == quoted]
    return tuple(_describe(connection, request, row) for row in rows)


def _describe(connection: Any, request: Request, row: tuple[Any, ...]) -> TableDescription:
    schema, name, oid, visible, tuples, size, may, kind = row
    columns = connection.execute(_COLUMNS, (oid,)).fetchall()
    shape = Shape(
        spelt={column: type_ for column, type_, _ in columns},
        key=tuple(column for (column,) in connection.execute(_KEY, (oid,)).fetchall()),
        times=tuple(column for column, _, base in columns if base in _TIMES),
        counting=tuple(column for column, _, base in columns if base in ("int2", "int4", "int8")),
        texts=tuple(column for column, _, base in columns if base in ("text", "varchar", "bpchar", "citext")),
    )
    quoted = _quoted(schema, name)
    # A partitioned table has no pages of its own, and a view or a foreign table may be a query over all there is.
    stored = kind in ("r", "m")
    listed = Listed(
        schema=schema,
        name=name,
        here=visible,
        rows=tuples if tuples >= 0 and kind not in ("v", "f") else None,
        bytes=size if stored and may else None,
    )
    remarks = {"v": ("a view: its rows are not counted",), "f": ("a foreign table: its rows are not counted",)}.get(
        kind, ()
    )
    sample = _sample(connection, quoted, shape) if may else {}

    def count() -> int:
        found: int = connection.execute(f"SELECT count(*) FROM {quoted}".encode()).fetchone()[0]
        return found

    told = (*remarks, *(() if may else ("this user may not read it",)))
    return replace(catalog.described(listed, shape, request, count, sample, told), bytes=size)


def _sample(connection: Any, quoted: str, shape: Shape) -> dict[str, tuple[Any, ...]]:
    if not shape.sampled:
        return {}
    # As text: Python has no infinity of moments, and no year before 1.
    listed = ", ".join(
        f"{identifier(name)}::text" if name in shape.times else identifier(name) for name in shape.sampled
    )
    rows = connection.execute(f"SELECT {listed} FROM {quoted} LIMIT {catalog.SAMPLE}".encode()).fetchall()
    return catalog.sampled(rows, shape.sampled)


def _table(connection: Any, table: str) -> str:
    rows = connection.execute(_RELATIONS).fetchall()
    for schema, name, _, visible, *_ in rows:
        if table == f"{schema}.{name}" or (visible and table == name):
            return _quoted(schema, name)
    lower = [(row[0], row[1]) for row in rows if table.lower() in (f"{row[0]}.{row[1]}".lower(), row[1].lower())]
    if len(lower) == 1:
        return _quoted(*lower[0])
    known = [row[1] if row[3] else f"{row[0]}.{row[1]}" for row in rows]
    raise unknown("table", table, known, where="PostgreSQL")


def _quoted(schema: str, name: str) -> str:
    return f"{identifier(schema)}.{identifier(name)}"
