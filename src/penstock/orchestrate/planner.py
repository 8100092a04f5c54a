"""The planner: pure functions from what is wanted and what is known to what would be done, and why.

Planning happens twice. ``plan`` says before a run what will be asked of the sources and what would follow; ``due``
says, once rows have landed, whether a transform must be computed for an interval. Neither reads a clock, a file or a
database.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from penstock import names
from penstock.catalog.port import LoadRecord
from penstock.errors import ConfigurationError
from penstock.model.codec import fingerprint
from penstock.model.interval import SCHEDULES, Interval
from penstock.model.plan import Action, Plan, PlannedStep
from penstock.model.specs import PipelineSpec, SourceSpec, TransformSpec
from penstock.orchestrate.ledger import Ledger, numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a run is asked for.

    Attributes:
        interval: The time to cover; None: everything due.
        again: Read intervals again that are done.
        at: The clock's moment.
        codes: Transform to the fingerprint of its code.
        only: Sources to read; None: all.
    """

    interval: Interval | None
    at: datetime
    codes: Mapping[str, str]
    again: bool = False
    only: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Due:
    """Whether a transform must be computed for an interval.

    Attributes:
        why: The reason to compute it; empty: it is up to date.
        blocked: The reason why it cannot be computed; empty: it can.
        fingerprint: What the version would carry: ``{code}.{inputs}``.
        inputs: Input to the numbers of its loads or versions.
    """

    why: str = ""
    blocked: str = ""
    fingerprint: str = ""
    inputs: Mapping[str, Sequence[int]] = field(default_factory=dict)


