"""Which tables are read together, and with what a reading of them is opened."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.extract.streams.changes.port import CaptureOpening
from penstock.model.capture import Landed
from penstock.model.specs import SourceSpec
from penstock.orchestrate.workspace import Workspace


def opening(
    workspace: Workspace, pipeline: str, sources: Sequence[SourceSpec], positions: Landed | None = None
) -> CaptureOpening:
    """Return what a reading is opened with.

    Args:
        workspace: The places.
        pipeline: The pipeline.
        sources: The tables.
        positions: Where they are; None: nowhere.
    """
    return CaptureOpening(
        sources=tuple(sources),
        connection=workspace.connections[str(sources[0].connection)],
        pipeline=pipeline,
        positions=positions if positions is not None else dict.fromkeys(each.table for each in sources),
        root=workspace.root,
        engine=workspace.engine,
        batch_bytes=workspace.budget.reading(max(1, len(sources))).batch,
    )


def readings(sources: Sequence[SourceSpec]) -> list[list[SourceSpec]]:
    """Return the tables that are read together: those of one connection and slot."""
    found: dict[tuple[str, object, object], list[SourceSpec]] = {}
    for source in sources:
        found.setdefault((source.kind, source.connection, source.options.get("slot")), []).append(source)
    return list(found.values())
