"""Keeping a table up by key: rows of keys that no new data touches are taken over from what stands."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from penstock.errors import DataError
from penstock.model.entries import Column
from penstock.names import unknown
from penstock.queries.text import alike, identifier, identifiers
from penstock.values import dataclass

_KEYS = "_penstock_keys"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyed:
    """Keys that are to be computed anew, while the rows of all others are taken over.

    Attributes:
        columns: The key columns, in the inputs and in the result.
        keys: SQL of a query for the values of these columns, in this order.
        inputs: The inputs that have them, of which only rows with these keys are read.
        standing: The warehouse table with the rows that stand.
    """

    columns: tuple[str, ...]
    keys: str
    inputs: frozenset[str]
    standing: str


def gather(keyed: Keyed, connection: duckdb.DuckDBPyConnection) -> int:
    """Gather the keys once into a temporary table; returns how many they are."""
    names = ", ".join(f"{identifier(name)}" for name in keyed.columns)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {_KEYS} AS SELECT DISTINCT * FROM ({keyed.keys}) AS k({names})")
    return int(connection.execute(f"SELECT count(*) FROM {_KEYS}").fetchall()[0][0])


def restricted(table: str, keyed: Keyed) -> str:
    """Return the rows of a table that have one of the keys, as a relation."""
    return f"(SELECT t.* FROM {table} t SEMI JOIN {_KEYS} k ON {alike(keyed.columns, 't', 'k')})"


def take_over(
    keyed: Keyed, columns: Sequence[Column], what: str, connection: duckdb.DuckDBPyConnection, relation: str
) -> None:
    """Add the rows of all other keys to a result.

    Args:
        keyed: The keys.
        columns: The columns of the result.
        what: What made it, for messages.
        connection: The transaction's connection.
        relation: The result.

    Raises:
        ConfigurationError: The result lacks a column of the key.
        DataError: It has rows of other keys, so that it depends on more than the rows of a key.
    """
    names = [column.name for column in columns]
    for name in keyed.columns:
        if name.lower() not in {each.lower() for each in names}:
            raise unknown("column", name, names, where=f"key of {what}")
    strange = connection.execute(
        f"SELECT count(*) FROM {identifier(relation)} t ANTI JOIN {_KEYS} k ON {alike(keyed.columns, 't', 'k')}"
    ).fetchall()[0][0]
    if strange:
        raise DataError(
            f"{what} made {strange} rows of keys that were not in what it read",
            value=f"key={', '.join(keyed.columns)}",
            remedy="A row may depend on those rows of its inputs alone that have its key; take key= away otherwise",
        )
    listed = identifiers(names)
    connection.execute(
        f"INSERT INTO {identifier(relation)} ({listed}) SELECT {', '.join(f't.{identifier(name)}' for name in names)} "
        f"FROM {identifier(keyed.standing)} t ANTI JOIN {_KEYS} k ON {alike(keyed.columns, 't', 'k')}"
    )
