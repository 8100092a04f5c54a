"""Capturing changes: tables of one database that are read together, in the order of its commits.

What is delivered ends with a commit, and becomes visible in the staging warehouse in one transaction, all tables
together. In the lake each table has a load of its own, one after the other; the last one says how far all of them are
(``model/capture.py``), and only then is the source told. After a crash between two loads the tables that have theirs
pass over what they have, and nothing is loaded into the warehouse before the others have caught up.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from functools import partial

from penstock import plugins
from penstock.errors import DataError, PenstockError, StaleWriterError, TransientError
from penstock.extract.streams.changes.port import Capture, Changes, Taken
from penstock.model.capture import Landed, level, levelled, own, reached
from penstock.model.specs import SourceSpec
from penstock.orchestrate.preparing import Prepared
from penstock.orchestrate.streaming.consuming import Consuming
from penstock.orchestrate.streaming.pacing import LoadPace, Pace
from penstock.orchestrate.streaming.readings import opening
from penstock.orchestrate.streaming.settling import Patience, TableHand, load_together
from penstock.orchestrate.streaming.summing import StreamContext
from penstock.orchestrate.workspace import now

_LOOK = 0.2
"""Seconds after which a wait for changes looks whether it is to end."""
_SOON = 0.01
_LEAST = 2**20
"""Of a transaction that is longer than a micro-batch the rest is taken in pieces of this many bytes."""
_IDLE_BYTES = 16 * 2**20
_IDLE_SECONDS = 60.0
"""Where no table changes, but others of the database do, the source hears no oftener how far it was read."""
_IDLE_LONG = timedelta(hours=1)
"""The age of the newest load from which on the position moves, however little it is."""


class Captor:
    """Captures the changes of some tables, in one thread.

    Args:
        sources: The tables, all of one reading; see ``readings``.
        prepared: Their pipeline.
        context: What the streams of the pipeline share.
        asked: How.
        stop: Set once it is to end: whole transactions that were read are landed first.
    """

    def __init__(
        self,
        sources: Sequence[SourceSpec],
        prepared: Prepared,
        context: StreamContext,
        asked: Consuming,
        stop: threading.Event,
    ) -> None:
        assert sources[0].stream is not None
        self._sources = tuple(sources)
        self._trigger = sources[0].stream.trigger
        self._pace = Pace(self._trigger.age.total_seconds())
        self._loads = LoadPace(self._trigger)
        self._context = context
        self._asked = asked
        self._stop = stop
        self._patience = Patience(sources[0].table, context, stop, ends=asked.until_end)
        self._hands = {
            source.table: TableHand(source, prepared, context, self._patience, retry=asked.retry) for source in sources
        }
        self._failed = 0
        self._level = self._ahead = 0
        self._waits = False
        self._told = 0.0

    def run(self) -> None:
        """Capture until told to stop, or to the end.

        Raises:
            PenstockError: The source, the lake or the warehouse stands in the way; a load was rejected.
        """
        try:
            self._run()
        finally:
            for hand in self._hands.values():
                hand.close()

    def _run(self) -> None:
        while True:
            for hand in self._hands.values():
                hand.begin()
            try:
                with closing(self._patience.reached(self._open)) as capture:
                    self._capture(capture)
                return
            except StaleWriterError as error:
                self._patience.afresh(error, [hand.known.position() for hand in self._hands.values()])
                # Either the lease is another's, or somebody without it landed just before: then all is read afresh.
                self._context.hold()
                for hand in self._hands.values():
                    hand.refresh()
            except TransientError as error:
                self._failed += 1
                self._patience.wait_for(error, self._failed)
                if self._stop.is_set():
                    raise

    def _open(self) -> Capture:
        positions = self._stand()
        self._load(self._level)
        capture: Capture = plugins.find("capture", self._sources[0].kind)().capture(
            opening(self._context.workspace, self._context.spec.name, self._sources, positions)
        )
        return capture

    def _capture(self, capture: Capture) -> None:
        self._read_whole(capture)
        self._load(self._level)
        capture.begin()
        end = capture.end() if self._asked.until_end else None
        while True:
            self._read_whole(capture)
            taken = self._gather(capture, end)
            if taken.rows or self._far(taken):
                self._deliver(taken, capture)
            elif self._waits:
                self._load(taken.following)
            over = end is not None and taken.following >= end and not capture.unread
            if over or self._stop.is_set():
                self._load(max(self._level, taken.following), patient=True)
                for table in self._hands:
                    self._context.tell(table, 0 if over else None)
                return
            for table in self._hands:
                if self._context.due(table):
                    self._context.tell(table, None)

    def _read_whole(self, capture: Capture) -> None:
        """Read the tables whole that nothing has landed of, or whose changes have a gap."""
        unread = tuple(capture.unread)
        for table in unread:
            self._hands[table].land(partial(capture.whole, table))
        if unread:
            self._stand()

    def _stand(self) -> Landed:
        """Find out how far the tables are landed, all of them and the one that is ahead."""
        positions = {table: hand.known.position() for table, hand in self._hands.items()}
        self._level = max(level(positions), min(reached(positions, table) for table in positions))
        self._ahead = max(own(position) for position in positions.values())
        return positions

    def _load(self, through: int, *, patient: bool = False) -> None:
        """Load what has landed, once all tables are where the one is that was read whole last: else they do not fit."""
        self._waits = through < self._ahead
        if not self._waits:
            load_together(list(self._hands.values()), patient=patient)
            self._loads.loaded()

    def _gather(self, capture: Capture, end: int | None) -> Taken:
        """Take changes until a trigger, the end, or until told to stop; what is returned ends with a commit."""
        taken = Taken()
        self._pace.begin()
        try:
            return self._filled(taken, capture, end)
        except BaseException:
            taken.close()
            raise
        finally:
            self._pace.close()

    def _filled(self, taken: Taken, capture: Capture, end: int | None) -> Taken:
        trigger, pace = self._trigger, self._pace
        while True:
            full = taken.bytes >= trigger.bytes or taken.count >= trigger.rows or pace.due
            fits = self._waits and capture.settle(taken) and taken.following >= self._ahead
            due = full or self._stop.is_set() or capture.unread or self._idle(taken) or fits
            if due and capture.settle(taken):
                return taken
            if self._stop.is_set():
                # A part of a transaction: it comes again, whole.
                taken.close()
                return Taken()
            wait = max(_SOON, pace.wait(_LOOK)) if full else pace.wait(_LOOK)
            came = capture.take(taken, max(_LEAST, trigger.bytes - taken.bytes), wait)
            pace.looked(found=came)
            if self._loads.due or (self._loads.waits and not came):
                self._load(self._level)
            if came:
                self._failed = 0
            elif capture.settle(taken) and end is not None and taken.following >= end:
                return taken

    def _idle(self, taken: Taken) -> bool:
        """Say whether the source is to hear that nothing came for these tables in all that it wrote."""
        return not taken.rows and self._far(taken) and time.monotonic() - self._told >= _IDLE_SECONDS

    def _far(self, taken: Taken) -> bool:
        """Say whether a load without rows is worth it that moves the position: the source throws old log away."""
        if taken.following - self._level >= _IDLE_BYTES:
            return True
        if taken.following <= self._level:
            return False
        moments = [live[-1].entry.created_at for hand in self._hands.values() if (live := hand.known.live())]
        return bool(moments) and now() - max(moments) >= _IDLE_LONG

    def _deliver(self, taken: Taken, capture: Capture) -> None:
        """Land the tables one after the other, load them together, and tell the source that they are safe."""
        tables = [table for table in self._hands if table in taken.rows] or [next(iter(self._hands))]
        try:
            for table in tables:
                through = taken.following if table == tables[-1] else self._level
                position = {
                    **capture.position(table, taken.following),
                    **levelled(through, self._hands, capture.stand(through)),
                }
                changes = Changes(taken.rows.get(table), position, f"{self._sources[0].connection}.{table}")
                self._hands[table].land(partial(_same, changes))
        except DataError:
            if table == tables[0]:
                # What landed before does not wait for whoever looks at what was rejected.
                self._load(self._level)
            raise
        finally:
            taken.close()
        self._level, self._told = taken.following, time.monotonic()
        moments = [moment for held in taken.rows.values() for moment in held.moments]
        self._loads.landed(taken.bytes, max(moments) / 1000 if moments else None)
        if self._loads.due:
            self._load(self._level)
        try:
            capture.confirm(taken.following)
        except PenstockError as error:
            self._context.workspace.waiting(f"The rows are safe, but the source could not be told so: {error.what}.")
        for table in tables:
            self._hands[table].tidy()


def _same(changes: Changes) -> Changes:
    """Return changes that are at hand: they may be drained again after a failure."""
    return changes
