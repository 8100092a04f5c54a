"""The doctor: brings half-done work to its end, rebuilds the catalog, lists and removes what nothing names."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from penstock.catalog.opening import set_aside_if_damaged, sqlite_path
from penstock.errors import ConfigurationError, LeaseHeldError
from penstock.model.answers import DoctorReport
from penstock.model.specs import PipelineSpec
from penstock.orchestrate import indexing, reachable, releasing
from penstock.orchestrate.context import PRODUCTION, dataset_lease, leased
from penstock.orchestrate.workspace import Workspace, now


def set_aside(catalog: str) -> tuple[str, ...]:
    """Move a damaged catalog out of the way, before it is opened; returns the sentence that says where it is.

    Args:
        catalog: Its URL.
    """
    kept = set_aside_if_damaged(catalog, now())
    return (f"The damaged catalog is kept as {kept}.",) if kept is not None else ()


def rebuild(workspace: Workspace, finished: tuple[str, ...] = ()) -> DoctorReport:
    """Make the catalog anew from the lakes.

    Args:
        workspace: The places.
        finished: Sentences about what was done before.
    """
    return DoctorReport(indexed=indexing.rebuild(workspace), finished=finished)


def examine(
    workspace: Workspace, *, clean: bool, pipelines: Sequence[PipelineSpec] = (), catalog: str = ""
) -> DoctorReport:
    """Finish what a crash left half-way, then list what nothing names; ``clean`` removes it.

    The walk looks at every file of the disk itself, not through the stores, so that it also sees what they hide.

    Args:
        workspace: The places.
        clean: Remove what is listed, and folders that are empty then. Nobody may write meanwhile.
        pipelines: The project's pipelines.
        catalog: The catalog's URL; its file may lie below a root.

    Raises:
        ConfigurationError: ``clean`` is asked where the project's own files lie in a lake or among training sets.
        LeaseHeldError: ``clean`` is asked while a run, a promotion or a build of a training set is at work.
    """
    spared = _catalog_files(catalog)
    with ExitStack() as stack:
        if clean:
            _refuse_mixed(workspace)
            for name in _writers(pipelines):
                stack.enter_context(leased(workspace, name))
        finished = releasing.finish(workspace)
        ended = _end_interrupted(workspace, () if clean else pipelines)
        if clean:
            ended += sum(indexing.end_interrupted(workspace, spec.name) for spec in pipelines)
        checked, orphans = _unnamed(workspace, spared)
        removed = _remove(workspace, orphans, spared) if clean else 0
    sentences = (f"{ended} interrupted {'run was' if ended == 1 else 'runs were'} marked so",) if ended else ()
    return DoctorReport(
        checked=checked,
        orphans=tuple((str(path), size) for path, size in orphans),
        removed=removed,
        finished=(*finished, *sentences),
    )


def _catalog_files(url: str) -> tuple[Path, ...]:
    if not url.startswith("sqlite:"):
        return ()
    path = sqlite_path(url)
    return tuple(path.with_name(path.name + ending) for ending in ("", "-wal", "-shm"))


def _refuse_mixed(workspace: Workspace) -> None:
    project = Path(workspace.root).resolve()
    for root in reachable.roots(workspace):
        folder = root.folder.resolve()
        if folder == project or folder in project.parents:
            raise ConfigurationError(
                "Files that nothing names cannot be told from the project's own, which lie in the same folder",
                value=str(folder),
                remedy="Give lakes and training sets folders of their own in penstock.toml",
            )


def _writers(pipelines: Sequence[PipelineSpec]) -> list[str]:
    """Return the names of all leases under which the project is written."""
    datasets = [dataset_lease(dataset.name) for spec in pipelines for dataset in spec.datasets]
    return [*dict.fromkeys([*(spec.name for spec in pipelines), PRODUCTION, *datasets])]


def _end_interrupted(workspace: Workspace, pipelines: Sequence[PipelineSpec]) -> int:
    """Mark the runs of dead processes; a pipeline that is running keeps its own."""
    ended = 0
    for spec in pipelines:
        if indexing.running(workspace, spec.name):
            with suppress(LeaseHeldError), leased(workspace, spec.name):
                ended += indexing.end_interrupted(workspace, spec.name)
    return ended


def _unnamed(workspace: Workspace, spared: Collection[Path]) -> tuple[int, list[tuple[Path, int]]]:
    """Return how many files there are, and those that nothing names, with their bytes."""
    checked = 0
    orphans = []
    for root in reachable.roots(workspace):
        found = list(_files(root, _others(workspace, root, spared)))
        named = root.read()
        checked += len(found)
        orphans += [(path, size) for path, size in found if not named(path.relative_to(root.folder).as_posix())]
    for path in reachable.strays(workspace):
        with suppress(FileNotFoundError):
            orphans.append((path, path.stat().st_size))
    return checked, orphans


def _others(workspace: Workspace, root: reachable.Root, spared: Collection[Path]) -> frozenset[str]:
    """Return what must be left alone below a root: other roots, warehouses, the project's own files."""
    known = [*spared, *reachable.places(workspace)]
    return frozenset(os.path.abspath(path) for path in known if path != root.folder)


def _files(root: reachable.Root, others: Collection[str]) -> Iterator[tuple[Path, int]]:
    for folder, folders, files in os.walk(root.folder):
        folders[:] = sorted(name for name in folders if os.path.join(folder, name) not in others)
        for name in sorted(files):
            path = os.path.join(folder, name)
            if path in others:
                continue
            with suppress(FileNotFoundError):
                yield Path(path), os.lstat(path).st_size


def _remove(workspace: Workspace, orphans: Sequence[tuple[Path, int]], spared: Collection[Path]) -> int:
    for path, _ in orphans:
        path.unlink(missing_ok=True)
    for root in reachable.roots(workspace):
        others = _others(workspace, root, spared)
        for folder, _, _ in os.walk(root.folder, topdown=False):
            if folder != str(root.folder) and not any(
                folder == each or folder.startswith(each + os.sep) for each in others
            ):
                # Only an empty folder can be removed so; the others refuse.
                with suppress(OSError):
                    os.rmdir(folder)
    return len(orphans)
