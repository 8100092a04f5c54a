"""When a micro-batch is due, and when what landed is loaded."""

from __future__ import annotations

import time
from datetime import timedelta

from penstock.model.streams import Trigger
from penstock.orchestrate.streaming.pacing import LoadPace, Pace


def test_messages_that_were_there_at_once_have_waited_since_the_last_one_was_closed() -> None:
    pace = Pace(0.02)
    pace.close()
    time.sleep(0.03)
    pace.begin()
    assert pace.wait(1.0) == 0
    pace.looked(found=True)
    pace.looked(found=False)
    assert pace.due


def test_messages_that_come_later_wait_from_then_on() -> None:
    pace = Pace(3600.0)
    pace.begin()
    pace.looked(found=False)
    assert pace.wait(0.2) == 0.2
    pace.looked(found=True)
    pace.looked(found=False)
    assert not pace.due


def test_where_they_come_faster_than_they_are_taken_a_micro_batch_is_due_all_the_same() -> None:
    pace = Pace(0.04)
    pace.begin()
    end = time.monotonic() + 60
    while not pace.due and time.monotonic() < end:
        pace.looked(found=True)
    assert pace.due


def test_each_micro_batch_is_loaded_when_it_has_landed() -> None:
    pace = LoadPace(Trigger(bytes=10, age=timedelta(hours=1)))
    assert not pace.due
    for made in (time.time(), None):
        pace.landed(10, made)
        assert pace.due
        pace.loaded()
        assert not pace.waits


def test_of_a_stream_that_is_behind_four_full_ones_are_loaded_together() -> None:
    pace = LoadPace(Trigger(bytes=10, age=timedelta(hours=1)))
    for _ in range(3):
        pace.landed(10, time.time() - 7200)
        assert pace.waits
        assert not pace.due
    pace.landed(10, time.time() - 7200)
    assert pace.due


def test_what_landed_waits_no_longer_than_messages_may() -> None:
    pace = LoadPace(Trigger(bytes=10, age=timedelta(0)))
    pace.landed(1, time.time() - 7200)
    assert pace.due


def test_a_stream_that_has_caught_up_loads_what_waited() -> None:
    pace = LoadPace(Trigger(bytes=10, age=timedelta(hours=1)))
    pace.landed(1, time.time() - 7200)
    pace.landed(1, time.time())
    assert pace.due
