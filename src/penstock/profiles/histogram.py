"""Histograms over dyadic bins, which nest: two of them merge exactly, into the coarser bins where they differ.

A bin (k, i) holds the values x with i * 2^k <= x < (i + 1) * 2^k. Of any two bins one holds the other, or they share
nothing. So histograms of days, made with bins that suited each day, add up to that of the month without any guess.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from functools import cached_property
from itertools import accumulate, pairwise

from penstock.values import dataclass

MOST_BINS = 512
Bin = tuple[int, int]


@dataclass(frozen=True)
class Histogram:
    """Counts of finite values by bin.

    Attributes:
        bins: (k, i) to the number of values; no bin lies within another.
    """

    bins: Mapping[Bin, int] = field(default_factory=dict)

    @classmethod
    def of(cls, counts: Iterable[tuple[int, int, int]]) -> Histogram:
        """Return a histogram from (k, i, count), folding bins into others that hold them."""
        found: dict[Bin, int] = {}
        for k, i, count in counts:
            found[k, i] = found.get((k, i), 0) + count
        return cls(_nested(found)).bounded()

    @cached_property
    def total(self) -> int:
        """The number of values."""
        return sum(self.bins.values())

    def merge(self, other: Histogram) -> Histogram:
        """Return the histogram of both sets of values together."""
        return Histogram.of((k, i, count) for bins in (self.bins, other.bins) for (k, i), count in bins.items())

    def bounded(self, most: int = MOST_BINS) -> Histogram:
        """Return it with at most so many bins: the narrowest ones are doubled in width until they are few enough."""
        bins = dict(self.bins)
        while len(bins) > most:
            least = min(k for k, _ in bins)
            wider: dict[Bin, int] = {}
            for (k, i), count in bins.items():
                at = (k + 1, i >> 1) if k == least else (k, i)
                wider[at] = wider.get(at, 0) + count
            bins = _nested(wider)
        return Histogram(bins)

    def intervals(self) -> list[tuple[float, float, int]]:
        """Return (low, high, count) of each bin, in order."""
        return sorted((math.ldexp(i, k), math.ldexp(i + 1, k), count) for (k, i), count in self.bins.items())

    def share_below(self, at: float) -> float:
        """Return the share of values below a number; within a bin values are taken as evenly spread."""
        if not self.bins:
            return math.nan
        listed, below = self._cumulative
        place = bisect_right([low for low, _, _ in listed], at) - 1
        if place < 0:
            return 0.0
        low, high, count = listed[place]
        within = min(1.0, (at - low) / (high - low))
        return (below[place] + within * count) / self.total

    def quantile(self, share: float) -> float:
        """Return the value below which a share of the values lies; exact within the width of its bin."""
        if not self.bins:
            return math.nan
        listed, below = self._cumulative
        wanted = share * self.total
        place = min(bisect_right(below, wanted) - 1, len(listed) - 1)
        low, high, count = listed[place]
        return low + (high - low) * min(1.0, (wanted - below[place]) / count)

    def onto(self, edges: Sequence[float]) -> list[float]:
        """Return how many values lie in each part of the line that the edges cut; the ends are open."""
        total = self.total
        cut = [0.0, *(self.share_below(edge) for edge in edges), 1.0] if total else [0.0] * (len(edges) + 2)
        return [(right - left) * total for left, right in pairwise(cut)]

    @cached_property
    def _cumulative(self) -> tuple[list[tuple[float, float, int]], list[int]]:
        listed = self.intervals()
        return listed, [0, *accumulate(count for _, _, count in listed)][: len(listed)]

    def plain(self) -> list[list[int]]:
        """Return it as JSON: (k, i, count) of each bin, in order."""
        return [[k, i, count] for (k, i), count in sorted(self.bins.items())]

    @classmethod
    def read(cls, plain: Iterable[Sequence[int]]) -> Histogram:
        """Return it from JSON."""
        return cls({(int(k), int(i)): int(count) for k, i, count in plain})


def common_edges(histograms: Sequence[Histogram]) -> list[float]:
    """Return the edges of the bins that all histograms share, without the two ends of the line.

    Where one has narrower bins than another they are merged into its bins, so counts over these edges are exact.
    """
    merged: dict[Bin, int] = {}
    for histogram in histograms:
        for at, count in histogram.bins.items():
            merged[at] = merged.get(at, 0) + count
    edges = {edge for low, high, _ in Histogram(_nested(merged)).intervals() for edge in (low, high)}
    return sorted(edges)


def _nested(bins: Mapping[Bin, int]) -> dict[Bin, int]:
    """Return bins of which none lies within another: each is folded into the widest one that holds it."""
    scales = sorted({k for k, _ in bins}, reverse=True)
    if len(scales) < 2:
        return dict(bins)
    found: dict[Bin, int] = {}
    for k, i in sorted(bins, reverse=True):
        at = (k, i)
        for wider in scales:
            if wider <= k:
                break
            holder = (wider, i >> (wider - k))
            if holder in found:
                at = holder
                break
        found[at] = found.get(at, 0) + bins[k, i]
    return found
