"""Applying to the warehouse what the lake holds: accepted loads of sources, and versions that a crash kept from it."""

from __future__ import annotations

import time
from collections.abc import Sequence

from penstock.catalog.port import LoadRecord
from penstock.load.loading import apply_loads
from penstock.load.spec import Loading, LoadPorts, VersionLoading
from penstock.load.versions import apply_version
from penstock.model.interval import Interval
from penstock.model.receipts import State, StepReceipt
from penstock.model.specs import SourceSpec, TransformSpec
from penstock.orchestrate import windowing
from penstock.orchestrate.context import RunContext
from penstock.orchestrate.lending import streaming
from penstock.orchestrate.standing import accepted_load
from penstock.stores.port import WarehouseTransaction


def apply_source(
    source: SourceSpec,
    interval: Interval | None,
    transaction: WarehouseTransaction,
    context: RunContext,
    *,
    fresh: Sequence[LoadRecord] | None = None,
    replaced: str = "",
) -> None:
    """Load what is accepted of a source and not in the warehouse yet.

    Args:
        source: The source.
        interval: The interval at work.
        transaction: The open transaction of the warehouse.
        context: The run.
        fresh: What is known to be all that the warehouse lacks; None: that is worked out.
        replaced: Where rows go that newer ones replace; see ``LoadPorts``.
    """
    lake = context.workspace.lake
    known = context.ledger.sources[source.table]
    gone: frozenset[int] = frozenset()
    if fresh is None:
        numbers = known.live_numbers
        present = context.applied.get(known.table, set())
        if numbers == present:
            return
        fresh, gone = known.chosen(numbers - present), frozenset(present - numbers)
    step = f"load {known.table}"
    begun = context.started(step, known.table)
    spec = Loading(
        source=source,
        table=context.workspace.warehouse_table(source.table),
        loads=tuple(accepted_load(record, lake) for record in fresh),
        superseded=gone,
        settled=not (known.pending or known.rejected),
    )
    ports = LoadPorts(
        transaction=transaction,
        lake_table=lake.table(known.table),
        live=lambda: [accepted_load(record, lake) for record in known.live()],
        advance=context.advance(step),
        replaced=replaced,
    )
    with streaming(spec, context.workspace):
        receipt = apply_loads(spec, ports)
    if receipt.loads:
        context.finished(
            StepReceipt(
                step=step,
                table=known.table,
                state=State.DONE,
                interval=interval if source.interval else None,
                rows=receipt.inserted,
                deleted=receipt.deletions,
                notes=receipt.notes,
                seconds=time.monotonic() - begun,
                number=max(receipt.loads),
                reconciled=receipt.reconciled,
            )
        )


def catch_up(transform: TransformSpec, transaction: WarehouseTransaction, context: RunContext) -> None:
    """Apply versions that a crash kept from the warehouse."""
    newest = context.ledger.versions[transform.table].newest.values()
    present = context.applied.get(transform.table, set())
    for entry in sorted((entry for entry in newest if entry.number not in present), key=lambda entry: entry.number):
        windowing.give_way(transform, transaction)
        apply_version(
            VersionLoading(table=transform.table, entry=entry), version_ports(transform, transaction, context)
        )


def version_ports(transform: TransformSpec, transaction: WarehouseTransaction, context: RunContext) -> LoadPorts:
    """Return what versions of a transform are applied through."""
    return LoadPorts(transaction=transaction, lake_table=context.workspace.lake.table(transform.table))
