"""Suggestions about series: how far a number moves from one moment to the next, and how long it stands still."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence

from penstock.profiles.ranges import Amounts, Range, Shares, by_factors, usual_range
from penstock.queries.text import identifier
from penstock.suggest.recent import AHEAD, LOAD, Recent
from penstock.suggest.shape import told
from penstock.suggest.suggestion import Suggestion, rounded
from penstock.values import dataclass

_ROOM = 0.15
"""The least margin of both shares."""
_FURTHER = 0.25
"""The least margin of the longest step, beside itself: of whole numbers the longest ones are alike."""
_SMOOTH = 0.9
"""Steps beside the deviation, up to which a number is a series: 1.13 is what chance alone gives."""
_LONGEST = 0.5
"""A stand-still of so much of a series tells nothing any more."""
_FIGURES = {
    "size": "avg(abs(step)) / nullif(stddev_pop(value), 0)",
    "still": "count_if(step = 0) / nullif(count(step), 0)",
    "far": "max(abs(step))",
}


@dataclass(frozen=True, slots=True)
class _Series:
    """A number in the order of its moments, of each value of a category or of all rows together."""

    recent: Recent
    name: str
    at: str
    per: str | None

    def rows(self, relation: str, *more: str) -> str:
        """Return the rows of a relation with ``value``, ``step`` and ``series``, those without a value left out."""
        column, keys = identifier(self.name), [*more, *([identifier(self.per)] if self.per else [])]
        parts = f"PARTITION BY {', '.join(keys)} " if keys else ""
        series = f"concat_ws('/', {', '.join(keys)})" if keys else "''"
        return (
            f"(SELECT {', '.join([*more, f'{series} AS series', f'{column} AS value'])}, {column} - lag({column}) "
            f"OVER ({parts}ORDER BY {identifier(self.at)}, {column}) AS step, "
            f"row_number() OVER ({parts}ORDER BY {identifier(self.at)}, {column}) AS place "
            f"FROM {relation} WHERE {column} IS NOT NULL)"
        )

    def runs(self, relation: str, *more: str) -> str:
        """Return how many rows each value stood still for."""
        keys = ", ".join([*more, "series"])
        islands = (
            f"SELECT {keys}, count(*) FILTER (step <> 0) OVER (PARTITION BY {keys} ORDER BY place) AS stand "
            f"FROM {self.rows(relation, *more)}"
        )
        return f"(SELECT {keys}, count(*) AS run FROM ({islands}) GROUP BY {keys}, stand)"

    @property
    def called(self) -> str:
        """What the rows of a series have in common."""
        return f" of one {self.per}" if self.per else ""


def steps(recent: Recent) -> Iterator[Suggestion]:
    """Suggest how far each number of a series moves from row to row, and how long it stands still."""
    moments = [name for name in recent.of_type("moment") if recent.distinct[name] > recent.loads]
    names = recent.key
    at = next((name for name in moments if name in names), None)
    if at is None:
        return
    # What only now and then tells moments apart makes no series.
    often = [name for name in names if told(recent, [other for other in names if other != name]) > sum(recent.rows) / 2]
    per = next((name for name in often if name in recent.categories(most=60)), None)
    for name in recent.spread:
        series = _Series(recent, name, at, per)
        yield from _moves(series)
        yield from _stands(series)


def _moves(series: _Series) -> Iterator[Suggestion]:
    recent = series.recent
    found = recent.by_load(_FIGURES, series.rows(recent.relation, LOAD))
    sizes = [value for value in found["size"] if value is not None]
    if not sizes or statistics.median(sizes) > _SMOOTH:
        return
    limits = []
    for figure, sql in _FIGURES.items():
        usual = _usual(figure, found[figure], recent.typical)
        if usual is None:
            continue
        low, high = rounded(usual.low, 4, up=False), rounded(usual.high, 4, up=True)
        if figure == "far":
            limits.append(f"{sql} > {high!r}")
        elif usual.width < 0.9:
            limits.append(f"{sql} NOT BETWEEN {low!r} AND {high!r}")
    if limits:
        said = (
            f"how far {series.name} moves from row to row{series.called} (beside its deviation, and at most), "
            "and how often it stands still"
        )
        listed = ", ".join(f"{sql} AS {figure}" for figure, sql in _FIGURES.items())
        query = f"SELECT {listed} FROM {series.rows(identifier(recent.table))} HAVING {' OR '.join(limits)}"
        yield Suggestion("query", (query,), {"name": f"steps of {series.name}", "severity": "warn"}, said)


def _usual(figure: str, found: Sequence[float | None], rows: float) -> Range | None:
    if figure == "far":
        # Steps of whole numbers are often alike.
        step = _FURTHER * max(value or 0.0 for value in found)
        return usual_range(found, step=step, least=0.0, scale=Amounts() if by_factors(found) else None, ahead=AHEAD)
    scale, greatest = (Shares(rows), 1.0) if figure == "still" else (Amounts(), math.inf)
    return usual_range(found, step=_ROOM, varied=True, least=0.0, greatest=greatest, scale=scale)


def _stands(series: _Series) -> Iterator[Suggestion]:
    recent = series.recent
    runs = series.runs(recent.relation, LOAD)
    found = recent.by_load({"longest": "max(run)"}, runs)["longest"]
    longest = f"(SELECT {LOAD}, sum(run) AS rows FROM {runs} GROUP BY {LOAD}, series)"
    lengths = recent.by_load({"rows": "median(rows)"}, longest)["rows"]
    rows = statistics.median([each or 0 for each in lengths])
    usual = usual_range(found, step=2.0, least=1.0, scale=Amounts())
    if usual is None or usual.high >= _LONGEST * rows:
        return
    most = int(usual.high)
    query = f"SELECT max(run) AS rows FROM {series.runs(identifier(recent.table))} HAVING max(run) > {most}"
    said = f"{series.name} stood still for {max(value or 0 for value in found)} rows{series.called} at most"
    yield Suggestion("query", (query,), {"name": f"stand-still of {series.name}", "severity": "warn"}, said)
