"""The column ``_discarded``: what a contract left out of a row, as JSON text, so that nothing is lost.

``{"columns": {name: value}}`` holds values of columns that the table does not have, ``{"values": {name: value}}`` those
that the type of their column cannot hold; each value is the text that DuckDB prints. Null where nothing was left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import duckdb

from penstock.model.contracts import Discarded
from penstock.model.entries import Column
from penstock.names import DISCARDED
from penstock.queries.relations import parquet
from penstock.queries.text import literal

COLUMN = Column(name=DISCARDED, type="VARCHAR")
KINDS = ("columns", "values")


def kept(columns: Mapping[str, str], misfits: Mapping[str, tuple[str, str]]) -> str:
    """Return the SQL of the column.

    Args:
        columns: Name and expression of columns that are left out.
        misfits: Name, expression, and the condition that the value does not fit.
    """
    found = {
        "columns": {name: (value, f"{value} IS NOT NULL") for name, value in columns.items()},
        "values": dict(misfits),
    }
    objects = []
    for kind, values in found.items():
        if not values:
            continue
        pairs = ", ".join(
            f"{literal(name)}, CASE WHEN {left_out} THEN CAST({value} AS VARCHAR) END"
            for name, (value, left_out) in values.items()
        )
        any_ = " OR ".join(left_out for _, left_out in values.values())
        objects.append(f"{literal(kind)}, CASE WHEN {any_} THEN json_object({pairs}) END")
    if not objects:
        return "CAST(NULL AS VARCHAR)"
    # Merging leaves out the names whose value is null.
    merged = f"CAST(json_merge_patch('{{}}', json_object({', '.join(objects)})) AS VARCHAR)"
    return f"nullif({merged}, '{{}}')"


def marked(column: Column | None, marks: Sequence[str]) -> Column:
    """Return the column with the marks of the personal columns whose values it keeps, protected as they are."""
    column = column or COLUMN
    known = [part for part in (column.personal or "").split(", ") if part]
    listed = ", ".join(dict.fromkeys((*known, *marks)))
    return replace(column, personal=listed or None)


def counted(connection: duckdb.DuckDBPyConnection, places: Sequence[str]) -> dict[str, dict[str, int]]:
    """Return how many values files keep beside their rows: kind to column to values."""
    found: dict[str, dict[str, int]] = {}
    for kind in KINDS if places else ():
        rows = connection.execute(
            f"SELECT name, count(*) FROM (SELECT unnest(json_keys({DISCARDED}, '$.{kind}')) AS name "
            f"FROM {parquet(places)} WHERE {DISCARDED} IS NOT NULL) GROUP BY name ORDER BY name"
        ).fetchall()
        if rows:
            found[kind] = dict(rows)
    return found


def summary(
    counted_: Mapping[str, Mapping[str, int]], columns: Mapping[str, str], types: Mapping[str, str]
) -> tuple[Discarded, ...]:
    """Return what was left out.

    Args:
        counted_: What ``counted`` gave.
        columns: Name and type of the columns that the table does not have.
        types: Name and type in which columns of the table came.
    """
    none: Mapping[str, int] = {}
    whole, misfits = (counted_.get(kind, none) for kind in KINDS)
    return (
        *(Discarded(column=name, type=type_, values=whole.get(name, 0), whole=True) for name, type_ in columns.items()),
        *(Discarded(column=name, type=types.get(name, "VARCHAR"), values=n) for name, n in misfits.items()),
    )
