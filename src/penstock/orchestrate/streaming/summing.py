"""What a stream did, in few words: a run without end cannot keep a receipt of each of its steps."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import field, replace
from datetime import datetime

from penstock.model.events import Advance, StepFinished, Streamed
from penstock.model.receipts import State, StepReceipt
from penstock.orchestrate.context import RunContext
from penstock.orchestrate.streaming.sharing import Member
from penstock.orchestrate.streaming.window_publishing import LiveWindows
from penstock.orchestrate.workspace import now
from penstock.values import dataclass

_EVERY = 5.0
"""Seconds between two lines about a stream."""
_MOST_NOTES = 20
_WORSE = (State.UNCHANGED, State.DONE, State.SKIPPED, State.REJECTED, State.FAILED)


@dataclass(slots=True)
class _Since:
    """Sums since the last line about a stream."""

    begun: float = field(default_factory=time.monotonic)
    rows: int = 0
    batches: int = 0
    bytes: int = 0
    quarantined: int = 0
    lag: float | None = None


@dataclass(kw_only=True)
class StreamContext(RunContext):
    """A stream at work: receipts are added up, step by step.

    Attributes:
        member: This process among those that read together; None: it reads alone, and holds the lease all the time.
    """

    member: Member | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._sums: dict[str, StepReceipt] = {}
        self._since: dict[str, _Since] = {}
        self.windows = LiveWindows()

    @contextmanager
    def writing(self, stop: threading.Event) -> Iterator[None]:
        """Hold the right to write, for one micro-batch; ``stop`` is set once the stream is to end."""
        if self.member is None:
            yield
            return
        with self.member.writing(stop) as lease:
            self.lease = lease
            yield

    def finished(self, receipt: StepReceipt) -> None:
        """Add a receipt to those of its step; what went wrong is told at once."""
        with self._lock:
            known = self._sums.get(receipt.step)
            self._sums[receipt.step] = receipt if known is None else _added(known, receipt)
            if receipt.step.startswith("extract ") and receipt.number is not None:
                since = self._since.setdefault(receipt.step.removeprefix("extract "), _Since())
                since.rows += receipt.rows
                since.batches += 1
                since.bytes += receipt.bytes
                since.quarantined += receipt.quarantined
        if receipt.state in (State.REJECTED, State.FAILED):
            self.workspace.observer(StepFinished(receipt=receipt))

    def started(self, step: str, table: str) -> float:  # noqa: ARG002 - the display shows micro-batches, not their steps
        """Tell nobody of the steps of a micro-batch; returns the clock for ``seconds``."""
        return time.monotonic()

    def advance(self, step: str) -> Advance:  # noqa: ARG002 - the same
        """Tell nobody of what passes within a micro-batch."""
        return _nothing

    def due(self, table: str) -> bool:
        """Say whether it is time for a line about a stream."""
        since = self._since.get(table)
        return since is not None and since.batches > 0 and time.monotonic() - since.begun >= _EVERY

    def tell(self, table: str, behind: int | None) -> None:
        """Tell what a stream brought since the last line about it."""
        with self._lock:
            since, self._since[table] = self._since.get(table, _Since()), _Since()
        if since.batches:
            self.workspace.observer(
                Streamed(
                    table=table,
                    rows=since.rows,
                    batches=since.batches,
                    bytes=since.bytes,
                    quarantined=since.quarantined,
                    seconds=time.monotonic() - since.begun,
                    behind=behind,
                    lag=since.lag,
                )
            )

    def readable(self, table: str, oldest: datetime | None) -> None:
        """Take in that the rows of a micro-batch can be read now.

        Args:
            table: The stream.
            oldest: When its oldest message was made.
        """
        if oldest is not None:
            lag = (now() - oldest).total_seconds()
            with self._lock:
                since = self._since.setdefault(table, _Since())
                since.lag = max(lag, since.lag or 0.0)

    def settle(self) -> None:
        """Make the sums the receipts of the run."""
        self.windows.close()
        with self._lock:
            self.steps[:] = self._sums.values()


def _added(known: StepReceipt, new: StepReceipt) -> StepReceipt:
    notes = tuple(dict.fromkeys((*known.notes, *new.notes)))
    return replace(
        known,
        state=max(known.state, new.state, key=_WORSE.index),
        rows=known.rows + new.rows,
        bytes=known.bytes + new.bytes,
        quarantined=known.quarantined + new.quarantined,
        deleted=known.deleted + new.deleted,
        seconds=known.seconds + new.seconds,
        number=new.number if new.number is not None else known.number,
        notes=notes[:_MOST_NOTES],
        report=new.report or known.report,
        reconciled=new.reconciled or known.reconciled,
        change=new.change or known.change,
    )


def _nothing(rows: int, size: int) -> None:
    """Tell nobody."""
