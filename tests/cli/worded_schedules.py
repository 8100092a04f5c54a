"""Schedules, and what their text must say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from penstock.model.firings import Firing, FiringState, PipelineSchedule, ScheduleReport
from penstock.model.interval import Interval

AT = datetime(2026, 11, 22, 2, 0, 10, tzinfo=UTC)
DAY = Interval(datetime(2026, 11, 21, tzinfo=UTC), datetime(2026, 11, 22, tzinfo=UTC))


def firing(pipeline: str, state: FiringState, **fields: Any) -> Firing:
    return Firing(
        id=f"x-{pipeline}", pipeline=pipeline, after=DAY.start, due=DAY.end, state=state, created_at=AT, **fields
    )


DONE = firing("shop", FiringState.DONE, interval=DAY, started=AT, ended=AT + timedelta(seconds=75), run="2026-k3f9")
SKIPPED = firing("prices", FiringState.SKIPPED, times=9, reason="a later one was due")
REPORT = ScheduleReport(
    at=AT,
    scheduler="process 4711 on worker-3",
    pipelines=(
        PipelineSchedule(pipeline="shop", schedule="@daily", state="waiting", next=AT, last=DONE),
        PipelineSchedule(
            pipeline="report",
            schedule="after shop",
            state="held",
            why="it runs after shop, whose run is at work",
            last=firing("report", FiringState.RUNNING),
        ),
        PipelineSchedule(pipeline="loose", schedule="", state="unscheduled"),
    ),
    firings=(DONE, SKIPPED, firing("report", FiringState.PENDING, asked=True, reason="a person asked for it")),
)

SAID: list[tuple[Any, list[str]]] = [
    (
        REPORT,
        [
            "shop      @daily      waiting      2026-11-22 02:00:10  done 2026-11-22 02:01:25",
            "report    after shop  held                              beginning",
            "report waits: it runs after shop, whose run is at work.",
            "2026-11-21           shop      done            1 min 15 s  2026-k3f9",
            "2026-11-22 00:00:00  prices    skipped      9                         a later one was due",
            "asked for            report    pending",
            "The scheduler is process 4711 on worker-3.",
        ],
    ),
    (
        ScheduleReport(at=AT, scheduler="", pipelines=(REPORT.pipelines[0],)),
        ["No scheduler is at work: penstock serve."],
    ),
    (ScheduleReport(at=AT, scheduler="", pipelines=(REPORT.pipelines[2],)), ["No pipeline has a schedule"]),
]
