"""What SQLite itself says of the rows that were read, within the read transaction that gave them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from decimal import Decimal

import pyarrow as pa

from penstock.errors import ConfigurationError
from penstock.extract.database.sqlite.plan import Query
from penstock.extract.database.sqlite.types import Rung
from penstock.extract.port import Request, SourceFigures
from penstock.model.figures import Aggregate, Figures, figures, query
from penstock.model.specs import Reconcile, SourceSpec
from penstock.queries.text import identifier

_AT_ONCE = 1000
_HALF = 2**32


def refuse_hashes(request: Request) -> None:
    """Say before anything is read that SQLite cannot hash.

    Raises:
        ConfigurationError: Hashes are asked for.
    """
    if request.source.reconcile is Reconcile.HASHES:
        raise ConfigurationError(
            f"SQLite has no hash function by which {request.source.table} could be reconciled",
            value="hashes",
            valid=[Reconcile.SUMS.value, Reconcile.COUNTS.value, Reconcile.OFF.value],
        )


def ask(
    connection: sqlite3.Connection, request: Request, read: Query, rungs: Sequence[Rung], *, plain: bool
) -> SourceFigures:
    """Return the figures of what was read.

    Args:
        connection: The connection, in the transaction of the reading.
        request: The reading.
        read: What was read.
        rungs: The type that each column was read as.
        plain: True where all texts were UTF-8, so that their bytes can be compared.
    """
    (encoding,) = connection.execute("PRAGMA encoding").fetchone()
    asked = [
        aggregate
        for column, rung in zip(read.columns, rungs, strict=True)
        if not request.source.is_personal(column.name)
        for aggregate in _aggregates(column.name, rung, request.source, plain=plain and encoding == "UTF-8")
    ]
    found = Figures(rows=0)
    for first in range(0, max(1, len(asked)), _AT_ONCE):
        some = asked[first : first + _AT_ONCE]
        row = connection.execute(query(some, read.relation + read.where), read.values).fetchone()
        part = figures(some, row)
        found = Figures(
            rows=part.rows, columns={**found.columns, **part.columns}, families={**found.families, **part.families}
        )
    # A view or a query may call random() or LIMIT rows in no order.
    return SourceFigures(found, snapshot=_is_table(connection, read.relation))


def _is_table(connection: sqlite3.Connection, relation: str) -> bool:
    schema, _, name = relation.partition(".")
    if schema != "main":
        return False
    found = connection.execute(
        "SELECT type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%' FROM main.sqlite_master WHERE name = ?",
        (name[1:-1].replace('""', '"'),),
    ).fetchone()
    return found is not None and bool(found[0])


def _aggregates(name: str, rung: Rung, source: SourceSpec, *, plain: bool) -> list[Aggregate]:
    quoted, family = identifier(name), _family(rung)
    found = [Aggregate(name, "values", family, f"count({quoted})")]
    if not family or (family in ("text", "bytes") and not plain):
        return found
    if name in source.ends:
        found += _ends(name, quoted, family, rung)
    if source.reconcile is Reconcile.SUMS:
        found += _sums(name, quoted, family, rung)
    return found


def _family(rung: Rung) -> str:
    if isinstance(rung, str):
        return ""
    if pa.types.is_int64(rung) or pa.types.is_decimal(rung):
        return "number"
    names = ((pa.types.is_boolean, "boolean"), (pa.types.is_float64, "float"), (pa.types.is_string, "text"))
    return next((family for holds, family in names if holds(rung)), "bytes" if pa.types.is_binary(rung) else "")


def _ends(name: str, quoted: str, family: str, rung: Rung) -> list[Aggregate]:
    if family == "bytes":
        return []
    # Whatever the collation of the column, bytes are compared, as the lake does.
    value = {"text": f"{quoted} COLLATE BINARY", "float": f"CAST({quoted} AS REAL)"}.get(family, quoted)
    whole, unit = _units(rung)
    return [
        Aggregate(
            name, measure, family, whole.format(f"{function}({value})"), "text" if family == "text" else "number", unit
        )
        for measure, function in (("least", "min"), ("greatest", "max"))
    ]


def _units(rung: Rung) -> tuple[str, Decimal]:
    """Return how a value becomes an integer, and what one of it is worth; a decimal comes as a double."""
    if not pa.types.is_decimal(rung):
        return "{}", Decimal(1)
    return f"CAST(round({{}} * 1e{rung.scale}) AS INTEGER)", Decimal(1).scaleb(-rung.scale)


def _sums(name: str, quoted: str, family: str, rung: Rung) -> list[Aggregate]:
    if family == "boolean":
        return [Aggregate(name, "true", family, f"sum({quoted})")]
    if family in ("text", "bytes"):
        return [Aggregate(name, "bytes", family, f"sum(length(CAST({quoted} AS BLOB)))")]
    if family != "number":
        return []
    form, unit = _units(rung)
    whole = form.format(quoted)
    # The sum of integers fails beyond 64 bits; that of their halves cannot.
    return [
        Aggregate(name, "sum", family, f"sum({whole} >> 32)", weight=unit * _HALF),
        Aggregate(name, "sum", family, f"sum({whole} & {_HALF - 1})", weight=unit),
    ]
