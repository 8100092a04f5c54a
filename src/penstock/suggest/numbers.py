"""Suggestions about the numbers of one column: ranges, decimals, levels, figures."""

from __future__ import annotations

from collections.abc import Iterator

from penstock.profiles.ranges import Amounts, usual_most, usual_range
from penstock.queries.text import identifier
from penstock.suggest.recent import Recent, kind_of, new_shares
from penstock.suggest.suggestion import Suggestion, rounded

_MOST_DECIMALS = 6
_LEVELS = 12
_NEW_LEVELS = 0.1
"""What is allowed to be a new level, though none was."""


def numbers(recent: Recent) -> Iterator[Suggestion]:
    """Suggest what the numbers of each column have in common."""
    for name in recent.of_type("whole", "real"):
        if recent.distinct[name] == 1 and name not in recent.calendar:
            yield Suggestion("in_set", (name, recent.values[name]), {}, f"the same in {recent.loads} loads")
    yield from ranges(recent)
    for name in recent.numbers:
        if kind_of(recent.columns[name]) == "real":
            yield from _decimals(recent, name)
        yield from _levels(recent, name)


def ranges(recent: Recent) -> Iterator[Suggestion]:
    """Suggest the least and the greatest value, with room for what may come."""
    names = recent.numbers
    finite = {name: f"FILTER (isfinite({identifier(name)}))" for name in names}
    lows = recent.by_load({name: f"min({identifier(name)}) {finite[name]}" for name in names})
    highs = recent.by_load({name: f"max({identifier(name)}) {finite[name]}" for name in names})
    for name in names:
        low = usual_range([None if value is None else float(value) for value in lows[name]])
        high = usual_range([None if value is None else float(value) for value in highs[name]], scale=Amounts())
        least = min((float(value) for value in lows[name] if value is not None), default=0.0)
        greatest = max((float(value) for value in highs[name] if value is not None), default=0.0)
        # A range whose ends vary little is not narrower than the values themselves.
        room = 0.25 * (greatest - least)
        bounds = {}
        if low is not None:
            bottom = least if low.width < 1e-6 * max(1.0, abs(least)) else min(low.low, least - room)
            bounds["low"] = rounded(0 if least >= 0 > bottom else bottom, 4, up=False)
        if high is not None:
            top = greatest if high.width < 1e-6 * max(1.0, abs(greatest)) else max(high.high, greatest + room)
            bounds["high"] = rounded(0 if greatest <= 0 < top else top, 4, up=True)
        if bounds:
            yield Suggestion(
                "between", (name,), bounds, f"{rounded(least)} to {rounded(greatest)} in {recent.loads} loads"
            )


def _decimals(recent: Recent, name: str) -> Iterator[Suggestion]:
    """Suggest how many decimals a column has, where the engine's numbers have more."""
    column = identifier(name)
    counted = {
        digits: f"count_if({column} <> round({column}, {digits}) AND isfinite({column}))"
        for digits in range(_MOST_DECIMALS + 1)
    }
    found = recent.whole(counted)
    for digits in range(_MOST_DECIMALS + 1):
        if not found[digits]:
            said = f"no value has more than {digits} decimals" if digits else "all values are whole"
            yield Suggestion(
                "expression", (f"{column} = round({column}, {digits})",), {"at_most": recent.tolerated}, said
            )
            return


def _levels(recent: Recent, name: str) -> Iterator[Suggestion]:
    """Suggest a list of the levels, where nearly all values are some of few."""
    values = recent.values.get(name)
    if not values or recent.distinct[name] < 2 or _counts(values):
        return
    if not recent.settled[name] and all(value == int(value) for value in values):
        # Whole numbers that still come new are counts, perhaps.
        return
    shares = new_shares(recent, name)
    filled = 1 - recent.nulls[name] / max(1, sum(recent.rows))
    most = usual_most(shares, step=max(_NEW_LEVELS, recent.tolerated / max(filled, 0.01)), limit=0.5)
    if most is not None:
        allowed = float(rounded(most, 3, up=True))
        said = f"{len(values)} levels; at most {max(value or 0 for value in shares):.1%} of a load were new ones"
        yield Suggestion("in_set", (name, sorted(values)), {"at_most": allowed}, said)


def _counts(values: list[float]) -> bool:
    """Say whether numbers look like counts: one after the other, so that the next ones may come as well."""
    whole = all(value == int(value) for value in values)
    return whole and len(values) > _LEVELS and max(values) - min(values) < 2 * len(values)
