"""The write modes: how the rows of loads change a table."""

from __future__ import annotations

from penstock.load import captured, snapshots
from penstock.load.change import ADDED, Change, Effect, agree, define_rows, gather, prepare
from penstock.load.columns import fit
from penstock.load.history import keep_history
from penstock.load.merge import Merging, merge, take_out
from penstock.load.missing import Missing, missing
from penstock.load.rows import ORDER_LOAD, POSITION, parts, told, union, wanted
from penstock.load.session import count
from penstock.load.tombstones import Tombstones
from penstock.model.specs import WriteMode
from penstock.names import CREATED, LOAD, UPDATED


def append(change: Change) -> Effect:
    """Insert the new rows, delete those of superseded loads."""
    found = parts(change.new, change.spec.prepare, change.ports, located=False)
    execute = change.ports.transaction.execute
    lake = told(found, change.spec.prepare, change.ports)
    columns = [*wanted(found, change.ports), *ADDED]
    types = fit(change.ports.transaction, change.spec.table, columns, change.where, lake)
    deleted = 0
    if change.dead:
        dead = "SELECT unnest(?::BIGINT[])"
        deleted = execute(f"DELETE FROM {change.table} WHERE {LOAD} IN ({dead})", [sorted(change.dead)])[0][0]
    rows = union(found, types)
    if rows is None:
        return Effect(0, deleted)
    inserted = execute(
        f"INSERT INTO {change.table} BY NAME "
        f"SELECT * EXCLUDE ({POSITION}, {ORDER_LOAD}), {CREATED} AS {UPDATED} FROM ({rows})"
    )[0][0]
    agree(change, inserted)
    return Effect(inserted, deleted)


def replace_all(change: Change) -> Effect:
    """Make the table anew from the rows of the newest load; rows that are replayed of it are added."""
    if all(load.entry.taken is not None for load in change.new):
        return append(change)
    deleted = count(change.ports.transaction, change.spec.table)
    change.ports.transaction.execute(f"DROP TABLE IF EXISTS {change.table}")
    return Effect(append(change).inserted, deleted)


def merge_by_key(change: Change) -> Effect:
    """Merge the new rows; keys of superseded loads fall back to what other loads say."""
    if change.spec.source.by_snapshot:
        return snapshots.merge_snapshots(change, _merge)
    return _merge(change)


def _merge(change: Change) -> Effect:
    prepared = prepare(change, change.new)
    if prepared is None:
        return Effect()
    graves = Tombstones.of(change, prepared)
    before = graves.visit() if graves else 0
    deleted, older = 0, 0
    if change.dead:
        dead = sorted(change.dead.items())
        if graves:
            graves.raise_dead(dead)
        deleted = take_out(prepared.merging, dead)
        older = gather(change, prepared)
    else:
        older = captured.look_again(change, prepared)
    merging = define_rows(change, prepared, older=older)
    captured.settle(change, prepared, merging)
    if graves:
        graves.raise_met(merging)
    left = _missing(change, merging)
    if left is not None:
        left.remember()
    inserted, replaced = merge(merging)
    if left is not None:
        left.fill(prepared.types)
    if graves:
        return graves.bury(merging, (inserted, replaced), before)
    return Effect(inserted, deleted + replaced)


def _missing(change: Change, merging: Merging) -> Missing | None:
    """Return the columns that some live loads lack; a preparation gives all of its own in every load."""
    if change.spec.prepare is not None:
        return None
    new = {load.entry.number: load for load in change.new}
    known = {load.entry.number: load for load in change.ports.live()} if change.ports.live is not None else {}
    live = [load for number, load in sorted((known | new).items()) if number in change.ledger.live() | new.keys()]
    return missing(change, merging, live)


MODES = {
    WriteMode.APPEND: append,
    WriteMode.REPLACE: replace_all,
    WriteMode.MERGE: merge_by_key,
    WriteMode.SCD2: keep_history,
}
