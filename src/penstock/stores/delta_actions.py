"""The text of a commit of a Delta log: one JSON object a line, as the Delta protocol has them.

Whoever creates the object of the next version, and only if there is none of its name, has committed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from deltalake import Schema

from penstock.model.entries import DataFile
from penstock.values import dataclass

APPLICATION = "penstock"
"""The Delta application id under which a table's entries are numbered."""
PLAIN = frozenset({"appendOnly", "invariants", "timestampNtz"})
"""The features of a table that ask nothing of whoever adds files to it, or takes files out, than what is done here."""
_FORMER = frozenset({"appendOnly", "invariants"})
"""What a table whose writers are of version 2 may do without that its features are named."""
BOUNDED = "delta.dataSkippingStatsColumns"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_IN_PATHS = "/=:+,@~!$&'()*;"


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


def bounded(commit: DeltaCommit) -> tuple[str, ...]:
    """Return which columns of a new table always have bounds: its whole numbers, where its first files have theirs."""
    whole = ("byte", "short", "integer", "long")
    named = (field.name for field in commit.schema.fields if getattr(field.type, "type", None) in whole)
    return tuple(
        name
        for name in named
        if _NAME.fullmatch(name)
        and name not in commit.partition_by
        and all(name in file.statistics for file in commit.added if file.rows)
    )


def text(commit: DeltaCommit, operation: str, bounds: Sequence[str], more: Iterable[dict[str, Any]] = ()) -> bytes:
    """Return a commit that leaves the schema as it is, or as ``more`` says.

    Args:
        commit: The commit.
        operation: What it is called in the table's history.
        bounds: The columns that the table says have bounds.
        more: Actions about the table itself.
    """
    at, changed = int(commit.at.timestamp() * 1000), not commit.same_rows
    actions: list[dict[str, Any]] = [
        {"commitInfo": {"timestamp": at, "operation": operation, "penstock.entry": str(commit.number)}},
        *more,
        *(_removed(file, at, changed) for file in commit.removed),
        *(_added(file, at, changed, present(bounds, commit.schema)) for file in commit.added),
        {"txn": {"appId": APPLICATION, "version": commit.number, "lastUpdated": at}},
    ]
    return ("\n".join(json.dumps(action, separators=(",", ":")) for action in actions) + "\n").encode()


def present(bounds: Sequence[str], schema: Schema) -> tuple[str, ...]:
    """Return the columns of a schema that are to have bounds."""
    names = {field.name for field in schema.fields}
    return tuple(name for name in bounds if name in names)


def statistics(file: DataFile, bounds: Sequence[str]) -> str:
    """Return the statistics of a file as the log has them.

    deltalake (1.6.6) reads a bound that is missing as null where the column is one that the table says has bounds, and
    passes over the file: a filter then loses rows, silently. So a table says of which columns that is (its property
    ``delta.dataSkippingStatsColumns``), and a file in which one of them lacks its bounds has none at all.

    Args:
        file: The file.
        bounds: The columns that the table says have bounds; empty: it says so of all, or of none.
    """
    stats: dict[str, Any] = {"numRecords": file.rows}
    if not bounds or any(name not in file.statistics for name in bounds):
        return json.dumps(stats, separators=(",", ":"))
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
    return json.dumps(stats, separators=(",", ":"))


def upgrade(protocol: Any, schema: str) -> list[dict[str, Any]]:
    """Return the change of protocol that a schema asks for: moments without a zone are a feature of their own."""
    feature = "timestampNtz"
    if '"timestamp_ntz"' not in schema or feature in (protocol.reader_features or ()):
        return []
    # What a table of an old version may do has to be named once features are.
    former = protocol.writer_features or (_FORMER if protocol.min_writer_version >= 2 else ())
    features = {
        "readerFeatures": sorted({*(protocol.reader_features or ()), feature}),
        "writerFeatures": sorted({*former, feature}),
    }
    return [{"protocol": {"minReaderVersion": 3, "minWriterVersion": 7} | features}]


def creation(commit: DeltaCommit, configuration: Mapping[str, str | None]) -> list[dict[str, Any]]:
    """Return the actions by which the first commit makes its table, as deltalake would write them."""
    schema = commit.schema.to_json()
    protocol: dict[str, Any] = {"minReaderVersion": 1, "minWriterVersion": 2}
    if '"timestamp_ntz"' in schema:
        features = {"readerFeatures": ["timestampNtz"], "writerFeatures": sorted(_FORMER | {"timestampNtz"})}
        protocol = {"minReaderVersion": 3, "minWriterVersion": 7} | features
    made = {
        "id": str(uuid4()),
        "name": None,
        "description": None,
        "format": {"provider": "parquet", "options": {}},
        "schemaString": schema,
        "partitionColumns": list(commit.partition_by),
        "createdTime": int(commit.at.timestamp() * 1000),
        "configuration": dict(configuration),
    }
    return [{"protocol": protocol}, {"metaData": made}]


def distinct(schema: Schema) -> bool:
    """Say whether a schema has columns, and names that differ by more than case, without which no table is made."""
    names = {field.name.lower() for field in schema.fields}
    return len(names) == len(schema.fields) > 0


def metadata(made: Any, schema: str) -> dict[str, Any]:
    """Return the action that gives a table another schema and leaves all else of it as it was."""
    return {
        "metaData": {
            "id": str(made.id),
            "name": made.name,
            "description": made.description,
            "format": {"provider": "parquet", "options": {}},
            "schemaString": schema,
            "partitionColumns": list(made.partition_columns),
            "createdTime": made.created_time,
            "configuration": dict(made.configuration),
        }
    }


def _removed(file: DataFile, at: int, changed: bool) -> dict[str, Any]:
    taken = {"deletionTimestamp": at, "extendedFileMetadata": True}
    return {"remove": _place(file, changed) | taken}


def _added(file: DataFile, at: int, changed: bool, bounds: Sequence[str]) -> dict[str, Any]:
    return {"add": _place(file, changed) | {"modificationTime": at, "stats": statistics(file, bounds)}}


def _place(file: DataFile, changed: bool) -> dict[str, Any]:
    path = quote(file.path, safe=_IN_PATHS)
    return {"path": path, "partitionValues": dict(file.partition), "size": file.bytes, "dataChange": changed}
