"""Applying accepted loads to a warehouse table: append, replace or merge, once each and in any order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from penstock import names
from penstock.errors import ConfigurationError, DataError
from penstock.load.change import Change, Effect
from penstock.load.columns import served_names
from penstock.load.failures import sentences
from penstock.load.ledger import LoadLedger, text
from penstock.load.modes import MODES
from penstock.load.nesting import Nesting
from penstock.load.reconciling import reconcile
from penstock.load.session import clean
from penstock.load.spec import AcceptedLoad, Loading, LoadPorts, reserved
from penstock.model.codec import plain
from penstock.model.receipts import LoadReceipt
from penstock.model.specs import Nested, WriteMode
from penstock.queries.mixing import mixes
from penstock.queries.text import identifier


def apply_loads(spec: Loading, ports: LoadPorts) -> LoadReceipt:
    """Apply loads to their table within an open transaction; what was applied before is passed over.

    After it the table is what its applied, not superseded loads make of it, whatever their order: all their rows
    (append), the rows of the newest (replace), for each key the row with the greatest ``_order`` unless it means
    deletion (merge), or all the states that a key had (scd2).

    Raises:
        ConfigurationError: A merge without a key; a key or cursor that is no column; a preparation that fails.
        DataError: A column changed its type in a way that loses values; the table was made by somebody else; files
            and manifest disagree.
    """
    source = spec.source
    if source.write in (WriteMode.MERGE, WriteMode.SCD2) and not source.key:
        how = "merged" if source.write is WriteMode.MERGE else "kept as a history"
        raise ConfigurationError(
            f"Source {source.table!r} is {how} but has no key",
            remedy="Give it key=…, the columns that name a row, or another write mode",
        )
    with sentences(spec.table):
        ledger = LoadLedger(ports.transaction, spec.table)
        loads = _to_apply(spec, ports, ledger)
        replacing = source.write is WriteMode.REPLACE
        new, dead = _newest(ledger, loads) if replacing else _settle(ledger, loads, spec.superseded)
        effect, reconciled = Effect(), ""
        nesting = Nesting(spec, ports)
        if new or dead:
            layout, notes = nesting.settle(new)
            ports = replace(ports, layout=layout)
            change = Change(spec, ports, ledger, new, dead)
            effect = MODES[source.write](change)
            effect = effect.and_then(Effect(notes=notes))
            reconciled = reconcile(change)
            Nesting(spec, ports).bring(change)
            if not _leaves_nothing(spec, new):
                clean(ports.transaction)
            newest = max(_of(new), default=0) or ledger.newest()
            ports.transaction.record(spec.table, newest, {"write": source.write.value})
            ports.advance(effect.inserted, _bytes(new))
        return LoadReceipt(
            table=spec.table,
            loads=_of(new),
            inserted=effect.inserted,
            deleted=effect.deleted,
            deletions=effect.deletions,
            notes=effect.notes,
            reconciled=reconciled,
        )


def _to_apply(spec: Loading, ports: LoadPorts, ledger: LoadLedger) -> tuple[AcceptedLoad, ...]:
    """Return the loads in order; all live ones, for a table made anew, where the old one no longer serves."""
    present = ports.transaction.columns(spec.table) is not None
    shape, recorded = text(_shape(spec)), ledger.shape()
    loads = {load.entry.number: load for load in spec.loads}
    if recorded is None and present:
        raise DataError(
            f"The warehouse has a table {spec.table} that Penstock did not make",
            remedy="Rename it, or choose another name for the source",
        )
    gone = not present and bool(ledger.live())
    nesting = Nesting(spec, ports)
    unknown = _unknown(ledger, spec.loads) if present and recorded == shape else []
    outgrown = bool(unknown) and (nesting.outgrown(unknown) or _mixed(spec, ports, unknown))
    if gone or outgrown or (present and recorded != shape):
        if ports.live is None:
            raise DataError(
                f"Table {spec.table} {'is gone from the warehouse' if gone else 'was written in another way before'}, "
                "and its former loads are not at hand to make it anew",
                value=recorded,
            )
        loads = {load.entry.number: load for load in ports.live()} | loads
        nesting.drop()
        ports.transaction.execute(f"DROP TABLE IF EXISTS {identifier(spec.table)}")
    if gone or outgrown or recorded != shape:
        ledger.begin(shape)
    return tuple(loads[number] for number in sorted(loads))


def _mixed(spec: Loading, ports: LoadPorts, loads: Sequence[AcceptedLoad]) -> bool:
    """Say whether the lake keeps by now as JSON what the table has as something else: values of several kinds came."""
    if spec.prepare is not None or spec.source.nested is not Nested.COLUMNS or not loads:
        return False
    had = {column.name.lower(): column.type for column in ports.transaction.columns(spec.table) or ()}
    columns = [column for column in ports.lake_table.columns() if column.name.lower() not in names.RESERVED]
    served = served_names(columns, reserved(spec.source))
    there = ((had.get(served[column.name].lower(), column.type), column) for column in columns)
    return any(was != column.type and mixes(was, column) for was, column in there)


def _shape(spec: Loading) -> dict[str, Any]:
    """Return what makes another table of the same loads."""
    shape: dict[str, Any] = {"write": spec.source.write.value, "prepare": spec.prepare}
    if spec.source.write in (WriteMode.MERGE, WriteMode.SCD2):
        shape |= {"key": spec.source.key, "cursor": spec.source.cursor}
        if spec.source.horizon:
            shape["landed"] = True
    if spec.source.nested is not Nested.COLUMNS:
        shape["nested"] = [spec.source.nested.value, spec.source.max_depth, spec.source.max_child_tables]
    if spec.source.deletes is not None:
        shape["deletes"] = plain(spec.source.deletes)
    return shape


def _newest(ledger: LoadLedger, loads: Sequence[AcceptedLoad]) -> tuple[tuple[AcceptedLoad, ...], dict[int, datetime]]:
    """Record the loads; return the newest, if it is newer than the applied one, and the replays of its rows."""
    newest, unknown = ledger.newest(), _unknown(ledger, loads)
    if unknown:
        ledger.add([(load.entry.number, load.entry.created_at) for load in unknown])
    whole = tuple(load for load in unknown if load.entry.taken is None and load.entry.number > newest)[-1:]
    since = whole[0].entry.number if whole else 0
    return whole + tuple(load for load in unknown if load.entry.taken is not None and load.entry.number > since), {}


def _unknown(ledger: LoadLedger, loads: Sequence[AcceptedLoad]) -> list[AcceptedLoad]:
    known = ledger.known(_of(loads))
    return [load for load in loads if load.entry.number not in known]


def _settle(
    ledger: LoadLedger, loads: Sequence[AcceptedLoad], gone: frozenset[int]
) -> tuple[tuple[AcceptedLoad, ...], dict[int, datetime]]:
    """Record the loads; return those to apply, and number and moment of applied ones that are superseded now."""
    superseded = {number for load in loads for number in load.entry.supersedes} | gone
    known = ledger.known({load.entry.number for load in loads} | superseded)
    new = tuple(load for load in loads if load.entry.number not in known and load.entry.number not in superseded)
    changed = {number for number in superseded if number not in known or not known[number].superseded}
    dead = {number: at for number in changed if number in known and (at := known[number].created_at) is not None}
    if changed:
        ledger.supersede(changed)
    if new:
        ledger.add([(load.entry.number, load.entry.created_at) for load in new])
    return new, dead


def _leaves_nothing(spec: Loading, new: Sequence[AcceptedLoad]) -> bool:
    """Say whether a loading leaves nothing in the session: one load, whose rows are added as they are."""
    source = spec.source
    as_it_is = spec.prepare is None and source.nested is Nested.COLUMNS
    return source.write is WriteMode.APPEND and as_it_is and len(new) == 1


def _of(loads: Sequence[AcceptedLoad]) -> tuple[int, ...]:
    return tuple(load.entry.number for load in loads)


def _bytes(loads: Sequence[AcceptedLoad]) -> int:
    return sum(file.bytes for load in loads for file in load.entry.files)
