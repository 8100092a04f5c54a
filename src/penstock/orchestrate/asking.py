"""Questions about how things stand, answered from the catalog and the lake.

Nothing is written but the index, and the end of a release that a crash left half-way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from penstock import names
from penstock.errors import PenstockError
from penstock.load.nesting import child_tables
from penstock.model.answers import (
    PipelineStatus,
    ProjectStatus,
    QuarantineRows,
    QuarantineSummary,
    TableStatus,
)
from penstock.model.entries import Entry, EntryKind
from penstock.model.receipts import State
from penstock.model.releases import Release
from penstock.model.specs import PipelineSpec, SourceSpec, WriteMode
from penstock.names import unknown
from penstock.orchestrate import alerting, indexing, releasing, scopes
from penstock.orchestrate.ledger import SourceLedger, collect
from penstock.orchestrate.workspace import Workspace, now
from penstock.validate import quarantine as shelves


def status(workspace: Workspace, specs: Sequence[PipelineSpec]) -> ProjectStatus:
    """Return how the project stands, and what waits for a person."""
    hindered = _settle(workspace)
    indexing.follow_decided(workspace)
    indexing.follow_releases(workspace)
    releases = workspace.catalog.releases()
    current = releases[0] if releases else None
    pipelines = tuple(_pipeline(workspace, spec, current) for spec in specs)
    places = {"staging lake": workspace.staging.lake, "staging warehouse": workspace.staging.warehouse}
    if workspace.production is not None:
        places |= {
            "production lake": workspace.production.lake,
            "production warehouse": workspace.production.warehouse,
            "datasets": workspace.datasets,
        }
    return ProjectStatus(
        name=workspace.name,
        pipelines=pipelines,
        release=current.number if current else 0,
        released_at=current.created_at if current else None,
        waiting=(*hindered, *_waiting(workspace, pipelines, current), *alerting.waiting(workspace)),
        places=places,
    )


def _settle(workspace: Workspace) -> tuple[str, ...]:
    """Finish a release that a crash left half-way; what hinders that is told."""
    try:
        releasing.settle(workspace)
    except PenstockError as error:
        return (error.sentence(),)
    return ()


def versions(workspace: Workspace, table: str, limit: int) -> tuple[Entry, ...]:
    """Return the newest entries of a table, named with or without ``raw_``."""
    found = resolve(workspace, table, child=True)
    return workspace.catalog.entries(found, limit=limit)


def resolve(workspace: Workspace, table: str, *, child: bool = False) -> str:
    """Return the lake table that a user means by a name.

    Args:
        workspace: The places.
        table: With or without ``raw_``.
        child: Whether the name of a child table means the source to which it belongs.
    """
    indexing.follow(workspace, workspace.lake.tables())
    known = workspace.catalog.tables()
    for candidate in (table, names.raw(table)):
        if candidate in known:
            return candidate
    above = [name for name in known if child and table.startswith((f"{name}__", f"{name.removeprefix('raw_')}__"))]
    if above:
        return max(above, key=len)
    raise unknown("table", table, known, where="the staging lake")


def quarantine(workspace: Workspace, table: str | None) -> tuple[QuarantineSummary, ...]:
    """Return what was set aside, newest first."""
    tables = (resolve(workspace, table),) if table else workspace.catalog.tables()
    found = [
        summary
        for name in tables
        for standing in (_standing(workspace, name),)
        for entry in workspace.catalog.entries(name)
        for summary in _aside(workspace, entry, standing)
    ]
    return tuple(sorted(found, key=lambda item: item.created_at, reverse=True))


def quarantine_rows(workspace: Workspace, table: str, number: int | None, limit: int) -> QuarantineRows:
    """Return rows that one load or version set aside: those that failed checks, then lines that are no rows."""
    name = resolve(workspace, table)
    standing = _standing(workspace, name)
    shelved = [
        (entry.number, summary)
        for entry in workspace.catalog.entries(name)
        for summary in _aside(workspace, entry, standing, whole=False)
    ]
    chosen = [item for own, item in shelved if number is None or number in (item.number, own)]
    if not chosen:
        numbers = list(dict.fromkeys(str(item.number) for _, item in shelved))
        what = f"{name} has no quarantined rows" + (f" in load {number}" if number is not None else "")
        raise indexing.not_found(what, numbers)
    same = [item for item in chosen if item.number == chosen[0].number]
    # A verdict is a later entry than its load, so that rows which failed checks come first.
    rows: list[Mapping[str, Any]] = []
    for item in same:
        rows += shelves.rows(workspace.lake.objects, item.path, max(0, limit - len(rows))).to_pylist()
    return QuarantineRows(table=name, number=same[0].number, rows=tuple(rows), total=sum(item.rows for item in same))


def _standing(workspace: Workspace, table: str) -> tuple[SourceLedger, set[int]]:
    """Return what is known of a table's loads, and the numbers of those that no later one superseded."""
    known = SourceLedger(
        table,
        WriteMode.APPEND,
        list(reversed(workspace.catalog.loads(table))),
        list(workspace.catalog.entries(table, EntryKind.DISCARD)),
    )
    return known, {record.entry.number for record in known.live()}


