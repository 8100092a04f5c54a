"""A session of streams: the lease, a thread for each stream, and an orderly end."""

from __future__ import annotations

import threading
from collections.abc import Collection
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait

from penstock.errors import ConfigurationError
from penstock.model.receipts import RunReceipt
from penstock.model.specs import PipelineSpec, SourceSpec
from penstock.model.streams import COMMAND
from penstock.names import unknown
from penstock.orchestrate import holding, indexing
from penstock.orchestrate.conducting import Conduct, conduct
from penstock.orchestrate.context import RunContext
from penstock.orchestrate.preparing import Prepared, prepare
from penstock.orchestrate.streaming.consuming import Consumer, Consuming
from penstock.orchestrate.streaming.summing import StreamContext
from penstock.orchestrate.workspace import Workspace, now


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
    chosen = _chosen(spec, tables)
    indexing.follow(workspace, indexing.tables_of(spec))
    with holding.streams(workspace, spec) as lease:
        indexing.end_interrupted(workspace, spec.name, streams=True)
        prepared = prepare(workspace, spec)
        return conduct(
            Conduct(workspace, prepared, COMMAND, lease, now(), StreamContext),
            lambda context: _work(chosen, prepared, asked, context),
        )


def _chosen(spec: PipelineSpec, tables: Collection[str]) -> list[SourceSpec]:
    streams = [source for source in spec.sources if source.stream is not None]
    if not streams:
        raise ConfigurationError(
            f"Pipeline {spec.name!r} has no stream",
            remedy="Declare one: sources.tail(…) or sources.kafka(…)",
        )
    for table in tables:
        if table not in {source.table for source in streams}:
            raise unknown("stream", table, [source.table for source in streams], where=f"pipeline {spec.name!r}")
    return [source for source in streams if not tables or source.table in tables]


def _work(chosen: list[SourceSpec], prepared: Prepared, asked: Consuming, context: RunContext) -> None:
    assert isinstance(context, StreamContext)
    stop = threading.Event()
    try:
        with ThreadPoolExecutor(len(chosen), thread_name_prefix="stream") as pool:
            running = [pool.submit(Consumer(each, prepared, context, asked, stop).run) for each in chosen]
            _wait(running, stop)
        for each in running:
            each.result()
    finally:
        context.settle()


def _wait(running: list[Future[None]], stop: threading.Event) -> None:
    """Wait for the end of all; when one fails, or somebody asks, the others land what they hold, and end too."""
    while True:
        try:
            wait(running, return_when=FIRST_EXCEPTION)
            stop.set()
            wait(running)
        except KeyboardInterrupt:
            stop.set()
        else:
            return
