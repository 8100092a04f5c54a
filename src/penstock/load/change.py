"""What is to happen to a table, what happened, and the steps that every write mode by key begins with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from penstock.errors import DataError
from penstock.load.columns import fit
from penstock.load.ledger import LoadLedger
from penstock.load.merge import ROWS, TOUCHED, Merging, order_type
from penstock.load.rows import ORDER_LOAD, POSITION, Part, expected, named, parts, told, union, wanted
from penstock.load.spec import AcceptedLoad, Loading, LoadPorts, reserved
from penstock.names import CREATED, LOAD, ORDER, UPDATED, unknown
from penstock.queries.text import identifier
from penstock.values import dataclass

ADDED = ((LOAD, "BIGINT"), (CREATED, "TIMESTAMP WITH TIME ZONE"), (UPDATED, "TIMESTAMP WITH TIME ZONE"))
OLDER = "penstock_load_older"
"""What other live loads say of the keys in ``TOUCHED``; columns as in ``ROWS``."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is to happen to a table.

    Attributes:
        spec: The loading.
        ports: What it works through.
        ledger: The record of the table, the new loads written in.
        new: The loads to apply, by number.
        dead: Loads whose rows must go: number to the moment of the load.
        last: The one new load is taken after all older ones and before all newer ones, whatever the record holds.
    """

    spec: Loading
    ports: LoadPorts
    ledger: LoadLedger
    new: tuple[AcceptedLoad, ...]
    dead: dict[int, datetime]
    last: bool = False

    @property
    def table(self) -> str:
        """Return the quoted name of the table."""
        return identifier(self.spec.table)

    @property
    def where(self) -> str:
        """Return what brings the rows, for messages."""
        return named([load.entry.number for load in self.new]) if self.new else "no load"

    @property
    def replayed(self) -> tuple[AcceptedLoad, ...]:
        """Return the new loads whose rows come back from the quarantine, and count by the loads that extracted them."""
        return tuple(load for load in self.new if load.entry.taken is not None)

    @property
    def in_order(self) -> bool:
        """Say whether every new load is newer than all applied before, and none of those was superseded."""
        if self.last:
            return True
        if self.replayed:
            return False
        before = self.ledger.newest(but=[load.entry.number for load in self.new])
        return not self.dead and all(load.entry.number > before for load in self.new)


@dataclass(frozen=True, slots=True)
class Effect:
    """What happened to a table: rows inserted and taken out, keys that the source deleted, sentences for the user."""

    inserted: int = 0
    deleted: int = 0
    deletions: int = 0
    notes: tuple[str, ...] = ()

    def and_then(self, other: Effect) -> Effect:
        """Return both together."""
        return Effect(
            self.inserted + other.inserted,
            self.deleted + other.deleted,
            self.deletions + other.deletions,
            tuple(dict.fromkeys((*self.notes, *other.notes))),
        )


@dataclass(frozen=True, slots=True)
class Prepared:
    """A table that fits the new rows, and how its rows are told apart and ordered.

    Attributes:
        merging: Key, cursor and order.
        types: Column in lower case to type.
        found: The new rows.
    """

    merging: Merging
    types: Mapping[str, str]
    found: Sequence[Part]


def prepare(change: Change, loads: Sequence[AcceptedLoad], more: Sequence[tuple[str, str]] = ()) -> Prepared | None:
    """Make the table fit the rows of loads; None where no column was ever seen.

    Args:
        change: The change.
        loads: The loads whose rows must fit.
        more: Columns that the write mode adds after ``_order``.
    """
    ports, spec = change.ports, change.spec
    found = parts(loads, spec.prepare, ports, reserved=reserved(spec.source))
    lake = told(found, spec.prepare, ports)
    types = dict(fit(ports.transaction, spec.table, [*wanted(found, ports), *ADDED], change.where, lake))
    merging = _merging(change, found, types)
    if merging is None:
        return None
    order = order_type(merging.cursor_type or None)
    fit(ports.transaction, spec.table, [(ORDER, order), *more], change.where, {ORDER: order} if lake else {})
    return Prepared(merging, types, found)


def define_rows(change: Change, prepared: Prepared, *, older: int = 0) -> Merging:
    """Define ``ROWS``, the new rows with all columns of the table, and count them against their manifests.

    Args:
        change: The change.
        prepared: Its table.
        older: How many rows of ``OLDER`` are to be among them.
    """
    merging = prepared.merging
    pieces = [none_of(change), union(prepared.found, prepared.types), f"SELECT * FROM {OLDER}" if older else None]
    change.ports.transaction.execute(
        f"CREATE OR REPLACE TEMP VIEW {ROWS} AS {' UNION ALL BY NAME '.join(piece for piece in pieces if piece)}"
    )
    null = " OR ".join(f"{identifier(name)} IS NULL" for name in merging.key)
    counted, nulls = change.ports.transaction.execute(f"SELECT count(*), coalesce(bool_or({null}), false) FROM {ROWS}")[
        0
    ]
    agree(change, counted - older)
    return merging.with_nulls(nulls)


def none_of(change: Change) -> str:
    """Return a query with the columns of ``ROWS`` and no row."""
    kept = [column for column in reserved(change.spec.source) if column not in (LOAD, CREATED)]
    return (
        f"SELECT * EXCLUDE ({', '.join(identifier(name) for name in kept)}), NULL::BIGINT AS {POSITION}, "
        f"NULL::BIGINT AS {ORDER_LOAD} FROM {change.table} WHERE false"
    )


def gather(change: Change, prepared: Prepared, *, new: bool = False) -> int:
    """Put what the live loads say of the keys in ``TOUCHED`` into ``OLDER``; return how many rows.

    Args:
        change: The change.
        prepared: Its table.
        new: Whether the new loads are among them.
    """
    ports, rows = change.ports, standing(change, prepared, new=new)
    ports.transaction.execute(
        f"CREATE OR REPLACE TEMP TABLE {OLDER} AS SELECT o.* FROM ({rows}) o SEMI JOIN {TOUCHED} t "
        f"ON {prepared.merging.same_key('o', 't')}"
    )
    return int(ports.transaction.execute(f"SELECT count(*) FROM {OLDER}")[0][0])


def standing(change: Change, prepared: Prepared, *, new: bool = False) -> str:
    """Return a query for the rows of the live loads, with the columns of ``ROWS``.

    Args:
        change: The change.
        prepared: Its table.
        new: Whether the new loads are among them.

    Raises:
        DataError: One of them is not at hand.
    """
    ports = change.ports
    brought = {load.entry.number: load for load in change.new}
    numbers = change.ledger.live() - brought.keys()
    live = {load.entry.number: load for load in ports.live()} if numbers and ports.live is not None else {}
    missing = numbers - live.keys()
    if missing:
        raise DataError(
            f"Table {change.spec.table} must fall back to older loads, and {named(sorted(missing))} is not at hand",
            remedy="Run penstock doctor to see which loads of the lake are accepted",
        )
    chosen = [(brought | live)[number] for number in sorted(numbers | (brought.keys() if new else set()))]
    return rows_of(change, prepared, chosen)


def rows_of(change: Change, prepared: Prepared, loads: Sequence[AcceptedLoad]) -> str:
    """Return a query for the rows of loads, with the columns of ``ROWS``."""
    found = parts(loads, change.spec.prepare, change.ports, reserved=reserved(change.spec.source))
    pieces = (none_of(change), union(found, prepared.types))
    return " UNION ALL BY NAME ".join(piece for piece in pieces if piece)


def agree(change: Change, rows: int) -> None:
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


def column_of(change: Change, prepared: Prepared, source_name: str) -> str:
    """Return the warehouse name of a column that the source's declaration names."""
    return _served(source_name, prepared.found, _present(change), change)


def data_columns(change: Change) -> list[str]:
    """Return the columns of the table that are the source's own, in order."""
    return _present(change)


def _merging(change: Change, found: Sequence[Part], types: Mapping[str, str]) -> Merging | None:
    """Return how to merge, or None where no column was ever seen."""
    source = change.spec.source
    present = _present(change)
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
    cursor = None if source.cursor is None else _served(source.cursor, found, present, change)
    return Merging(
        change.ports.transaction,
        change.spec.table,
        tuple(_served(column, found, present, change) for column in source.key),
        cursor,
        "" if cursor is None else types[cursor.lower()],
        source.horizon,
        replaced=change.ports.replaced,
    )


def _present(change: Change) -> list[str]:
    own = reserved(change.spec.source)
    columns = change.ports.transaction.columns(change.spec.table) or ()
    return [column.name for column in columns if column.name not in own]


def _served(column: str, found: Sequence[Part], present: Sequence[str], change: Change) -> str:
    for part in found:
        name = part.column(column)
        if name is not None:
            return name
    for name in present:
        if name.lower() == column.lower():
            return name
    table = change.spec.source.table
    raise unknown("column", column, present, where=f"key, cursor or deletes of source {table!r}")
