"""Schedules, in words."""

from __future__ import annotations

from penstock.cli.blocks import Block, Line, table
from penstock.cli.figures import duration, moment
from penstock.model.firings import Firing, FiringState, ScheduleReport


def report(found: ScheduleReport) -> list[Block]:
    """Word what is due when, why something waits, and what became of what was due."""
    rows = [
        (
            each.pipeline,
            each.schedule,
            each.state,
            moment(each.next) if each.next else "",
            _last(each.last) if each.last else "",
        )
        for each in found.pipelines
    ]
    blocks: list[Block] = [table(("pipeline", "schedule", "state", "next (UTC)", "last"), rows)] if rows else []
    blocks += [Line(f"{each.pipeline} waits: {each.why}.", "warn") for each in found.pipelines if each.why]
    if found.firings:
        blocks.append(table(("due (UTC)", "pipeline", "state", ">times", ">time", "run", "reason"), _rows(found)))
    if found.scheduler:
        blocks.append(Line(f"The scheduler is {found.scheduler}.", "faint"))
    elif any(each.schedule for each in found.pipelines):
        blocks.append(Line("No scheduler is at work: penstock serve.", "warn"))
    else:
        blocks.append(Line('No pipeline has a schedule: Pipeline(…, schedule="@daily").', "warn"))
    return blocks


def _rows(found: ScheduleReport) -> list[tuple[str, ...]]:
    return [
        (
            "asked for" if each.asked else each.interval.label if each.interval else moment(each.due),
            each.pipeline,
            each.state.value,
            str(each.times) if each.times > 1 else "",
            _took(each),
            each.run,
            each.reason,
        )
        for each in found.firings
    ]


def _last(firing: Firing) -> str:
    if firing.state is FiringState.RUNNING:
        return f"running since {moment(firing.started)}" if firing.started else "beginning"
    return f"{firing.state.value} {moment(firing.ended)}" if firing.ended else firing.state.value


def _took(firing: Firing) -> str:
    if firing.started is None or firing.ended is None:
        return ""
    return duration((firing.ended - firing.started).total_seconds())
