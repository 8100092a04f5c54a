"""A session of streams: the lease, a thread for each stream, and an orderly end."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from queue import Empty, SimpleQueue

from penstock import plugins
from penstock.errors import ConfigurationError
from penstock.extract.streams.port import Shareable
from penstock.model.answers import Forgotten
from penstock.model.capture import captured
from penstock.model.receipts import RunReceipt
from penstock.model.specs import PipelineSpec, SourceSpec
from penstock.model.streams import COMMAND
from penstock.names import unknown
from penstock.orchestrate import holding, indexing
from penstock.orchestrate.conducting import Conduct, conduct
from penstock.orchestrate.context import RunContext
from penstock.orchestrate.preparing import Prepared, prepare
from penstock.orchestrate.streaming.capturing import Captor
from penstock.orchestrate.streaming.consuming import Consumer, Consuming
from penstock.orchestrate.streaming.readings import opening, readings
from penstock.orchestrate.streaming.sharing import Member
from penstock.orchestrate.streaming.summing import StreamContext
from penstock.orchestrate.streaming.watching import KINDS, Watcher
from penstock.orchestrate.workspace import Workspace, now
from penstock.stores.freeing import hold_little

_LOOK = 1.0
"""Seconds between two looks whether somebody has asked for the end."""


def stream(workspace: Workspace, spec: PipelineSpec, asked: Consuming, tables: Collection[str] = ()) -> RunReceipt:
    """Consume the streams of a pipeline until told to stop (Ctrl-C, SIGTERM), or to their ends.

    Args:
        workspace: The places.
        spec: The pipeline.
        asked: How.
        tables: The streams; empty: all of them.

    Raises:
        ConfigurationError: It has no stream, or none of that name.
        LeaseHeldError: Its streams are consumed already.
    """
    hold_little()
    chosen = _chosen(spec, tables)
    indexing.follow(workspace, indexing.tables_of(spec))
    if asked.share:
        return _stream_together(workspace, spec, chosen, asked)
    with holding.streams(workspace, spec) as lease:
        indexing.end_interrupted(workspace, spec.name, streams=True)
        prepared = prepare(workspace, spec)
        return conduct(
            Conduct(workspace, prepared, COMMAND, lease, now(), StreamContext),
            lambda context: _work(chosen, prepared, asked, context),
        )


def _stream_together(
    workspace: Workspace, spec: PipelineSpec, chosen: list[SourceSpec], asked: Consuming
) -> RunReceipt:
    """Consume a share of the partitions; other processes consume the rest."""
    for source in chosen:
        if captured(source) or not isinstance(plugins.find("stream", source.kind)(), Shareable):
            raise ConfigurationError(
                f"The stream {source.table!r} cannot be shared by several processes",
                value=source.kind,
                valid="streams with partitions: kafka",
                remedy="Read it without --share, in a pipeline of its own where others are to be shared",
            )
    with closing(Member(workspace, spec)) as member:
        with member.writing(threading.Event()) as lease:
            if member.share().count == 1:
                indexing.end_interrupted(workspace, spec.name, streams=True)
            prepared = prepare(workspace, spec)

        def work(context: RunContext) -> None:
            assert isinstance(context, StreamContext)
            context.member = member
            _work(chosen, prepared, asked, context)

        return conduct(Conduct(workspace, prepared, COMMAND, lease, now(), StreamContext), work)


def forget(workspace: Workspace, spec: PipelineSpec) -> Forgotten:
    """Remove what was made at the sources for the changes that a pipeline reads.

    Raises:
        LeaseHeldError: They are being read.
        ConfigurationError: It reads no changes.
    """
    together = readings([source for source in spec.sources if captured(source)])
    if not together:
        raise ConfigurationError(
            f"Pipeline {spec.name!r} reads no changes",
            remedy="Declare some: sources.postgres_changes(…) or sources.mysql_changes(…)",
        )
    with holding.streams(workspace, spec):
        done = [
            plugins.find("capture", each[0].kind)().forget(opening(workspace, spec.name, each)) for each in together
        ]
    return Forgotten(sentences=tuple(sentence for each in done for sentence in each))


def _chosen(spec: PipelineSpec, tables: Collection[str]) -> list[SourceSpec]:
    streams = [source for source in spec.sources if source.stream is not None]
    if not streams:
        raise ConfigurationError(
            f"Pipeline {spec.name!r} has no stream",
            remedy="Declare one: sources.tail(…), sources.kafka(…) or sources.postgres_changes(…)",
        )
    for table in tables:
        if table not in {source.table for source in streams}:
            raise unknown("stream", table, [source.table for source in streams], where=f"pipeline {spec.name!r}")
    chosen = [source for source in streams if not tables or source.table in tables]
    # What one slot gives is read together: whoever reads one of its tables alone would lose the changes of the others.
    together = readings([source for source in streams if captured(source)])
    drawn = [source for each in together if any(source in chosen for source in each) for source in each]
    return [source for source in streams if source in chosen or source in drawn]


def _work(chosen: list[SourceSpec], prepared: Prepared, asked: Consuming, context: RunContext) -> None:
    assert isinstance(context, StreamContext)
    stop = threading.Event()
    # Messages come and go by the million; the collector need not look at all modules each time.
    gc.freeze()
    try:
        single = [each for each in chosen if not captured(each)]
        together = readings([each for each in chosen if captured(each)])
        working: list[Consumer | Watcher | Captor] = [
            *((Watcher if each.kind in KINDS else Consumer)(each, prepared, context, asked, stop) for each in single),
            *(Captor(each, prepared, context, asked, stop) for each in together),
        ]
        with ThreadPoolExecutor(len(working), thread_name_prefix="stream") as pool:
            running = [pool.submit(each.run) for each in working]
            _wait(running, stop, asked.told)
        for each in running:
            each.result()
    finally:
        gc.unfreeze()
        context.settle()


def _wait(running: list[Future[None]], stop: threading.Event, told: Callable[[], bool]) -> None:
    """Wait for the end of all; when one fails, or somebody asks, the others land what they hold, and end too.

    What is raised to end it may come between any two steps of Python, and would leave a lock held for good that is
    taken in Python, as those of events and futures are; the stream would then wait for it at its end. A queue of C has
    no such moment.
    """
    ended, bell = list[Future[None]](), SimpleQueue[None]()

    def over(each: Future[None]) -> None:
        ended.append(each)
        bell.put(None)

    for each in running:
        each.add_done_callback(over)
    while len(ended) < len(running):
        try:
            if told() or any(each.exception() for each in ended):
                stop.set()
            with suppress(Empty):
                bell.get(timeout=_LOOK)
        except KeyboardInterrupt:
            stop.set()
