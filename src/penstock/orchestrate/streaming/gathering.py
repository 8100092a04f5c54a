"""Gathering a micro-batch: polling until a trigger, and ahead of time where that is safe.

While one micro-batch is landed, checked and loaded, the messages of the next are already taken from a reader that says
that it may be: they count by nothing but the positions in the lake, so what was taken ahead of a failure is read again.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from math import inf

from penstock.errors import TransientError
from penstock.extract.streams.port import Ahead, Ending, Polled, Reader
from penstock.model.streams import Positions, Trigger, advanced, behind
from penstock.orchestrate.streaming.pacing import Pace
from penstock.orchestrate.streaming.settling import Patience

_LOOK = 0.2
"""Seconds after which a wait for messages looks whether it is to end."""
_SOON = 0.05
"""The same while a micro-batch is being settled, after which the next is due at once."""


class Gatherer:
    """Gathers the micro-batches of one reader.

    Args:
        reader: The reader.
        at: Its positions.
        trigger: When a micro-batch is closed.
        patience: Waits for a far end that is away.
        stop: Set once it is to end: what was polled is returned.
        ends: Where it ends; None: nowhere.
        longest: Seconds after which it returns without messages; then nothing is gathered ahead.

    Attributes:
        at: The positions after what was returned last.
    """

    def __init__(
        self,
        reader: Reader,
        at: Positions,
        trigger: Trigger,
        patience: Patience,
        stop: threading.Event,
        *,
        ends: Positions | None = None,
        longest: float = inf,
    ) -> None:
        self.at = at
        self._reader = reader
        self._trigger = trigger
        self._patience = patience
        self._stop = stop
        self._ends = ends
        self._longest = longest
        self._pace = Pace(trigger.age.total_seconds())
        self._ahead: Future[tuple[list[Polled], Positions]] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="gather")
        self._settled, self._left = threading.Event(), threading.Event()
        self._settled.set()

    @property
    def over(self) -> bool:
        """All that is to be read was returned, and told to stop: nothing waits that was taken ahead."""
        return self._ahead is None and (self._stop.is_set() or self.ended)

    @property
    def ended(self) -> bool:
        """The end is reached."""
        return self._reached(self.at)

    def gather(self) -> list[Polled]:
        """Return the messages of the next micro-batch; none where it is to end, or after ``longest``.

        Raises:
            PenstockError: See ``Reader.poll``.
        """
        self._settled.set()
        if self._ahead is None:
            polls, self.at = self._gathered(self.at)
        else:
            begun, self._ahead = self._ahead, None
            polls, self.at = begun.result()
        return polls

    def begin(self) -> None:
        """Begin with the next micro-batch, while the one that was returned is settled."""
        ahead = isinstance(self._reader, Ahead) and self._longest == inf
        if ahead and not self._stop.is_set() and not self.ended:
            self._settled.clear()
            self._ahead = self._thread.submit(self._gathered, self.at)

    def close(self) -> None:
        """Leave what was taken ahead."""
        self._left.set()
        self._thread.shutdown()

    def _gathered(self, at: Positions) -> tuple[list[Polled], Positions]:
        """Poll until a trigger, the end, or until told to stop; returns what came and the positions after it."""
        trigger, polls, pace = self._trigger, list[Polled](), self._pace
        size, rows, failed, looked = 0, 0, 0, False
        until = time.monotonic() + self._longest
        pace.begin()
        while not self._left.is_set():
            settled = self._settled.is_set()
            full = size >= trigger.bytes or rows >= trigger.rows or (pace.due and settled)
            over = self._reached(at)
            # One look at the end, too: what is gone before the positions shows in a poll alone.
            if full or self._stop.is_set() or (over and looked) or (not polls and time.monotonic() > until):
                break
            wait = pace.wait(_LOOK) if settled else _SOON
            try:
                polled = self._reader.poll(max(1, trigger.bytes - size), 0.0 if over else wait)
            except TransientError as error:
                if not settled:
                    # Who gathers next meets it again, and waits.
                    break
                failed += 1
                self._patience.wait_for(error, failed)
                continue
            failed, looked = 0, True
            pace.looked(found=bool(polled))
            if polled:
                polls.append(polled)
                size, rows, at = size + polled.bytes, rows + polled.rows, advanced(at, polled.moves)
        pace.close()
        return polls, at

    def _reached(self, at: Positions) -> bool:
        if self._ends is None:
            return False
        return self._reader.reached(at) if isinstance(self._reader, Ending) else not behind(at, self._ends)
