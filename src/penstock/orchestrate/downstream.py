"""Below the raw zone: accepted loads enter the warehouse, transforms are computed, checked and published.

Everything of one interval happens in one warehouse transaction. The lake is committed first, so a crash leaves the
warehouse behind, never ahead; what it missed is applied by the next run. A run that finds nothing to do imports nothing
of what would do it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from penstock import names
from penstock.errors import DataError
from penstock.load.ledger import held, landed
from penstock.model.interval import Interval
from penstock.model.receipts import State, StepReceipt
from penstock.model.specs import TransformSpec
from penstock.orchestrate import indexing
from penstock.orchestrate.context import RunContext
from penstock.orchestrate.due import Due, due
from penstock.orchestrate.ledger import SourceLedger, collect_source
from penstock.schema import trusts
from penstock.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """What goes down together.

    Attributes:
        interval: The interval that came in; None: sources without intervals.
        transforms: Transform and interval, each after those it reads.
        codes: Transform to the fingerprint of its code.
        wants: Says of a transform that is due for the interval whether it is to be computed; None: it is.
    """

    interval: Interval | None
    transforms: Sequence[tuple[TransformSpec, Interval | None]]
    codes: Mapping[str, str]
    wants: Callable[[TransformSpec, Interval, Due], bool] | None = None

    def due(self, transform: TransformSpec, interval: Interval | None, context: RunContext) -> Due:
        """Say whether a transform must be computed now."""
        found = due(transform, interval, context.ledger, self.codes[transform.table])
        if self.wants is not None and interval is not None and not self.wants(transform, interval, found):
            return Due(fingerprint=found.fingerprint, inputs=found.inputs)
        return found


def flow(wave: Wave, context: RunContext) -> None:
    """Apply what is accepted and compute what is due, in one warehouse transaction."""
    if not _behind(context) and not any(wave.due(*item, context).why for item in wave.transforms):
        _skip_blocked(wave, context)
        return
    broken: set[tuple[str, Interval | None]] = set()
    while not _passed(wave, broken, context):
        # A statement that failed has spoilt the transaction: begin a new one without the transform that failed.
        context.applied = {}
    _skip_blocked(wave, context)
    context.applied = _committed(context)


def _passed(wave: Wave, broken: set[tuple[str, Interval | None]], context: RunContext) -> bool:
    """Do everything of a wave but the broken transforms in one transaction; False if one more is broken."""
    from penstock.orchestrate.applying import apply_source, catch_up
    from penstock.orchestrate.making import BrokenError, Making, make
    from penstock.stores.sealing import sealing

    _behind(context)
    begun = len(context.steps)
    try:
        with context.workspace.warehouse.writing(plain=not _json(context)) as transaction, sealing() as sealed:
            refresh_streams(context)
            for source in context.spec.sources:
                apply_source(source, wave.interval, transaction, context)
            for transform in context.spec.transforms:
                catch_up(transform, transaction, context)
            for transform, interval in wave.transforms:
                found = wave.due(transform, interval, context)
                if found.why and (transform.table, interval) not in broken:
                    broken.add((transform.table, interval))
                    make(Making(transform, interval, found, sealed), transaction, context)
                    broken.discard((transform.table, interval))
    except BrokenError:
        # What was loaded in this transaction is undone and will be loaded again: its receipts do not count.
        context.steps[begun:] = [step for step in context.steps[begun:] if not step.step.startswith("load ")]
        return False
    finally:
        context.index()
    return True


def _json(context: RunContext) -> bool:
    """Say whether a table of the lake has JSON, as far as is known; of streams more may come any moment."""
    if any(source.stream is not None for source in context.spec.sources):
        return True
    live = [known.live() for known in context.ledger.sources.values()]
    newest = [records[-1].entry for records in live if records]
    newest += [versions.head for versions in context.ledger.versions.values() if versions.head is not None]
    return trusts(column.type for entry in newest for column in entry.schema)


def _committed(context: RunContext) -> dict[str, set[int]]:
    """Return what the lake holds for the warehouse: live loads, and the newest version of each interval."""
    found = {known.table: known.live_numbers for known in context.ledger.sources.values()}
    for name, versions in context.ledger.versions.items():
        found[name] = {entry.number for entry in versions.newest.values()}
    return {name: numbers for name, numbers in found.items() if numbers}


def refresh_streams(context: RunContext) -> None:
    """Take in what streams have landed meanwhile. Called while the warehouse is held, so that none is being loaded."""
    workspace = context.workspace
    for source in context.spec.sources:
        if source.stream is not None:
            table = names.raw(source.table)
            indexing.follow(workspace, (table,))
            context.ledger.sources[source.table] = collect_source(source, workspace.catalog)


def _behind(context: RunContext) -> bool:
    """Say whether the lake has something that the warehouse may not have."""
    committed = _committed(context)
    if committed and not context.applied:
        context.applied = _applied(context)
    return committed != context.applied


def _applied(context: RunContext) -> dict[str, set[int]]:
    """Ask the warehouse, once in a run, how far it is."""
    with context.workspace.warehouse.reading() as transaction:
        refresh_streams(context)
        committed = {name: (_served(name, context), numbers) for name, numbers in _committed(context).items()}
        sources = {_served(known.table, context): known for known in context.ledger.sources.values()}
        for table, there in landed(transaction, list(sources)).items():
            _refuse_another(sources[table], there)
        present = held(transaction, [table for table, _ in committed.values()])
    return {name: numbers & present[table] for name, (table, numbers) in committed.items() if numbers & present[table]}


def _refuse_another(known: SourceLedger, there: Mapping[int, datetime]) -> None:
    """Refuse a warehouse that was filled from another lake, in which equal numbers are other loads."""
    ours = {record.entry.number: record.entry.created_at for record in known.records}
    newest = max(ours, default=0)
    strange = [n for n, at in there.items() if n > newest or (n in ours and ours[n] != at)]
    if strange and ours:
        number = min(strange)
        raise DataError(
            f"The warehouse was filled from another lake: its load {number} of {known.table} came at "
            f"{there[number].astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC, "
            + (f"that of the lake at {ours[number]:%Y-%m-%d %H:%M:%S}" if number in ours else "the lake has none"),
            remedy="Put that lake back, or make the warehouse from this one: penstock rebuild",
        )


def _served(lake_table: str, context: RunContext) -> str:
    for source in context.spec.sources:
        if names.raw(source.table) == lake_table:
            return context.workspace.warehouse_table(source.table)
    return lake_table


def _skip_blocked(wave: Wave, context: RunContext) -> None:
    for transform, interval in wave.transforms:
        found = wave.due(transform, interval, context)
        if found.blocked:
            context.finished(
                StepReceipt(
                    step=f"transform {transform.table}",
                    table=transform.table,
                    state=State.SKIPPED,
                    interval=interval,
                    notes=(found.blocked,),
                )
            )
