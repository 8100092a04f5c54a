"""Arrow arrays given a form that DuckDB reads exactly: half floats, odd decimals, nanoseconds, nested members."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from penstock.arrow import pa
from penstock.names import distinct

_MOST_DIGITS = 38
_NANOSECONDS = 1000


def simple(type_: pa.DataType) -> bool:
    """Say whether DuckDB reads every value of a type exactly, so that no value need be looked at."""
    if isinstance(type_, pa.BaseExtensionType):
        # DuckDB knows some by name, and takes of others what they are stored as.
        return simple(type_.storage_type)
    if pa.types.is_union(type_):
        return False
    if pa.types.is_nested(type_):
        members = [type_.field(place) for place in range(type_.num_fields)]
        named = not pa.types.is_struct(type_) or (members and _distinct(type_) == [field.name for field in members])
        return bool(named) and not pa.types.is_map(type_) and all(simple(field.type) for field in members)
    if pa.types.is_decimal(type_):
        return type_.scale >= 0 and not pa.types.is_decimal256(type_)
    return not any(test(type_) for test in _odd())


def fitted(array: pa.Array) -> pa.Array:
    """Return an array that DuckDB reads exactly; the type depends on the values where only some of them fit.

    Dictionaries and runs are spelled out. Half floats become floats; decimals past 38 digits texts; nanoseconds that
    are whole microseconds become those, others keep a type or a count that holds them; fields of structs that differ
    only by case get numbers; structs without fields become the JSON ``{}``, maps with a key twice lists of entries.
    """
    import pyarrow.compute as pc

    type_ = array.type
    if simple(type_):
        return array
    if isinstance(array, pa.ExtensionArray):
        return fitted(array.storage)
    if pa.types.is_dictionary(type_):
        return fitted(array.dictionary_decode())
    if pa.types.is_run_end_encoded(type_):
        return fitted(pc.run_end_decode(array))
    if pa.types.is_float16(type_):
        return array.cast(pa.float32())
    if pa.types.is_decimal(type_):
        return array.cast(_decimal(type_))
    if pa.types.is_struct(type_):
        return _struct(array)
    if pa.types.is_union(type_):
        return _union(array)
    if pa.types.is_nested(type_):
        return _listed(array)
    return _moments(array)


def _decimal(type_: pa.DataType) -> pa.DataType:
    precision, scale = type_.precision - min(0, type_.scale), max(0, type_.scale)
    return pa.decimal128(precision, scale) if max(precision, scale) <= _MOST_DIGITS else pa.string()


def _moments(array: pa.Array) -> pa.Array:
    type_ = array.type
    if pa.types.is_interval(type_):
        return _interval(array)
    try:
        if pa.types.is_duration(type_):
            return array.cast(pa.duration("us"))
        if pa.types.is_timestamp(type_):
            exact = array.cast(pa.timestamp("us", type_.tz))
            return exact if type_.unit == "ns" else array
    except pa.ArrowInvalid:
        # Nanoseconds in a zoned moment have a type in DuckDB; of the others the count is kept.
        return array if pa.types.is_timestamp(type_) and type_.unit == "ns" else array.cast(pa.int64())
    return array


def _interval(array: pa.Array) -> pa.Array:
    """Keep whole microseconds, which is what INTERVAL holds; with smaller parts the members are told one by one."""
    import pyarrow.compute as pc

    slots = len(array) + array.offset
    words = pa.Array.from_buffers(pa.int64(), slots * 2, [None, array.buffers()[1]])
    pairs = pa.FixedSizeListArray.from_arrays(words, 2).slice(array.offset)
    gone = array.is_null()
    nanoseconds = pc.if_else(gone, 0, pc.list_element(pairs, 1))
    whole = pc.multiply(pc.divide(nanoseconds, _NANOSECONDS), _NANOSECONDS)
    if pc.all(pc.equal(whole, nanoseconds), min_count=0).as_py():
        return array
    halves = pa.Array.from_buffers(pa.int32(), slots * 4, [None, array.buffers()[1]])
    quads = pa.FixedSizeListArray.from_arrays(halves, 4).slice(array.offset)
    members = [pc.list_element(quads, 0), pc.list_element(quads, 1), nanoseconds]
    return pa.StructArray.from_arrays(members, names=["months", "days", "nanoseconds"], mask=gone)


def _struct(array: pa.Array) -> pa.Array:
    import pyarrow.compute as pc

    if not array.type.num_fields:
        empty = pc.if_else(array.is_valid(), "{}", pa.scalar(None, pa.string()))
        return pa.ExtensionArray.from_storage(pa.json_(pa.string()), empty)
    members = [fitted(member) for member in array.flatten()]
    return pa.StructArray.from_arrays(members, names=_distinct(array.type), mask=array.is_null())


def _union(array: pa.Array) -> pa.Array:
    """Give a union the layout that DuckDB reads: each member as long as the whole."""
    import pyarrow.compute as pc

    type_, codes = array.type, array.type_codes
    members = [array.field(place) for place in range(type_.num_fields)]
    if type_.mode == "dense":
        taken = [pc.if_else(pc.equal(codes, code), array.offsets, None) for code in type_.type_codes]
        members = [member.take(place) for member, place in zip(members, taken, strict=True)]
    names = [type_.field(place).name for place in range(type_.num_fields)]
    return pa.UnionArray.from_sparse(codes, [fitted(member) for member in members], names, type_.type_codes)


def _distinct(type_: pa.DataType) -> list[str]:
    """Return the names of a struct's fields, numbered where they are empty or differ from another only by case."""
    given = [type_.field(place).name for place in range(type_.num_fields)]
    return distinct(given, reserved=given)


