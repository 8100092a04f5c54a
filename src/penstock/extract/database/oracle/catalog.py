"""Oracle's own catalog: finding a table, and what ``scope`` says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from penstock.extract.database import catalog
from penstock.extract.database.catalog import Ask, Listed, Shape
from penstock.extract.database.oracle.types import Field
from penstock.extract.port import Request, TableDescription
from penstock.model.specs import SourceTable

_TIMES = ("DATE", "TIMESTAMP", "TIMESTAMP_TZ", "TIMESTAMP_LTZ")
_TEXTS = ("VARCHAR", "NVARCHAR", "CHAR", "NCHAR")

TABLES = """
SELECT o.owner, o.object_name, CASE WHEN o.owner = SYS_CONTEXT('USERENV', 'CURRENT_SCHEMA') THEN 1 ELSE 0 END,
    t.num_rows, t.avg_row_len, o.object_type
FROM all_objects o LEFT JOIN all_tables t ON t.owner = o.owner AND t.table_name = o.object_name
WHERE o.object_type IN ('TABLE', 'VIEW', 'MATERIALIZED VIEW') AND o.generated = 'N'
    AND o.owner IN (SELECT username FROM all_users WHERE oracle_maintained = 'N')
ORDER BY o.owner, o.object_name
"""
LISTED = """
SELECT c.table_name, c.column_name, k.position
FROM all_tab_columns c
LEFT JOIN (
    SELECT u.owner, u.table_name, u.column_name, u.position
    FROM all_constraints p JOIN all_cons_columns u ON u.owner = p.owner AND u.constraint_name = p.constraint_name
    WHERE p.constraint_type = 'P'
) k ON k.owner = c.owner AND k.table_name = c.table_name AND k.column_name = c.column_name
WHERE c.owner = {owner}
ORDER BY c.table_name, c.column_id
"""
_HERE = "SYS_CONTEXT('USERENV', 'CURRENT_SCHEMA')"


def quoted(name: str) -> str:
    """Return a name in quotes; Oracle's names hold none."""
    return '"' + name.replace('"', "") + '"'


def literal(text: str) -> str:
    """Return a text as a constant."""
    return "'" + text.replace("'", "''") + "'"


def listed(ask: Ask) -> list[Listed]:
    """Return all tables and views that the user may see, without Oracle's own."""
    found: dict[tuple[str, str], Listed] = {}
    for owner, name, here, rows, width, _ in ask(TABLES):
        table = Listed(
            schema=str(owner),
            name=str(name),
            here=bool(here),
            rows=None if rows is None else int(rows),
            row_bytes=int(width) if width else None,
            bytes=int(rows) * int(width) if rows is not None and width is not None else None,
        )
        # A materialised view is listed as a table as well.
        if table.bytes is not None or (table.schema, table.name) not in found:
            found[table.schema, table.name] = table
    return list(found.values())


def tables(ask: Ask, owner: str | None = None) -> tuple[SourceTable, ...]:
    """Return the tables and views of a schema; of the connection's own where none is named."""
    rows = ask(LISTED.format(owner=_HERE if owner is None else literal(owner)))
    return catalog.tables_of((str(name), str(column), place) for name, column, place in rows)


def describe(ask: Ask, request: Request, fields: Callable[[str], list[Field]]) -> tuple[TableDescription, ...]:
    """Describe tables and views; rows of those over 64 MiB are what the server last gathered.

    Args:
        ask: Runs a query.
        request: The table to describe, or the connection.
        fields: Returns the columns of a relation.
    """
    wanted = request.source.options.get("table")
    there = listed(ask)
    own = [table for table in there if table.here]
    chosen = own or there if wanted is None else [catalog.found(there, str(wanted), "Oracle")]
    keys = {
        (owner, table.name): table.key
        for owner in sorted({table.schema for table in chosen})
        for table in tables(ask, owner)
    }
    return tuple(_describe(ask, request, table, keys.get((table.schema, table.name), ()), fields) for table in chosen)


def _describe(
    ask: Ask, request: Request, table: Listed, key: tuple[str, ...], fields: Callable[[str], list[Field]]
) -> TableDescription:
    relation = f"{quoted(table.schema)}.{quoted(table.name)}"
    found = fields(relation)
    shape = Shape(
        spelt={field.name: field.spelt for field in found},
        key=key,
        times=tuple(field.name for field in found if field.kind in _TIMES),
        counting=tuple(field.name for field in found if field.kind == "NUMBER" and field.declared and not field.scale),
        texts=tuple(field.name for field in found if field.kind in _TEXTS),
    )

    def count() -> int:
        return int(ask(f"SELECT COUNT(*) FROM {relation}")[0][0])

    return catalog.described(table, shape, request, count, _sample(ask, relation, shape))


def _sample(ask: Ask, relation: str, shape: Shape) -> dict[str, tuple[Any, ...]]:
    if not shape.sampled:
        return {}
    listed = ", ".join(
        f"TO_CHAR({quoted(name)}, 'SYYYY-MM-DD HH24:MI:SS')" if name in shape.times else quoted(name)
        for name in shape.sampled
    )
    rows = ask(f"SELECT {listed} FROM {relation} WHERE ROWNUM <= {catalog.SAMPLE}")
    plain = [
        [
            value.strip() if name in shape.times and value else value
            for name, value in zip(shape.sampled, row, strict=True)
        ]
        for row in rows
    ]
    return catalog.sampled(plain, shape.sampled)
