"""Verdicts by a person: a rejected load is accepted as it is, or ended without its rows; checks on demand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from penstock import names
from penstock.catalog.port import LoadRecord
from penstock.errors import ConfigurationError, NotFoundError
from penstock.model.codec import encode
from penstock.model.entries import Entry, Verdict
from penstock.model.interval import Interval
from penstock.model.receipts import CheckReceipt
from penstock.model.releases import Decision
from penstock.model.specs import PipelineSpec
from penstock.orchestrate import holding, indexing
from penstock.orchestrate.bringing import judge
from penstock.orchestrate.context import RunContext
from penstock.orchestrate.ledger import collect
from penstock.orchestrate.standing import accepted_rows, known, others, relations_of
from penstock.orchestrate.touching import touched_by
from penstock.orchestrate.workspace import Workspace, new_id, now, user
from penstock.validate.checking import Checking, CheckPorts
from penstock.validate.checking import check as check_rows


def accept(
    workspace: Workspace, specs: Mapping[str, PipelineSpec], table: str, load: int, *, reason: str, by: str | None
) -> Entry:
    """Accept a rejected load as it is; the decision is kept, the next run goes on below it."""
    return _judge(workspace, specs, (table, load), Verdict.ACCEPTED, reason, by)


def discard(
    workspace: Workspace, specs: Mapping[str, PipelineSpec], table: str, load: int, *, reason: str, by: str | None
) -> Entry:
    """End a rejected load without its rows; its files stay for inspection."""
    return _judge(workspace, specs, (table, load), Verdict.DISCARDED, reason, by)


def _judge(
    workspace: Workspace,
    specs: Mapping[str, PipelineSpec],
    subject: tuple[str, int],
    verdict: Verdict,
    reason: str,
    by: str | None,
) -> Entry:
    table, load = subject[0].removeprefix(names.RAW_PREFIX), subject[1]
    if not reason.strip():
        raise ConfigurationError("A verdict by a person needs a reason", remedy='Add --reason "…"')
    spec = owner(specs, table)
    indexing.follow(workspace, indexing.tables_of(spec))
    with holding.whole(workspace, spec) as lease:
        ledger = collect(spec, workspace.catalog)
        waiting = {record.entry.number: record for record in ledger.sources[table].rejected}
        if load not in waiting:
            raise NotFoundError(
                f"Load {load} of {table} does not wait for a verdict", valid=[str(n) for n in waiting] or "none waits"
            )
        record = waiting[load]
        at = now()
        kind = "accept" if verdict is Verdict.ACCEPTED else "discard"
        decision = Decision(
            id=new_id(at), kind=kind, at=at, by=by or user(), subject=f"{names.raw(table)}#{load}", reason=reason
        )
        workspace.lake.objects.create(f"{indexing.DECISIONS}{decision.id}.json", encode(decision))
        workspace.catalog.put_decision(decision)
        context = RunContext(workspace=workspace, spec=spec, run=decision.id, lease=lease, ledger=ledger)
        standing = record.verdict_entry
        found = None
        if standing is not None and standing.report is not None:
            found = CheckReceipt(
                table=standing.table,
                report=standing.report,
                quarantine=standing.quarantine,
                profile=standing.profile,
                sketches=standing.sketches,
            )
        touched = _touched(record, context) if verdict is Verdict.ACCEPTED else None
        return judge(record.entry, verdict, context, found=found, reason=reason, touched=touched)


def _touched(record: LoadRecord, context: RunContext) -> tuple[Interval, ...] | None:
    """Return the time that a load touches now: other loads may have come since it was rejected."""
    source = next(each for each in context.spec.sources if names.raw(each.table) == record.entry.table)
    quarantine = record.verdict_entry.quarantine if record.verdict_entry else None
    with context.workspace.engine.session() as connection:
        return touched_by(record.entry, quarantine, source, context, connection)


def check(workspace: Workspace, spec: PipelineSpec, table: str) -> CheckReceipt:
    """Run the checks of a table over all its rows as they stand in the lake; nothing is kept."""
    name, ledger = known(workspace, spec, table)
    relation, columns = accepted_rows(workspace, ledger, name)
    # A table is not its own reference here: its rows are the ones that are checked.
    tables = relations_of(others(spec, name), ledger, workspace.lake)
    listed = spec.checks.get(name, ())
    # All loads together have no order of landing; their rows were checked in it when they came.
    unordered = tuple(each for each in listed if each.kind == "increasing" and not each.parameters.get("order_by"))
    with workspace.engine.session() as connection:
        found = check_rows(
            Checking(
                table=name,
                checks=tuple(each for each in listed if each not in unordered),
                relation=relation,
                columns=columns,
                tables=tables,
                now=now(),
                quarantine_path=None,
            ),
            CheckPorts(
                connection=connection,
                objects=workspace.lake.objects,
                scale_out=workspace.judge_of(name.removeprefix(names.RAW_PREFIX)),
            ),
        )
    skipped = (*found.report.skipped, *(each.name for each in unordered))
    return replace(found, report=replace(found.report, skipped=skipped))


def owner(specs: Mapping[str, PipelineSpec], table: str) -> PipelineSpec:
    """Return the pipeline that reads a source; raises ConfigurationError."""
    for spec in specs.values():
        if table in {source.table for source in spec.sources}:
            return spec
    known = [source.table for spec in specs.values() for source in spec.sources]
    raise names.unknown("source", table, known, where="the project's pipelines")