def intervals(spec: PipelineSpec, wanted: Interval | None, at: datetime) -> tuple[Interval, ...]:
    """Return the whole intervals of the schedule that touch the wanted time and have ended, oldest first.

    Args:
        spec: The pipeline.
        wanted: The time asked for; None: from the pipeline's start to its end or now.
        at: The clock's moment: an interval is due once it has ended.
    """
    if spec.schedule is None or spec.start is None:
        if wanted is not None:
            raise ConfigurationError(
                f"Pipeline {spec.name!r} has no intervals",
                value=wanted.label,
                remedy='Give it a schedule and a start: Pipeline(…, schedule="@daily", start="2013-01-01")',
            )
        return ()
    step = SCHEDULES[spec.schedule]
    last = min(at, spec.end) if spec.end else at
    start, end = (wanted.start, min(wanted.end, last)) if wanted else (spec.start, last)
    if start < spec.start:
        raise ConfigurationError(
            f"Pipeline {spec.name!r} starts at {spec.start.date()}",
            value=wanted.label if wanted else "",
            remedy="Ask for a later time or move its start",
        )
    first = spec.start + (start - spec.start) // step * step
    steps = max(0, -((first - end) // step))
    found = (Interval(first + step * number, first + step * (number + 1)) for number in range(steps))
    return tuple(interval for interval in found if interval.end <= last)


def plan(spec: PipelineSpec, order: Sequence[TransformSpec], ledger: Ledger, wanted: Wanted) -> Plan:
    """Say what a run would do.

    Args:
        spec: The pipeline.
        order: Its transforms, each after those it reads.
        ledger: What is known.
        wanted: What is asked for.
    """
    covered = intervals(spec, wanted.interval, wanted.at)
    steps: list[PlannedStep] = []
    unchanged: list[str] = []
    for source in spec.sources:
        if wanted.only is None or source.table in wanted.only:
            steps += _extractions(source, ledger, covered, wanted.again, unchanged)
    modes = {source.table: source.mode for source in spec.sources}
    modes |= {names.raw(name): mode for name, mode in modes.items()}
    steps += [_load(step, ledger, modes[step.table]) for step in steps if step.action in (Action.EXTRACT, Action.CHECK)]
    changes = _Changes(wanted, covered, steps)
    for transform in order:
        made = list(_transforms(transform, spec, ledger, changes, unchanged))
        changes.add(made)
        steps += made
    return Plan(
        pipeline=spec.name,
        created_at=wanted.at,
        state=state(ledger, wanted.codes),
        steps=tuple(steps),
        unchanged=tuple(unchanged),
    )


def state(ledger: Ledger, codes: Mapping[str, str]) -> str:
    """Return a fingerprint of everything that a plan was made from."""
    sources = {
        table: [(r.entry.number, str(r.verdict)) for r in known.records] for table, known in ledger.sources.items()
    }
    versions = {table: known.head.number if known.head else 0 for table, known in ledger.versions.items()}
    return fingerprint(sources, versions, dict(codes))


def due(transform: TransformSpec, interval: Interval | None, ledger: Ledger, code: str) -> Due:
    """Say whether a transform must be computed for an interval, from what has landed."""
    inputs: dict[str, list[int]] = {}
    for name in transform.inputs:
        found = _input(name, interval, ledger)
        if isinstance(found, str):
            return Due(blocked=found)
        inputs[name] = found
    expected = f"{code}.{fingerprint(interval, inputs)}"
    known = ledger.versions[transform.table]
    standing = known.fingerprint(interval)
    if transform.interval is None and known.head is not None and known.head.interval is not None:
        standing = ""
    if interval in known.again:
        return Due(why="asked to compute it again", fingerprint=expected, inputs=inputs)
    if standing == expected and not transform.volatile:
        return Due(fingerprint=expected, inputs=inputs)
    if not standing:
        why = "not made yet"
    elif standing.partition(".")[0] != code:
        why = "its code changed"
    elif standing != expected:
        why = "new data in " + ", ".join(transform.inputs)
    else:
        why = "it depends on clock or chance"
    return Due(why=why, fingerprint=expected, inputs=inputs)


def _input(name: str, interval: Interval | None, ledger: Ledger) -> list[int] | str:
    """Return the numbers that a transform would read of one input, or the sentence that says why it cannot."""
    if name in ledger.sources:
        source = ledger.sources[name]
        rejected = source.blocked(interval)
        if rejected is not None:
            return f"load {rejected.entry.number} of {source.table} is rejected"
        live = source.live(interval)
        return numbers(live) if live else f"{source.table} has no accepted load{_for(interval)}"
    versions = ledger.versions[name]
    by_interval = [known for known in versions.newest if known is not None]
    if interval is not None and by_interval:
        covering = [known for known in by_interval if known.overlaps(interval)]
        found = [versions.newest[known].number for known in sorted(covering)]
        return found or f"{name} has no version{_for(interval)}"
    return [versions.head.number] if versions.head else f"{name} has no version"


def _extractions(
    source: SourceSpec, ledger: Ledger, covered: Sequence[Interval], again: bool, unchanged: list[str]
) -> Iterable[PlannedStep]:
    known = ledger.sources[source.table]
    for record in known.pending:
        yield PlannedStep(
            action=Action.CHECK,
            table=known.table,
            load=record.entry.number,
            interval=record.entry.work.interval if record.entry.work else None,
            why="it landed, but a run ended before its checks",
        )
    if source.interval is None:
        yield from _whole_extraction(source, ledger)
        return
    done = known.done()
    pending = {record.entry.work.interval for record in known.pending if record.entry.work}
    usual = _usual_rows(known.live())
    left = 0
    for interval in covered:
        rejected = known.blocked(interval)
        if rejected is not None:
            yield _blocked(known.table, rejected.entry.number, interval)
        elif interval in pending:
            continue
        elif interval not in done or again:
            why = "asked to read it again" if interval in done else "not read yet"
            yield PlannedStep(action=Action.EXTRACT, table=source.table, interval=interval, why=why, rows=usual)
        else:
            left += 1
    if left:
        unchanged.append(f"{source.table}: {left} {'interval is' if left == 1 else 'intervals are'} done")


def _whole_extraction(source: SourceSpec, ledger: Ledger) -> Iterable[PlannedStep]:
    known = ledger.sources[source.table]
    if known.rejected:
        yield _blocked(known.table, known.rejected[0].entry.number, None)
    elif not known.pending:
        why = "it may have changed since the last run" if known.live() else "never read"
        yield PlannedStep(action=Action.EXTRACT, table=source.table, why=why, rows=_usual_rows(known.live()))


def _load(step: PlannedStep, ledger: Ledger, mode: str) -> PlannedStep:
    table = ledger.sources[step.table].table if step.table in ledger.sources else step.table
    return PlannedStep(
        action=Action.LOAD,
        table=table,
        interval=step.interval,
        why=f"what is accepted enters the warehouse: {mode}",
        if_new=step.interval is None,
        rows=step.rows,
    )


_CHANGING = (Action.EXTRACT, Action.CHECK, Action.TRANSFORM)


class _Changes:
    """What a plan changes so far.

    Args:
        wanted: What is asked for.
        covered: The intervals that it covers.
        steps: What is planned already.
    """

    def __init__(self, wanted: Wanted, covered: Sequence[Interval], steps: Iterable[PlannedStep]) -> None:
        self.wanted = wanted
        self.covered = covered
        self._steps: defaultdict[str, list[PlannedStep]] = defaultdict(list)
        self.add(steps)

    def add(self, steps: Iterable[PlannedStep]) -> None:
        """Add planned steps."""
        for step in steps:
            if step.action in _CHANGING:
                self._steps[step.table].append(step)

    def remade(self, table: str, interval: Interval | None) -> PlannedStep | None:
        """Return the planned step that may change an input of an interval."""
        for name in (table, names.raw(table)):
            for step in self._steps.get(name, ()):
                if step.interval is None or interval is None or step.interval.overlaps(interval):
                    return step
        return None


def _transforms(
    transform: TransformSpec, spec: PipelineSpec, ledger: Ledger, changes: _Changes, unchanged: list[str]
) -> Iterable[PlannedStep]:
    code = changes.wanted.codes[transform.table]
    left = 0
    for interval in scope_of(transform, spec, ledger, changes.covered):
        found = due(transform, interval, ledger, code)
        causes = [changes.remade(name, interval) for name in transform.inputs]
        new = [cause for cause in causes if cause is not None]
        if found.why:
            yield PlannedStep(action=Action.TRANSFORM, table=transform.table, interval=interval, why=found.why)
        elif new:
            sure = any(not cause.if_new and cause.interval is not None for cause in new)
            tables = ", ".join(dict.fromkeys(cause.table for cause in new))
            yield PlannedStep(
                action=Action.TRANSFORM,
                table=transform.table,
                interval=interval,
                why=f"new data in {tables}",
                if_new=not sure,
            )
        elif found.blocked:
            yield PlannedStep(action=Action.BLOCKED, table=transform.table, interval=interval, why=found.blocked)
        else:
            left += 1
    if left:
        unchanged.append(f"{transform.table}: up to date" + (f" for {left} intervals" if transform.interval else ""))


def scope_of(
    transform: TransformSpec, spec: PipelineSpec, ledger: Ledger, covered: Sequence[Interval]
) -> tuple[Interval | None, ...]:
    """Return what a transform is computed for: (None,) for the whole table, else intervals, oldest first."""
    if transform.interval is None:
        return (None,)
    known: set[Interval] = set(covered)
    by_interval = [ledger.sources[source.table] for source in spec.sources if source.interval]
    reached = set().union(*(source.done() for source in by_interval)) if by_interval else known
    planned = {interval for interval in known if any(interval not in source.done() for source in by_interval)}
    return tuple(sorted((known & reached) | planned))


def _usual_rows(live: Sequence[LoadRecord]) -> int | None:
    recent = [record.entry.rows for record in live[-7:]]
    return sum(recent) // len(recent) if recent else None


def _blocked(table: str, load: int, interval: Interval | None) -> PlannedStep:
    source = table.removeprefix(names.RAW_PREFIX)
    return PlannedStep(
        action=Action.BLOCKED,
        table=table,
        interval=interval,
        load=load,
        why=f"load {load} is rejected: penstock retry --table {source}, or accept or discard it",
    )


def _for(interval: Interval | None) -> str:
    return f" for {interval.label}" if interval else ""
