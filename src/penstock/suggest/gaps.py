"""Suggestions about gaps of columns together: which is missing only where another one is missing as well."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations

from penstock.profiles.ranges import usual_most
from penstock.queries.text import identifier
from penstock.suggest.recent import LOAD, Recent
from penstock.suggest.suggestion import Suggestion, rounded

_FEWEST = 60
"""So many gaps were there beside others: by the rule of three, fewer than 1 in 20 others are not."""
_PROVEN, _SELDOM = 300, 0.005
"""So many gaps make it a rule, which so few rows may break."""
_MOST_COLUMNS = 16
_MOST = 0.2
_GROUP, _GROUPS, _PROVEN_GROUPS = 8, 4, 60
"""Rows of a group that is looked at; by so many categories at most; so many groups of loads make it a rule."""


def gaps(recent: Recent) -> Iterator[Suggestion]:
    """Suggest which columns are missing only where another one is, in all rows or in nearly all."""
    names = [name for name in recent.columns if _FEWEST <= recent.nulls[name] < sum(recent.rows)][:_MOST_COLUMNS]
    alone = {
        (one, other): f"{identifier(one)} IS NULL AND {identifier(other)} IS NOT NULL"
        for one, other in permutations(names, 2)
    }
    found = recent.by_load({pair: f"count_if({condition}) / count(*)" for pair, condition in alone.items()})
    for one in names:
        share = recent.nulls[one] / sum(recent.rows)
        # The one that is missing most seldom beside it says most.
        for other in sorted((name for name in names if name != one), key=lambda name: recent.nulls[name]):
            never = recent.nulls[one] >= _PROVEN and not any(found[one, other])
            seldom = max(_SELDOM, recent.rare / recent.typical)
            most = usual_most(found[one, other], step=seldom if never else recent.tolerated, limit=_MOST)
            if most is not None and sum(value or 0 for value in found[one, other]) / recent.loads < 0.05 * share:
                allowed = float(rounded(most, 3, up=True))
                said = f"{one} was missing only where {other} was, in {recent.nulls[one]:,} rows"
                yield Suggestion("expression", (f"NOT ({alone[one, other]})",), {"at_most": allowed}, said)
                break


def filled(recent: Recent) -> Iterator[Suggestion]:
    """Suggest which columns with gaps have some value in every load, and in every larger group of a category."""
    gapped = [name for name in recent.columns if 0 < recent.nulls[name] < sum(recent.rows)]
    counts = recent.by_load({name: f"count({identifier(name)})" for name in gapped})
    for name in gapped:
        if min(count or 0 for count in counts[name]) >= recent.much:
            said = f"{min(counts[name])} values or more came in each of {recent.loads} loads"
            asked = f"count({identifier(name)})"
            bounds = {"min": 1, "name": f"some {name}", "severity": "warn"}
            yield Suggestion("aggregate", (asked,), bounds, said)
    for category in recent.categories(most=60)[:_GROUPS]:
        yield from _in_groups(recent, category, gapped)


def _in_groups(recent: Recent, category: str, gapped: Sequence[str]) -> Iterator[Suggestion]:
    """Suggest which columns have some value in every group of a category that has rows enough."""
    group = identifier(category)
    counted = ", ".join(f"count({identifier(name)}) AS v{place}" for place, name in enumerate(gapped))
    groups = (
        f"(SELECT {LOAD}, {group}, {counted} FROM {recent.relation} WHERE {group} IS NOT NULL "
        f"GROUP BY ALL HAVING count(*) >= {_GROUP})"
    )
    asked = {name: f"count_if(v{place} = 0)" for place, name in enumerate(gapped)}
    found = recent.whole({**asked, "": "count(*)"}, groups) if gapped else {}
    always = [name for name in gapped if not found[name]] if found.get("", 0) >= _PROVEN_GROUPS else []
    if always:
        listed = ", ".join(f"count({identifier(name)}) AS {identifier(name)}" for name in always)
        lacking = " OR ".join(f"count({identifier(name)}) = 0" for name in always)
        query = (
            f"SELECT {group} AS value, {listed} FROM {identifier(recent.table)} WHERE {group} IS NOT NULL "
            f"GROUP BY {group} HAVING count(*) >= {_GROUP} AND ({lacking})"
        )
        said = (
            f"no {category} of {_GROUP} rows or more lacked all values, in {found['']} groups of {recent.loads} loads"
        )
        yield Suggestion("query", (query,), {"name": f"values of each {category}", "severity": "warn"}, said)
