"""What MySQL or MariaDB itself says of the rows that are read: counts, bounds, sums and hashes, in its own dialect."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from penstock.extract.database.dialect import DatabaseColumn
from penstock.extract.port import Request
from penstock.model.figures import Aggregate, Figures, figures, query
from penstock.model.specs import Reconcile

_AT_ONCE = 1000
"""A result of MySQL has no more than 4096 columns."""


def ask(
    run: Callable[[str], Sequence[Sequence[Any]]],
    request: Request,
    columns: Sequence[DatabaseColumn],
    relation: str,
    quote: Callable[[str], str],
) -> Figures:
    """Return the figures of some rows.

    Args:
        run: Runs a query, in the transaction whose snapshot counts.
        request: The reading.
        columns: The columns as they are read.
        relation: All that follows FROM.
        quote: Quotes a name.
    """
    asked = [
        aggregate
        for column in columns
        if not request.source.is_personal(column.name)
        for aggregate in _aggregates(column, quote(column.name), request)
    ]
    found = Figures(rows=0)
    for first in range(0, max(1, len(asked)), _AT_ONCE):
        some = asked[first : first + _AT_ONCE]
        (row,) = run(query(some, relation))
        part = figures(some, [value.decode() if isinstance(value, bytes) else value for value in row])
        found = Figures(
            rows=part.rows, columns={**found.columns, **part.columns}, families={**found.families, **part.families}
        )
    return found


def _aggregates(column: DatabaseColumn, quoted: str, request: Request) -> list[Aggregate]:
    family, value = _measured(column, quoted)
    found = [Aggregate(column.name, "values", family, f"count({quoted})")]
    if not family:
        return found
    if column.name in request.source.ends:
        found += _ends(column.name, family, value)
    if request.source.reconcile in (Reconcile.SUMS, Reconcile.HASHES):
        found += _sums(column.name, family, value)
    if request.source.reconcile is Reconcile.HASHES:
        found += _hashes(column.name, family, value)
    return found


def _measured(column: DatabaseColumn, quoted: str) -> tuple[str, str]:
    """Return the family that a column is measured as, and its value in SQL."""
    target = column.target
    if pa.types.is_decimal(target):
        # It is selected as text, and summed as what it is.
        return "number", quoted
    if pa.types.is_string(target):
        return "text", f"CONVERT({column.expression} USING utf8mb4)"
    families = (
        (pa.types.is_integer, "number"),
        (pa.types.is_boolean, "boolean"),
        (pa.types.is_floating, "float"),
        (pa.types.is_date, "date"),
        (pa.types.is_timestamp, "moment"),
        (pa.types.is_binary, "bytes"),
    )
    return next((family for holds, family in families if holds(target)), ""), column.expression


def _ends(name: str, family: str, value: str) -> list[Aggregate]:
    # Whatever the collation of the column, bytes are compared, as the lake does.
    end, form = {
        "text": ("{}(CAST({} AS BINARY))", "text"),
        "bytes": ("LOWER(HEX({}({})))", "text"),
        "date": ("{}({})", "day"),
        "moment": ("{}({})", "moment"),
    }.get(family, ("{}({})", "number"))
    return [
        Aggregate(name, measure, family, end.format(function, value), form)
        for measure, function in (("least", "min"), ("greatest", "max"))
    ]


def _sums(name: str, family: str, value: str) -> list[Aggregate]:
    found = {
        "number": ("sum", f"sum({value})"),
        "boolean": ("true", f"sum({value})"),
        "date": ("days", f"sum({value})"),
        "text": ("bytes", f"sum(OCTET_LENGTH({value}))"),
        "bytes": ("bytes", f"sum(OCTET_LENGTH({value}))"),
    }.get(family)
    return [] if found is None else [Aggregate(name, found[0], family, found[1])]


def _hashes(name: str, family: str, value: str) -> list[Aggregate]:
    if family == "moment":
        return [Aggregate(name, "moments", family, f"sum({value})")]
    text = {"text": value, "bytes": f"LOWER(HEX({value}))"}.get(family)
    if text is None:
        return []
    total = f"sum(CAST(CONV(LEFT(SHA2({text}, 256), 15), 16, 10) AS UNSIGNED))"
    return [Aggregate(name, "hash", family, total)]
