"""Entries of Redis as messages: one field is the message, or all of them are, as a JSON object of texts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from penstock.extract.streams.port import HEADERS, MOMENT
from penstock.extract.streams.redis_client import Entry
from penstock.extract.streams.redis_offsets import offsets_of

_AS_BYTES = pa.binary()
_ESCAPED = {b"\\": b"\\\\", b'"': b'\\"', **{bytes([code]): b"\\u%04x" % code for code in range(0x20)}}
"""What JSON wants escaped within a text; the backslash comes first, since the others bring some."""


def messages(entries: Sequence[Entry], stream: str, value: str | None) -> pa.RecordBatch:
    """Return entries as messages, with their ids as keys.

    Args:
        entries: The entries.
        stream: The stream, for errors.
        value: The field that is the message, the others being its headers; None: all are.

    Raises:
        DataError: An id cannot be an offset.
    """
    ids = [entry[0] for entry in entries]
    offsets, milliseconds = offsets_of(ids, stream)
    columns = {
        "offset": offsets,
        "timestamp": pc.multiply(milliseconds, 1000).cast(MOMENT),
        "key": pa.array(ids, _AS_BYTES).cast(pa.string()),
    }
    fields = [entry[1] for entry in entries]
    if value is None:
        columns["value"] = _objects(fields)
    else:
        columns["value"], columns["headers"] = _one(fields, value.encode())
    return pa.RecordBatch.from_pydict(columns)


def _objects(fields: Sequence[Sequence[bytes]]) -> pa.BinaryArray:
    """Return a JSON object of each entry's fields: those with the same names in one go."""
    alike: dict[tuple[bytes, ...], list[int]] = {}
    for place, each in enumerate(fields):
        alike.setdefault(tuple(each[::2]), []).append(place)
    made = []
    for names, places in alike.items():
        values = zip(*(fields[place][1::2] for place in places), strict=True)
        parts = list[Any]()
        for name, column in zip(names, values, strict=True):
            lead = b"," if parts else b"{"
            parts += [pa.scalar(lead + _name(name) + b':"', _AS_BYTES), _escaped(pa.array(column, _AS_BYTES))]
            parts.append(pa.scalar(b'"', _AS_BYTES))
        joined = pc.binary_join_element_wise(*parts, pa.scalar(b"}", _AS_BYTES), pa.scalar(b"", _AS_BYTES))
        made.append(joined)
    if len(made) == 1:
        return made[0]
    order = pc.sort_indices(pa.array([place for places in alike.values() for place in places], pa.int64()))
    return pa.concat_arrays(made).take(order)


def _one(fields: Sequence[Sequence[bytes]], name: bytes) -> tuple[pa.BinaryArray, pa.ListArray]:
    """Return the field that is the message, empty (and so no row) where an entry lacks it, and what is beside it."""
    found, names, values, ends = [], list[str](), list[bytes](), [0]
    for each in fields:
        message = b""
        for other, value in zip(each[::2], each[1::2], strict=True):
            if other == name:
                message = value
            else:
                names.append(other.decode(errors="backslashreplace"))
                values.append(value)
        found.append(message)
        ends.append(len(names))
    beside = pa.StructArray.from_arrays(
        [pa.array(names, pa.string()), pa.array(values, _AS_BYTES)], fields=list(HEADERS.value_type)
    )
    headers = pa.ListArray.from_arrays(pa.array(ends, pa.int32()), beside).cast(HEADERS)
    return pa.array(found, _AS_BYTES), headers


def _name(name: bytes) -> bytes:
    return json.dumps(name.decode(errors="backslashreplace"), ensure_ascii=False).encode()


def _escaped(column: pa.BinaryArray) -> pa.BinaryArray:
    """Escape what JSON wants escaped, where there is any; what is no UTF-8 stays, for the decoder to find."""
    if not pc.any(pc.match_substring_regex(column, r'[\x00-\x1f"\\]')).as_py():
        return column
    for raw, escaped in _ESCAPED.items():
        column = pc.replace_substring(column, raw, escaped)
    return column
