"""The pump: a thread that receives from a far end, writes what came durably and once, and says what is safe.

A far end that keeps messages hears of them after the commit of their load: until then it has them, and so has the disk.
What it hands out again is known by its id, is not written again, and is settled with the first one. One that keeps
nothing hears of messages once they are on the disk.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from penstock.errors import LeaseHeldError, PenstockError, TransientError
from penstock.extract.streams.intake import records
from penstock.extract.streams.intake.feed import Feed, Received
from penstock.extract.streams.webhooks import segments
from penstock.extract.streams.webhooks.spool import Spool

_LOOK = 0.1
"""Seconds that a message is waited for before the pump looks what else there is to do."""
_MOST_KNOWN = 500_000
"""So many ids are remembered, whatever their age."""
_PATIENCE = 30.0


def lost(folder: Path) -> Path:
    """Return the file that says why messages may be missing, until a load has said so."""
    return folder / "lost"


class Pump:
    """Takes messages from a feed to segments, from ``start`` to ``close``.

    Args:
        feed: The far end.
        folder: Where the segments are.
        remembered: Seconds for which the id of a message is known.
        at: The position of the stream; segments that were lost begin there again.
    """

    def __init__(self, feed: Feed, folder: Path, remembered: float, at: int) -> None:
        self._feed = feed
        self._folder = folder
        self._remembered = remembered
        self._at = at
        self._committed = at
        self._end = 0
        self._known: OrderedDict[str, int] = OrderedDict()
        self._waiting: deque[tuple[int, Any]] = deque()
        self._spool: Spool | None = None
        self._thread: threading.Thread | None = None
        self._problem: PenstockError | None = None
        self._stop = threading.Event()
        self._asked = False
        self._emptied = threading.Event()
        self._drained = 0

    def start(self) -> None:
        """Connect, and begin to receive.

        Raises:
            ConfigurationError: What is to be read is not there; the segments cannot be written.
            TransientError: The far end cannot be reached; another process writes the segments.
        """
        self._stop.clear()
        self._waiting.clear()
        try:
            self._spool = Spool(self._folder, least=self._at)
        except LeaseHeldError as error:
            raise TransientError(error.what, remedy="One penstock stream reads it") from None
        try:
            self._end = segments.listed(self._folder)[-1].end
            now = int(time.time() * 1e6)
            since = now - int(self._remembered * 1e6)
            self._known = OrderedDict((id_, now) for id_ in self._spool.recent(since) if id_)
            self._feed.connect()
            if self._feed.lost and self._end:
                lost(self._folder).write_text(self._feed.lost)
        except BaseException:
            self._leave(None)
            raise
        self._thread = threading.Thread(target=self._run, name=f"intake {self._folder.name}", daemon=True)
        self._thread.start()

    def look(self) -> None:
        """Raise what ended the pump, once; begin again after that."""
        problem, self._problem = self._problem, None
        if problem is not None:
            raise problem
        if self._thread is None or not self._thread.is_alive():
            self.start()

    def committed(self, offset: int) -> None:
        """Say up to which offset messages are committed."""
        self._committed = max(self._committed, offset)

    def drain(self, wait: float) -> None:
        """Find out anew where the far end is empty; wait some seconds for that."""
        self._emptied.clear()
        self._asked = True
        end = time.monotonic() + wait
        while not self._emptied.wait(_LOOK) and time.monotonic() < end and self._problem is None:
            pass

    @property
    def drained(self) -> int | None:
        """Return the offset at which the far end was found empty; None: not yet."""
        return self._drained if self._emptied.is_set() else None

    def close(self, read: int) -> None:
        """Say what is safe, and leave.

        Args:
            read: Behind this offset nobody has read: what a far end keeps of that it sends again, so it is cut off.
        """
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_PATIENCE)
        self._leave(read if self._feed.keeps else None)

    def _leave(self, keep: int | None) -> None:
        self._feed.close()
        spool, self._spool = self._spool, None
        if spool is not None:
            spool.close(keep)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._turn()
            self._settle()
        except PenstockError as error:
            self._problem = error
            self._leave(None)

    def _turn(self) -> None:
        found = self._feed.receive(_LOOK)
        if found:
            self._keep(found)
        self._settle()
        if found or not self._asked or not self._feed.empty():
            return
        late = self._feed.receive(0)
        if late:
            self._keep(late)
        else:
            self._asked, self._drained = False, self._end
            self._emptied.set()

    def _keep(self, found: Sequence[Received]) -> None:
        """Write what is not known; it is on the disk when this returns."""
        at = int(time.time() * 1e6)
        lines, ends, end = [], [], self._end
        for each in found:
            if self._fresh(each, at):
                lines.append(records.line(at, each))
                end += len(lines[-1])
            # One that is known is safe once all before it are.
            ends.append((end, each.ticket))
        if lines:
            self._write(b"".join(lines))
            self._forget(at)
        self._waiting.extend(ends)

    def _fresh(self, message: Received, at: int) -> bool:
        """Say whether a message did not come before, and note that it came."""
        if not message.id:
            return True
        id_ = records.identity(message.id)
        if message.again and id_ in self._known:
            return False
        self._known.pop(id_, None)
        self._known[id_] = at
        return True

    def _write(self, data: bytes) -> None:
        assert self._spool is not None
        there = threading.Event()
        problems: list[OSError | None] = []

        def told(problem: OSError | None) -> None:
            problems.append(problem)
            there.set()

        self._spool.append(data, told)
        there.wait()
        if problems[0] is not None:
            raise TransientError(
                f"The messages of {self._feed.topic} cannot be written to {self._folder}: {problems[0].strerror}"
            )
        self._end += len(data)

    def _settle(self) -> None:
        safe = self._committed if self._feed.keeps else self._end
        ticket = None
        while self._waiting and self._waiting[0][0] <= safe:
            ticket = self._waiting.popleft()[1]
        if ticket is not None:
            self._feed.settle(ticket)

    def _forget(self, now: int) -> None:
        oldest = now - int(self._remembered * 1e6)
        while self._known and (len(self._known) > _MOST_KNOWN or next(iter(self._known.values())) < oldest):
            self._known.popitem(last=False)
