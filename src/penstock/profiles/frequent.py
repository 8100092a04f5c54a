"""The most frequent values and their counts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import field

from penstock.values import dataclass

MOST_COMPLETE, MOST_KEPT = 256, 32
"""So many different values are all kept; of more, only so many of the most frequent ones."""


@dataclass(frozen=True, slots=True)
class FrequentValues:
    """Values, as SQL writes them, with their counts.

    Attributes:
        counts: Value to count, the most frequent first.
        complete: Whether these are all values. If not, a count is exact for the rows of each part that had the value
            among its most frequent ones, and a merged count is a lower bound.
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    complete: bool = True

    def merge(self, other: FrequentValues) -> FrequentValues:
        """Return the values of both."""
        counts = dict(self.counts)
        for value, count in other.counts.items():
            counts[value] = counts.get(value, 0) + count
        complete = self.complete and other.complete and len(counts) <= MOST_COMPLETE
        ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        return FrequentValues(dict(ordered if complete else ordered[:MOST_KEPT]), complete)

    def entropy(self) -> float:
        """Return the entropy in bits, where all values are kept; else NaN."""
        total = sum(self.counts.values())
        if not self.complete or not total:
            return math.nan
        return -sum(count / total * math.log2(count / total) for count in self.counts.values())
