"""Suggestions about figures of all rows together: groups beside each other, columns beside each other."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import combinations

from penstock.profiles.ranges import Correlations, Range, Shares, usual_range
from penstock.queries.text import identifier
from penstock.suggest.recent import Recent, finite, written
from penstock.suggest.suggestion import Suggestion, rounded

_GROUPS = 6
_FEWEST = 8
"""Rows that a group has in the middle, below which its figures are left to chance."""


_ROOM = 0.3
"""The least margin: of a mean in deviations, of a share of values."""
_ALWAYS, _MAIN = 5, 0.1
"""What came so often at the least in every load, and was so large a part of it, is not missing by chance."""
_LARGEST = 0.8
"""A group of most rows is no other than all of them."""
_TELLING = 2.5
"""A range of so many deviations tells nothing any more."""


def groups(recent: Recent) -> Iterator[Suggestion]:
    """Suggest how the numbers of each group of a category lie beside those of all, and how many are missing."""
    for category in recent.categories():
        column = identifier(category)
        for value in recent.values[category][:_GROUPS]:
            of = f"FILTER (WHERE {column} = {written(value)})"
            rows = recent.by_load({"rows": f"count(*) {of}"})["rows"]
            part = sum(rows) / sum(recent.rows)
            if sorted(rows)[len(rows) // 2] >= _FEWEST and part <= _LARGEST:
                yield from _group(recent, of)


def _group(recent: Recent, of: str) -> Iterator[Suggestion]:
    asked: dict[str, float] = {}
    for name in recent.spread:
        column = identifier(name)
        asked[f"(avg({column}) {of} - avg({column})) / nullif(stddev_pop({column}), 0)"] = _TELLING
        if recent.nulls[name]:
            asked[f"count({column}) {of} / nullif(count(*) {of}, 0)"] = 0.9
    found = recent.by_load({sql: f"TRY_CAST({sql} AS DOUBLE)" for sql in asked})
    for sql, most in asked.items():
        share = sql.startswith("count")
        usual = (
            usual_range(found[sql], least=0, greatest=1, step=_ROOM, scale=Shares(recent.typical))
            if share
            else usual_range(found[sql], varied=True, step=_ROOM)
        )
        if usual is not None and usual.width < most:
            yield _bounded(sql, usual, recent)


def present(recent: Recent) -> Iterator[Suggestion]:
    """Suggest which values of a category come in every load."""
    for category in recent.categories(most=60):
        column = identifier(category)
        values = recent.values[category]
        found = recent.by_load({value: f"count(*) FILTER (WHERE {column} = {written(value)})" for value in values})
        fewest = max(_ALWAYS, _MAIN * recent.typical)
        always = [value for value in values if min(count or 0 for count in found[value]) >= fewest]
        if not always:
            continue
        listed = ", ".join(f"({written(value)})" for value in always)
        query = (
            f"SELECT value FROM (VALUES {listed}) AS expected(value) "
            f"WHERE value NOT IN (SELECT {column} FROM {identifier(recent.table)} WHERE {column} IS NOT NULL)"
        )
        said = f"{len(always)} values came in each of {recent.loads} loads, {fewest:.0f} times or more"
        yield Suggestion("query", (query,), {"name": f"all of {category}", "severity": "warn"}, said)


def together(recent: Recent) -> Iterator[Suggestion]:
    """Suggest how closely two numbers go together, where they do."""
    pairs = list(combinations(recent.numbers[:20], 2))
    number = {name: finite(recent, name) for name in recent.numbers}
    found = recent.by_load({pair: f"corr({number[pair[0]]}, {number[pair[1]]})" for pair in pairs})
    for pair in pairs:
        usual = usual_range(found[pair], least=-1, greatest=1, scale=Correlations())
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
