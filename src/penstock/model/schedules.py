"""When a pipeline is due: the moments that a schedule names, apart from the length of the intervals that it may have.

The moments of a schedule are *nominal*: the end of an interval, or what a clock on the wall shows. A run begins that
much later as ``delay`` says. Intervals stay UTC and half-open; only a schedule of fixed length can have them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo, available_timezones

from penstock.errors import ConfigurationError
from penstock.model.durations import parse_duration, show_duration
from penstock.model.interval import SCHEDULES, Interval
from penstock.model.specs import PipelineSpec
from penstock.model.walls import Elapsed, Wall
from penstock.names import nearest, unknown
from penstock.values import dataclass

EVERY = "every "
CATCH_UP = ("all", "latest", "none")
LEAST_STEP = timedelta(seconds=1)
MOST_COUNTED = 1000
"""Due times that are counted one by one; of more it is only known that they are at least as many."""

_CRON = {"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@weekly": "0 0 * * 0", "@monthly": "0 0 1 * *"}
_VALID = '@hourly, @daily, @weekly, @monthly, "every 15m", or five fields of cron as "30 6 * * MON-FRI"'
_MOMENT = timedelta(microseconds=1)


class Moments(Protocol):
    """A rising sequence of moments without beginning."""

    def following(self, at: datetime) -> datetime | None:
        """Return the first that is later; None: there is none for fifty years."""
        ...

    def newest(self, at: datetime) -> datetime | None:
        """Return the last that is not later; None: there was none for fifty years."""
        ...


@dataclass(frozen=True, slots=True)
class Steps:
    """Moments a fixed time apart, counted from one of them."""

    step: timedelta
    anchor: datetime

    def following(self, at: datetime) -> datetime:
        """Return the first that is later."""
        return self.anchor + ((at - self.anchor) // self.step + 1) * self.step

    def newest(self, at: datetime) -> datetime:
        """Return the last that is not later."""
        return self.anchor + (at - self.anchor) // self.step * self.step


@dataclass(frozen=True, slots=True, kw_only=True)
class Timetable:
    """When one pipeline is due.

    Attributes:
        pipeline: The pipeline.
        shown: The schedule as people wrote it, with its time zone.
        moments: The nominal moments.
        step: The length of an interval, of a pipeline that has some.
        start: None is before it; of a pipeline with intervals, none at it either.
        end: None is after it.
        origin: Where due times count from once the pipeline is known first; None: from then on.
        delay: How much later than its nominal moment a run begins.
        catch_up: What becomes of moments that nobody was there for: ``all``, ``latest`` or ``none``.
        after: The pipelines that it runs after.
        timeout: How long a run may take.
    """

    pipeline: str
    shown: str
    moments: Moments
    step: timedelta | None = None
    start: datetime | None = None
    end: datetime | None = None
    origin: datetime | None = None
    delay: timedelta = timedelta(0)
    catch_up: str = "all"
    after: tuple[str, ...] = ()
    timeout: timedelta | None = None

    def following(self, at: datetime) -> datetime | None:
        """Return the first nominal moment that is later."""
        if self.start is not None:
            at = max(at, self.start if self.step else self.start - _MOMENT)
        found = self.moments.following(at)
        return None if found is None or (self.end is not None and found > self.end) else found

    def newest(self, at: datetime) -> datetime | None:
        """Return the last nominal moment that is not later."""
        found = self.moments.newest(at if self.end is None else min(at, self.end))
        if found is None or self.start is None:
            return found
        early = found <= self.start if self.step else found < self.start
        return None if early else found

    def count(self, after: datetime, until: datetime) -> int:
        """Return how many there are after one moment and not after another, at most ``MOST_COUNTED``."""
        found, at = 0, self.following(after)
        while at is not None and at <= until and found < MOST_COUNTED:
            found, at = found + 1, self.following(at)
        return found

    def interval(self, after: datetime, until: datetime) -> Interval | None:
        """Return the time that the intervals ending after one moment and not after another cover; None: it has none."""
        first = self.following(after) if self.step else None
        return Interval(first - self.step, until) if first is not None and self.step else None


def length(schedule: str | None) -> timedelta | None:
    """Return how long the intervals of a schedule are; None: it has no fixed length."""
    if schedule is None or not schedule.startswith(EVERY):
        return SCHEDULES.get(schedule or "")
    return parse_duration(schedule.removeprefix(EVERY))


def by_interval(spec: PipelineSpec) -> bool:
    """Say whether anything of a pipeline is read or made interval by interval."""
    columns = [
        *(source.interval for source in spec.sources),
        *(item.interval for item in spec.transforms),
        *(each.reading.get("interval") for each in spec.schemas),
    ]
    return spec.start is not None and any(columns)


def timetables(specs: Mapping[str, PipelineSpec]) -> dict[str, Timetable]:
    """Return the timetables of the pipelines that are due by themselves.

    A pipeline without a schedule that runs after others is due when the first of them is.

    Raises:
        ConfigurationError: See ``verify_after``.
    """
    verify_after(specs.values())
    return {name: found for name, spec in specs.items() if (found := _timetable(spec, specs)) is not None}


def _timetable(spec: PipelineSpec, specs: Mapping[str, PipelineSpec]) -> Timetable | None:
    timed = spec
    while timed.schedule is None and timed.after:
        timed = specs[timed.after[0]]
    if timed.schedule is None:
        return None
    step = length(timed.schedule) if by_interval(timed) else None
    shown = timed.schedule if timed.timezone == "UTC" else f"{timed.schedule} {timed.timezone}"
    return Timetable(
        pipeline=spec.name,
        shown=shown if timed is spec else f"after {', '.join(spec.after)}",
        moments=_moments(timed, step),
        step=step if timed is spec else None,
        start=timed.start + step if step and timed.start and timed is not spec else timed.start,
        end=timed.end,
        origin=timed.start if step else None,
        delay=spec.delay if timed is spec else timed.delay + spec.delay,
        catch_up=spec.catch_up,
        after=spec.after,
        timeout=spec.timeout,
    )


def _moments(spec: PipelineSpec, step: timedelta | None) -> Moments:
    assert spec.schedule is not None
    zone = ZoneInfo(spec.timezone)
    if step is not None:
        assert spec.start is not None
        return Steps(step, spec.start)
    if spec.schedule.startswith(EVERY):
        found = length(spec.schedule)
        assert found is not None
        return Steps(found, spec.start or datetime(1970, 1, 1, tzinfo=zone).astimezone(UTC))
    expression = _CRON.get(spec.schedule, spec.schedule)
    return (Elapsed if expression.split()[1] == "*" else Wall)(expression, zone)


def verify_schedule(spec: PipelineSpec) -> None:
    """Refuse a schedule that cannot be, or cannot go with what the pipeline reads.

    Raises:
        ConfigurationError: The sentence says which part of it.
    """
    what = f"pipeline {spec.name!r}"
    if spec.catch_up not in CATCH_UP:
        raise ConfigurationError(f"catch_up of {what} is not known", value=spec.catch_up, valid=CATCH_UP)
    if spec.schedule is None and not spec.after:
        for name, given in (("timezone", spec.timezone != "UTC"), ("delay", spec.delay)):
            if given:
                raise ConfigurationError(f"{name} of {what} goes with a schedule", remedy='Add schedule="@daily"')
        return
    if spec.schedule is not None:
        _verify_text(spec.schedule, what)
    _verify_zone(spec.timezone, what)
    if not by_interval(spec):
        return
    if spec.schedule is not None and length(spec.schedule) is None:
        raise ConfigurationError(
            f"{what.capitalize()} is read or made interval by interval, and its schedule has no fixed length",
            value=spec.schedule,
            valid='@hourly, @daily, @weekly or "every 15m"; to begin later in the day, add delay="6h"',
        )
    if spec.timezone != "UTC":
        raise ConfigurationError(
            f"{what.capitalize()} is read or made interval by interval, and intervals are those of UTC",
            value=f"timezone={spec.timezone!r}",
            remedy='Leave timezone out; delay="6h" begins a run later than its interval ends',
        )


def _verify_text(schedule: str, what: str) -> None:
    if schedule.startswith(EVERY):
        step = parse_duration(schedule.removeprefix(EVERY))
        if step < LEAST_STEP:
            raise ConfigurationError(
                f"The schedule of {what} is too dense", value=schedule, valid=f"at least {show_duration(LEAST_STEP)}"
            )
        return
    if schedule in _CRON:
        return
    fields, guess = schedule.split(), nearest(schedule, _CRON)
    problem = "" if len(fields) == 5 else "cron has five fields: minute, hour, day of month, month, day of week"
    try:
        never = not problem and Wall(schedule, ZoneInfo("UTC")).following(datetime(2024, 1, 1, tzinfo=UTC)) is None
    except ValueError as error:
        never, problem = False, str(error)
    if problem or never:
        shown = f" ({problem})" if problem and len(fields) > 1 else " (it is never due)" if never else ""
        raise ConfigurationError(
            f"The schedule of {what} is not known{shown}",
            value=schedule,
            valid=_VALID,
            remedy=f"Did you mean {guess!r}?" if guess else None,
        )


def _verify_zone(name: str, what: str) -> None:
    try:
        ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        guess = nearest(name, available_timezones())
        raise ConfigurationError(
            f"The time zone of {what} is not known",
            value=name,
            valid="a name of the time zone database, as Europe/Berlin",
            remedy=f"Did you mean {guess!r}?" if guess else None,
        ) from None


def verify_after(specs: Iterable[PipelineSpec]) -> None:
    """Refuse pipelines that run after one that is not there, is not due by itself, or runs after them.

    Raises:
        ConfigurationError: The sentence names the pipelines, of a cycle all of them.
    """
    known = {spec.name: spec for spec in specs}
    for spec in known.values():
        for name in spec.after:
            if name not in known:
                raise unknown("pipeline", name, known, where=f"after of pipeline {spec.name!r}")
        _refuse_cycle(spec.name, known, ())
    for spec in known.values():
        for name in spec.after:
            if known[name].schedule is None and not known[name].after:
                raise ConfigurationError(
                    f"Pipeline {spec.name!r} runs after {name!r}, which has no schedule",
                    remedy=f'Give {name!r} one: schedule="@daily"',
                )


def _refuse_cycle(name: str, known: Mapping[str, PipelineSpec], way: tuple[str, ...]) -> None:
    if name in way:
        circle = " after ".join(repr(each) for each in (*way[way.index(name) :], name))
        raise ConfigurationError(f"Pipelines wait for each other: {circle}", remedy="Take one of them out of after=[…]")
    for before in known[name].after:
        if before in known:
            _refuse_cycle(before, known, (*way, name))
