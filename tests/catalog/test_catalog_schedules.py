"""Schedules in the catalog: fenced writes, firings changed by one at a time, what is kept."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from penstock.catalog import schedules as kept
from penstock.catalog.holders import this_process
from penstock.catalog.opening import open_catalog
from penstock.catalog.port import Catalog, Lease
from penstock.catalog.schedules import SCHEDULER
from penstock.errors import NotFoundError, StaleWriterError
from penstock.model.firings import Firing, FiringState, Standing

AT = datetime(2026, 3, 1, tzinfo=UTC)
ELSEWHERE = "another-machine:4711:99"


def firing(number: int, state: FiringState = FiringState.RUNNING, pipeline: str = "p") -> Firing:
    due = AT + timedelta(hours=number)
    return Firing(
        id=f"{number:05}", pipeline=pipeline, after=due - timedelta(hours=1), due=due, state=state, created_at=due
    )


@pytest.fixture
def lease(catalog: Catalog) -> Lease:
    return catalog.acquire(SCHEDULER, this_process(), 60)


def test_a_firing_and_what_it_settles_are_written_together(catalog: Catalog, lease: Lease) -> None:
    schedules = catalog.schedules
    schedules.register(lease, Standing(pipeline="p", settled=AT))
    schedules.register(lease, Standing(pipeline="p", settled=AT + timedelta(days=9)))
    schedules.fire(lease, [firing(1, FiringState.SKIPPED), firing(2)], AT + timedelta(hours=2))
    assert schedules.standings()["p"].settled == AT + timedelta(hours=2)
    assert [each.id for each in schedules.firings("p")] == ["00002", "00001"]
    assert schedules.firings("q") == ()
    assert schedules.firing("00002") == firing(2)
    with pytest.raises(NotFoundError):
        schedules.firing("00003")


def test_a_scheduler_that_was_overtaken_writes_nothing(catalog: Catalog, catalog_url: str) -> None:
    schedules = catalog.schedules
    stale = catalog.acquire(SCHEDULER, ELSEWHERE, -1)
    schedules.register(stale, Standing(pipeline="p", settled=AT))
    schedules.fire(stale, [firing(1)], AT + timedelta(hours=1))
    other = open_catalog(catalog_url)
    successor = other.acquire(SCHEDULER, ELSEWHERE, 60)
    assert successor.fence > stale.fence
    for write in (
        lambda: schedules.fire(stale, [firing(2)], AT + timedelta(hours=2)),
        lambda: schedules.change(stale, firing(1), replace(firing(1), attempt=2)),
        lambda: schedules.register(stale, Standing(pipeline="q", settled=AT)),
        lambda: schedules.watch(stale, ["p"], AT),
        lambda: schedules.prune(stale, "p"),
    ):
        with pytest.raises(StaleWriterError):
            write()
    assert schedules.firings() == (firing(1),)
    assert set(schedules.standings()) == {"p"}
    other.close()


def test_what_an_earlier_attempt_says_does_not_count(catalog: Catalog, lease: Lease) -> None:
    schedules = catalog.schedules
    schedules.register(lease, Standing(pipeline="p", settled=AT))
    schedules.fire(lease, [firing(1)], AT)
    claimed = replace(firing(1), holder="me")
    assert schedules.report(firing(1), claimed)
    assert not schedules.report(firing(1), replace(firing(1), holder="another"))
    again = replace(claimed, attempt=2, holder="")
    assert schedules.change(lease, claimed, again)
    assert not schedules.report(claimed, replace(claimed, state=FiringState.DONE))
    assert schedules.firing("00001") == again


def test_of_many_that_claim_a_firing_one_gets_it(catalog: Catalog, lease: Lease) -> None:
    catalog.schedules.register(lease, Standing(pipeline="p", settled=AT))
    catalog.schedules.fire(lease, [firing(1)], AT)
    got = []

    def claim(number: int) -> None:
        if catalog.schedules.report(firing(1), replace(firing(1), holder=str(number))):
            got.append(str(number))

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [catalog.schedules.firing("00001").holder]


def test_changes_are_seen_once_and_in_order(catalog: Catalog, lease: Lease) -> None:
    schedules = catalog.schedules
    schedules.register(lease, Standing(pipeline="p", settled=AT))
    schedules.fire(lease, [firing(1), firing(2)], AT)
    revision, seen = schedules.changes(0)
    assert seen == (firing(1), firing(2))
    assert schedules.changes(revision) == (revision, ())
    done = replace(firing(1), state=FiringState.DONE)
    schedules.change(lease, firing(1), done)
    later, seen = schedules.changes(revision)
    assert seen == (done,)
    assert later > revision


def test_pausing_outlives_the_scheduler_and_resuming_takes_back_a_future(catalog: Catalog, lease: Lease) -> None:
    schedules = catalog.schedules
    schedules.pause(Standing(pipeline="p", settled=AT + timedelta(days=9)), AT, "ann")
    schedules.pause(Standing(pipeline="p", settled=AT), AT + timedelta(hours=1), "bob")
    schedules.watch(lease, ["p", "never seen"], AT)
    assert schedules.standings() == {
        "p": Standing(pipeline="p", settled=AT + timedelta(days=9), paused=AT, paused_by="ann")
    }
    schedules.resume("p", AT)
    schedules.watch(lease, ["p"], AT)
    assert schedules.standings()["p"] == Standing(pipeline="p", settled=AT, watched=AT)
    schedules.resume("never seen", AT)


def test_old_firings_are_forgotten_but_none_that_goes_on(
    catalog: Catalog, lease: Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "KEPT", 3)
    schedules = catalog.schedules
    schedules.register(lease, Standing(pipeline="p", settled=AT))
    states = [FiringState.RUNNING, *[FiringState.DONE] * 6]
    schedules.fire(lease, [firing(number, state) for number, state in enumerate(states, 1)], AT)
    schedules.prune(lease, "p")
    assert [int(each.id) for each in schedules.firings("p")] == [7, 6, 5, 1]


def test_held_leases_are_those_of_the_living(catalog: Catalog) -> None:
    catalog.acquire("mine", this_process(), 60)
    catalog.acquire("elsewhere", ELSEWHERE, 60)
    catalog.acquire("lapsed", ELSEWHERE, -1)
    catalog.release(catalog.acquire("given back", this_process(), 60))
    host, pid, start = this_process().split(":")
    catalog.acquire("of the dead", f"{host}:{pid}:{int(start) - 1}", 60)
    assert set(catalog.schedules.held()) == {"mine", "elsewhere"}
