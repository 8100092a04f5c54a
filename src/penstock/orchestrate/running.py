"""Running: a plan becomes receipts.

Order of a run: (1) take the lease, (2) bring the catalog up to the lake, (3) plan, (4) judge loads that a crash left
unchecked, (5) wave by wave: sources in parallel, then everything below them in one warehouse transaction, (6)
transforms of whole tables, (7) keep the run.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import field, replace
from datetime import datetime

from penstock.catalog.port import Lease
from penstock.errors import ConfigurationError, ConflictError, NotFoundError, PenstockError, StaleWriterError
from penstock.model.entries import Entry, Verdict
from penstock.model.events import Phase
from penstock.model.interval import Interval
from penstock.model.plan import Action, Plan
from penstock.model.receipts import RunReceipt
from penstock.model.specs import PipelineSpec, SourceSpec, TransformSpec, WriteMode
from penstock.names import unknown
from penstock.orchestrate import indexing, planner
from penstock.orchestrate.bringing import Bringing, Brought, bring, check_load, judge, judged
from penstock.orchestrate.conducting import Conduct, conduct
from penstock.orchestrate.context import RunContext, failed, leased
from penstock.orchestrate.due import Due, due
from penstock.orchestrate.ledger import SourceLedger
from penstock.orchestrate.preparing import Prepared, prepare, wanted
from penstock.orchestrate.scopes import beyond, intervals, reached_from, scope_of
from penstock.orchestrate.standing import relations_of
from penstock.orchestrate.workspace import Workspace, now
from penstock.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the user asked a run for.

    Attributes:
        command: ``run``, ``backfill``, ``retry``, ``ingest``, ``rebuild``, ``replay``, as in the run's receipt.
        interval: The time to cover; None: everything due.
        again: Read intervals again that are done.
        refresh: Transforms to compute anew, whole.
        expected: A plan made before, which must still be true; it says what is covered.
        retry: The sources whose rejected loads are read again; None: this is no retry.
        parallel: How many intervals may be read at the same time, beyond the one that is loaded.
        at: The moment until which intervals are due; None: now.
    """

    command: str = "run"
    interval: Interval | None = None
    again: bool = False
    refresh: frozenset[str] = frozenset()
    expected: Plan | None = None
    retry: frozenset[str] | None = None
    parallel: int = 1
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Task:
    """A source to be read in a wave."""

    source: SourceSpec
    interval: Interval | None
    supersedes: tuple[int, ...] = ()


@dataclass(slots=True)
class _Waves:
    """Sources to read: first those without intervals, then interval by interval."""

    whole: list[_Task] = field(default_factory=list)
    by_interval: dict[Interval, list[_Task]] = field(default_factory=dict)


def plan(workspace: Workspace, spec: PipelineSpec, interval: Interval | None, asked: Asked | None = None) -> Plan:
    """Return what a run would do; nothing is written but the catalog's index."""
    asked = asked or Asked(interval=interval)
    return _planned(workspace, prepare(workspace, spec, asked.refresh), replace(asked, interval=interval), now())


def _planned(workspace: Workspace, prepared: Prepared, asked: Asked, at: datetime) -> Plan:
    given = wanted(workspace, prepared, at, asked.interval, asked.again, asked.refresh)
    return planner.plan(prepared.spec, prepared.order, prepared.ledger, given)


def run(workspace: Workspace, spec: PipelineSpec, asked: Asked) -> RunReceipt:
    """Carry out what a plan says.

    Raises:
        LeaseHeldError: Another run of the pipeline is at work.
        ConflictError: ``asked.expected`` is no longer true.
    """
    asked = _as_planned(asked, spec)
    workspace.engine.warm()
    indexing.follow(workspace, indexing.tables_of(spec))
    with leased(workspace, spec.name, committed=indexing.greatest_fence(workspace, spec)) as lease:
        indexing.end_interrupted(workspace, spec.name)
        prepared = prepare(workspace, spec, asked.refresh)
        started = now()
        asked = replace(asked, at=asked.at or started)
        planned = _planned(workspace, prepared, asked, asked.at or started)
        _refuse_moved(asked.expected, planned)
        waves = _retries(asked.retry, prepared) if asked.retry is not None else _waves(planned, prepared)
        return conduct(
            Conduct(workspace, prepared, asked.command, lease, started),
            lambda it: _carry_out(waves, prepared, asked, it),
        )


