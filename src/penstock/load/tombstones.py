"""Tombstones: keys that the source deleted, remembered so that an older row that comes later does not bring them back.

They rest in a table of Penstock's own. Before a merge those that it may meet are put back into the user's table as
rows, so that one rule decides between rows and deletions; after it every row there that means deletion becomes a
tombstone. Both happen in one transaction, so no reader sees them.

A tombstone may be forgotten when no older row can come any more. Without cursor and intervals the order is that of
landing: once every load is decided on, the next one is newer than all; then it goes after 90 days, in which a key that
comes back still counts as old. With a cursor or intervals an older row may come at any time (a backfill, a late row),
so a tombstone stays for ever, unless the declaration promises by ``forget_after`` that none comes after that time.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from penstock.load.change import Change, Effect, Prepared
from penstock.load.deletes import deletion_column, means_deletion
from penstock.load.merge import ROWS, Merging
from penstock.load.own_tables import follow, own_table
from penstock.load.session import count
from penstock.names import CREATED, LOAD, ORDER, UPDATED
from penstock.queries.text import identifiers
from penstock.values import dataclass

KIND = "tombstones"
_MEMORY = timedelta(days=90)
_RAISED = "penstock_load_raised"
_KNOWN = "penstock_load_known"


@dataclass(frozen=True, slots=True)
class Tombstones:
    """The tombstones of one merged table.

    Attributes:
        change: The change.
        prepared: Its table.
        column: The column that says deletion.
    """

    change: Change
    prepared: Prepared
    column: str

    @classmethod
    def of(cls, change: Change, prepared: Prepared) -> Tombstones | None:
        """Return them; None where the source says no deletions by a column."""
        found = deletion_column(change, prepared)
        return None if found is None else cls(change, prepared, found[0])

    def visit(self) -> int:
        """Make the table of tombstones or let it follow the user's; return how many rows the user's has."""
        transaction = self.change.ports.transaction
        types = {column.name: column.type for column in transaction.columns(self.change.spec.table) or ()}
        follow(transaction, self._graves, [(name, types[name]) for name in self._columns])
        return count(transaction, self.change.spec.table)

    def raise_dead(self, dead: Sequence[tuple[int, object]]) -> None:
        """Put back those that superseded loads made or dated; they leave with the rows of these loads."""
        values = [[number for number, _ in dead], [moment for _, moment in dead]]
        where = f"g.{LOAD} IN (SELECT unnest(?::BIGINT[])) OR g.{CREATED} IN (SELECT unnest(?::TIMESTAMPTZ[]))"
        self._raise(where, values)

    def raise_met(self, merging: Merging) -> None:
        """Put back those whose keys the new rows have, and note which keys of new deletions the table has now."""
        keys = identifiers(merging.key)
        self._execute(
            f"CREATE OR REPLACE TEMP TABLE {_KNOWN} AS SELECT {keys} FROM {self.change.table} t "
            f"SEMI JOIN (SELECT {keys} FROM {ROWS} r WHERE {self._means('r')}) r ON {merging.same_key('t', 'r')}"
        )
        self._execute(
            f"CREATE OR REPLACE TEMP TABLE {_RAISED} AS SELECT {LOAD} AS load_number, {ORDER}.position AS place "
            f"FROM {self._graves} g SEMI JOIN {ROWS} r ON {merging.same_key('g', 'r')}"
        )
        self._raise(
            f"EXISTS (SELECT 1 FROM {_RAISED} x WHERE x.load_number = g.{LOAD} AND x.place = g.{ORDER}.position)"
        )

    def bury(self, merging: Merging, merged: tuple[int, int], before: int) -> Effect:
        """Make tombstones of all rows that mean deletion, and forget those that are too old.

        Args:
            merging: How the rows were merged.
            merged: How many rows merging inserted and deleted.
            before: How many rows the table had before anything was put back.
        """
        table, means = self.change.table, self._means("t")
        stayed = self._execute(
            f"SELECT count(*) FROM {table} t SEMI JOIN {_RAISED} x "
            f"ON x.load_number = t.{LOAD} AND x.place = t.{ORDER}.position WHERE {means}"
        )[0][0]
        self._execute(
            f"INSERT INTO {self._graves} BY NAME SELECT {identifiers(self._columns)} FROM {table} t WHERE {means}"
        )
        buried = self._execute(f"DELETE FROM {table} AS t WHERE {means}")[0][0]
        deletions = self._execute(
            f"SELECT count(*) FROM {_KNOWN} k ANTI JOIN {table} t ON {merging.same_key('k', 't')}"
        )[0][0]
        self._forget()
        inserted = merged[0] - (buried - stayed)
        after = count(self.change.ports.transaction, self.change.spec.table)
        return Effect(inserted, before + inserted - after, int(deletions))

    def _raise(self, where: str, values: Sequence[object] = ()) -> None:
        listed = identifiers(self._columns)
        self._execute(
            f"INSERT INTO {self.change.table} BY NAME SELECT {listed} FROM {self._graves} g WHERE {where}", values
        )
        self._execute(f"DELETE FROM {self._graves} AS g WHERE {where}", values)

    def _forget(self) -> None:
        """Drop what is older than is said before the newest load, where no older row can come any more."""
        source = self.change.spec.source
        if source.forget_after is None and (source.cursor is not None or source.interval is not None):
            return
        if not self.change.spec.settled or not self.change.new:
            return
        newest = max(load.entry.created_at for load in self.change.new)
        oldest = newest - (_MEMORY if source.forget_after is None else source.forget_after)
        self._execute(f"DELETE FROM {self._graves} WHERE {UPDATED} < ?::TIMESTAMPTZ", [oldest])

    def _means(self, row: str) -> str:
        return means_deletion(self.change, self.prepared, row)

    def _execute(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        return self.change.ports.transaction.execute(sql, values)

    @property
    def _graves(self) -> str:
        return own_table(KIND, self.change.spec.table)

    @property
    def _columns(self) -> list[str]:
        return [*dict.fromkeys((*self.prepared.merging.key, self.column)), LOAD, CREATED, UPDATED, ORDER]
