"""Training sets of a project: built from the production release, verified, listed."""

from __future__ import annotations

from penstock.dataset.building import Building, DatasetPorts
from penstock.dataset.building import build as build_dataset
from penstock.dataset.manifest import Manifest, list_manifests
from penstock.dataset.receipts import DatasetReceipt, VerifyReceipt
from penstock.dataset.verifying import verify as verify_dataset
from penstock.errors import ConfigurationError, NotFoundError
from penstock.model.events import StepAdvanced, StepFinished, StepStarted
from penstock.model.receipts import State, StepReceipt
from penstock.model.releases import TableVersion
from penstock.model.specs import DatasetSpec, PipelineSpec
from penstock.names import unknown
from penstock.orchestrate import releasing
from penstock.orchestrate.context import dataset_lease, leased
from penstock.orchestrate.workspace import Workspace, now
from penstock.queries import relations
from penstock.stores.lake import DeltaLake


def build(workspace: Workspace, spec: PipelineSpec, name: str | None) -> DatasetReceipt:
    """Build a training set of a pipeline from what production serves."""
    dataset = _choose(spec, name)
    releasing.finish(workspace, asking=True)
    release = releasing.current(workspace)
    if release is None:
        raise NotFoundError(
            "Production has no release yet, and a training set is built from one",
            remedy="penstock diff, then penstock approve and penstock promote",
        )
    lake = workspace.production_lake()
    needed = {dataset.table, *(feature.table for feature in dataset.features)}
    held = {table.table: table for table in release.tables}
    for table in sorted(needed):
        if table not in held:
            raise unknown("table", table, held, where=f"release {release.number}, for training set {dataset.name!r}")
    step = f"dataset {dataset.name}"
    workspace.observer(StepStarted(step=step, table=dataset.table))
    building = Building(
        dataset=dataset,
        relations={table: _relation(held[table], lake) for table in needed},
        versions={table: held[table].number for table in needed},
        created_at=now(),
        release=release.number,
    )
    ports = DatasetPorts(
        workspace.engine,
        workspace.dataset_objects(),
        lambda rows, size: workspace.observer(StepAdvanced(step=step, rows=rows, bytes=size)),
    )
    # Two builds at once, or a build while the doctor cleans, would take each other's shards away.
    with leased(workspace, dataset_lease(dataset.name)):
        receipt = build_dataset(building, ports)
    state = State.DONE if receipt.built else State.UNCHANGED
    workspace.observer(
        StepFinished(
            receipt=StepReceipt(step=step, table=dataset.table, state=state, rows=receipt.rows, bytes=receipt.bytes)
        )
    )
    return receipt


def verify(workspace: Workspace, name: str, version: str | None) -> VerifyReceipt:
    """Check every shard of a training set against its manifest; None means its newest version."""
    known = listed(workspace, name)
    if not known:
        raise unknown("training set", name, {item.name for item in listed(workspace)}, where=workspace.datasets)
    chosen = [item for item in known if version is None or item.version.startswith(version)]
    if not chosen:
        raise unknown("version", version or "", [item.version for item in known], where=f"training set {name!r}")
    return verify_dataset(f"{name}/{chosen[0].version}", workspace.engine, workspace.dataset_objects())


def listed(workspace: Workspace, name: str | None = None) -> tuple[Manifest, ...]:
    """Return the manifests of all training sets, or of those with one name, newest first."""
    return list_manifests(workspace.dataset_objects(), name)


def _choose(spec: PipelineSpec, name: str | None) -> DatasetSpec:
    known = {dataset.name: dataset for dataset in spec.datasets}
    if name is None and len(known) == 1:
        return next(iter(known.values()))
    if not known:
        raise ConfigurationError(
            f"Pipeline {spec.name!r} declares no training set",
            remedy="Add one: Pipeline(…, datasets=[training_set(…)])",
        )
    if name is None:
        raise ConfigurationError(
            f"Pipeline {spec.name!r} declares several training sets", valid=known, remedy="Name one of them"
        )
    if name not in known:
        raise unknown("training set", name, known, where=f"pipeline {spec.name!r}")
    return known[name]


def _relation(table: TableVersion, lake: DeltaLake) -> str:
    """Return a table of a release as SQL over its files, with the types that a reader of the warehouse gets."""
    columns = [(column.name, column.type) for column in table.schema]
    if not table.files:
        return relations.empty(columns)
    places = lake.table(table.table).places(table.files)
    return relations.restored(relations.parquet(places), columns)
