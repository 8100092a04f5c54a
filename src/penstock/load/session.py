"""Small questions to the session: how many rows, and which temporary tables a loading left in it."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.queries.text import identifier
from penstock.stores.port import WarehouseTransaction

_VIEWS = ("penstock_load_rows", "penstock_load_winners", "new_rows")


def clean(transaction: WarehouseTransaction) -> None:
    """Drop what a loading left in the session, which frees its memory."""
    for view in _VIEWS:
        transaction.execute(f"DROP VIEW IF EXISTS temp.{view}")
    tables = transaction.execute(
        "SELECT table_name FROM duckdb_tables() WHERE temporary AND starts_with(table_name, 'penstock_load_')"
    )
    for (table,) in tables:
        transaction.execute(f"DROP TABLE temp.{identifier(table)}")


def count(transaction: WarehouseTransaction, table: str) -> int:
    """Return how many rows a warehouse table has; 0 if there is none."""
    if transaction.columns(table) is None:
        return 0
    return int(transaction.execute(f"SELECT count(*) FROM {identifier(table)}")[0][0])


def lookup(
    transaction: WarehouseTransaction, name: str, columns: tuple[str, str], rows: Sequence[tuple[object, object]]
) -> None:
    """Make a temporary table of two columns (name and type each), to look something up by the first."""
    transaction.execute(f"CREATE OR REPLACE TEMP TABLE {name} ({', '.join(columns)})")
    transaction.execute(
        f"INSERT INTO {name} SELECT unnest(?), unnest(?)", [[row[0] for row in rows], [row[1] for row in rows]]
    )
