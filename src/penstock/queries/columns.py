"""Which columns of its inputs each column of a query's result comes from, read from the query itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.lineage import Node, lineage

from penstock.queries import edges

_DIALECT = "duckdb"
_MOMENT = datetime(2000, 1, 1, tzinfo=UTC)

Origins = Mapping[str, tuple[tuple[str, str], ...]]


def column_origins(sql: str, schema: Mapping[str, Sequence[str]], *, origin: str) -> Origins | None:
    """Return of each column of the result the (table, column) pairs that its values come from.

    Columns that only decide which rows there are (in WHERE, ON, GROUP BY) are not among them. A column that is made of
    no other, as a constant or ``count(*)``, has none.

    Args:
        sql: One query.
        schema: Table to its columns, by which stars are read and names without a table are given one.
        origin: The file it stands in, for messages.

    Returns:
        The pairs of each column, sorted; None where the query cannot be taken apart so far.
    """
    bound = edges.bind(sql, dict.fromkeys(edges.parameters(sql, origin=origin), _MOMENT), origin=origin)
    known = {table.lower(): {name.lower(): "VARCHAR" for name in columns} for table, columns in schema.items()}
    try:
        nodes = lineage(None, sqlglot.parse_one(bound, dialect=_DIALECT), known, dialect=_DIALECT)
        # Sorted, since sqlglot walks over a set: its order changes from process to process.
        found = {name: tuple(sorted(set(_leaves(node, schema)))) for name, node in nodes.items()}
    except (SqlglotError, ValueError, KeyError, RecursionError):
        return None
    return found


def _leaves(node: Node, schema: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str]]:
    for below in node.downstream:
        yield from _leaves(below, schema)
    if not node.downstream and isinstance(node.expression, exp.Table):
        table, column = node.expression.name, node.name.rpartition(".")[2].strip('"')
        yield _spelt(table, schema), _spelt(column, schema.get(_spelt(table, schema), ()))


def _spelt(name: str, known: Mapping[str, Sequence[str]] | Sequence[str]) -> str:
    return next((each for each in known if each.lower() == name.lower()), name)
