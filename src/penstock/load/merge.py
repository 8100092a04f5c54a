"""Merging by key: the table is a function of the loads, whatever the order and grouping in which they are applied.

Of all versions of a key in the live loads the one with the greatest order wins: (cursor, load, position), or (load,
cursor, position) where each load is known to show a later state of the source; an unknown cursor (null, NaN) is the
lowest. A row that was set aside and replayed later counts by the load that extracted it, and its place there. The
winner was created when the earliest live load with the key was. Keys compare
null-safe; 0.0 and -0.0 are one key, NaN equals NaN, texts compare byte by byte.

Rows are deleted and inserted: ``MERGE INTO`` and key indexes take over ten times as long on large tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from penstock.load.rows import ORDER_LOAD, POSITION
from penstock.names import CREATED, LOAD, ORDER, UPDATED
from penstock.queries.text import identifier
from penstock.stores.port import WarehouseTransaction
from penstock.values import dataclass

ROWS = "penstock_load_rows"
"""The rows to merge: all data columns of the table, ``_load``, ``POSITION``, ``ORDER_LOAD``, ``_created_at`` (of their
own load)."""
ROW_ALIAS = "_penstock_row"
"""A row outside of a subquery: within one, the name of a column would stand before that of a table."""
TOUCHED = "penstock_load_touched"
"""The keys whose rows left the table with a superseded load."""

_REPEATED = "penstock_load_repeated"
_BEST = "penstock_load_best"
_WINNERS = "penstock_load_winners"
_MET = "penstock_load_met"


@dataclass(frozen=True, slots=True)
class Merging:
    """One table that is merged into.

    Attributes:
        transaction: The open transaction.
        table: The warehouse table, which has all columns of the rows.
        key: Its key columns.
        cursor: The cursor column; None where the order of landing decides.
        cursor_type: Its type.
        landed: The order of landing goes before the cursor.
        nulls: True where a key of the new rows may be null (a null-safe join is slower).
        replaced: Name of a temporary table into which rows go that newer ones replace; empty: nobody asks for them.
    """

    transaction: WarehouseTransaction
    table: str
    key: tuple[str, ...]
    cursor: str | None = None
    cursor_type: str = ""
    landed: bool = False
    nulls: bool = True
    replaced: str = ""

    def with_nulls(self, nulls: bool) -> Merging:
        """Return it, told whether a key of the new rows may be null."""
        return replace(self, nulls=nulls)

    def same_key(self, left: str, right: str) -> str:
        """Return the SQL that two rows have one key."""
        operator = "IS NOT DISTINCT FROM" if self.nulls else "="
        return " AND ".join(f"{left}.{identifier(name)} {operator} {right}.{identifier(name)}" for name in self.key)

    def order(self, row: str) -> str:
        """Return ``_order`` of a row of ``ROWS``."""
        cursor = "" if self.cursor is None else f"'cursor': {self._cursor(row)}, "
        return f"{{{cursor}'load': {row}.{ORDER_LOAD}, 'position': {row}.{POSITION}}}"

    def rank(self, order: str) -> str:
        """Return what two values of ``_order`` are compared by: a known cursor is greater than an unknown one."""
        if self.cursor is None:
            return order
        cursor = f"'known': {order}.\"cursor\" IS NOT NULL, 'cursor': {order}.\"cursor\""
        load = f"'load': {order}.\"load\""
        first = f"{load}, {cursor}" if self.landed else f"{cursor}, {load}"
        return f"{{{first}, 'position': {order}.\"position\"}}"

    def _cursor(self, row: str) -> str:
        column = f"{row}.{identifier(self.cursor or '')}"
        if self.cursor_type in ("FLOAT", "DOUBLE"):
            return f"CASE WHEN isnan({column}) THEN NULL ELSE {column} + 0 END"
        return column


def order_type(cursor_type: str | None) -> str:
    """Return the type of ``_order``."""
    cursor = "" if cursor_type is None else f'"cursor" {cursor_type}, '
    return f'STRUCT({cursor}"load" BIGINT, "position" BIGINT)'


def take_out(merging: Merging, dead: Sequence[tuple[int, object]]) -> int:
    """Delete the rows that superseded loads won or dated, and keep their keys in ``TOUCHED``; return how many.

    Args:
        merging: The table.
        dead: Number and creation moment of each superseded load that was applied.
    """
    execute = merging.transaction.execute
    values = [[number for number, _ in dead], [moment for _, moment in dead]]
    execute(
        f"CREATE OR REPLACE TEMP TABLE {TOUCHED} AS SELECT rowid AS target_row, "
        f"{', '.join(identifier(name) for name in merging.key)} FROM {identifier(merging.table)} "
        f"WHERE {LOAD} IN (SELECT unnest(?::BIGINT[])) OR {CREATED} IN (SELECT unnest(?::TIMESTAMPTZ[]))",
        values,
    )
    return int(
        execute(f"DELETE FROM {identifier(merging.table)} WHERE rowid IN (SELECT target_row FROM {TOUCHED})")[0][0]
    )


def merge(merging: Merging) -> tuple[int, int]:
    """Merge ``ROWS`` into the table; return how many rows were inserted and deleted."""
    execute = merging.transaction.execute
    table = identifier(merging.table)
    _find_winners(merging)
    execute(
        f"CREATE OR REPLACE TEMP TABLE {_MET} AS SELECT t.rowid AS target_row, w.{ORDER_LOAD} AS load_number, "
        f"w.{POSITION} AS place, w.{CREATED} AS created, t.{CREATED} AS created_before, "
        f"{merging.rank(f'w.{ORDER}')} > {merging.rank(f't.{ORDER}')} AS newer "
        f"FROM {_WINNERS} w JOIN {table} t ON {merging.same_key('w', 't')}"
    )
    # An older row that arrives late may still be the first of its key.
    execute(
        f"UPDATE {table} SET {CREATED} = m.created FROM {_MET} m "
        f"WHERE {table}.rowid = m.target_row AND NOT m.newer AND m.created < m.created_before"
    )
    leaving = f"FROM {table} WHERE rowid IN (SELECT target_row FROM {_MET} WHERE newer)"
    if merging.replaced:
        execute(f"CREATE OR REPLACE TEMP TABLE {identifier(merging.replaced)} AS SELECT * {leaving}")
    deleted = execute(f"DELETE {leaving}")
    inserted = execute(
        f"INSERT INTO {table} BY NAME SELECT w.* EXCLUDE ({POSITION}, {ORDER_LOAD}) "
        f"REPLACE (least(w.{CREATED}, m.created_before) AS {CREATED}) "
        f"FROM {_WINNERS} w LEFT JOIN {_MET} m ON m.load_number = w.{ORDER_LOAD} AND m.place = w.{POSITION} "
        "WHERE m.newer IS NOT false"
    )
    return int(inserted[0][0]), int(deleted[0][0])


def winning() -> str:
    """Return a relation with the rows that the last merge had to insert; it lasts until the session is cleaned."""
    return (
        f"(SELECT w.* FROM {_WINNERS} w LEFT JOIN {_MET} m "
        f"ON m.load_number = w.{ORDER_LOAD} AND m.place = w.{POSITION} WHERE m.newer IS NOT false)"
    )


def tally(transaction: WarehouseTransaction) -> tuple[int, int, int]:
    """Return what the last merge met: keys that its rows repeat, rows that lost, keys that the table has twice."""
    ((repeated, lost, doubled),) = transaction.execute(
        f"SELECT (SELECT count(*) FROM {_REPEATED}), count(*) FILTER (WHERE NOT newer), "
        f"count(*) - count(DISTINCT {{'load': load_number, 'place': place}}) FROM {_MET}"
    )
    return int(repeated), int(lost), int(doubled)


def _find_winners(merging: Merging) -> None:
    """Define ``_WINNERS``: one row per key, ``_order`` and ``_updated_at`` added."""
    execute = merging.transaction.execute
    ordered = f"SELECT r.*, {merging.order('r')} AS {ORDER}, r.{CREATED} AS {UPDATED} FROM {ROWS} r"
    keys = ", ".join(f"r.{identifier(name)}" for name in merging.key)
    # Counting alone takes a tenth of the time of finding the greatest; most loads repeat no key.
    execute(
        f"CREATE OR REPLACE TEMP TABLE {_REPEATED} AS SELECT {keys} FROM {ROWS} r GROUP BY {keys} HAVING count(*) > 1"
    )
    if execute(f"SELECT count(*) FROM {_REPEATED}") == [(0,)]:
        execute(f"CREATE OR REPLACE TEMP VIEW {_WINNERS} AS {ordered}")
        return
    execute(
        f"CREATE OR REPLACE TEMP TABLE {_BEST} AS SELECT {keys}, max({merging.rank(f'r.{ORDER}')}) AS best, "
        f"min(r.{CREATED}) AS created FROM ({ordered}) r SEMI JOIN {_REPEATED} k ON {merging.same_key('r', 'k')} "
        f"GROUP BY {keys}"
    )
    execute(
        f"CREATE OR REPLACE TEMP VIEW {_WINNERS} AS SELECT r.* REPLACE (least(r.{CREATED}, b.created) AS {CREATED}) "
        f"FROM ({ordered}) r LEFT JOIN {_BEST} b ON {merging.same_key('r', 'b')} "
        f'WHERE b.best IS NULL OR (b.best."load" = r.{ORDER_LOAD} AND b.best."position" = r.{POSITION})'
    )
