"""Suggestions about figures of all rows together: what groups lack, which values come, columns beside each other."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import combinations
from statistics import fmean, median, pvariance

from penstock.profiles.ranges import CLOSELY, Correlations, Range, Shares, usual_range
from penstock.queries.text import identifier
from penstock.suggest.recent import AHEAD, ALWAYS, Recent, finite, written
from penstock.suggest.suggestion import Suggestion, rounded

_GROUPS = 6
_FEWEST = 8
"""Rows that a group has in the middle, below which its figures are left to chance."""


_ROOM = 0.3
"""The least margin of a share of values."""
_BY_CHANCE = 0.01
"""How probably at most one of the values that are expected is missing by chance in one of the loads to come."""
_LARGEST = 0.8
"""A group of most rows is no other than all of them."""
_MOST_WIDTH = 0.9
"""A wider range of shares tells nothing any more."""


def groups(recent: Recent) -> Iterator[Suggestion]:
    """Suggest how many values of each number each group of a category lacks."""
    for category in recent.categories():
        column = identifier(category)
        for value in recent.values[category][:_GROUPS]:
            of = f"FILTER (WHERE {column} = {written(value)})"
            rows = recent.by_load({"rows": f"count(*) {of}"})["rows"]
            part = sum(rows) / sum(recent.rows)
            if sorted(rows)[len(rows) // 2] >= _FEWEST and part <= _LARGEST:
                yield from _group(recent, of)


def _group(recent: Recent, of: str) -> Iterator[Suggestion]:
    gapped = [name for name in recent.spread if recent.nulls[name]]
    asked = {name: f"count({identifier(name)}) {of} / nullif(count(*) {of}, 0)" for name in gapped}
    found = recent.by_load({sql: f"TRY_CAST({sql} AS DOUBLE)" for sql in asked.values()})
    for sql in asked.values():
        usual = usual_range(found[sql], least=0, greatest=1, step=_ROOM, scale=Shares(recent.typical))
        if usual is not None and usual.width < _MOST_WIDTH:
            yield _bounded(sql, usual, recent)


def present(recent: Recent) -> Iterator[Suggestion]:
    """Suggest which values of a category come in every load."""
    for category in recent.categories(most=60):
        column = identifier(category)
        values = recent.values[category]
        found = recent.by_load({value: f"count(*) FILTER (WHERE {column} = {written(value)})" for value in values})
        fewest = recent.much
        # Where one of them was missing, that happens; what has come so far proves nothing then.
        often = [found[value] for value in values if median(count or 0 for count in found[value]) >= ALWAYS]
        complete = all(count for counts in often for count in counts)
        by_chance = _BY_CHANCE / AHEAD / len(values)
        always = [value for value in values if _always(found[value], fewest, by_chance, complete=complete)]
        if not always:
            continue
        listed = ", ".join(f"({written(value)})" for value in always)
        query = (
            f"SELECT value FROM (VALUES {listed}) AS expected(value) "
            f"WHERE value NOT IN (SELECT {column} FROM {identifier(recent.table)} WHERE {column} IS NOT NULL)"
        )
        said = f"{len(always)} values came in each of {recent.loads} loads, and often enough"
        yield Suggestion("query", (query,), {"name": f"all of {category}", "severity": "warn"}, said)


def _always(counts: Sequence[int | None], fewest: float, by_chance: float, *, complete: bool) -> bool:
    """Say whether a value that does not come has not been left out by chance: it came often, or about as often.

    Args:
        counts: How often it came in each load.
        fewest: How often is often.
        by_chance: How probably at most it does not come in a load.
        complete: Whether all values that come often came in each load.
    """
    known = [count or 0 for count in counts]
    return min(known) >= fewest or (complete and min(known) > 0 and _none(known) <= by_chance)


def _none(counts: Sequence[int]) -> float:
    """Return how probably a value does not come in a load, by the negative binomial distribution: counts in heaps."""
    mean, variance = fmean(counts), pvariance(counts)
    if variance <= mean:
        return math.exp(-mean)
    heaps = mean**2 / (variance - mean)
    return math.exp(-heaps * math.log1p(mean / heaps))


def together(recent: Recent) -> Iterator[Suggestion]:
    """Suggest how closely two numbers go together, where they do."""
    pairs = list(combinations(recent.numbers[:20], 2))
    number = {name: finite(recent, name) for name in recent.numbers}
    found = recent.by_load({pair: f"corr({number[pair[0]]}, {number[pair[1]]})" for pair in pairs})
    for pair in pairs:
        usual = usual_range(found[pair], least=-1, greatest=1, step=CLOSELY, scale=Correlations())
        if usual is not None and (usual.low > 0.1 or usual.high < -0.1) and all(map(_known, found[pair])):
            bounds = (
                {"min": rounded(usual.low, 3, up=False)} if usual.low > 0 else {"max": rounded(usual.high, 3, up=True)}
            )
            low, high = min(found[pair]), max(found[pair])
            yield Suggestion(
                "correlation", pair, {**bounds, "severity": "warn"}, f"{low:.2f} to {high:.2f} in {recent.loads} loads"
            )


def _known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _bounded(sql: str, usual: Range, recent: Recent) -> Suggestion:
    bounds = {"min": rounded(usual.low, 4, up=False), "max": rounded(usual.high, 4, up=True)}
    return Suggestion("aggregate", (sql,), {**bounds, "severity": "warn"}, f"as in {recent.loads} loads")
