"""Suggestions about all groups of a category or a code: how each one's numbers lie beside those of all rows."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from penstock.profiles.ranges import Range, usual_range
from penstock.queries.text import identifier
from penstock.suggest.recent import LOAD, Recent, finite, kind_of, written
from penstock.suggest.suggestion import TRIED, Suggestion, rounded

_MOST_COLUMNS, _MOST_NUMBERS = 4, 12
_FEWEST_GROUPS, _MOST_GROUPS = 2, 150
_LARGE = 8
"""Rows that a group has in the middle, from which on its mean is worth an alarm by itself."""
_LARGEST = 0.8
"""A group of most rows is no other than all of them."""
_MANY, _SHARE = 2, 0.1
"""So many small groups may lie elsewhere at once, and so large a part of them."""
_ROOM = 0.3
"""The least margin, in deviations of all rows."""
_TELLING = 2.5
"""A range of so many deviations tells nothing any more."""


def beside(recent: Recent) -> Iterator[Suggestion]:
    """Suggest where the mean of each group lies beside that of all rows, in deviations of these."""
    columns = [
        name
        for name in recent.of_type("text")
        if name in recent.values and _FEWEST_GROUPS <= recent.distinct[name] <= _MOST_GROUPS
    ]
    # What tells rows apart is a name, also where it is a number: its mean says nothing.
    numbers = [name for name in recent.spread if name not in recent.key]
    for column in columns[:_MOST_COLUMNS]:
        sizes, most = _sizes(recent, column), _LARGEST * recent.typical
        for number in numbers[:_MOST_NUMBERS]:
            ranges = _ranges(recent, column, number)
            large = {value: usual for value, usual in ranges.items() if _LARGE <= sizes[value] <= most}
            small = {value: usual for value, usual in ranges.items() if sizes[value] < _LARGE}
            if large:
                yield _suggested(recent, column, number, large, 0, f"of each {column}")
            if len(small) > _MANY / _SHARE:
                away = math.ceil(max(_MANY, _SHARE * len(small)))
                yield _suggested(recent, column, number, small, away, f"of most {column}")


def _sizes(recent: Recent, column: str) -> Mapping[str, float]:
    """Return how many rows a group has in the middle of the loads that have it."""
    query = f"SELECT {identifier(column)}, count(*) FROM {recent.relation} GROUP BY {LOAD}, 1"
    found: dict[str, list[int]] = defaultdict(list)
    for value, rows in recent.ask(query):
        found[value].append(rows)
    return {value: median(rows) for value, rows in found.items()}


def _ranges(recent: Recent, column: str, number: str) -> Mapping[str, Range]:
    query = (
        f"SELECT value, {LOAD}, lies FROM {_lying(recent, column, number, recent.relation, LOAD)} "
        "WHERE value IS NOT NULL AND lies IS NOT NULL AND isfinite(lies)"
    )
    by_value: dict[str, list[float | None]] = defaultdict(lambda: [None] * recent.loads)
    for value, load, lies in recent.ask(query):
        by_value[value][load] = lies
    found = {value: _steady(figures) for value, figures in by_value.items()}
    return {value: usual for value, usual in sorted(found.items()) if usual is not None and usual.width < _TELLING}


def _steady(figures: Sequence[float | None]) -> Range | None:
    """Return where the next figure is expected; None where what was expected of later ones did not hold."""
    for part in TRIED:
        known = int(part * len(figures))
        earlier = usual_range(figures[:known], varied=True, step=_ROOM)
        if earlier is not None and any(figure is not None and figure not in earlier for figure in figures[known:]):
            return None
    return usual_range(figures, varied=True, step=_ROOM)


def _lying(recent: Recent, column: str, number: str, relation: str, *more: str) -> str:
    """Return where the mean of each group lies beside that of all rows, of each load."""
    listed, value = "".join(f"{name}, " for name in more), finite(recent, number)
    of = f"OVER (PARTITION BY {', '.join(more)})" if more else "OVER ()"
    rows = (
        f"SELECT {listed}{identifier(column)} AS value, {value} AS number, avg({value}) {of} AS middle, "
        f"stddev_pop({value}) {of} AS spread FROM {relation}"
        # What is no number, or infinite, is told by others.
        + (f" WHERE isfinite({identifier(number)})" if kind_of(recent.columns[number]) == "real" else "")
    )
    keys = ", ".join([*more, "value"])
    return (
        f"(SELECT {keys}, (avg(number) - min(middle)) / nullif(min(spread), 0) AS lies FROM ({rows}) GROUP BY {keys})"
    )


def _suggested(
    recent: Recent, column: str, number: str, ranges: Mapping[str, Range], away: int, called: str
) -> Suggestion:
    expected = ", ".join(
        f"({written(value)}, {rounded(usual.low, 3, up=False)!r}, {rounded(usual.high, 3, up=True)!r})"
        for value, usual in ranges.items()
    )
    others = (
        f"SELECT value, lies, low, high, count(*) OVER () AS away FROM "
        f"{_lying(recent, column, number, identifier(recent.table))} "
        f"JOIN (VALUES {expected}) AS expected(value, low, high) USING (value) WHERE lies NOT BETWEEN low AND high"
    )
    query = f"SELECT value, lies, low, high FROM ({others}) WHERE away > {away}"
    said = f"where the mean of {number} {called} lies beside that of all, in deviations, in {recent.loads} loads"
    if away:
        said += f"; {away} may lie elsewhere"
    return Suggestion("query", (query,), {"name": f"{number} {called}", "severity": "warn"}, said)
