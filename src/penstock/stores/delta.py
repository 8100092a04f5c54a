"""The Delta log of one table: one handle, read on from where it stood, and commits that only pass on what was read.

A commit that makes the table, only brings files in, or takes some out, is written as what it is: one object. (Measured
with deltalake 1.6.6: the same through it takes 15 to 65 ms, growing with the files of the table; the object alone 2
ms.) What changes a schema goes through deltalake, which reads the log as well, and writes its checkpoints.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from time import monotonic

from deltalake import CommitProperties, DeltaTable, Field, Schema, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction, create_table_with_add_actions

from penstock.errors import AlreadyExistsError, ConflictError, DataError, PenstockError
from penstock.model.entries import DataFile
from penstock.stores.delta_actions import (
    APPLICATION,
    BOUNDED,
    PLAIN,
    DeltaCommit,
    bounded,
    creation,
    distinct,
    metadata,
    present,
    statistics,
    text,
    upgrade,
)
from penstock.stores.delta_cleaning import LogFiles
from penstock.stores.objects import file_error
from penstock.stores.port import ObjectInfo, Objects

LOG = "_delta_log"
_FILE = ("path", "size_bytes", "num_records")
_RETRIES = 0
"""How often delta-rs may commit again upon a later version by itself: never. (Tried with 1.6.6: of two processes that
make one table at once, both succeed then, and the second hides all that the first has committed.)"""
SHORT, SHORT_SECONDS = "interval 1 hours", 3600.0
"""For which the log of a table is kept that gets a commit each second; the history of tables is in their manifests."""
RETENTION, DELETED = "delta.logRetentionDuration", "delta.deletedFileRetentionDuration"
"""Properties: for how long the log keeps commits, and for how long checkpoints name files that were taken out."""
_CHECKPOINT = 10
"""Commits after which a checkpoint is worth its bytes, if somebody tidies."""
_ALWAYS = 100
"""Commits after which a checkpoint is written, as other writers of Delta do."""
_SHARE, _MOST = 50, 1_000
"""The share of the log that may come after the newest checkpoint, and the most commits; each is read to open the table.

