"""Watching a place that fills: what is new there is read as a run would read it, again and again.

Where reading goes on is told by the newest accepted load, as for every stream; what it names is files, not offsets.
"""

from __future__ import annotations

import threading

from penstock.errors import StaleWriterError
from penstock.model.specs import SourceSpec
from penstock.orchestrate.preparing import Prepared
from penstock.orchestrate.streaming.consuming import Consuming
from penstock.orchestrate.streaming.settling import Patience, TableHand
from penstock.orchestrate.streaming.summing import StreamContext

KINDS = ("files",)
"""The kinds of sources that are watched."""


class Watcher:
    """Reads one source whenever there is something new, in one thread.

    Args:
        source: The source.
        prepared: Its pipeline.
        context: What the streams of the pipeline share.
        asked: How.
        stop: Set once it is to end.
    """

    def __init__(
        self, source: SourceSpec, prepared: Prepared, context: StreamContext, asked: Consuming, stop: threading.Event
    ) -> None:
        assert source.stream is not None
        self._source = source
        self._every = source.stream.trigger.age.total_seconds()
        self._context = context
        self._asked = asked
        self._stop = stop
        self._patience = Patience(source.table, context, stop, ends=asked.until_end)
        self._hand = TableHand(source, prepared, context, self._patience, retry=asked.retry)

    def run(self) -> None:
        """Look until told to stop; to the end: until a look finds nothing new.

        Raises:
            PenstockError: The source, the lake or the warehouse stands in the way; a load was rejected.
        """
        try:
            self._run()
        finally:
            self._hand.close()

    def _run(self) -> None:
        while True:
            try:
                with self._context.writing(self._stop):
                    self._hand.begin()
                    self._hand.load()
                self._watch()
                return
            except StaleWriterError as error:
                self._patience.afresh(error, self._hand.known.position())
                # Somebody without the lease landed just before: then all is read afresh.
                self._context.hold()
                self._hand.refresh()

    def _watch(self) -> None:
        while True:
            with self._context.writing(self._stop):
                new = self._hand.land(None)
                self._hand.load(patient=self._stop.is_set())
                if new:
                    self._hand.tidy()
            over = self._asked.until_end and not new
            if over or self._stop.is_set() or self._context.due(self._source.table):
                self._context.tell(self._source.table, None)
            if over or self._stop.is_set():
                if self._hand.late:
                    self._hand.load(patient=True)
                return
            if not self._asked.until_end:
                self._stop.wait(self._every)