def _listed(array: pa.Array) -> pa.Array:
    """Rebuild a list or a map over members that fit."""
    type_ = array.type
    if pa.types.is_map(type_):
        entries = pa.struct([pa.field("key", type_.key_type), pa.field("value", type_.item_type)])
        lists = array.cast(pa.list_(entries))
    elif pa.types.is_list(type_) or pa.types.is_large_list(type_):
        lists = array
    else:
        lists = array.cast(pa.large_list(type_.value_type))
    inside = fitted(lists.flatten())
    offsets = _offsets(lists)
    if not pa.types.is_map(type_):
        kind = pa.LargeListArray if pa.types.is_large_list(lists.type) else pa.ListArray
        return kind.from_arrays(offsets, inside)
    if _repeats(lists, inside.field(0)):
        return pa.ListArray.from_arrays(offsets, inside)
    return pa.MapArray.from_arrays(offsets, inside.field(0), inside.field(1))


def _offsets(lists: pa.Array) -> pa.Array:
    """Return where each list begins, counted over the members of all that are not null; null for a null list."""
    import pyarrow.compute as pc

    index = pa.int64() if pa.types.is_large_list(lists.type) else pa.int32()
    ends = pc.cumulative_sum(pc.fill_null(pc.list_value_length(lists), 0).cast(index))
    last = ends[-1:] if len(ends) else pa.array([0], index)
    starts = pa.concat_arrays([pa.array([0], index), ends[:-1]]) if len(ends) else pa.array([], index)
    return pa.concat_arrays([pc.if_else(lists.is_null(), pa.scalar(None, index), starts), last])


def _repeats(lists: pa.Array, keys: pa.Array) -> bool:
    """Say whether one map has a key twice, which DuckDB's has not; keys that cannot be grouped count as if."""
    import pyarrow.compute as pc

    owners = pc.list_parent_indices(lists)
    try:
        groups = pa.table({"owner": owners, "key": keys}).group_by(["owner", "key"]).aggregate([])
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        return True
    return bool(groups.num_rows < len(keys))


def _zoned_or_coarse(type_: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(type_) and ((type_.unit == "ns" and type_.tz) or type_.unit in ("s", "ms")))


@cache
def _odd() -> tuple[Callable[[pa.DataType], bool], ...]:
    """Return the tests for types of which DuckDB reads none, or not every value."""
    of = pa.types
    return (
        *(of.is_dictionary, of.is_run_end_encoded, of.is_float16, of.is_duration, of.is_interval),
        _zoned_or_coarse,
    )
