"""What was applied to a warehouse table, written in the same transaction as its rows.

The newest number alone would not do: loads may be applied in any order, and a superseded load may arrive late.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from penstock.queries.text import identifier
from penstock.stores.port import WarehouseTransaction
from penstock.values import dataclass

SCHEMA = "_penstock"
_LOADS = f"{SCHEMA}.loads"
_SHAPES = f"{SCHEMA}.shapes"
_PARTS = f"{SCHEMA}.parts"


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a load: when it was made (None if it was never applied), and whether it is superseded."""

    created_at: datetime | None
    superseded: bool


class LoadLedger:
    """The record of a source's table.

    Args:
        transaction: The open transaction.
        table: The warehouse table.
    """

    def __init__(self, transaction: WarehouseTransaction, table: str) -> None:
        self._transaction = transaction
        self._table = table
        self._told: tuple[list[int], dict[int, Known]] | None = None
        # The last one is there only if all are: looking is cheaper than three statements for each micro-batch.
        if not transaction.keeps(_SHAPES):
            for statement in (
                f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}",
                f"CREATE TABLE IF NOT EXISTS {_LOADS} "
                "(table_name VARCHAR, number BIGINT, created_at TIMESTAMPTZ, superseded BOOLEAN)",
                f"CREATE TABLE IF NOT EXISTS {_SHAPES} (table_name VARCHAR, shape VARCHAR)",
            ):
                transaction.execute(statement)

    def shape(self) -> str | None:
        """Return how the table is written (mode, key, cursor, preparation), as recorded; None for a new table."""
        found = self._transaction.execute(f"SELECT shape FROM {_SHAPES} WHERE table_name = ?", [self._table])
        return str(found[0][0]) if found else None

    def begin(self, shape: Mapping[str, Any] | str) -> None:
        """Forget everything of the table and record how it is written from now on."""
        for (kind,) in self._transaction.execute(
            "SELECT table_name FROM duckdb_tables() WHERE database_name = current_database() AND schema_name = ? "
            "AND ends_with(table_name, ?)",
            [SCHEMA, f" {self._table}"],
        ):
            self._transaction.execute(f"DROP TABLE {SCHEMA}.{identifier(kind)}")
        self._told = None
        for owned in (_LOADS, _SHAPES):
            self._transaction.execute(f"DELETE FROM {owned} WHERE table_name = ?", [self._table])
        self._transaction.execute(f"INSERT INTO {_SHAPES} VALUES (?, ?)", [self._table, text(shape)])

    def known(self, numbers: Iterable[int]) -> dict[int, Known]:
        """Return what is known of these loads; asked again about the same ones, it asks nobody."""
        listed = sorted(numbers)
        if not listed:
            return {}
        if self._told is None or self._told[0] != listed:
            # The bounds pass over the row groups of all the loads before.
            found = self._transaction.execute(
                f"SELECT number, created_at, superseded FROM {_LOADS} WHERE table_name = ? AND number BETWEEN ? AND ?"
                f"{' AND number IN (SELECT unnest(?::BIGINT[]))' if len(listed) > 1 else ''}",
                [self._table, listed[0], listed[-1], *([listed] if len(listed) > 1 else [])],
            )
            self._told = listed, {number: Known(created_at, superseded) for number, created_at, superseded in found}
        return self._told[1]

    def live(self) -> set[int]:
        """Return the numbers of all loads that are applied and not superseded."""
        return {
            number
            for (number,) in self._transaction.execute(
                f"SELECT number FROM {_LOADS} WHERE table_name = ? AND NOT superseded", [self._table]
            )
        }

    def newest(self, but: Sequence[int] = ()) -> int:
        """Return the greatest number applied, some left out; 0 for none."""
        found = self._transaction.execute(
            f"SELECT coalesce(max(number), 0) FROM {_LOADS} WHERE table_name = ? AND NOT superseded "
            "AND number NOT IN (SELECT unnest(?::BIGINT[]))",
            [self._table, list(but)],
        )
        return int(found[0][0])

    def add(self, loads: Sequence[tuple[int, datetime]]) -> None:
        """Record loads as applied."""
        self._told = None
        self._transaction.execute(
            f"INSERT INTO {_LOADS} SELECT ?, unnest(?::BIGINT[]), unnest(?::TIMESTAMPTZ[]), false",
            [self._table, [number for number, _ in loads], [at for _, at in loads]],
        )

    def supersede(self, numbers: Iterable[int]) -> None:
        """Record loads as superseded, applied before or not: they never count again."""
        listed = sorted(numbers)
        self._told = None
        self._remove(listed)
        self._transaction.execute(
            f"INSERT INTO {_LOADS} SELECT ?, unnest(?::BIGINT[]), NULL, true", [self._table, listed]
        )

    def _remove(self, numbers: Sequence[int]) -> None:
        self._transaction.execute(
            f"DELETE FROM {_LOADS} WHERE table_name = ? AND number IN (SELECT unnest(?::BIGINT[]))",
            [self._table, numbers],
        )


