"""Figures of rows that DuckDB reads: the lake's files and the tables of the warehouse."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

import duckdb

from penstock.model.figures import Aggregate, Figures, figures, query
from penstock.model.specs import Reconcile
from penstock.stores.footers import footer
from penstock.values import dataclass

_DECIMAL = re.compile(r"DECIMAL\((\d+),\s*(\d+)\)")
_WHOLE = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"}
_MOMENTS = {"TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "TIMESTAMP_S", "TIMESTAMP_MS"}
_SAFE_DIGITS = 27
"""A decimal of so many digits can be summed over 10^11 rows within 38."""
_WIDEST_WHOLE = 29
"""Whole digits of a decimal that can be summed as a HUGEINT over 10^9 rows."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A column to measure.

    Attributes:
        name: What its figures are called.
        type: Its DuckDB type.
        expression: SQL that gives its values, in that type.
    """

    name: str
    type: str
    expression: str


def family(type_: str) -> str:
    """Return what values of a type are measured as: types of one family give equal figures for equal values."""
    if type_ in _WHOLE or _DECIMAL.fullmatch(type_):
        return "number"
    if type_ in ("FLOAT", "DOUBLE"):
        return "float"
    if type_ in _MOMENTS:
        return "moment"
    return {"BOOLEAN": "boolean", "DATE": "date", "VARCHAR": "text", "BLOB": "bytes", "UUID": "uuid"}.get(type_, "")


def aggregates(columns: Sequence[Measured], mode: Reconcile, ordered: Collection[str]) -> list[Aggregate]:
    """Return what to ask of the columns.

    Args:
        columns: The columns; nested ones and those of unknown families are passed over.
        mode: How much is measured.
        ordered: Names of the columns whose least and greatest value is asked for: the key, or the cursor.
    """
    found: list[Aggregate] = []
    for column in columns:
        kind = family(column.type)
        if not kind:
            continue
        found.append(Aggregate(column.name, "values", kind, f"count({column.expression})"))
        if column.name in ordered:
            found += _ends(column, kind)
        if mode in (Reconcile.SUMS, Reconcile.HASHES):
            found += _sums(column, kind)
        if mode is Reconcile.HASHES:
            found += _hashes(column, kind)
    return found


def measure(connection: duckdb.DuckDBPyConnection, asked: Sequence[Aggregate], relation: str) -> Figures:
    """Return the figures of a relation; ``relation`` is all that follows FROM."""
    row = connection.execute(query(asked, relation)).fetchone()
    return figures(asked, row or (0,))


def footers(uris: Sequence[str], columns: Collection[str]) -> Figures:
    """Return rows and numbers of values from the footers of Parquet files, whose data is not read.

    Args:
        uris: The files.
        columns: The columns that count; those without statistics in every file that has them are left out.
    """
    rows, silent = 0, set()
    values = dict.fromkeys(columns, 0)
    for uri in uris:
        found = footer(uri)
        rows += found.rows
        counted = [(place, leaf.column) for place, leaf in enumerate(found.leaves) if leaf.column in values]
        for group in found.groups:
            for place, name in counted:
                nulls = group.nulls(place)
                if nulls is None:
                    silent.add(name)
                else:
                    values[name] += group.rows - nulls
    return Figures(rows=rows, columns={n: {"values": str(v)} for n, v in values.items() if n not in silent})


def united(first: Figures, second: Figures) -> Figures:
    """Return the figures of the same rows that were taken in two ways."""
    columns: dict[str, Mapping[str, str]] = dict(first.columns)
    for name, found in second.columns.items():
        columns[name] = {**columns.get(name, {}), **found}
    return Figures(rows=first.rows, columns=columns, families={**first.families, **second.families})


def _ends(column: Measured, kind: str) -> list[Aggregate]:
    value, form = {
        "moment": ("epoch_us({}({}))", "moment"),
        "date": ("({}({}) - DATE '1970-01-01')", "day"),
        "uuid": ("CAST({}({}) AS VARCHAR)", "text"),
        "bytes": ("lower(hex({}({})))", "text"),
        "text": ("{}({})", "text"),
        "boolean": ("{}(CAST({} AS INTEGER))", "number"),
    }.get(kind, ("{}({})", "number"))
    return [
        Aggregate(column.name, name, kind, value.format(function, column.expression), form)
        for name, function in (("least", "min"), ("greatest", "max"))
    ]


def _sums(column: Measured, kind: str) -> list[Aggregate]:
    value = column.expression
    if kind == "number":
        return _exact(column)
    expression = {
        "boolean": ("true", f"count_if({value})"),
        "float": ("nans", f"count_if(isnan({value}))"),
        "date": ("days", f"sum({value} - DATE '1970-01-01')"),
        "text": ("bytes", f"sum(strlen({value}))"),
        "bytes": ("bytes", f"sum(octet_length({value}))"),
    }.get(kind)
    return [] if expression is None else [Aggregate(column.name, expression[0], kind, expression[1])]


def _exact(column: Measured) -> list[Aggregate]:
    """Return the aggregates of an exact sum; a wide decimal is summed in two parts, lest it overflow."""
    value = column.expression
    decimal = _DECIMAL.fullmatch(column.type)
    if decimal is None or int(decimal[1]) <= _SAFE_DIGITS:
        return [Aggregate(column.name, "sum", "number", f"sum({value})")]
    precision, scale = int(decimal[1]), int(decimal[2])
    if precision - scale > _WIDEST_WHOLE or scale > _SAFE_DIGITS:
        return []
    parts = [f"sum(CAST(trunc({value}) AS HUGEINT))"]
    if scale:
        parts.append(f"sum({value} - trunc({value}))")
    return [Aggregate(column.name, "sum", "number", part) for part in parts]


def _hashes(column: Measured, kind: str) -> list[Aggregate]:
    value = column.expression
    if kind == "moment":
        return [Aggregate(column.name, "moments", kind, f"sum(CAST(epoch_us({value}) AS HUGEINT))")]
    text = {"text": value, "uuid": f"CAST({value} AS VARCHAR)", "bytes": f"lower(hex({value}))"}.get(kind)
    if text is None:
        return []
    # Fifteen hexadecimal digits fit 64 bits with their sign, in every database; MySQL 9.6 and newer have no MD5.
    return [Aggregate(column.name, "hash", kind, f"sum(CAST('0x' || left(sha256({text}), 15) AS BIGINT))")]
