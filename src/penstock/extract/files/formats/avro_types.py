"""Avro's types as Arrow's, and the schema by which Avro's values are decoded to what Arrow takes as it is.

Dates and times are decoded as the integers that they are, so that no year and no nanosecond is lost to Python's own
types, and become Arrow's types by a view. What Arrow has no type for is JSON text: unions of several types and what a
recursive type repeats.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field, replace
from typing import Any

import pyarrow as pa

from penstock.values import dataclass

_PRIMITIVES = {
    "null": pa.null(),
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "bytes": pa.binary(),
    "string": pa.string(),
}
_TIMES = {
    ("int", "date"): pa.date32(),
    ("int", "time-millis"): pa.time32("ms"),
    ("long", "time-micros"): pa.time64("us"),
    ("long", "timestamp-millis"): pa.timestamp("ms", "UTC"),
    ("long", "timestamp-micros"): pa.timestamp("us", "UTC"),
    ("long", "timestamp-nanos"): pa.timestamp("ns", "UTC"),
    ("long", "local-timestamp-millis"): pa.timestamp("ms"),
    ("long", "local-timestamp-micros"): pa.timestamp("us"),
    ("long", "local-timestamp-nanos"): pa.timestamp("ns"),
}
_KEPT = ("type", "name", "size", "symbols", "items", "values", "logicalType", "precision", "scale", "fields")
_WIDEST = ({"int", "long"}, pa.int64()), ({"float", "double"}, pa.float64()), ({"int", "float", "double"}, pa.float64())


@dataclass(frozen=True, slots=True)
class Mapped:
    """An Avro type.

    Attributes:
        type: The Arrow type.
        schema: The Avro schema that values are decoded by.
        kind: ``plain`` is taken by Arrow as it is; ``json``, ``uuid``, ``uuid text`` and ``duration`` are made first,
            value by value.
        members: Name to type, of a record.
        item: The type of a list's or map's values.
        told: The type at the source, where it says more than Arrow's; empty for none.
    """

    type: pa.DataType
    schema: Any
    kind: str = "plain"
    members: tuple[tuple[str, Mapped], ...] = ()
    item: Mapped | None = None
    told: str = ""

    @property
    def converted(self) -> bool:
        """Say whether a value is made anew in Python before Arrow takes it."""
        inside = [member for _, member in self.members] + ([self.item] if self.item else [])
        return self.kind != "plain" or any(member.converted for member in inside)


@dataclass(slots=True)
class Types:
    """Turns a parsed schema into ``Mapped``.

    Attributes:
        names: The named types, by their full names.
        json: Paths of what is read as JSON text; filled by ``map``.
    """

    names: Mapping[str, Any]
    json: list[str] = field(default_factory=list)
    _open: list[str] = field(default_factory=list)
    _defined: set[str] = field(default_factory=set)
    _count: int = 0

    def map(self, schema: Any, path: str) -> Mapped:
        """Return how a type is decoded; ``path`` is its place, for notes."""
        if isinstance(schema, list):
            return self._union(schema, path)
        if isinstance(schema, str):
            if schema in _PRIMITIVES:
                return Mapped(_PRIMITIVES[schema], schema)
            if schema in self._open:
                return self._json(schema, path)
            schema = self.names[schema]
        name = schema["type"]
        if isinstance(name, dict | list):
            return self.map(name, path)
        makers: dict[str, Callable[[Any, str], Mapped]] = {
            "record": self._record, "error": self._record, "array": self._array, "map": self._map,
            "enum": self._enum, "fixed": self._fixed,
        }  # fmt: skip
        return makers.get(name, self._primitive)(schema, path)

    def _json(self, schema: Any, path: str) -> Mapped:
        self.json.append(path)
        return Mapped(pa.string(), self._whole(schema), "json", told="union" if isinstance(schema, list) else "")

    def _whole(self, schema: Any) -> Any:
        """Return a type as its writer spelt it, with each named type defined where it is met first."""
        if isinstance(schema, list):
            return [self._whole(branch) for branch in schema]
        if isinstance(schema, str):
            if schema not in self.names or schema in self._defined:
                return schema
            schema = self.names[schema]
        if "name" in schema:
            if schema["name"] in self._defined:
                return schema["name"]
            self._defined.add(schema["name"])
        kept = {key: value for key, value in schema.items() if key in _KEPT}
        for key in ("items", "values", "type"):
            if key in kept and (key != "type" or not isinstance(kept[key], str)):
                kept[key] = self._whole(kept[key])
        if "fields" in schema:
            kept["fields"] = [{"name": one["name"], "type": self._whole(one["type"])} for one in schema["fields"]]
        return kept

    def _named(self, schema: Any) -> dict[str, Any]:
        """Return what a fixed or an enumeration is decoded by, under a name of its own."""
        self._count += 1
        plain = {name: schema[name] for name in ("type", "size", "symbols") if name in schema}
        return {**plain, "name": f"penstock_{self._count}"}

    def _union(self, schema: list[Any], path: str) -> Mapped:
        branches = [branch for branch in schema if branch != "null"]
        if not branches:
            return Mapped(pa.null(), schema)
        if len(branches) == 1:
            made = self.map(branches[0], path)
            either = ["null" if branch == "null" else made.schema for branch in schema]
            return replace(made, schema=either)
        plain = {branch for branch in branches if isinstance(branch, str)}
        for members, type_ in _WIDEST:
            if len(plain) == len(branches) and plain <= members:
                return Mapped(type_, schema)
        return self._json(schema, path)

    def _record(self, schema: Any, path: str) -> Mapped:
        if not schema["fields"]:
            return self._json(schema, path)
        self._open.append(schema["name"])
        prefix = f"{path}." if path else ""
        members = tuple((one["name"], self.map(one["type"], prefix + one["name"])) for one in schema["fields"])
        self._open.pop()
        type_ = pa.struct([pa.field(name, member.type) for name, member in members])
        fields = [
            {"name": one["name"], "type": member.schema}
            for one, (_, member) in zip(schema["fields"], members, strict=True)
        ]
        self._count += 1
        made = {"type": "record", "name": f"penstock_{self._count}", "fields": fields}
        return Mapped(type_, made, members=members)

    def _array(self, schema: Any, path: str) -> Mapped:
        item = self.map(schema["items"], f"{path}[]")
        return Mapped(pa.list_(item.type), {"type": "array", "items": item.schema}, item=item)

    def _map(self, schema: Any, path: str) -> Mapped:
        item = self.map(schema["values"], f"{path}[]")
        return Mapped(pa.map_(pa.string(), item.type), {"type": "map", "values": item.schema}, item=item)

    def _enum(self, schema: Any, _: str) -> Mapped:
        return Mapped(pa.string(), self._named(schema), told="enum")

    def _fixed(self, schema: Any, path: str) -> Mapped:
        logical, plain = schema.get("logicalType"), self._named(schema)
        if logical == "decimal":
            return self._decimal(schema, plain)
        if logical == "duration" and schema["size"] == 12:
            return Mapped(pa.month_day_nano_interval(), plain, "duration", told="duration")
        if logical == "uuid" and schema["size"] == 16:
            return self._uuid(plain, path)
        return Mapped(pa.binary(schema["size"]), plain)

    def _primitive(self, schema: Any, path: str) -> Mapped:
        name, logical = schema["type"], schema.get("logicalType")
        if (name, logical) in _TIMES:
            return Mapped(_TIMES[name, logical], name)
        if logical == "decimal" and name == "bytes":
            return self._decimal(schema, {"type": "bytes"})
        if logical == "uuid" and name == "string":
            return self._uuid(name, path)
        if name in _PRIMITIVES:
            return Mapped(_PRIMITIVES[name], name)
        return self.map(name, path)

    def _uuid(self, schema: Any, path: str) -> Mapped:
        # Arrow makes its own type of uuid from values only where it is that of a column.
        nested = "." in path or "[]" in path
        return Mapped(pa.string() if nested else pa.binary(16), schema, "uuid text" if nested else "uuid")

    def _decimal(self, schema: Any, plain: dict[str, Any]) -> Mapped:
        precision, scale = int(schema["precision"]), int(schema.get("scale", 0))
        if precision > 76:
            return Mapped(pa.binary(), plain, told=f"decimal({precision},{scale}), its unscaled bytes")
        type_ = pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)
        return Mapped(type_, {**plain, "logicalType": "decimal", "precision": precision, "scale": scale})
