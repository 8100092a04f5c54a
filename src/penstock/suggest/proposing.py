"""All suggestions for a table, without repetition."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from penstock.suggest import across, dependencies, figures, moments, numbers, shape, steps, texts
from penstock.suggest.recent import Recent
from penstock.suggest.suggestion import Suggestion

_RULES: Sequence[Callable[[Recent], Iterator[Suggestion]]] = (
    shape.columns,
    shape.volume,
    shape.keys,
    shape.order,
    dependencies.references,
    texts.texts,
    numbers.numbers,
    moments.moments,
    across.ordered,
    across.totals,
    across.linear,
    dependencies.dependencies,
    figures.groups,
    figures.together,
    steps.steps,
)


def propose(recent: Recent) -> list[Suggestion]:
    """Return what the recent loads suggest, each once, with names that tell them apart."""
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
    default = _default(suggestion)
    name = default
    number = 2
    while name in taken or len(name) > 80:
        name = f"{default[:70]} … {number}"
        number += 1
    taken.add(name)
    if name == default:
        return suggestion
    return replace(suggestion, keywords={**suggestion.keywords, "name": name})


def _default(suggestion: Suggestion) -> str:
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
