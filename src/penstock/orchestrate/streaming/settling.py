"""Settling one stream's micro-batches: each is landed, judged, published where it is live, and loaded.

Of a far end that is away nothing is lost: it is waited for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from penstock import names
from penstock.catalog.port import LoadRecord
from penstock.errors import ConflictError, DataError, StaleWriterError, TransientError
from penstock.extract.port import Extraction
from penstock.load.ledger import held
from penstock.model.entries import Verdict
from penstock.model.events import StepRetried
from penstock.model.specs import SourceSpec
from penstock.model.streams import LoadBy
from penstock.orchestrate import compacting, indexing, running, windowing
from penstock.orchestrate.applying import apply_source
from penstock.orchestrate.bringing import Bringing, Brought, bring
from penstock.orchestrate.ledger import StreamLedger
from penstock.orchestrate.preparing import Prepared
from penstock.orchestrate.retrying import ATTEMPTS, LONGEST_WAIT
from penstock.orchestrate.streaming.publishing import Publisher
from penstock.orchestrate.streaming.summing import StreamContext

_Answer = TypeVar("_Answer")


class TableHand:
    """Brings what was read of one stream into its tables.

    Args:
        source: The stream.
        prepared: Its pipeline.
        context: What the streams of the pipeline share.
        patience: Waits for production where it cannot be written for now.
        retry: Read again what was rejected and waits for a person.

    Attributes:
        loads: The warehouse is loaded here, and not by runs.
        loaded: The extent of what the warehouse is known to have.
        late: The warehouse lacks something that is in the lake, because others held it.
    """

    def __init__(
        self, source: SourceSpec, prepared: Prepared, context: StreamContext, patience: Patience, *, retry: bool
    ) -> None:
        assert source.stream is not None
        self.source = source
        self._stream = source.stream
        self._prepared = prepared
        self.context = context
        self._patience = patience
        self._retry = retry
        self._supersedes: tuple[int, ...] = ()
        self._publisher: Publisher | None = None
        self.loads = self._stream.load is LoadBy.STREAM
        self.loaded = (0, 0)
        self.late = False

    @property
    def fresh(self) -> Sequence[LoadRecord] | None:
        """The loads that came behind those that the warehouse has; None where others came or went as well."""
        return self.known.since(*self.loaded)

    @property
    def known(self) -> StreamLedger:
        """Return what is known of its loads."""
        found = self.context.ledger.sources[self.source.table]
        assert isinstance(found, StreamLedger)
        return found

    def refresh(self) -> None:
        """Read what the lake has afresh."""
        workspace = self.context.workspace
        indexing.follow(workspace, (names.raw(self.source.table),))
        self.known.follow()

    def begin(self) -> None:
        """Judge what a crash left unjudged, refuse what waits for a person.

        Raises:
            ConflictError: A load was rejected, and waits.
        """
        running.judge_pending(self.source, self._prepared, self.context)
        if self.known.pending:
            # Its positions are not known to count: what stands in the way of its checks was told.
            raise self.context.errors.pop()
        waiting = self.known.rejected
        if waiting and not self._retry:
            raise ConflictError(
                f"The stream {self.source.table!r} stands before load {waiting[0].entry.number}, which was rejected",
                remedy=f"penstock stream --retry reads its messages again; penstock accept {self.source.table} "
                f"{waiting[0].entry.number} or penstock discard takes it or leaves it as it is",
            )
        self._supersedes = tuple(record.entry.number for record in waiting)
        # Made anew with each beginning: who was overtaken reads afresh.
        self.close()
        self._publisher = Publisher(self.source, self.context) if self._stream.live else None
        self._publish()

    def land(self, opening: Callable[[], Extraction] | None, scored: Mapping[str, str] | None = None) -> bool:
        """Land a micro-batch, judge it, and publish it where the stream is live.

        Args:
            opening: Gives its rows, from the first one on; called again after a failure that may pass. None: the
                source is read as runs read it.
            scored: Who scored its rows; see ``Work``.

        Returns:
            Whether anything landed.

        Raises:
            DataError: It was rejected.
            PenstockError: It could not be landed.
        """
        known = self.known
        brought = bring(
            Bringing(
                source=self.source,
                position=known.position(),
                supersedes=self._supersedes,
                tables=running.referred(self._prepared, self.context),
                opening=opening,
                after=known.newest,
                scored=scored or {},
            ),
            self.context,
        )
        self._settle(brought)
        self._publish()
        return brought.load is not None

    def load(self, *, patient: bool = False) -> None:
        """Load what is accepted into the staging warehouse; if that is held for long, the next time will do."""
        load_together([self], patient=patient)

    def tidy(self) -> None:
        """Write small files together, where there are many."""
        compacting.within_limit((names.raw(self.source.table),), self.context)
        publisher = self._publisher
        if publisher is not None:
            self._patience.reached(publisher.join_small)

    def close(self) -> None:
        """Let go of what shows a live table to readers."""
        if self._publisher is not None:
            self._publisher.close()

    def _settle(self, brought: Brought) -> None:
        if brought.error is not None:
            raise brought.error
        if brought.load is None or brought.verdict is None:
            return
        self.known.add(brought.load, brought.verdict)
        for number in self._supersedes:
            running.end_rejected(self.known, number, brought.load, self.context)
        self._supersedes = ()
        if brought.verdict.verdict is Verdict.REJECTED:
            raise DataError(
                f"The stream {self.source.table!r} stopped: load {brought.load.number} was rejected",
                remedy=f"penstock report {self.source.table} says why; penstock stream --retry reads it again",
            )

    def _publish(self) -> None:
        """Make what is accepted readable in production, where the stream is live."""
        publisher = self._publisher
        if publisher is not None:
            self._patience.reached(lambda: publisher.publish(self.known.standing))


def load_together(hands: Sequence[TableHand], *, patient: bool = False) -> None:
    """Load what is accepted of several streams in one transaction of the staging warehouse.

    Args:
        hands: The streams, of one pipeline.
        patient: Wait for a warehouse that is held by others; else the next time will do.
    """
    due = [hand for hand in hands if hand.loads and hand.loaded != hand.known.extent]
    if not due:
        return
    context = due[0].context
    context.hold()
    try:
        with (
            context.workspace.warehouse.writing() as transaction,
            windowing.kept_up([hand.source for hand in due], transaction, context, context.windows),
        ):
            for hand in due:
                replaced = windowing.watched(hand.source, context)
                if hand.fresh is None:
                    served = context.workspace.warehouse_table(hand.source.table)
                    context.applied[hand.known.table] = held(transaction, [served])[served]
                apply_source(hand.source, None, transaction, context, fresh=hand.fresh, replaced=replaced)
    except TransientError as error:
        if patient:
            raise
        for hand in due:
            hand.late = True
        context.workspace.waiting(f"{error.what}; the rows are in the lake, and are loaded with the next ones.")
        return
    for hand in due:
        hand.late, hand.loaded = False, hand.known.extent


class Patience:
    """Waits for a far end that is away.

    Args:
        name: What is read.
        context: What the streams of the pipeline share.
        stop: Set once nobody waits any more.
        ends: Give up after some attempts.
    """

    def __init__(self, name: str, context: StreamContext, stop: threading.Event, *, ends: bool) -> None:
        self._name = name
        self._context = context
        self._stop = stop
        self._ends = ends
        self._stood: object = None
        self._refused = 0

    def afresh(self, error: StaleWriterError, stands: object) -> None:
        """Let a writer that was refused read afresh, unless that has not helped: no other has moved the table since.

        Args:
            error: The refusal.
            stands: The position up to which the table is known to have been read.

        Raises:
            StaleWriterError: It was refused again and again at this position, as under the lease of a catalog that is
                not the table's any more.
        """
        self._refused = self._refused + 1 if stands == self._stood else 1
        self._stood = stands
        if self._refused > ATTEMPTS:
            raise error

    def reached(self, ask: Callable[[], _Answer]) -> _Answer:
        """Ask a far end that may be away at first, and wait for it; told to stop, nobody waits any more."""
        failed = 0
        while True:
            try:
                return ask()
            except TransientError as error:
                failed += 1
                self.wait_for(error, failed)
                if self._stop.is_set():
                    raise

    def wait_for(self, error: TransientError, failed: int) -> None:
        """Wait for a far end that is away, as long as it takes; one that drains it gives up in the end."""
        if self._ends and failed >= ATTEMPTS:
            raise error
        wait = min(error.retry_after or 0.5 * 2 ** min(failed, 8), LONGEST_WAIT)
        self._context.workspace.observer(
            StepRetried(step=f"stream {self._name}", error=error.sentence(), attempt=failed, wait=wait)
        )
        self._stop.wait(wait)
