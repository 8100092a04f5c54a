"""Which intervals a pipeline has, and which of them a transform is computed for; pure functions."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from penstock.errors import ConfigurationError
from penstock.model.interval import Interval
from penstock.model.schedules import length
from penstock.model.specs import PipelineSpec, TransformSpec


def intervals(spec: PipelineSpec, wanted: Interval | None, at: datetime) -> tuple[Interval, ...]:
    """Return the whole intervals of the schedule that touch the wanted time and have ended, oldest first.

    Args:
        spec: The pipeline.
        wanted: The time asked for; None: from the pipeline's start to its end or now.
        at: The clock's moment: an interval is due once it has ended.
    """
    step = length(spec.schedule)
    if step is None or spec.start is None:
        if wanted is not None:
            raise ConfigurationError(
                f"Pipeline {spec.name!r} has no intervals",
                value=wanted.label,
                remedy='Give it a schedule and a start: Pipeline(…, schedule="@daily", start="2013-01-01")',
            )
        return ()
    last = min(at, spec.end) if spec.end else at
    start, end = (wanted.start, min(wanted.end, last)) if wanted else (spec.start, last)
    if start < spec.start:
        raise ConfigurationError(
            f"Pipeline {spec.name!r} starts at {spec.start.date()}",
            value=wanted.label if wanted else "",
            remedy="Ask for a later time or move its start",
        )
    first = spec.start + (start - spec.start) // step * step
    steps = max(0, -((first - end) // step))
    found = (Interval(first + step * number, first + step * (number + 1)) for number in range(steps))
    return tuple(interval for interval in found if interval.end <= last)


def scope_of(transform: TransformSpec, covered: Sequence[Interval]) -> tuple[Interval | None, ...]:
    """Return what a transform is computed for: (None,) for the whole table, else intervals, oldest first."""
    return (None,) if transform.interval is None else tuple(sorted(covered))


def reaches(order: Sequence[TransformSpec]) -> dict[str, timedelta]:
    """Return how far after its interval a change of a source's rows may reach, for each transform by interval.

    Args:
        order: The transforms, each after those it reads: look-backs add up.
    """
    found: dict[str, timedelta] = {}
    for transform in order:
        if transform.interval is not None:
            above = max((found.get(name, timedelta(0)) for name in transform.inputs), default=timedelta(0))
            found[transform.table] = transform.lookback + above
    return found


def reached_from(
    order: Sequence[TransformSpec], read: Iterable[Interval], known: Iterable[Interval]
) -> Iterator[Interval]:
    """Yield the known intervals into which what is read for some may reach, by look-back."""
    far = max(reaches(order).values(), default=timedelta(0))
    starts = sorted(interval.end for interval in read)
    if not far or not starts:
        return
    for interval in known:
        # The nearest reading that ended before: if that is too long ago, all others are.
        place = bisect_right(starts, interval.start)
        if place and interval.start - starts[place - 1] < far:
            yield interval


def beyond(
    spec: PipelineSpec, order: Sequence[TransformSpec], covered: Sequence[Interval], at: datetime
) -> Mapping[str, tuple[Interval, ...]]:
    """Return the intervals after those covered into which what is read for them may reach, by look-back.

    Args:
        spec: The pipeline.
        order: Its transforms, each after those it reads.
        covered: The intervals that are asked for, one after the other.
        at: The clock's moment.

    Returns:
        Transform to intervals, oldest first; transforms that reach into none are left out.
    """
    found = reaches(order)
    if not covered or length(spec.schedule) is None or not any(found.values()):
        return {}
    last = max(covered)
    following = [each for each in _after(spec, last, max(found.values()), at) if each.start >= last.end]
    return {
        table: tuple(interval for interval in following if interval.start < last.end + far)
        for table, far in found.items()
        if far and following
    }


def _after(spec: PipelineSpec, last: Interval, far: timedelta, at: datetime) -> tuple[Interval, ...]:
    ended = min(at, spec.end) if spec.end else at
    end = min(last.end + far + (last.end - last.start), ended)
    return intervals(spec, Interval(last.start, end), at) if end > last.start else ()


def reach(transform: TransformSpec, interval: Interval | None) -> Interval | None:
    """Return the time of its inputs on which the result for an interval depends: with the look-back before it."""
    if interval is None or not transform.lookback:
        return interval
    return Interval(interval.start - transform.lookback, interval.end)
