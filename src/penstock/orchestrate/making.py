"""Making a version of a transform: its result is computed, checked, published in the lake and applied."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from penstock.errors import PenstockError, StaleWriterError
from penstock.load.spec import VersionLoading
from penstock.load.versions import apply_version
from penstock.model.entries import Column, DataFile, Entry, InputVersion
from penstock.model.graph import parent
from penstock.model.interval import Interval
from penstock.model.receipts import CheckReceipt, State, StepReceipt
from penstock.model.specs import TransformSpec
from penstock.orchestrate import code, windowing
from penstock.orchestrate.applying import version_ports
from penstock.orchestrate.context import RunContext, failed
from penstock.orchestrate.due import Due
from penstock.orchestrate.sketches import sketch_path
from penstock.orchestrate.touching_keys import touched_keys
from penstock.orchestrate.workspace import now
from penstock.privacy.inheritance import inherited
from penstock.queries import relations
from penstock.queries.text import identifier, literal
from penstock.stores.port import Objects, WarehouseTransaction
from penstock.stores.sealing import Sealing
from penstock.transform.fingerprints import code_text
from penstock.validate.checking import Checking, CheckPorts, check
from penstock.validate.kinds.whole import PastLoad
from penstock.values import dataclass

if TYPE_CHECKING:
    from penstock.transform.computing import Computed


_PLACE = {relations.FILE: "VARCHAR", relations.ROW: "BIGINT"}


class BrokenError(Exception):
    """A transform failed, and its transaction with it."""


@dataclass(frozen=True, slots=True)
class Making:
    """A transform on its way to a version.

    Attributes:
        transform: The transform.
        interval: The interval to compute; None: the whole table.
        due: Why, and from what.
        sealing: Makes durable what the version rests on, while it is made.
    """

    transform: TransformSpec
    interval: Interval | None
    due: Due
    sealing: Sealing

    @property
    def step(self) -> str:
        """What the run calls it."""
        return f"transform {self.transform.table}"


def make(making: Making, transaction: WarehouseTransaction, context: RunContext) -> None:
    """Make a version; raises BrokenError where that fails, of which the run has been told."""
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
        making.sealing.wait()
        windowing.computed(making.transform, computed.relation, receipt.state, transaction, context)
    except StaleWriterError:
        raise
    except PenstockError as error:
        context.errors.append(error)
        receipt = failed(making.step, making.transform.table, time.monotonic() - begun, error)
        context.finished(replace(receipt, interval=making.interval))
        raise BrokenError from error
    context.finished(replace(receipt, interval=making.interval, seconds=time.monotonic() - begun))


def _keep_code(making: Making, context: RunContext) -> None:
    """Keep the text of the code before the version that it makes, once in a run."""
    mark = making.due.fingerprint.partition(".")[0]
    if mark not in context.kept:
        objects, text = context.workspace.lake.objects, code_text(making.transform)
        making.sealing.begin(lambda: _keep(mark, text, objects, context.kept))


def _keep(mark: str, text: str, objects: Objects, kept: set[str]) -> None:
    code.keep(objects, mark, text)
    kept.add(mark)


def _marked(computed: Computed, making: Making, context: RunContext) -> Computed:
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


def _settle(making: Making, computed: Computed, transaction: WarehouseTransaction, context: RunContext) -> StepReceipt:
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


def _check(making: Making, computed: Computed, transaction: WarehouseTransaction, context: RunContext) -> CheckReceipt:
    workspace, table = context.workspace, making.transform.table
    located = (
        f"(SELECT *, {literal(table)} AS {relations.FILE}, row_number() OVER () - 1 AS {relations.ROW} "
        f"FROM {identifier(computed.relation)})"
    )
    number = workspace.lake.table(table).next_number()
    checks = context.spec.checks.get(table, ())
    return check(
        Checking(
            table=table,
            checks=checks,
            relation=located,
            columns=computed.columns,
            tables=_referable(transaction, context) if checks else {},
            now=now(),
            quarantine_path=f"_quarantine/{table}/{number}.parquet",
            files=(DataFile(path=table, rows=computed.rows, bytes=0),),
            history=_history(making, context),
            interval=making.interval,
            stored={**{column.name: column.type for column in computed.columns}, **_PLACE},
            sketch_path=sketch_path(table, number, context),
        ),
        CheckPorts(
            connection=transaction.connection, objects=workspace.lake.objects, advance=context.advance(making.step)
        ),
    )


def _referable(transaction: WarehouseTransaction, context: RunContext) -> dict[str, str]:
    """Return the tables of the pipeline that checks may name, as far as the warehouse has them."""
    made = [source.table for source in context.spec.sources] + [item.table for item in context.spec.transforms]
    served = {name: _input_table(name, context) for name in made}
    present = set(transaction.tables())
    return {name: identifier(table) for name, table in served.items() if table in present}


def _history(making: Making, context: RunContext) -> tuple[PastLoad, ...]:
    """Return the newest versions of the other intervals, or the one before, newest first."""
    newest = context.ledger.versions[making.transform.table].newest
    others = [entry for interval, entry in newest.items() if interval is None or interval != making.interval]
    ordered = sorted(others, key=lambda entry: (entry.interval is not None, entry.interval), reverse=True)
    return tuple(
        PastLoad(entry.created_at, sum(file.rows for file in entry.files), entry.interval) for entry in ordered
    )


def _publish(
    making: Making, computed: Computed, found: CheckReceipt, transaction: WarehouseTransaction, context: RunContext
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
        PublishPorts(
            transaction, workspace.lake.table(transform.table), workspace.lake.objects, sealing=making.sealing
        ),
    )
    context.unindexed.append(entry)
    spared = computed.relation if found.quarantine is None else None
    apply_version(
        VersionLoading(table=transform.table, entry=entry, relation=spared),
        version_ports(transform, transaction, context),
    )
    return entry


def _inputs(making: Making, context: RunContext) -> tuple[InputVersion, ...]:
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
