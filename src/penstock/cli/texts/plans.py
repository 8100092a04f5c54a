"""Plans, in words."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.cli.blocks import Block, Line, table
from penstock.cli.figures import count, duration, plural
from penstock.model.answers import IntervalLedger, IntervalState
from penstock.model.plan import Action, Plan, PlannedStep

_MOST_STEPS = 60
_MOST_UNCHANGED = 12


def plan(planned: Plan, *, summary: bool = False) -> list[Block]:
    """Word what a run would do and why; ``summary`` puts steps of a kind together."""
    now = [step for step in planned.steps if not step.if_new]
    later = [step for step in planned.steps if step.if_new]
    blocks: list[Block] = []
    if not now:
        blocks.append(Line(f"{planned.pipeline}: nothing is due.", "good"))
    else:
        blocks.append(Line(f"{planned.pipeline} would do:", "strong"))
        blocks += _summary(now) if summary else _steps(now)
    if later:
        blocks.append(Line("If new data arrives:", "strong"))
        blocks += _summary(later) if summary else _steps(later)
    blocks += _changed(planned.steps)
    blocks += _unchanged(planned.unchanged)
    blocks += _estimate(planned)
    return blocks


def _steps(steps: list[PlannedStep]) -> list[Block]:
    rows = [
        (
            step.action.value,
            step.table,
            step.interval.label if step.interval else "",
            f"load {step.load}" if step.load is not None else "",
            count(step.rows) if step.rows is not None else "",
            _replaces(step),
            step.why,
        )
        for step in steps[:_MOST_STEPS]
    ]
    blocks: list[Block] = [table(("action", "table", "interval", "load", ">rows, about", "replaces", "why"), rows)]
    if len(steps) > _MOST_STEPS:
        blocks.append(Line(f"… and {plural(len(steps) - _MOST_STEPS, 'step')} more; --summary, or --json.", "faint"))
    return blocks


def _replaces(step: PlannedStep) -> str:
    """Return what a step would replace: ``version 7 (12 rows)``, ``load 3``, ``4 loads``."""
    if not step.replaces:
        return ""
    kind = "version" if step.action is Action.TRANSFORM else "load"
    several = len(step.replaces)
    named = f"{kind} {step.replaces[0]}" if several == 1 else plural(several, kind)
    return named + (f" ({plural(step.replaced_rows, 'row')})" if step.replaced_rows is not None else "")


def _changed(steps: Sequence[PlannedStep]) -> list[Block]:
    """Show the lines of code that changed, once for each transform."""
    blocks: list[Block] = []
    for name, lines in {step.table: step.changed for step in reversed(steps) if step.changed}.items():
        blocks.append(Line(f"The code of {name} changed:", "strong"))
        blocks += [Line(f"  {line}", "faint") for line in lines]
    return blocks


def _summary(steps: list[PlannedStep]) -> list[Block]:
    groups: dict[tuple[Action, str, str], list[PlannedStep]] = {}
    for step in steps:
        groups.setdefault((step.action, step.table, "" if step.interval else step.why), []).append(step)
    rows = []
    for (action, name, _), several in groups.items():
        intervals = sorted(step.interval for step in several if step.interval)
        span = f"{intervals[0].label} … {intervals[-1].label}" if len(intervals) > 1 else ""
        reasons = list(dict.fromkeys(step.why for step in several if step.why))
        rows.append(
            (
                action.value,
                name,
                plural(len(intervals), "interval") if intervals else "",
                span or (intervals[0].label if intervals else ""),
                reasons[0] if len(reasons) == 1 else f"{reasons[0]}; …" if reasons else "",
            )
        )
    return [table(("action", "table", "intervals", "from … to", "why"), rows)]


def _unchanged(sentences: tuple[str, ...]) -> list[Block]:
    if not sentences:
        return []
    blocks: list[Block] = [
        Line("Unchanged:", "strong"),
        *(Line(f"  {each}", "faint") for each in sentences[:_MOST_UNCHANGED]),
    ]
    if len(sentences) > _MOST_UNCHANGED:
        blocks.append(Line(f"  … and {len(sentences) - _MOST_UNCHANGED} more.", "faint"))
    return blocks


def intervals(ledgers: Sequence[IntervalLedger]) -> list[Block]:
    """Word how the intervals of tables stand: how many of each state, then what is not done, neighbours together."""
    counts = [
        (each.table, each.kind, *(count(sum(s.state == state for s in each.intervals)) for state in _STATES))
        for each in ledgers
    ]
    blocks: list[Block] = [table(("table", "kind", *(f">{state}" for state in _STATES)), counts)]
    rows = [
        (each.table, _span(run), run[0].state, run[0].why + (" (a gap)" if _in_gap(run, each) else ""))
        for each in ledgers
        for run in _runs(each)
    ]
    if rows:
        blocks.append(table(("table", "intervals", "state", "why"), rows[:_MOST_STEPS]))
    if len(rows) > _MOST_STEPS:
        blocks.append(Line(f"… and {len(rows) - _MOST_STEPS} more; --json.", "faint"))
    return blocks


_STATES = ("done", "failed", "missing", "stale")


def _runs(ledger: IntervalLedger) -> list[list[IntervalState]]:
    """Return the intervals that are not done, those together that follow each other for the same reason."""
    found: list[list[IntervalState]] = []
    for state in ledger.intervals:
        if state.state == "done":
            continue
        last = found[-1][-1] if found else None
        same = last is not None and (last.interval.end, last.state, last.why) == (
            state.interval.start,
            state.state,
            state.why,
        )
        if same:
            found[-1].append(state)
        else:
            found.append([state])
    return found


def _span(run: Sequence[IntervalState]) -> str:
    return run[0].interval.label if len(run) == 1 else f"{run[0].interval.label} … {run[-1].interval.label}"


def _in_gap(run: Sequence[IntervalState], ledger: IntervalLedger) -> bool:
    return any(gap.overlaps(run[0].interval) for gap in ledger.gaps)


def _estimate(planned: Plan) -> list[Block]:
    seconds = sum(step.seconds or 0 for step in planned.steps if not step.if_new)
    return [Line(f"About {duration(seconds)}, going by earlier runs.", "faint")] if seconds else []
