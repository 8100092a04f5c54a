"""What databases hold for the changes that pipelines read: how much of their logs, and what nobody reads any more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

from penstock import plugins
from penstock.errors import PenstockError
from penstock.model.capture import DATABASE_OF, captured
from penstock.model.specs import PipelineSpec
from penstock.monitor.alerts import Lag
from penstock.orchestrate.ledger import collect_source
from penstock.orchestrate.streaming.readings import opening, readings
from penstock.orchestrate.workspace import Workspace

if TYPE_CHECKING:
    from penstock.extract.streams.changes.port import CaptureSource

_LIMIT = 10 * 2**30
"""Bytes of a log from which on somebody is told, where nothing else was said."""


def lags(workspace: Workspace, specs: Sequence[PipelineSpec], at: datetime) -> Mapping[str, tuple[Lag, ...]]:
    """Return what is kept for each pipeline that reads changes; of a database that does not answer nothing is known."""
    found: dict[str, tuple[Lag, ...]] = {}
    for spec in specs:
        for sources in readings([source for source in spec.sources if captured(source)]):
            positions = {source.table: collect_source(source, workspace.catalog).position() for source in sources}
            asked = opening(workspace, spec.name, sources, positions)
            with suppress(PenstockError):
                kind: CaptureSource = plugins.find("capture", sources[0].kind)()
                held = kind.held(asked)
                if held.bytes is not None:
                    lag = Lag(
                        reading=f"{asked.connection.name}, {held.name}",
                        kept=held.bytes,
                        limit=int(sources[0].options.get("max_lag", _LIMIT)),
                        since=at,
                        keeps=held.keeps,
                        left=held.left,
                    )
                    found[spec.name] = (*found.get(spec.name, ()), lag)
    return found


def unread(workspace: Workspace, specs: Sequence[PipelineSpec]) -> tuple[str, ...]:
    """Return a sentence for each thing at a database that was made for changes which no pipeline reads any more."""
    wanted: dict[tuple[str, str], list[str]] = {}
    told: list[str] = []
    for spec in specs:
        for sources in readings([source for source in spec.sources if captured(source)]):
            asked = opening(workspace, spec.name, sources)
            kind: CaptureSource = plugins.find("capture", sources[0].kind)()
            wanted.setdefault((sources[0].kind, asked.connection.name), []).append(kind.name(asked))
    for kind_name, database in DATABASE_OF.items():
        if kind_name not in plugins.BUILT_IN["capture"]:
            continue
        for connection in workspace.connections.values():
            if connection.kind != database:
                continue
            kind = plugins.find("capture", kind_name)()
            with suppress(PenstockError):
                told += kind.left(connection, wanted.get((kind_name, connection.name), []), workspace.root)
    return tuple(told)
