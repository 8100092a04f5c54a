"""Avro messages: those of one schema are decoded together, by a native reader where it has all types of the schema.

Each message gets a mark behind it that no other has. The mark is read as a further field, so that a message whose
bytes are not exactly one record is found, whatever it would have done to its neighbours.
"""

from __future__ import annotations

import io
import json
import secrets
import struct
from decimal import DecimalException
from typing import Any

import fastavro
import fastavro.schema
import pyarrow as pa
import pyarrow.compute as pc

from penstock.extract.files.formats.avro import batch, container, typed
from penstock.extract.files.formats.avro_types import Types
from penstock.extract.streams.decoding import Decoded
from penstock.extract.streams.families import nullable
from penstock.extract.streams.registry import Registered
from penstock.extract.streams.wire import UndecodableError, halved

_VALUE, _END = "value", "end"
_MARK = 8
_BROKEN = (
    EOFError, IndexError, KeyError, OverflowError, RecursionError, StopIteration, TypeError, ValueError,
    DecimalException, MemoryError, struct.error, pa.ArrowException,
)  # fmt: skip
"""What the readers raise of bytes that are no record."""
_NATIVE = ("boolean", "int", "long", "float", "double", "string")


class AvroForm:
    """Decodes the messages of one Avro schema.

    Args:
        registered: The schema.

    Raises:
        UndecodableError: It is no Avro schema.
    """

    def __init__(self, registered: Registered) -> None:
        names: dict[str, Any] = {}
        try:
            for text in registered.references.values():
                fastavro.parse_schema(json.loads(text), named_schemas=names)
            schema: Any = fastavro.parse_schema(json.loads(registered.text), named_schemas=names)
        except (ValueError, KeyError, TypeError, fastavro.schema.SchemaParseException) as error:
            raise UndecodableError(f"schema {registered.id} is no Avro schema: {type(error).__name__}") from None
        top = schema if isinstance(schema, dict) else {}
        if top.get("type") not in ("record", "error"):
            schema = {"type": "record", "name": "penstock", "fields": [{"name": _VALUE, "type": schema}]}
        self._mapped = Types(names).map(schema, "")
        if not self._mapped.members:
            raise UndecodableError(f"schema {registered.id} is a record without a field")
        self._native = _is_native(self._mapped.schema) and not self._mapped.converted
        end = "string" if self._native else {"type": "fixed", "name": "penstock_end", "size": _MARK}
        self._schema = json.dumps(
            {
                "type": "record",
                "name": "penstock_marked",
                "fields": [{"name": _VALUE, "type": self._mapped.schema}, {"name": _END, "type": end}],
            }
        )
        self._types = pa.schema([(field.name, nullable(field.type)) for field in self._mapped.type])

    def decode(self, payloads: pa.BinaryArray) -> Decoded:
        """Decode messages."""
        return halved(payloads, self._rows_natively if self._native else self._rows)

    def _rows_natively(self, payloads: pa.BinaryArray) -> pa.Table:
        import pyruhvro

        mark = secrets.token_hex(_MARK // 2).encode()
        marked = pc.binary_join_element_wise(payloads, pa.scalar(bytes([2 * _MARK]) + mark, pa.binary()), b"")
        try:
            found = pyruhvro.deserialize_array(marked.to_pylist(), self._schema)
        except ValueError as error:
            raise UndecodableError(_said(error)) from None
        if not pc.all(pc.equal(found.column(1), mark.decode())).as_py():
            raise UndecodableError("more bytes than the record has")
        rows = pa.RecordBatch.from_struct_array(found.column(0)).cast(self._types)
        return pa.Table.from_batches([typed(rows, self._mapped)])

    def _rows(self, payloads: pa.BinaryArray) -> pa.Table:
        marks = _marks(len(payloads))
        body = pc.binary_join_element_wise(payloads, marks, pa.scalar(b"", pa.binary())).buffers()[2].to_pybytes()
        try:
            block = next(iter(fastavro.block_reader(io.BytesIO(container(self._schema, len(payloads), body)))))
            records: list[Any] = list(block)
            ends = pa.array([record[_END] for record in records], pa.binary())
            if not ends.equals(marks):
                raise UndecodableError("other bytes than the record has")
            found = batch([record[_VALUE] for record in records], self._mapped)
        except UndecodableError:
            raise
        except _BROKEN as error:
            raise UndecodableError(_said(error)) from None
        return pa.Table.from_batches([found])


def _is_native(schema: Any) -> bool:
    """Say whether the native reader has all types of a schema, as ``Types`` has written it."""
    if isinstance(schema, str):
        return schema in _NATIVE
    if isinstance(schema, list):
        return len(schema) == 2 and "null" in schema and all(_is_native(each) for each in schema if each != "null")
    if schema["type"] == "record":
        return all(_is_native(field["type"]) for field in schema["fields"])
    inner = {"array": "items", "map": "values"}.get(schema["type"])
    return schema["type"] == "enum" or (inner is not None and _is_native(schema[inner]))


def _marks(count: int) -> pa.BinaryArray:
    """Return bytes that stand nowhere else, one for each place."""
    first = int.from_bytes(secrets.token_bytes(7), "little")
    numbers = pa.array(range(first, first + count), pa.int64())
    fixed = pa.FixedSizeBinaryArray.from_buffers(pa.binary(_MARK), count, [None, numbers.buffers()[1]])
    return fixed.cast(pa.binary())


def _said(error: BaseException) -> str:
    """Return what a reader says, without the values that some say as well."""
    text = str(error)
    plain = type(error) is ValueError and not any(sign in text for sign in "'\"") and text.isascii()
    return text if plain else type(error).__name__
