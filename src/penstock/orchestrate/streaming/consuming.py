"""Consuming one stream: poll until a micro-batch is full or old enough, land it, judge it, load it, acknowledge it.

Where reading goes on is told by the newest accepted load of the lake and by nothing else. A crash before the commit of
a load leaves files that nothing names, and the same messages are read again; after it, the next consumer judges the
load and goes on behind it. A consumer that slept while another took over is refused by the lake: by its fence once the
successor has committed; and where it was the faster one, the successor is refused, and reads afresh.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from math import inf
from typing import TypeVar

from penstock import names, plugins
from penstock.errors import PenstockError, StaleWriterError, TransientError
from penstock.extract.streams.batch import MicroBatch
from penstock.extract.streams.decoding import Decoder, Preparing, decoder
from penstock.extract.streams.event_times import EventTimes
from penstock.extract.streams.port import Counting, Opening, Polled, Reader, Share
from penstock.model.entries import Column
from penstock.model.event_time import Progress, progress
from penstock.model.specs import SourceSpec
from penstock.model.streams import Positions, behind, offsets
from penstock.orchestrate.preparing import Prepared
from penstock.orchestrate.streaming.gathering import Gatherer
from penstock.orchestrate.streaming.scoring import scored
from penstock.orchestrate.streaming.settling import Patience, TableHand
from penstock.orchestrate.streaming.summing import StreamContext
from penstock.orchestrate.workspace import now
from penstock.values import dataclass

_Answer = TypeVar("_Answer")
_MEMBERS = 1.0
"""Seconds after which one that waits for messages looks who reads beside it."""


@dataclass(frozen=True, slots=True)
class Consuming:
    """How a stream is consumed.

    Attributes:
        until_end: End once everything is there that was at the source when it began.
        retry: Read again what was rejected and waits for a person.
        share: Read a share of the partitions: other processes that do so read the rest.
        told: Says whether it is to end; it is asked each second.
    """

    until_end: bool = False
    retry: bool = False
    share: bool = False
    told: Callable[[], bool] = bool


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
        self._context = context
        self._asked = asked
        self._stop = stop
        self._patience = Patience(source.table, context, stop, ends=asked.until_end)
        self._hand = TableHand(source, prepared, context, self._patience, retry=asked.retry)
        self._decoder: Decoder | None = None
        self._decoded: tuple[Column, ...] = ()
        self._ends: Positions = {}
        self._scored = scored(self._stream.scoring, context.workspace)

    def run(self) -> None:
        """Consume until told to stop, or to the end.

        Raises:
            PenstockError: The source, the lake or the warehouse stands in the way; a micro-batch was rejected.
        """
        try:
            self._run()
        finally:
            self._forget()
            self._hand.close()

    def _run(self) -> None:
        while True:
            try:
                with self._context.writing(self._stop):
                    self._begin()
                    self._hand.load()
                share = self._share()
                with closing(self._patience.reached(partial(self._open, share))) as reader:
                    self._consume(reader, share)
                if self._stop.is_set() or self._share() == share:
                    return
            except StaleWriterError as error:
                self._patience.afresh(error, self._hand.known.position())
                # Either the lease is another's, or somebody without it landed just before: then all is read afresh.
                if self._context.member is None:
                    self._context.hold()
                    self._hand.refresh()

    def _begin(self) -> None:
        """See to it that what is known is what the lake has, and that nothing waits."""
        if self._context.member is not None:
            self._hand.refresh()
            columns = self._columns()
            if columns != self._decoded:
                # Others have brought columns: what this decoder knows of types is not what the table has.
                self._forget()
                self._decoded = columns
        self._hand.begin()

    def _share(self) -> Share:
        """Return the share of the partitions that is this process's now: all, where it reads alone."""
        return self._context.member.share() if self._context.member is not None else Share()

    def _open(self, share: Share) -> Reader:
        workspace, connection = self._context.workspace, self._source.connection
        opened: Reader = plugins.find("stream", self._source.kind)().open(
            Opening(
                source=self._source,
                connection=workspace.connections[connection] if connection else None,
                positions=offsets(self._hand.known.position()),
                root=workspace.root,
                share=share,
            )
        )
        return opened

    def _consume(self, reader: Reader, share: Share) -> None:
        """Consume until told to stop, to the end, or until the share of this process is another."""
        at: Positions = offsets(self._hand.known.position())
        ends = self._patience.reached(reader.ends) if self._asked.until_end else None
        if self._stream.lateness is not None:
            # What is not read yet must hold the watermark back, whichever partition comes first.
            self._ends = ends if ends is not None else self._patience.reached(reader.ends)
        longest = _MEMBERS if self._context.member is not None else inf
        made = Gatherer(reader, at, self._stream.trigger, self._patience, self._stop, ends=ends, longest=longest)
        with closing(made) as gatherer:
            while True:
                since = gatherer.at
                polls = gatherer.gather()
                if polls:
                    gatherer.begin()
                    self._deliver(polls, since, reader)
                if gatherer.over:
                    if self._hand.late:
                        self._hand.load(patient=True)
                    self._context.tell(self._source.table, _behind(reader, gatherer.at) if gatherer.ended else None)
                    return
                if self._context.member is not None and self._share() != share:
                    return
                if self._context.due(self._source.table):
                    self._context.tell(self._source.table, _behind(reader, gatherer.at))

    def _deliver(self, polls: Sequence[Polled], since: Positions, reader: Reader) -> None:
        decoding = self._decoding(reader)
        if isinstance(decoding, Preparing):
            # Who is asked may be away: then the stream waits, and no message is at fault.
            self._patience.reached(lambda: _prepare(decoding, polls))
        batch = MicroBatch(
            polls,
            since,
            decoding,
            reader.envelope,
            f"{self._source.kind}://{self._source.connection or self._source.table}",
            key=self._stream.key,
            hidden=bool(self._source.personal),
        )
        batch.events = self._events()
        if self._context.member is not None:
            batch.decode()
        with self._context.writing(self._stop):
            if self._context.member is not None:
                self._verify(batch, since)
            self._hand.land(lambda: batch, self._scored)
            self._decoded = self._columns() if self._context.member is not None else ()
            self._hand.load()
            self._context.readable(self._source.table, batch.oldest)
            self._tell_far_end(reader, batch.positions)
            self._hand.tidy()

    def _verify(self, batch: MicroBatch, since: Positions) -> None:
        """See to it that a batch begins where the table is, now that nobody else writes.

        Raises:
            StaleWriterError: Somebody else has landed its messages, or has brought columns: it is read afresh.
        """
        decoded = self._decoded
        self._begin()
        there = offsets(self._hand.known.position())
        for topic, partition in batch.places:
            if there.get(topic, {}).get(partition) != since.get(topic, {}).get(partition):
                raise StaleWriterError(f"Partition {partition} of {topic} was read by another process meanwhile")
        if decoded != self._decoded:
            raise StaleWriterError(f"Another process has brought columns to {self._source.table} meanwhile")
        batch.go_on_from(there)
        batch.events = self._events()

    def _events(self) -> EventTimes | None:
        """Return what looks at the event times of the next micro-batch."""
        lateness, column = self._stream.lateness, self._source.event_time
        if lateness is None or column is None:
            return None
        return EventTimes(
            table=self._source.table,
            column=column,
            lateness=lateness,
            since=progress(self._hand.known.position()) or Progress(),
            now=now(),
            ends=self._ends,
            engine=self._context.workspace.engine,
        )

    def _columns(self) -> tuple[Column, ...]:
        return tuple(self._context.workspace.lake.table(names.raw(self._source.table)).columns())

    def _forget(self) -> None:
        """Forget what the decoder knows."""
        if isinstance(self._decoder, Preparing):
            self._decoder.close()
        self._decoder = None

    def _decoding(self, reader: Reader) -> Decoder:
        if self._decoder is None:
            own = [column for column in self._columns() if column.at_source not in reader.envelope]
            registry = self._stream.registry
            connections = self._context.workspace.connections
            self._decoder = decoder(
                self._stream.format, own, connections[registry] if registry else None, self._stream.scoring
            )
        return self._decoder

    def _tell_far_end(self, reader: Reader, positions: Positions) -> None:
        try:
            reader.acknowledge(positions)
        except PenstockError as error:
            self._context.workspace.waiting(f"The rows are safe, but the source could not be told so: {error.what}.")


def _prepare(decoding: Preparing, polls: Sequence[Polled]) -> None:
    for run in (run for polled in polls for run in polled.runs):
        decoding.prepare(run.data.column("value").drop_null())


def _behind(reader: Reader, at: Positions) -> int | None:
    try:
        return reader.behind(at) if isinstance(reader, Counting) else behind(at, reader.ends())
    except TransientError:
        return None
