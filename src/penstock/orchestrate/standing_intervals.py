"""How the intervals of a pipeline stand: done, failed, missing or stale, and where the gaps are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from penstock.model.answers import IntervalLedger, IntervalState
from penstock.model.interval import Interval
from penstock.model.plan import Cause
from penstock.model.receipts import State
from penstock.model.specs import PipelineSpec, SourceSpec, TransformSpec
from penstock.orchestrate.due import due
from penstock.orchestrate.ledger import Ledger
from penstock.orchestrate.preparing import Prepared, prepare
from penstock.orchestrate.scopes import intervals as intervals_of
from penstock.orchestrate.workspace import Workspace, now

_LOOKED_AT = 20
"""Runs in which the last try of an interval is looked for."""

Failures = Mapping[tuple[str, Interval | None], str]


def intervals(workspace: Workspace, spec: PipelineSpec, wanted: Interval | None) -> tuple[IntervalLedger, ...]:
    """Return how the intervals of each table stand that is read or made by interval; nothing is written.

    Args:
        workspace: The places.
        spec: The pipeline.
        wanted: The time to look at; None: from the pipeline's start to now.
    """
    prepared = prepare(workspace, spec)
    covered = intervals_of(prepared.spec, wanted, now())
    failures = _failures(workspace, spec.name)
    ledger = prepared.ledger.settled()
    found = [
        _ledger(source.table, "source", [_read(source, interval, ledger, failures) for interval in covered])
        for source in prepared.spec.sources
        if source.interval is not None
    ]
    found += [
        _ledger(item.table, "transform", [_made(item, interval, ledger, prepared, failures) for interval in covered])
        for item in prepared.order
        if item.interval is not None
    ]
    return tuple(found)


def _failures(workspace: Workspace, pipeline: str) -> Failures:
    """Return the steps whose last try ended with an error, with what it said."""
    last: dict[tuple[str, Interval | None], str] = {}
    for run in reversed(workspace.catalog.runs(pipeline, _LOOKED_AT)):
        for step in run.steps:
            failed = step.state in (State.FAILED, State.REJECTED)
            last[step.step, step.interval] = "; ".join(step.notes) if failed else ""
    return {step: why for step, why in last.items() if why}


def _read(source: SourceSpec, interval: Interval, ledger: Ledger, failures: Failures) -> IntervalState:
    known = ledger.sources[source.table]
    rejected = known.blocked(interval)
    if rejected is not None:
        why = f"load {rejected.entry.number} is rejected"
        return IntervalState(interval=interval, state="failed", why=why, number=rejected.entry.number)
    if interval in known.done():
        standing = [r.entry for r in known.live(interval) if r.entry.work and r.entry.work.interval == interval]
        rows = sum(entry.rows for entry in standing)
        return IntervalState(
            interval=interval, state="done", number=standing[-1].number if standing else None, rows=rows
        )
    failed = failures.get((f"extract {source.table}", interval))
    return IntervalState(interval=interval, state="failed" if failed else "missing", why=failed or "not read yet")


def _made(
    transform: TransformSpec, interval: Interval, ledger: Ledger, prepared: Prepared, failures: Failures
) -> IntervalState:
    found = due(transform, interval, ledger, prepared.codes[transform.table])
    entry = ledger.versions[transform.table].newest.get(interval)
    number, rows = (entry.number, sum(file.rows for file in entry.files)) if entry is not None else (None, None)
    failed = failures.get((f"transform {transform.table}", interval))
    why = found.blocked or found.why
    if not why or (found.cause is Cause.VOLATILE and not failed):
        return IntervalState(interval=interval, state="done", number=number, rows=rows)
    state = "failed" if failed else "missing" if entry is None else "stale"
    return IntervalState(interval=interval, state=state, why=failed or why, number=number, rows=rows)


def _ledger(table: str, kind: str, states: Sequence[IntervalState]) -> IntervalLedger:
    done = [place for place, state in enumerate(states) if state.state in ("done", "stale")]
    within = states[done[0] : done[-1] + 1] if done else ()
    gaps: list[Interval] = []
    for state in within:
        if state.state in ("done", "stale"):
            continue
        if gaps and gaps[-1].end == state.interval.start:
            gaps[-1] = Interval(gaps[-1].start, state.interval.end)
        else:
            gaps.append(state.interval)
    return IntervalLedger(table=table, kind=kind, intervals=tuple(states), gaps=tuple(gaps))
