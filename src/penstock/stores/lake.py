"""The lake: Delta tables below one folder, each with one sequence of entries."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from threading import RLock

from deltalake import Field, Schema
from deltalake.schema import PrimitiveType

from penstock.errors import ConflictError, DataError, NotFoundError, PenstockError, StaleWriterError, TransientError
from penstock.model.entries import Column, DataFile, Entry, EntryKind
from penstock.names import LOAD, RAW_PREFIX
from penstock.queries.relations import FileSet, Moved
from penstock.queries.widening import UNTYPED
from penstock.stores.delta import DELETED, LOG, RETENTION, SHORT, DeltaLog
from penstock.stores.delta_actions import DeltaCommit
from penstock.stores.delta_types import Difference, delta_field, difference, retyped
from penstock.stores.manifests import Manifests
from penstock.stores.objects import LocalObjects
from penstock.stores.port import Objects
from penstock.stores.replaced import Replaced

_REPEATING = (EntryKind.VERDICT, EntryKind.DISCARD)
"""Kinds of entries that repeat the columns of their load, which may be an old one."""


class DeltaLake:
    """A root with lake tables and, beside them, create-only objects. Tables may be used from different threads.

    Args:
        root: Its objects, or its folder; a folder is made at the first write.
    """

    def __init__(self, root: str | os.PathLike[str] | Objects) -> None:
        self.objects: Objects = LocalObjects(root) if isinstance(root, str | os.PathLike) else root
        self._tables: dict[str, DeltaLakeTable] = {}
        self._lock = RLock()

    def table(self, name: str) -> DeltaLakeTable:
        """Return a table; it need not exist yet."""
        with self._lock:
            if name not in self._tables:
                self._tables[name] = DeltaLakeTable(self.objects, name)
            return self._tables[name]

    def tables(self) -> tuple[str, ...]:
        """Return the names of the tables that have at least one committed entry, sorted."""
        there = (name for name in self.objects.folders() if self.objects.holds(f"{name}/{LOG}"))
        return tuple(name for name in there if self.table(name).head())


class DeltaLakeTable:
    """One Delta table and its sequence of entries; safe for threads.

    Args:
        objects: The objects of the lake.
        name: The table.
    """

    def __init__(self, objects: Objects, name: str) -> None:
        self.name = name
        self.objects = objects
        self._manifests = Manifests(objects, name)
        self._log = DeltaLog(objects, name)
        self._lock = RLock()
        self._replaced = Replaced(self.entry)
        self._compacted: tuple[int, int | None] | None = None
        self._newest: dict[int, Entry] = {}

    def head(self) -> int:
        """Return the number of the newest committed entry; 0 for none. Reads the log afresh."""
        with self._lock:
            return self._log.newest()

    def entry(self, number: int) -> Entry:
        """Return one entry; raises NotFoundError."""
        return self._manifests.read(number)

    def entries(self, after: int = 0) -> Iterator[Entry]:
        """Yield the committed entries with a greater number than ``after``, oldest first."""
        numbers: list[int] = []
        found: dict[int, Entry] = {}
        head = self.head()
        number: int | None = head
        asked = head + 1
        while number and number > after:
            if number < asked:
                asked = max(after + 1, number - _AHEAD)
                self._manifests.expect(range(asked, number + 1))
            entry = self.entry(number)
            numbers.append(number)
            # Only the newest are kept: a long walk reads the older ones a second time instead of holding all.
            if len(found) < _KEPT:
                found[number] = entry
            number = entry.previous
        for number in reversed(numbers):
            yield found.pop(number) if number in found else self.entry(number)

    def next_number(self) -> int:
        """Return the number that a new entry would get: past the head and past any manifest left by a crash."""
        with self._lock:
            return self._manifests.highest(self.head()) + 1

    def commit(self, entry: Entry, partition_by: Sequence[str] = (), ready: Callable[[], None] | None = None) -> Entry:
        """Commit an entry whose data files are written: its manifest, then the log.

        Statistics of personal columns reach neither.

        Raises:
            ConflictError: The number is taken or the log moved; reload, renumber, try again.
            StaleWriterError: The head was committed under a greater fence.
            DataError: A column would change its type while files with the old one stay.
        """
        entry = _without_personal_statistics(entry)
        # Step 1: what the manifest will name is whole and durable first.
        self.objects.publish([f"{self.name}/{file.path}" for file in entry.files])
        with self._lock:
            self._log.refresh()
            head = self._log.number
            self._check_turn(entry, head)
            wanted = _fields(entry, self._log.partition_by or partition_by)
            schema = self._log.schema
            if schema is None:
                return self._create(entry, wanted, partition_by, ready)
            removed, overwrite, target = self._arrange(entry, schema, wanted)
            if self._log.number != head:
                raise ConflictError(f"Somebody else committed to the table {self.name} first")
            made = replace(entry, previous=head or None, compaction=self._compaction(head))
            self._manifests.write(made)
            commit = DeltaCommit(
                number=made.number,
                at=made.created_at,
                added=made.files,
                removed=removed,
                schema=target,
                partition_by=self._log.partition_by,
                overwrite=overwrite,
                same_rows=made.kind is EntryKind.COMPACTION,
            )
            retypes = made.kind is EntryKind.COMPACTION and bool(made.schema)
            self._pass(made, lambda: self._log.retype(commit) if retypes else self._log.append(commit), ready)
            self._remember(made)
            return made

    def columns(self) -> tuple[Column, ...]:
        """Return the columns as the newest load, version or change of types left them; empty for a new table."""
        number: int | None = self.head()
        while number:
            try:
                entry = self._known(number)
            except NotFoundError:
                break
            if entry.schema and entry.kind not in _REPEATING:
                return entry.schema
            number = entry.previous
        return ()

    def live(self) -> tuple[DataFile, ...]:
        """Return the files that a Delta reader sees, from the log, sorted by path."""
        with self._lock:
            self._log.refresh()
            return self._log.files()

    def uri(self, path: str) -> str:
        """Return what DuckDB writes as a file of this table; makes the folder. The commit makes it an object."""
        return self.objects.uri(f"{self.name}/{path}")

    def place(self, path: str) -> str:
        """Return where on this machine a file is, or was; makes no folder and brings nothing here."""
        return self.objects.place(f"{self.name}/{path}")

    def places(self, files: Sequence[DataFile]) -> tuple[str, ...]:
        """Return what DuckDB reads as files that are there, several brought to this machine at a time."""
        return self._bring([(file.path, file.bytes) for file in files])

    def _bring(self, files: Sequence[tuple[str, int]]) -> tuple[str, ...]:
        return self.objects.reading([f"{self.name}/{path}" for path, _ in files], [size for _, size in files])

    def reading(self, files: Sequence[DataFile], excluded: str | None = None) -> FileSet:
        """Return how files of committed entries are read, also where a compaction has replaced them."""
        into: dict[str, int] = {}
        wanted, moved = [], []
        with self._lock:
            newest = self._compaction(self.head())
            live: Mapping[str, DataFile] = {}
            if newest is not None:
                self._log.refresh()
                self._replaced.follow(newest)
                live = self._log.live()
                self._replaced.find([file.path for file in files], live)
            for file in files:
                now = self._replaced.at(file.path) if newest is not None else None
                if now is None:
                    wanted.append((file.path, file.bytes))
                else:
                    was = self.place(file.path)
                    moved.append(Moved(self.place(now.path), now.first, now.rows, now.load, was))
                    into[now.path] = live[now.path].bytes if now.path in live else 0
        uris = self._bring(wanted)
        self._bring(tuple(into.items()))
        return FileSet(uris, excluded, tuple(moved))

    def sizes(self) -> dict[str, int]:
        """Return every file below the table's folder, named by an entry or not, with its bytes."""
        folder = f"{self.name}/"
        return {info.path.removeprefix(folder): info.bytes for info in self.objects.list(folder)}

    def tidy(self) -> int:
        """Write a checkpoint and remove the log files that it and the log's retention (30 days) make needless.

        The number of the newest entry stands in the checkpoint; manifests are no part of the log.

        Returns:
            How many files were removed.
        """
        with self._lock:
            return self._log.tidy()

    def _known(self, number: int) -> Entry:
        """Return a committed entry; those that this process committed last are not read again."""
        found = self._newest.get(number)
        return found if found is not None else self.entry(number)

    def _remember(self, entry: Entry) -> None:
        self._newest[entry.number] = entry
        for number in sorted(self._newest)[:-_NEWEST]:
            del self._newest[number]

    def _compaction(self, head: int) -> int | None:
        """Return the number of the newest compaction up to the head; None if there is none."""
        if not head:
            return None
        if self._compacted is None or self._compacted[0] != head:
            entry = self._known(head)
            self._compacted = (head, entry.number if entry.kind is EntryKind.COMPACTION else entry.compaction)
        return self._compacted[1]

    def _check_turn(self, entry: Entry, head: int) -> None:
        if entry.table != self.name:
            raise DataError(f"An entry of the table {entry.table} cannot be committed to {self.name}")
        if entry.number <= head:
            raise ConflictError(
                f"The table {self.name} has come to entry {head} meanwhile",
                value=entry.number,
                valid=f"{head + 1} or more",
            )
        if head and self._known(head).fence > entry.fence:
            raise StaleWriterError(
                f"Another run has taken over the table {self.name} and committed entry {head}",
                remedy="This run stops; start a new one to go on from there",
            )
        if entry.after is not None:
            self._refuse_overtaken(entry.after, head)

    def _refuse_overtaken(self, after: int, head: int) -> None:
        """Refuse a load of a stream where another has come since its reading began, replays aside."""
        number: int | None = head
        while number and number > after:
            there = self._known(number)
            if there.kind is EntryKind.LOAD and there.taken is None:
                raise StaleWriterError(
                    f"Another process has landed load {number} of {self.name} since load {after}, from which this one "
                    "went on: it may hold the same messages",
                    remedy="This one stops; begin again, and it goes on from there",
                )
            number = there.previous

    def _create(
        self, entry: Entry, wanted: Sequence[Field], partition_by: Sequence[str], ready: Callable[[], None] | None
    ) -> Entry:
        made = replace(entry, previous=None)
        self._manifests.write(made)
        commit = DeltaCommit(
            number=made.number,
            at=made.created_at,
            added=made.files,
            removed=(),
            schema=Schema(list(wanted)),
            partition_by=partition_by,
        )
        settings: dict[str, str | None] = {"delta.appendOnly": "true"} if self.name.startswith(RAW_PREFIX) else {}
        if made.streamed:
            settings |= {RETENTION: SHORT, DELETED: SHORT}
        self._pass(made, lambda: self._log.create(commit, settings), ready)
        return made

    def _pass(self, entry: Entry, write: Callable[[], None], ready: Callable[[], None] | None) -> None:
        """Write the log; where that fails after the entry was committed all the same, it is committed."""
        try:
            if ready is not None:
                ready()
            write()
        except PenstockError as error:
            # The manifest of this number is ours alone, so the number in the log can only be ours, too.
            if not any(other.number == entry.number for other in self.entries(after=entry.number - 1)):
                # What may still be under way to a store must find its manifest.
                if not (self._log.remote and isinstance(error, TransientError)):
                    with suppress(PenstockError):
                        self.objects.remove(self._manifests.path(entry.number))
                raise

    def _arrange(
        self, entry: Entry, schema: Schema, wanted: Sequence[Field]
    ) -> tuple[tuple[DataFile, ...], bool, Schema]:
        """Return the files that go out, whether all do under a new schema, and the schema of the commit."""
        # Files are listed only where it matters which there are.
        live = self._log.live() if entry.removed else {}
        unknown = [path for path in entry.removed if path not in live]
        if unknown:
            raise ConflictError(f"A file that entry {entry.number} takes out of {self.name} is gone", value=unknown[0])
        removed = tuple(live[path] for path in entry.removed)
        if not entry.schema or entry.kind in _REPEATING:
            return removed, False, schema
        if entry.kind is EntryKind.COMPACTION:
            return removed, False, retyped(schema, wanted)
        change = difference(schema, wanted)
        emptied = len(removed) == len(live) if entry.removed else not (change.changed and self._log.live())
        if emptied and (change.changed or (entry.removed and (change.added or change.dropped))):
            return removed, True, Schema(list(wanted))
        self._refuse_changes(change)
        if change.added:
            self._log.add_columns(change.added)
        return removed, False, self._log.schema or schema

    def _refuse_changes(self, change: Difference) -> None:
        for column, old, new in change.changed:
            raise DataError(
                f"The column {column!r} of the table {self.name} would change its type from {old} to {new}, "
                "while files with the old type stay in the table",
                remedy="Cast it to the old type, or rebuild the whole table",
            )


_NEWEST = 4
"""Entries that are remembered: a micro-batch commits two, a load and its verdict."""
_KEPT = 1000
_AHEAD = 60
"""Manifests of a walk that are asked for together, where that takes less time."""


def _without_personal_statistics(entry: Entry) -> Entry:
    personal = {column.name for column in entry.schema if column.personal}
    if not personal:
        return entry
    files = tuple(
        replace(file, statistics={name: found for name, found in file.statistics.items() if name not in personal})
        for file in entry.files
    )
    return replace(entry, files=files)


def _fields(entry: Entry, partition_by: Sequence[str]) -> list[Field]:
    """Return the Delta fields of an entry's columns, then the load's number of a raw table, then the partitions."""
    if not entry.schema and not entry.table.startswith(RAW_PREFIX):
        return []
    # A column that held nothing but nulls has no type yet, so that its first value can give it one.
    typed = [column for column in entry.schema if column.type != UNTYPED and column.name not in partition_by]
    fields = [delta_field(column) for column in typed]
    if entry.table.startswith(RAW_PREFIX) and all(field.name != LOAD for field in fields):
        fields.append(Field(LOAD, PrimitiveType("long")))
    return fields + [Field(name, PrimitiveType("string")) for name in partition_by]
