"""What is begun, held and skipped: the decision itself, its clock passed in, over outages drawn by chance."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock import Pipeline, sources
from penstock.model.firings import ACTIVE, Firing, FiringState, ServeSpec, Standing
from penstock.model.schedules import Timetable, timetables
from penstock.orchestrate.schedule.deciding import Decision, Known, Situation, decide
from penstock.orchestrate.schedule.outcomes import Outcome, backoff, ended, lost
from penstock.orchestrate.schedule.ticking import fresh

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
DAYS = [sources.sql("ops", table="t", interval="at", cursor="at")]


def tables(*pipelines: Pipeline) -> dict[str, Timetable]:
    return timetables({each.spec.name: each.spec for each in pipelines})


@dataclass
class World:
    """A catalog and a clock without processes: what is begun ends when the test says so."""

    timetables: dict[str, Timetable]
    serve: ServeSpec = field(default_factory=lambda: ServeSpec(parallel=2))
    at: datetime = START
    standings: dict[str, Standing] = field(default_factory=dict)
    firings: dict[str, list[Firing]] = field(default_factory=dict)
    number: int = 0

    def decide(self) -> Decision:
        for name, table in self.timetables.items():
            self.standings.setdefault(name, fresh(table, self.at))
        known = {
            name: Known(standing=self.standings[name], firings=self.firings.get(name, ())) for name in self.timetables
        }
        working = sum(each.state is FiringState.RUNNING for many in self.firings.values() for each in many)
        return decide(Situation(timetables=self.timetables, known=known, serve=self.serve, working=working), self.at)

    def look(self, at: datetime | None = None) -> Decision:
        """Look once, as the scheduler does."""
        self.at = at or self.at
        decision = self.decide()
        for name, standing in self.standings.items():
            if standing.paused is None:
                self.standings[name] = replace(standing, watched=self.at)
        for skip in decision.skip:
            self._add(skip.pipeline, skip.after, skip.due, FiringState.SKIPPED, reason=skip.why)
            self._settle(skip.pipeline, skip.due)
        for start in decision.start:
            self._add(start.pipeline, start.after, start.due, FiringState.RUNNING, attempt=1, holder="x")
            self._settle(start.pipeline, start.settles)
        for firing in decision.again:
            self._replace(replace(firing, state=FiringState.RUNNING, attempt=firing.attempt + 1, holder="x"))
        return decision

    def end(self, pipeline: str, exit_code: int = 0) -> Firing:
        """End the run of a pipeline that is at work."""
        firing = next(each for each in self.firings[pipeline] if each.state is FiringState.RUNNING)
        after = ended(firing, Outcome(exit_code=exit_code, reason="it failed"), self.at, self.serve)
        self._replace(after)
        return after

    def running(self) -> list[str]:
        return sorted(
            each.pipeline for many in self.firings.values() for each in many if each.state is FiringState.RUNNING
        )

    def ask(self, pipeline: str) -> None:
        settled = self.standings[pipeline].settled
        self._add(pipeline, settled, settled, FiringState.PENDING, asked=True, next_try=self.at)

    def _add(self, pipeline: str, after: datetime, due: datetime, state: FiringState, **more: Any) -> None:
        self.number += 1
        firing = Firing(
            id=f"{self.number:06}",
            pipeline=pipeline,
            after=after,
            due=due,
            state=state,
            created_at=self.at,
            times=self.timetables[pipeline].count(after, due),
            **more,
        )
        self.firings.setdefault(pipeline, []).append(firing)

    def _replace(self, firing: Firing) -> None:
        many = self.firings[firing.pipeline]
        many[[each.id for each in many].index(firing.id)] = firing

    def _settle(self, pipeline: str, due: datetime) -> None:
        assert due > self.standings[pipeline].settled, "settled twice"
        self.standings[pipeline] = replace(self.standings[pipeline], settled=due)


def why(decision: Decision, pipeline: str) -> str:
    return next(hold.why for hold in decision.hold if hold.pipeline == pipeline)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["look", "look", "look", "away", "end", "fail", "die", "pause", "resume"]),
        st.integers(1, 300),
    ),
    min_size=5,
    max_size=60,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    schedule=st.sampled_from(["*/5 * * * *", "every 7m", "17 * * * *", "@hourly"]),
    catch_up=st.sampled_from(["all", "latest", "none"]),
    delay=st.sampled_from(["0s", "3m", "2h"]),
    steps=STEPS,
)
def test_each_due_time_is_run_once_or_skipped_by_policy(
    schedule: str, catch_up: str, delay: str, steps: list[tuple[str, int]]
) -> None:
    """Over outages, failures, deaths and pauses, all of them drawn by chance."""
    timezone = "UTC" if schedule == "every 7m" else "Europe/Berlin"
    p = Pipeline(name="p", schedule=schedule, timezone=timezone, catch_up=catch_up, delay=delay)
    world = World(tables(p), at=datetime(2026, 3, 28, 20, tzinfo=UTC))
    world.look()
    begun = world.standings["p"].settled
    for what, minutes in steps:
        act(world, what, minutes)
        assert len(world.running()) <= 1
    table = world.timetables["p"]
    covered: list[datetime] = []
    for firing in world.firings.get("p", []):
        at = table.following(firing.after)
        while at is not None and at <= firing.due:
            covered.append(at)
            at = table.following(at)
        assert firing.times == table.count(firing.after, firing.due) >= 1
        if firing.state is FiringState.SKIPPED:
            assert catch_up != "all"
        elif catch_up != "all":
            assert firing.times == 1
    due, at = [], table.following(begun)
    while at is not None and at <= world.standings["p"].settled:
        due.append(at)
        at = table.following(at)
    assert covered == due


def act(world: World, what: str, minutes: int) -> None:
    """Let something happen; the clock goes on by some minutes, while somebody looks or nobody is there."""
    if what in ("end", "fail", "die") and world.running():
        firing = next(each for each in world.firings["p"] if each.state is FiringState.RUNNING)
        if what == "die":
            world._replace(lost(firing, world.at, world.serve))
        else:
            world.end("p", 0 if what == "end" else 4)
    elif what == "pause":
        world.standings["p"] = replace(world.standings["p"], paused=world.at)
    elif what == "resume":
        world.standings["p"] = replace(world.standings["p"], paused=None)
    elif what == "away":
        world.at += minutes * MINUTE
    for _ in range(min(minutes, 40) if what == "look" else 1):
        world.look(world.at + MINUTE)


def test_an_outage_of_years_is_one_run_or_one_skip() -> None:
    for catch_up, started, skipped in (("all", 1, 0), ("latest", 1, 1), ("none", 0, 1)):
        world = World(tables(Pipeline(name="p", schedule="* * * * *", catch_up=catch_up)))
        world.look()
        decision = world.look(START + timedelta(days=1000, seconds=30))
        assert (len(decision.start), len(decision.skip)) == (started, skipped)
        later = world.look()
        # What is due no longer ago than the grace still begins.
        assert [each.due for each in later.start] == ([START + timedelta(days=1000)] if catch_up == "none" else [])


def test_a_clock_that_is_set_back_runs_nothing_twice() -> None:
    world = World(tables(Pipeline(name="p", schedule="@hourly")))
    world.look()
    assert world.look(START + HOUR).start
    world.end("p")
    for minutes in range(0, 60, 7):
        assert not world.look(START + timedelta(minutes=minutes)).start
    world.look(START + timedelta(days=400))
    world.end("p")
    decision = world.look(START + 2 * HOUR)
    assert not decision.start
    assert "once showed later: penstock schedule resume p" in why(decision, "p")


def test_intervals_go_on_from_the_start_and_cover_what_failed_of_something_that_passes() -> None:
    spec = Pipeline(name="p", schedule="@daily", start="2026-02-20", sources=DAYS, delay="6h")
    world = World(tables(spec), serve=ServeSpec(retries=0))
    first = world.look(START + HOUR).start[0]
    assert world.timetables["p"].interval(first.after, first.due) is not None
    assert (first.after, first.due) == (datetime(2026, 2, 20, tzinfo=UTC), datetime(2026, 2, 28, tzinfo=UTC))
    world.end("p")
    assert not world.look(START + 5 * HOUR).start
    second = world.look(START + 6 * HOUR).start[0]
    assert (second.after, second.due) == (first.due, START)
    world.end("p", 4)
    third = world.look(START + timedelta(days=1, hours=6)).start[0]
    assert (third.after, third.due) == (first.due, START + timedelta(days=1))
    world.end("p", 3)
    fourth = world.look(START + timedelta(days=2, hours=6)).start[0]
    # What a person has to look at is not covered again, but what failed before it still is.
    assert fourth.after == first.due
    world.end("p")
    fifth = world.look(START + timedelta(days=3, hours=6)).start[0]
    assert fifth.after == fourth.due


def test_one_at_a_time_and_no_more_than_parallel() -> None:
    names = ("a", "b", "c")
    world = World(tables(*(Pipeline(name=name, schedule="*/10 * * * *") for name in names)))
    world.look()
    decision = world.look(START + timedelta(minutes=10))
    assert world.running() == ["a", "b"]
    assert "2 runs are at work" in why(decision, "c")
    decision = world.look(START + timedelta(minutes=20))
    assert why(decision, "a") == "its run before is still at work"
    world.end("a")
    # The one that is due longest comes first, and answers for both of its due times.
    started = world.look().start
    assert [each.pipeline for each in started] == ["c"] or [each.pipeline for each in started] == ["a"]
    world.end("b")
    world.look()
    assert len(world.running()) == 2


def test_what_may_pass_is_tried_again_later_each_time() -> None:
    world = World(tables(Pipeline(name="p", schedule="@hourly")), serve=ServeSpec(retries=2, backoff=MINUTE))
    world.look()
    world.look(START + HOUR)
    waits = []
    for _ in range(2):
        failed = world.end("p", 4)
        assert failed.state is FiringState.PENDING
        assert failed.next_try is not None
        assert "it failed; it is tried again at" in why(world.look(), "p")
        waits.append(failed.next_try - world.at)
        assert world.look(failed.next_try).again
    assert waits[1] > waits[0] * 1.1
    assert world.end("p", 4).state is FiringState.FAILED
    assert not world.look().again


@pytest.mark.parametrize(
    ("exit_code", "state", "failures"),
    [
        (0, FiringState.DONE, 0),
        (1, FiringState.FAILED, 1),
        (2, FiringState.FAILED, 1),
        (3, FiringState.FAILED, 1),
        (4, FiringState.PENDING, 1),
        (5, FiringState.PENDING, 0),
        (70, FiringState.FAILED, 1),
        (124, FiringState.PENDING, 1),
        (130, FiringState.PENDING, 0),
        (137, FiringState.PENDING, 1),
        (139, FiringState.PENDING, 1),
        (143, FiringState.PENDING, 0),
    ],
)
def test_what_becomes_of_each_exit_code(exit_code: int, state: FiringState, failures: int) -> None:
    firing = Firing(
        id="1", pipeline="p", after=START, due=START + HOUR, state=FiringState.RUNNING, created_at=START, holder="x"
    )
    found = ended(firing, Outcome(exit_code=exit_code), START, ServeSpec())
    assert (found.state, found.failures) == (state, failures)
    assert lost(replace(firing, holder=""), START, ServeSpec()).failures == 0


def test_backoff_ends_at_an_hour_and_a_quarter() -> None:
    waits = [backoff("x", failures, ServeSpec()) for failures in range(1, 100)]
    assert waits[0] < timedelta(minutes=1.3)
    assert max(waits) <= timedelta(minutes=75)


def after_another(**more: Any) -> World:
    return World(
        tables(
            Pipeline(name="up", schedule="@hourly", catch_up="latest"),
            Pipeline(name="down", after="up", **more),
        )
    )


def test_what_runs_after_another_waits_for_its_success() -> None:
    world = after_another()
    world.look()
    decision = world.look(START + HOUR)
    assert world.running() == ["up"]
    assert why(decision, "down") == "it runs after up, whose run of that time has not begun"
    assert why(world.look(), "down") == "it runs after up, whose run is at work"
    world.end("up", 1)
    held = why(world.look(), "down")
    assert "which failed at 2026-03-01 01:00 UTC (it failed): mend it, then penstock schedule run up" in held
    world.ask("up")
    world.look()
    assert world.running() == ["up"]
    world.end("up")
    world.look()
    assert world.running() == ["down"]


def test_a_later_success_makes_good_what_failed() -> None:
    world = after_another()
    world.look()
    world.look(START + HOUR)
    world.end("up", 1)
    assert "failed" in why(world.look(START + 2 * HOUR), "down")
    world.end("up")
    down = world.look().start[0]
    assert (down.pipeline, down.after, down.due) == ("down", START, START + 2 * HOUR)


def test_what_was_skipped_before_is_skipped_after() -> None:
    world = after_another()
    world.look()
    world.look(START + 3 * HOUR)
    world.look()
    world.end("up")
    decision = world.look()
    skipped = [each for each in world.firings["down"] if each.state is FiringState.SKIPPED]
    assert [(each.due, each.reason) for each in skipped] == [(START + 2 * HOUR, "up was skipped for that time")]
    assert [start.due for start in decision.start] == [START + 3 * HOUR]


def test_the_one_after_does_not_starve_behind_a_slow_one() -> None:
    """The run before takes longer than an hour: what is ready goes on, though more is due already."""
    world = after_another()
    world.look()
    world.look(START + HOUR)
    world.look(START + 2 * HOUR + MINUTE)
    world.end("up")
    decision = world.look()
    assert {start.pipeline: start.due for start in decision.start} == {"up": START + 2 * HOUR, "down": START + HOUR}


def test_a_covering_interval_must_be_done() -> None:
    hours = Pipeline(name="hours", schedule="@hourly", start="2026-03-01", sources=DAYS, after="days")
    days = Pipeline(name="days", schedule="@daily", start="2026-03-01", sources=DAYS)
    world = World(tables(hours, days))
    world.look()
    assert "has not begun" in why(world.look(START + 5 * HOUR), "hours")
    world.look(START + 24 * HOUR)
    assert world.running() == ["days"]
    world.end("days")
    assert {start.pipeline: start.due for start in world.look().start} == {"hours": START + 24 * HOUR}


def test_all_hours_of_a_day_must_be_done() -> None:
    hours = Pipeline(name="hours", schedule="@hourly", start="2026-03-01", sources=DAYS)
    days = Pipeline(name="days", schedule="@daily", start="2026-03-01", sources=DAYS, after="hours")
    world = World(tables(hours, days))
    for hour in range(25):
        world.look(START + hour * HOUR)
        if hour:
            world.end("hours", 3 if hour == 7 else 0)
    assert "hours, which failed at 2026-03-01 07:00 UTC" in why(world.look(), "days")
    world.ask("hours")
    world.look()
    world.end("hours")
    assert [start.pipeline for start in world.look().start] == ["days"]


def test_a_paused_one_is_held_and_what_was_due_meanwhile_follows_its_policy() -> None:
    for catch_up, started in (("all", 1), ("latest", 1), ("none", 0)):
        world = World(tables(Pipeline(name="p", schedule="@hourly", catch_up=catch_up)))
        world.look()
        world.standings["p"] = replace(world.standings["p"], paused=START, paused_by="ann")
        for hour in range(1, 30):
            decision = world.look(START + hour * HOUR)
            assert not decision.start
            assert "paused by ann" in why(decision, "p")
        world.standings["p"] = replace(world.standings["p"], paused=None)
        assert len(world.look(world.at + 20 * MINUTE).start) == started


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(st.tuples(st.sampled_from(["look", "up", "down", "fail", "away"]), st.integers(1, 200))))
def test_nothing_runs_before_what_it_runs_after(steps: list[tuple[str, int]]) -> None:
    world = after_another(catch_up="all")
    world.look()
    for what, minutes in steps:
        for name in ("up", "down"):
            if name in world.running() and what in (name, "fail"):
                world.end(name, 1 if what == "fail" else 0)
        if what == "away":
            world.at += minutes * MINUTE
        for start in world.look(world.at + MINUTE).start:
            if start.pipeline == "down":
                ups = [each for each in world.firings["up"] if each.due <= start.due and each.state not in ACTIVE]
                newest = max(ups, key=lambda each: each.due)
                assert newest.due == start.due
                assert newest.state is FiringState.DONE
