"""The real scheduler, as a process: it begins, waits, retries, stops, is killed, and is followed by another."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from datetime import datetime
from itertools import pairwise

import pytest
from yard import Yard, alive, living_children, overlapping, utc

from penstock.cli import stopping
from penstock.model.firings import FiringState

ONE = 'p = Pipeline(name="p", schedule="every 1s", sources=[sources.python(each("p"), table="p", write="append")])\n'
QUICK = 'backoff = "100ms"\nretries = 1000\n'


def test_what_is_due_runs_and_what_comes_after_follows(any_yard: Yard) -> None:
    yard = any_yard
    after = ONE.replace('"p"', '"q"').replace("p = ", "q = ").replace('schedule="every 1s"', 'after="p"')
    yard.declare(ONE + after, "p q", "parallel = 2")
    scheduler = yard.serve()
    yard.until(lambda: yard.begun("q") >= 2, "the second one ran twice")
    scheduler.send_signal(signal.SIGTERM)
    assert scheduler.wait(150) == 0, yard.said()
    assert yard.events()[-1] == ("stopped", "Stopped.")
    assert set(yard.states("p")) == {FiringState.DONE}
    for name in ("p", "q"):
        firings = [firing for firing in yard.firings(name) if firing.state is FiringState.DONE]
        assert all(later.after == earlier.due for earlier, later in pairwise(firings))
        assert len(yard.rows(name)) == yard.begun(name) == len(firings)
        assert {firing.run for firing in firings} <= {run["id"] for run in yard.type("runs", "--limit", "1000")}
    done = {firing.due for firing in yard.firings("p")}
    assert all(firing.due in done for firing in yard.firings("q"))


def test_killed_at_random_nothing_is_lost_and_nothing_doubled(any_yard: Yard) -> None:
    """Intervals of a second over some seconds, the scheduler killed again and again, its runs killed as well or not."""
    killed(any_yard, kills=6, seconds=12)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_killed_at_random_for_long(any_yard: Yard, part: int) -> None:
    killed(any_yard, kills=40, seconds=80, seed=part)


def killed(yard: Yard, kills: int, seconds: int, seed: int = 20261122) -> None:
    """Kill the scheduler of two pipelines, one after the other, so often; then let it end, and look at what is left."""
    chance = random.Random(seed)
    first = int(time.time()) + 1
    start, end = utc(first), utc(first + seconds)
    read = f'start="{start.isoformat()}", end="{end.isoformat()}", '
    read += 'sources=[sources.python(each("p"), table="p", interval="at", write="append")]'
    follower = 'q = Pipeline(name="q", after="p", sources=[sources.python(each("q"), table="q", write="append")])\n'
    yard.declare(f'p = Pipeline(name="p", schedule="every 1s", {read})\n' + follower, "p q", QUICK + "parallel = 2")
    for _ in range(kills):
        scheduler = yard.serve()
        time.sleep(chance.uniform(0.3, 3))
        children = living_children(scheduler.pid)
        scheduler.kill()
        scheduler.wait()
        for child in children if chance.random() < 0.5 else ():
            child.kill()
    yard.until(lambda: settled(yard, end), "everything was done")
    assert [at for (at,) in yard.rows("p")] == [utc(first + second) for second in range(seconds)], yard.said()
    for name in ("p", "q"):
        firings = yard.firings(name)
        assert {firing.state for firing in firings} == {FiringState.DONE}
        # A scheduler that came before the start settled that moment, from which nothing was due.
        assert firings[0].after <= start
        assert all(later.after == earlier.due for earlier, later in pairwise(firings))
        assert sum(firing.times for firing in firings) == seconds
    assert overlapping(yard.trace()) == []


def settled(yard: Yard, end: datetime) -> bool:
    """Begin what is due once, and say whether all was done then."""
    yard.serve("--once").wait(90)
    return all(
        firings and firings[-1].due == end and firings[-1].state is FiringState.DONE
        for firings in (yard.firings("p"), yard.firings("q"))
    )


def test_a_run_outlives_its_scheduler_and_the_next_one_waits_for_it(yard: Yard) -> None:
    yard.declare(ONE, "p", QUICK)
    yard.hold("p")
    first = yard.serve()
    yard.until(lambda: yard.begun("p") == 1, "a run began")
    first.kill()
    first.wait()
    second = yard.serve()
    yard.until(lambda: "adopted" in dict(yard.events()), "the next scheduler found the run")
    time.sleep(1.5)
    assert yard.begun("p") == 1
    yard.let_go("p")
    yard.until(lambda: yard.begun("p") >= 2, "the next run began")
    second.send_signal(signal.SIGTERM)
    assert second.wait(150) == 0
    firings = yard.firings("p")
    assert firings[0].state is FiringState.DONE
    assert firings[0].attempt == 1
    assert overlapping(yard.trace()) == []


def test_a_run_that_died_with_its_scheduler_runs_again(yard: Yard) -> None:
    yard.declare(ONE, "p", QUICK)
    yard.hold("p")
    first = yard.serve()
    yard.until(lambda: yard.begun("p") == 1, "a run began")
    children = living_children(first.pid)
    first.kill()
    first.wait()
    for child in children:
        child.kill()
    yard.let_go("p")
    second = yard.serve()
    yard.until(lambda: FiringState.DONE in yard.states("p"), "it ran again")
    second.send_signal(signal.SIGTERM)
    second.wait(150)
    again = yard.firings("p")[0]
    assert (again.state, again.attempt, again.failures) == (FiringState.DONE, 2, 1)


def test_a_second_scheduler_stands_by_and_takes_over(any_yard: Yard) -> None:
    yard = any_yard
    yard.declare(ONE, "p", QUICK)
    first = yard.serve()
    yard.until(lambda: yard.begun("p") >= 1, "the first one works")
    second = yard.serve()
    yard.until(yard.events, "the second one speaks")
    assert yard.events()[0][0] == "standby"
    assert f"process {first.pid}" in yard.events()[0][1]
    assert yard.serve("--once").wait(150) == 0
    assert "Another scheduler is at work" in yard.events()[0][1]
    first.kill()
    first.wait()
    began = yard.begun("p")
    yard.until(lambda: yard.begun("p") > began + 1, "the second one took over")
    assert "serving" in dict(yard.events(1))
    second.send_signal(signal.SIGINT)
    assert second.wait(150) == 0
    assert overlapping(yard.trace()) == []


def test_one_that_slept_through_the_loss_of_its_lease_stands_by(yard: Yard) -> None:
    yard.declare(ONE, "p", QUICK)
    first = yard.serve()
    yard.until(lambda: yard.begun("p") >= 1, "the first one works")
    first.send_signal(signal.SIGSTOP)
    yard.expire()
    second = yard.serve()
    began = yard.begun("p")
    yard.until(lambda: yard.begun("p") > began + 1, "the second one works")
    first.send_signal(signal.SIGCONT)
    yard.until(lambda: any(event == "standby" for event, _ in yard.events(0)), "the first one found out")
    for scheduler in (first, second):
        scheduler.send_signal(signal.SIGTERM)
        assert scheduler.wait(150) == 0, yard.said()
    firings = yard.firings("p")
    assert all(later.after == earlier.due for earlier, later in pairwise(firings))
    assert overlapping(yard.trace()) == []


def test_told_to_stop_a_run_gets_its_time(yard: Yard) -> None:
    yard.declare(ONE, "p", 'stopping = "80s"')
    yard.hold("p")
    scheduler = yard.serve()
    yard.until(lambda: yard.begun("p") == 1, "a run began")
    scheduler.send_signal(signal.SIGTERM)
    yard.until(lambda: any(event == "stopping" for event, _ in yard.events()), "it was told")
    time.sleep(1.5)
    assert scheduler.poll() is None
    yard.let_go("p")
    assert scheduler.wait(150) == 0
    assert yard.begun("p") == 1
    assert yard.states("p") == [FiringState.DONE]


def test_a_run_whose_time_is_over_is_stopped_in_order(yard: Yard) -> None:
    yard.declare(ONE, "p", 'stopping = "1s"')
    yard.hold("p")
    scheduler = yard.serve()
    yard.until(lambda: yard.begun("p") == 1, "a run began")
    scheduler.send_signal(signal.SIGTERM)
    yard.until(lambda: stopping.ENDING in yard.last_words("p"), "the run was told")
    yard.let_go("p")
    assert scheduler.wait(150) == 143, yard.said()
    assert any("Telling p to stop" in sentence for _, sentence in yard.events())
    # Where the machine was so busy that its last word took too long, it was killed, and is found by the next one.
    assert yard.states("p")[0] in (FiringState.PENDING, FiringState.RUNNING)
    yard.serve("--once").wait(150)
    assert yard.firings("p")[0].state is FiringState.DONE


def test_told_twice_it_ends_at_once_and_the_next_one_goes_on(yard: Yard) -> None:
    yard.declare(ONE, "p", 'stopping = "80s"\n' + QUICK)
    yard.hold("p")
    scheduler = yard.serve()
    yard.until(lambda: yard.begun("p") == 1, "a run began")
    children = living_children(scheduler.pid)
    scheduler.send_signal(signal.SIGTERM)
    yard.until(lambda: any(event == "stopping" for event, _ in yard.events()), "it was told")
    scheduler.send_signal(signal.SIGTERM)
    assert scheduler.wait(30) == 143
    yard.until(lambda: not any(alive(child) for child in children), "what it had begun is dead")
    yard.let_go("p")
    yard.serve("--once").wait(150)
    assert yard.firings("p")[0].state is FiringState.DONE


def test_a_run_that_takes_too_long_is_ended_and_tried_again(yard: Yard) -> None:
    yard.declare(ONE.replace('schedule="every 1s"', 'schedule="every 1s", timeout="5s"'), "p", QUICK)
    yard.hold("p")
    scheduler = yard.serve()
    yard.until(lambda: yard.begun("p") == 1, "a run began")
    yard.until(lambda: stopping.ENDING in yard.last_words("p"), "its time was over")
    yard.let_go("p")
    yard.until(lambda: FiringState.DONE in yard.states("p"), "it was tried again")
    scheduler.send_signal(signal.SIGTERM)
    scheduler.wait(150)
    assert any("longer than its timeout" in sentence for _, sentence in yard.events())
    assert yard.firings("p")[0].attempt > 1


def test_a_run_that_crashes_takes_nobody_with_it(yard: Yard) -> None:
    crash = "import os, signal\n" + ONE.replace('each("p")', "lambda: os.kill(os.getpid(), signal.SIGSEGV)")
    other = ONE.replace('"p"', '"q"').replace("p = ", "q = ")
    yard.declare(crash + other, "p q", 'parallel = 2\nretries = 1\nbackoff = "100ms"')
    scheduler = yard.serve()
    yard.until(lambda: FiringState.FAILED in yard.states("p"), "it failed in the end")
    yard.until(lambda: yard.begun("q") >= 2, "the other one goes on")
    scheduler.send_signal(signal.SIGTERM)
    assert scheduler.wait(150) == 0
    failed = yard.firings("p")[0]
    assert (failed.failures, failed.attempt, failed.exit_code) == (2, 2, 139)
    assert "ended by SIGSEGV; see .penstock/serve/p.log" in failed.reason


def test_once_begins_what_is_due_and_says_how_it_went(yard: Yard) -> None:
    yard.declare(ONE, "p")
    assert yard.serve("--once").wait(150) == 0
    assert yard.firings("p") == []
    time.sleep(1.1)
    assert yard.serve("--once").wait(150) == 0
    assert yard.states("p") == [FiringState.DONE]
    (yard.folder / "fail-p").touch()
    time.sleep(1.1)
    code = yard.serve("--once").wait(150)
    assert code not in (0, 143), yard.said()
    assert yard.states("p")[-1] is FiringState.FAILED
    assert "told to fail" in yard.firings("p")[-1].reason


def test_paused_asked_for_and_resumed(yard: Yard) -> None:
    yard.declare(ONE.replace("every 1s", "@monthly"), "p", QUICK)
    paused = yard.type("schedule", "pause", "p", "--by", "ann")
    assert paused["pipelines"][0]["state"] == "paused"
    scheduler = yard.serve()
    yard.type("schedule", "run", "p")
    yard.until(lambda: any("paused by ann" in sentence for _, sentence in yard.events()), "it says why it waits")
    assert yard.begun("p") == 0
    yard.type("schedule", "resume", "p")
    yard.until(lambda: FiringState.DONE in yard.states("p"), "it ran")
    scheduler.send_signal(signal.SIGTERM)
    assert scheduler.wait(150) == 0
    assert yard.firings("p")[0].asked


def test_a_run_by_hand_is_waited_for(yard: Yard) -> None:
    yard.declare(ONE, "p", QUICK)
    yard.hold("p")
    by_hand = subprocess.Popen(
        [sys.executable, "-m", "penstock", "run", "p"], cwd=yard.folder, stdout=subprocess.DEVNULL
    )
    yard.until(lambda: yard.begun("p") == 1, "the run by hand began")
    scheduler = yard.serve()
    yard.until(lambda: any("another run of it is at work" in said for _, said in yard.events()), "it says so")
    yard.let_go("p")
    assert by_hand.wait(150) == 0
    yard.until(lambda: FiringState.DONE in yard.states("p"), "the scheduler went on")
    scheduler.send_signal(signal.SIGTERM)
    assert scheduler.wait(150) == 0
    assert overlapping(yard.trace()) == []


def test_pipelines_are_read_anew_and_bad_ones_change_nothing(yard: Yard) -> None:
    yard.declare(ONE.replace("every 1s", "@monthly"), "p", QUICK)
    scheduler = yard.serve()
    yard.until(yard.events, "it serves")
    code = (yard.folder / "pipeline.py").read_text()
    (yard.folder / "pipeline.py").write_text(code.replace("@monthly", "@mostly"))
    scheduler.send_signal(signal.SIGHUP)
    yard.until(lambda: any("stay as they were" in said for _, said in yard.events()), "it refused")
    (yard.folder / "pipeline.py").write_text(code.replace("@monthly", "every 1s"))
    scheduler.send_signal(signal.SIGHUP)
    yard.until(lambda: yard.begun("p") >= 1, "it goes by the new schedule")
    scheduler.send_signal(signal.SIGTERM)
    assert scheduler.wait(150) == 0


@pytest.mark.parametrize(
    ("serve", "code", "words"),
    [
        ("parallel = 9", 2, ("9 runs at once", "4800MiB")),
        ("parallel = 0", 2, ("serve.parallel",)),
        ('grace = "1s"', 2, ("serve.grace", "30s")),
        ('backoff = "soon"', 2, ("serve.backoff", "soon")),
        ("paralel = 2", 2, ("paralel", "parallel")),
    ],
)
def test_what_cannot_be_served_is_refused(yard: Yard, serve: str, code: int, words: tuple[str, ...]) -> None:
    yard.declare(ONE, "p", serve)
    assert yard.serve().wait(150) == code
    for word in words:
        assert word in yard.said()
    yard.declare(ONE, "p")