class VersionLedger:
    """The record of a transform's table: from which version each part of it is.

    Args:
        transaction: The open transaction.
        table: The warehouse table.
    """

    def __init__(self, transaction: WarehouseTransaction, table: str) -> None:
        self._transaction = transaction
        self._table = table
        if _PARTS not in transaction.remembered:
            # Nobody else can write meanwhile: asked once for all tables of the transaction.
            transaction.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
            transaction.execute(
                f"CREATE TABLE IF NOT EXISTS {_PARTS} (table_name VARCHAR, part VARCHAR, number BIGINT)"
            )
            newest = transaction.execute(f"SELECT table_name, max(number) FROM {_PARTS} GROUP BY table_name")
            transaction.remembered[_PARTS] = dict(newest), []
            transaction.at_last(self._write)
        self._newest: dict[str, int]
        # Written together, where nobody asks before.
        self._fresh: list[tuple[str, str, int]]
        self._newest, self._fresh = transaction.remembered[_PARTS]

    def part(self, part: str) -> int:
        """Return the version from which a part of the table (an interval; all of it: "") is; 0 for none."""
        if self._table not in self._newest:
            return 0
        self._write()
        found = self._transaction.execute(
            f"SELECT coalesce(max(number), 0) FROM {_PARTS} WHERE table_name = ? AND part IN (?, '')",
            [self._table, part],
        )
        return int(found[0][0])

    def newest_part(self) -> int:
        """Return the greatest version applied; 0 for none."""
        return self._newest.get(self._table, 0)

    def set_part(self, part: str, number: int) -> None:
        """Record the version from which a part is; all of the table at once forgets the older parts."""
        if self._table in self._newest:
            self._write()
            self._transaction.execute(
                f"DELETE FROM {_PARTS} WHERE table_name = ? AND number <= ? AND (part = ? OR ? = '')",
                [self._table, number, part, part],
            )
        self._fresh.append((self._table, part, number))
        self._newest[self._table] = max(number, self.newest_part())

    def _write(self) -> None:
        if self._fresh:
            tables, parts, numbers = (list(each) for each in zip(*self._fresh, strict=True))
            self._fresh.clear()
            self._transaction.execute(
                f"INSERT INTO {_PARTS} SELECT unnest(?::VARCHAR[]), unnest(?::VARCHAR[]), unnest(?::BIGINT[])",
                [tables, parts, numbers],
            )


def text(shape: Mapping[str, Any] | str) -> str:
    """Return a shape as the text by which it is recorded and compared."""
    return shape if isinstance(shape, str) else json.dumps(shape, sort_keys=True)


def held(transaction: WarehouseTransaction, tables: Sequence[str]) -> dict[str, set[int]]:
    """Return the numbers of loads and versions that each table holds; works when the warehouse is open for reading too.

    Asks for all tables at once: of a thousand, each by itself takes seconds.
    """
    found: dict[str, set[int]] = {table: set() for table in tables}
    for recorded, condition in ((_LOADS, "NOT superseded"), (_PARTS, "true")):
        if transaction.keeps(recorded):
            for table, number in transaction.execute(
                f"SELECT table_name, number FROM {recorded} "
                f"WHERE table_name IN (SELECT unnest(?::VARCHAR[])) AND {condition}",
                [list(tables)],
            ):
                found[table].add(number)
    # A table that somebody dropped holds nothing, whatever is recorded of it.
    return {table: found[table] if transaction.columns(table) is not None else set() for table in tables}


def landed(transaction: WarehouseTransaction, tables: Sequence[str]) -> dict[str, dict[int, datetime]]:
    """Return the loads that each table holds and their moments; works when the warehouse is open for reading too."""
    found: dict[str, dict[int, datetime]] = {table: {} for table in tables}
    if transaction.keeps(_LOADS):
        for table, number, created_at in transaction.execute(
            f"SELECT table_name, number, created_at FROM {_LOADS} "
            "WHERE table_name IN (SELECT unnest(?::VARCHAR[])) AND NOT superseded",
            [list(tables)],
        ):
            found[table][number] = created_at
    return {table: found[table] if transaction.columns(table) is not None else {} for table in tables}
