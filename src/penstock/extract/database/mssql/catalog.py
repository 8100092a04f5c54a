"""SQL Server's own catalog: finding a table, the columns of a query, and what ``scope`` says."""

from __future__ import annotations

from typing import Any

from penstock.errors import ConfigurationError
from penstock.extract.database import catalog
from penstock.extract.database.catalog import Ask, Listed, Shape
from penstock.extract.database.mssql.types import Field
from penstock.extract.port import Request, TableDescription
from penstock.model.specs import SourceTable

_TIMES = ("date", "datetime", "smalldatetime", "datetime2", "datetimeoffset")
_TEXTS = ("char", "varchar", "nchar", "nvarchar")
_INTEGERS = ("tinyint", "smallint", "int", "bigint")

TABLES = """
SELECT s.name, o.name, CASE WHEN s.name = SCHEMA_NAME() THEN 1 ELSE 0 END, z.row_count, z.bytes
FROM sys.objects AS o
JOIN sys.schemas AS s ON s.schema_id = o.schema_id
LEFT JOIN (
    SELECT p.object_id, SUM(CASE WHEN p.index_id IN (0, 1) AND a.type = 1 THEN p.rows ELSE 0 END) AS row_count,
        SUM(a.total_pages) * 8192 AS bytes
    FROM sys.partitions AS p JOIN sys.allocation_units AS a ON a.container_id = p.partition_id
    GROUP BY p.object_id
) AS z ON z.object_id = o.object_id
WHERE o.type IN ('U', 'V') AND o.is_ms_shipped = 0
ORDER BY s.name, o.name
"""
LISTED = """
SELECT s.name, o.name, CASE WHEN s.name = SCHEMA_NAME() THEN 1 ELSE 0 END, c.name, k.key_ordinal
FROM sys.objects AS o
JOIN sys.schemas AS s ON s.schema_id = o.schema_id
JOIN sys.columns AS c ON c.object_id = o.object_id
LEFT JOIN sys.indexes AS i ON i.object_id = o.object_id AND i.is_primary_key = 1
LEFT JOIN sys.index_columns AS k
    ON k.object_id = i.object_id AND k.index_id = i.index_id AND k.column_id = c.column_id AND k.key_ordinal > 0
WHERE o.type IN ('U', 'V') AND o.is_ms_shipped = 0 AND HAS_PERMS_BY_NAME(
    QUOTENAME(s.name) + '.' + QUOTENAME(o.name), 'OBJECT', 'SELECT') = 1
ORDER BY s.name, o.name, c.column_id
"""
DESCRIBED = """
SELECT name, system_type_name, user_type_name, error_message
FROM sys.dm_exec_describe_first_result_set({query}, NULL, 0) WHERE is_hidden = 0 OR is_hidden IS NULL
ORDER BY column_ordinal
"""


def quoted(name: str) -> str:
    """Return a name in brackets."""
    return "[" + name.replace("]", "]]") + "]"


def literal(text: str) -> str:
    """Return a text as a constant of Unicode."""
    return "N'" + text.replace("'", "''") + "'"


def listed(ask: Ask) -> list[Listed]:
    """Return all tables and views that the user may see."""
    return [
        Listed(
            schema=str(schema),
            name=str(name),
            here=bool(here),
            rows=None if rows is None else int(rows),
            row_bytes=int(size) // int(rows) if rows and size else None,
            bytes=None if size is None else int(size),
        )
        for schema, name, here, rows, size in ask(TABLES)
    ]


def fields(ask: Ask, relation: str) -> list[Field]:
    """Return the columns of a relation, as the server describes them without running it.

    Raises:
        ConfigurationError: It cannot be read; says why, in the server's words.
    """
    rows = ask(DESCRIBED.format(query=literal(f"SELECT * FROM {relation}")))
    for *_, error in rows:
        if error:
            raise ConfigurationError(f"SQL Server cannot read the table or query: {str(error).splitlines()[0][:200]}")
    return [Field(str(name), str(system or user)) for name, system, user, _ in rows]


def tables(ask: Ask) -> tuple[SourceTable, ...]:
    """Return the tables and views that the user may read; one outside the default schema is named with it."""
    return catalog.tables_of(
        (str(name) if here else f"{schema}.{name}", str(column), place)
        for schema, name, here, column, place in ask(LISTED)
    )


def describe(ask: Ask, request: Request) -> tuple[TableDescription, ...]:
    """Describe tables and views; rows of those over 64 MiB are what the server's own catalog says."""
    wanted = request.source.options.get("table")
    there = listed(ask)
    chosen = there if wanted is None else [catalog.found(there, str(wanted), "SQL Server")]
    keys = {table.name: table.key for table in tables(ask)}
    return tuple(_describe(ask, request, table, keys.get(table.full)) for table in chosen)


def _describe(ask: Ask, request: Request, table: Listed, key: tuple[str, ...] | None) -> TableDescription:
    relation = f"{quoted(table.schema)}.{quoted(table.name)}"
    if key is None:
        return TableDescription(name=table.full, rows=table.rows, remarks=("this user may not read it",))
    found = fields(ask, relation)
    shape = Shape(
        spelt={field.name: field.spelt for field in found},
        key=key,
        times=tuple(field.name for field in found if field.base in _TIMES),
        counting=tuple(field.name for field in found if field.base in _INTEGERS),
        texts=tuple(field.name for field in found if field.base in _TEXTS),
    )

    def count() -> int:
        return int(ask(f"SELECT COUNT_BIG(*) FROM {relation}")[0][0])

    return catalog.described(table, shape, request, count, _sample(ask, relation, shape))


def _sample(ask: Ask, relation: str, shape: Shape) -> dict[str, tuple[Any, ...]]:
    if not shape.sampled:
        return {}
    listed = ", ".join(
        f"CONVERT(varchar(34), {quoted(name)}, 126)" if name in shape.times else quoted(name) for name in shape.sampled
    )
    return catalog.sampled(ask(f"SELECT TOP ({catalog.SAMPLE}) {listed} FROM {relation}"), shape.sampled)
