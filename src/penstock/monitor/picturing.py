"""Two distributions side by side, cut into the same few parts, so that they can be drawn."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from penstock.profiles.histogram import Histogram
from penstock.profiles.profile import ColumnProfile
from penstock.values import dataclass

MOST_PARTS = 24
_MOST_CATEGORIES = 12
_TAIL = 0.002
"""This share of the values at each end is drawn together, or one far value would press all others into one part."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the values: a range, or one category.

    Attributes:
        label: What lies in it.
        before: Share of the reference's values, 0 to 1.
        now: Share of the current values.
        category: Whether it is a category, or several, and no range.
    """

    label: str
    before: float
    now: float
    category: bool = False


def parts(before: ColumnProfile, now: ColumnProfile) -> tuple[Part, ...]:
    """Return the parts in which values of two profiles lie; nothing where either profile knows too little.

    Ranges come from low to high, categories by weight.
    """
    both = before.frequent, now.frequent
    if both[0] and both[1] and both[0].complete and both[1].complete:
        counts = both[0].counts, both[1].counts
        few = len({*counts[0], *counts[1]}) <= _MOST_CATEGORIES
        # The histogram of texts is one of their lengths.
        if few or before.histogram is None or before.type == "VARCHAR":
            return tuple(_categories(dict(counts[0]), dict(counts[1])))
    if before.histogram and now.histogram and before.histogram.total and now.histogram.total:
        return tuple(_ranges(before.histogram, now.histogram))
    return ()


def _categories(before: dict[str, int], now: dict[str, int]) -> Iterator[Part]:
    sums = sum(before.values()) or 1, sum(now.values()) or 1
    shares = {name: (before.get(name, 0) / sums[0], now.get(name, 0) / sums[1]) for name in {**before, **now}}
    listed = sorted(shares, key=lambda name: (-sum(shares[name]), name))
    shown = listed if len(listed) <= _MOST_CATEGORIES else listed[: _MOST_CATEGORIES - 1]
    for name in shown:
        yield Part(name, *shares[name], category=True)
    rest = listed[len(shown) :]
    if rest:
        summed = [sum(shares[name][side] for name in rest) for side in (0, 1)]
        yield Part(f"{len(rest):,} others", summed[0], summed[1], category=True)


def _ranges(before: Histogram, now: Histogram) -> Iterator[Part]:
    low = min(each.quantile(_TAIL) for each in (before, now))
    high = max(each.quantile(1 - _TAIL) for each in (before, now))
    if not high > low:
        high = low + (abs(low) or 1.0)
    edges = [low + (high - low) * place / MOST_PARTS for place in range(MOST_PARTS + 1)]
    # Both ends are open: what lies beyond is drawn with the first and the last part.
    cut = [[0.0, *(shape.share_below(edge) for edge in edges[1:-1]), 1.0] for shape in (before, now)]
    for (left, right), *shares in zip(pairwise(edges), *(pairwise(each) for each in cut), strict=True):
        yield Part(f"{left:.4g} to {right:.4g}", *(end - start for start, end in shares))
