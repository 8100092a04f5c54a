"""Consuming one stream: poll until a micro-batch is full or old enough, land it, judge it, load it, acknowledge it.

Where reading goes on is told by the newest accepted load of the lake and by nothing else. A crash before the commit of
a load leaves files that nothing names, and the same messages are read again; after it, the next consumer judges the
load and goes on behind it. A consumer that slept while another took over is refused by the lake: by its fence once the
successor has committed; and where it was the faster one, the successor is refused, and reads afresh.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TypeVar

from penstock import names, plugins
from penstock.errors import ConflictError, DataError, PenstockError, StaleWriterError, TransientError
from penstock.extract.streams.batch import MicroBatch
from penstock.extract.streams.decoding import Decoder, decoder
from penstock.extract.streams.port import Counting, Opening, Polled, Reader
from penstock.model.entries import Verdict
from penstock.model.events import StepRetried
from penstock.model.specs import SourceSpec
from penstock.model.streams import Positions, advanced, behind, offsets
from penstock.orchestrate import compacting, indexing, running
from penstock.orchestrate.bringing import Bringing, Brought, bring
from penstock.orchestrate.downstream import apply_source
from penstock.orchestrate.ledger import SourceLedger, collect_source
from penstock.orchestrate.preparing import Prepared
from penstock.orchestrate.retrying import ATTEMPTS, LONGEST_WAIT
from penstock.orchestrate.streaming.summing import StreamContext

_Answer = TypeVar("_Answer")
_LOOK = 0.2
"""Seconds after which a wait for messages looks whether it is to end."""


@dataclass(frozen=True, slots=True)
class Consuming:
    """How a stream is consumed.

    Attributes:
        until_end: End once everything is there that was at the source when it began.
        retry: Read again what was rejected and waits for a person.
    """

    until_end: bool = False
    retry: bool = False


class Consumer:
    """Consumes one stream, in one thread.

    Args:
        source: The stream.
        prepared: Its pipeline.
        context: What the streams of the pipeline share.
        asked: How.
        stop: Set once it is to end: what was polled is landed first.
    """

    def __init__(
        self, source: SourceSpec, prepared: Prepared, context: StreamContext, asked: Consuming, stop: threading.Event
    ) -> None:
        assert source.stream is not None
        self._source = source
        self._stream = source.stream
        self._prepared = prepared
        self._context = context
        self._asked = asked
        self._stop = stop
        self._supersedes: tuple[int, ...] = ()
        self._decoder: Decoder | None = None
        self._late = False

    def run(self) -> None:
        """Consume until told to stop, or to the end.

        Raises:
            PenstockError: The source, the lake or the warehouse stands in the way; a micro-batch was rejected.
        """
        while True:
            self._begin()
            try:
                with closing(self._reached(self._open)) as reader:
                    self._consume(reader)
                return
            except StaleWriterError:
                # Either the lease is another's, or somebody without it landed just before: then all is read afresh.
                self._context.hold()
                self._refresh()

    @property
    def _known(self) -> SourceLedger:
        return self._context.ledger.sources[self._source.table]

    def _refresh(self) -> None:
        workspace = self._context.workspace
        indexing.follow(workspace, (names.raw(self._source.table),))
        self._context.ledger.sources[self._source.table] = collect_source(self._source, workspace.catalog)

    def _begin(self) -> None:
        """Judge what a crash left unjudged, refuse what waits for a person, load what is not loaded yet."""
        running.judge_pending(self._source, self._prepared, self._context)
        if self._known.pending:
            # Its positions are not known to count: what stands in the way of its checks was told.
            raise self._context.errors.pop()
        waiting = self._known.rejected
        if waiting and not self._asked.retry:
            raise ConflictError(
                f"The stream {self._source.table!r} stands before load {waiting[0].entry.number}, which was rejected",
                remedy=f"penstock stream --retry reads its messages again; penstock accept {self._source.table} "
                f"{waiting[0].entry.number} or penstock discard takes it or leaves it as it is",
            )
        self._supersedes = tuple(record.entry.number for record in waiting)
        self._load()

    def _open(self) -> Reader:
        workspace, connection = self._context.workspace, self._source.connection
        opened: Reader = plugins.find("stream", self._source.kind)().open(
            Opening(
                source=self._source,
                connection=workspace.connections[connection] if connection else None,
                positions=offsets(self._known.position()),
                root=workspace.root,
            )
        )
        return opened

    def _consume(self, reader: Reader) -> None:
        at: Positions = offsets(self._known.position())
        ends = self._reached(reader.ends) if self._asked.until_end else None
        while True:
            polls, at = self._gather(reader, at, ends)
            if polls:
                self._deliver(polls, reader)
            over = ends is not None and not behind(at, ends)
            if over or self._stop.is_set():
                if self._late:
                    self._load(patient=True)
                self._context.tell(self._source.table, _behind(reader, at) if over else None)
                return
            if self._context.due(self._source.table):
                self._context.tell(self._source.table, _behind(reader, at))

    def _gather(self, reader: Reader, at: Positions, ends: Positions | None) -> tuple[list[Polled], Positions]:
        """Poll until a trigger, the end, or until told to stop; returns what came and the positions after it."""
        trigger, polls = self._stream.trigger, list[Polled]()
        size, rows, first, failed, looked = 0, 0, 0.0, 0, False
        while True:
            age = time.monotonic() - first if polls else 0.0
            left = trigger.age.total_seconds() - age
            full = size >= trigger.bytes or rows >= trigger.rows or left <= 0
            over = ends is not None and not behind(at, ends)
            # One look at the end, too: what is gone before the positions shows in a poll alone.
            if full or self._stop.is_set() or (over and looked):
                return polls, at
            try:
                polled = reader.poll(max(1, trigger.bytes - size), 0.0 if over else min(_LOOK, left))
            except TransientError as error:
                failed += 1
                self._wait_for(error, failed)
                continue
            failed, looked = 0, True
            if polled:
                first = first if polls else time.monotonic()
                polls.append(polled)
                size, rows, at = size + polled.bytes, rows + polled.rows, advanced(at, polled.moves)

    def _reached(self, ask: Callable[[], _Answer]) -> _Answer:
        """Ask a far end that may be away at first, and wait for it; told to stop, nobody waits any more."""
        failed = 0
        while True:
            try:
                return ask()
            except TransientError as error:
                failed += 1
                self._wait_for(error, failed)
                if self._stop.is_set():
                    raise

    def _wait_for(self, error: TransientError, failed: int) -> None:
        """Wait for a far end that is away, as long as it takes; one that drains it gives up in the end."""
        if self._asked.until_end and failed >= ATTEMPTS:
            raise error
        wait = min(error.retry_after or 0.5 * 2 ** min(failed, 8), LONGEST_WAIT)
        self._context.workspace.observer(
            StepRetried(step=f"stream {self._source.table}", error=error.sentence(), attempt=failed, wait=wait)
        )
        self._stop.wait(wait)

    def _deliver(self, polls: Sequence[Polled], reader: Reader) -> None:
        known = self._known
        position = known.position()
        batch = MicroBatch(
            polls,
            offsets(position),
            self._decoding(reader),
            reader.envelope,
            f"{self._source.kind}://{self._source.connection or self._source.table}",
            key=self._stream.key,
            hidden=bool(self._source.personal),
        )
        brought = bring(
            Bringing(
                source=self._source,
                position=position,
                supersedes=self._supersedes,
                tables=running.referred(self._prepared, self._context),
                opening=lambda: batch,
                after=max((each.entry.number for each in known.records if each.entry.taken is None), default=0),
            ),
            self._context,
        )
        self._settle(brought)
        self._load()
        self._tell_far_end(reader, batch.positions)
        compacting.within_limit((names.raw(self._source.table),), self._context)

    def _decoding(self, reader: Reader) -> Decoder:
        if self._decoder is None:
            columns = self._context.workspace.lake.table(names.raw(self._source.table)).columns()
            own = [column for column in columns if column.at_source not in reader.envelope]
            self._decoder = decoder(self._stream.format, own)
        return self._decoder

    def _settle(self, brought: Brought) -> None:
        if brought.error is not None:
            raise brought.error
        if brought.load is None or brought.verdict is None:
            return
        self._known.add(brought.load, brought.verdict)
        for number in self._supersedes:
            running.end_rejected(self._known, number, brought.load, self._context)
        self._supersedes = ()
        if brought.verdict.verdict is Verdict.REJECTED:
            raise DataError(
                f"The stream {self._source.table!r} stopped: load {brought.load.number} was rejected",
                remedy=f"penstock report {self._source.table} says why; penstock stream --retry reads it again",
            )

    def _load(self, *, patient: bool = False) -> None:
        """Load what is accepted into the staging warehouse; if that is held for long, the next time will do."""
        workspace, table = self._context.workspace, names.raw(self._source.table)
        numbers = {record.entry.number for record in self._known.live()}
        if not numbers or numbers == self._context.applied.get(table):
            return
        self._context.hold()
        try:
            with workspace.warehouse.writing() as transaction:
                apply_source(self._source, None, transaction, self._context)
        except TransientError as error:
            if patient:
                raise
            self._late = True
            workspace.waiting(f"{error.what}; the rows are in the lake, and are loaded with the next ones.")
            return
        self._late = False
        self._context.applied[table] = numbers

    def _tell_far_end(self, reader: Reader, positions: Positions) -> None:
        try:
            reader.acknowledge(positions)
        except PenstockError as error:
            self._context.workspace.waiting(f"The rows are safe, but the source could not be told so: {error.what}.")


def _behind(reader: Reader, at: Positions) -> int | None:
    try:
        return reader.behind(at) if isinstance(reader, Counting) else behind(at, reader.ends())
    except TransientError:
        return None
