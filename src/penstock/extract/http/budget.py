"""The call budget of a server, shared by all who call it from this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from threading import Lock
from time import monotonic, sleep, time

from penstock.errors import TransientError
from penstock.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Where time comes from and how it is spent; tests put their own in.

    Attributes:
        sleep: Waits that many seconds.
        clock: Seconds that only ever grow.
        now: Seconds since 1970, for dates that a server sends.
    """

    sleep: Callable[[float], None] = field(default=sleep)
    clock: Callable[[], float] = field(default=monotonic)
    now: Callable[[], float] = field(default=time)


class CallBudget:
    """Hands out the moments at which calls may start: a token bucket that holds one token.

    It holds one token and not a second's worth, so that no window of time sees more than ``rate`` calls per second.

    Args:
        rate: Calls per second; None: as fast as the server answers.
    """

    def __init__(self, rate: float | None = None) -> None:
        self.rate = rate
        self._lock = Lock()
        self._next = 0.0
        self._paused_until = 0.0

    def limit(self, rate: float | None) -> None:
        """Lower the rate; the lowest that any reader asked for holds for all."""
        with self._lock:
            if rate is not None and (self.rate is None or rate < self.rate):
                self.rate = rate

    def take(self, timing: Timing, deadline: float, what: str) -> None:
        """Wait for the next free moment and take it.

        Args:
            timing: Clock and sleep.
            deadline: Reading of the clock after which waiting makes no sense.
            what: The call, for the error.

        Raises:
            TransientError: The next free moment is past the deadline.
        """
        with self._lock:
            slot = max(timing.clock(), self._next, self._paused_until)
            self._next = slot + (1 / self.rate if self.rate else 0.0)
        while (wait := max(slot, self._paused_until) - timing.clock()) > 0:
            if timing.clock() + wait > deadline:
                raise TransientError(f"{what} would have to wait longer than its time", retry_after=wait)
            timing.sleep(wait)

    def pause(self, until: float) -> None:
        """Let nobody call before that reading of the clock, because the server asked for it."""
        with self._lock:
            self._paused_until = max(self._paused_until, until)


# A server counts the calls of a process, not of an object: this is why the budgets stand here and not in a client.
_BUDGETS: dict[str, CallBudget] = {}
_LOCK = Lock()


def budget_of(server: str, rate: float | None) -> CallBudget:
    """Return the budget that all callers of a server share in this process.

    Args:
        server: Scheme, host and port.
        rate: Calls per second that this caller allows itself; the lowest rate asked for holds for all.
    """
    with _LOCK:
        budget = _BUDGETS.setdefault(server, CallBudget())
    budget.limit(rate)
    return budget
