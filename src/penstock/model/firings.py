"""What the scheduler knows: firings, how pipelines stand, and what ``penstock.toml`` says in ``[serve]``."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from penstock.model.interval import Interval
from penstock.values import dataclass


class FiringState(StrEnum):
    """Where a firing stands."""

    RUNNING = "running"
    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


ACTIVE = (FiringState.RUNNING, FiringState.PENDING)
REJECTED = 3
"""Exit code of a run whose load was rejected: a person has to look at it, so nothing mends it by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """One run that a schedule or a person asked for, or due times that were passed over.

    Attributes:
        id: Sortable by time.
        pipeline: The pipeline.
        after: The nominal due time up to which others answer.
        due: The newest nominal due time that it answers for.
        times: How many due times those are.
        state: Where it stands; ``pending``: it waits for ``next_try``.
        asked: A person asked for it; it covers all that is due.
        interval: The time that it covers, of a pipeline with intervals.
        created_at: When it was decided on.
        attempt: Grows whenever it is begun; what an earlier attempt says does not count.
        failures: How often it failed so far.
        fence: The fencing token of the scheduler that began it.
        holder: The process that works on it; empty until that has taken it.
        started: When that took it.
        ended: When it ended.
        next_try: When it is begun again.
        run: The id of its newest run; empty if that found nothing to do.
        exit_code: What its newest attempt ended with.
        reason: Why it failed, waits or was passed over.
    """

    id: str
    pipeline: str
    after: datetime
    due: datetime
    state: FiringState
    created_at: datetime
    times: int = 1
    asked: bool = False
    interval: Interval | None = None
    attempt: int = 0
    failures: int = 0
    fence: int = 0
    holder: str = ""
    started: datetime | None = None
    ended: datetime | None = None
    next_try: datetime | None = None
    run: str = ""
    exit_code: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far the schedule of one pipeline is settled.

    Attributes:
        pipeline: The pipeline.
        settled: The nominal moment up to which every due time is answered for by a firing.
        watched: When a scheduler last looked at it; None: never.
        paused: When it was paused; None: it is not.
        paused_by: By whom.
    """

    pipeline: str
    settled: datetime
    watched: datetime | None = None
    paused: datetime | None = None
    paused_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeSpec:
    """How schedules are carried out.

    Attributes:
        parallel: How many runs may be at work at once.
        memory: Bytes that scheduler and runs may hold together; None: as ``project.memory``.
        retries: How often a run is tried again that failed of something that may pass.
        backoff: How long the first of these waits; each further one twice as long.
        timeout: How long a run may take, where its pipeline says nothing; None: as long as it takes.
        stopping: How long runs may go on once the scheduler is told to stop.
        grace: How late a run may begin where ``catch_up`` is ``none``.
        listen: Where webhooks are taken, as ``127.0.0.1:8710``; empty: nowhere.
    """

    parallel: int = 1
    memory: int | None = None
    retries: int = 3
    backoff: timedelta = timedelta(minutes=1)
    timeout: timedelta | None = None
    stopping: timedelta = timedelta(minutes=1)
    grace: timedelta = timedelta(minutes=10)
    listen: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineSchedule:
    """How the schedule of one pipeline stands.

    Attributes:
        pipeline: The pipeline.
        schedule: As it was written.
        state: ``running``, ``waiting``, ``paused``, ``held`` or ``unscheduled``.
        next: When the next run is due to begin.
        why: Why something that is due waits.
        last: Its newest firing that ran or was to run.
    """

    pipeline: str
    schedule: str
    state: str
    next: datetime | None = None
    why: str = ""
    last: Firing | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleReport:
    """What is due when, and what became of what was due.

    Attributes:
        at: The moment it was looked at.
        scheduler: Who carries it out; empty: nobody does.
        pipelines: How each stands.
        firings: The newest firings, newest first.
    """

    at: datetime
    scheduler: str
    pipelines: tuple[PipelineSchedule, ...]
    firings: tuple[Firing, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeEvent:
    """Something that the scheduler did or saw, for its log.

    Attributes:
        at: When.
        event: ``began``, ``adopted``, ``ended``, ``failed``, ``retried``, ``skipped``, ``held``, or of the scheduler
            itself: ``serving``, ``listening``, ``standby``, ``stopping``, ``stopped``, ``clock``, ``trouble``.
        sentence: What a person reads.
        pipeline: The pipeline; empty for the scheduler itself.
        firing: The firing; empty if there is none.
    """

    at: datetime
    event: str
    sentence: str
    pipeline: str = ""
    firing: str = ""
