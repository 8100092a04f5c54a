"""Kinds of columns: whether the columns of one schema fit those of another, and rows of several schemas as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from penstock.extract.streams.decoding import Piece

_FAMILIES: tuple[tuple[str, Callable[[pa.DataType], bool]], ...] = (
    ("boolean", pa.types.is_boolean),
    ("text", lambda type_: bool(pa.types.is_string(type_) or pa.types.is_large_string(type_))),
    ("text", pa.types.is_dictionary),
    ("bytes", lambda type_: bool(pa.types.is_binary(type_) or pa.types.is_large_binary(type_))),
    ("bytes", pa.types.is_fixed_size_binary),
    ("date", pa.types.is_date),
    ("time", pa.types.is_time),
    ("number", lambda type_: bool(pa.types.is_integer(type_) or pa.types.is_floating(type_))),
    ("number", pa.types.is_decimal),
)


def fit(came: pa.DataType, known: pa.DataType) -> bool:
    """Say whether a column may hold values of a type: landing widens within a kind, and what is JSON takes all."""
    if came.equals(known) or pa.types.is_null(came) or pa.types.is_null(known) or _family(known) == "json":
        return True
    if pa.types.is_struct(came) and pa.types.is_struct(known):
        fields = {field.name: field.type for field in known}
        return all(fit(field.type, fields[field.name]) for field in came if field.name in fields)
    if pa.types.is_map(came) and pa.types.is_map(known):
        return fit(came.key_type, known.key_type) and fit(came.item_type, known.item_type)
    if _is_list(came) and _is_list(known):
        return fit(came.value_type, known.value_type)
    return _family(came) == _family(known)


def unites(pieces: Sequence[Piece]) -> tuple[Piece, ...]:
    """Return pieces as one, in the order of their places, where no value changes by that; else as they are."""
    if len(pieces) < 2:
        return tuple(pieces)
    tables = [piece.rows for piece in pieces]
    try:
        schema = pa.unify_schemas([table.schema for table in tables], promote_options="permissive")
        tables = [_cast(table, schema) for table in tables]
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        return tuple(pieces)
    places = pa.concat_arrays([piece.places for piece in pieces])
    order = pc.sort_indices(places)
    return (Piece(places.take(order), pa.concat_tables(tables).take(order)),)


def nullable(type_: pa.DataType) -> pa.DataType:
    """Return a type whose members may all be null, so that messages that lack them stand beside others."""
    if pa.types.is_struct(type_):
        return pa.struct([pa.field(field.name, nullable(field.type)) for field in type_])
    if pa.types.is_map(type_):
        return pa.map_(type_.key_type, nullable(type_.item_type))
    if _is_list(type_):
        return pa.list_(nullable(type_.value_type))
    return type_


def _cast(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return rows with the columns of a schema; raises ArrowInvalid where a value would change."""
    columns = [
        table.column(field.name).cast(field.type) if field.name in table.schema.names
        else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]  # fmt: skip
    return pa.Table.from_arrays(columns, schema=schema)


def _family(type_: pa.DataType) -> str:
    if isinstance(type_, pa.BaseExtensionType):
        return "json" if type_.extension_name == "arrow.json" else str(type_.extension_name)
    if pa.types.is_timestamp(type_):
        return "moment" if type_.tz else "date"
    return next((family for family, holds in _FAMILIES if holds(type_)), str(type_))


def _is_list(type_: pa.DataType) -> bool:
    return bool(pa.types.is_list(type_) or pa.types.is_large_list(type_) or pa.types.is_fixed_size_list(type_))
