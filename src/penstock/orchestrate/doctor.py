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
from penstock.orchestrate import indexing, lagging, reachable, releasing
from penstock.orchestrate.context import PRODUCTION, dataset_lease, leased
from penstock.orchestrate.holding import stream_lease
from penstock.orchestrate.workspace import Workspace, now
from penstock.stores.port import Objects
from penstock.values import dataclass


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

    The walk looks at every file of the disk itself, not through the stores, so that it also sees what they hide. A
    bucket is listed.

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
            ended += sum(
                indexing.end_interrupted(workspace, spec.name, streams=streams)
                for spec in pipelines
                for streams in (False, True)
            )
        checked, orphans = _unnamed(workspace, spared)
        removed = _remove(workspace, orphans, spared) if clean else 0
    sentences = (f"{ended} interrupted {'run was' if ended == 1 else 'runs were'} marked so",) if ended else ()
    return DoctorReport(
        checked=checked,
        orphans=tuple((each.shown, each.bytes) for each in orphans),
        removed=removed,
        finished=(*finished, *sentences),
        unread=lagging.unread(workspace, pipelines),
    )


def _catalog_files(url: str) -> tuple[Path, ...]:
    if not url.startswith("sqlite:"):
        return ()
    path = sqlite_path(url)
    return tuple(path.with_name(path.name + ending) for ending in ("", "-wal", "-shm"))


def _refuse_mixed(workspace: Workspace) -> None:
    project = Path(workspace.root).resolve()
    for root in reachable.roots(workspace):
        folder = root.folder.resolve() if root.folder is not None else None
        if folder is None:
            continue
        if folder == project or folder in project.parents:
            raise ConfigurationError(
                "Files that nothing names cannot be told from the project's own, which lie in the same folder",
                value=str(folder),
                remedy="Give lakes and training sets folders of their own in penstock.toml",
            )


def _writers(pipelines: Sequence[PipelineSpec]) -> list[str]:
    """Return the names of all leases under which the project is written."""
    datasets = [dataset_lease(dataset.name) for spec in pipelines for dataset in spec.datasets]
    streams = [stream_lease(spec.name) for spec in pipelines if any(each.stream for each in spec.sources)]
    return [*dict.fromkeys([*(spec.name for spec in pipelines), *streams, PRODUCTION, *datasets])]


def _end_interrupted(workspace: Workspace, pipelines: Sequence[PipelineSpec]) -> int:
    """Mark the runs of dead processes; a pipeline that is running keeps its own."""
    ended = 0
    for spec in pipelines:
        for streams, lease in ((False, spec.name), (True, stream_lease(spec.name))):
            if indexing.running(workspace, spec.name, streams=streams):
                with suppress(LeaseHeldError), leased(workspace, lease):
                    ended += indexing.end_interrupted(workspace, spec.name, streams=streams)
    return ended


@dataclass(frozen=True, slots=True)
class _Orphan:
    """A file that nothing names: what people are shown of it, its bytes, and where it lies in a bucket."""

    shown: str
    bytes: int
    objects: Objects | None = None
    path: str = ""


def _unnamed(workspace: Workspace, spared: Collection[Path]) -> tuple[int, list[_Orphan]]:
    """Return how many files there are, and those that nothing names."""
    checked = 0
    orphans = []
    for root in reachable.roots(workspace):
        found = list(_listed(workspace, root) if root.folder is None else _walked(workspace, root.folder, spared))
        named = root.read()
        checked += len(found)
        orphans += [orphan for orphan, path in found if not named(path)]
    for path in reachable.strays(workspace):
        with suppress(FileNotFoundError):
            orphans.append(_Orphan(str(path), path.stat().st_size))
    return checked, orphans


def _listed(workspace: Workspace, root: reachable.Root) -> Iterator[tuple[_Orphan, str]]:
    """Yield the objects below a root in a bucket; other roots may lie below it."""
    others = tuple(
        f"{other.objects.root}/" for other in reachable.roots(workspace) if other.objects is not root.objects
    )
    for info in root.objects.list():
        url = root.objects.url(info.path)
        if not url.startswith(others):
            yield _Orphan(url, info.bytes, root.objects, info.path), info.path


def _walked(workspace: Workspace, folder: Path, spared: Collection[Path]) -> Iterator[tuple[_Orphan, str]]:
    for path, size in _files(folder, _others(workspace, folder, spared)):
        yield _Orphan(str(path), size), path.relative_to(folder).as_posix()


def _others(workspace: Workspace, root: Path, spared: Collection[Path]) -> frozenset[str]:
    """Return what must be left alone below a root: other roots, warehouses, the project's own files."""
    known = [*spared, *reachable.places(workspace)]
    return frozenset(os.path.abspath(path) for path in known if path != root)


def _files(root: Path, others: Collection[str]) -> Iterator[tuple[Path, int]]:
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if os.path.join(folder, name) not in others)
        for name in sorted(files):
            path = os.path.join(folder, name)
            if path in others:
                continue
            with suppress(FileNotFoundError):
                yield Path(path), os.lstat(path).st_size


def _remove(workspace: Workspace, orphans: Sequence[_Orphan], spared: Collection[Path]) -> int:
    for orphan in orphans:
        if orphan.objects is None:
            Path(orphan.shown).unlink(missing_ok=True)
    for root in reachable.roots(workspace):
        root.objects.discard([orphan.path for orphan in orphans if orphan.objects is root.objects])
        if root.folder is None:
            continue
        others = _others(workspace, root.folder, spared)
        for folder, _, _ in os.walk(root.folder, topdown=False):
            if folder != str(root.folder) and not any(
                folder == each or folder.startswith(each + os.sep) for each in others
            ):
                # Only an empty folder can be removed so; the others refuse.
                with suppress(OSError):
                    os.rmdir(folder)
    return len(orphans)
