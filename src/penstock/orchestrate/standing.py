"""The rows of a table as they stand in the lake: what checks on demand and profiles look at."""

from __future__ import annotations

from penstock import names
from penstock.errors import NotFoundError
from penstock.load.columns import present
from penstock.model.entries import Column
from penstock.model.specs import PipelineSpec
from penstock.orchestrate import indexing
from penstock.orchestrate.downstream import relation_of
from penstock.orchestrate.ledger import Ledger, collect
from penstock.orchestrate.workspace import Workspace


def made_by(spec: PipelineSpec) -> list[str]:
    """Return the tables that a pipeline reads or makes."""
    return [*(source.table for source in spec.sources), *(transform.table for transform in spec.transforms)]


def known(workspace: Workspace, spec: PipelineSpec, table: str) -> tuple[str, Ledger]:
    """Return a table's name without ``raw_``, and the ledger of its pipeline.

    Raises:
        ConfigurationError: The pipeline does not make it.
    """
    name, made = table.removeprefix(names.RAW_PREFIX), made_by(spec)
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
