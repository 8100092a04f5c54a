"""Records of JSON to Arrow columns: exact, widened where they must be, the same from batch to batch."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from penstock.errors import DataError
from penstock.extract.rest.types import arrow_type

Records = Sequence[Mapping[str, Any]]
_UNCONVERTIBLE = (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError, UnicodeEncodeError)
_TIME = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d([.,]\d{1,6})?)?"
_AWARE = _TIME + r"(Z|[+-]\d\d(:?\d\d)?)$"
_NAIVE = _TIME + "$"
_DATE = r"^\d{4}-\d\d-\d\d$"
_TIMES = (
    (_AWARE, pa.timestamp("us", "UTC")),
    (_NAIVE, pa.timestamp("us")),
    (_DATE, pa.date32()),
)
_MOST_DIGITS = 38


class Columns:
    """Turns groups of records into tables, remembering each column's type from group to group.

    Args:
        declared: Column to DuckDB type; such a column is cast, and refused where it cannot be.
        times: Recognise columns whose every text is an ISO 8601 date or time.
        tell: Takes a sentence about a column that could not keep its type.
    """

    def __init__(self, declared: Mapping[str, str], times: bool, tell: Callable[[str], None]) -> None:
        self._declared = {name: arrow_type(type_, column=name) for name, type_ in declared.items()}
        self._times = times
        self._tell = tell
        self._types: dict[str, pa.DataType] = {}

    def table(self, records: Records, *, where: str) -> pa.Table:
        """Return a table of the records.

        Args:
            records: At least one.
            where: Where they came from, for messages.

        Raises:
            DataError: A value is not of its declared type, or records have no fields.
        """
        found = {name: self._settled(name, column, where) for name, column in _arrays(records, self._tell).items()}
        if not found:
            raise DataError(f"The records of {where} have no fields")
        for name, type_ in self._declared.items():
            found.setdefault(name, pa.nulls(len(records), type_))
        return pa.table(found)

    def _settled(self, name: str, column: pa.Array, where: str) -> pa.Array:
        if name in self._declared:
            return _declared(column, self._declared[name], f"Column {name!r} of {where}")
        before = self._types.get(name, pa.null())
        column = self._without_empty_objects(name, column)
        if self._times and pa.types.is_string(column.type) and not pa.types.is_string(before):
            column = _as_times(column)
        column = _like_before(name, column, before, where)
        self._types[name] = column.type
        return column

    def _without_empty_objects(self, name: str, column: pa.Array) -> pa.Array:
        """Return a column without objects that have no fields, which no Parquet file holds."""
        if not _has_empty_objects(column.type):
            return column
        self._tell(f"Column {name!r} holds objects without any field; they are kept as null")
        return _emptied(column)


def _like_before(name: str, column: pa.Array, before: pa.DataType, where: str) -> pa.Array:
    """Give a column the type that holds both its values and those of the groups before it.

    Raises:
        DataError: There is no such type, or a value would be lost in it.
    """
    if column.type == before or pa.types.is_null(before):
        return column
    try:
        return column.cast(wider(before, column.type))
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise DataError(
            f"Column {name!r} came as {before} first and as {column.type} further on ({where})",
            remedy=f'Declare what it is: types = {{"{name}": "VARCHAR"}}',
        ) from error


def wider(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    """Return the type that holds the values of both; raises ArrowTypeError where there is none but text."""
    # Arrow would round decimals to floats.
    if {pa.types.is_decimal(one), pa.types.is_decimal(other)} == {True, False} and (
        pa.types.is_floating(one) or pa.types.is_floating(other)
    ):
        raise pa.ArrowTypeError("decimal and floating numbers")
    schemas = [pa.schema([("column", one)]), pa.schema([("column", other)])]
    return pa.unify_schemas(schemas, promote_options="permissive").field(0).type


def _arrays(records: Records, tell: Callable[[str], None]) -> dict[str, pa.Array]:
    """Return the columns, in the order in which they first appear."""
    names = list(dict.fromkeys(name for record in records for name in record))
    try:
        together = pa.array(records, type=None)
        by_name = dict(zip((field.name for field in together.type), together.flatten(), strict=True))
        return {name: by_name[name] for name in names}
    except _UNCONVERTIBLE:
        return {name: _array(name, [record.get(name) for record in records], tell) for name in names}


def _array(name: str, values: list[Any], tell: Callable[[str], None]) -> pa.Array:
    """Return one column whose values may need a wider type than Arrow infers."""
    try:
        return pa.array(values)
    except _UNCONVERTIBLE:
        kinds = {type(value) for value in values} - {type(None)}
    if kinds == {int}:
        if max(len(str(abs(value))) for value in values if value is not None) <= _MOST_DIGITS:
            exact = [None if value is None else Decimal(value) for value in values]
            return pa.array(exact, pa.decimal128(_MOST_DIGITS, 0))
        tell(f"Column {name!r} holds whole numbers of more than {_MOST_DIGITS} digits; they are kept as text")
    elif kinds != {str}:
        tell(f"Column {name!r} holds values of several types ({_spelt(kinds)}); they are kept as text")
    texts = [value if value is None or isinstance(value, str) else _json(value) for value in values]
    try:
        return pa.array(texts, pa.string())
    except UnicodeEncodeError:
        tell(f"Column {name!r} holds halves of characters (lone surrogates); they are replaced by U+FFFD")
        return pa.array([None if text is None else _whole(text) for text in texts], pa.string())


def _spelt(kinds: set[type]) -> str:
    names = {bool: "truth value", int: "number", float: "number", str: "text", dict: "object", list: "list"}
    return ", ".join(sorted({names.get(kind, kind.__name__) for kind in kinds}))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _whole(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _has_empty_objects(type_: pa.DataType) -> bool:
    if pa.types.is_struct(type_):
        return type_.num_fields == 0 or any(_has_empty_objects(field.type) for field in type_)
    return pa.types.is_list(type_) and _has_empty_objects(type_.value_type)


def _emptied(column: pa.Array) -> pa.Array:
    if pa.types.is_list(column.type):
        return pa.ListArray.from_arrays(column.offsets, _emptied(column.values), mask=column.is_null())
    if not pa.types.is_struct(column.type):
        return column
    if column.type.num_fields == 0:
        return pa.nulls(len(column))
    parts = [_emptied(column.field(place)) for place in range(column.type.num_fields)]
    return pa.StructArray.from_arrays(parts, [field.name for field in column.type], mask=column.is_null())


def _as_times(column: pa.Array) -> pa.Array:
    """Return a column of times or dates where every text is one; else the column."""
    if column.null_count == len(column):
        return column
    for pattern, type_ in _TIMES:
        if pc.all(pc.match_substring_regex(column, pattern)).as_py():
            try:
                return pc.replace_substring(column, ",", ".").cast(type_)
            except pa.ArrowInvalid:
                return column
    return column


def _as_text(column: pa.Array) -> pa.Array:
    if pa.types.is_nested(column.type):
        return pa.array([None if value is None else _json(value) for value in column.to_pylist()], pa.string())
    return column.cast(pa.string())


def _declared(column: pa.Array, type_: pa.DataType, where: str) -> pa.Array:
    """Cast a column to the type that was declared for it."""
    try:
        if pa.types.is_string(type_) and pa.types.is_nested(column.type):
            return _as_text(column)
        if pa.types.is_decimal(type_) and pa.types.is_floating(column.type):
            column = column.cast(pa.string())
        if pa.types.is_timestamp(type_) and type_.tz and pa.types.is_string(column.type):
            naive = pc.all(pc.match_substring_regex(column, _NAIVE)).as_py()
            column = column.cast(pa.timestamp(type_.unit)) if naive and column.null_count < len(column) else column
        return column.cast(type_)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise DataError(
            f"{where} holds values that are not {type_}", value=str(error)[:120], remedy="Check types of the source"
        ) from error
