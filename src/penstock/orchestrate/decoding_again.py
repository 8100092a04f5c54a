"""Messages that were no rows, decoded again: their registry knows the schema by now, or the decoder reads more.

What a stream set aside keeps its bytes, key, headers and place, so that nobody has to fill in its values. A message
that is a row now counts as the newest of its key in the load that set it aside, or, where that has a newer one, as
older than all of the load: so it overwrites just what it would have overwritten.
"""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from penstock import names, plugins
from penstock.catalog.port import LoadRecord
from penstock.errors import ConfigurationError, DataError
from penstock.extract.streams.batch import MicroBatch
from penstock.extract.streams.decoding import Preparing, decoder
from penstock.extract.streams.port import MESSAGES, Enveloping, Polled, Run
from penstock.model.specs import SourceSpec
from penstock.names import DETAIL, LINE
from penstock.orchestrate.streaming.scoring import scored
from penstock.orchestrate.workspace import Workspace
from penstock.queries import relations
from penstock.queries.text import file_literal, identifier, literal
from penstock.validate.quarantine import renamed
from penstock.validate.shelf import TOLD, Shelf, opened, type_of

_POSITION, _OVERTAKEN = "penstock_position", "penstock_overtaken"
_BEHIND = 2**40
"""A place behind all rows of a load."""


class Again:
    """The messages of a stream's quarantine, decoded again; ``close`` removes what was written on the way.

    Args:
        source: The stream.
        workspace: The places.

    Attributes:
        scored: Who scores their rows; see ``Work``.

    Raises:
        ConfigurationError: Its messages cannot be decoded again.
    """

    def __init__(self, source: SourceSpec, workspace: Workspace) -> None:
        stream = source.stream
        made = plugins.find("stream", source.kind)() if stream is not None else None
        if stream is None or not isinstance(made, Enveloping) or source.personal:
            raise ConfigurationError(
                "A line that was no row holds no values yet",
                remedy="Fill them in: penstock quarantine export TABLE --lines, edit the file, replay TABLE --from "
                "FILE; or set them from its text: --lines --set \"column = split_part(_line, ',', 1)\"",
            )
        self._source = source
        self._stream = stream
        self._workspace = workspace
        self._envelope: Mapping[str, str] = made.envelope
        table = workspace.lake.table(names.raw(source.table))
        own = [column for column in table.columns() if column.at_source not in self._envelope]
        registry = workspace.connections[stream.registry] if stream.registry else None
        self._decoder = decoder(stream.format, own, registry, stream.scoring)
        self.scored = scored(stream.scoring, workspace)
        self._folder = tempfile.TemporaryDirectory(prefix="penstock-again-")
        self._files: dict[int, str | None] = {}

    def close(self) -> None:
        """Remove the files, and close the connections to the registry."""
        if isinstance(self._decoder, Preparing):
            self._decoder.close()
        self._folder.cleanup()

    def edited(self, shelf: Shelf, record: LoadRecord, lines: str, connection: duckdb.DuckDBPyConnection) -> str:
        """Return the query of those lines that are rows now, with the columns that the table has.

        Raises:
            TransientError: The registry cannot be reached.
            DataError: The rows of a load cannot stand in one table.
        """
        file = self._file(shelf, record, connection)
        if file is None:
            return f"SELECT * FROM ({lines}) WHERE false"
        there = {str(row[0]) for row in connection.execute(f"DESCRIBE FROM {_scan(file)}").fetchall()}
        columns = "".join(
            f"{f'f.{identifier(column.at_source)}' if column.at_source in there else 'NULL'}::{type_of(column)} "
            f"AS {identifier(renamed(column.name))}, "
            for column in shelf.columns
        )
        told = ", ".join(f"q.{name}" for name in (*TOLD, LINE))
        return (
            f"SELECT {columns}{told}, q._load, q._position, "
            f"q.order_load - f.{_OVERTAKEN}::BIGINT AS order_load, "
            f"q.order_position + f.{_OVERTAKEN}::BIGINT * {_BEHIND} AS order_position "
            f"FROM ({lines}) q JOIN {_scan(file)} f ON f.{_POSITION} = q._position"
        )

    def landed(self, shelf: Shelf, query: str) -> str:
        """Return the query of the same rows for landing, with all columns that their messages have."""
        file = self._files[shelf.load]
        assert file is not None
        return (
            f"SELECT f.* EXCLUDE ({_POSITION}, {_OVERTAKEN}) FROM {_scan(file)} f "
            f"SEMI JOIN ({query}) q ON q._position = f.{_POSITION} ORDER BY f.{_POSITION}"
        )

    def _file(self, shelf: Shelf, record: LoadRecord, connection: duckdb.DuckDBPyConnection) -> str | None:
        """Return the file of the messages of a load that are rows now; None: none of them is."""
        if shelf.load not in self._files:
            self._files[shelf.load] = self._written(shelf, record, connection)
        return self._files[shelf.load]

    def _written(self, shelf: Shelf, record: LoadRecord, connection: duckdb.DuckDBPyConnection) -> str | None:
        query = f"SELECT _position, {LINE}, {DETAIL} FROM ({opened(shelf, connection)})"
        rows = self._rows(_runs(connection.execute(query).fetchall()))
        if rows is None:
            return None
        path = str(Path(self._folder.name) / f"{shelf.load}.parquet")
        connection.register("penstock_again", rows)
        try:
            connection.execute(
                f"COPY (SELECT m.*, {self._overtaken(record)} AS {_OVERTAKEN} FROM penstock_again m) "
                f"TO {literal(path)} (FORMAT parquet)"
            )
        finally:
            connection.unregister("penstock_again")
        return path

    def _rows(self, runs: Sequence[tuple[Run, Mapping[int, int]]]) -> pa.Table | None:
        """Return messages as rows, each with its position in the quarantine."""
        offset = self._named("offset")
        tables = []
        for run, positions in runs:
            if isinstance(self._decoder, Preparing):
                self._decoder.prepare(run.data.column("value"))
            batch = MicroBatch((Polled((run,)),), {}, self._decoder, self._envelope, "", key=self._stream.key)
            for each in batch.batches():
                rows = pa.Table.from_batches([each.data])
                found = [positions[at] for at in rows.column(offset).to_pylist()]
                tables.append(rows.append_column(_POSITION, pa.array(found, pa.int64())))
        tables = [rows for rows in tables if rows.num_rows]
        if not tables:
            return None
        try:
            return pa.concat_tables(tables, promote_options="permissive")
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            raise DataError(
                f"The messages that {self._source.table!r} set aside are rows of different kinds by now",
                remedy="Replay some of them at a time: --where \"_origin_detail ->> 'schema' = '7'\"",
            ) from None

    def _overtaken(self, record: LoadRecord) -> str:
        """Return the SQL of whether the load has a newer row of a message's key."""
        table = self._workspace.lake.table(names.raw(self._source.table))
        stored = {column.at_source: identifier(column.name) for column in table.columns()}
        held = [name for name, each in self._envelope.items() if each in ("topic", "partition")]
        same, offset = [*held, *self._source.key], self._named("offset")
        if not record.entry.files or not self._source.key or any(name not in stored for name in (*same, offset)):
            return "false"
        rows = relations.accepted([table.reading(record.entry.files)])
        alike = "".join(f"r.{stored[name]} IS NOT DISTINCT FROM m.{identifier(name)} AND " for name in same)
        return f"EXISTS (SELECT 1 FROM {rows} r WHERE {alike}r.{stored[offset]} > m.{identifier(offset)})"

    def _named(self, held: str) -> str:
        return next(name for name, each in self._envelope.items() if each == held)


