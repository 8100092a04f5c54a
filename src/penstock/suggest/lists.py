"""Suggestions of lists: the values that a column has, where new ones have stopped coming, or nearly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from penstock.profiles.ranges import usual_most
from penstock.suggest.dependencies import referring
from penstock.suggest.recent import LEVELS, Recent, kind_of, new_shares
from penstock.suggest.suggestion import Suggestion, rounded

_NEW_LEVELS = 0.1
"""What is allowed to be a new level at least, though none was; beside three or more, as much as each of them has."""
_MOST_NEW_LEVELS, _MOST_NEW_TEXTS = 0.5, 0.4
"""Where more may be new, a list says nothing."""


def lists(recent: Recent) -> Iterator[Suggestion]:
    """Suggest the values that a column has, all of them or nearly all."""
    numbers = set(recent.numbers)
    for name, values in recent.values.items():
        kind = kind_of(recent.columns[name])
        if kind in ("whole", "real") and len(values) == 1 and name not in recent.calendar and recent.closed(name):
            # Nothing, so far, is no rule: what is counted may come.
            if values != [0]:
                yield Suggestion(
                    "in_set", (name, values), {"at_most": recent.rare}, f"the same in {recent.loads} loads"
                )
        elif name in numbers and _levels(recent, name, values):
            filled = 1 - recent.nulls[name] / max(1, sum(recent.rows))
            # One more level may come as often as the others do; beside two, yes and no, there is none.
            alike = 1 / (len(values) + 1) if len(values) > 2 else 0.0
            step = max(_NEW_LEVELS, alike, recent.tolerated / max(filled, 0.01))
            yield from _nearly(recent, name, step, _MOST_NEW_LEVELS)
        elif kind == "text" and name not in referring(recent):
            # Where there is another table, that is the list, and is kept up.
            yield from (
                _closed(recent, name)
                if recent.closed(name)
                else _nearly(recent, name, recent.tolerated, _MOST_NEW_TEXTS)
            )


def _closed(recent: Recent, name: str) -> Iterator[Suggestion]:
    said = f"no other value in {recent.loads} loads, and none that came in the later half"
    yield Suggestion("in_set", (name, sorted(recent.values[name])), {"at_most": recent.rare}, said)


def _nearly(recent: Recent, name: str, step: float, limit: float) -> Iterator[Suggestion]:
    """Suggest a list of what values nearly always are, with the share of new ones that may come."""
    values, shares = recent.values[name], new_shares(recent, name)
    most = usual_most(shares, step=step, limit=limit)
    if most is not None:
        allowed = float(rounded(most, 3, up=True))
        said = f"{len(values)} values; at most {max(value or 0 for value in shares):.1%} of a load were new ones"
        yield Suggestion("in_set", (name, sorted(values)), {"at_most": allowed}, said)


def _levels(recent: Recent, name: str, values: Sequence[float]) -> bool:
    """Say whether numbers are levels to choose from, not measured or counted: those still come new, or seldom."""
    return recent.closed(name) and (len(values) <= LEVELS or not _measured(values))


def _measured(values: Sequence[float]) -> bool:
    """Say whether numbers fill half of the steps between the least and the greatest, so that others may come."""
    ordered = sorted(values)
    steps = [right - left for left, right in pairwise(ordered)]
    return ordered[-1] - ordered[0] < 2 * len(ordered) * min(steps) * (1 + 1e-6)
