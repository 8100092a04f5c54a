"""Bringing one source in: extract, land, check, verdict. Runs in a thread of its own and changes no ledger."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import field, replace
from importlib import import_module
from threading import Thread
from typing import TYPE_CHECKING, Any

from penstock import names, plugins
from penstock.errors import PenstockError, StaleWriterError
from penstock.extract.port import Extraction, Request
from penstock.model import positions
from penstock.model.budget import ReadingShare
from penstock.model.capture import OP, ROWLESS, captured
from penstock.model.entries import Entry, EntryKind, Verdict, Work, column_called
from penstock.model.event_time import OnLate, progress
from penstock.model.interval import Interval
from penstock.model.receipts import CheckReceipt, LandReceipt, State, StepReceipt
from penstock.model.specs import CheckSpec, Severity, SourceSpec
from penstock.orchestrate.context import RunContext, failed
from penstock.orchestrate.retrying import retrying
from penstock.orchestrate.workspace import now
from penstock.privacy.shield import Shield
from penstock.privacy.silence import silently
from penstock.queries import relations
from penstock.queries.moments import at, moment
from penstock.queries.text import literal
from penstock.schema import TRUSTED_JSON, trusts
from penstock.stores.contending import committed
from penstock.stores.freeing import take_from_the_system
from penstock.stores.parquet import heavy
from penstock.values import dataclass

if TYPE_CHECKING:
    from penstock.validate.kinds.whole import PastLoad

_BELOW = "penstock.orchestrate.making"
_MICRO_BATCHES = 1000
WHOLE = (
    "row_count",
    "volume",
    "fresh",
    "arrives",
    "statistic",
    "correlation",
    "aggregate",
    "reconciles",
    "quarantined",
)
"""The kinds of checks that judge an extraction, not its rows."""
HISTORICAL = ("volume", "arrives")
"""The kinds of checks that compare an extraction with those before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bringing:
    """One extraction to be done.

    Attributes:
        source: The source.
        interval: The interval to read, for sources that are read by interval.
        position: Where the newest accepted load stopped.
        supersedes: Loads whose rows the new one replaces.
        boundary: Accepted loads whose last rows may be read again.
        current: The newest accepted load, to tell whether anything changed.
        tables: Tables that checks refer to, as FROM-clause relations.
        opening: What is read, where that is at hand already: a micro-batch of a stream. None: the source is opened.
        after: Of a stream: the newest load that was known when reading began.
        scored: Of a micro-batch: who scored its rows; see ``Work``.
    """

    source: SourceSpec
    interval: Interval | None = None
    position: Mapping[str, Any] | None = None
    supersedes: tuple[int, ...] = ()
    boundary: tuple[Entry, ...] = ()
    current: Entry | None = None
    tables: Mapping[str, str]
    opening: Callable[[], Extraction] | None = None
    after: int | None = None
    scored: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Brought:
    """What came of it: the load and its verdict, where something new landed; the error, where it failed."""

    load: Entry | None = None
    verdict: Entry | None = None
    error: PenstockError | None = None


def bring(task: Bringing, context: RunContext) -> Brought:
    """Extract, land and check one source; transient errors are retried, other errors end in the answer."""
    step = f"extract {task.source.table}"
    begun = context.started(step, names.raw(task.source.table))
    try:
        receipt = retrying(lambda: _quietly(task, context, step), step, context.workspace.observer)
        if receipt is None or receipt.entry is None:
            context.finished(
                StepReceipt(
                    step=step,
                    table=names.raw(task.source.table),
                    state=State.UNCHANGED,
                    interval=task.interval,
                    seconds=time.monotonic() - begun,
                    notes=receipt.notes if receipt else (),
                )
            )
            return Brought()
        verdict = check_load(receipt.entry, task.source, task.tables, context)
    except PenstockError as error:
        # A stream that was overtaken reads afresh: nothing of it has failed.
        if task.source.stream is None or not isinstance(error, StaleWriterError):
            refused = failed(step, names.raw(task.source.table), time.monotonic() - begun, error)
            context.finished(replace(refused, interval=task.interval))
        return Brought(error=error)
    done = judged(step, receipt.entry, verdict, time.monotonic() - begun)
    context.finished(replace(done, rows=receipt.rows, notes=(*receipt.notes, *done.notes)))
    return Brought(receipt.entry, verdict)


def _quietly(task: Bringing, context: RunContext, step: str) -> LandReceipt | None:
    """Land; where rows hold personal values, an error keeps none of what the source said in it."""
    if not task.source.personal:
        return _land(task, context, step)
    return silently(lambda: _land(task, context, step), f"Reading {task.source.table}")


def _land(task: Bringing, context: RunContext, step: str) -> LandReceipt | None:
    workspace = context.workspace
    share = workspace.budget.reading(context.readers or min(workspace.workers, len(context.spec.sources)))
    with workspace.engine.lent(share.held):
        return _read(task, context, step, share)


