"""The range in which a figure lay, load after load, and how far beyond it the next one may lie."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from statistics import median
from typing import Protocol

from penstock.values import dataclass

MAD_TO_DEVIATION = 1.4826
"""Median absolute deviation to standard deviation, of what is normally distributed."""
FEWEST = 10
"""Of fewer loads nothing is concluded."""
_MARGIN = 1.0
"""The least margin to each side, in widths of the range: of normal figures of 40 loads, six to seven deviations."""
_CAUTION = 1.5
"""How much more than what the past itself would have needed."""
_WIDEST = 3.0
"""A figure that needs more is not steady enough to be judged."""
_LONGEST = 4.0
"""So many times the usual margin at most stand at the side of a long tail."""
_HEAVY = 4.0
"""With ten figures an exponential tail reaches three times its mean, and seldom further than this."""
_FACTOR = 4.0
"""Amounts that differ by more than this move by factors."""
_RARE = 3.0
"""So many times the greatest share so far may what is rare come to be: it comes in heaps."""
CLOSELY = 0.05
"""The least margin of a correlation, which one row of a few changes."""
_CLOSEST = 1 - 1e-9
_TIED = 0.3
"""A figure that stands still in so many loads, and moves in others, has no usual range."""


@dataclass(frozen=True, slots=True)
class Range:
    """From ``low`` to ``high``, both included."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        """Say whether a value lies in it."""
        return self.low <= value <= self.high

    @property
    def width(self) -> float:
        """How wide it is."""
        return self.high - self.low


class Scale(Protocol):
    """On what a figure moves evenly, if it is not the line of numbers."""

    def place(self, value: float) -> float:
        """Return where on the scale a figure stands, or NaN where it has no place."""

    def figure(self, place: float) -> float:
        """Return the figure that stands there."""


class Amounts:
    """Of what is above zero and grows by factors: rows, deviations, sizes. Logarithms."""

    def place(self, value: float) -> float:
        """Return the logarithm."""
        return math.log(value) if value > 0 else math.nan

    def figure(self, place: float) -> float:
        """Return the amount."""
        return math.exp(min(place, 700.0))


@dataclass(frozen=True, slots=True)
class Shares:
    """Of shares of so many rows: log odds, with half a row on either side for what never or always was."""

    rows: float

    def place(self, value: float) -> float:
        """Return the log odds."""
        hits = min(max(value, 0.0), 1.0) * self.rows
        return math.log((hits + 0.5) / (self.rows - hits + 0.5))

    def figure(self, place: float) -> float:
        """Return the share."""
        odds = math.exp(min(place, 700.0))
        return (odds / (1 + odds) * (self.rows + 1) - 0.5) / self.rows


class Correlations:
    """Of correlations: Fisher's z, on which their errors are alike."""

    def place(self, value: float) -> float:
        """Return z."""
        return math.atanh(min(max(value, -_CLOSEST), _CLOSEST))

    def figure(self, place: float) -> float:
        """Return the correlation."""
        return math.tanh(place)


def usual_range(
    figures: Sequence[float | None],
    *,
    least: float = -math.inf,
    greatest: float = math.inf,
    step: float = 0.0,
    varied: bool = False,
    scale: Scale | None = None,
    ahead: int = 0,
) -> Range | None:
    """Return where the next figure is expected, or None where the past tells nothing.

    The range of the past is widened at both ends by as much as the past itself needed: each figure alone against all
    others, and the later ones against the earlier ones. A figure that would have needed much is no steady one. Of a
    figure with a scale the same is done on the scale too, and the wider range holds; where the one on the line leaves
    what the figure can be, that on the scale.

    Args:
        figures: One of each load, oldest first; None where a load has none.
        least: What the figure can never be below, as 0 for a share.
        greatest: What it can never be above.
        step: The least margin in the unit of the figure.
        varied: Whether to conclude nothing from a figure that often stands still.
        scale: What else the figure may move evenly on.
        ahead: For how many loads the range is to stand: as the middle of the figures moved from the first half of
            the loads to the other, it may move on.
    """
    known = [float(figure) for figure in figures if figure is not None and math.isfinite(figure)]
    if len(known) < FEWEST or len(known) < 0.9 * len(figures):
        return None
    if varied and max(Counter(known).values()) >= _TIED * len(known):
        return None
    ends = _widened(known, ahead)
    if ends is None:
        return None
    if scale is not None:
        places = [scale.place(figure) for figure in known]
        if all(map(math.isfinite, places)):
            wider = _widened(places, ahead)
            if wider is None:
                return None
            bottom, top = map(scale.figure, wider)
            # Beyond what the figure can be the line says nothing.
            ends = (
                bottom if ends[0] <= least else min(ends[0], bottom),
                top if ends[1] >= greatest else max(ends[1], top),
            )
    low, high = min(known), max(known)
    least_room = max(step, 1e-9 * max(abs(low), abs(high)))
    bottom, top = min(ends[0], low - least_room), max(ends[1], high + least_room)
    return Range(max(bottom, min(least, low)), min(top, max(greatest, high)))


