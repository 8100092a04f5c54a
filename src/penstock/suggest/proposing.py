"""All suggestions for a table, without repetition."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeAlias

from penstock.profiles.ranges import FEWEST
from penstock.suggest import (
    across,
    daily,
    dependencies,
    figures,
    gaps,
    groups,
    lists,
    moments,
    numbers,
    shape,
    steps,
    texts,
)
from penstock.suggest.recent import Recent
from penstock.suggest.suggestion import TRIED, Suggestion

_RULES: Sequence[Callable[[Recent], Iterator[Suggestion]]] = (
    shape.columns,
    shape.volume,
    shape.keys,
    shape.order,
    dependencies.references,
    lists.lists,
    texts.texts,
    numbers.numbers,
    moments.moments,
    across.ordered,
    across.totals,
    across.linear,
    dependencies.dependencies,
    gaps.gaps,
    gaps.filled,
    figures.present,
    figures.groups,
    groups.beside,
    figures.together,
    steps.steps,
    daily.daily,
)


Failing: TypeAlias = Callable[[Sequence[Suggestion], int], set[str]]
"""The names of the suggestions that a load fails, by its number."""


def propose(recent: Recent, failing: Failing | None = None) -> list[Suggestion]:
    """Return what the recent loads suggest, each once, with names that tell them apart.

    Args:
        recent: The loads.
        failing: Tries suggestions on a load. What the first half of the loads suggests is tried on the others, and what
            three quarters suggest on the rest: what would have raised an alarm there is not suggested.
    """
    found = _suggested(recent)
    if failing is None:
        return found
    wrong: set[str] = set()
    for part in TRIED:
        known = int(part * recent.loads)
        if known >= FEWEST:
            earlier = _suggested(recent.first(known))
            wrong.update(*(failing(earlier, load) for load in range(known, recent.loads)))
    return [suggestion for suggestion in found if called(suggestion) not in wrong]


def _suggested(recent: Recent) -> list[Suggestion]:
    found: list[Suggestion] = []
    taken: set[str] = set()
    codes: set[str] = set()
    for rule in _RULES:
        for suggestion in rule(recent):
            if suggestion.code() in codes:
                continue
            codes.add(suggestion.code())
            found.append(_named(suggestion, taken))
    return found


def _named(suggestion: Suggestion, taken: set[str]) -> Suggestion:
    """Return it with a name of its own, where the one that it would get is taken or too long to be told apart."""
    default = called(suggestion)
    name = default
    number = 2
    while name in taken or len(name) > 80:
        name = f"{default[:70]} … {number}"
        number += 1
    taken.add(name)
    if name == default:
        return suggestion
    return replace(suggestion, keywords={**suggestion.keywords, "name": name})


def called(suggestion: Suggestion) -> str:
    """Return the name that its check has."""
    if "name" in suggestion.keywords:
        return str(suggestion.keywords["name"])
    if suggestion.kind in ("expression", "query", "aggregate"):
        return " ".join(str(suggestion.arguments[0]).split())
    if suggestion.kind == "statistic":
        return f"{suggestion.arguments[1]}({suggestion.arguments[0]})"
    if suggestion.kind in ("not_null", "unique", "correlation"):
        return f"{suggestion.kind}({', '.join(suggestion.arguments)})"
    if suggestion.kind in ("schema", "row_count", "volume"):
        return suggestion.kind
    columns = suggestion.arguments[0]
    listed = columns if isinstance(columns, str) else ", ".join(columns)
    return f"{suggestion.kind}({listed})"
