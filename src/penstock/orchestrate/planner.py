"""The planner: pure functions from what is wanted and what is known to what would be done, and why.

Planning happens twice. ``plan`` says before a run what will be asked of the sources and what would follow; ``due``
says, once rows have landed, whether a transform must be computed for an interval. Neither reads a clock, a file or a
database.
"""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime
from typing import Any

from penstock import names
from penstock.catalog.port import LoadRecord
from penstock.model.codec import fingerprint
from penstock.model.entries import Entry
from penstock.model.interval import Interval
from penstock.model.plan import Action, Cause, Plan, PlannedStep
from penstock.model.specs import PipelineSpec, SourceSpec, TransformSpec
from penstock.orchestrate.due import Due, due
from penstock.orchestrate.ledger import Ledger, numbers
from penstock.orchestrate.scopes import beyond, intervals, reach, scope_of
from penstock.values import dataclass

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
MOST_LINES = 40
"""Lines of changed code that a plan shows of one transform."""


@dataclass(frozen=True, slots=True)
class Usual:
    """What a step usually brings and takes, going by earlier runs: rows, and seconds."""

    rows: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a run is asked for.

    Attributes:
        interval: The time to cover; None: everything due.
        again: Read intervals again that are done.
        at: The clock's moment.
        codes: Transform to the fingerprint of its code.
        functions: Fingerprints of the functions that sources and checks call, in order.
        only: Sources to read; None: all.
        refresh: Transforms to compute anew, whole.
        texts: Fingerprint of code to its text, as far as it is known, for transforms whose code changed.
        usual: Step to what it usually brings and takes.
    """

    interval: Interval | None
    at: datetime
    codes: Mapping[str, str]
    again: bool = False
    only: frozenset[str] | None = None
    refresh: frozenset[str] = frozenset()
    texts: Mapping[str, str] = field(default_factory=dict)
    usual: Mapping[str, Usual] = field(default_factory=dict)
    functions: Sequence[str] = ()


def plan(spec: PipelineSpec, order: Sequence[TransformSpec], ledger: Ledger, wanted: Wanted) -> Plan:
    """Say what a run would do.

    Args:
        spec: The pipeline.
        order: Its transforms, each after those it reads.
        ledger: What is known.
        wanted: What is asked for.
    """
    ledger = ledger.settled()
    covered = intervals(spec, wanted.interval, wanted.at)
    steps: list[PlannedStep] = []
    unchanged: list[str] = []
    for source in spec.sources:
        if wanted.only is None or source.table in wanted.only:
            steps += _extractions(source, ledger, covered, wanted.again, unchanged)
    modes = {source.table: source.mode for source in spec.sources}
    modes |= {names.raw(name): mode for name, mode in modes.items()}
    steps += [_load(step, ledger, modes[step.table]) for step in steps if step.action in (Action.EXTRACT, Action.CHECK)]
    changes = _Changes(wanted, steps)
    reached = beyond(spec, order, covered, wanted.at)
    for transform in order:
        scope = (scope_of(transform, covered), reached.get(transform.table, ()))
        made = list(_transforms(transform, scope, ledger, changes, unchanged))
        changes.add(made)
        steps += made
    steps = [_estimated(step, wanted.usual) for step in steps]
    return Plan(
        pipeline=spec.name,
        created_at=wanted.at,
        state=state(ledger, wanted, spec),
        interval=wanted.interval,
        again=wanted.again,
        refresh=tuple(sorted(wanted.refresh)),
        steps=tuple(steps),
        unchanged=tuple(unchanged),
    )


def state(ledger: Ledger, wanted: Wanted, spec: PipelineSpec) -> str:
    """Return a fingerprint of everything that a plan was made from; words for people are left out."""
    sources = {
        table: [(r.entry.number, str(r.verdict)) for r in known.records] for table, known in ledger.sources.items()
    }
    versions = {
        table: (known.head.number if known.head else 0, sorted(known.same.values()))
        for table, known in ledger.versions.items()
    }
    return fingerprint(sources, versions, dict(wanted.codes), list(wanted.functions), _declared(spec))


def _said(source: SourceSpec) -> SourceSpec:
    """Return what is declared of a source, without objects of Python; a function of a scoring is told by its model."""
    stream = source.stream
    if stream is not None and stream.scoring is not None:
        stream = replace(stream, scoring=replace(stream.scoring, function=None))
    return replace(source, options=_shown(source.options), data=None, stream=stream)


def _declared(spec: PipelineSpec) -> list[object]:
    """Return what a pipeline says of its sources and checks, words for people left out."""
    checks = {
        table: [
            replace(check, description="", owner="", function=None, parameters=_shown(check.parameters))
            for check in listed
        ]
        for table, listed in spec.checks.items()
    }
    sources = [_said(source) for source in spec.sources]
    return [sources, checks, spec.schedule, spec.start, spec.end, list(spec.profiled)]


def _shown(values: Mapping[str, object]) -> dict[str, str]:
    """Return values as texts that are the same in another process."""
    return {name: _ADDRESS.sub("", repr(value)) for name, value in values.items()}


def _extractions(
    source: SourceSpec, ledger: Ledger, covered: Sequence[Interval], again: bool, unchanged: list[str]
) -> Iterable[PlannedStep]:
    known = ledger.sources[source.table]
    if source.stream is not None:
        unchanged.append(f"{source.table}: a stream, which penstock stream reads")
        return
    for record in known.pending:
        yield PlannedStep(
            action=Action.CHECK,
            table=known.table,
            load=record.entry.number,
            interval=record.entry.span,
            why="it landed, but a run ended before its checks",
            cause=Cause.UNCHECKED,
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
            standing = [r for r in known.live(interval) if r.entry.work and r.entry.work.interval == interval]
            yield PlannedStep(
                action=Action.EXTRACT,
                table=source.table,
                interval=interval,
                why="asked to read it again" if interval in done else "not read yet",
                cause=Cause.FORCED if interval in done else Cause.MISSING,
                replaces=tuple(numbers(standing)),
                replaced_rows=sum(record.entry.rows for record in standing) if standing else None,
                rows=usual,
            )
        else:
            left += 1
    if left:
        unchanged.append(f"{source.table}: {left} {'interval is' if left == 1 else 'intervals are'} done")


def _whole_extraction(source: SourceSpec, ledger: Ledger) -> Iterable[PlannedStep]:
    known = ledger.sources[source.table]
    if known.rejected:
        yield _blocked(known.table, known.rejected[0].entry.number, None)
    elif not known.pending:
        live = known.live()
        replaced = live if source.whole else []
        yield PlannedStep(
            action=Action.EXTRACT,
            table=source.table,
            why="it may have changed since the last run" if live else "never read",
            cause=Cause.NEW_DATA if live else Cause.FIRST,
            replaces=tuple(numbers(replaced)),
            replaced_rows=sum(record.entry.rows for record in replaced) if replaced else None,
            rows=_usual_rows(live),
        )


def _load(step: PlannedStep, ledger: Ledger, mode: str) -> PlannedStep:
    table = ledger.sources[step.table].table if step.table in ledger.sources else step.table
    return PlannedStep(
        action=Action.LOAD,
        table=table,
        interval=step.interval,
        why=f"what is accepted enters the warehouse: {mode}",
        cause=Cause.NEW_DATA,
        if_new=step.interval is None,
        rows=step.rows,
    )


_CHANGING = (Action.EXTRACT, Action.CHECK, Action.TRANSFORM)


class _Changes:
    """What a plan changes so far.

    Args:
        wanted: What is asked for.
        steps: What is planned already.
    """

    def __init__(self, wanted: Wanted, steps: Iterable[PlannedStep]) -> None:
        self.wanted = wanted
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
    transform: TransformSpec,
    scope: tuple[Sequence[Interval | None], Sequence[Interval]],
    ledger: Ledger,
    changes: _Changes,
    unchanged: list[str],
) -> Iterable[PlannedStep]:
    code, wanted = changes.wanted.codes[transform.table], changes.wanted
    asked, reached = scope
    left, perhaps = 0, []
    for place, interval in enumerate((*asked, *reached)):
        found = due(transform, interval, ledger, code)
        causes = [changes.remade(name, reach(transform, interval)) for name in transform.inputs]
        new = [cause for cause in causes if cause is not None]
        if place >= len(asked) and (found.standing is None or not (found.by_data or new)):
            # It was not asked for: it is computed only if what it was made from changes.
            continue
        if found.why and not (found.by_data and new):
            yield _computed(transform, interval, found, wanted)
        elif new and interval is not None and not found.by_data and all(cause.interval is None for cause in new):
            perhaps += new
        elif new:
            yield _follows(transform, interval, found, new)
        elif found.why:
            yield _computed(transform, interval, found, wanted)
        elif found.blocked:
            yield PlannedStep(
                action=Action.BLOCKED,
                table=transform.table,
                interval=interval,
                why=found.blocked,
                cause=Cause.REJECTED if "rejected" in found.blocked else Cause.MISSING,
            )
        else:
            left += 1
    if perhaps:
        # Which intervals it touches is known once it has landed: one step stands for them all.
        step = _follows(transform, None, Due(), list({id(cause): cause for cause in perhaps}.values()))
        yield replace(step, why=f"{step.why}: the intervals that it touches", if_new=True)
    if left:
        unchanged.append(f"{transform.table}: up to date" + (f" for {left} intervals" if transform.interval else ""))


def _computed(transform: TransformSpec, interval: Interval | None, found: Due, wanted: Wanted) -> PlannedStep:
    """Return the step of a transform that is due by what is known already."""
    changed: tuple[str, ...] = ()
    if found.cause is Cause.CODE and found.standing is not None:
        changed = _diff(found.standing, found.fingerprint, wanted.texts)
    return PlannedStep(
        action=Action.TRANSFORM,
        table=transform.table,
        interval=interval,
        why=found.why,
        cause=found.cause,
        changed=changed,
        **_replaced(found.standing),
    )


def _follows(
    transform: TransformSpec, interval: Interval | None, found: Due, new: Sequence[PlannedStep]
) -> PlannedStep:
    """Return the step of a transform that follows from steps planned before it."""
    sources = [step.table for step in new if step.action is not Action.TRANSFORM]
    remade = [step.table for step in new if step.action is Action.TRANSFORM]
    why = [found.why] if found.by_data else []
    why += [f"new data in {', '.join(dict.fromkeys(sources))}"] if sources else []
    why += [f"upstream changes: {', '.join(dict.fromkeys(remade))}"] if remade else []
    # What is read or made again may be what stands already, and then nothing follows from it.
    sure = found.by_data or any(not step.if_new and step.interval and not step.replaces for step in new)
    return PlannedStep(
        action=Action.TRANSFORM,
        table=transform.table,
        interval=interval,
        why="; ".join(dict.fromkeys(why)),
        cause=Cause.NEW_DATA if sources else Cause.UPSTREAM,
        if_new=not sure,
        **_replaced(found.standing),
    )


def _replaced(standing: Entry | None) -> dict[str, Any]:
    if standing is None:
        return {}
    return {"replaces": (standing.number,), "replaced_rows": sum(file.rows for file in standing.files)}


def _diff(standing: Entry, expected: str, texts: Mapping[str, str]) -> tuple[str, ...]:
    """Return the lines of code that changed since a version was made, as a unified diff without its heads."""
    before, now = (texts.get(mark.partition(".")[0]) for mark in (standing.fingerprint, expected))
    if before is None or now is None:
        return ()
    lines = list(difflib.unified_diff(before.splitlines(), now.splitlines(), n=0, lineterm=""))
    changed = [line for line in lines[2:] if not line.startswith("@@")]
    left = len(changed) - MOST_LINES
    return tuple(changed[:MOST_LINES] + ([f"… and {left} more lines"] if left > 0 else []))


def _estimated(step: PlannedStep, usual: Mapping[str, Usual]) -> PlannedStep:
    """Return a step with rows and time as they usually are."""
    known = usual.get(f"{step.action} {step.table}")
    if known is None:
        return step
    return replace(step, rows=known.rows if step.rows is None else step.rows, seconds=known.seconds)


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
        cause=Cause.REJECTED,
    )
