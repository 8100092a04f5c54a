"""What is unusual about a load: figures of its profile that lie outside of where they lay in the loads before."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from penstock.monitor.drift import names_rows
from penstock.profiles.profile import ColumnProfile, TableProfile
from penstock.profiles.ranges import Amounts, Shares, reach, usual_range
from penstock.schema import MOMENTS
from penstock.values import dataclass

_QUANTILES = {f"quantile {share:g}": share for share in (0.25, 0.5, 0.75)}
_MOST_CATEGORIES = 40
_SHARES = ("nulls", "NaN", "different", "commonest", "share")
_STEP = 0.05
"""The least margin of a share; of few rows it is the error of a sample, 1 / sqrt(rows)."""
_ROOM = 0.25
"""The least margin of a mean, deviation or quantile, in deviations of the values."""
_TURN = 0.1
"""The least angle by which a share of values may lie further off; of few rows it is twice the error of a sample."""
_SELDOM = 0.001
"""A share of values that is reached less often, by the tail of those before, is not within reach."""
_AMOUNTS = ("rows", "deviation")
_ERRORS = 3.0
"""So many of its own standard errors a mean may lie further off: one huge value moves it, and is told by itself."""
_TELLING, _VARIED = 2, 8
"""So many columns of so many values or more are never the same twice by chance."""


@dataclass(frozen=True, slots=True)
class Unusual:
    """A figure of a load that is not where it was.

    Attributes:
        column: The column; empty for the whole table.
        figure: Which figure.
        value: What it is.
        low: The least value that was expected.
        high: The greatest.
        said: A sentence.
    """

    column: str
    figure: str
    value: float
    low: float
    high: float
    said: str


def unusual(before: Sequence[TableProfile], newest: TableProfile) -> list[Unusual]:
    """Return what lies outside of its usual range, widened by as much as the loads before needed it.

    Args:
        before: The profiles of the loads before, oldest first.
        newest: The profile that is looked at.
    """
    found = list(_again(before, newest))
    found += _judged("", [{"rows": float(one.rows)} for one in before], {"rows": float(newest.rows)})
    for name, column in newest.columns.items():
        past = [one.columns[name] for one in before if name in one.columns and one.columns[name].type == column.type]
        if len(past) < len(before) or column.personal:
            continue
        listed = _listed(past)
        figures = [_figures(one, listed) for one in past]
        now = _figures(column, listed)
        if column.type in MOMENTS:
            figures, now = _moved(figures, now)
        elif names_rows([*past, column]):
            figures, now = [_uncounted(one) for one in figures], _uncounted(now)
        # The mean of what never is below zero grows by factors, as its values do.
        amounts = ("mean",) if all(not one.moments or one.moments.least >= 0 for one in past) else ()
        judged = _judged(name, figures, now, amounts)
        found += (one for one in judged if not _within_reach(one, past, column))
    return found


def _judged(
    column: str, before: Sequence[dict[str, float]], now: dict[str, float], amounts: Sequence[str] = ()
) -> Iterator[Unusual]:
    deviations = [one["deviation"] for one in before if "deviation" in one]
    rows = sorted(one.get("count", 0.0) for one in before)[len(before) // 2] if before else 0.0
    step = max(_STEP, 1 / math.sqrt(rows)) if rows else _STEP
    room = _ROOM * sum(deviations) / len(deviations) if deviations else 0.0
    for figure, value in now.items():
        if figure == "count":
            continue
        share = figure.startswith(_SHARES)
        past = [one.get(figure) for one in before]
        least, greatest = (0.0, 1.0) if share else (0.0 if figure in _AMOUNTS else -math.inf, math.inf)
        scale = Shares(rows) if share and rows else Amounts() if figure in (*_AMOUNTS, *amounts) else None
        least_room = step if share else max(room, _ERRORS * _error(now)) if figure == "mean" else room
        usual = usual_range(past, least=least, greatest=greatest, step=least_room, varied=not share, scale=scale)
        if usual is None or not math.isfinite(value) or value in usual:
            continue
        said = f"{figure} {value:.6g}, expected {usual.low:.6g} to {usual.high:.6g} after {len(before)} loads"
        yield Unusual(column, figure, value, usual.low, usual.high, said)


def _within_reach(found: Unusual, past: Sequence[ColumnProfile], column: ColumnProfile) -> bool:
    """Say whether a quantile only followed the share of the values below it, and that share is within its reach.

    Over a gap between values, or along a long tail, a quantile leaps far though few rows changed sides, and how far
    depends on the scale of the values. How many of them lie below a value does not.
    """
    if found.figure not in _QUANTILES:
        return False
    before = [one.histogram.share_below(found.value) for one in past if one.histogram and one.histogram.total]
    angles = [_angle(share) for share in before]
    room = max(_TURN, 1 / math.sqrt(max(1, column.values)))
    return _angle(_QUANTILES[found.figure]) in reach(angles, chance=_SELDOM, step=room)


def _angle(share: float) -> float:
    """Return the arc sine of the root of a share: by chance it varies alike wherever the share lies."""
    return math.asin(math.sqrt(min(max(share, 0.0), 1.0)))


def _error(now: dict[str, float]) -> float:
    """Return the standard error of the mean of a load."""
    deviation, count = now.get("deviation", 0.0), now.get("count", 0.0)
    return deviation / math.sqrt(count) if count and math.isfinite(deviation) else 0.0


def _figures(column: ColumnProfile, listed: Sequence[str]) -> dict[str, float]:
    """Return the figures of a column; a figure that it has not is not there."""
    found = {"nulls": column.null_share, "count": float(column.rows)}
    if not column.values:
        return found
    found["NaN"] = column.nans / column.values
    if column.distinct is not None:
        found["different"] = min(1.0, column.distinct.estimate() / column.values)
    if column.frequent is not None and column.frequent.counts:
        counts = column.frequent.counts
        found["commonest"] = max(counts.values()) / column.values
        if column.frequent.complete:
            found |= {f"share of {value!r}": counts.get(value, 0) / column.values for value in listed}
    if column.moments is not None and column.moments.count:
        moments = column.moments
        found |= {"mean": moments.mean, "deviation": moments.deviation}
        if column.type in MOMENTS:
            found |= {"least": moments.least, "greatest": moments.greatest}
    if column.histogram is not None and column.histogram.total and column.type != "VARCHAR":
        found |= {figure: column.histogram.quantile(share) for figure, share in _QUANTILES.items()}
    return found


def _listed(past: Sequence[ColumnProfile]) -> list[str]:
    """Return the values of a category, if the column is one in every load before."""
    if past[-1].type not in ("VARCHAR", "BOOLEAN") or any(
        not one.frequent or not one.frequent.complete for one in past
    ):
        return []
    values = dict.fromkeys(value for one in past if one.frequent for value in one.frequent.counts)
    return list(values) if len(values) <= _MOST_CATEGORIES else []


def _moved(
    before: Sequence[dict[str, float]], now: dict[str, float]
) -> tuple[list[dict[str, float]], dict[str, float]]:
    """Return figures of moments: by how much they moved since the load before."""
    kept = ("nulls", "count", "different", "commonest", "deviation")
    found, last = [], None
    for figures in (*before, now):
        mine = {name: value for name, value in figures.items() if name in kept}
        for name in ("mean", "least", "greatest"):
            if last is not None and name in figures and name in last:
                mine[f"step of the {name}"] = figures[name] - last[name]
        found.append(mine)
        last = figures
    return found[1:-1], found[-1]


def _uncounted(figures: dict[str, float]) -> dict[str, float]:
    """Return the figures of numbers that name a row: how large they are says nothing."""
    return {name: value for name, value in figures.items() if name == "count" or name.startswith(_SHARES)}


def _again(before: Sequence[TableProfile], newest: TableProfile) -> Iterator[Unusual]:
    """Say that a load holds the same values as one before, moments aside."""
    if not newest.rows:
        return
    names = [name for name, column in newest.columns.items() if column.type not in MOMENTS]
    varied = [name for name in names if _varied(newest.columns[name])]
    if len(varied) < _TELLING:
        return
    for back, one in enumerate(reversed(before), 1):
        same = one.rows == newest.rows and all(_same(one.columns.get(name), newest.columns[name]) for name in varied)
        if same:
            said = f"the same values as in the load {back} before"
            yield Unusual("", "the same again", 1.0, 0.0, 0.0, said)
            return


def _varied(column: ColumnProfile) -> bool:
    return not column.personal and column.distinct is not None and column.distinct.estimate() >= _VARIED


def _same(one: ColumnProfile | None, other: ColumnProfile) -> bool:
    return one is not None and (one.nulls, one.distinct, one.histogram) == (
        other.nulls,
        other.distinct,
        other.histogram,
    )
