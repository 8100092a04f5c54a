"""When a micro-batch is due: messages that waited while the one before was settled have waited already."""

from __future__ import annotations

import time

from penstock.orchestrate.streaming.pacing import Pace


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
