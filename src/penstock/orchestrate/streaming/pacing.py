"""When a micro-batch is due by the age of its messages, and when what landed is loaded."""

from __future__ import annotations

import time

from penstock.model.streams import Trigger

_SHARE = 0.25
"""Of the age, how long messages that came in the meantime are still taken where a micro-batch is due already."""
_TOGETHER = 4
"""How many full micro-batches are loaded together at most."""


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


class LoadPace:
    """The clock of loading: each micro-batch once it has landed; of a stream that is behind, some together.

    Rows that have waited longer at the source than messages may wait are late by that alone, and are all there sooner
    if a table is merged and written less often.

    Args:
        trigger: When a micro-batch is closed.
    """

    def __init__(self, trigger: Trigger) -> None:
        self._age = trigger.age.total_seconds()
        self._most = _TOGETHER * trigger.bytes
        self.loaded()

    def loaded(self) -> None:
        """Take in that all that landed was loaded."""
        self._since: float | None = None
        self._bytes, self._behind = 0, False

    def landed(self, size: int, newest: float | None) -> None:
        """Take in that a micro-batch has landed.

        Args:
            size: Its bytes.
            newest: When its newest row was made, in seconds since 1970; None: nobody knows.
        """
        if self._since is None:
            self._since = time.monotonic()
        self._bytes += size
        self._behind = newest is not None and time.time() - newest > self._age

    @property
    def waits(self) -> bool:
        """Something has landed that is not loaded."""
        return self._since is not None

    @property
    def due(self) -> bool:
        """What has landed is to be loaded."""
        if self._since is None:
            return False
        return not self._behind or self._bytes >= self._most or time.monotonic() - self._since >= self._age
