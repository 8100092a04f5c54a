"""Number, mean and central moments of numbers, merged without error but rounding (Pebay, SAND2008-6212, 2008)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict

from penstock.values import dataclass


@dataclass(frozen=True, slots=True)
class Moments:
    """Sums over finite values.

    Attributes:
        count: How many there are.
        mean: Their mean.
        m2: Sum of squared differences from it; ``m3`` and ``m4`` of the third and fourth powers.
        least: The least value.
        greatest: The greatest value.
    """

    count: int
    mean: float
    m2: float
    m3: float
    m4: float
    least: float
    greatest: float

    def merge(self, other: Moments) -> Moments:
        """Return the moments of both sets of values together."""
        if not self.count or not other.count:
            return self if self.count else other
        n1, n2 = self.count, other.count
        n, d = n1 + n2, other.mean - self.mean
        mean = self.mean + d * n2 / n
        # A power beyond what a double holds is an error, a product is endless.
        d2 = d * d
        m2 = self.m2 + other.m2 + d2 * n1 * n2 / n
        m3 = self.m3 + other.m3 + d2 * d * n1 * n2 * (n1 - n2) / n**2 + 3 * d * (n1 * other.m2 - n2 * self.m2) / n
        m4 = (
            self.m4
            + other.m4
            + d2 * d2 * n1 * n2 * (n1**2 - n1 * n2 + n2**2) / n**3
            + 6 * d2 * (n1**2 * other.m2 + n2**2 * self.m2) / n**2
            + 4 * d * (n1 * other.m3 - n2 * self.m3) / n
        )
        m4 = math.inf if math.isnan(m4) else m4
        return Moments(n, mean, m2, m3, m4, min(self.least, other.least), max(self.greatest, other.greatest))

    @property
    def deviation(self) -> float:
        """The standard deviation of the population."""
        return math.sqrt(max(0.0, self.m2) / self.count) if self.count else math.nan

    @property
    def skewness(self) -> float:
        """The skewness of the population; NaN where all values are equal."""
        return math.sqrt(self.count) * self.m3 / (self.m2 * math.sqrt(self.m2)) if self.m2 > 0 else math.nan

    @property
    def kurtosis(self) -> float:
        """The excess kurtosis of the population; NaN where all values are equal."""
        return self.count * self.m4 / (self.m2 * self.m2) - 3 if self.m2 > 0 else math.nan

    def plain(self) -> dict[str, float]:
        """Return them as JSON."""
        return asdict(self)

    @classmethod
    def read(cls, plain: Mapping[str, float]) -> Moments:
        """Return them from JSON."""
        rest = {name: float(plain[name]) for name in ("mean", "m2", "m3", "m4", "least", "greatest")}
        return cls(count=int(plain["count"]), **rest)
