"""Leases: one holder at a time, fences that only grow, dead holders taken over."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from penstock.catalog import holders
from penstock.catalog.opening import open_catalog
from penstock.catalog.port import Catalog
from penstock.errors import LeaseHeldError, StaleWriterError

ELSEWHERE = "another-machine:4711:99"


def test_a_held_lease_is_refused_with_who_and_since_when(catalog: Catalog) -> None:
    lease = catalog.acquire("flights", ELSEWHERE, 60)
    assert (lease.fence, lease.holder, lease.name) == (1, ELSEWHERE, "flights")
    with pytest.raises(LeaseHeldError, match=r"process 4711 on another-machine, since \d{4}-\d\d-\d\d"):
        catalog.acquire("flights", holders.this_process(), 60)
    assert catalog.acquire("weather", holders.this_process(), 60).fence == 1


def test_a_process_does_not_get_its_own_lease_twice(catalog: Catalog) -> None:
    catalog.acquire("flights", holders.this_process(), 60)
    with pytest.raises(LeaseHeldError):
        catalog.acquire("flights", holders.this_process(), 60)


def test_a_released_lease_is_free_and_its_fence_grows(catalog: Catalog) -> None:
    first = catalog.acquire("flights", ELSEWHERE, 60)
    catalog.release(first)
    catalog.release(first)
    second = catalog.acquire("flights", "b:1:1", 60)
    assert second.fence == first.fence + 1
    catalog.release(first)
    assert catalog.renew(second, 60).expires > second.expires


def test_an_expired_lease_is_taken_over_and_the_old_holder_is_stale(catalog: Catalog) -> None:
    old = catalog.acquire("flights", ELSEWHERE, 0.05)
    time.sleep(0.1)
    assert catalog.renew(old, 0.05).fence == old.fence  # nobody took it meanwhile
    time.sleep(0.1)
    new = catalog.acquire("flights", "b:1:1", 60)
    assert new.fence == old.fence + 1
    with pytest.raises(StaleWriterError, match="flights"):
        catalog.renew(old, 60)


def test_the_lease_of_a_dead_process_is_taken_over_at_once(catalog: Catalog) -> None:
    asked = "from penstock.catalog.holders import this_process; print(this_process())"
    child = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    dead = child.stdout.strip()
    old = catalog.acquire("flights", dead, 3600)
    assert catalog.acquire("flights", ELSEWHERE, 60).fence == old.fence + 1


def test_a_reused_process_number_is_not_the_old_holder() -> None:
    host, pid, start = holders.this_process().split(":")
    assert not holders.is_dead(f"{host}:{pid}:{start}")
    assert holders.is_dead(f"{host}:{pid}:{int(start) - 1}")
    assert not holders.is_dead(f"{host}x:{pid}:{int(start) - 1}")


@pytest.mark.parametrize("text", ["", "nobody", "a:b:c", "a:1", ":::", "a:1:2:3"])
def test_a_holder_that_is_not_ours_counts_as_alive(text: str) -> None:
    assert not holders.is_dead(text)
    assert holders.shown(text)


def test_a_zombie_is_dead() -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    host, _, start = holders.this_process().split(":")
    deadline = time.monotonic() + 10
    while not holders.is_dead(f"{host}:{child.pid}:0") and time.monotonic() < deadline:
        time.sleep(0.01)
    assert holders.is_dead(f"{host}:{child.pid}:{start}")
    child.wait()


def test_raise_fence_lifts_the_next_lease_but_keeps_the_present_one(catalog: Catalog) -> None:
    held = catalog.acquire("flights", ELSEWHERE, 60)
    catalog.raise_fence("flights", 41)
    catalog.raise_fence("flights", 7)
    catalog.raise_fence("weather", 9)
    catalog.release(catalog.renew(held, 60))
    assert catalog.acquire("flights", ELSEWHERE, 60).fence == 42
    assert catalog.acquire("weather", ELSEWHERE, 60).fence == 10


RACE = """
import sys, time
from penstock.catalog.holders import this_process
from penstock.catalog.opening import open_catalog
from penstock.errors import LeaseHeldError
url, at = sys.argv[1], float(sys.argv[2])
time.sleep(max(0, at - time.time()))
catalog = open_catalog(url)
try:
    print(catalog.acquire("flights", this_process(), 60).fence, flush=True)
except LeaseHeldError:
    print("held", flush=True)
sys.stdin.read()
catalog.close()
"""


def test_of_processes_that_race_exactly_one_gets_it(catalog_url: str) -> None:
    """The race begins at a catalog that is not there yet, so that making it races too."""
    at = str(time.time() + 1.5)
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, catalog_url, at], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(5)
    ]
    try:
        said = [racer.stdout.readline().strip() for racer in racers if racer.stdout]
    finally:
        for racer in racers:
            racer.communicate()
    assert sorted(said) == ["1", "held", "held", "held", "held"]
    catalog = open_catalog(catalog_url)
    assert catalog.acquire("flights", ELSEWHERE, 60).fence == 2  # all racers are dead now
    catalog.close()