def _read(task: Bringing, context: RunContext, step: str, share: ReadingShare) -> LandReceipt | None:
    workspace = context.workspace
    shield = Shield(task.source.table, task.source.personal, workspace.keys)
    extraction = task.opening() if task.opening is not None else _opened(task, context, share)
    if extraction is None:
        return None
    from penstock.land.landing import Landing, LandPorts, land

    if task.opening is None and _BELOW not in sys.modules:
        # While it is read, what comes below it is imported.
        Thread(target=import_module, args=(_BELOW,)).start()
    work = Work(interval=task.interval, since=positions.brief(task.position), scored=task.scored)
    spec = Landing(
        source=task.source,
        work=work,
        run=context.run,
        fence=context.fence,
        created_at=now(),
        supersedes=task.supersedes,
        boundary=task.boundary,
        current=task.current,
        after=task.after,
    )
    ports = LandPorts(
        workspace.lake,
        workspace.engine,
        extraction,
        context.advance(step),
        shield,
        share.chunk,
        context.turn(names.raw(task.source.table)),
    )
    receipt = land(spec, ports)
    if task.interval is not None:
        context.counted.add(task.source.table)
    if receipt.entry is not None:
        workspace.catalog.index((*_retyped(receipt.entry, context), receipt.entry))
    return receipt


def _opened(task: Bringing, context: RunContext, share: ReadingShare) -> Extraction | None:
    workspace = context.workspace
    connection = workspace.connections.get(task.source.connection) if task.source.connection else None
    kind = connection.kind if task.source.kind == "sql" and connection else task.source.kind
    source = plugins.find("source", kind)()
    # What a source tries while it opens would stay in Arrow's own pool.
    take_from_the_system()
    opened: Extraction | None = source.open(
        Request(
            source=task.source,
            connection=connection,
            interval=task.interval,
            position=task.position,
            root=workspace.root,
            batch_bytes=share.batch,
            engine=workspace.engine,
            without_interval=task.source.table not in context.counted,
        )
    )
    return opened


def _retyped(load: Entry, context: RunContext) -> tuple[Entry, ...]:
    """Return the change of the table's types that a load asked for, which is the entry before it."""
    if load.change is None or not load.change.retyped or load.previous is None:
        return ()
    before = context.workspace.lake.table(load.table).entry(load.previous)
    return (before,) if before.kind is EntryKind.COMPACTION else ()


def check_load(load: Entry, source: SourceSpec, tables: Mapping[str, str], context: RunContext) -> Entry:
    """Check a load that landed and commit its verdict; also called for loads that a crash left unchecked."""
    from penstock.load.columns import present
    from penstock.orchestrate import touching
    from penstock.orchestrate.sketches import sketch_path
    from penstock.validate.checking import Checking, CheckPorts, check

    workspace = context.workspace
    table = workspace.lake.table(load.table)
    relation = (
        relations.accepted([table.reading(load.files)], located=True)
        if load.files
        else relations.empty([(column.name, column.stored or column.type) for column in load.schema], located=True)
    )
    if captured(source) and load.files:
        # What tells of a deletion is no row that could fail a check.
        relation = f"(SELECT * FROM {relation} WHERE {OP} NOT IN ({', '.join(literal(op.value) for op in ROWLESS)}))"
    columns = present(load.schema, table.columns())
    plain = not trusts(column.type for column in columns) and TRUSTED_JSON not in "".join(tables.values())
    long = heavy(zip(table.places(load.files), (file.bytes for file in load.files), strict=True))
    with workspace.engine.alone(long), workspace.engine.session(plain=plain) as connection:
        found = check(
            Checking(
                table=load.table,
                checks=(*_checks(load, source, context), *_contracted(load)),
                relation=relation,
                columns=columns,
                tables=tables,
                now=load.created_at,
                quarantine_path=f"_quarantine/{load.table}/{load.number}.parquet",
                origins=load.origins,
                replayed=workspace.lake.objects.reading([load.taken.path])[0] if load.taken else None,
                files=load.files,
                history=_history(load, source, context),
                interval=load.span,
                sketch_path=sketch_path(source.table, load.number, context),
            ),
            CheckPorts(
                connection=connection,
                objects=workspace.lake.objects,
                advance=context.advance(f"check {load.table}"),
                scale_out=workspace.judge_of(source.table) if load.files and not captured(source) else None,
            ),
        )
        touched = touching.touched_by(load, found.quarantine, source, context, connection)
    if load.taken is not None and found.report.rejects:
        # The rows are in the quarantine of the load that set them aside, and stay there: nothing waits for a person.
        reason = f"a check rejected them: they stay in the quarantine of load {load.taken.load}"
        return judge(load, Verdict.DISCARDED, context, found=replace(found, quarantine=None), reason=reason)
    compared = load.reconciliation
    lost = compared is not None and compared.rejects
    verdict = Verdict.REJECTED if found.report.rejects or lost else Verdict.ACCEPTED
    reason = compared.sentence(load.table) if compared is not None and lost else ""
    return judge(load, verdict, context, found=found, reason=reason, touched=touched)


