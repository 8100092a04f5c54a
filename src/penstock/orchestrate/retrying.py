"""Trying again: transient errors are retried with exponential backoff and full jitter, the rest are not."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from penstock.errors import TransientError
from penstock.model.events import Observer, StepRetried

T = TypeVar("T")

ATTEMPTS = 4
FIRST_WAIT = 0.5
LONGEST_WAIT = 30.0


def retrying(call: Callable[[], T], step: str, observer: Observer) -> T:
    """Return what ``call`` returns, trying up to four times while it raises TransientError.

    Waits are drawn from 0 to 0.5, 1, 2 … seconds (full jitter), or are what the other side asked for; 30 s at most.

    Args:
        call: The work; it must leave nothing behind when it raises.
        step: Its name, for the display.
        observer: Is told of each new attempt.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return call()
        except TransientError as error:
            if attempt == ATTEMPTS:
                raise
            drawn = random.uniform(0, FIRST_WAIT * 2 ** (attempt - 1))
            wait = min(error.retry_after if error.retry_after is not None else drawn, LONGEST_WAIT)
            observer(StepRetried(step=step, error=error.sentence(), attempt=attempt, wait=wait))
            time.sleep(wait)
    raise AssertionError
