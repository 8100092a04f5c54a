"""How far two distributions over the same bins lie apart, and how likely that is by chance.

Counts are lists of equal length, a number for each bin in order. All results are those of scipy on the same bins: the
tests compare them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise

_SMALLEST = 1e-4
"""The share that an empty bin is taken to have in the population stability index, which knows no empty bins."""


def shares(counts: Sequence[float]) -> list[float]:
    """Return counts as shares of their sum; all 0 where there is nothing."""
    total = sum(counts)
    return [count / total if total else 0.0 for count in counts]


def stability_index(reference: Sequence[float], current: Sequence[float]) -> float:
    """Return the population stability index (PSI): the sum of (q - p) * ln(q / p) over bins."""
    pairs = zip(shares(reference), shares(current), strict=True)
    smoothed = ((max(p, _SMALLEST), max(q, _SMALLEST)) for p, q in pairs if p or q)
    return sum((q - p) * math.log(q / p) for p, q in smoothed)


def jensen_shannon(reference: Sequence[float], current: Sequence[float]) -> float:
    """Return the distance of Jensen and Shannon, from 0 to 1: the root of their divergence to the base 2."""
    divergence = 0.0
    for p, q in zip(shares(reference), shares(current), strict=True):
        middle = (p + q) / 2
        divergence += sum(x * math.log2(x / middle) / 2 for x in (p, q) if x)
    return math.sqrt(max(0.0, divergence))


def kolmogorov_smirnov(reference: Sequence[float], current: Sequence[float]) -> tuple[float, float]:
    """Return the statistic of Kolmogorov and Smirnov of two samples, and its asymptotic p-value.

    Values are known by their bins only, so the statistic is a lower bound of that of the values themselves.
    """
    n, m = sum(reference), sum(current)
    if not n or not m:
        return 0.0, 1.0
    below = zip(accumulate(shares(reference)), accumulate(shares(current)), strict=True)
    statistic = max(abs(p - q) for p, q in below)
    return statistic, _kolmogorov(math.sqrt(n * m / (n + m)) * statistic)


def chi_squared(reference: Sequence[float], current: Sequence[float]) -> tuple[float, int, float]:
    """Return the statistic of Pearson's test that both samples come from one distribution, its freedom, its p-value."""
    n, m = sum(reference), sum(current)
    filled = [(p, q) for p, q in zip(reference, current, strict=True) if p or q]
    if not n or not m or len(filled) < 2:
        return 0.0, 0, 1.0
    statistic = 0.0
    for p, q in filled:
        for count, size in ((p, n), (q, m)):
            expected = (p + q) * size / (n + m)
            statistic += (count - expected) ** 2 / expected
    return statistic, len(filled) - 1, chi_squared_tail(statistic, len(filled) - 1)


def wasserstein(reference: Sequence[float], current: Sequence[float], centres: Sequence[float]) -> float:
    """Return the first Wasserstein distance, in the unit of the values.

    Args:
        reference: Counts.
        current: Counts.
        centres: The value that each bin stands for, rising.
    """
    gaps = [right - left for left, right in pairwise(centres)]
    below = zip(accumulate(shares(reference)), accumulate(shares(current)), gaps, strict=False)
    return sum(abs(p - q) * gap for p, q, gap in below)


def proportions(hits: float, of: float, other_hits: float, other_of: float) -> float:
    """Return the two-sided p-value of the z-test that two shares are equal."""
    if not of or not other_of:
        return 1.0
    pooled = (hits + other_hits) / (of + other_of)
    error = math.sqrt(pooled * (1 - pooled) * (1 / of + 1 / other_of))
    return math.erfc(abs(hits / of - other_hits / other_of) / error / math.sqrt(2)) if error else 1.0


def chi_squared_tail(statistic: float, freedom: int) -> float:
    """Return the chance that a chi-squared value of so many degrees of freedom is greater.

    By the recurrence of the incomplete gamma function over halves (Abramowitz and Stegun, 26.4.4 and 26.4.5).
    """
    if statistic <= 0:
        return 1.0
    half = statistic / 2
    odd = freedom % 2
    tail: float = math.erfc(math.sqrt(half)) if odd else math.exp(-half)
    place = 0.5 if odd else 1.0
    while place < freedom / 2:
        tail += math.exp(place * math.log(half) - half - math.lgamma(place + 1))
        place += 1
    return min(1.0, tail)


def chi_squared_limit(chance: float, freedom: int) -> float:
    """Return the statistic that is exceeded with a chance, found by halving."""
    low, high = 0.0, float(freedom) + 10
    while chi_squared_tail(high, freedom) > chance:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if chi_squared_tail(middle, freedom) > chance else (low, middle)
    return high


def _kolmogorov(at: float) -> float:
    """Return the chance that Kolmogorov's limit distribution exceeds a value (two series, each where it is fast)."""
    if at <= 0:
        return 1.0
    if at < 1.18:
        small = sum(math.exp(-((2 * k - 1) ** 2) * math.pi**2 / (8 * at**2)) for k in range(1, 6))
        return max(0.0, 1 - math.sqrt(2 * math.pi) / at * small)
    large = sum((1.0 if k % 2 else -1.0) * math.exp(-2 * k**2 * at**2) for k in range(1, 6))
    return max(0.0, min(1.0, 2 * large))
