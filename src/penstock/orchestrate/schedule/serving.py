"""The scheduler: one process that begins what is due, for as long as it holds the scheduler's lease.

It changes nothing but the catalog, and decides by ``deciding.decide``. What a crash of it leaves: before a firing is
written nothing, so the due time is found again; after that a firing that is running without a process, which the next
scheduler begins once more; after the process has claimed it, a run that goes on by itself and is waited for.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from penstock.catalog import holders
from penstock.catalog.port import Catalog, Lease
from penstock.catalog.schedules import SCHEDULER
from penstock.errors import ConfigurationError, LeaseHeldError, PenstockError, StaleWriterError, TransientError
from penstock.model.budget import LEAST_CAP
from penstock.model.firings import ServeEvent, ServeSpec
from penstock.model.schedules import timetables
from penstock.model.specs import PipelineSpec
from penstock.orchestrate.clock import now
from penstock.orchestrate.schedule.children import Children
from penstock.orchestrate.schedule.ticking import Ticker
from penstock.values import dataclass

LEASE_SECONDS = 30.0
STANDBY_SECONDS = 2.0
LAST_WORD = 30.0
"""Seconds that a run has to end in order once it is told to stop; then it is killed."""
JUMP = timedelta(minutes=1)
"""By how much the clock must be set for the scheduler to look at it for as long before it begins anything."""


class Stopping(Protocol):
    """Who tells the scheduler to stop.

    Attributes:
        asked: How often it was told to.
        reload: Whether the pipelines are to be read anew; set back by whoever does it.
    """

    asked: int
    reload: bool

    def wait(self, seconds: float) -> None:
        """Wait so long, or until told something."""
        ...


@dataclass(kw_only=True)
class Serving:
    """What a scheduler works with.

    Attributes:
        root: The project's folder.
        catalog: The catalog.
        serve: How schedules are carried out.
        share: Bytes that each run may hold.
        load: Reads the pipelines anew.
        tell: Gets what happens, for the log.
        stopping: Who tells it to stop.
        once: Begin what is due now, wait for it, and end.
        alerts: Called each minute by whoever holds the lease; what it raises is told and hinders nothing.
    """

    root: Path
    catalog: Catalog
    serve: ServeSpec
    share: int
    load: Callable[[], Mapping[str, PipelineSpec]]
    tell: Callable[[ServeEvent], None]
    stopping: Stopping
    once: bool = False
    alerts: Callable[[], None] | None = None

    def say(self, event: str, sentence: str) -> None:
        """Tell something of the scheduler itself."""
        self.tell(ServeEvent(at=now(), event=event, sentence=sentence))


def serve(given: Serving) -> int:
    """Carry out schedules until told to stop; with ``once`` until nothing is due.

    Returns:
        The exit code: 0; with ``once`` that of the worst firing; 143 if runs had to be stopped.

    Raises:
        ConfigurationError: The pipelines cannot be read, or wait for each other.
    """
    tables = timetables(given.load())
    children = Children(given.root, given.share)
    try:
        while True:
            lease = _take(given)
            if lease is None:
                return 0
            try:
                return _Scheduler(given, Ticker(given, tables, children, lease), lease).go()
            except StaleWriterError as error:
                # Its children go on, and whoever took over waits for them.
                given.say("standby", error.sentence())
            finally:
                _give_back(given, lease)
    finally:
        if given.stopping.asked > 1:
            children.tell(signal.SIGKILL)


def _take(given: Serving) -> Lease | None:
    """Take the scheduler's lease, waiting for it; None: told to stop, or with ``once`` another one has it."""
    said = ""
    while not given.stopping.asked:
        try:
            return given.catalog.acquire(SCHEDULER, holders.this_process(), LEASE_SECONDS)
        except LeaseHeldError:
            held = given.catalog.schedules.held().get(SCHEDULER)
            who = holders.shown(held.holder) if held else "it"
            if given.once:
                given.say("standby", f"Another scheduler is at work: {who}; what is due is its business.")
                return None
            if who != said:
                given.say("standby", f"Standby: {who} schedules; this one takes over when that ends.")
                said = who
        except TransientError as error:
            given.say("trouble", error.sentence())
        given.stopping.wait(STANDBY_SECONDS)
    return None


def _give_back(given: Serving, lease: Lease) -> None:
    try:
        given.catalog.release(lease)
    except PenstockError as error:
        given.say("trouble", error.sentence())


