"""Avro object container files: each block becomes columns by Arrow, a batch at a time."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Callable, Iterator
from datetime import date, datetime, time
from decimal import Decimal
from importlib.util import find_spec
from itertools import islice
from struct import unpack
from typing import IO, Any, cast

import fastavro
import pyarrow as pa

from penstock.errors import DataError, MissingExtraError
from penstock.extract.files.formats.avro_types import Mapped, Types
from penstock.extract.files.formats.port import Asked
from penstock.schema import SOURCE_TYPE

_VALUE = "value"
_CODECS: dict[str, tuple[str, ...]] = {
    "null": (), "deflate": (), "bzip2": (), "xz": (), "snappy": ("cramjam",), "lz4": ("lz4",),
    "zstandard": ("backports.zstd", "compression.zstd"),
}  # fmt: skip
"""The codecs, and the modules of which one is needed."""
_HEADER = {
    "type": "record",
    "name": "header",
    "fields": [
        {"name": "magic", "type": {"type": "fixed", "name": "magic", "size": 4}},
        {"name": "meta", "type": {"type": "map", "values": "bytes"}},
        {"name": "sync", "type": {"type": "fixed", "name": "sync", "size": 16}},
    ],
}
_ONLY_JSON = "{} holds values that only JSON has a type for; it is read as JSON"
_MEMORY_PER_BYTE = 8
"""About how much more a record takes as Python's objects than as Avro's bytes."""


def read(asked: Asked) -> Iterator[pa.RecordBatch]:
    """Yield the records; one that is no record is a column ``value``.

    A file of another schema than its neighbours gives batches of another schema, which landing unites.

    Raises:
        DataError: It is no Avro file, or its codec is not installed.
    """
    with asked.stream() as file:
        header: Any = fastavro.schemaless_reader(file, _HEADER, None)
        if header["magic"] != b"Obj\x01":
            raise DataError(f"{asked.file.key} is no Avro file: it does not begin with Obj")
        _check_codec(header["meta"].get("avro.codec", b"null").decode("latin-1"), asked.file.key)
        names: dict[str, Any] = {}
        schema: Any = fastavro.parse_schema(json.loads(header["meta"]["avro.schema"]), named_schemas=names)
        top = schema if isinstance(schema, dict) else {}
        if top.get("type") not in ("record", "error"):
            schema = {"type": "record", "name": "penstock", "fields": [{"name": _VALUE, "type": schema}]}
        types = Types(names)
        mapped = types.map(schema, "")
        if not mapped.members:
            raise DataError(f"{asked.file.key} holds records without a field")
        asked.notes.extend(_ONLY_JSON.format(path) for path in types.json)
        yield batch([], mapped)
        for records in _records(_decoded(file, header, mapped), asked.batch_bytes):
            yield batch(records, mapped)


def _check_codec(codec: str, key: str) -> None:
    if codec not in _CODECS:
        raise DataError(f"{key} is packed by a codec that is not known", value=codec, valid=_CODECS)
    wanted = _CODECS[codec]
    if wanted and not any(find_spec(module.partition(".")[0]) and find_spec(module) for module in wanted):
        raise MissingExtraError(f"Reading {key}, which is packed by {codec}", "files")


def _decoded(file: IO[bytes], header: dict[str, Any], mapped: Mapped) -> Iterator[Any]:
    """Return the blocks of a file as if it had been written with the schema that Arrow's types are decoded by."""
    written = io.BytesIO()
    meta = {**header["meta"], "avro.schema": json.dumps(mapped.schema).encode()}
    fastavro.schemaless_writer(written, _HEADER, {**header, "meta": meta})
    return iter(fastavro.block_reader(cast("IO[bytes]", _Joined(written.getvalue(), file))))


