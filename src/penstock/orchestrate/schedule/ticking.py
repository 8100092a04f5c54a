"""One look of the scheduler: take in what ended, find what was lost, begin what is due."""

from __future__ import annotations

import os
import signal
import time
from bisect import bisect_left
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from penstock.catalog import holders
from penstock.catalog.port import Lease
from penstock.catalog.schedules import firing_lease
from penstock.model.firings import ACTIVE, Firing, FiringState, ServeEvent, Standing
from penstock.model.schedules import Timetable
from penstock.orchestrate.clock import new_id, now
from penstock.orchestrate.schedule import outcomes
from penstock.orchestrate.schedule.children import Children
from penstock.orchestrate.schedule.deciding import Decision, Known, Situation, Skip, Start, decide

if TYPE_CHECKING:
    from penstock.orchestrate.schedule.serving import Serving

LOOKS = 1.0
"""Seconds between two looks while something runs or may be asked for."""
WATCHED = 15.0
PRUNED = 3600.0
REMEMBERED = 400
"""Firings of each pipeline that decisions look at."""


class Ticker:
    """What the scheduler knows between two looks.

    Args:
        given: What the scheduler works with.
        timetables: When the pipelines are due.
        children: The processes that it has begun.
        lease: The scheduler's.
    """

    def __init__(self, given: Serving, timetables: Mapping[str, Timetable], children: Children, lease: Lease) -> None:
        self.timetables = timetables
        self.worst = 0
        self._given = given
        self._children = children
        self._lease = lease
        self._schedules = given.catalog.schedules
        self._revision = 0
        self._firings: dict[str, list[Firing]] = {}
        self._working: dict[str, Firing] = {}
        self._held: Mapping[str, str] = {}
        self._told: dict[str, str] = {}
        self._adopted: set[tuple[str, int]] = set()
        self._watched = float("-inf")
        self._pruned = time.monotonic()
        self._newest = now()

    @property
    def working(self) -> int:
        """Return how many runs are at work."""
        return len(self._running())

    def said_working(self) -> str:
        """Return what is at work, for people."""
        return ", ".join(sorted(firing.pipeline for firing in self._running())) or "nothing"

    def patience(self, at: datetime) -> float:
        """Return the seconds until the next look."""
        return LOOKS / 4 if self._children else LOOKS - at.microsecond / 1e6

    def tick(self, at: datetime, *, begin: bool) -> bool:
        """Look once; says whether anything was begun or changed.

        Args:
            at: The moment.
            begin: Whether anything may be begun.
        """
        ended = list(self._children.ended())
        # Leases first: a process reports before it gives its lease back, so a firing that is running in what is read
        # after that, without a lease, has nobody who works on it.
        held = self._schedules.held()
        self._refresh()
        changed = [self._take_in(*each, at) for each in ended]
        changed += [self._find(firing, held, at) for firing in self._running()]
        if any(changed) or not begin:
            return any(changed)
        standings = self._registered(at)
        decision = decide(self._situation(standings, held), at)
        moved = self._carry_out(decision, at)
        # After that: what was found missed because nobody watched must not be forgotten by a crash in between.
        self._watch(at)
        return moved

    def stop(self, number: signal.Signals) -> None:
        """Send a signal to the processes of all runs that are at work on this machine."""
        self._children.tell(number)
        for firing in self._running():
            pid = holders.number_here(firing.holder) if firing not in self._children else None
            if pid is not None:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)

    # What ended --------------------------------------------------------------------------------------------------

    def _refresh(self) -> None:
        self._revision, changed = self._schedules.changes(self._revision)
        for firing in changed:
            self._newest = max(self._newest, firing.created_at)
            known = self._firings.setdefault(firing.pipeline, [])
            place = bisect_left(known, firing.id, key=_name)
            before = known[place] if place < len(known) and known[place].id == firing.id else None
            known[place : place + (before is not None)] = [firing]
            del known[:-REMEMBERED]
            if firing.state is FiringState.RUNNING:
                self._working[firing.id] = firing
            else:
                self._working.pop(firing.id, None)
            if before is not None and before.state in ACTIVE and before != firing:
                self._tell_end(before, firing)

    def _running(self) -> list[Firing]:
        return list(self._working.values())

    def _take_in(self, id: str, attempt: int, code: int, at: datetime) -> bool:  # noqa: A002
        """Take in that a process ended; one that said how needs nothing more."""
        firing = next((each for each in self._running() if each.id == id and each.attempt == attempt), None)
        if firing is None:
            return True
        outcome = outcomes.of_process(code, self._children.log(firing.pipeline))
        return self._change(firing, outcomes.ended(firing, outcome, at, self._given.serve))

    def _find(self, firing: Firing, held: Mapping[str, Lease], at: datetime) -> bool:
        """See to a firing that is running: is anybody at work on it?"""
        if firing in self._children:
            return False
        lease = held.get(firing_lease(firing.pipeline))
        if firing.holder and lease is not None and lease.holder == firing.holder:
            if (firing.id, firing.attempt) not in self._adopted:
                self._adopted.add((firing.id, firing.attempt))
                who = holders.shown(firing.holder)
                self._say("adopted", firing.pipeline, f"goes on, begun by an earlier scheduler: {who}", firing.id)
            return False
        return self._change(firing, outcomes.lost(firing, at, self._given.serve))

    def _change(self, before: Firing, after: Firing) -> bool:
        changed = self._schedules.change(self._lease, before, after)
        self._refresh()
        return changed

    # What is due -------------------------------------------------------------------------------------------------

    def _registered(self, at: datetime) -> dict[str, Standing]:
        found = self._schedules.standings()
        for name in self.timetables.keys() - found.keys():
            self._schedules.register(self._lease, fresh(self.timetables[name], at))
        return found if self.timetables.keys() <= found.keys() else self._schedules.standings()

    def _situation(self, standings: Mapping[str, Standing], held: Mapping[str, Lease]) -> Situation:
        working = self._running()
        own = {firing.pipeline for firing in working}
        return Situation(
            timetables=self.timetables,
            known={
                name: Known(standing=standings[name], firings=self._firings.get(name, ())) for name in self.timetables
            },
            serve=self._given.serve,
            busy={
                name: holders.shown(held[name].holder) for name in self.timetables if name in held and name not in own
            },
            working=len(working),
        )

    def _carry_out(self, decision: Decision, at: datetime) -> bool:
        skips = {skip.pipeline: skip for skip in decision.skip}
        starts = {start.pipeline for start in decision.start}
        for name, skip in skips.items():
            if name not in starts:
                self._schedules.fire(self._lease, [self._skipped(skip, at)], skip.due)
        for start in decision.start:
            self._begin(start, skips.get(start.pipeline), at)
        for firing in decision.again:
            self._begin_again(firing)
        self._tell_held({hold.pipeline: hold.why for hold in decision.hold})
        if skips or decision.start or decision.again:
            self._refresh()
            return True
        return False

    def _begin(self, start: Start, skip: Skip | None, at: datetime) -> None:
        timetable = self.timetables[start.pipeline]
        before = [self._skipped(skip, at)] if skip else []
        firing = Firing(
            id=self._id(),
            pipeline=start.pipeline,
            after=start.after,
            due=start.due,
            times=timetable.count(start.after, start.due),
            state=FiringState.RUNNING,
            created_at=self._newest,
            attempt=1,
            fence=self._lease.fence,
            interval=timetable.interval(start.after, start.due),
        )
        self._schedules.fire(self._lease, [*before, firing], start.settles)
        self._spawn(firing)

    def _begin_again(self, firing: Firing) -> None:
        again = replace(
            firing,
            state=FiringState.RUNNING,
            attempt=firing.attempt + 1,
            fence=self._lease.fence,
            holder="",
            started=None,
            ended=None,
            next_try=None,
        )
        if self._schedules.change(self._lease, firing, again):
            self._spawn(again)

    def _spawn(self, firing: Firing) -> None:
        try:
            self._children.begin(firing)
        except OSError as error:
            outcome = outcomes.Outcome(exit_code=137, reason=f"no process could be begun: {error.strerror}")
            self._schedules.change(self._lease, firing, outcomes.ended(firing, outcome, now(), self._given.serve))
            return
        times = f", for {firing.times} due times" if firing.times > 1 else ""
        what = firing.interval.label if firing.interval else f"due {firing.due:%Y-%m-%d %H:%M:%S} UTC"
        attempt = f", attempt {firing.attempt}" if firing.attempt > 1 else ""
        self._say("began", firing.pipeline, f"begins: {what}{times}{attempt}", firing.id)

    def _id(self) -> str:
        """Return a name that is greater than that of every firing before, whatever the clock says."""
        self._newest = max(now(), self._newest + timedelta(milliseconds=1))
        return new_id(self._newest)

    def _skipped(self, skip: Skip, at: datetime) -> Firing:
        timetable = self.timetables[skip.pipeline]
        times = timetable.count(skip.after, skip.due)
        self._say("skipped", skip.pipeline, f"{times} due until {skip.due:%Y-%m-%d %H:%M:%S} UTC skipped: {skip.why}")
        return Firing(
            id=self._id(),
            pipeline=skip.pipeline,
            after=skip.after,
            due=skip.due,
            times=times,
            state=FiringState.SKIPPED,
            created_at=self._newest,
            ended=at,
            fence=self._lease.fence,
            reason=skip.why,
        )

    def _watch(self, at: datetime) -> None:
        if time.monotonic() - self._watched >= WATCHED:
            self._schedules.watch(self._lease, self.timetables, at)
            self._watched = time.monotonic()
        if time.monotonic() - self._pruned >= PRUNED:
            for name in self.timetables:
                self._schedules.prune(self._lease, name)
            self._pruned = time.monotonic()

    # The log -----------------------------------------------------------------------------------------------------

    def _tell_held(self, held: Mapping[str, str]) -> None:
        """Tell why something waits, once it has waited for it from one look to the next."""
        for name, why in held.items():
            if self._held.get(name) == why and self._told.get(name) != why:
                self._say("held", name, f"waits: {why}")
                self._told[name] = why
        self._told = {name: why for name, why in self._told.items() if name in held}
        self._held = held

    def _tell_end(self, before: Firing, firing: Firing) -> None:
        if firing.state is FiringState.DONE:
            self._say("ended", firing.pipeline, f"done{_took(firing)}", firing.id)
        elif firing.state is FiringState.FAILED:
            self.worst = max(self.worst, firing.exit_code or 1)
            self._say("failed", firing.pipeline, f"failed{_took(firing)}: {firing.reason}", firing.id)
        elif firing.state is FiringState.PENDING and before.state is FiringState.RUNNING:
            self.worst = max(self.worst, firing.exit_code)
            again = f"; tried again at {firing.next_try:%H:%M:%S} UTC" if firing.next_try else ""
            self._say("retried", firing.pipeline, f"ended early{_took(firing)}: {firing.reason}{again}", firing.id)

    def _say(self, event: str, pipeline: str, sentence: str, firing: str = "") -> None:
        self._given.tell(
            ServeEvent(at=now(), event=event, sentence=f"{pipeline} {sentence}", pipeline=pipeline, firing=firing)
        )


def fresh(timetable: Timetable, at: datetime) -> Standing:
    """Return how a pipeline stands that was never scheduled: intervals from its start on, else what is due from now."""
    origin = timetable.origin
    return Standing(pipeline=timetable.pipeline, settled=at if origin is None else min(origin, at))


def _name(firing: Firing) -> str:
    return firing.id


def _took(firing: Firing) -> str:
    if firing.started is None or firing.ended is None:
        return ""
    return f" after {(firing.ended - firing.started).total_seconds():.1f} s"