class _Scheduler:
    """One holder of the lease, tick by tick."""

    def __init__(self, given: Serving, ticker: Ticker, lease: Lease) -> None:
        self._given = given
        self._ticker = ticker
        self._lease = lease
        self._renewed = time.monotonic()
        self._looked = time.monotonic()
        self._clock = _Clock()
        self._trouble = ""

    def go(self) -> int:
        given, ticker = self._given, self._ticker
        pipelines = f"{len(ticker.timetables)} scheduled {'pipeline' if len(ticker.timetables) == 1 else 'pipelines'}"
        given.say("serving", f"Serving {pipelines}, {given.serve.parallel} at once.")
        at = now() if given.once else None
        while not given.stopping.asked:
            moved = self._tried(lambda: self._tick(at or now()))
            if given.once and not moved and not ticker.working and not self._trouble:
                return ticker.worst
            if not moved:
                given.stopping.wait(ticker.patience(now()))
        return self._stop()

    def _tick(self, at: datetime) -> bool:
        self._renew()
        if self._given.stopping.reload:
            self._reload()
        self._look()
        return self._ticker.tick(at, begin=self._steady())

    def _tried(self, call: Callable[[], bool]) -> bool:
        """Do something with the catalog; while that is away runs go on, and nothing is begun."""
        try:
            done = call()
        except TransientError as error:
            if error.sentence() != self._trouble:
                self._given.say("trouble", error.sentence())
            self._trouble = error.sentence()
            self._given.stopping.wait(STANDBY_SECONDS)
            return False
        self._trouble = ""
        return done

    def _renew(self) -> None:
        if time.monotonic() - self._renewed > LEASE_SECONDS / 6:
            self._given.catalog.renew(self._lease, LEASE_SECONDS)
            self._renewed = time.monotonic()

    def _reload(self) -> None:
        self._given.stopping.reload = False
        try:
            self._ticker.timetables = timetables(self._given.load())
        except PenstockError as error:
            self._given.say("trouble", f"The schedules stay as they were: {error.sentence()}")
            return
        self._given.say("serving", f"Read anew: {len(self._ticker.timetables)} scheduled pipelines.")

    def _steady(self) -> bool:
        jump = self._clock.look()
        if jump is not None:
            self._given.say("clock", f"The clock was set by {jump}; nothing is begun for {JUMP}.")
        return self._clock.steady

    def _look(self) -> None:
        """Have alerts looked for, once a minute."""
        if self._given.alerts is None or time.monotonic() - self._looked < 60:
            return
        self._looked = time.monotonic()
        try:
            self._given.alerts()
        except (PenstockError, OSError) as error:
            self._given.say("trouble", f"Alerts were not looked for: {error}")

    def _stop(self) -> int:
        """Begin nothing more; give what runs its time, then have it stopped."""
        given, ticker = self._given, self._ticker
        if ticker.working:
            given.say("stopping", f"Stopping: {ticker.said_working()}, given {given.serve.stopping}; again: at once.")
        self._finish(given.serve.stopping.total_seconds())
        interrupted = ticker.working
        if interrupted and given.stopping.asked < 2:
            given.say("stopping", f"Telling {ticker.said_working()} to stop.")
            ticker.stop(signal.SIGTERM)
            self._finish(LAST_WORD)
        if ticker.working:
            ticker.stop(signal.SIGKILL)
        given.say("stopped", "Stopped at once; the next scheduler goes on." if given.stopping.asked > 1 else "Stopped.")
        return 128 + signal.SIGTERM if interrupted else 0

    def _watch(self) -> bool:
        self._renew()
        return self._ticker.tick(now(), begin=False)

    def _finish(self, seconds: float) -> None:
        """Wait until nothing is at work, for so long at most, keeping the lease and taking in what ended."""
        until = time.monotonic() + seconds
        while self._ticker.working and self._given.stopping.asked < 2:
            self._tried(self._watch)
            left = until - time.monotonic()
            if not self._ticker.working or left <= 0:
                return
            self._given.stopping.wait(min(0.2, left))


class _Clock:
    """Sees that the clock on the wall was set, which is no sleep of the machine."""

    def __init__(self) -> None:
        self._wall, self._true = now(), _true()
        self._unsteady_until = 0.0

    def look(self) -> timedelta | None:
        """Return by how much the clock was set since the last look, if by much."""
        wall, true = now(), _true()
        jump = (wall - self._wall) - timedelta(seconds=true - self._true)
        self._wall, self._true = wall, true
        if abs(jump) < JUMP:
            return None
        self._unsteady_until = true + JUMP.total_seconds()
        return timedelta(seconds=round(jump.total_seconds()))

    @property
    def steady(self) -> bool:
        """Say whether it was not set lately."""
        return self._true >= self._unsteady_until


def _true() -> float:
    """Return seconds by a clock that nobody sets and that goes on while the machine sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


SCHEDULER_MEMORY = 192 * 2**20
"""What the scheduler and a look at alerts beside it take of the memory."""


def share(memory: int, serve: ServeSpec) -> int:
    """Return the bytes that each run may hold, of what all of them may together.

    Raises:
        ConfigurationError: That leaves a run no room to work.
    """
    part = ((serve.memory or memory) - SCHEDULER_MEMORY) // serve.parallel
    if part < LEAST_CAP:
        least = (LEAST_CAP * serve.parallel + SCHEDULER_MEMORY) // 2**20
        raise ConfigurationError(
            f"{serve.parallel} runs at once would have {part // 2**20} MiB each, and each needs {LEAST_CAP // 2**20}",
            value=f"parallel = {serve.parallel}, memory = {(serve.memory or memory) // 2**20} MiB",
            remedy=f'Set memory = "{least}MiB" in the section [serve] of penstock.toml, or a smaller parallel',
        )
    return part
