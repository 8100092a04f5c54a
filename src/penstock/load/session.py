"""Small questions to the session: how many rows, and which temporary tables a loading left in it."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.sql.text import identifier
from penstock.stores.port import WarehouseTransaction


def clean(transaction: WarehouseTransaction) -> None:
    """Drop what a loading left in the session, which frees its memory."""
    found = transaction.execute(
        "SELECT 'VIEW', view_name FROM duckdb_views() WHERE temporary AND NOT internal "
        "AND (view_name LIKE 'penstock\\_load\\_%' ESCAPE '\\' OR view_name = 'new_rows') "
        "UNION ALL SELECT 'TABLE', table_name FROM duckdb_tables() "
        "WHERE temporary AND table_name LIKE 'penstock\\_load\\_%' ESCAPE '\\'"
    )
    for kind, name in found:
        transaction.execute(f"DROP {kind} temp.{identifier(name)}")


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
