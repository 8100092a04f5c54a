"""Vacuum: deletes data files that no longer count, and never one that something kept still needs.

A file goes when all of this holds: no table shows it; what took it out was committed before the horizon (and before
the oldest run at work began); and nothing kept names it: a kept release, the release that a training set pins, a
candidate that may still be promoted, the newest version of an interval. Of the raw zone only files whose rows a
compaction wrote elsewhere go, so that every load, whatever its verdict, keeps its rows. Each is deleted on its own:
a crash leaves the rest for the next vacuum.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import field
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path

from penstock.catalog.holders import is_dead
from penstock.dataset.manifest import Manifest, list_manifests
from penstock.errors import DataError, LeaseHeldError
from penstock.model.answers import VacuumReport
from penstock.model.entries import Entry, EntryKind
from penstock.model.interval import Interval
from penstock.model.receipts import State
from penstock.model.releases import TableVersion
from penstock.model.streams import COMMAND as STREAM
from penstock.names import RAW_PREFIX
from penstock.orchestrate import indexing, reachable, releasing
from penstock.orchestrate.context import CARE, PRODUCTION, leased
from penstock.orchestrate.holding import stream_lease
from penstock.orchestrate.workspace import Workspace, now
from penstock.promote.live import is_live
from penstock.stores.engine import OWNER, SHARED_MEMORY, SPILL
from penstock.stores.lake import DeltaLake, DeltaLakeTable
from penstock.stores.objects import LocalObjects
from penstock.stores.port import Objects
from penstock.values import dataclass

_OF_A_STREAM = timedelta(hours=1)
"""How long a micro-batch may need a file that it began to read."""
YOUNG = "it ceased to count within the retention, or while a run was at work"
INTERVAL = "it is the newest version of an interval"
CANDIDATE = "a candidate that may still be promoted names it"
RELEASE = "a kept release names it"
PINNED = "a training set pins its release"


_File = tuple[str, str]
"""Table and path of a data file."""


@dataclass(frozen=True, slots=True)
class _Gone:
    """A file that goes: where it lies, its path there, its bytes."""

    objects: Objects
    path: str
    bytes: int


@dataclass
class _Found:
    """What goes, by what people are shown of it; and why other files stay."""

    gone: dict[str, _Gone] = field(default_factory=dict)
    kept: Counter[str] = field(default_factory=Counter)

    def judge(self, table: DeltaLakeTable, sizes: Mapping[str, int], path: str, reason: str) -> None:
        """Take in a file that its table shows no more; an empty reason to keep it lets it go."""
        if path not in sizes:
            return
        if reason:
            self.kept[reason] += 1
        else:
            name = f"{table.name}/{path}"
            self.gone[table.objects.url(name)] = _Gone(table.objects, name, sizes[path])


def vacuum(workspace: Workspace, older_than: timedelta, *, dry_run: bool = False) -> VacuumReport:
    """Delete what no longer counts in the lakes of staging and production.

    Args:
        workspace: The places.
        older_than: The retention: what ceased to count later than so long ago stays, for readers that are at work.
        dry_run: Only say what would go.

    Raises:
        LeaseHeldError: A compaction, another vacuum, a promotion or a rollback is at work.
        DataError: A manifest, release or training set cannot be read: what it needs is not known, so nothing goes.
    """
    with leased(workspace, CARE), leased(workspace, PRODUCTION, committed=_fence(workspace)):
        releasing.finish(workspace)
        indexing.follow(workspace, workspace.lake.tables() if workspace.exists(workspace.staging.lake) else ())
        horizon = _horizon(workspace, older_than)
        found = _Found()
        _look(workspace, horizon, found)
        freed = _freed(found.gone.values())
        spills = tuple(_spills())
        logs = 0
        if not dry_run:
            _delete(found.gone.values())
            for folder in spills:
                shutil.rmtree(folder, ignore_errors=True)
            logs = sum(table.tidy() for table in _tables(workspace))
    removed = tuple(sorted((name, file.bytes) for name, file in found.gone.items()))
    return VacuumReport(
        before=horizon, dry_run=dry_run, removed=removed, freed=freed, kept=dict(found.kept), logs=logs, spills=spills
    )


def _fence(workspace: Workspace) -> int:
    serving = releasing.current(workspace) if workspace.production is not None else None
    return serving.fence if serving else 0


def _horizon(workspace: Workspace, older_than: timedelta) -> datetime:
    """Return the moment before which a file must have ceased to count: also before any run at work began."""
    horizon = now() - older_than
    for run in workspace.catalog.runs(limit=None):
        if run.state is State.RUNNING and run.started < horizon:
            try:
                with leased(workspace, stream_lease(run.pipeline) if run.command == STREAM else run.pipeline):
                    # Nobody holds the lease: the run died, and needs nothing.
                    pass
            except LeaseHeldError:
                # A stream needs no file for longer than one micro-batch takes, however long ago it began.
                horizon = min(horizon, max(run.started, now() - _OF_A_STREAM) if run.command == STREAM else run.started)
    return horizon


def _look(workspace: Workspace, horizon: datetime, found: _Found) -> None:
    if workspace.exists(workspace.staging.lake):
        needed = _of_candidates(workspace)
        for name in workspace.lake.tables():
            look = _raw if name.startswith(RAW_PREFIX) else _versions
            look(workspace.lake.table(name), horizon, needed, found)
    if workspace.production is not None and workspace.exists(workspace.production.lake):
        _production(workspace, horizon, found)


def _raw(table: DeltaLakeTable, horizon: datetime, _needed: Collection[_File], found: _Found) -> None:
    """Take the files whose rows a compaction has written elsewhere."""
    live, sizes = _live(table)
    for entry in table.entries():
        if entry.kind is EntryKind.COMPACTION:
            for path in entry.removed:
                if path not in live:
                    found.judge(table, sizes, path, YOUNG if entry.created_at >= horizon else "")


def _versions(table: DeltaLakeTable, horizon: datetime, needed: Collection[_File], found: _Found) -> None:
    """Take the files of versions that a later one has replaced."""
    live, sizes = _live(table)
    newest: dict[Interval | None, Entry] = {}
    taken_out: dict[str, datetime] = {}
    for entry in table.entries():
        if entry.kind is EntryKind.VERSION:
            newest[entry.interval] = entry
        taken_out.update(dict.fromkeys(entry.removed, entry.created_at))
    standing = {file.path for entry in newest.values() for file in entry.files}
    for path, at in taken_out.items():
        if path not in live:
            why = {YOUNG: at >= horizon, INTERVAL: path in standing, CANDIDATE: (table.name, path) in needed}
            found.judge(table, sizes, path, next((reason for reason, holds in why.items() if holds), ""))


def _production(workspace: Workspace, horizon: datetime, found: _Found) -> None:
    """Take the files of releases that are neither kept nor pinned by a training set, nor served until lately."""
    assert workspace.production is not None
    lake = workspace.production_lake()
    releases = {release.number: release for release in reachable.releases(workspace)}
    newest = max(releases, default=0)
    kept = {number for number in releases if number > newest - workspace.production.keep_releases}
    pinned = {manifest.release for manifest in _pins(workspace)} & releases.keys()
    # A release is served until its successor is made.
    late = {number for number in releases if number < newest and releases[number + 1].created_at >= horizon}
    why = {
        reason: _files(table for number in numbers for table in releases[number].tables)
        for reason, numbers in ((RELEASE, kept), (PINNED, pinned), (YOUNG, late))
    }
    every = sorted(_files(table for release in releases.values() for table in release.tables))
    for name, files in groupby(every, key=lambda file: file[0]):
        live, sizes = _live(lake.table(name))
        for file in files:
            if file[1] not in live:
                reason = next((reason for reason, named in why.items() if file in named), "")
                found.judge(lake.table(name), sizes, file[1], reason)
    _live_tables(lake, horizon, found)


def _live_tables(lake: DeltaLake, horizon: datetime, found: _Found) -> None:
    """Take the files of live tables whose rows stand in larger ones by now, or were withdrawn."""
    for name in lake.tables():
        table = lake.table(name)
        if is_live(table):
            shown, sizes = _live(table)
            for entry in table.entries():
                for path in entry.removed:
                    if path not in shown:
                        found.judge(table, sizes, path, YOUNG if entry.created_at >= horizon else "")


def _pins(workspace: Workspace) -> Iterable[Manifest]:
    return list_manifests(workspace.dataset_objects()) if workspace.exists(workspace.datasets) else ()


def _of_candidates(workspace: Workspace) -> frozenset[_File]:
    """Return the files of candidates that were compared with what production serves now."""
    indexing.follow_decided(workspace)
    serving = releasing.current(workspace) if workspace.production is not None else None
    against = serving.number if serving else 0
    open_ = (candidate for candidate in workspace.catalog.candidates() if candidate.against == against)
    return _files(table for candidate in open_ for table in candidate.tables)


def _files(tables: Iterable[TableVersion]) -> frozenset[_File]:
    return frozenset((table.table, file.path) for table in tables for file in table.files)


def _live(table: DeltaLakeTable) -> tuple[frozenset[str], dict[str, int]]:
    """Return the files that a table shows, and all that lie in its folder with their bytes.

    Raises:
        DataError: One of them is missing: what else is there may be its only copy.
    """
    live = frozenset(file.path for file in table.live())
    # Listed after the log was read: what is committed meanwhile is there.
    sizes = table.sizes()
    for path in sorted(live - sizes.keys()):
        raise DataError(
            f"A data file of {table.name} is missing, so nothing was removed",
            value=table.objects.url(f"{table.name}/{path}"),
            remedy="Bring it back from a backup; penstock doctor says more",
        )
    return live, sizes


def _freed(gone: Iterable[_Gone]) -> int:
    """Return the bytes of files of which every link goes: a file may be linked from staging and from production."""
    links: Counter[tuple[int, int]] = Counter()
    freed = 0
    for file in gone:
        if not isinstance(file.objects, LocalObjects):
            freed += file.bytes
            continue
        found = os.lstat(file.objects.place(file.path))
        links[found.st_dev, found.st_ino] += 1
        if links[found.st_dev, found.st_ino] == found.st_nlink:
            freed += found.st_size
    return freed


def _delete(gone: Iterable[_Gone]) -> None:
    roots: dict[str, tuple[Objects, list[str]]] = {}
    for file in gone:
        roots.setdefault(file.objects.root, (file.objects, []))[1].append(file.path)
    for objects, paths in roots.values():
        objects.discard(paths)


def _tables(workspace: Workspace) -> Iterator[DeltaLakeTable]:
    lakes: list[DeltaLake] = [workspace.lake] if workspace.exists(workspace.staging.lake) else []
    if workspace.production is not None and workspace.exists(workspace.production.lake):
        lakes.append(workspace.production_lake())
    for lake in lakes:
        yield from (lake.table(name) for name in lake.tables())


def _spills() -> Iterator[str]:
    """Yield the folders into which dead processes of this machine spilled."""
    places = (tempfile.gettempdir(), SHARED_MEMORY)
    for folder in sorted(folder for place in places for folder in Path(place).glob(f"{SPILL}*")):
        with suppress(OSError, UnicodeDecodeError):
            if is_dead((folder / OWNER).read_text(encoding="utf-8")):
                yield str(folder)
