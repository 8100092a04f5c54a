"""When a failed call is tried again, and after how long."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import field
from datetime import UTC
from email.utils import parsedate_to_datetime

from penstock.values import dataclass

RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses after which the same call may pass later (RFC 9110, RFC 6585, RFC 8470)."""


def _full_jitter(ceiling: float) -> float:
    return random.uniform(0, ceiling)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Exponential backoff with full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter", 2015).

    Attributes:
        first: Ceiling of the first wait in seconds; it doubles with each attempt.
        longest: Ceiling of any wait in seconds.
        attempts: Calls at most, the first included.
        jitter: Turns a ceiling into a wait.
    """

    first: float = 0.5
    longest: float = 60.0
    attempts: int = 6
    jitter: Callable[[float], float] = field(default=_full_jitter)

    def wait(self, attempt: int, asked: float | None) -> float:
        """Return the seconds to wait after a failed attempt.

        Args:
            attempt: 1 after the first call.
            asked: Seconds that the server asked for; the wait is never shorter.
        """
        ceiling = min(self.longest, self.first * 2 ** min(attempt - 1, 60))
        if asked is None:
            return self.jitter(ceiling)
        return asked + self.jitter(min(ceiling, self.first))


def retry_after(header: str | None, now: float) -> float | None:
    """Read ``Retry-After``: seconds or an HTTP date (RFC 9110, 10.2.3).

    Args:
        header: The value, if it was sent.
        now: Seconds since 1970.

    Returns:
        Seconds from now; None where it is absent, unreadable or past, so that the usual backoff applies.
    """
    if header is None:
        return None
    text = header.strip()
    try:
        seconds = float(text)
    except ValueError:
        try:
            date = parsedate_to_datetime(text)
        except (ValueError, TypeError, OverflowError):
            return None
        seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now
    return seconds if 0 < seconds < float("inf") else None
