"""Tables of Penstock's own beside a source's table: they follow its columns and leave with it."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.load.ledger import SCHEMA
from penstock.queries.text import identifier
from penstock.stores.port import WarehouseTransaction


def own_table(kind: str, table: str) -> str:
    """Return the quoted name of a table of Penstock's own: ``_penstock."tombstones raw_flights"``."""
    return f"{SCHEMA}.{identifier(f'{kind} {table}')}"


def follow(transaction: WarehouseTransaction, name: str, columns: Sequence[tuple[str, str]]) -> None:
    """Make the table, or widen its columns to the types that those of the source's table have now."""
    listed = ", ".join(f"{identifier(column)} {type_}" for column, type_ in columns)
    transaction.execute(f"CREATE TABLE IF NOT EXISTS {name} ({listed})")
    types = {str(row[0]): str(row[1]) for row in transaction.execute(f"DESCRIBE {name}")}
    for column, type_ in columns:
        if types[column] != str(transaction.connection.sqltype(type_)):
            transaction.execute(f"ALTER TABLE {name} ALTER COLUMN {identifier(column)} TYPE {type_}")
