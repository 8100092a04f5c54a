"""Suggestions about series: how far a number moves from one moment to the next."""

from __future__ import annotations

import math
from collections.abc import Iterator

from penstock.profiles.ranges import Amounts, Shares, usual_range
from penstock.queries.text import identifier
from penstock.suggest.recent import LOAD, Recent
from penstock.suggest.shape import key
from penstock.suggest.suggestion import Suggestion, rounded

_ROOM = 0.15
"""The least margin of both figures."""
_SMOOTH = 0.9
"""Steps beside the deviation, up to which a number is a series: 1.13 is what chance alone gives."""


def steps(recent: Recent) -> Iterator[Suggestion]:
    """Suggest how far each number of a series moves from row to row."""
    moments = [name for name in recent.of_type("moment") if recent.distinct[name] > recent.loads]
    names = key(recent)
    at = next((name for name in moments if name in names), None)
    if at is None:
        return
    per = next((name for name in names if name in recent.categories(most=60)), None)
    for name in recent.spread:
        yield from _steps(recent, name, at, per)


def _steps(recent: Recent, name: str, at: str, per: str | None) -> Iterator[Suggestion]:
    column, moment = identifier(name), identifier(at)
    own = f"PARTITION BY {identifier(per)} ORDER BY {moment}" if per else f"ORDER BY {moment}"
    mine = (
        f"PARTITION BY {LOAD}, {identifier(per)} ORDER BY {moment}" if per else f"PARTITION BY {LOAD} ORDER BY {moment}"
    )
    source = (
        f"(SELECT {LOAD}, {column} AS value, {column} - lag({column}) OVER ({mine}) AS step FROM {recent.relation})"
    )
    figures = {
        "size": "avg(abs(step)) / nullif(stddev_pop(value), 0)",
        "still": "count_if(step = 0) / nullif(count(step), 0)",
    }
    found = recent.by_load(figures, source)
    sizes = [value for value in found["size"] if value is not None]
    if not sizes or sorted(sizes)[len(sizes) // 2] > _SMOOTH:
        return
    limits = []
    for figure, sql in figures.items():
        greatest, scale = (1.0, Shares(recent.typical)) if figure == "still" else (math.inf, Amounts())
        usual = usual_range(found[figure], step=_ROOM, varied=True, least=0.0, greatest=greatest, scale=scale)
        if usual is not None and usual.width < 0.9:
            low, high = rounded(usual.low, 4, up=False), rounded(usual.high, 4, up=True)
            limits.append(f"{sql} NOT BETWEEN {low!r} AND {high!r}")
    if not limits:
        return
    series = f" of one {per}" if per else ""
    said = f"how far {name} moves from row to row{series} (beside its deviation), and how often it stands still"
    table = identifier(recent.table)
    rows = f"SELECT {column} AS value, {column} - lag({column}) OVER ({own}) AS step FROM {table}"
    query = f"SELECT {figures['size']} AS size, {figures['still']} AS still FROM ({rows}) HAVING {' OR '.join(limits)}"
    yield Suggestion("query", (query,), {"name": f"steps of {name}", "severity": "warn"}, said)
