"""Rebuilding: the staging warehouse made anew from the lake alone, into a file that then takes the old one's place.

Order: (1) take the leases of all pipelines, because the file is theirs together; (2) carry over what is not made anew;
(3) apply accepted loads and the versions of transforms, in transactions of bounded size; (4) compute what is due; (5)
exchange the files. A crash before (5) leaves the old file, and a new one on which the next rebuild goes on.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import field, replace

from penstock import names
from penstock.catalog.port import Lease, LoadRecord
from penstock.errors import ConfigurationError, DataError
from penstock.load.ledger import held
from penstock.load.loading import apply_loads
from penstock.load.nesting import children
from penstock.load.session import count
from penstock.load.spec import Loading, LoadPorts, VersionLoading
from penstock.load.versions import apply_version
from penstock.model.answers import RebuildReceipt, RebuiltTable
from penstock.model.entries import Entry
from penstock.model.events import Phase
from penstock.model.receipts import RunReceipt, State, StepReceipt
from penstock.model.specs import PipelineSpec, SourceSpec, TransformSpec
from penstock.names import unknown
from penstock.orchestrate import holding, indexing, running
from penstock.orchestrate.context import LEASE_SECONDS, RunContext
from penstock.orchestrate.scopes import intervals, scope_of
from penstock.orchestrate.standing import accepted_load
from penstock.orchestrate.workspace import Workspace, now
from penstock.stores.remaking import Remaking
from penstock.values import dataclass

LARGEST = 512 * 2**20
"""Bytes of Parquet files after which a transaction ends and the next begins."""
MOST = 200
"""Loads or versions in one transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuild:
    """What is to be made anew.

    Attributes:
        pipeline: Only the tables of this one; None: of all.
        table: Only this source's or transform's, with or without ``raw_``; None: all.
        recompute: Compute the transforms even where a version stands that is up to date.
    """

    pipeline: str | None = None
    table: str | None = None
    recompute: bool = False


def rebuild(workspace: Workspace, specs: Mapping[str, PipelineSpec], asked: Rebuild) -> RebuildReceipt:
    """Make the staging warehouse anew, or some tables of it, without asking a source.

    Raises:
        LeaseHeldError: A pipeline of the project is at work.
        ConfigurationError: There is no such pipeline or table.
        DataError: The old file is damaged, and only a part of it would be made anew.
        StaleWriterError: Somebody took over a pipeline meanwhile; the old file stands.
    """
    begun = time.monotonic()
    chosen = _chosen(workspace, specs, asked)
    with ExitStack() as stack:
        leases = {name: stack.enter_context(_held(workspace, spec)) for name, spec in sorted(specs.items())}
        whole = asked.pipeline is None and asked.table is None
        anew = [table for _, tables in chosen for table in tables.values()]
        remaking = Remaking(workspace.warehouse, workspace.engine, [*anew, *_children(workspace, anew)])
        remaking.begin(whole=whole)
        workspace.observer(Phase(title="rebuild", interval=None, done=0, total=1))
        there = copy.copy(workspace)
        there.warehouse = remaking.fresh
        runs = [_one(there, spec, tables, leases[spec.name], asked) for spec, tables in chosen]
        if all(done for _, done in runs):
            made = _counted(there, chosen)
            for lease in leases.values():
                workspace.catalog.renew(lease, LEASE_SECONDS)
            kept = remaking.exchange(names.moment(now()))
            return RebuildReceipt(
                warehouse=workspace.warehouse.path,
                replaced=True,
                tables=made,
                carried=remaking.carried,
                runs=tuple(run for run, _ in runs),
                notes=_notes(workspace, specs, remaking, kept),
                seconds=time.monotonic() - begun,
            )
    return RebuildReceipt(
        warehouse=workspace.warehouse.path,
        replaced=False,
        runs=tuple(run for run, _ in runs),
        notes=("The warehouse is as it was; the next rebuild goes on where this one ended.",),
        seconds=time.monotonic() - begun,
    )


def _chosen(
    workspace: Workspace, specs: Mapping[str, PipelineSpec], asked: Rebuild
) -> list[tuple[PipelineSpec, dict[str, str]]]:
    """Return the pipelines, each with its tables that are made anew: name to warehouse table."""
    if asked.pipeline is not None and asked.pipeline not in specs:
        raise unknown("pipeline", asked.pipeline, specs, where="the project")
    found = []
    for spec in specs.values():
        if asked.pipeline not in (None, spec.name):
            continue
        tables = {source.table: workspace.warehouse_table(source.table) for source in spec.sources}
        tables |= {transform.table: transform.table for transform in spec.transforms}
        if asked.table is not None:
            tables = {name: served for name, served in tables.items() if asked.table in (name, served)}
        if tables:
            found.append((spec, tables))
    if not found:
        known = [
            t
            for spec in specs.values()
            for t in (*(s.table for s in spec.sources), *(x.table for x in spec.transforms))
        ]
        if asked.table is not None:
            raise unknown(
                "table",
                asked.table,
                known,
                where=f"pipeline {asked.pipeline!r}" if asked.pipeline else "the project's pipelines",
            )
        raise ConfigurationError("No pipeline of the project has a table to rebuild")
    return found


def _children(workspace: Workspace, made: Sequence[str]) -> list[str]:
    """Return the child tables of tables, which are made anew with them; a file that cannot be read tells of none."""
    try:
        with workspace.warehouse.reading() as transaction:
            return [child for table in made for child in children(transaction, table)]
    except DataError:
        return []


