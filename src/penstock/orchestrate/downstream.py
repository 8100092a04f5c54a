"""Below the raw zone: accepted loads enter the warehouse, transforms are computed, checked and published.

Everything of one interval happens in one warehouse transaction. The lake is committed first, so a crash leaves the
warehouse behind, never ahead; what it missed is applied by the next run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from penstock import names
from penstock.catalog.port import LoadRecord
from penstock.errors import DataError, PenstockError, StaleWriterError
from penstock.load.ledger import held, landed
from penstock.load.loading import apply_loads
from penstock.load.spec import Loading, LoadPorts, VersionLoading
from penstock.load.versions import apply_version
from penstock.model.entries import Column, DataFile, Entry, InputVersion
from penstock.model.graph import parent
from penstock.model.interval import Interval
from penstock.model.receipts import CheckReceipt, State, StepReceipt
from penstock.model.specs import SourceSpec, TransformSpec
from penstock.orchestrate import code, indexing, windowing
from penstock.orchestrate.context import RunContext, failed
from penstock.orchestrate.due import Due, due
from penstock.orchestrate.ledger import SourceLedger, collect_source
from penstock.orchestrate.lending import streaming
from penstock.orchestrate.sketches import sketch_path
from penstock.orchestrate.standing import accepted_load
from penstock.orchestrate.touching_keys import touched_keys
from penstock.orchestrate.workspace import now
from penstock.privacy.inheritance import inherited
from penstock.queries import relations
from penstock.queries.text import identifier, literal
from penstock.stores.port import WarehouseTransaction
from penstock.transform.fingerprints import code_text
from penstock.validate.checking import Checking, CheckPorts, check
from penstock.validate.kinds.whole import PastLoad
from penstock.values import dataclass

if TYPE_CHECKING:
    from penstock.transform.computing import Computed


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


class _BrokenError(Exception):
    """A transform failed, and its transaction with it."""


def _passed(wave: Wave, broken: set[tuple[str, Interval | None]], context: RunContext) -> bool:
    """Do everything of a wave but the broken transforms in one transaction; False if one more is broken."""
    _behind(context)
    begun = len(context.steps)
    try:
        with context.workspace.warehouse.writing() as transaction:
            refresh_streams(context)
            for source in context.spec.sources:
                apply_source(source, wave.interval, transaction, context)
            for transform in context.spec.transforms:
                _catch_up(transform, transaction, context)
            for transform, interval in wave.transforms:
                found = wave.due(transform, interval, context)
                if found.why and (transform.table, interval) not in broken:
                    broken.add((transform.table, interval))
                    _make(_Making(transform, interval, found), transaction, context)
                    broken.discard((transform.table, interval))
    except _BrokenError:
        # What was loaded in this transaction is undone and will be loaded again: its receipts do not count.
        context.steps[begun:] = [step for step in context.steps[begun:] if not step.step.startswith("load ")]
        return False
    return True


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


def _catch_up(transform: TransformSpec, transaction: WarehouseTransaction, context: RunContext) -> None:
    """Apply versions that a crash kept from the warehouse."""
    newest = context.ledger.versions[transform.table].newest.values()
    present = context.applied.get(transform.table, set())
    for entry in sorted((entry for entry in newest if entry.number not in present), key=lambda entry: entry.number):
        windowing.give_way(transform, transaction)
        apply_version(VersionLoading(table=transform.table, entry=entry), _ports(transform, transaction, context))


def _ports(transform: TransformSpec, transaction: WarehouseTransaction, context: RunContext) -> LoadPorts:
    return LoadPorts(transaction=transaction, lake_table=context.workspace.lake.table(transform.table))


@dataclass(frozen=True, slots=True)
class _Making:
    """A transform on its way to a version."""

    transform: TransformSpec
    interval: Interval | None
    due: Due

    @property
    def step(self) -> str:
        return f"transform {self.transform.table}"


def _make(making: _Making, transaction: WarehouseTransaction, context: RunContext) -> None:
    from penstock.transform.computing import Transforming, TransformPorts, compute

    begun = context.started(making.step, making.transform.table)
    try:
        _keep_code(making, context)
        tables = {name: _input_table(name, context) for name in (*making.transform.inputs, *making.transform.children)}
        computed = compute(
            Transforming(
                transform=windowing.as_of(making.transform, context),
                names=tables,
                interval=making.interval,
                keyed=touched_keys(making.transform, making.due, tables, transaction, context),
            ),
            TransformPorts(transaction, context.advance(making.step)),
        )
        windowing.give_way(making.transform, transaction)
        receipt = _settle(making, _marked(computed, making, context), transaction, context)
        windowing.computed(making.transform, computed.relation, receipt.state, transaction, context)
    except StaleWriterError:
        raise
    except PenstockError as error:
        context.errors.append(error)
        receipt = failed(making.step, making.transform.table, time.monotonic() - begun, error)
        context.finished(replace(receipt, interval=making.interval))
        raise _BrokenError from error
    context.finished(replace(receipt, interval=making.interval, seconds=time.monotonic() - begun))


def _keep_code(making: _Making, context: RunContext) -> None:
    """Keep the text of the code before the version that it makes, once in a run."""
    mark = making.due.fingerprint.partition(".")[0]
    if mark not in context.kept:
        code.keep(context.workspace.lake.objects, mark, code_text(making.transform))
        context.kept.add(mark)


def _marked(computed: Computed, making: _Making, context: RunContext) -> Computed:
    """Mark each column of a result that has the name of a personal column of an input, or of a field within one.

    By name alone: under another name its profile shows tokens, though never what they stand for.
    """
    transform = making.transform
    read = [column for name in transform.inputs for column in _schema(name, context)]
    marks = inherited(read, children=bool(transform.children))
    if not marks:
        return computed
    columns = (replace(column, personal=marks.of(column.name)) for column in computed.columns)
    return replace(computed, columns=tuple(columns))


def _schema(name: str, context: RunContext) -> Sequence[Column]:
    if _is_source(name, context):
        live = context.ledger.sources[name].live()
        return live[-1].entry.schema if live else ()
    versions = context.ledger.versions.get(name)
    return versions.head.schema if versions is not None and versions.head is not None else ()


def _settle(making: _Making, computed: Computed, transaction: WarehouseTransaction, context: RunContext) -> StepReceipt:
    """Check a result, then publish it; a result equal to what stands makes no version."""
    versions = context.ledger.versions[making.transform.table]
    standing = versions.newest.get(making.interval)
    receipt = StepReceipt(step=making.step, table=making.transform.table, state=State.UNCHANGED, rows=computed.rows)
    if computed.keys is not None:
        receipt = replace(
            receipt, notes=(f"{computed.keys} {'key was' if computed.keys == 1 else 'keys were'} computed anew",)
        )
    if standing is not None and standing.content == computed.content:
        inputs = _inputs(making, context)
        versions.equal(making.interval, standing.number, making.due.fingerprint, inputs)
        return replace(receipt, number=standing.number, fingerprint=making.due.fingerprint, inputs=inputs)
    found = _check(making, computed, transaction, context)
    if found.report.rejects:
        reasons = tuple(failure.message for failure in found.report.failures if failure.severity == "error")
        return replace(receipt, state=State.REJECTED, report=found.report, notes=reasons)
    entry = _publish(making, computed, found, transaction, context)
    versions.add(entry)
    return replace(
        receipt,
        state=State.DONE,
        bytes=sum(file.bytes for file in entry.files),
        quarantined=found.report.quarantined,
        number=entry.number,
        fingerprint=entry.fingerprint,
        report=found.report,
    )


def _check(making: _Making, computed: Computed, transaction: WarehouseTransaction, context: RunContext) -> CheckReceipt:
    workspace, table = context.workspace, making.transform.table
    located = (
        f"(SELECT *, {literal(table)} AS {relations.FILE}, row_number() OVER () - 1 AS {relations.ROW} "
        f"FROM {identifier(computed.relation)})"
    )
    made = [source.table for source in context.spec.sources] + [item.table for item in context.spec.transforms]
    present = set(transaction.tables())
    number = workspace.lake.table(table).next_number()
    referable = {name: _input_table(name, context) for name in made if _input_table(name, context) in present}
    return check(
        Checking(
            table=table,
            checks=context.spec.checks.get(table, ()),
            relation=located,
            columns=computed.columns,
            tables={name: identifier(served) for name, served in referable.items()},
            now=now(),
            quarantine_path=f"_quarantine/{table}/{number}.parquet",
            files=(DataFile(path=table, rows=computed.rows, bytes=0),),
            history=_history(making, context),
            interval=making.interval,
            sketch_path=sketch_path(table, number, context),
        ),
        CheckPorts(
            connection=transaction.connection, objects=workspace.lake.objects, advance=context.advance(making.step)
        ),
    )


def _history(making: _Making, context: RunContext) -> tuple[PastLoad, ...]:
    """Return the newest versions of the other intervals, or the one before, newest first."""
    newest = context.ledger.versions[making.transform.table].newest
    others = [entry for interval, entry in newest.items() if interval is None or interval != making.interval]
    ordered = sorted(others, key=lambda entry: (entry.interval is not None, entry.interval), reverse=True)
    return tuple(
        PastLoad(entry.created_at, sum(file.rows for file in entry.files), entry.interval) for entry in ordered
    )


def _publish(
    making: _Making, computed: Computed, found: CheckReceipt, transaction: WarehouseTransaction, context: RunContext
) -> Entry:
    from penstock.transform.publishing import Publishing, PublishPorts, publish

    workspace, transform = context.workspace, making.transform
    entry = publish(
        Publishing(
            transform=transform,
            computed=computed,
            created_at=now(),
            interval=making.interval,
            inputs=_inputs(making, context),
            fingerprint=making.due.fingerprint,
            checked=found,
            run=context.run,
            fence=context.fence,
        ),
        PublishPorts(transaction, workspace.lake.table(transform.table), workspace.lake.objects),
    )
    workspace.catalog.index((entry,))
    spared = computed.relation if found.quarantine is None else None
    apply_version(
        VersionLoading(table=transform.table, entry=entry, relation=spared), _ports(transform, transaction, context)
    )
    return entry


def _inputs(making: _Making, context: RunContext) -> tuple[InputVersion, ...]:
    return tuple(
        InputVersion(table=context.ledger.lake_table(name), number=number)
        for name, numbers in making.due.inputs.items()
        for number in numbers
    )


def _is_source(name: str, context: RunContext) -> bool:
    return name in context.ledger.sources


def _input_table(name: str, context: RunContext) -> str:
    """Return the warehouse table of an input."""
    if _is_source(name, context):
        return context.workspace.warehouse_table(name)
    source = None if name in context.ledger.versions else parent(name, context.spec.sources)
    if source is None:
        return name
    return context.workspace.warehouse_table(source.table) + name[len(source.table) :]