def _scan(file: str) -> str:
    return f"read_parquet({file_literal(file)}, hive_partitioning=false)"


def _runs(lines: Sequence[tuple[int, str | None, str]]) -> list[tuple[Run, dict[int, int]]]:
    """Return what was set aside as messages again, partition by partition, each with offset to position."""
    found: dict[tuple[str, str], dict[int, tuple[int, dict[str, Any]]]] = {}
    for position, line, told in lines:
        detail = json.loads(told)
        value = base64.b64decode(detail["value_base64"]) if "value_base64" in detail else line and line.encode()
        # Of a message that was cut, or whose text may be personal, the bytes are not here.
        if value is None or "bytes" in detail or "offset" not in detail:
            continue
        place = (str(detail.get("topic", "")), str(detail.get("partition", "")))
        message = {
            "offset": int(detail["offset"]),
            "timestamp": datetime.fromisoformat(detail["timestamp"]) if "timestamp" in detail else None,
            "key": _bytes(detail.get("key")),
            "value": value,
            "headers": [{"name": name, "value": _bytes(each)} for name, each in detail.get("headers") or ()] or None,
        }
        found.setdefault(place, {})[int(detail["offset"])] = (position, message)
    runs = []
    for (topic, partition), messages in sorted(found.items()):
        offsets = sorted(messages)
        data = pa.RecordBatch.from_pylist([messages[at][1] for at in offsets], schema=MESSAGES)
        runs.append((Run(topic, partition, offsets[-1] + 1, data), {at: messages[at][0] for at in offsets}))
    return runs


def _bytes(shown: Any) -> bytes | None:
    """Return what a detail shows as text, or in base64, as the bytes that it was."""
    if isinstance(shown, dict):
        return base64.b64decode(shown["base64"])
    return None if shown is None else str(shown).encode()
