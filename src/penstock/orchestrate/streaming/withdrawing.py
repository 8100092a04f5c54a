"""Rolling a live table back to a load: what came after it is readable no more, and does not come back by itself."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from datetime import datetime

from penstock.errors import ConfigurationError, NotFoundError
from penstock.model.answers import LiveRollback
from penstock.model.releases import Decision
from penstock.model.specs import PipelineSpec, SourceSpec
from penstock.names import raw, unknown
from penstock.orchestrate import holding, indexing
from penstock.orchestrate.ledger import collect_source
from penstock.orchestrate.streaming.publishing import open_live, rows_of, shape_of
from penstock.orchestrate.workspace import Workspace, new_id, now, user
from penstock.promote.approval import decide
from penstock.promote.live import Withdrawal
from penstock.stores.live_files import LiveShape


def rollback(
    workspace: Workspace, specs: Mapping[str, PipelineSpec], table: str, to: int, *, reason: str, by: str | None
) -> LiveRollback:
    """Let a live table hold the rows of its loads up to one, and of those that come from now on.

    All of them are taken from the raw zone, so a later load may be rolled forward to just so.

    Args:
        workspace: The places.
        specs: The project's pipelines.
        table: The live table.
        to: The number of the load; 0 leaves nothing.
        reason: Why.
        by: Who; None: the user.

    Raises:
        ConfigurationError: No reason is given; there is no such live table.
        NotFoundError: There is no such load in it.
        LeaseHeldError: The stream is being consumed.
    """
    if not reason.strip():
        raise ConfigurationError("A rollback needs a reason", remedy='Add --reason "…"')
    spec, source = _owner(specs, table)
    indexing.follow(workspace, (raw(table),))
    with holding.streams(workspace, spec) as lease, closing(open_live(workspace, source.table, lease.name)) as live:
        published = [
            record
            for record in collect_source(source, workspace.catalog).live()
            if record.entry.number <= live.published
        ]
        numbers = [record.entry.number for record in published]
        if to and to not in numbers:
            raise NotFoundError(
                f"The live table {table!r} was never published up to a load of that number",
                value=to,
                valid=f"{', '.join(map(str, [0, *numbers][-10:]))} (the newest)",
            )
        who, rows = by or user(), live.rows
        at = _decided(workspace, f"{table}#{to}", who, reason, live.published)
        beyond = [[to + 1, live.published]] if live.published > to else []
        kept = [record for record in published if record.entry.number <= to]
        # What the rows are is told by any load, also where none is kept.
        with rows_of(kept or published[-1:], source, workspace) as (found, fresh):
            shape = shape_of(found, live.columns) if found is not None else LiveShape(columns=live.columns)
            live.keep(fresh if kept else None, shape, Withdrawal(beyond, f"{who}: {reason}", at), lease.fence)
            live.serve(shape)
        withdrawn = tuple(number for number in numbers if number > to)
        return LiveRollback(table=table, to=to, withdrawn=withdrawn, rows_before=rows, rows=live.rows, by=who)


def _decided(workspace: Workspace, subject: str, by: str, reason: str, published: int) -> datetime:
    """Keep the decision, before anything comes of it; returns its moment."""
    at = now()
    decision = Decision(
        id=new_id(at),
        kind="rollback",
        at=at,
        by=by,
        subject=subject,
        reason=reason,
        detail={"published": published},
    )
    decide(decision, workspace.lake.objects)
    workspace.catalog.put_decision(decision)
    return at


def _owner(specs: Mapping[str, PipelineSpec], table: str) -> tuple[PipelineSpec, SourceSpec]:
    found = {
        source.table: (spec, source)
        for spec in specs.values()
        for source in spec.sources
        if source.stream is not None and source.stream.live
    }
    if table not in found:
        raise unknown("live table", table, list(found), where="this project")
    return found[table]