(Measured with 49,000 commits in an hour: 0.5 s for a checkpoint, which is 10 ms of each micro-batch if every hundredth
commit writes one; 1,000 commits are read in 0.2 s.)
"""
_STORE = re.compile(r"Generic (S3|GCS|MicrosoftAzure) error|ObjectStore")
_TRUSTED = 60.0
"""Seconds for which the absence of the next log file says that nothing was committed."""
_COMMIT = re.compile(r"\d{20}\.json")
_TRANSACTION = b'{"txn"'


class DeltaLog:
    """The Delta log of a table. Not safe for threads: its table holds a lock.

    Args:
        objects: The objects of the lake.
        table: The table.
    """

    def __init__(self, objects: Objects, table: str) -> None:
        self._objects = objects
        self._table = table
        self._place, self._options = objects.delta(table)
        self._opened: DeltaTable | None = None
        self._unread = False
        self._number = 0
        self._read_at = 0.0
        # What this process committed is known without reading it: the handle may lie behind the version.
        self._version = -1
        self._known: dict[str, DataFile] | None = None
        self._log = LogFiles(objects, self._folder)
        # Which object of the version's name it was: a table that is deleted and made anew has others.
        self._mark: ObjectInfo | None = None

    @property
    def _handle(self) -> DeltaTable | None:
        """The table as far as it was read; one that was made here is read once somebody asks for it."""
        if self._unread:
            self._read_on()
        return self._opened

    def refresh(self) -> None:
        """Read on in the log; quiet if there is no table yet."""
        if self._handle is not None and not self._moved(self._version):
            return
        self._read_on()

    def _catch_up(self, handle: DeltaTable) -> None:
        """Let the handle know what this process has committed; unless others have too, the files stay known."""
        if handle.version() != self._version:
            version, known = self._version, self._known
            self._read_on()
            self._known = known if self._version == version else None

    def _read_on(self) -> None:
        self._known, self._unread = None, False
        if self._opened is None:
            self._number, self._version = 0, -1
        with self._refusals():
            if self._opened is not None:
                self._opened.update_incremental()
            elif self._objects.holds(self._folder):
                try:
                    self._opened = DeltaTable(self._place, storage_options=self._options)
                except TableNotFoundError:
                    return
            if self._opened is not None:
                self._number = self._opened.transaction_version(APPLICATION) or 0
                self._version = self._opened.version()
                self._remember()

    def newest(self) -> int:
        """Return the newest committed number; 0 for none.

        On a disk it stands in the last commit, which is found without reading the table's state: of a thousand tables
        in which nothing happened, that takes seconds.
        """
        found = None if self._opened is not None or self.remote else self._last()
        if found is None:
            self.refresh()
            found = self._number
        return found

    def _last(self) -> int | None:
        """Return the number that the last commit carries; None if there is no log, or that is another's commit."""
        commits = [item.path for item in self._objects.list(self._folder) if _COMMIT.fullmatch(item.path[-25:])]
        if not commits:
            return None
        for line in self._objects.get(max(commits)).splitlines():
            if line.startswith(_TRANSACTION):
                with suppress(ValueError, LookupError, TypeError):
                    transaction = json.loads(line)["txn"]
                    if transaction["appId"] == APPLICATION:
                        return int(transaction["version"])
        return None

    def _moved(self, version: int) -> bool:
        """Say whether the log may have gone on since it was read; asks for two files of a disk, or one of a bucket."""
        there = self._objects.info(self._file(version)) if self._options is None else None
        if self._options is None and (there is None or there != self._mark):
            # The table was deleted, or deleted and made anew.
            self._opened, self._number, self._version, self._mark = None, 0, -1, None
            self._log = LogFiles(self._objects, self._folder)
            return True
        # After a long pause the next file may have come and been cleaned away again.
        return self._objects.exists(self._file(version + 1)) or monotonic() - self._read_at > _TRUSTED

    @property
    def _folder(self) -> str:
        return f"{self._table}/{LOG}/"

    def _file(self, version: int) -> str:
        return f"{self._folder}{version:020}.json"

    @property
    def remote(self) -> bool:
        """Whether the log lies in a bucket: a commit without an answer may then still come to be."""
        return self._options is not None

    @property
    def number(self) -> int:
        """The newest committed number at the version read; 0 for none."""
        return self._number

    @property
    def version(self) -> int:
        """The version read; -1 if there is no table."""
        return self._version

    @property
    def schema(self) -> Schema | None:
        """The schema at the version read; None if there is no table."""
        return None if self._handle is None else self._handle.schema()

    @property
    def partition_by(self) -> tuple[str, ...]:
        """The partition columns; empty if there is no table."""
        return () if self._handle is None else tuple(self._handle.metadata().partition_columns)

    @property
    def _bounds(self) -> tuple[str, ...]:
        """The columns that the table says have bounds in each file."""
        found = dict(self._handle.metadata().configuration).get(BOUNDED) if self._handle is not None else None
        return tuple(name for name in (found or "").split(",") if name)

    def files(self) -> tuple[DataFile, ...]:
        """Return the live files at the version read, sorted by path."""
        return tuple(sorted(self.live().values(), key=lambda file: file.path))

    def live(self) -> Mapping[str, DataFile]:
        """Return the live files at the version read, by their paths; it goes on with the log."""
        if self._handle is None:
            return {}
        if self._known is None:
            self._catch_up(self._handle)
            self._known = {file.path: file for file in self._listed(self._handle)}
        return self._known

    def _listed(self, handle: DeltaTable) -> Iterator[DataFile]:
        with self._refusals():
            actions = handle.get_add_actions(flatten=True)
            wanted = [name for name in actions.column_names if name in _FILE or name.startswith("partition.")]
            columns = [actions[name].to_pylist() for name in wanted]
        for values in zip(*columns, strict=True):
            row = dict(zip(wanted, values, strict=True))
            yield DataFile(
                path=row["path"],
                rows=row.get("num_records") or 0,
                bytes=row["size_bytes"],
                partition={
                    name.removeprefix("partition."): value
                    for name, value in row.items()
                    if name.startswith("partition.")
                },
            )

    def create(self, commit: DeltaCommit, configuration: dict[str, str | None]) -> None:
        """Make the table together with its first commit, in one log entry; raises ConflictError if there is one."""
        bounds = bounded(commit)
        if bounds:
            configuration = {**configuration, BOUNDED: ",".join(bounds)}
        if distinct(commit.schema):
            self._create(text(commit, "CREATE TABLE", bounds, creation(commit, configuration)), 0)
            self._version, self._number, self._unread = 0, commit.number, True
            return
        with self._refusals(creating=True):
            create_table_with_add_actions(
                self._place,
                commit.schema,
                [_add(file, commit.at, True, bounds) for file in commit.added],
                "error",
                list(commit.partition_by),
                configuration=configuration,
                storage_options=self._options,
                commit_properties=_properties(commit.number),
            )
        self._seal()

    def append(self, commit: DeltaCommit) -> None:
        """Commit upon the version read; raises ConflictError if the log has moved on since."""
        if self._handle is None:
            raise ConflictError(f"The Delta table {self._table} was never opened")
        if commit.overwrite or not self._plain(self._handle):
            self._through_deltalake(commit)
            return
        self._create(text(commit, "WRITE", self._bounds), self._version + 1)
        self._take_in(commit)
        if self._version % _ALWAYS == 0:
            # The commit stands; a checkpoint that fails is written by who comes next.
            with suppress(PenstockError):
                self._tidy_briefly(self._handle)

    def retype(self, commit: DeltaCommit) -> None:
        """Commit files in other types under the schema of the commit; raises ConflictError as ``append`` does.

        The files that come in hold the rows of those that go out. delta-rs has no call that changes a schema and keeps
        an append-only table.
        """
        if self._handle is None:
            raise ConflictError(f"The Delta table {self._table} was never opened")
        self._catch_up(self._handle)
        schema = commit.schema.to_json()
        table = [metadata(self._handle.metadata(), schema), *upgrade(self._handle.protocol(), schema)]
        self._create(text(commit, "RETYPE", self._bounds, table), self._version + 1)
        self._read_on()

    def _create(self, made: bytes, version: int) -> None:
        try:
            self._objects.create(self._file(version), made)
        except AlreadyExistsError as error:
            raise ConflictError(
                f"Somebody else committed to the Delta table {self._table} first", remedy="Read it afresh and try again"
            ) from error

    def _take_in(self, commit: DeltaCommit) -> None:
        """Know what was just committed, without reading it."""
        if self._known is not None:
            for file in commit.removed:
                self._known.pop(file.path, None)
            # Bounds are of use to readers of the log alone.
            self._known |= {file.path: replace(file, statistics={}) for file in commit.added}
        self._version += 1
        self._number = commit.number
        self._remember()

    def _remember(self) -> None:
        self._mark = self._objects.info(self._file(self._version)) if self._options is None else None
        self._read_at = monotonic()

    def _plain(self, handle: DeltaTable) -> bool:
        """Say whether nobody has given the table a feature that asks more of its writers."""
        protocol = handle.protocol()
        return {*(protocol.writer_features or ()), *(protocol.reader_features or ())} <= PLAIN

    def _through_deltalake(self, commit: DeltaCommit) -> None:
        assert self._handle is not None
        self._catch_up(self._handle)
        changed = not commit.same_rows
        bounds = present(self._bounds, commit.schema)
        actions: list[AddAction | RemoveAction] = [_add(file, commit.at, changed, bounds) for file in commit.added]
        if not commit.overwrite:
            actions += [_remove(file, commit.at, changed) for file in commit.removed]
        with self._refusals():
            self._handle.create_write_transaction(
                actions,
                "overwrite" if commit.overwrite else "append",
                commit.schema,
                list(commit.partition_by),
                commit_properties=_properties(commit.number),
            )
        self._seal()

    def add_columns(self, fields: Sequence[Field]) -> None:
        """Add columns to the schema, in a commit of their own that changes no row."""
        if self._handle is None:
            raise ConflictError(f"The Delta table {self._table} was never opened")
        self._catch_up(self._handle)
        with self._refusals():
            self._handle.alter.add_columns(
                list(fields), commit_properties=CommitProperties(max_commit_retries=_RETRIES)
            )
        self.refresh()

    def _tidy_briefly(self, handle: DeltaTable) -> None:
        """Write a checkpoint where it is time, at a cost that does not grow with the log of a table of a stream."""
        if self._version - self._log.checkpoint() < self._between():
            return
        self._catch_up(handle)
        version = handle.version()
        with self._refusals():
            handle.create_checkpoint()
            self._log.written(version)
            kept = dict(handle.metadata().configuration).get(RETENTION)
            if self.remote or kept != SHORT:
                handle.cleanup_metadata()
            else:
                self._log.clean(SHORT_SECONDS)

    def _between(self) -> int:
        """Return how many commits lie between two checkpoints: a long log costs a checkpoint more, and its readers."""
        return _ALWAYS if self.remote else max(_ALWAYS, min(_MOST, self._log.length(self._version) // _SHARE))

    def tidy(self) -> int:
        """Write a checkpoint, then remove the log files older than the log's retention that no reader needs."""
        self.refresh()
        if self._handle is None:
            return 0
        self._catch_up(self._handle)
        with self._refusals():
            before = self._files_of_log()
            if self._handle.version() - self._checkpoint() >= _CHECKPOINT:
                self._handle.create_checkpoint()
                before = self._files_of_log()
            self._handle.cleanup_metadata()
            return max(0, before - self._files_of_log())

    def _files_of_log(self) -> int:
        return sum(1 for _ in self._objects.list(self._folder))

    def _checkpoint(self) -> int:
        """Return the version of the newest checkpoint; -1 if there is none."""
        names = [info.path[len(self._folder) :] for info in self._objects.list(self._folder)]
        return max((int(name[:20]) for name in names if ".checkpoint" in name and name[:20].isdigit()), default=-1)

    def _seal(self) -> None:
        """Make the newest log entry durable; delta-rs leaves that to the operating system."""
        self.refresh()
        if self._handle is not None:
            self._objects.seal(self._file(self._handle.version()))

    def _store_refused(self, error: Exception) -> PenstockError:
        """Return the sentence for a store that did not do as asked; delta-rs quotes its whole answer."""
        from penstock.stores.buckets import refused

        return refused(error, self._place, written=True)

    @contextmanager
    def _refusals(self, *, creating: bool = False) -> Iterator[None]:
        try:
            yield
        except CommitFailedError as error:
            raise ConflictError(
                f"Somebody else committed to the Delta table {self._table} first", remedy="Read it afresh and try again"
            ) from error
        except OSError as error:
            if self._options is not None:
                raise self._store_refused(error) from None
            raise file_error(error, self._place, "read or written") from error
        except DeltaError as error:
            if creating and "already exists" in str(error):
                raise ConflictError(f"Somebody else made the Delta table {self._table} first") from error
            if self._options is not None and _STORE.search(str(error)):
                raise self._store_refused(error) from None
            raise DataError(
                f"The Delta log of {self._table} cannot be used: {_first_line(error)}", remedy="See penstock doctor"
            ) from error


def _properties(number: int) -> CommitProperties:
    return CommitProperties(
        custom_metadata={"penstock.entry": str(number)},
        app_transactions=[Transaction(APPLICATION, number)],
        max_commit_retries=_RETRIES,
    )


def _add(file: DataFile, at: datetime, changed: bool, bounds: Sequence[str]) -> AddAction:
    moment = int(at.timestamp() * 1000)
    return AddAction(file.path, file.bytes, dict(file.partition), moment, changed, statistics(file, bounds))


def _remove(file: DataFile, at: datetime, changed: bool) -> RemoveAction:
    return RemoveAction(file.path, changed, int(at.timestamp() * 1000), file.bytes, dict(file.partition))


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
