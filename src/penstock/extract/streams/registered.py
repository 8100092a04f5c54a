"""The formats whose schemas stand in a registry, as decoders."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import duckdb
import pyarrow as pa

from penstock.errors import MissingExtraError
from penstock.extract.streams.decoding import Decoded
from penstock.extract.streams.json_decoding import JsonDecoder, type_of
from penstock.extract.streams.registry import Registered, Registry
from penstock.extract.streams.wire import Form, UndecodableError, WireDecoder
from penstock.model.entries import Column
from penstock.model.specs import ConnectionSpec
from penstock.names import DISCARDED

_TYPES = {"avro": "AVRO", "protobuf": "PROTOBUF", "json_schema": "JSON"}
_DEEPEST = 32
"""Objects within objects, of which a schema is followed no deeper: it refers to itself."""
_SCALARS = {"integer": pa.int64(), "number": pa.float64(), "string": pa.string(), "boolean": pa.bool_()}


def registered(format_: str, columns: tuple[Column, ...], connection: ConnectionSpec) -> WireDecoder:
    """Return a decoder of messages that name their schemas.

    Args:
        format_: ``avro``, ``protobuf`` or ``json_schema``.
        columns: The columns that the table has so far, those of the envelope left out.
        connection: The registry.

    Raises:
        MissingExtraError: What decodes them is not installed.
        ConfigurationError: The connection is no address of a registry.
    """
    told = [column for column in columns if column.name != DISCARDED]
    if format_ == "json_schema":
        known = {column.at_source: type_of(column.type) for column in told}
        shared = JsonDecoder({name: type_ for name, type_ in known.items() if type_ is not None})
        return WireDecoder(Registry(connection), _TYPES[format_], lambda found: _JsonForm(found, shared), shared.known)
    return WireDecoder(Registry(connection), _TYPES[format_], _form(format_), _arrow(told))


def _form(format_: str) -> Callable[[Registered], Form]:
    """Return what decodes the messages of one schema."""
    try:
        if format_ == "avro":
            import pyruhvro  # noqa: F401

            from penstock.extract.streams.avro_messages import AvroForm

            return AvroForm
        from penstock.extract.streams.protobuf_messages import ProtobufForm
    except ImportError:
        raise MissingExtraError(f"Reading messages of format {format_}", "registry") from None
    return ProtobufForm


class _JsonForm(Form):
    """Decodes the messages of one JSON schema; what was learnt of types is shared by all schemas."""

    def __init__(self, found: Registered, shared: JsonDecoder) -> None:
        try:
            schema = json.loads(found.text)
        except ValueError:
            raise UndecodableError(f"schema {found.id} is no JSON") from None
        self._shared = shared
        declared = _declared(schema, schema, 0) if isinstance(schema, dict) else None
        if declared is not None and pa.types.is_struct(declared):
            told = {field.name: field.type for field in declared}
            shared.known = {**told, **shared.known}

    def decode(self, payloads: pa.BinaryArray) -> Decoded:
        """Decode messages."""
        return self._shared.decode(payloads)


def _declared(schema: Mapping[str, Any], whole: Mapping[str, Any], depth: int) -> pa.DataType | None:
    """Return the type that a JSON schema declares; None: it is not one, or not said."""
    if depth > _DEEPEST:
        return None
    reference = schema.get("$ref")
    if isinstance(reference, str):
        found: Any = whole
        for step in reference.removeprefix("#").strip("/").split("/") if reference.startswith("#/") else ("",):
            found = found.get(step) if isinstance(found, dict) else None
        return _declared(found, whole, depth + 1) if isinstance(found, dict) else None
    either = schema.get("oneOf") or schema.get("anyOf")
    if isinstance(either, list):
        left = [each for each in either if isinstance(each, dict) and each.get("type") != "null"]
        return _declared(left[0], whole, depth + 1) if len(left) == 1 else None
    named = schema.get("type")
    kinds = [kind for kind in (named if isinstance(named, list) else [named]) if kind != "null"]
    if len(kinds) != 1:
        return None
    if kinds[0] == "array":
        items = schema.get("items")
        item = _declared(items, whole, depth + 1) if isinstance(items, dict) else None
        return None if item is None else pa.list_(item)
    if kinds[0] == "object":
        members = {
            name: _declared(each, whole, depth + 1)
            for name, each in (schema.get("properties") or {}).items()
            if isinstance(each, dict)
        }
        fields = [(name, type_) for name, type_ in members.items() if type_ is not None]
        return pa.struct(fields) if fields else None
    return _SCALARS.get(str(kinds[0]))


def _arrow(columns: list[Column]) -> dict[str, pa.DataType]:
    """Return columns by the types in which Arrow has them; those that only DuckDB has are left to landing."""
    if not columns:
        return {}
    listed = ", ".join(f"CAST(NULL AS {column.type}) AS c{at}" for at, column in enumerate(columns))
    with duckdb.connect() as connection:
        connection.execute("SET arrow_lossless_conversion = true")
        schema = connection.sql(f"SELECT {listed}").to_arrow_table().schema
    told = {column.at_source: field.type for column, field in zip(columns, schema, strict=True)}
    return {name: type_ for name, type_ in told.items() if not _strange(type_)}


def _strange(type_: pa.DataType) -> bool:
    return pa.types.is_dictionary(type_) or str(type_).startswith("extension<arrow.opaque")
