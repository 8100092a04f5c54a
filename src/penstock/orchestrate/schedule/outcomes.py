"""What becomes of a firing whose process ended: done, failed, or begun again; pure functions."""

from __future__ import annotations

import signal
import zlib
from dataclasses import replace
from datetime import datetime, timedelta

from penstock.errors import ConflictError, TransientError
from penstock.model.firings import Firing, FiringState, ServeSpec
from penstock.values import dataclass

TIMED_OUT = 124
STOPPED = (128 + signal.SIGINT, 128 + signal.SIGTERM)
LONGEST_BACKOFF = timedelta(hours=1)
HELD_WAIT = timedelta(seconds=15)
"""After which a firing is begun again that another run of its pipeline was in the way of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How the process of a firing ended.

    Attributes:
        exit_code: What it ended with; of a signal 128 and its number.
        reason: Why, in a sentence.
        run: The id of the run that it made.
    """

    exit_code: int
    reason: str = ""
    run: str = ""


def ended(firing: Firing, outcome: Outcome, at: datetime, serve: ServeSpec) -> Firing:
    """Return a firing as it stands after its process ended.

    What may pass (something outside was away, the process was killed, it took too long) is tried again, later each
    time; what was told to stop, or met another run, begins again and counts as no failure; the rest has failed.
    """
    said = replace(firing, ended=at, exit_code=outcome.exit_code, reason=outcome.reason, run=outcome.run, next_try=None)
    if outcome.exit_code == 0:
        return replace(said, state=FiringState.DONE)
    if outcome.exit_code in STOPPED:
        return replace(said, state=FiringState.PENDING, next_try=at)
    if outcome.exit_code == ConflictError.exit_code:
        return replace(said, state=FiringState.PENDING, next_try=at + HELD_WAIT)
    failures = firing.failures + 1
    if not _may_pass(outcome.exit_code) or failures > serve.retries:
        return replace(said, state=FiringState.FAILED, failures=failures)
    wait = backoff(firing.id, failures, serve)
    return replace(said, state=FiringState.PENDING, failures=failures, next_try=at + wait)


def lost(firing: Firing, at: datetime, serve: ServeSpec) -> Firing:
    """Return a firing whose process died together with its scheduler, or before it said that it took it.

    It is begun again at once, for it did nothing wrong; but one that takes the machine down each time ends in the end.
    """
    if not firing.holder:
        return replace(firing, state=FiringState.PENDING, next_try=at, reason="its scheduler died before it began")
    found = ended(firing, Outcome(exit_code=137, reason="its process died"), at, serve)
    return replace(found, next_try=at) if found.failures == 1 and found.state is FiringState.PENDING else found


def backoff(name: str, failures: int, serve: ServeSpec) -> timedelta:
    """Return how long to wait after so many failures: twice as long each time, a quarter more or less by the name."""
    doubled: int = 2 ** min(failures - 1, 20)
    wait = min(serve.backoff * doubled, LONGEST_BACKOFF)
    return wait * (0.75 + zlib.crc32(f"{name} {failures}".encode()) % 1000 / 2000)


def _may_pass(exit_code: int) -> bool:
    return exit_code in (TransientError.exit_code, TIMED_OUT) or exit_code > 128


def of_process(code: int, log: str) -> Outcome:
    """Return how a process ended that said nothing: ``code`` is that of ``subprocess``, ``log`` holds its output."""
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        return Outcome(exit_code=128 - code, reason=f"its process was ended by {name}; see {log}")
    if code == 0:
        return Outcome(exit_code=137, reason="its process ended without saying how it went")
    if code == TIMED_OUT:
        return Outcome(exit_code=code, reason=f"it took longer than its timeout, and did not end in order; see {log}")
    return Outcome(exit_code=code, reason=f"its process ended with {code}; see {log}")