def _held(workspace: Workspace, spec: PipelineSpec) -> AbstractContextManager[Lease]:
    indexing.follow(workspace, indexing.tables_of(spec))
    return holding.whole(workspace, spec)


@dataclass(slots=True)
class _Restoring:
    """Restores the tables of one pipeline."""

    spec: PipelineSpec
    tables: Mapping[str, str]
    recompute: bool
    done: bool = field(default=False)

    def __call__(self, context: RunContext) -> None:
        for source in self.spec.sources:
            if source.table in self.tables:
                _restore(source, context)
        for transform in self.spec.transforms:
            if transform.table in self.tables:
                _reapply(transform, context)
                if self.recompute:
                    covered = intervals(self.spec, None, now())
                    again = scope_of(transform, covered)
                    context.ledger.versions[transform.table].again = set(again)
        self.done = True


def _one(
    there: Workspace, spec: PipelineSpec, tables: Mapping[str, str], lease: Lease, asked: Rebuild
) -> tuple[RunReceipt, bool]:
    """Restore the tables of one pipeline; return its run, and whether all that is accepted is in the new file."""
    # A version that stands is what clock or chance made of its inputs: it is put back, not made again.
    steady = replace(spec, transforms=tuple(replace(each, volatile=False) for each in spec.transforms))
    work = _Restoring(steady, tables, asked.recompute)
    run = running.below(there, steady, running.Asked(command="rebuild"), lease, work)
    return run, work.done


def _restore(source: SourceSpec, context: RunContext) -> None:
    """Apply the live loads of a source, as many in one transaction as bounds allow."""
    workspace, known = context.workspace, context.ledger.sources[source.table]
    table = workspace.warehouse_table(source.table)
    live = known.live()
    with workspace.warehouse.reading() as transaction:
        present = held(transaction, [table])[table]
    missing = [record for record in live if record.entry.number not in present]
    step = f"load {known.table}"
    begun = context.started(step, known.table)
    rows = 0
    for chunk in _chunks(missing):
        context.hold()
        with workspace.warehouse.writing() as transaction:
            receipt = apply_loads(
                Loading(
                    source=source,
                    table=table,
                    loads=tuple(accepted_load(record, workspace.lake) for record in chunk),
                ),
                LoadPorts(
                    transaction=transaction,
                    lake_table=workspace.lake.table(known.table),
                    live=lambda: [accepted_load(record, workspace.lake) for record in live],
                    advance=context.advance(step),
                ),
            )
        rows += receipt.inserted
    if missing:
        context.finished(_restored(step, known.table, rows, missing[-1].entry, begun))


def _chunks(records: Sequence[LoadRecord]) -> Iterator[list[LoadRecord]]:
    """Cut loads into transactions: of one schema each, so that columns come in the order in which they appeared."""
    chunk: list[LoadRecord] = []
    size = 0
    for record in records:
        weight = sum(file.bytes for file in record.entry.files)
        full = len(chunk) == MOST or size + weight > LARGEST
        if chunk and (full or record.entry.schema != chunk[-1].entry.schema):
            yield chunk
            chunk, size = [], 0
        chunk.append(record)
        size += weight
    if chunk:
        yield chunk


def _reapply(transform: TransformSpec, context: RunContext) -> None:
    """Put the versions of a transform back, as they stand in the lake."""
    workspace = context.workspace
    with workspace.warehouse.reading() as transaction:
        present = held(transaction, [transform.table])[transform.table]
    newest = sorted(context.ledger.versions[transform.table].newest.values(), key=lambda entry: entry.number)
    missing = [entry for entry in newest if entry.number not in present]
    step = f"load {transform.table}"
    begun = context.started(step, transform.table)
    rows = 0
    for first in range(0, len(missing), MOST):
        context.hold()
        with workspace.warehouse.writing() as transaction:
            ports = LoadPorts(
                transaction=transaction,
                lake_table=workspace.lake.table(transform.table),
                advance=context.advance(step),
            )
            for entry in missing[first : first + MOST]:
                rows += apply_version(VersionLoading(table=transform.table, entry=entry), ports).inserted
    if missing:
        context.finished(_restored(step, transform.table, rows, missing[-1], begun))


def _restored(step: str, table: str, rows: int, newest: Entry, begun: float) -> StepReceipt:
    seconds = time.monotonic() - begun
    return StepReceipt(step=step, table=table, state=State.DONE, rows=rows, seconds=seconds, number=newest.number)


def _counted(there: Workspace, chosen: Sequence[tuple[PipelineSpec, Mapping[str, str]]]) -> tuple[RebuiltTable, ...]:
    with there.warehouse.reading() as transaction:
        return tuple(
            RebuiltTable(
                table=served,
                kind="source" if any(source.table == name for source in spec.sources) else "transform",
                rows=count(transaction, served),
                entries=len(held(transaction, [served])[served]),
            )
            for spec, tables in chosen
            for name, served in tables.items()
            if transaction.columns(served) is not None
        )


def _notes(
    workspace: Workspace, specs: Mapping[str, PipelineSpec], remaking: Remaking, kept: str | None
) -> tuple[str, ...]:
    notes = []
    if remaking.resumed:
        notes.append("It went on where an earlier rebuild ended.")
    if remaking.damage is not None:
        notes.append(remaking.damage.what + ".")
        ours = {table for spec in specs.values() for table in indexing.tables_of(spec)}
        others = [table for table in workspace.lake.tables() if table not in ours]
        if others:
            notes.append(f"No pipeline declares these tables of the lake, so they are not in it: {', '.join(others)}.")
    if kept is not None:
        notes.append(f"The damaged file is kept as {kept}; what Penstock did not make was in it alone.")
    return tuple(notes)
