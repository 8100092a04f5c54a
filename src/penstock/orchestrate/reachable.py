"""What is reachable: every file that a committed entry, release, decision, quarantine or training set names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from penstock.dataset.manifest import FILE, read_manifest
from penstock.errors import DataError
from penstock.model.buckets import is_bucket
from penstock.model.codec import decode
from penstock.model.releases import Release
from penstock.orchestrate import indexing
from penstock.orchestrate.workspace import Workspace
from penstock.promote.live import is_live
from penstock.stores.lake import DeltaLake
from penstock.stores.live_files import folder_of
from penstock.stores.objects import LocalObjects
from penstock.stores.port import CONDITION, Objects
from penstock.stores.releases import ReleaseFolder
from penstock.stores.remaking import ENDING
from penstock.values import dataclass

_RECORD = re.compile(r"_(decisions|runs|candidates|announced)/[^/.][^/]*\.json|_code/[0-9a-f]+\.txt")
_LOG = re.compile(
    r"[^/]+/_delta_log/(\d{20}\.(json|crc|checkpoint\..+|\d{20}\.compacted\.json)|_last_checkpoint|_.+/.+)"
)
_CONDITION = re.compile(re.escape(CONDITION))
_INGEST_CATALOG = re.compile(r"_catalog\.db(-wal|-shm|\.damaged-.*)?")


@dataclass(frozen=True, slots=True)
class Root:
    """A folder of ours, here or in a bucket.

    Attributes:
        read: Reads what is named, and returns what says of a path below the root whether it is. Called after the
            root was walked: what is committed meanwhile is named then.
        folder: The folder of this machine; None where the root is in a bucket.
        objects: The objects of the root.
    """

    read: Callable[[], Callable[[str], bool]]
    folder: Path | None
    objects: Objects


def roots(workspace: Workspace) -> Iterator[Root]:
    """Yield the lakes, the files of releases and the training sets, as far as they exist."""
    if workspace.exists(workspace.staging.lake):
        yield _root(workspace, workspace.staging.lake, lambda: _in_lake(workspace.lake, set()))
    production = workspace.production
    if production is None:
        return
    if workspace.exists(production.lake):
        yield _root(workspace, production.lake, lambda: _in_production(workspace))
        folder = ReleaseFolder(production.warehouse, workspace.engine).folder
        if production.postgres is None and folder.is_dir():
            yield _root(workspace, str(folder), lambda: {item.warehouse for item in releases(workspace)}.__contains__)
        live = folder_of(production.warehouse)
        if live.is_dir():
            yield _root(workspace, str(live), lambda: _live_files(workspace).__contains__)
    if workspace.exists(workspace.datasets):
        yield _root(workspace, workspace.datasets, lambda: _in_datasets(workspace.dataset_objects()))


def _root(workspace: Workspace, place: str, read: Callable[[], Callable[[str], bool]]) -> Root:
    objects = workspace.objects(place)
    return Root(read, Path(place) if isinstance(objects, LocalObjects) else None, objects)


def places(workspace: Workspace) -> Iterator[Path]:
    """Yield every folder and every file of this machine that has a place of its own, whether it exists or not."""
    production = workspace.production
    for place in (workspace.staging.lake, production.lake if production else "", workspace.datasets):
        if place and not is_bucket(place):
            yield Path(place)
    for environment in (workspace.staging, production):
        if environment is not None and environment.postgres is None:
            for ending in ("", ".lock", ".wal"):
                yield Path(environment.warehouse + ending)
            releases = ReleaseFolder(environment.warehouse, workspace.engine).folder
            yield releases
            yield Path(f"{releases}.lock")
            yield folder_of(environment.warehouse)


def strays(workspace: Workspace) -> Iterator[Path]:
    """Yield what a crash may leave beside the staging warehouse: a file that was being made."""
    for ending in (".new", ".new.wal", ENDING, f"{ENDING}.lock", f"{ENDING}.wal"):
        path = Path(workspace.staging.warehouse + ending)
        if path.exists():
            yield path


def _in_lake(lake: DeltaLake, named: set[str]) -> Callable[[str], bool]:
    """Add all that the committed entries of a lake name, back to the first."""
    for name in lake.tables():
        # What readers of the log see is needed, whatever the entries say.
        named |= {f"{name}/{file.path}" for file in lake.table(name).live()}
        for entry in lake.table(name).entries():
            named.add(f"{name}/_manifests/{entry.number}.json")
            named |= {f"{name}/{file.path}" for file in entry.files}
            if entry.quarantine is not None:
                named.add(entry.quarantine)
            if entry.sketches is not None:
                named.add(entry.sketches)
            if entry.taken is not None:
                named.add(entry.taken.path)
            if entry.misfits is not None:
                named.add(entry.misfits.path)
    return lambda path: (
        path in named or any(known.fullmatch(path) for known in (_LOG, _RECORD, _CONDITION, _INGEST_CATALOG))
    )


def _in_production(workspace: Workspace) -> Callable[[str], bool]:
    known = releases(workspace)
    named = {"releases/current"} | {f"releases/{item.number}.json" for item in known}
    named |= {f"{table.table}/{file.path}" for item in known for table in item.tables for file in table.files}
    return _in_lake(workspace.production_lake(), named)


def _live_files(workspace: Workspace) -> set[str]:
    """Return the names of the files that serve live tables."""
    lake = workspace.production_lake()
    return {f"{name}.duckdb" for name in lake.tables() if is_live(lake.table(name))}


def releases(workspace: Workspace) -> list[Release]:
    """Return every release that production has a record of, read from production itself."""
    objects = workspace.production_lake().objects
    return [
        decode(Release, objects.get(item.path), where=item.path)
        for item in objects.list(indexing.RELEASES)
        if indexing.is_release(item.path)
    ]


def _in_datasets(objects: Objects) -> Callable[[str], bool]:
    named: set[str] = set()
    damaged: set[str] = set()
    for info in objects.list():
        version, _, name = info.path.rpartition("/")
        if name != FILE or version.count("/") != 1:
            continue
        named.add(info.path)
        try:
            named |= {f"{version}/{shard.path}" for shard in read_manifest(version, objects).shards}
        except DataError:
            # What a damaged manifest names is not known: nothing beside it is taken for left over.
            damaged.add(version + "/")
    return lambda path: path in named or path == CONDITION or path.startswith(tuple(damaged))