def _aside(
    workspace: Workspace, entry: Entry, standing: tuple[SourceLedger, set[int]], *, whole: bool = True
) -> Iterator[QuarantineSummary]:
    """Yield what an entry set aside; its files by their paths on this machine, or below the lake root."""
    place = workspace.lake.objects.url if whole else str
    number = entry.load or entry.number
    alive = entry.load is None or entry.load in standing[1]
    if entry.quarantine is not None:
        failures = entry.report.failures if entry.report else ()
        rows = entry.report.quarantined if entry.report else 0
        taken = sum(each.rows - each.lines for each in standing[0].taken(number))
        ended = [each.taken for each in standing[0].discards if each.taken and each.load == number]
        discarded = sum(each.rows - each.lines for each in ended)
        yield QuarantineSummary(
            table=entry.table,
            number=number,
            created_at=entry.created_at,
            rows=rows,
            reasons={failure.check: failure.count for failure in failures if failure.severity == "quarantine"},
            path=place(entry.quarantine),
            run=entry.run,
            open=rows - taken if alive else 0,
            replayed=taken - discarded,
            discarded=discarded,
        )
    if entry.misfits is not None:
        taken = sum(each.lines for each in standing[0].taken(number))
        discarded = sum(each.taken.lines for each in standing[0].discards if each.taken and each.load == number)
        yield QuarantineSummary(
            table=entry.table,
            number=number,
            created_at=entry.created_at,
            rows=entry.misfits.rows,
            reasons=entry.misfits.reasons,
            path=place(entry.misfits.path),
            run=entry.run,
            open=entry.misfits.rows - taken if entry.number in standing[1] else 0,
            replayed=taken - discarded,
            discarded=discarded,
        )


def _pipeline(workspace: Workspace, spec: PipelineSpec, current: Release | None) -> PipelineStatus:
    indexing.follow(workspace, indexing.tables_of(spec))
    ledger = collect(spec, workspace.catalog)
    promoted = {item.table: item.number for item in current.tables} if current else {}
    tables = [_source(source, ledger.sources[source.table]) for source in spec.sources]
    for transform in spec.transforms:
        versions_known = ledger.versions[transform.table]
        head = versions_known.head
        tables.append(
            TableStatus(
                table=transform.table,
                kind="transform",
                number=head.number if head else 0,
                rows=head.rows if head else 0,
                quarantined=sum(e.report.quarantined for e in versions_known.newest.values() if e.report),
                newest=head.created_at if head else None,
                production=promoted.get(transform.table),
            )
        )
    done, missing = _intervals(spec, ledger.sources)
    runs = [run for run in workspace.catalog.runs(spec.name, 20) if run.state is not State.UNCHANGED]
    return PipelineStatus(
        name=spec.name,
        last_run=replace(runs[0], steps=()) if runs else None,
        tables=tuple(tables),
        intervals_done=done,
        intervals_missing=missing,
    )


def _source(source: SourceSpec, known: SourceLedger) -> TableStatus:
    live = known.live()
    newest = known.records[-1].entry if known.records else None
    measured = source.interval or source.cursor or ""
    bounds = [
        str(file.statistics[measured][1])
        for record in live
        for file in record.entry.files
        if measured in file.statistics and file.statistics[measured][1] is not None
    ]
    set_aside = sum(r.verdict_entry.report.quarantined for r in live if r.verdict_entry and r.verdict_entry.report)
    ended = sum(each.rows for record in live for each in known.taken(record.entry.number))
    return TableStatus(
        table=known.table,
        kind="source",
        number=newest.number if newest else 0,
        rows=sum(record.entry.rows for record in live) - set_aside,
        quarantined=set_aside - ended + sum(record.entry.misfits.rows for record in live if record.entry.misfits),
        rejected=tuple(record.entry.number for record in known.rejected),
        newest=newest.created_at if newest else None,
        event_time=max(bounds, default=None),
        mode=source.mode,
        children=tuple(known.table + suffix for suffix in child_tables(source, (r.entry for r in live))),
    )


def _intervals(spec: PipelineSpec, sources: dict[str, SourceLedger]) -> tuple[int, int]:
    by_interval = [source.table for source in spec.sources if source.interval]
    if not by_interval:
        return 0, 0
    done = set.intersection(*(sources[table].done() for table in by_interval))
    if not done:
        return 0, 0
    newest = max(done)
    wanted = [interval for interval in scopes.intervals(spec, None, now()) if interval <= newest]
    return len(done), len([interval for interval in wanted if interval not in done])


def _waiting(workspace: Workspace, pipelines: Sequence[PipelineStatus], current: Release | None) -> list[str]:
    found = []
    for pipeline in pipelines:
        for table in pipeline.tables:
            for load in table.rejected:
                name = table.table.removeprefix(names.RAW_PREFIX)
                found.append(
                    f"load {load} of {table.table} is rejected: penstock retry --table {name}, "
                    f"or penstock accept | discard {name} {load}"
                )
        for candidate in workspace.catalog.candidates(pipeline.name)[:1]:
            kinds = {decision.kind for decision in workspace.catalog.decisions(candidate.id)}
            moved = candidate.against != (current.number if current else 0)
            if not moved and not kinds & {"approve", "reject", "promote"} and candidate.changes:
                found.append(f"candidate {candidate.id} of {pipeline.name} waits: penstock approve {candidate.id}")
            elif not moved and "approve" in kinds and "promote" not in kinds:
                found.append(
                    f"candidate {candidate.id} of {pipeline.name} is approved: penstock promote {candidate.id}"
                )
    return found
