"""Suggestions about the course of a day: how closely a number follows the hours as it did before."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from functools import cached_property
from itertools import product
from typing import Any

from penstock.profiles.ranges import CLOSELY, Correlations, reach, usual_range
from penstock.queries.text import identifier
from penstock.suggest.recent import LOAD, Recent, finite, written
from penstock.suggest.steps import series_of
from penstock.suggest.suggestion import Suggestion, rounded
from penstock.values import dataclass

_HOURS = 8
"""So many hours have values in a load, in the middle."""
_LEAST = 0.1
"""A correlation that may be less tells nothing."""
_ROOM = 0.3
"""The least margin of a correlation: holidays are not seen in a month."""
_SELDOM = 0.001
"""A correlation that is less so seldom, by the tail of those before, is not expected."""
_WEEKENDS, _BETTER = 6, 0.1
"""So many loads of weekends show how they go, and so much more closely hours told apart further are to be followed."""
_MOST_MEANS = 240
"""A longer list is no check that somebody reads."""


@dataclass(frozen=True)
class _Course:
    """A number beside the mean of its hour; of each value of a category, if so wanted.

    Where weekends are told apart, a load may go like weekdays or like weekends: which holidays do, no calendar says.
    """

    recent: Recent
    name: str
    at: str
    per: str | None
    weekends: bool

    @property
    def called(self) -> str:
        """What it goes by."""
        hour = "hour of weekdays or of weekends" if self.weekends else "hour"
        return f"{hour} of its {self.per}" if self.per else hour

    @property
    def _hours(self) -> str:
        series = identifier(self.per) if self.per else "''"
        return f"hour({identifier(self.at)}) AS hour, {series} AS series, {finite(self.recent, self.name)} AS number"

    @cached_property
    def means(self) -> list[tuple[Any, ...]]:
        """The hour, the series, and the mean there; of weekdays, and of weekends, if they are told apart."""
        weekend = f"isodow({identifier(self.at)}) > 5"
        kinds = [f"NOT {weekend}", weekend] if self.weekends else ["TRUE"]
        listed = ", ".join(f"avg(number) FILTER ({kind})" for kind in kinds)
        found = self.recent.ask(
            f"SELECT hour, series, {listed} FROM (SELECT {self._hours}, {identifier(self.at)} "
            f"FROM {self.recent.relation}) WHERE hour IS NOT NULL AND series IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2"
        )
        # Numbers at the edge of what a double holds have no finite mean.
        return [row for row in found if all(mean is not None and math.isfinite(mean) for mean in row[2:])]

    def followed(self, relation: str, *more: str) -> str:
        """Return how closely the number goes with the mean, in each series beside its own mean of the day."""
        keys = "".join(f"{name}, " for name in more)
        names = ["mean", "weekend"][: len(self.means[0]) - 2]
        expected = ", ".join(
            f"({hour}, {written(series)}, {', '.join(repr(rounded(mean, 4)) for mean in means)})"
            for hour, series, *means in self.means
        )
        beside = ", ".join(
            f"{each} - avg({each}) OVER (PARTITION BY {keys}series) AS {each}" for each in ("number", *names)
        )
        joined = (
            f"SELECT {keys}{beside} FROM (SELECT {keys}{self._hours} FROM {relation}) JOIN (VALUES {expected}) "
            f"AS expected(hour, series, {', '.join(names)}) USING (hour, series) WHERE number IS NOT NULL"
        )
        closest = f"greatest({', '.join(f'TRY_CAST(corr(number, {each}) AS DOUBLE)' for each in names)})"
        grouped = f" GROUP BY {', '.join(more)}" if more else ""
        return f"(SELECT {keys}{closest} AS course FROM ({joined}){grouped})"


def daily(recent: Recent) -> Iterator[Suggestion]:
    """Suggest how closely each number goes with the mean of its hour."""
    at = next((name for name in recent.of_type("moment") if _has_hours(recent, name)), None)
    if at is None:
        return
    weekends = (False, True) if _has_weekends(recent, at) else (False,)
    series = series_of(recent)
    ways = list(product((None, series[1]) if series and series[1] else (None,), weekends))
    for name in recent.spread:
        found = [told for per, apart in ways if (told := _suggested(_Course(recent, name, at, per, apart))) is not None]
        if found:
            # What tells fewer hours apart is easier to read.
            yield max(found, key=lambda each: each[0] - _BETTER * (each is not found[0]))[1]


def _suggested(course: _Course) -> tuple[float, Suggestion] | None:
    """Return how closely a number goes with the mean of its hour at least, and the check of it; None if it does not."""
    recent, name = course.recent, course.name
    if not 0 < len(course.means) <= _MOST_MEANS:
        return None
    found = recent.by_load({"course": "min(course)"}, course.followed(recent.relation, LOAD))["course"]
    known = [value for value in found if value is not None and math.isfinite(value)]
    usual = usual_range(known, least=-1, greatest=1, step=CLOSELY, scale=Correlations())
    if usual is None or len(known) < len(found):
        return None
    # Most days are alike, and how far a few stray has nothing to do with how little those do.
    low = float(rounded(max(usual.low, reach(known, chance=_SELDOM, step=_ROOM).low), 3, up=False))
    if low < _LEAST:
        return None
    said = f"{name} goes by the {course.called}: {min(known):.2f} to {max(known):.2f} in {recent.loads} loads"
    query = (
        f"SELECT course FROM {course.followed(identifier(recent.table))} "
        f"WHERE course IS NULL OR isnan(course) OR course < {low!r}"
    )
    return low, Suggestion("query", (query,), {"name": f"{name} by the hour", "severity": "warn"}, said)


def _has_weekends(recent: Recent, at: str) -> bool:
    """Say whether enough loads are of weekends, and enough are not."""
    found = recent.by_load({"share": f"avg(CASE WHEN isodow({identifier(at)}) > 5 THEN 1 ELSE 0 END)"})["share"]
    ends = sum((share or 0) > 0.5 for share in found)
    return bool(min(ends, recent.loads - ends) >= _WEEKENDS)


def _has_hours(recent: Recent, name: str) -> bool:
    hours = recent.by_load({"hours": f"count(DISTINCT hour({identifier(name)}))"})["hours"]
    return recent.distinct[name] > recent.loads and statistics.median([each or 0 for each in hours]) >= _HOURS
