"""Plans: what a run would do and why, as frozen data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from penstock.model.interval import Interval


class Action(StrEnum):
    """What a planned step does."""

    EXTRACT = "extract"
    CHECK = "check"
    LOAD = "load"
    TRANSFORM = "transform"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStep:
    """One step of a plan.

    Attributes:
        action: What it does.
        table: The table: a source's name for extract, the lake's name for check and load, a transform's for transform.
        interval: The interval, where it has one.
        why: The reason, for people.
        load: The load that is checked, applied or in the way.
        if_new: True when the step only happens if an earlier one brings something new.
        rows: Estimated rows, from history.
        seconds: Estimated time, from history.
    """

    action: Action
    table: str
    interval: Interval | None = None
    why: str = ""
    load: int | None = None
    if_new: bool = False
    rows: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run would do.

    Attributes:
        pipeline: The pipeline.
        created_at: When it was made, UTC.
        state: Fingerprint of the state it was made from; ``run --plan`` refuses if the state has moved.
        steps: In the order in which they would run.
        unchanged: Tables and intervals that need nothing, in sentences.
    """

    pipeline: str
    created_at: datetime
    state: str
    steps: tuple[PlannedStep, ...] = ()
    unchanged: tuple[str, ...] = ()

    @property
    def intervals(self) -> tuple[Interval, ...]:
        """Return the intervals that the plan works on, in order."""
        return tuple(sorted({step.interval for step in self.steps if step.interval is not None}))