def _as_planned(asked: Asked, spec: PipelineSpec) -> Asked:
    """Return what is asked for as the plan says it, where there is one."""
    expected = asked.expected
    if expected is None:
        return asked
    if expected.pipeline != spec.name:
        raise ConflictError(f"The plan is one of pipeline {expected.pipeline!r}, not of {spec.name!r}")
    return replace(
        asked,
        interval=expected.interval,
        again=expected.again,
        refresh=frozenset(expected.refresh),
        at=expected.created_at,
    )


def _refuse_moved(expected: Plan | None, planned: Plan) -> None:
    """Refuse to run where the plan that was made would be another one today."""
    if expected is None:
        return
    before, today = ([replace(s, rows=None, seconds=None) for s in each.steps] for each in (expected, planned))
    if expected.state != planned.state or before != today:
        raise ConflictError(
            f"Pipeline {planned.pipeline!r} has moved since the plan was made",
            remedy="Make the plan again: penstock plan",
        )


def below(
    workspace: Workspace, spec: PipelineSpec, asked: Asked, lease: Lease, first: Callable[[RunContext], None]
) -> RunReceipt:
    """Do something with what has landed, then go on below it; no source is asked for anything.

    Args:
        workspace: The places.
        spec: The pipeline; its index is up to date.
        asked: The command, and the interval if not all.
        lease: The pipeline's.
        first: What is done before loads are judged and transforms are computed; what it raises ends the run.
    """
    indexing.end_interrupted(workspace, spec.name)
    prepared = prepare(workspace, spec, asked.refresh)

    def work(context: RunContext) -> None:
        first(context)
        _carry_out(_Waves(), prepared, asked, context)

    return conduct(Conduct(workspace, prepared, asked.command, lease, now()), work)


def _carry_out(waves: _Waves, prepared: Prepared, asked: Asked, context: RunContext) -> None:
    _refuse_any_order(prepared, asked)
    if asked.parallel > 1:
        context.readers = asked.parallel * max(1, len(prepared.spec.sources))
    with _readers(context) as pool:
        if waves.whole:
            context.workspace.observer(Phase(title="sources without intervals", interval=None, done=0, total=1))
            _harvest(_begin(waves.whole, pool, prepared, context), context)
        _judge_pending(prepared, context)
        _flow(None, prepared, context)
        scope = _Scope.of(waves, prepared, asked, context)
        ahead: deque[list[tuple[_Task, Future[Brought]]]] = deque()
        listed, begun = scope.listed, 0
        for done, interval in enumerate(listed):
            context.workspace.observer(Phase(title=interval.label, interval=interval, done=done, total=len(listed)))
            for following in listed[begun : done + asked.parallel]:
                ahead.append(_begin(waves.by_interval.get(following, []), pool, prepared, context))
                begun += 1
            _harvest(ahead.popleft(), context)
            # The next intervals are read while this one goes through the warehouse: they touch different tables.
            for following in listed[begun : done + 1 + asked.parallel]:
                ahead.append(_begin(waves.by_interval.get(following, []), pool, prepared, context))
                begun += 1
            _flow(interval, prepared, context, scope=scope)
    _flow(None, prepared, context, last=True)
    if any(step.number is not None for step in context.steps):
        from penstock.orchestrate import compacting

        compacting.after_run(context)


def _refuse_any_order(prepared: Prepared, asked: Asked) -> None:
    """Refuse to read intervals at the same time where the order in which they land decides.

    Raises:
        ConfigurationError: A source merges rows and has no cursor.
    """
    for source in prepared.spec.sources if asked.parallel > 1 else ():
        if source.interval and source.write is not WriteMode.APPEND and not source.cursor:
            raise ConfigurationError(
                f"Intervals of source {source.table!r} cannot be read at the same time: of two rows with one key "
                "the one that landed later stands, because it has no cursor",
                value=f"--parallel {asked.parallel}",
                remedy="Name the column that says which row is newer (cursor=…), or leave --parallel out",
            )