def _widened(figures: Sequence[float], ahead: int) -> tuple[float, float] | None:
    """Return both ends of the range of the past with as much room as it needed, or None where that is too much."""
    needed = max(_alone(figures), _later(figures))
    margin = max(_MARGIN, _CAUTION * needed)
    if margin > _WIDEST:
        return None
    low, high = min(figures), max(figures)
    below, above = (margin * (high - low) * side for side in _sides(figures))
    half = len(figures) // 2
    moving = (median(figures[half:]) - median(figures[:half])) / half * ahead
    return low - below + min(0.0, moving), high + above + max(0.0, moving)


def heavy_tailed(figures: Sequence[float | None]) -> bool:
    """Say whether the greatest figures lie further apart than those of an exponential distribution, as factors do."""
    known = sorted(float(figure) for figure in figures if figure is not None and math.isfinite(figure))
    if len(known) < FEWEST:
        return False
    tail = len(known) // 4
    excess = [figure - known[-tail - 1] for figure in known[-tail:]]
    return sum(excess) > 0 and excess[-1] >= _HEAVY * sum(excess) / tail


def by_factors(figures: Sequence[float | None]) -> bool:
    """Say whether amounts move by factors: the greatest is far more than the least, or has a long tail."""
    known = [figure for figure in figures if figure is not None and math.isfinite(figure)]
    return heavy_tailed(known) or bool(known and max(known) > _FACTOR * min(known) > 0)


def reach(figures: Sequence[float], *, chance: float, step: float = 0.0) -> Range:
    """Return from where to where a figure comes but with a small chance, at either side.

    The outer quarter at each side is continued as an exponential tail, whose scale is the mean of the distances from
    where the quarter begins (peaks over a threshold). So what comes in dribs beyond the others reaches further than
    what ends at a wall, however wide both are.

    Args:
        figures: One of each load.
        chance: How seldom it is that a figure lies beyond either end.
        step: The least margin to each side.
    """
    ordered = sorted(figures)
    tail = len(ordered) // 4
    low, high = ordered[0] - step, ordered[-1] + step
    if tail:
        times = max(0.0, math.log(tail / len(ordered) / chance))
        start, end = ordered[tail], ordered[-tail - 1]
        low = min(low, start - times * sum(start - figure for figure in ordered[:tail]) / tail)
        high = max(high, end + times * sum(figure - end for figure in ordered[-tail:]) / tail)
    return Range(low, high)


def usual_most(shares: Sequence[float | None], *, step: float, limit: float) -> float | None:
    """Return how large a share may become that is nearly nothing in every load, or None where it is not.

    Args:
        shares: One of each load; None where a load has none.
        step: What is allowed though it never was.
        limit: What would be too much to say anything.
    """
    known = [share for share in shares if share is not None]
    if not known:
        return None
    most = _RARE * max(known) + step
    return most if most <= limit else None


def _sides(figures: Sequence[float]) -> tuple[float, float]:
    """Return how much more room there must be below and above: on the side of a long tail, as much as it is longer."""
    middle = median(figures)
    below, above = middle - min(figures), max(figures) - middle
    if not below or not above:
        # What mostly is at one end, and leaves it now and then, has the longest tail.
        return (_LONGEST if below else 1.0), (_LONGEST if above else 1.0)
    return min(_LONGEST, max(1.0, below / above)), min(_LONGEST, max(1.0, above / below))


def _alone(figures: Sequence[float]) -> float:
    """Return by how many widths of the others' range the least or the greatest lies outside of it."""
    ordered = sorted(figures)
    return max(
        _beyond(ordered[0], ordered[1], ordered[-1]),
        _beyond(ordered[-1], ordered[0], ordered[-2]),
    )


def _later(figures: Sequence[float]) -> float:
    """Return by how many widths the later figures lie outside of the range of all before them, from the middle on."""
    half = len(figures) // 2
    low, high, most = min(figures[:half]), max(figures[:half]), 0.0
    for figure in figures[half:]:
        most = max(most, _beyond(figure, low, high))
        low, high = min(low, figure), max(high, figure)
    return most


def _beyond(figure: float, low: float, high: float) -> float:
    distance = max(low - figure, figure - high, 0.0)
    if distance <= 1e-9 * max(abs(low), abs(high)):
        return 0.0
    return distance / (high - low) if high > low else math.inf
