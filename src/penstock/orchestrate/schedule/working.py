"""The process of one firing: it takes it, runs the pipeline, and says how that ended.

Steps: (1) take the lease of the pipeline's firings, (2) claim the firing for this process, (3) run, (4) say in the
catalog how it ended, (5) give the lease back. A crash after (1) leaves a lease whose holder is dead; the scheduler sees
that and begins the firing again with a greater attempt, so that a claim that comes late is refused.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

from penstock.catalog.holders import this_process
from penstock.catalog.schedules import firing_lease
from penstock.errors import BugError, ConfigurationError, ConflictError, DataError, PenstockError
from penstock.model.firings import Firing, FiringState, ServeSpec
from penstock.model.receipts import RunReceipt, State
from penstock.model.schedules import by_interval
from penstock.model.specs import PipelineSpec
from penstock.orchestrate import running
from penstock.orchestrate.context import leased
from penstock.orchestrate.schedule.outcomes import TIMED_OUT, Outcome, ended
from penstock.orchestrate.workspace import Workspace, now

LAST_WORD = 30.0
"""Seconds that a run has to end in order once its time is over."""


def work(
    workspace: Workspace, load: Callable[[str], PipelineSpec], serve: ServeSpec, place: tuple[str, int]
) -> RunReceipt:
    """Carry out one attempt at a firing.

    Args:
        workspace: The places.
        load: Returns the pipeline of a name.
        serve: How schedules are carried out.
        place: The firing's id, and the attempt.

    Raises:
        ConflictError: It was begun again meanwhile, or another process works on the pipeline.
    """
    schedules = workspace.catalog.schedules
    firing = schedules.firing(place[0])
    with leased(workspace, firing_lease(firing.pipeline)):
        claimed = replace(firing, holder=this_process(), started=now())
        free = firing.state is FiringState.RUNNING and firing.attempt == place[1] and not firing.holder
        if not free or not schedules.report(firing, claimed):
            raise ConflictError(f"Attempt {place[1]} at firing {firing.id} was overtaken by another")
        watch = _Watch()
        try:
            spec = load(firing.pipeline)
            with watch.over(spec.timeout or serve.timeout):
                receipt = _run(workspace, spec, claimed)
        except BaseException as error:
            schedules.report(claimed, ended(claimed, _raised(error, watch), now(), serve))
            raise
        schedules.report(claimed, ended(claimed, _outcome(receipt), now(), serve))
        return receipt


def place_of(text: str) -> tuple[str, int]:
    """Read ``ID:ATTEMPT``; raises ConfigurationError."""
    id_, _, attempt = text.rpartition(":")
    if not id_ or not attempt.isdigit():
        raise ConfigurationError("This is no firing", value=text, valid="ID:ATTEMPT, as the scheduler gives it")
    return id_, int(attempt)


def _run(workspace: Workspace, spec: PipelineSpec, firing: Firing) -> RunReceipt:
    interval = firing.interval if by_interval(spec) and not firing.asked else None
    return running.run(workspace, spec, running.Asked(interval=interval))


def _outcome(receipt: RunReceipt) -> Outcome:
    made = "" if receipt.state is State.UNCHANGED else receipt.id
    if receipt.state is State.REJECTED:
        why = "a load was rejected: penstock status says which"
        return Outcome(exit_code=DataError.exit_code, reason=why, run=made)
    if receipt.state is State.FAILED:
        return Outcome(exit_code=receipt.exit_code or PenstockError.exit_code, reason=receipt.error, run=made)
    return Outcome(exit_code=0, run=made)


def _raised(error: BaseException, watch: _Watch) -> Outcome:
    if watch.over_time is not None:
        return Outcome(exit_code=TIMED_OUT, reason=f"it took longer than its timeout of {watch.over_time}")
    if isinstance(error, PenstockError):
        return Outcome(exit_code=error.exit_code, reason=error.sentence())
    if isinstance(error, KeyboardInterrupt):
        return Outcome(exit_code=128 + signal.SIGTERM, reason="it was told to stop")
    said = " ".join(str(error).split())[:300]
    return Outcome(exit_code=BugError.exit_code, reason=f"{type(error).__name__}: {said}")


class _Watch:
    """Ends this process in order when a run takes too long, and at once if that does not help.

    The process ends itself, so that a timeout holds even while no scheduler is there.
    """

    def __init__(self) -> None:
        self.over_time: timedelta | None = None

    @contextmanager
    def over(self, timeout: timedelta | None) -> Iterator[None]:
        if timeout is None:
            yield
            return
        timers = [
            threading.Timer(timeout.total_seconds(), self._end, (timeout,)),
            # What does not come back to Python hears no signal.
            threading.Timer(timeout.total_seconds() + LAST_WORD, os._exit, (TIMED_OUT,)),
        ]
        for timer in timers:
            timer.daemon = True
            timer.start()
        try:
            yield
        finally:
            timers[0].cancel()
            # The second one stays where the time is over: what hangs on the way out is ended by it.
            if self.over_time is None:
                timers[1].cancel()

    def _end(self, timeout: timedelta) -> None:
        self.over_time = timeout
        os.kill(os.getpid(), signal.SIGTERM)