class _Joined(io.RawIOBase):
    """A new header and the rest of a file, as one file that can only be read."""

    def __init__(self, start: bytes, rest: IO[bytes]) -> None:
        super().__init__()
        self._start = io.BytesIO(start)
        self._rest = rest

    def read(self, size: int = -1) -> bytes:
        found = self._start.read(size)
        if size < 0:
            return found + self._rest.read()
        return found if len(found) == size else found + self._rest.read(size - len(found))

    def tell(self) -> int:
        return self._start.tell()


def _records(blocks: Iterator[Any], batch_bytes: int) -> Iterator[list[dict[str, Any]]]:
    """Gather the records of blocks until they may hold ``batch_bytes``; a large block is cut."""
    held: list[dict[str, Any]] = []
    size = 0.0
    for block in blocks:
        each = block.bytes_.getbuffer().nbytes * _MEMORY_PER_BYTE / max(1, block.num_records)
        step = max(1, int(batch_bytes / max(1.0, each)))
        records = iter(block)
        while part := list(islice(records, step)):
            held += part
            size += each * len(part)
            if size >= batch_bytes:
                yield held
                held, size = [], 0.0
    if held:
        yield held


def batch(records: list[dict[str, Any]], mapped: Mapped) -> pa.RecordBatch:
    """Return decoded records as columns."""
    if mapped.converted:
        make = _maker(mapped)
        records = [make(record) for record in records]
    return typed(pa.RecordBatch.from_struct_array(pa.array(records, type=mapped.type)), mapped)


def typed(rows: pa.RecordBatch, mapped: Mapped) -> pa.RecordBatch:
    """Return columns with the types that Arrow has as extensions, and with what is told of their types."""
    columns, fields = [], []
    for column, (name, member) in zip(rows.columns, mapped.members, strict=True):
        told = {SOURCE_TYPE: member.told} if member.told else None
        made = _EXTENSIONS.get(member.kind)
        columns.append(column if made is None else pa.ExtensionArray.from_storage(made, column))
        fields.append(pa.field(name, columns[-1].type, metadata=told))
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields))


def container(schema: str, count: int, body: bytes) -> bytes:
    """Return records of a schema, one after the other, as a file of one block."""
    sync = bytes(16)
    header = {"magic": b"Obj\x01", "meta": {"avro.schema": schema.encode(), "avro.codec": b"null"}, "sync": sync}
    written = io.BytesIO()
    fastavro.schemaless_writer(written, _HEADER, header)
    for number in (count, len(body)):
        fastavro.schemaless_writer(written, "long", number)
    return written.getvalue() + body + sync


_EXTENSIONS = {"uuid": pa.uuid(), "json": pa.json_(pa.string())}


def _maker(mapped: Mapped) -> Callable[[Any], Any]:
    """Return what turns a decoded value into one that Arrow takes."""
    made = _MAKERS.get(mapped.kind)
    if made is not None:
        return lambda value: None if value is None else made(value)
    if mapped.members:
        steps = [(name, _maker(member)) for name, member in mapped.members if member.converted]

        def record(value: Any) -> Any:
            return None if value is None else {**value, **{name: make(value[name]) for name, make in steps}}

        return record
    if mapped.item is not None and mapped.item.converted:
        make = _maker(mapped.item)
        if pa.types.is_map(mapped.type):
            return lambda value: None if value is None else [(key, make(one)) for key, one in value.items()]
        return lambda value: None if value is None else [make(one) for one in value]
    return lambda value: value


def _uuid(value: Any) -> bytes:
    return value if isinstance(value, bytes) else uuid.UUID(value).bytes


def _duration(value: bytes) -> tuple[int, int, int]:
    months, days, millis = unpack("<III", value)
    return months, days, millis * 1_000_000


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=_spelt)


def _spelt(value: Any) -> str:
    """Spell what JSON has no type for: bytes as Avro's own JSON does, by the characters of the same numbers."""
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    assert isinstance(value, Decimal | uuid.UUID)
    return str(value)


_MAKERS: dict[str, Callable[[Any], Any]] = {
    "uuid": _uuid,
    "uuid text": lambda value: str(uuid.UUID(bytes=_uuid(value))),
    "duration": _duration,
    "json": _json,
}
