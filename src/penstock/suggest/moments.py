"""Suggestions about moments: within the interval, without gaps, and repeated by other columns."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import timedelta

from penstock.profiles.ranges import Amounts, Shares, usual_range
from penstock.queries.text import identifier
from penstock.suggest.recent import LOAD, STARTS, Recent
from penstock.suggest.suggestion import Suggestion, rounded

_HOUR = 3600.0
_LONGEST = 366 * 24 * _HOUR
"""A gap that may be longer than a year is no limit."""


def moments(recent: Recent) -> Iterator[Suggestion]:
    """Suggest what the moments of each column have in common."""
    for name in recent.of_type("moment"):
        if recent.distinct[name] > 1:
            if recent.interval is not None:
                yield from _inside(recent, name, recent.interval.end - recent.interval.start)
            yield from _gaps(recent, name)
            yield from _whole(recent, name)
    yield from _repeated(recent)


def _inside(recent: Recent, name: str, length: timedelta) -> Iterator[Suggestion]:
    """Suggest that moments lie in the interval, and how soon and how late the first and last of them are."""
    column = identifier(name)
    since = f"(epoch({column}) - epoch({STARTS})) / {_HOUR}"
    found = recent.by_load({"low": f"min({since})", "high": f"max({since})"})
    lows = [value for value in found["low"] if value is not None]
    highs = [value for value in found["high"] if value is not None]
    if not lows:
        return
    whole = length.total_seconds() / _HOUR
    if min(lows) >= 0 and max(highs) < whole:
        condition = f"{column} >= :interval_start AND {column} < :interval_end"
        # Loads are cut by one moment; what else happened to a row may happen on another day.
        several = [each for each in recent.of_type("moment") if recent.distinct[each] > 1][1:]
        room = {"at_most": recent.tolerated} if several else {}
        yield Suggestion("expression", (condition,), room, f"within the interval in {recent.loads} loads")
    elif min(lows) > -whole and max(highs) < 2 * whole:
        # Hours that are not those of the interval are those of a timetable, which changes.
        first, last = (usual_range(found[end], step=1.0) for end in ("low", "high"))
        low = math.floor(min(lows) if first is None else first.low)
        high = math.ceil(max(highs) if last is None else last.high)
        start = ":interval_start + INTERVAL"
        condition = f"{column} >= {start} ({low}) HOUR AND {column} <= {start} ({high}) HOUR"
        said = f"{min(lows):.1f} to {max(highs):.1f} hours after the beginning of the interval"
        yield Suggestion("expression", (condition,), {}, said)
    asked = f"(epoch({{}}({column})) - epoch(CAST(:interval_start AS TIMESTAMP))) / {_HOUR:.0f}"
    for end, figures, word in (("min", found["low"], "first"), ("max", found["high"], "last")):
        usual = usual_range(figures, step=max(0.05, _spacing(recent, name) / _HOUR))
        if usual is not None and usual.width < whole:
            bounds = {"min": rounded(usual.low, 4, up=False), "max": rounded(usual.high, 4, up=True)}
            said = f"the {word} one, in hours after the beginning of the interval"
            yield Suggestion("aggregate", (asked.format(end),), {**bounds, "name": f"{word} {name}"}, said)


def _gaps(recent: Recent, name: str) -> Iterator[Suggestion]:
    """Suggest how far apart moments may be, in the whole load and in each of its series."""
    column = identifier(name)
    # Where moments do not tell rows apart, those of one value are no series.
    for per in (None, *(recent.categories(most=60) if name in recent.key else ())):
        series = f"{LOAD}, {identifier(per)}" if per else LOAD
        steps = (
            f"(SELECT {LOAD}, epoch({column}) - "
            f"epoch(lag({column}) OVER (PARTITION BY {series} ORDER BY {column})) AS step "
            f"FROM (SELECT DISTINCT {series}, {column} FROM {recent.relation} WHERE {column} IS NOT NULL))"
        )
        found = recent.by_load({"most": "max(step)", "steps": "count(step)"}, steps)
        most = [float(value) if value is not None else None for value in found["most"]]
        usual = usual_range(most, step=max(1.0, _spacing(recent, name)), scale=Amounts())
        count = sum(value or 0 for value in found["steps"]) / recent.loads
        if usual is None or count < 5 or usual.high > _LONGEST:
            continue
        every = timedelta(seconds=math.ceil(usual.high))
        keywords = {"per": per} if per else {}
        called = f"of one {per} " if per else ""
        longest = timedelta(seconds=int(max(value or 0 for value in most)))
        said = f"neighbouring moments {called}were {longest} apart at most"
        yield Suggestion("no_gaps", (name, _duration(every)), keywords, said)


def _spacing(recent: Recent, name: str) -> float:
    """Return how many seconds neighbouring moments are apart in the middle: one that is missing makes a gap of that."""
    column = identifier(name)
    steps = (
        f"(SELECT {LOAD}, epoch({column}) - epoch(lag({column}) OVER (PARTITION BY {LOAD} ORDER BY {column})) AS step "
        f"FROM (SELECT DISTINCT {LOAD}, {column} FROM {recent.relation} WHERE {column} IS NOT NULL))"
    )
    return float(recent.whole({"middle": "median(step)"}, steps)["middle"] or 0.0)


def _duration(length: timedelta) -> str:
    seconds = int(length.total_seconds())
    parts = [(seconds // 86400, "d"), (seconds % 86400 // 3600, "h"), (seconds % 3600 // 60, "m"), (seconds % 60, "s")]
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "1s"


def _whole(recent: Recent, name: str) -> Iterator[Suggestion]:
    """Suggest how many moments of a load are different ones, and that few stand at midnight."""
    column = identifier(name)
    found = recent.by_load(
        {
            "different": f"count(DISTINCT {column}) / nullif(count({column}), 0)",
            "midnight": f"count_if({column} = date_trunc('day', {column})) / nullif(count({column}), 0)",
            "hours": f"count(DISTINCT hour({column}))",
        }
    )
    asked = {
        "different": f"count(DISTINCT {column}) / nullif(count({column}), 0)",
        "midnight": f"count({column}) FILTER ({column} = date_trunc('day', {column})) / nullif(count({column}), 0)",
        "hours": f"count(DISTINCT hour({column}))",
    }
    for figure, sql in asked.items():
        # One row more or less is no alarm.
        greatest, step, scale = (24, 1.0, None) if figure == "hours" else (1, recent.tolerated, Shares(recent.typical))
        usual = usual_range(found[figure], least=0, greatest=greatest, step=step, scale=scale)
        if usual is not None:
            bounds = {"min": rounded(usual.low, 4, up=False), "max": rounded(usual.high, 4, up=True)}
            yield Suggestion("aggregate", (sql,), bounds, f"as in {recent.loads} loads")


def _repeated(recent: Recent) -> Iterator[Suggestion]:
    """Suggest that a whole number is the year, the day, the hour of a moment, or of the beginning of the interval."""
    for name, (part, moment) in recent.calendar.items():
        yield Suggestion(
            "expression", (f"{identifier(name)} = {part}({moment})",), {}, f"so it was in {recent.loads} loads"
        )
    for name, (moment, ahead) in recent.clocks.items():
        said = f"the hour {ahead} hours east of {moment}; edit it if clocks are changed there"
        condition = f"({identifier(name)} - hour({identifier(moment)}) + 24) % 24 = {ahead}"
        yield Suggestion("expression", (condition,), {}, said)
