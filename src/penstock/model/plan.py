"""Plans: what a run would do and why, as frozen data."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from penstock.model.interval import Interval
from penstock.values import dataclass


class Action(StrEnum):
    """What a planned step does."""

    EXTRACT = "extract"
    CHECK = "check"
    LOAD = "load"
    TRANSFORM = "transform"
    BLOCKED = "blocked"


class Cause(StrEnum):
    """Why a step is planned, in one word, for programs."""

    FIRST = "first"
    NEW_DATA = "new data"
    CODE = "code"
    UPSTREAM = "upstream"
    FORCED = "forced"
    VOLATILE = "volatile"
    UNCHECKED = "unchecked"
    REJECTED = "rejected"
    MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStep:
    """One step of a plan.

    Attributes:
        action: What it does.
        table: The table: a source's name for extract, the lake's name for check and load, a transform's for transform.
        interval: The interval, where it has one.
        why: The reason, for people.
        cause: The reason, for programs.
        changed: Of a transform whose code changed: the lines that changed, as a unified diff has them.
        load: The load that is checked, applied or in the way.
        replaces: Numbers of the loads, or of the version, whose rows it would replace.
        replaced_rows: How many rows those have.
        if_new: True when the step only happens if an earlier one brings something new.
        rows: Estimated rows, from history.
        seconds: Estimated time, from history.
    """

    action: Action
    table: str
    interval: Interval | None = None
    why: str = ""
    cause: Cause | None = None
    changed: tuple[str, ...] = ()
    load: int | None = None
    replaces: tuple[int, ...] = ()
    replaced_rows: int | None = None
    if_new: bool = False
    rows: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run would do.

    Attributes:
        pipeline: The pipeline.
        created_at: When it was made, UTC: intervals that had not ended then are not in it.
        interval: The time that was asked for; None: everything due.
        again: Intervals that are done were asked for again.
        refresh: Transforms that were asked to be computed anew, whole.
        state: Fingerprint of the state it was made from; ``run --plan`` refuses if the state has moved.
        steps: In the order in which they would run.
        unchanged: Tables and intervals that need nothing, in sentences.
    """

    pipeline: str
    created_at: datetime
    state: str
    interval: Interval | None = None
    again: bool = False
    refresh: tuple[str, ...] = ()
    steps: tuple[PlannedStep, ...] = ()
    unchanged: tuple[str, ...] = ()

    @property
    def intervals(self) -> tuple[Interval, ...]:
        """Return the intervals that the plan works on, in order."""
        return tuple(sorted({step.interval for step in self.steps if step.interval is not None}))
