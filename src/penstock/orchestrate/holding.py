"""Holding the right to write the tables of a pipeline: those that runs write, those that its streams write, or all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from penstock.catalog.port import Lease
from penstock.model.specs import PipelineSpec
from penstock.orchestrate import indexing
from penstock.orchestrate.context import leased
from penstock.orchestrate.workspace import Workspace


def stream_lease(pipeline: str) -> str:
    """Return the name of the lease under which the streams of a pipeline are written; runs go on beside it."""
    return f"{pipeline} (stream)"


@contextmanager
def streams(workspace: Workspace, spec: PipelineSpec) -> Iterator[Lease]:
    """Hold the right to write the tables that a pipeline's streams write.

    Raises:
        LeaseHeldError: They are being written.
    """
    committed = indexing.greatest_fence(workspace, spec)
    with leased(workspace, stream_lease(spec.name), committed=committed) as lease:
        yield lease


@contextmanager
def whole(workspace: Workspace, spec: PipelineSpec) -> Iterator[Lease]:
    """Hold the right to write all tables of a pipeline, those of its streams included.

    Raises:
        LeaseHeldError: A run or a stream of the pipeline is at work.
    """
    committed = indexing.greatest_fence(workspace, spec)
    with ExitStack() as held:
        if any(source.stream is not None for source in spec.sources):
            beside = held.enter_context(leased(workspace, stream_lease(spec.name), committed=committed))
            # A stream that begins later goes by the greatest fence that was committed, so either will do.
            committed = max(committed, beside.fence)
        yield held.enter_context(leased(workspace, spec.name, committed=committed))
