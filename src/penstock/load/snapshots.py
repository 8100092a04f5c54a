"""Whole snapshots: a load that is the whole source deletes the keys that it lacks.

The table is what taking the live loads one after the other makes of it, in the order of their landing: a load writes
its rows; a snapshot then removes all rows whose keys it lacks. A row that was set aside says that its key is still
there, so the key keeps the row that it had. A load that follows all others is taken alone. If an older one arrives, or
one is superseded, the table is made again from all live loads: what later snapshots removed is no longer in it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from penstock.errors import ConfigurationError, DataError
from penstock.load.change import Change, Effect, Prepared, prepare
from penstock.load.merge import ROW_ALIAS
from penstock.load.reconciling import reconcile
from penstock.load.rows import left_out, named, union
from penstock.load.session import count
from penstock.load.spec import AcceptedLoad, reserved
from penstock.model.entries import Entry
from penstock.names import LOAD
from penstock.queries.text import identifiers

ASIDE = "penstock_load_aside"
"""The keys of rows that a snapshot set aside."""


def is_snapshot(load: Entry) -> bool:
    """Say whether a load is the whole source; one from before deletes were declared is not known to be."""
    return load.work is not None and load.work.snapshot


def merge_snapshots(change: Change, merge: Callable[[Change], Effect]) -> Effect:
    """Merge loads one after the other, each snapshot removing what it lacks.

    Args:
        change: The change.
        merge: Merges the rows of one load.
    """

    def take(one: Change) -> Effect:
        effect, (load,) = merge(one), one.new
        reconcile(one)
        prepared = prepare(one, one.new) if is_snapshot(load.entry) else None
        if prepared is None:
            return effect
        aside = put_aside(one, prepared, load)
        gone = one.ports.transaction.execute(
            f"DELETE FROM {one.table} AS {ROW_ALIAS} WHERE {LOAD} <> ? AND NOT EXISTS "
            f"(SELECT 1 FROM {ASIDE} a WHERE {prepared.merging.same_key(ROW_ALIAS, 'a')})",
            [load.entry.number],
        )[0][0]
        return effect.and_then(Effect(0, gone, gone, kept(load, aside, one.spec.table)))

    return one_by_one(change, take)


def one_by_one(change: Change, take: Callable[[Change], Effect]) -> Effect:
    """Take the loads in the order of landing; all live ones from nothing, where the new ones are not the newest.

    A table that is made again counts no deletions: they were counted when they came.
    """
    if change.spec.prepare is not None:
        raise ConfigurationError(
            f"Source {change.spec.source.table!r} compares snapshots, which cannot be prepared before they are loaded",
            remedy="Drop the prepare step, or say deletions by a column",
        )
    before = count(change.ports.transaction, change.spec.table)
    loads, effect = change.new, Effect()
    if not change.in_order:
        loads = all_live(change)
        if change.ports.transaction.columns(change.spec.table) is not None:
            change.ports.transaction.execute(f"DELETE FROM {change.table}")
    for load in loads:
        effect = effect.and_then(take(replace(change, new=(load,), dead={}, last=True)))
    if change.in_order:
        return effect
    after = count(change.ports.transaction, change.spec.table)
    return replace(effect, inserted=after, deleted=before, deletions=0)


def all_live(change: Change) -> tuple[AcceptedLoad, ...]:
    """Return all live loads in the order of extraction; refuses if one is not at hand."""
    brought = {load.entry.number: load for load in change.new}
    numbers = change.ledger.live()
    others = {load.entry.number: load for load in change.ports.live()} if change.ports.live is not None else {}
    missing = numbers - (others | brought).keys()
    if missing:
        raise DataError(
            f"Table {change.spec.table} must be made again from all its loads, "
            f"and {named(sorted(missing))} is not at hand",
            remedy="Run penstock doctor to see which loads of the lake are accepted",
        )
    found = ((others | brought)[number] for number in numbers)
    return tuple(sorted(found, key=lambda load: load.turn))


def put_aside(change: Change, prepared: Prepared, load: AcceptedLoad) -> int:
    """Put the keys of the rows that a load set aside into ``ASIDE``; return how many."""
    part = left_out(load, change.ports, reserved(change.spec.source))
    rows = union([part], prepared.types) if part is not None else None
    keys = identifiers(prepared.merging.key)
    source = f"({rows})" if rows is not None else change.table
    change.ports.transaction.execute(
        f"CREATE OR REPLACE TEMP TABLE {ASIDE} AS SELECT DISTINCT {keys} FROM {source} WHERE {rows is not None}"
    )
    return int(change.ports.transaction.execute(f"SELECT count(*) FROM {ASIDE}")[0][0])


def kept(load: AcceptedLoad, aside: int, table: str) -> tuple[str, ...]:
    """Return the sentence about keys that were set aside, and so are not taken for deleted."""
    if not aside:
        return ()
    what = "1 key has a row" if aside == 1 else f"{aside} keys have rows"
    return (f"{what} set aside in snapshot {load.entry.number} of {table}; what the table had of them stays",)
