"""Suggestions about the course of a day: how closely a number follows the hours as it did before."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator

from penstock.profiles.ranges import CLOSELY, Correlations, usual_range
from penstock.queries.text import identifier
from penstock.suggest.recent import Recent, finite
from penstock.suggest.suggestion import Suggestion, rounded

_HOURS = 8
"""So many hours have values in a load, in the middle."""
_LEAST = 0.1
"""A correlation that may be less tells nothing."""


def daily(recent: Recent) -> Iterator[Suggestion]:
    """Suggest how closely each number goes with the mean of its hour."""
    at = next((name for name in recent.of_type("moment") if _has_hours(recent, name)), None)
    if at is None:
        return
    for name in recent.spread:
        hour = f"hour({identifier(at)})"
        means = recent.ask(
            f"SELECT {hour}, avg({finite(recent, name)}) FROM {recent.relation} WHERE {hour} IS NOT NULL "
            "GROUP BY 1 HAVING avg(1) IS NOT NULL ORDER BY 1"
        )
        cases = " ".join(f"WHEN {each} THEN {rounded(mean, 4)!r}" for each, mean in means if mean is not None)
        asked = f"corr({finite(recent, name)}, CAST(CASE {hour} {cases} END AS DOUBLE))"
        found = recent.by_load({"course": f"TRY_CAST({asked} AS DOUBLE)"})["course"]
        usual = usual_range(found, least=-1, greatest=1, step=CLOSELY, scale=Correlations())
        if usual is None or usual.low < _LEAST or any(value is None or not math.isfinite(value) for value in found):
            continue
        said = f"{name} goes by the hour: {min(found):.2f} to {max(found):.2f} in {recent.loads} loads"
        bounds = {"min": rounded(usual.low, 3, up=False), "name": f"{name} by the hour", "severity": "warn"}
        yield Suggestion("aggregate", (asked,), bounds, said)


def _has_hours(recent: Recent, name: str) -> bool:
    hours = recent.by_load({"hours": f"count(DISTINCT hour({identifier(name)}))"})["hours"]
    return recent.distinct[name] > recent.loads and statistics.median([each or 0 for each in hours]) >= _HOURS
