"""Plans, in words."""

from __future__ import annotations

from penstock.cli.blocks import Block, Line, table
from penstock.cli.figures import count, duration, plural
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
            step.why,
        )
        for step in steps[:_MOST_STEPS]
    ]
    blocks: list[Block] = [table(("action", "table", "interval", "load", ">rows, about", "why"), rows)]
    if len(steps) > _MOST_STEPS:
        blocks.append(Line(f"… and {plural(len(steps) - _MOST_STEPS, 'step')} more; --summary, or --json.", "faint"))
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


def _estimate(planned: Plan) -> list[Block]:
    seconds = sum(step.seconds or 0 for step in planned.steps if not step.if_new)
    return [Line(f"About {duration(seconds)}, going by earlier runs.", "faint")] if seconds else []
