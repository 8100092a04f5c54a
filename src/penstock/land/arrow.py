"""Arrow batches brought into one shape: names without repeats, types that DuckDB reads, one schema for a chunk."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from penstock.arrow import pa
from penstock.errors import DataError
from penstock.land.arrow_values import fitted, simple
from penstock.names import distinct
from penstock.schema import SOURCE_TYPE


def plain(batch: pa.RecordBatch, table: str) -> pa.RecordBatch:
    """Return a batch without repeated names and without types that DuckDB cannot read; not one value changes.

    Raises:
        DataError: A column's type, or a value of it, has no equal.
    """
    names = given = batch.schema.names
    if len(set(given)) < len(given):
        names = distinct(given, reserved=given, cased=True)
    if names == batch.schema.names and all(simple(field.type) for field in batch.schema):
        return batch
    columns = [_fitted(column, name, table) for column, name in zip(batch.columns, names, strict=True)]
    return pa.RecordBatch.from_arrays(columns, names=names)


def empty(schema: pa.Schema) -> pa.RecordBatch:
    """Return a batch of no rows; unlike Arrow's own way, also of nested extension types and unions."""
    return pa.RecordBatch.from_arrays([pa.nulls(0, field.type) for field in schema], names=schema.names)


def united(schema: pa.Schema | None, other: pa.Schema) -> pa.Schema | None:
    """Return the schema that holds the columns of both, with types widened; None where types are of different kinds."""
    if schema is None or schema.equals(other):
        return other
    fields = {field.name: field for field in schema}
    for field in other:
        known = fields.get(field.name)
        wider = field.type if known is None else _wider(known, field)
        if wider is None:
            return None
        fields[field.name] = pa.field(field.name, wider)
    return pa.schema(list(fields.values()))


def chunk(batches: Sequence[pa.RecordBatch], schema: pa.Schema, table: str) -> pa.Table:
    """Return batches as one table of a schema that ``united`` gave for them; missing columns are null.

    Raises:
        DataError: A value is none of the schema's type.
    """
    parts = []
    for batch in batches:
        if batch.schema.equals(schema):
            parts.append(batch)
            continue
        there = set(batch.schema.names)
        columns = [
            _cast(batch.column(field.name), field.type, field.name, table)
            if field.name in there
            else pa.nulls(batch.num_rows, field.type)
            for field in schema
        ]
        parts.append(pa.RecordBatch.from_arrays(columns, schema=schema))
    return pa.Table.from_batches(parts, schema)


def source_types(schema: pa.Schema) -> dict[str, str]:
    """Return each column's type at its source, where it is another than the one landed: as told, or Arrow's."""
    found = {}
    for field in schema:
        told = (field.metadata or {}).get(SOURCE_TYPE.encode())
        zoned = pa.types.is_timestamp(field.type) and field.type.tz not in (None, "UTC")
        if told is not None:
            found[field.name] = told.decode()
        elif zoned or not (simple(field.type) and (lasting(field.type) or _open(field.type))):
            found[field.name] = str(field.type)
    return found


def _open(type_: pa.DataType) -> bool:
    """Say whether a type is still to come, because only nulls did."""
    if pa.types.is_nested(type_):
        return any(_open(type_.field(place).type) for place in range(type_.num_fields))
    return bool(pa.types.is_null(type_))


def undecided(schema: pa.Schema) -> frozenset[str]:
    """Return the columns whose type in DuckDB only their values decide."""
    return frozenset(field.name for field in schema if not simple(field.type))


def decided(schema: pa.Schema, names: frozenset[str], first: pa.Schema) -> pa.Schema:
    """Return a schema in which the named columns have the type of the first batch that came."""
    came = {field.name: field for field in first}
    return pa.schema([came.get(field.name, field) if field.name in names else field for field in schema])


def lasting(type_: pa.DataType) -> bool:
    """Say whether a Parquet file holds an Arrow type just as DuckDB would write it."""
    if pa.types.is_nested(type_):
        if not (pa.types.is_list(type_) or pa.types.is_large_list(type_) or pa.types.is_struct(type_)):
            return False
        return all(lasting(type_.field(place).type) for place in range(type_.num_fields))
    return (
        type_ in _lasting() or (pa.types.is_decimal128(type_)) or (pa.types.is_timestamp(type_) and type_.unit == "us")
    )


@cache
def _lasting() -> frozenset[pa.DataType]:
    integers = (pa.int8(), pa.int16(), pa.int32(), pa.int64())
    texts = (pa.string(), pa.large_string(), pa.binary(), pa.large_binary())
    return frozenset({pa.bool_(), *integers, pa.float32(), pa.float64(), *texts, pa.date32()})


def _fitted(column: pa.Array, name: str, table: str) -> pa.Array:
    try:
        return fitted(column)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        raise DataError(
            f"The column {name!r} of {table} holds a value that cannot be kept: it comes as {column.type}",
            remedy="Cast it in the source's query, or round it there on purpose",
        ) from error


def _wider(known: pa.Field, field: pa.Field) -> pa.DataType | None:
    one, other = known.type, field.type
    if one.equals(other):
        return one
    if pa.types.is_timestamp(one) and pa.types.is_timestamp(other) and one.tz and other.tz:
        finest = "ns" if "ns" in (one.unit, other.unit) else "us"
        return one if one.unit == other.unit else pa.timestamp(finest, one.tz)
    # Arrow would take texts for bytes, and round decimals to floats.
    clash = (_is_text(one) and _is_bytes(other)) or (_is_bytes(one) and _is_text(other))
    clash = clash or (pa.types.is_decimal(one) and pa.types.is_floating(other))
    clash = clash or (pa.types.is_floating(one) and pa.types.is_decimal(other))
    try:
        if not clash:
            pair = [pa.schema([pa.field("x", one)]), pa.schema([pa.field("x", other)])]
            return pa.unify_schemas(pair, promote_options="permissive").field(0).type
    except (pa.ArrowTypeError, pa.ArrowInvalid, pa.ArrowNotImplementedError):
        pass
    return None


def _is_text(type_: pa.DataType) -> bool:
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_))


def _is_bytes(type_: pa.DataType) -> bool:
    return bool(pa.types.is_binary(type_) or pa.types.is_large_binary(type_) or pa.types.is_fixed_size_binary(type_))


def _cast(column: pa.Array, type_: pa.DataType, name: str, table: str) -> pa.Array:
    if column.type.equals(type_):
        return column
    try:
        return column.cast(type_)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        raise DataError(
            f"The column {name!r} of {table} holds a value that cannot be kept: it comes as {column.type}, "
            f"and not every value is a {type_}",
            remedy="Cast it in the source's query, or round it there on purpose",
        ) from error
