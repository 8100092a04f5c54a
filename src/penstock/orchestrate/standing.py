"""The rows of a table as they stand in the lake: what checks on demand and profiles look at."""

from __future__ import annotations

from collections.abc import Iterable

from penstock import names
from penstock.catalog.port import LoadRecord
from penstock.errors import NotFoundError
from penstock.load.columns import present
from penstock.load.spec import AcceptedLoad
from penstock.model.entries import Column
from penstock.model.specs import PipelineSpec
from penstock.orchestrate import indexing
from penstock.orchestrate.ledger import Ledger, collect
from penstock.orchestrate.workspace import Workspace
from penstock.queries import relations
from penstock.queries.relations import FileSet
from penstock.stores.port import Lake


def all_of(spec: PipelineSpec) -> list[str]:
    """Return the tables that a pipeline reads or makes, as they are spelt."""
    return [*(source.table for source in spec.sources), *(transform.table for transform in spec.transforms)]


def known(workspace: Workspace, spec: PipelineSpec, table: str) -> tuple[str, Ledger]:
    """Return a table's name without ``raw_``, and the ledger of its pipeline.

    Raises:
        ConfigurationError: The pipeline does not make it.
    """
    name, made = table.removeprefix(names.RAW_PREFIX), all_of(spec)
    if name not in made:
        raise names.unknown("table", table, made, where=f"pipeline {spec.name!r}")
    indexing.follow(workspace, indexing.tables_of(spec))
    return name, collect(spec, workspace.catalog)


def accepted_rows(workspace: Workspace, ledger: Ledger, name: str) -> tuple[str, tuple[Column, ...]]:
    """Return a table's accepted rows as a relation, and its columns.

    Raises:
        NotFoundError: There are none yet.
    """
    relation = relation_of(name, ledger, workspace.lake)
    if relation is None:
        raise NotFoundError(f"{name} has no accepted rows yet", remedy="penstock run")
    head = ledger.sources[name].live()[-1].entry if name in ledger.sources else ledger.versions[name].head
    assert head is not None
    return relation, present(head.schema, workspace.lake.table(head.table).columns())


def accepted_load(record: LoadRecord, lake: Lake) -> AcceptedLoad:
    """Return an accepted load with its quarantine, as loading takes it."""
    path = record.verdict_entry.quarantine if record.verdict_entry else None
    taken = record.entry.taken
    return AcceptedLoad(
        record.entry,
        lake.objects.reading([path])[0] if path else None,
        lake.objects.reading([taken.path])[0] if taken else None,
    )


def rows_of(records: Iterable[LoadRecord], lake: Lake) -> list[FileSet]:
    """Return the rows of loads that their checks let pass; a load without rows gives nothing."""
    loads = (accepted_load(record, lake) for record in records if record.entry.files)
    return [lake.table(load.entry.table).reading(load.entry.files, load.quarantine) for load in loads]


def relation_of(name: str, ledger: Ledger, lake: Lake) -> str | None:
    """Return a lake table as a relation over its files, for checks of raw rows; None where it has no rows yet."""
    if name in ledger.sources:
        sets = rows_of(ledger.sources[name].live(), lake)
        return relations.accepted(sets) if sets else None
    if name in ledger.versions and ledger.versions[name].head is not None:
        table = lake.table(name)
        files = table.live()
        return relations.parquet(table.places(files)) if files else None
    return None


def relations_of(tables: Iterable[str], ledger: Ledger, lake: Lake) -> dict[str, str]:
    """Return those of some tables that have rows, as relations over their files."""
    return {name: relation for name in tables if (relation := relation_of(name, ledger, lake))}


def others(spec: PipelineSpec, name: str) -> list[str]:
    """Return the other tables that a pipeline reads or makes: what a check of this one may name."""
    return [other for other in all_of(spec) if other != name]
