"""Events of a run as it goes on, for progress displays; they carry no data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from penstock.model.interval import Interval
from penstock.model.receipts import StepReceipt
from penstock.values import dataclass

Advance = Callable[[int, int], None]
"""Called by a stage with (rows, bytes) since the last call, at most a few times per second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A run begins to work on an interval (or on all of it): ``done`` of ``total`` intervals lie behind."""

    title: str
    interval: Interval | None
    done: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStarted:
    """A step begins."""

    step: str
    table: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepAdvanced:
    """Rows and bytes passed since the last such event of the step."""

    step: str
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRetried:
    """A transient error; the step is tried again after ``wait`` seconds."""

    step: str
    error: str
    attempt: int
    wait: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFinished:
    """A step ended."""

    receipt: StepReceipt


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """The run waits for something another process holds."""

    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Streamed:
    """What a stream brought since the last such event.

    Attributes:
        table: The source.
        rows: Rows that landed, those set aside included.
        batches: Micro-batches.
        bytes: Bytes written.
        quarantined: Rows and messages that were set aside.
        seconds: The time since the last such event.
        behind: How many messages (of files: bytes) wait at the source; None: not known.
        lag: Seconds from the making of a message to its row being readable, the longest; None: messages do not say.
    """

    table: str
    rows: int
    batches: int
    bytes: int
    quarantined: int
    seconds: float
    behind: int | None = None
    lag: float | None = None


Event = Streamed | Phase | StepStarted | StepAdvanced | StepRetried | StepFinished | Waiting


class Observer(Protocol):
    """Who wants to see events; called from several threads, must return fast and raise nothing."""

    def __call__(self, event: Event, /) -> None:
        """Take in one event."""
        ...


def ignore(event: Event, /) -> None:
    """Observe nothing."""
