"""Suggestions about series: how far a number moves from one moment to the next, and how long it stands still."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence

from penstock.profiles.ranges import Amounts, Range, Shares, heavy_tailed, usual_range
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
_CHANCE = 2 / math.sqrt(math.pi)
"""The mean step of independent normal values, in their deviations (von Neumann, 1941)."""
_ORDERED = 0.6
"""Steps that never were longer have room halfway to chance, by factors: those of a shuffled column are of chance."""
_LONGEST = 0.5
"""A stand-still of so much of a series tells nothing any more."""
_FIGURES = {
    "size": "avg(abs(step)) / nullif(stddev_pop(value), 0)",
    "still": "count_if(step = 0) / nullif(count(step), 0)",
    "far": "max(abs(step))",
    "spike": "max(CASE WHEN sign(step) * sign(next) < 0 THEN least(abs(step), abs(next)) ELSE 0 END)",
}
_PARTS = {"step": "avg(abs(step))", "own": "stddev_pop(value)"}
_ROUGH = "{step} / nullif(greatest({own}, {usually!r}), 0)"
"""Steps beside the deviation, or on a day on which little moves beside the usual one."""
_LENGTHS = ("far", "spike")
"""Figures in the unit of the number."""


@dataclass(frozen=True, slots=True)
class _Series:
    """A number in the order of its moments, of each value of a category or of all rows together."""

    recent: Recent
    name: str
    at: str
    per: str | None

    def rows(self, relation: str, *more: str) -> str:
        """Return the rows of a relation that have a value, with ``value``, ``step``, ``next`` and ``series``."""
        column, keys = identifier(self.name), [*more, *([identifier(self.per)] if self.per else [])]
        parts = f"PARTITION BY {', '.join(keys)} " if keys else ""
        order = f"{parts}ORDER BY {identifier(self.at)}, {column}"
        series = f"concat_ws('/', {', '.join(keys)})" if keys else "''"
        return (
            f"(SELECT {', '.join([*more, f'{series} AS series', f'{column} AS value'])}, "
            f"{column} - lag({column}) OVER ({order}) AS step, lead({column}) OVER ({order}) - {column} AS next, "
            f"row_number() OVER ({order}) AS place "
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


def series_of(recent: Recent) -> tuple[str, str | None] | None:
    """Return the moment that orders the rows, and the category whose values are series of their own, if one is."""
    if "series" not in recent.learned:
        recent.learned["series"] = _series_of(recent)
    found: tuple[str, str | None] | None = recent.learned["series"]
    return found


def _series_of(recent: Recent) -> tuple[str, str | None] | None:
    moments = [name for name in recent.of_type("moment") if recent.distinct[name] > recent.loads]
    names = recent.key
    at = next((name for name in moments if name in names), None)
    if at is None:
        return None
    # What only now and then tells moments apart makes no series.
    often = [name for name in names if told(recent, [other for other in names if other != name]) > sum(recent.rows) / 2]
    return at, next((name for name in often if name in recent.categories(most=60)), None)


def steps(recent: Recent) -> Iterator[Suggestion]:
    """Suggest how far each number of a series moves from row to row, and how long it stands still."""
    found = series_of(recent)
    if found is None:
        return
    for name in recent.spread:
        series = _Series(recent, name, *found)
        yield from _moves(series)
        yield from _stands(series)


def _moves(series: _Series) -> Iterator[Suggestion]:
    recent = series.recent
    rows = series.rows(recent.relation, LOAD)
    found = recent.by_load(_FIGURES | _PARTS, rows)
    sizes = [value for value in found["size"] if value is not None]
    if not sizes or statistics.median(sizes) > _SMOOTH:
        return
    deviations = [value for value in found["own"] if value is not None and math.isfinite(value)]
    usually = float(rounded(statistics.median(deviations), 4)) if deviations else 0.0
    figures = _FIGURES | {"rough": _ROUGH.format(**_PARTS, usually=usually)}
    found["rough"] = [_rough(*parts, usually) for parts in zip(found["step"], found["own"], strict=True)]
    limits = []
    for figure, sql in figures.items():
        usual = _usual(figure, found[figure], recent.typical)
        if usual is None:
            continue
        low, high = rounded(usual.low, 4, up=False), rounded(usual.high, 4, up=True)
        if figure in _LENGTHS:
            limits.append(f"{sql} > {high!r}")
        elif usual.width < 0.9:
            limits.append(f"{sql} NOT BETWEEN {low!r} AND {high!r}")
    if limits:
        said = (
            f"how far {series.name} moves from row to row{series.called} (beside its deviation, and at most), "
            "how often it stands still, and how far one value lies off both neighbours"
        )
        listed = ", ".join(f"{sql} AS {figure}" for figure, sql in figures.items())
        query = f"SELECT {listed} FROM {series.rows(identifier(recent.table))} HAVING {' OR '.join(limits)}"
        yield Suggestion("query", (query,), {"name": f"steps of {series.name}", "severity": "warn"}, said)


def _rough(step: float | None, own: float | None, usually: float) -> float | None:
    """Return what ``_ROUGH`` is of a load."""
    beside = max(own or 0.0, usually)
    return step / beside if step is not None and beside else None


def _usual(figure: str, found: Sequence[float | None], rows: float) -> Range | None:
    most = max(value or 0.0 for value in found)
    if figure == "rough":
        return Range(0.0, math.sqrt(most * _CHANCE)) if 0 < most <= _ORDERED else None
    if figure in _LENGTHS:
        # Steps of whole numbers are often alike.
        factors = Amounts() if heavy_tailed(found) else None
        return usual_range(found, step=_FURTHER * most, least=0.0, scale=factors, ahead=AHEAD)
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
