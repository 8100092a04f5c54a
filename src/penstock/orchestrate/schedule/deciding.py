"""What is begun, held and skipped at a moment: a pure function of timetables, what is known, and the clock.

Due times are nominal moments after ``settled``, and nothing stands for one of them until it is begun or skipped. So an
outage, however long, leaves no queue: its due times are answered for by one firing, or skipped by one, as ``catch_up``
says. Every due time is in one firing of its pipeline, but for those of a failed one that the next covers once more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import datetime, timedelta

from penstock.model.firings import ACTIVE, REJECTED, Firing, FiringState, ServeSpec, Standing
from penstock.model.schedules import Timetable
from penstock.orchestrate.schedule.upstream import Upstream, ready
from penstock.values import dataclass

_JUST_BEFORE = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of one pipeline.

    Attributes:
        standing: How far it is settled.
        firings: Its firings in the order of their ids.
    """

    standing: Standing
    firings: Sequence[Firing] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A firing to begin: for the due times after one moment until another."""

    pipeline: str
    after: datetime
    due: datetime
    settles: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """Due times to pass over."""

    pipeline: str
    after: datetime
    due: datetime
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Something that is due and waits, with the reason."""

    pipeline: str
    due: datetime
    why: str


@dataclass(slots=True, kw_only=True)
class Decision:
    """What is to be done now.

    Attributes:
        again: Firings to begin once more, or that a person asked for.
        start: New firings.
        skip: Due times to pass over; before what starts.
        hold: What waits.
    """

    again: list[Firing] = field(default_factory=list)
    start: list[Start] = field(default_factory=list)
    skip: list[Skip] = field(default_factory=list)
    hold: list[Hold] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What a decision is made from.

    Attributes:
        timetables: Of the pipelines that are scheduled.
        known: What is known of each of them.
        serve: How schedules are carried out.
        busy: Pipelines that somebody else is running, and who.
        working: How many runs are at work in all.
    """

    timetables: Mapping[str, Timetable]
    known: Mapping[str, Known]
    serve: ServeSpec
    busy: Mapping[str, str] = field(default_factory=dict)
    working: int = 0


def decide(situation: Situation, at: datetime) -> Decision:
    """Return what is to be begun, held and skipped at a moment, the longest due first."""
    decision = Decision()
    wanted: list[tuple[datetime, str, Firing | Start]] = []
    for name, timetable in situation.timetables.items():
        known = situation.known[name]
        active = [each for each in known.firings if each.state in ACTIVE]
        found = _again(active, known, situation, at) or _fresh(timetable, active, situation, at, decision.skip)
        if isinstance(found, Hold):
            decision.hold.append(found)
        elif found is not None:
            wanted.append((found.due, name, found))
    free = situation.serve.parallel - situation.working
    for place, (due, name, each) in enumerate(sorted(wanted, key=lambda item: item[:2])):
        if place >= free:
            why = f"{situation.serve.parallel} runs are at work, which is as many as parallel lets"
            decision.hold.append(Hold(pipeline=name, due=due, why=why))
        elif isinstance(each, Firing):
            decision.again.append(each)
        else:
            decision.start.append(each)
    held = {each.pipeline for each in decision.hold}
    # What is passed over for the sake of a run that waits itself is decided on when that begins.
    decision.skip = [each for each in decision.skip if each.pipeline not in held or each.why != LATEST]
    return decision


LATEST = "a later one was due"


def _again(active: Sequence[Firing], known: Known, situation: Situation, at: datetime) -> Firing | Hold | None:
    """Return the firing of a pipeline that waits to be begun once more, or why it does."""
    for firing in active:
        if firing.state is FiringState.RUNNING:
            return None
    for firing in active:
        hold = _held(firing.pipeline, firing.due, known, situation)
        if hold is not None:
            return hold
        if firing.next_try is not None and firing.next_try > at:
            why = f"{firing.reason or 'it ended early'}; it is tried again at {firing.next_try:%H:%M:%S} UTC"
            return Hold(pipeline=firing.pipeline, due=firing.due, why=why)
        return firing
    return None


def _held(name: str, due: datetime, known: Known, situation: Situation) -> Hold | None:
    if known.standing.paused is not None:
        by = f" by {known.standing.paused_by}" if known.standing.paused_by else ""
        why = f"it was paused{by} at {known.standing.paused:%Y-%m-%d %H:%M} UTC: penstock schedule resume {name}"
        return Hold(pipeline=name, due=due, why=why)
    if name in situation.busy:
        return Hold(pipeline=name, due=due, why=f"another run of it is at work: {situation.busy[name]}")
    return None


def _fresh(
    timetable: Timetable, active: Sequence[Firing], situation: Situation, at: datetime, skips: list[Skip]
) -> Start | Hold | None:
    """Return what is newly due, or why it waits; notes what is passed over."""
    name = timetable.pipeline
    known = situation.known[name]
    settled = known.standing.settled
    first = timetable.following(settled)
    if first is None or first + timetable.delay > at:
        return _wrong_clock(name, settled, at)
    newest = timetable.newest(at - timetable.delay) or first
    hold = _held(name, newest, known, situation)
    if hold is not None:
        return hold
    missed = _missed(timetable, known, situation.serve, at, newest)
    if missed is not None:
        skips.append(Skip(pipeline=name, after=settled, due=missed, why="nobody was there when it was due"))
        return None
    if active:
        return Hold(pipeline=name, due=newest, why="its run before is still at work")
    found = _ready(timetable, settled, newest, situation)
    if isinstance(found, Hold):
        return found
    due, passed = found
    if passed:
        skips.append(Skip(pipeline=name, after=settled, due=due, why=passed))
        return None
    return _catching_up(timetable, known, due, skips)


def _wrong_clock(name: str, settled: datetime, at: datetime) -> Hold | None:
    """Say that the clock stands before what it showed once, by more than it is set by now and then."""
    if settled <= at + timedelta(hours=1):
        return None
    why = f"the clock shows {at:%Y-%m-%d %H:%M} UTC and once showed later: penstock schedule resume {name}"
    return Hold(pipeline=name, due=settled, why=why)


def _missed(timetable: Timetable, known: Known, serve: ServeSpec, at: datetime, newest: datetime) -> datetime | None:
    """Return the newest due time that nobody was there for and that is to be passed over."""
    watched = known.standing.watched
    if timetable.catch_up != "none" or (watched is not None and at - watched <= serve.grace):
        return None
    last = timetable.newest(at - timetable.delay - serve.grace)
    return min(last, newest) if last is not None and last > known.standing.settled else None


def _ready(
    timetable: Timetable, settled: datetime, newest: datetime, situation: Situation
) -> tuple[datetime, str] | Hold:
    """Return the newest due time that the pipelines before are through with, and why it is passed over if it is."""
    due, passed, waits = newest, "", ""
    for name in timetable.after:
        before = situation.known[name]
        upstream = Upstream(situation.timetables[name], before.standing.settled, before.firings)
        until, skipped, why = ready(timetable, upstream, settled, due)
        if until is None or until <= settled:
            return Hold(pipeline=timetable.pipeline, due=newest, why=why)
        due, passed, waits = until, skipped if until < due else passed or skipped, waits or why
    return due, passed


def _catching_up(timetable: Timetable, known: Known, due: datetime, skips: list[Skip]) -> Start:
    settled = known.standing.settled
    if timetable.catch_up == "all":
        return Start(pipeline=timetable.pipeline, after=_unmended(timetable, known), due=due, settles=due)
    before = timetable.newest(due - _JUST_BEFORE)
    if before is None or before <= settled:
        return Start(pipeline=timetable.pipeline, after=settled, due=due, settles=due)
    skips.append(Skip(pipeline=timetable.pipeline, after=settled, due=before, why=LATEST))
    return Start(pipeline=timetable.pipeline, after=before, due=due, settles=due)


def _unmended(timetable: Timetable, known: Known) -> datetime:
    """Return from where a pipeline with intervals goes on: what failed of something that may pass is covered again."""
    after = known.standing.settled
    if timetable.step is None:
        return after
    for firing in reversed(known.firings):
        if firing.state is FiringState.DONE:
            break
        if firing.state is FiringState.FAILED and firing.exit_code != REJECTED:
            after = min(after, firing.after)
    return after
