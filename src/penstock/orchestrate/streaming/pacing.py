"""When a micro-batch is due by the age of its messages."""

from __future__ import annotations

import time

_SHARE = 0.25
"""Of the age, how long messages that came in the meantime are still taken where a micro-batch is due already."""


class Pace:
    """The clock of one stream's micro-batches.

    Messages that are there at once when a micro-batch begins have waited since the one before was closed, while that
    was settled: their age counts from then.

    Args:
        age: Seconds that a message may wait.
    """

    def __init__(self, age: float) -> None:
        self._age = age
        self._closed = time.monotonic()
        self.begin()

    def begin(self) -> None:
        """Begin a micro-batch."""
        self._begun = time.monotonic()
        self._first: float | None = None
        self._looked = self._dry = False

    def close(self) -> None:
        """End a micro-batch: what comes from now on waits for the next."""
        self._closed = time.monotonic()

    def looked(self, *, found: bool) -> None:
        """Take in that it was looked for messages, and whether there were any."""
        if found and self._first is None:
            self._first = time.monotonic() if self._looked else self._closed
        self._looked, self._dry = True, not found

    @property
    def due(self) -> bool:
        """The oldest message has waited long enough, and all that waited with it were taken."""
        return self._left() <= 0 and (self._dry or time.monotonic() - self._begun >= self._age * _SHARE)

    def wait(self, longest: float) -> float:
        """Return the seconds that the next look may wait for messages."""
        return max(0.0, min(longest, self._left())) if self._looked else 0.0

    def _left(self) -> float:
        return self._age - (time.monotonic() - self._first) if self._first is not None else self._age
