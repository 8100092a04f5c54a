"""Delta types of stored DuckDB types, and the differences between the schemas of a table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from deltalake import Field, Schema
from deltalake.schema import ArrayType, MapType, PrimitiveType, StructType

from penstock.errors import DataError
from penstock.model.entries import Column
from penstock.schema import SOURCE_TYPE, TYPE, Type, parse
from penstock.values import dataclass

DeltaType = PrimitiveType | ArrayType | MapType | StructType

_PRIMITIVES = {
    "BOOLEAN": "boolean",
    "TINYINT": "byte",
    "SMALLINT": "short",
    "INTEGER": "integer",
    "BIGINT": "long",
    "FLOAT": "float",
    "DOUBLE": "double",
    "VARCHAR": "string",
    "BLOB": "binary",
    "DATE": "date",
    "TIMESTAMP": "timestamp_ntz",
    "TIMESTAMP WITH TIME ZONE": "timestamp",
}


def delta_field(column: Column) -> Field:
    """Return the field of a column, in its stored type; its metadata says what it was, and that it is personal.

    Raises:
        DataError: If the stored type is none that Delta has.
    """
    stored = column.stored or column.type
    try:
        type_ = _delta_type(stored)
    except (KeyError, ValueError):
        raise DataError(
            f"The column {column.name!r} has a stored type that a Delta table cannot hold", value=stored
        ) from None
    metadata = {TYPE: column.type} if column.stored else {}
    if column.source_type is not None:
        metadata[SOURCE_TYPE] = column.source_type
    if column.personal:
        metadata["penstock.personal"] = column.personal
    return Field(column.name, type_, metadata=metadata or None)


@lru_cache(maxsize=1024)
def _delta_type(stored: str) -> DeltaType:
    return _convert(parse(stored))


def _convert(type_: Type) -> DeltaType:
    if type_.name in ("LIST", "ARRAY"):
        return ArrayType(_convert(type_.members[0][1]), contains_null=True)
    if type_.name == "MAP":
        return MapType(_convert(type_.members[0][1]), _convert(type_.members[1][1]), value_contains_null=True)
    if type_.name == "STRUCT":
        return StructType([Field(name, _convert(member)) for name, member in type_.members])
    if type_.name == "DECIMAL":
        return PrimitiveType(f"decimal({type_.arguments or '18,3'})")
    return PrimitiveType(_PRIMITIVES[type_.name])


@dataclass(frozen=True, slots=True)
class Difference:
    """What a table's Delta schema lacks of an entry's columns.

    Attributes:
        added: Fields that are new, and fields whose nested type has got members, whole.
        changed: (column, type in the table, type of the entry) for each that differs.
        dropped: Columns of the table that the entry has not.
    """

    added: tuple[Field, ...]
    changed: tuple[tuple[str, str, str], ...]
    dropped: tuple[str, ...]


def difference(table: Schema, wanted: Sequence[Field]) -> Difference:
    """Compare a table's Delta schema with the fields that an entry needs; names differ only by more than case."""
    known = {field.name.lower(): field for field in table.fields}
    added, changed = [], []
    for field in wanted:
        there = known.pop(field.name.lower(), None)
        if there is None:
            added.append(field)
            continue
        old, new = json.loads(there.type.to_json()), json.loads(field.type.to_json())
        met = _grown(old, new)
        if met is None:
            changed.append((field.name, spelled(there), spelled(field)))
        elif met != old:
            added.append(Field(there.name, _converted(met), metadata=there.metadata or None))
    return Difference(tuple(added), tuple(changed), tuple(field.name for field in known.values()))


def retyped(table: Schema, wanted: Sequence[Field]) -> Schema:
    """Return a table's schema with the types of the fields that are wanted; no field comes or goes."""
    given = {field.name.lower(): field for field in wanted}
    return Schema([given.get(field.name.lower(), field) for field in table.fields])


def _grown(old: Any, new: Any) -> Any:
    """Return the type, as the log spells it, with the members of both; None where a plain type differs."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return old if old == new else None
    if old["type"] != new["type"]:
        return None
    if old["type"] != "struct":
        inner = [name for name in ("elementType", "keyType", "valueType") if name in old]
        met = {name: _grown(old[name], new[name]) for name in inner}
        return None if None in met.values() else {**old, **met}
    rest = {field["name"].lower(): field for field in new["fields"]}
    fields = []
    for field in old["fields"]:
        twin = rest.pop(field["name"].lower(), None)
        type_ = field["type"] if twin is None else _grown(field["type"], twin["type"])
        if type_ is None:
            return None
        fields.append({**field, "type": type_})
    return {**old, "fields": [*fields, *rest.values()]}


def _converted(spelling: Any) -> DeltaType:
    if not isinstance(spelling, dict):
        return PrimitiveType(spelling)
    text = json.dumps(spelling)
    if spelling["type"] == "struct":
        return StructType.from_json(text)
    return ArrayType.from_json(text) if spelling["type"] == "array" else MapType.from_json(text)


def spelled(field: Field) -> str:
    """Return the type of a field as JSON, which is what the Delta log holds."""
    if isinstance(field.type, PrimitiveType):
        return str(field.type.type)
    return json.dumps(json.loads(field.type.to_json()), sort_keys=True, separators=(",", ":"))
