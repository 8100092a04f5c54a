"""Dictionaries to Arrow, column by column, without guessing: a column of mixed kinds becomes JSON text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa

_FAILURES = (
    pa.ArrowInvalid,
    pa.ArrowTypeError,
    pa.ArrowNotImplementedError,
    OverflowError,
    TypeError,
    ValueError,
)

_HALF = "\\ud"
"""How the escape of half a surrogate pair begins; a whole character beyond the first 65,536 has two of them."""


class Columns:
    """Turns lists of dictionaries into record batches whose columns keep their order and, once text, stay text.

    Types may widen from batch to batch (null to anything, integer to double); columns may appear late.
    """

    def __init__(self) -> None:
        self._fields: dict[str, pa.DataType] = {}
        self._mixed: set[str] = set()
        self._notes: dict[str, None] = {}

    def batch(self, rows: Sequence[Mapping[str, Any]]) -> pa.RecordBatch:
        """Convert rows; a column that no row of the batch has is null."""
        names = dict.fromkeys(self._fields)
        for row in rows:
            names.update(dict.fromkeys(row))
        arrays = [self._column(str(name), [row.get(name) for row in rows]) for name in names]
        self._fields = {str(name): array.type for name, array in zip(names, arrays, strict=True)}
        return pa.RecordBatch.from_arrays(arrays, names=list(self._fields))

    def notes(self) -> tuple[str, ...]:
        """Return sentences about columns of mixed kinds."""
        return tuple(self._notes)

    def _column(self, name: str, values: list[Any]) -> pa.Array:
        known = self._fields.get(name)
        if name in self._mixed:
            return self._text(name, values)
        try:
            array = _typed(values)
        except _FAILURES:
            return self._text(name, values)
        if known is None or array.type.equals(known):
            return array
        return _widened(array, known)

    def _text(self, name: str, values: list[Any]) -> pa.Array:
        present = [value for value in values if value is not None]
        if all(isinstance(value, str) for value in present):
            self._notes[f"{name} holds texts that are no valid Unicode; the parts that are not became '?'"] = None
            return pa.array([None if value is None else _valid(value) for value in values], pa.string())
        self._mixed.add(name)
        self._notes[f"{name} holds values of several kinds, or of none that Arrow knows; it is kept as JSON text"] = (
            None
        )
        texts = pa.array([None if value is None else _json(value) for value in values], pa.string())
        if any(_HALF in text and not _whole(text) for text in texts.to_pylist() if text is not None):
            return texts
        return pa.ExtensionArray.from_storage(pa.json_(pa.string()), texts)


def _typed(values: list[Any]) -> pa.Array:
    kinds = set(map(type, values)) - {type(None)}
    # Arrow would cut a datetime after a date to its day, and drop the zone of one after a naive one.
    if datetime in kinds and (
        len(kinds) > 1 or len({value.tzinfo is None for value in values if value is not None}) > 1
    ):
        raise TypeError("moments of several kinds")
    if kinds == {int}:
        return _integers(values)
    if bytes in kinds and str in kinds:
        raise TypeError("bytes and texts")
    array = pa.array(values, from_pandas=False)
    if pa.types.is_timestamp(array.type) and array.type.tz is not None:
        return array.cast(pa.timestamp(array.type.unit, "UTC"))
    return array


def _integers(values: list[Any]) -> pa.Array:
    """Return 64-bit integers, or exact decimals where those do not suffice."""
    try:
        return pa.array(values, pa.int64())
    except OverflowError:
        return pa.array([None if value is None else Decimal(value) for value in values], pa.decimal128(38, 0))


def _widened(array: pa.Array, known: pa.DataType) -> pa.Array:
    """Return the array in the type that holds it and what came before; in its own type where there is none."""
    pair = [pa.schema([pa.field("x", known)]), pa.schema([pa.field("x", array.type)])]
    try:
        return array.cast(pa.unify_schemas(pair, promote_options="permissive").field(0).type)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        return array


def _whole(text: str) -> bool:
    """Say whether a text of JSON has no half of a surrogate pair, which readers of JSON refuse."""
    try:
        json.dumps(json.loads(text), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    return str(value)


def _valid(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