@dataclass(frozen=True, slots=True)
class _Scope:
    """The intervals of a run.

    Attributes:
        covered: Those that were asked for.
        reached: Transform to those after them into which its look-back may carry a change.
        listed: All that is gone through, oldest first.
    """

    covered: frozenset[Interval]
    reached: Mapping[str, frozenset[Interval]]
    listed: Sequence[Interval]

    @classmethod
    def of(cls, waves: _Waves, prepared: Prepared, asked: Asked, context: RunContext) -> _Scope:
        spec, order, at = prepared.spec, prepared.order, asked.at or now()
        covered = intervals(spec, asked.interval, at)
        reached = {name: frozenset(found) for name, found in beyond(spec, order, covered, at).items()}
        after = frozenset().union(*reached.values())
        ledger = context.ledger.settled()
        stale = {
            interval
            for transform in order
            for interval in (*scope_of(transform, covered), *reached.get(transform.table, ()))
            if interval is not None and due(transform, interval, ledger, prepared.codes[transform.table]).why
        }
        carried = reached_from(order, {*waves.by_interval, *stale}, (*covered, *after))
        return cls(frozenset(covered), reached, sorted({*waves.by_interval, *stale, *carried}))

    def wants(self, transform: TransformSpec, interval: Interval, found: Due) -> bool:
        """Say whether a transform is to be computed for an interval: what was not asked for, if its inputs changed."""
        if interval in self.covered:
            return True
        return interval in self.reached.get(transform.table, ()) and found.by_data and found.standing is not None


@contextmanager
def _readers(context: RunContext) -> Iterator[ThreadPoolExecutor]:
    """Lend the threads that read sources; where a run is interrupted, they end with the next rows that they get."""
    with ThreadPoolExecutor(context.readers or context.workspace.workers, thread_name_prefix="source") as pool:
        try:
            yield pool
        except PenstockError:
            raise
        except BaseException:
            context.interrupted.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _judge_pending(prepared: Prepared, context: RunContext) -> None:
    """Check the loads that landed before a crash, in the order in which they landed."""
    for source in prepared.spec.sources:
        if source.stream is None:
            judge_pending(source, prepared, context)


def judge_pending(source: SourceSpec, prepared: Prepared, context: RunContext) -> None:
    """Check the loads of one source that landed and were not checked to the end."""
    known = context.ledger.sources[source.table]
    for record in known.pending:
        step = f"check {known.table}"
        begun = context.started(step, known.table)
        try:
            verdict = check_load(record.entry, source, referred(prepared, context), context)
        except PenstockError as error:
            context.errors.append(error)
            context.finished(failed(step, known.table, time.monotonic() - begun, error))
            continue
        known.add(record.entry, verdict)
        context.finished(judged(step, record.entry, verdict, time.monotonic() - begun))
    for record in known.overtaken:
        successors = [other for other in known.records if record.entry.number in other.entry.supersedes]
        end_rejected(known, record.entry.number, successors[-1].entry, context)


def _waves(planned: Plan, prepared: Prepared) -> _Waves:
    waves = _Waves()
    by_table = {source.table: source for source in prepared.spec.sources}
    for step in planned.steps:
        if step.action is not Action.EXTRACT:
            continue
        source = by_table[step.table]
        if step.interval is None:
            waves.whole.append(_Task(source, None))
            continue
        standing = prepared.ledger.sources[source.table].live(step.interval)
        replaced = tuple(r.entry.number for r in standing if r.entry.work and r.entry.work.interval == step.interval)
        waves.by_interval.setdefault(step.interval, []).append(_Task(source, step.interval, replaced))
    return waves


def _retries(tables: frozenset[str], prepared: Prepared) -> _Waves:
    waves = _Waves()
    for source in prepared.spec.sources:
        if source.stream is not None or (tables and source.table not in tables):
            continue
        for record in prepared.ledger.sources[source.table].rejected:
            interval = record.entry.span
            replaced = (*record.entry.supersedes, record.entry.number)
            replays = prepared.ledger.sources[source.table].replays(replaced)
            task = _Task(source, interval, tuple(dict.fromkeys((*replaced, *replays))))
            if interval is None:
                waves.whole.append(task)
            else:
                waves.by_interval.setdefault(interval, []).append(task)
    unfinished = any(known.pending or known.overtaken for known in prepared.ledger.sources.values())
    if not waves.whole and not waves.by_interval and not unfinished:
        raise NotFoundError(
            f"Pipeline {prepared.spec.name!r} has no rejected load to retry"
            + (f" in {', '.join(sorted(tables))}" if tables else ""),
            remedy="penstock status shows what waits; what a stream had rejected, penstock stream --retry reads again",
        )
    return waves


