"""Compaction: the rows of many small files of the raw zone are written into few large ones, and nothing else changes.

Step by step: (1) the files of a closed window are written together, (2) the entry's manifest says which they replace
and where each of their rows stands now, (3) one Delta commit without a change of data takes them out and the new ones
in. A crash before (3) leaves files and a manifest that nothing names; after it all is done. The old files stay on the
disk for readers that are at work, until vacuum.
"""

from __future__ import annotations

import random
import re
import secrets
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from penstock import names
from penstock.errors import ConflictError, StaleWriterError
from penstock.model.entries import Column, DataFile, Entry, EntryKind, Slice
from penstock.model.events import Advance
from penstock.names import PARTITION
from penstock.stores.parquet import discard
from penstock.stores.port import Engine, LakeTable
from penstock.stores.rewriting import Source, Target, rewrite
from penstock.values import dataclass

_FIRST = re.compile(r"/compacted-(\d+)-\d+-[0-9a-f]+\.parquet$")
_LOAD = re.compile(r"/part-\d+-(\d+)-[0-9a-f]+\.parquet$")
"""As ``_path`` and landing name files."""
WINDOWS = {"hour": timedelta(hours=1), "day": timedelta(days=1)}
TARGET = 256 * 2**20
"""Bytes that a new file has about, before compression gains by its size."""
_MOST_FILES = 1000
"""Files that one new file replaces at most; their footers are held at once."""
_MOST_REPLACED = 2000
"""Files after which a commit is made: what a crash costs, and the size of a manifest."""
_TRIES = 200
"""How often a commit is tried while others commit to the same table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compacting:
    """What is to be compacted.

    Attributes:
        run: The run, or what else stands in the entry.
        now: The moment, UTC; windows that end later are open.
        sources: All that is known of the table's files: of loads and of former compactions.
        columns: The table's present columns.
        window: ``hour`` or ``day``: files of one window come together, and it becomes their partition.
        target: Bytes of a new file; files of at least half of it stay as they are.
        open: Compact open windows as well; what comes later into them is written together with that once more.
        fence: The fencing token of the lease it is done under. None takes that of the table's newest entry: a
            compaction changes no row, so it may go on beside the runs that land.
    """

    run: str
    now: datetime
    sources: Sequence[Source]
    columns: tuple[Column, ...]
    window: str = "day"
    target: int = TARGET
    open: bool = False
    fence: int | None = None


@dataclass(frozen=True, slots=True)
class Compacted:
    """What was done: the entries, the files replaced and written with their bytes, and the rows moved."""

    entries: tuple[Entry, ...] = ()
    files_before: int = 0
    files_after: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    rows: int = 0


@dataclass(frozen=True, slots=True)
class _Group:
    """Files that become one."""

    window: datetime
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class _Written:
    """A new file that no entry names yet."""

    group: _Group
    file: DataFile
    slices: tuple[Slice, ...]


def compact(spec: Compacting, table: LakeTable, engine: Engine, advance: Advance) -> Compacted:
    """Write small files of closed windows together.

    Others may land to the table meanwhile, and compact it: where another was first, its work stands.

    Args:
        spec: What.
        table: A table of the raw zone.
        engine: DuckDB; memory is bounded by its limit, whatever the number of files.
        advance: Told of the rows and bytes written.

    Raises:
        DataError: A file cannot be read.
        TransientError: The disk is full.
        StaleWriterError: A successor has committed under a greater fence.
        ConflictError: Others committed to the table without a pause.
    """
    entries: list[Entry] = []
    waiting: list[_Written] = []
    try:
        with engine.session() as connection:
            for group in _groups(spec, table):
                target = Target(_path(group), (PARTITION, names.moment(group.window)))
                waiting.append(_Written(group, *rewrite(connection, table, group.sources, spec.columns, target)))
                advance(waiting[-1].file.rows, waiting[-1].file.bytes)
                if sum(len(each.slices) for each in waiting) >= _MOST_REPLACED:
                    _settle(spec, table, waiting, entries)
        _settle(spec, table, waiting, entries)
    finally:
        for each in waiting:
            discard(table.place(each.file.path))
    removed = {source.file.path: source.file.bytes for source in spec.sources}
    return Compacted(
        entries=tuple(entries),
        files_before=sum(len(entry.removed) for entry in entries),
        files_after=sum(len(entry.files) for entry in entries),
        bytes_before=sum(removed[path] for entry in entries for path in entry.removed),
        bytes_after=sum(file.bytes for entry in entries for file in entry.files),
        rows=sum(file.rows for entry in entries for file in entry.files),
    )


def compactable(spec: Compacting, table: LakeTable) -> int:
    """Return how many files a compaction would replace."""
    return sum(len(group.sources) for group in _groups(spec, table))


def window_of(at: datetime, window: str) -> datetime:
    """Return the beginning of the window that holds a moment."""
    whole = at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return whole if window == "hour" else whole.replace(hour=0)


def mergeable(spec: Compacting, table: LakeTable) -> dict[datetime, list[str]]:
    """Return the small live files that have others of their window beside them, by the windows that may be compacted.

    What is known of files (``spec.sources``) is not asked.
    """
    windows: dict[datetime, list[str]] = {}
    for file in table.live():
        at = _moment(file)
        if at is None or file.bytes * 2 >= spec.target:
            continue
        begin = window_of(at, spec.window)
        if spec.open or begin + WINDOWS[spec.window] <= spec.now:
            windows.setdefault(begin, []).append(file.path)
    return {begin: windows[begin] for begin in sorted(windows) if len(windows[begin]) > 1}


def _groups(spec: Compacting, table: LakeTable) -> Iterator[_Group]:
    known = {source.file.path: source for source in spec.sources}
    for begin, paths in mergeable(spec, table).items():
        sources = (known[path] for path in paths if path in known)
        yield from _cut(begin, sorted(sources, key=lambda source: source.order), spec.target)


def _cut(window: datetime, sources: Sequence[Source], target: int) -> Iterator[_Group]:
    """Yield the files of a window in groups of about the size wanted; one alone stays as it is."""
    group: list[Source] = []
    size = 0
    for source in sources:
        if group and (size + source.file.bytes > target or len(group) == _MOST_FILES):
            if len(group) > 1:
                yield _Group(window, tuple(group))
            group, size = [], 0
        group.append(source)
        size += source.file.bytes
    if len(group) > 1:
        yield _Group(window, tuple(group))


def _moment(file: DataFile) -> datetime | None:
    try:
        return datetime.strptime(file.partition[PARTITION], "%Y-%m-%dT%H-%M-%S.%fZ").replace(tzinfo=UTC)
    except (KeyError, TypeError, ValueError):
        return None


def _path(group: _Group) -> str:
    first, last = group.sources[0].order[0], group.sources[-1].order[0]
    window = names.moment(group.window)
    return f"{PARTITION}={window}/compacted-{first}-{last}-{secrets.token_hex(4)}.parquet"


def _settle(spec: Compacting, table: LakeTable, waiting: list[_Written], entries: list[Entry]) -> None:
    """Commit what is written; what another compaction has overtaken is deleted."""
    for _ in range(_TRIES):
        live = {file.path for file in table.live()}
        for each in [each for each in waiting if not live.issuperset(piece.file for piece in each.slices)]:
            discard(table.place(each.file.path))
            waiting.remove(each)
        if not waiting:
            return
        try:
            entries.append(table.commit(_entry(spec, table, waiting)))
        except StaleWriterError:
            if spec.fence is not None:
                raise
        except ConflictError:
            pass
        else:
            waiting.clear()
            return
        # Whoever lands must read on as well; a pause of chance keeps both from meeting again and again.
        time.sleep(random.uniform(0.0, 0.05))
    raise ConflictError(
        f"Others commit to the table {table.name} without a pause, so its small files could not be replaced",
        remedy="Run penstock compact again at a quieter time; nothing is lost",
    )


def _entry(spec: Compacting, table: LakeTable, waiting: Sequence[_Written]) -> Entry:
    number = table.next_number()
    fence = spec.fence
    if fence is None:
        head = table.head()
        fence = table.entry(head).fence if head else 0
    slices = tuple(
        Slice(file=piece.file, into=into, first=piece.first, rows=piece.rows, load=piece.load)
        for into, each in enumerate(waiting)
        for piece in each.slices
    )
    return Entry(
        table=table.name,
        number=number,
        previous=None,
        kind=EntryKind.COMPACTION,
        created_at=spec.now,
        run=spec.run,
        fence=fence,
        files=tuple(each.file for each in waiting),
        removed=tuple(piece.file for piece in slices),
        rows=sum(each.file.rows for each in waiting),
        slices=slices,
    )


def source_of(path: str, entry: Entry) -> Source | None:
    """Return what an entry says of a file of its own; None where that does not tell the file's place among others."""
    place = next((place for place, file in enumerate(entry.files) if file.path == path), None)
    if place is None:
        return None
    if entry.kind is EntryKind.LOAD:
        return Source(entry.files[place], entry.schema, entry.number, (entry.number, place))
    found = _FIRST.search(path)
    return Source(entry.files[place], (), 0, (int(found[1]), 0)) if found is not None else None


def load_of(path: str) -> int | None:
    """Return the number that the name of a file says its load has; None: it says none."""
    found = _LOAD.search(path)
    return int(found[1]) if found is not None else None


def sources_of(loads: Sequence[Entry], compactions: Sequence[Entry]) -> tuple[Source, ...]:
    """Return what is known of all files of a table, live or not.

    Args:
        loads: Its loads.
        compactions: Its compactions, oldest first.
    """
    found = [
        Source(file, load.schema, load.number, (load.number, place))
        for load in loads
        for place, file in enumerate(load.files)
    ]
    orders = {source.file.path: source.order for source in found}
    for entry in compactions:
        firsts: dict[int, tuple[int, int]] = {}
        for piece in entry.slices:
            firsts[piece.into] = min(orders[piece.file], firsts.get(piece.into, orders[piece.file]))
        for into, file in enumerate(entry.files):
            orders[file.path] = firsts[into]
            found.append(Source(file, (), 0, firsts[into]))
    return tuple(found)
