"""The doctor: brings half-done work to its end, rebuilds the catalog, lists and removes what nothing names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from penstock.model.answers import DoctorReport
from penstock.model.codec import decode
from penstock.model.releases import Release
from penstock.orchestrate import indexing, releasing
from penstock.orchestrate.workspace import Workspace, folder_exists
from penstock.stores.lake import DeltaLake

_KEPT_FOLDERS = ("_delta_log/", "_decisions/", "_runs/", "_candidates/", "_catalog.db")


def rebuild(workspace: Workspace) -> DoctorReport:
    """Make the catalog anew from the lakes."""
    return DoctorReport(indexed=indexing.rebuild(workspace))


def examine(workspace: Workspace, *, clean: bool) -> DoctorReport:
    """Finish a release that a crash left half-way, then list what nothing names; ``clean`` removes it.

    The walk looks at every file of the disk itself, not through the stores, so that it also sees what they hide.
    """
    finished = releasing.finish(workspace)
    checked, orphans = 0, []
    for root, reachable in _roots(workspace):
        for path, size in _walk(root):
            checked += 1
            relative = path.relative_to(root).as_posix()
            if relative not in reachable and not _is_kept(relative):
                orphans.append((str(path), size))
    removed = 0
    if clean:
        for name, _ in orphans:
            Path(name).unlink(missing_ok=True)
            removed += 1
    return DoctorReport(checked=checked, orphans=tuple(orphans), removed=removed, finished=finished)


def _roots(workspace: Workspace) -> Iterator[tuple[Path, set[str]]]:
    if folder_exists(workspace.staging.lake):
        yield Path(workspace.staging.lake), _named_by_lake(workspace.lake)
    production = workspace.production
    if production is None:
        return
    if folder_exists(production.lake):
        lake = workspace.production_lake()
        releases = _releases(workspace)
        named = _named_by_lake(lake) | {"releases/current"} | {f"releases/{item.number}.json" for item in releases}
        for item in releases:
            named |= {f"{table.table}/{file.path}" for table in item.tables for file in table.files}
        yield Path(production.lake), named
        folder = Path(production.warehouse).with_suffix(".releases")
        if folder.is_dir():
            yield folder, {item.warehouse for item in releases}
    if folder_exists(workspace.datasets):
        yield Path(workspace.datasets), _named_by_datasets(Path(workspace.datasets))


def _named_by_lake(lake: DeltaLake) -> set[str]:
    """Return every path that a committed entry names."""
    named: set[str] = set()
    for name in lake.tables():
        for entry in lake.table(name).entries():
            named.add(f"{name}/_manifests/{entry.number}.json")
            named |= {f"{name}/{file.path}" for file in entry.files}
            if entry.quarantine is not None:
                named.add(entry.quarantine)
    return named


def _releases(workspace: Workspace) -> list[Release]:
    objects = workspace.production_lake().objects
    return [
        decode(Release, objects.get(item.path), where=item.path)
        for item in objects.list(indexing.RELEASES)
        if indexing.is_release(item.path)
    ]


def _named_by_datasets(root: Path) -> set[str]:
    from penstock.dataset.manifest import read_manifest

    named: set[str] = set()
    for manifest in root.glob("*/*/manifest.json"):
        folder = manifest.parent.relative_to(root).as_posix()
        named.add(f"{folder}/manifest.json")
        named |= {f"{folder}/{shard.path}" for shard in read_manifest(manifest.parent).shards}
    return named


def _is_kept(relative: str) -> bool:
    return any(relative.startswith(folder) or f"/{folder}" in relative for folder in _KEPT_FOLDERS)


def _walk(root: Path) -> Iterator[tuple[Path, int]]:
    for folder, _, files in os.walk(root):
        for name in sorted(files):
            path = Path(folder) / name
            try:
                yield path, path.stat().st_size
            except FileNotFoundError:
                continue
