"""How far a pipeline may go that runs after another; pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from penstock.model.firings import ACTIVE, REJECTED, Firing, FiringState
from penstock.model.schedules import Timetable
from penstock.values import dataclass

_JUST_BEFORE = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Upstream:
    """A pipeline that another runs after.

    Attributes:
        timetable: When it is due.
        settled: Up to where its due times are answered for.
        firings: Its firings in the order of their ids.
    """

    timetable: Timetable
    settled: datetime
    firings: Sequence[Firing]


def ready(
    timetable: Timetable, upstream: Upstream, settled: datetime, wanted: datetime
) -> tuple[datetime | None, str, str]:
    """Return up to which due time a pipeline may go, why that is passed over if it is, and what it waits for.

    Of two pipelines with intervals, those before must cover the time; of others, what was due until then must have
    succeeded, however long ago.

    Args:
        timetable: Of the pipeline.
        upstream: The one that it runs after.
        settled: Up to where the pipeline's own due times are answered for.
        wanted: The newest that is due.
    """
    blocking = _blocking(upstream, settled)
    frontier = upstream.settled if blocking is None else min(blocking.after, upstream.settled)
    both = timetable.step is not None and upstream.timetable.step is not None
    until: datetime | None
    if both:
        end = upstream.timetable.end
        until = wanted if end is not None and frontier >= _last(upstream.timetable, end) else min(frontier, wanted)
        until = timetable.newest(until)
    else:
        following = upstream.timetable.following(frontier)
        until = wanted if following is None or following > wanted else timetable.newest(following - _JUST_BEFORE)
    why = "" if until == wanted else _why(upstream, blocking)
    if until is None or until <= settled:
        return None, "", why
    return until, _skipped(upstream, until, both=both), why


def mended(firing: Firing, firings: Sequence[Firing], *, by_interval: bool) -> bool:
    """Say whether a later success answers for what a failed firing was to do."""
    for later in firings:
        if later.state is not FiringState.DONE or later.id <= firing.id or later.due < firing.due:
            continue
        if later.asked or not by_interval:
            return True
        if later.after <= firing.after and firing.exit_code != REJECTED:
            return True
    return False


def _blocking(upstream: Upstream, settled: datetime) -> Firing | None:
    """Return the firing that must succeed first, if there is one: the earliest that goes on or failed."""
    step = upstream.timetable.step
    found = [
        firing
        for firing in upstream.firings
        if not (firing.asked and firing.state is FiringState.FAILED)
        and (firing.state in ACTIVE or firing.state is FiringState.FAILED)
        and (firing.due > settled or firing.due == _newest_ended(upstream))
        and not (firing.state is FiringState.FAILED and mended(firing, upstream.firings, by_interval=step is not None))
    ]
    return min(found, key=lambda each: (each.after, each.id), default=None)


def _newest_ended(upstream: Upstream) -> datetime | None:
    return max((each.due for each in upstream.firings if not each.asked), default=None)


def _last(timetable: Timetable, end: datetime) -> datetime:
    return timetable.newest(end) or end


def _skipped(upstream: Upstream, until: datetime, *, both: bool) -> str:
    """Say why the due time before is passed over, where the pipeline before passed its own over."""
    at = upstream.timetable.newest(until) if not both else until
    for firing in upstream.firings:
        if at is not None and firing.state is FiringState.SKIPPED and firing.after < at <= firing.due:
            return f"{firing.pipeline} was skipped for that time"
    return ""


def _why(upstream: Upstream, blocking: Firing | None) -> str:
    name = upstream.timetable.pipeline
    if blocking is None:
        return f"it runs after {name}, whose run of that time has not begun"
    if blocking.state is FiringState.FAILED:
        failed = f"it runs after {name}, which failed at {blocking.due:%Y-%m-%d %H:%M} UTC"
        return f"{failed} ({blocking.reason}): mend it, then penstock schedule run {name}"
    word = "is at work" if blocking.state is FiringState.RUNNING else "is to be tried again"
    return f"it runs after {name}, whose run {word}"
