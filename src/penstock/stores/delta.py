"""The Delta log of one table: one handle, read on from where it stood, and commits that only pass on what was read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Any

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Field, Schema, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction, create_table_with_add_actions

from penstock.errors import ConflictError, DataError, PenstockError
from penstock.model.entries import DataFile
from penstock.stores.objects import file_error
from penstock.stores.port import Objects

APPLICATION = "penstock"
"""The Delta application id under which a table's entries are numbered."""
LOG = "_delta_log"
_FILE = ("path", "size_bytes", "num_records")
_RETRIES = 0
"""How often delta-rs may commit again upon a later version by itself: never. (Tried with 1.6.6: of two processes that
make one table at once, both succeed then, and the second hides all that the first has committed.)"""
_CHECKPOINT = 10
"""Commits after which a checkpoint is worth its bytes."""
_STORE = re.compile(r"Generic (S3|GCS|MicrosoftAzure) error|ObjectStore")
_TRUSTED = 60.0
"""Seconds for which the absence of the next log file says that nothing was committed."""
_COMMIT = re.compile(r"\d{20}\.json")
_TRANSACTION = b'{"txn"'


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaCommit:
    """One commit of the log.

    Attributes:
        number: The entry's number, which becomes the application's transaction.
        at: The entry's moment.
        added: Files that come in.
        removed: Files that go out.
        schema: The schema afterwards.
        partition_by: The partition columns.
        overwrite: Replace the schema and take every file out.
        same_rows: The files that come in hold the rows of those that go out, which an append-only table permits.
    """

    number: int
    at: datetime
    added: Sequence[DataFile]
    removed: Sequence[DataFile]
    schema: Schema
    partition_by: Sequence[str]
    overwrite: bool = False
    same_rows: bool = False


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
        self._handle: DeltaTable | None = None
        self._number = 0
        self._read_at = 0.0

    def refresh(self) -> None:
        """Read on in the log; quiet if there is no table yet."""
        if self._handle is not None and not self._moved(self._handle.version()):
            return
        with self._refusals():
            if self._handle is not None:
                self._handle.update_incremental()
            elif self._objects.holds(self._folder):
                try:
                    self._handle = DeltaTable(self._place, storage_options=self._options)
                except TableNotFoundError:
                    return
            if self._handle is not None:
                self._number = self._handle.transaction_version(APPLICATION) or 0
                self._read_at = monotonic()

    def newest(self) -> int:
        """Return the newest committed number; 0 for none.

        On a disk it stands in the last commit, which is found without reading the table's state: of a thousand tables
        in which nothing happened, that takes seconds.
        """
        found = None if self._handle is not None or self.remote else self._last()
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
        if self._options is None and not self._objects.exists(self._file(version)):
            # The table was deleted, or deleted and made anew.
            self._handle, self._number = None, 0
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
        return -1 if self._handle is None else self._handle.version()

    @property
    def schema(self) -> Schema | None:
        """The schema at the version read; None if there is no table."""
        return None if self._handle is None else self._handle.schema()

    @property
    def partition_by(self) -> tuple[str, ...]:
        """The partition columns; empty if there is no table."""
        return () if self._handle is None else tuple(self._handle.metadata().partition_columns)

    def files(self) -> tuple[DataFile, ...]:
        """Return the live files at the version read, sorted by path."""
        if self._handle is None:
            return ()
        with self._refusals():
            actions = pa.RecordBatchReader.from_stream(self._handle.get_add_actions(flatten=True)).read_all()
            wanted = [name for name in actions.column_names if name in _FILE or name.startswith("partition.")]
            rows = actions.select(wanted).to_pylist()
        found = (
            DataFile(
                path=row["path"],
                rows=row.get("num_records") or 0,
                bytes=row["size_bytes"],
                partition={
                    name.removeprefix("partition."): value
                    for name, value in row.items()
                    if name.startswith("partition.")
                },
            )
            for row in rows
        )
        return tuple(sorted(found, key=lambda file: file.path))

    def create(self, commit: DeltaCommit, configuration: dict[str, str | None]) -> None:
        """Make the table together with its first commit, in one log entry; raises ConflictError if there is one."""
        with self._refusals(creating=True):
            create_table_with_add_actions(
                self._place,
                commit.schema,
                [_add(file, commit.at, True) for file in commit.added],
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
        changed = not commit.same_rows
        actions: list[AddAction | RemoveAction] = [_add(file, commit.at, changed) for file in commit.added]
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
        with self._refusals():
            self._handle.alter.add_columns(
                list(fields), commit_properties=CommitProperties(max_commit_retries=_RETRIES)
            )
        self.refresh()

    def tidy(self) -> int:
        """Write a checkpoint, then remove the log files older than the log's retention that no reader needs."""
        self.refresh()
        if self._handle is None:
            return 0
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

    def retyping(self, commit: DeltaCommit) -> tuple[str, bytes]:
        """Return path, below the table's folder, and text of the log entry by which columns change their types.

        The files that come in hold the rows of those that go out. delta-rs has no call that changes a schema and keeps
        an append-only table; whoever creates this object, and only if there is none of its name, has committed.
        """
        if self._handle is None:
            raise ConflictError(f"The Delta table {self._table} was never opened")
        made = self._handle.metadata()
        at = int(commit.at.timestamp() * 1000)
        actions: list[dict[str, Any]] = [
            {"commitInfo": {"timestamp": at, "operation": "RETYPE", "penstock.entry": str(commit.number)}},
            {
                "metaData": {
                    "id": str(made.id),
                    "name": made.name,
                    "description": made.description,
                    "format": {"provider": "parquet", "options": {}},
                    "schemaString": commit.schema.to_json(),
                    "partitionColumns": list(made.partition_columns),
                    "createdTime": made.created_time,
                    "configuration": dict(made.configuration),
                }
            },
        ]
        actions += _upgrade(self._handle.protocol(), commit.schema.to_json())
        for file in commit.removed:
            taken = {"path": file.path, "dataChange": False, "deletionTimestamp": at, "extendedFileMetadata": True}
            actions.append({"remove": taken | {"partitionValues": dict(file.partition), "size": file.bytes}})
        for file in commit.added:
            given = {"path": file.path, "dataChange": False, "modificationTime": at, "size": file.bytes}
            stats = json.dumps(_statistics(file))
            actions.append({"add": given | {"partitionValues": dict(file.partition), "stats": stats}})
        actions.append({"txn": {"appId": APPLICATION, "version": commit.number, "lastUpdated": at}})
        text = "\n".join(json.dumps(action) for action in actions) + "\n"
        return f"{LOG}/{self._handle.version() + 1:020}.json", text.encode()

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


def _add(file: DataFile, at: datetime, changed: bool) -> AddAction:
    moment = int(at.timestamp() * 1000)
    return AddAction(file.path, file.bytes, dict(file.partition), moment, changed, json.dumps(_statistics(file)))


def _remove(file: DataFile, at: datetime, changed: bool) -> RemoveAction:
    return RemoveAction(file.path, changed, int(at.timestamp() * 1000), file.bytes, dict(file.partition))


def _statistics(file: DataFile) -> dict[str, Any]:
    stats: dict[str, Any] = {"numRecords": file.rows}
    # Readers take a count of nulls without bounds for bounds that no value meets, and would skip the file.
    whole = {
        name: bounds
        for name, bounds in file.statistics.items()
        if bounds[2] == file.rows or (bounds[0] is not None and bounds[1] is not None)
    }
    if whole:
        stats["minValues"] = {name: low for name, (low, _, _) in whole.items() if low is not None}
        stats["maxValues"] = {name: high for name, (_, high, _) in whole.items() if high is not None}
        stats["nullCount"] = {name: nulls for name, (_, _, nulls) in whole.items()}
    return stats


def _upgrade(protocol: Any, schema: str) -> list[dict[str, Any]]:
    """Return the change of protocol that a schema asks for: moments without a zone are a feature of their own."""
    feature = "timestampNtz"
    if '"timestamp_ntz"' not in schema or feature in (protocol.reader_features or ()):
        return []
    # What a table of an old version may do has to be named once features are.
    former = protocol.writer_features or (("appendOnly", "invariants") if protocol.min_writer_version >= 2 else ())
    features = {
        "readerFeatures": sorted({*(protocol.reader_features or ()), feature}),
        "writerFeatures": sorted({*former, feature}),
    }
    return [{"protocol": {"minReaderVersion": 3, "minWriterVersion": 7} | features}]


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
