"""What a table of windows was computed from, noted in the transaction that did it.

A table is up to date if it was computed by the declaration that stands, from the rows that its inputs have, and no
version was put in its place since. Where any of that is in doubt, all of it is computed.
"""

from __future__ import annotations

from penstock.stores.port import WarehouseTransaction
from penstock.stores.warehouse import OWN_SCHEMA

_RECORDS = f"{OWN_SCHEMA}.windows"


def recorded(transaction: WarehouseTransaction, table: str) -> str:
    """Return what was noted of a table; empty: nothing."""
    _begin(transaction)
    found = transaction.execute(f"SELECT made_from FROM {_RECORDS} WHERE table_name = ?", [table])
    return str(found[0][0]) if found else ""


def record(transaction: WarehouseTransaction, table: str, made_from: str) -> None:
    """Note what a table was computed from; empty: its rows stand, but not what it takes to keep them up."""
    _begin(transaction)
    transaction.execute(f"DELETE FROM {_RECORDS} WHERE table_name = ?", [table])
    transaction.execute(f"INSERT INTO {_RECORDS} VALUES (?, ?)", [table, made_from])


def known(transaction: WarehouseTransaction, table: str) -> bool:
    """Say whether windows made the table."""
    _begin(transaction)
    return bool(transaction.execute(f"SELECT 1 FROM {_RECORDS} WHERE table_name = ?", [table]))


def _begin(transaction: WarehouseTransaction) -> None:
    transaction.execute(f"CREATE SCHEMA IF NOT EXISTS {OWN_SCHEMA}")
    transaction.execute(f"CREATE TABLE IF NOT EXISTS {_RECORDS} (table_name VARCHAR, made_from VARCHAR)")
