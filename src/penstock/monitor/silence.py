"""What is usual: how long it takes until something new comes, learned from when it came before.

A history of two weeks and five gaps is needed. Where it is of three weeks and things come every other day or more
often, the waits that began at the same hour of the same weekday count, so that a source which rests each weekend raises
no alarm.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from penstock.profiles.ranges import MAD_TO_DEVIATION
from penstock.values import dataclass

WINDOW = timedelta(weeks=8)
"""How far back history is looked at."""
LEAST_APART = timedelta(minutes=30)
"""What comes sooner after another counts with it."""
LEAST_KEPT = 13
"""So many moments are kept whatever their age, for what comes each week or month."""

_WEEK = timedelta(weeks=1)
_LEAST_GAPS, _LEAST_SPAN = 5, timedelta(days=14)
_LEAST_WEEKS = 3
_WEEKLY_UP_TO = timedelta(days=2)
_STEADY = 1.25
_ROOM, _LEAST_ROOM = 0.05, timedelta(minutes=30)
_IRREGULAR = 1.5
_CHANCE = 3.5


@dataclass(frozen=True, slots=True)
class Usual:
    """What is usual for the wait that goes on.

    Attributes:
        gap: How long such waits take as a rule.
        limit: A longer one is unusual.
        how: How that is known, as part of a sentence.
    """

    gap: timedelta
    limit: timedelta
    how: str


def thinned(moments: Sequence[datetime]) -> tuple[datetime, ...]:
    """Return sorted moments without those that come soon after another, no older than needed."""
    kept: list[datetime] = []
    for at in sorted(moments):
        if not kept or at - kept[-1] >= LEAST_APART:
            kept.append(at)
    young = [at for at in kept if at >= kept[-1] - WINDOW]
    return tuple(young if len(young) >= LEAST_KEPT else kept[-LEAST_KEPT:])


def learn(moments: Sequence[datetime], last: datetime) -> Usual | None:
    """Return what is usual after something came at ``last``; None where history is too short to say.

    Args:
        moments: When something new came, thinned, oldest first.
        last: When it came last.
    """
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    if len(gaps) < _LEAST_GAPS or moments[-1] - moments[0] < _LEAST_SPAN:
        return None
    typical = _middle(sorted(gaps))
    # As the deviation, but of rare gaps, as those of weekends, it takes no notice.
    spread = MAD_TO_DEVIATION * _middle(sorted(abs(gap - typical) for gap in gaps))
    if typical <= _WEEKLY_UP_TO:
        same = _waits_of_other_weeks(moments, last, typical)
        if len(same) >= _LEAST_WEEKS and (found := _steady(same, spread, 1 if len(same) >= 5 else 0)) is not None:
            return Usual(*found, f"at this time of the week, by {len(same)} weeks")
    # No more than one outage in two weeks, or nights and weekends would count as such.
    outages = min(len(gaps) // 10, (moments[-1] - moments[0]) // (2 * _WEEK))
    steady = _steady(gaps, spread, outages)
    if steady is not None:
        return Usual(*steady, f"by the last {len(gaps)} times")
    return Usual(typical, max(gaps) * _IRREGULAR, f"irregularly, by the last {len(gaps)} times")


def _waits_of_other_weeks(moments: Sequence[datetime], last: datetime, typical: timedelta) -> list[timedelta]:
    """Return how long the waits took that began at the same time of the weeks before."""
    near = min(typical / 2, timedelta(hours=12))
    found = []
    begun = last - _WEEK
    while begun >= moments[0] - near:
        place = bisect_right(moments, begun + near)
        if place < len(moments):
            found.append(moments[place] - begun)
        begun -= _WEEK
    return found


def _steady(gaps: Sequence[timedelta], spread: timedelta, outages: int) -> tuple[timedelta, timedelta] | None:
    """Return the usual gap and its limit, if the gaps are alike; so many of the longest may be outages.

    The limit lies beyond the longest of them, and beyond what varies by chance where gaps spread so.
    """
    listed = sorted(gaps)
    typical = _middle(listed)
    longest = listed[len(listed) - 1 - outages]
    if longest > typical * _STEADY + _LEAST_ROOM:
        return None
    return typical, max(longest + max(_LEAST_ROOM, typical * _ROOM), typical + _CHANCE * spread)


def _middle(listed: Sequence[timedelta]) -> timedelta:
    """Return the median of sorted durations."""
    return (listed[(len(listed) - 1) // 2] + listed[len(listed) // 2]) / 2
