"""The write modes: how the rows of loads change a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from penstock.errors import DataError
from penstock.load.columns import fit
from penstock.load.ledger import LoadLedger
from penstock.load.merge import ROWS, TOUCHED, Merging, merge, order_type, take_out
from penstock.load.rows import POSITION, RESERVED, Part, expected, named, parts, union, wanted
from penstock.load.session import count
from penstock.load.spec import AcceptedLoad, Loading, LoadPorts
from penstock.names import CREATED, LOAD, ORDER, UPDATED, unknown
from penstock.queries.text import identifier

_ADDED = ((LOAD, "BIGINT"), (CREATED, "TIMESTAMP WITH TIME ZONE"), (UPDATED, "TIMESTAMP WITH TIME ZONE"))
_OLDER = "penstock_load_older"


@dataclass(frozen=True, slots=True)
class Change:
    """What is to happen to a table.

    Attributes:
        spec: The loading.
        ports: What it works through.
        ledger: The record of the table, the new loads written in.
        new: The loads to apply, by number.
        dead: Loads whose rows must go: number to the moment of the load.
    """

    spec: Loading
    ports: LoadPorts
    ledger: LoadLedger
    new: tuple[AcceptedLoad, ...]
    dead: dict[int, datetime]

    @property
    def table(self) -> str:
        """Return the quoted name of the table."""
        return identifier(self.spec.table)

    @property
    def where(self) -> str:
        """Return what brings the rows, for messages."""
        return named([load.entry.number for load in self.new]) if self.new else "no load"


def append(change: Change) -> tuple[int, int]:
    """Insert the new rows, delete those of superseded loads; return (inserted, deleted)."""
    found = parts(change.new, change.spec.prepare, change.ports, located=False)
    execute = change.ports.transaction.execute
    types = fit(change.ports.transaction, change.spec.table, [*wanted(found, change.ports), *_ADDED], change.where)
    deleted = 0
    if change.dead:
        dead = "SELECT unnest(?::BIGINT[])"
        deleted = execute(f"DELETE FROM {change.table} WHERE {LOAD} IN ({dead})", [sorted(change.dead)])[0][0]
    rows = union(found, types)
    if rows is None:
        return 0, deleted
    inserted = execute(
        f"INSERT INTO {change.table} BY NAME SELECT * EXCLUDE ({POSITION}), {CREATED} AS {UPDATED} FROM ({rows})"
    )[0][0]
    _agree(change, inserted)
    return inserted, deleted


def replace_all(change: Change) -> tuple[int, int]:
    """Make the table anew from the rows of the one new load; return (inserted, deleted)."""
    deleted = count(change.ports.transaction, change.spec.table)
    change.ports.transaction.execute(f"DROP TABLE IF EXISTS {change.table}")
    return append(change)[0], deleted


def merge_by_key(change: Change) -> tuple[int, int]:
    """Merge the new rows; keys of superseded loads fall back to what other loads say; return (inserted, deleted)."""
    ports, spec = change.ports, change.spec
    found = parts(change.new, spec.prepare, ports)
    columns = wanted(found, ports)
    types = dict(fit(ports.transaction, spec.table, [*columns, *_ADDED], change.where))
    merging = _merging(change, found, types)
    if merging is None:
        return 0, 0
    fit(ports.transaction, spec.table, [(ORDER, order_type(merging.cursor_type or None))], change.where)
    deleted, older = 0, 0
    pieces = [
        f"SELECT * EXCLUDE ({UPDATED}, {ORDER}), NULL::BIGINT AS {POSITION} FROM {change.table} WHERE false",
        union(found, types),
    ]
    if change.dead:
        deleted = take_out(merging, sorted(change.dead.items()))
        older = _gather_older(change, merging, types)
        pieces.append(f"SELECT * FROM {_OLDER}" if older else None)
    ports.transaction.execute(
        f"CREATE OR REPLACE TEMP VIEW {ROWS} AS {' UNION ALL BY NAME '.join(piece for piece in pieces if piece)}"
    )
    null = " OR ".join(f"{identifier(name)} IS NULL" for name in merging.key)
    counted, nulls = ports.transaction.execute(f"SELECT count(*), coalesce(bool_or({null}), false) FROM {ROWS}")[0]
    _agree(change, counted - older)
    inserted, replaced = merge(replace(merging, nulls=nulls))
    return inserted, deleted + replaced


def _merging(change: Change, found: Sequence[Part], types: Mapping[str, str]) -> Merging | None:
    """Return how to merge, or None where no column was ever seen."""
    source = change.spec.source
    present = [
        column.name
        for column in change.ports.transaction.columns(change.spec.table) or ()
        if column.name not in RESERVED
    ]
    if not present:
        return None
    for part in found:
        for column in source.key if part.columns else ():
            if part.column(column) is None:
                raise DataError(
                    f"The key column {column!r} of {change.spec.table} is missing in {part.where}",
                    valid=[other.source_name for other in part.columns],
                    remedy="Mend the source, or name another key",
                )

    def served(column: str) -> str:
        for part in found:
            name = part.column(column)
            if name is not None:
                return name
        for name in present:
            if name.lower() == column.lower():
                return name
        raise unknown("column", column, present, where=f"key or cursor of source {source.table!r}")

    cursor = None if source.cursor is None else served(source.cursor)
    return Merging(
        change.ports.transaction,
        change.spec.table,
        tuple(served(column) for column in source.key),
        cursor,
        "" if cursor is None else types[cursor.lower()],
        source.horizon,
    )


def _gather_older(change: Change, merging: Merging, types: Mapping[str, str]) -> int:
    """Put what the other live loads say of the touched keys into a temporary table; return how many rows."""
    ports = change.ports
    numbers = change.ledger.live() - {load.entry.number for load in change.new}
    live = {load.entry.number: load for load in ports.live()} if numbers and ports.live is not None else {}
    missing = numbers - live.keys()
    if missing:
        raise DataError(
            f"Table {change.spec.table} must fall back to older loads, and {named(sorted(missing))} is not at hand",
            remedy="Run penstock doctor to see which loads of the lake are accepted",
        )
    rows = union(parts([live[number] for number in sorted(numbers)], change.spec.prepare, ports), types)
    if rows is None:
        return 0
    ports.transaction.execute(
        f"CREATE OR REPLACE TEMP TABLE {_OLDER} AS SELECT o.* FROM ({rows}) o SEMI JOIN {TOUCHED} t "
        f"ON {merging.same_key('o', 't')}"
    )
    return int(ports.transaction.execute(f"SELECT count(*) FROM {_OLDER}")[0][0])


def _agree(change: Change, rows: int) -> None:
    """Check that the files hold what the manifests say; a preparation may change the number of rows."""
    if change.spec.prepare is not None:
        return
    manifest = expected(change.new, change.ports)
    if rows != manifest:
        raise DataError(
            f"The files of {change.where} of {change.spec.table} hold {rows} rows outside the quarantine, "
            f"their manifests say {manifest}",
            remedy="A file was damaged or exchanged; see penstock doctor",
        )