def _begin(
    tasks: Sequence[_Task], pool: ThreadPoolExecutor, prepared: Prepared, context: RunContext
) -> list[tuple[_Task, Future[Brought]]]:
    tables = referred(prepared, context)
    begun = []
    for task in tasks:
        known = context.ledger.sources[task.source.table]
        asked = Bringing(
            source=task.source,
            interval=task.interval,
            position=None if task.interval else known.position(),
            supersedes=task.supersedes,
            boundary=_boundary(task, known),
            current=_current(task, known),
            tables=tables,
        )
        begun.append((task, pool.submit(bring, asked, context)))
    return begun


def _current(task: _Task, known: SourceLedger) -> Entry | None:
    """Return the load that stands for what is read: if the same comes again, nothing lands.

    An interval of which rows were set aside lands again, so that they are judged by the checks of today.
    """
    for record in reversed(known.live()):
        work, report = record.entry.work, record.verdict_entry.report if record.verdict_entry else None
        if record.entry.taken is None and (work is None or work.interval == task.interval):
            return None if task.interval and report and report.quarantined else record.entry
    return None


def _boundary(task: _Task, known: SourceLedger) -> tuple[Entry, ...]:
    if task.source.cursor is None or task.interval is not None or task.source.whole:
        return ()
    return tuple(record.entry for record in known.known())


def _harvest(running: Sequence[tuple[_Task, Future[Brought]]], context: RunContext) -> None:
    for task, future in running:
        brought = future.result()
        if isinstance(brought.error, StaleWriterError):
            raise brought.error
        known = context.ledger.sources[task.source.table]
        if brought.error is not None:
            context.errors.append(brought.error)
            continue
        if brought.load is not None:
            known.add(brought.load, brought.verdict)
        for number in task.supersedes:
            end_rejected(known, number, brought.load, context)


def end_rejected(known: SourceLedger, number: int, successor: Entry | None, context: RunContext) -> None:
    """Mark a rejected load as retried, once it was read again."""
    what = f"read again as load {successor.number}" if successor else "read again: all of it was accepted before"
    for record in (*known.rejected, *known.overtaken):
        if record.entry.number == number:
            known.add(record.entry, judge(record.entry, Verdict.RETRIED, context, reason=what))


def _flow(
    interval: Interval | None,
    prepared: Prepared,
    context: RunContext,
    *,
    scope: _Scope | None = None,
    last: bool = False,
) -> None:
    """Send one wave down; transforms of whole tables wait for the end unless others need them."""
    from penstock.orchestrate.downstream import Wave, flow

    context.hold()
    chosen: list[tuple[TransformSpec, Interval | None]] = []
    for transform in prepared.order:
        if transform.interval is not None:
            if interval is not None:
                chosen.append((transform, interval))
        elif last or transform.table in prepared.early:
            chosen.append((transform, None))
    wants = None if scope is None or interval is None or interval in scope.covered else scope.wants
    flow(Wave(interval=interval, transforms=chosen, codes=prepared.codes, wants=wants), context)


def referred(prepared: Prepared, context: RunContext) -> dict[str, str]:
    """Return the tables that checks of raw rows refer to, as relations."""
    return relations_of(prepared.referred, context.ledger, context.workspace.lake)


def retry(workspace: Workspace, spec: PipelineSpec, table: str | None) -> RunReceipt:
    """Read rejected loads again, just those, and go on below them."""
    known = {source.table for source in spec.sources}
    if table is not None and table not in known:
        raise unknown("source", table, known, where=f"pipeline {spec.name!r}")
    return run(workspace, spec, Asked(command="retry", retry=frozenset({table} if table else ())))