def _history(load: Entry, source: SourceSpec, context: RunContext) -> tuple[PastLoad, ...]:
    """Return the accepted loads before, newest first; replayed rows and what was read again since do not count."""
    if not any(each.kind in HISTORICAL for each in context.spec.checks.get(source.table, ())):
        return ()
    from penstock.validate.kinds.whole import PastLoad

    records = context.ledger.sources[source.table].records
    if source.stream is not None:
        # Micro-batches are many, and small: what their last hours brought is history enough.
        records = records[-_MICRO_BATCHES:]
    accepted = [record.entry for record in records if record.verdict is Verdict.ACCEPTED]
    gone = {number for entry in (*accepted, load) for number in entry.supersedes}
    return tuple(
        PastLoad(entry.created_at, entry.rows, entry.span)
        for entry in reversed(accepted)
        if entry.number < load.number and entry.number not in gone and not entry.taken
    )


def _checks(load: Entry, source: SourceSpec, context: RunContext) -> tuple[CheckSpec, ...]:
    """Return the checks of a load; those of a whole extraction say nothing of rows that are replayed."""
    checks = context.spec.checks.get(source.table, ())
    if source.stream is not None and not load.files and not load.schema:
        # It says where a stream begins that has brought nothing yet: no column is there for a check.
        return ()
    if load.taken is None:
        return (*checks, *_late(load, source))
    return tuple(each for each in checks if each.kind not in WHOLE)


def _late(load: Entry, source: SourceSpec) -> tuple[CheckSpec, ...]:
    """Return the check that sets late rows aside, where they are not let in; rows that are replayed come in."""
    lateness = source.stream.lateness if source.stream is not None else None
    known = progress(load.work.position if load.work is not None else None)
    if lateness is None or lateness.late is OnLate.INCLUDE or known is None or known.before is None or not known.late:
        return ()
    column = column_called(str(source.event_time), load.schema)
    if column is None:
        return ()
    condition = f"coalesce({moment(column.name)} >= {at(known.before)}, true)"
    return (CheckSpec(kind="expression", parameters={"sql": condition}, severity=Severity.QUARANTINE, name="late"),)


def judge(
    load: Entry,
    verdict: Verdict,
    context: RunContext,
    *,
    found: CheckReceipt | None = None,
    reason: str = "",
    touched: tuple[Interval, ...] | None = None,
) -> Entry:
    """Commit a verdict about a load to the lake and index it."""
    table = context.workspace.lake.table(load.table)

    def attempt() -> Entry:
        entry = Entry(
            table=load.table,
            number=table.next_number(),
            previous=None,
            kind=EntryKind.VERDICT,
            created_at=now(),
            run=context.run,
            fence=context.fence,
            load=load.number,
            verdict=verdict,
            reason=reason,
            report=found.report if found else None,
            quarantine=found.quarantine if found else None,
            profile=found.profile if found else {},
            sketches=found.sketches if found else None,
            schema=load.schema,
            reconciliation=load.reconciliation,
            touched=touched,
        )
        return table.commit(entry)

    with context.turn(load.table):
        entry = committed(attempt)
    context.workspace.catalog.index((entry,))
    return entry


def judged(step: str, load: Entry, verdict: Entry, seconds: float) -> StepReceipt:
    """Return the receipt of a load that was checked."""
    report = verdict.report
    turned_down = verdict.verdict is Verdict.DISCARDED and report is not None and report.rejects
    rejected = verdict.verdict is Verdict.REJECTED or turned_down
    reasons = [failure.message for failure in report.failures if failure.severity == "error"] if report else []
    misfits = load.misfits.rows if load.misfits else 0
    return StepReceipt(
        step=step,
        table=load.table,
        state=State.REJECTED if rejected else State.DONE,
        interval=load.span,
        rows=load.rows + misfits,
        bytes=sum(file.bytes for file in load.files),
        quarantined=(report.quarantined if report else 0) + misfits,
        seconds=seconds,
        number=load.number,
        notes=tuple([verdict.reason, *reasons] if rejected and verdict.reason else reasons),
        report=report,
        reconciled=load.reconciliation.word if load.reconciliation else "",
        change=load.change,
    )


def _contracted(load: Entry) -> tuple[CheckSpec, ...]:
    """Return the checks that set the rows aside of which the contract left a value out."""
    if load.change is None:
        return ()
    return tuple(
        CheckSpec(
            kind="expression",
            parameters={"sql": f"json_extract_string({names.DISCARDED}, {literal(_pointer(left.column))}) IS NULL"},
            severity=Severity.QUARANTINE,
            name=f"contract of {left.column}",
        )
        for left in load.change.discarded
        if not left.whole
    )


def _pointer(column: str) -> str:
    return "/values/" + column.replace("~", "~0").replace("/", "~1")
