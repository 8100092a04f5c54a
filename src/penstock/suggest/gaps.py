"""Suggestions about gaps of columns together: which is missing only where another one is missing as well."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

from penstock.profiles.ranges import usual_most
from penstock.queries.text import identifier
from penstock.suggest.recent import Recent
from penstock.suggest.suggestion import Suggestion, rounded

_FEWEST = 60
"""So many gaps were there beside others: by the rule of three, fewer than 1 in 20 others are not."""
_PROVEN, _SELDOM = 300, 0.005
"""So many gaps make it a rule, which so few rows may break."""
_MOST_COLUMNS = 16
_MOST = 0.2


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
