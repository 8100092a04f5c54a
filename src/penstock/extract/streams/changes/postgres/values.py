"""From PostgreSQL's text to Arrow: the types and values that a reading of the table gives (``database/postgres``).

A column is converted in one call. Values that Arrow does not read (years past 9999 or before 1, intervals, lists with
quoted elements) are converted one by one, where there are any; a value that no Arrow type holds (infinity, NaN in a
decimal) leaves the column of that batch as texts, and the contract of the table decides.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_ODD = r"^\d{5,}-|BC$"
_INTERVAL = re.compile(
    r"(?:([+-]?\d+) years? ?)?(?:([+-]?\d+) mons? ?)?(?:([+-]?\d+) days? ?)?(?:([+-]?)(\d+):(\d\d):(\d\d(?:\.\d+)?))?"
)
_FRACTION = 6


def convert(texts: pa.StringArray, base: str, type_: pa.DataType) -> pa.Array:
    """Return texts of PostgreSQL as values; as texts where one of them is none of the type.

    Args:
        texts: The texts; null where there is no value.
        base: The name of the type beneath domains, ``_`` before that of an array's elements.
        type_: What a reading of the table gives.
    """
    if type_ == pa.string() and base != "inet":
        return texts
    try:
        return _lists(texts, base[1:], type_) if pa.types.is_list(type_) else _scalars(texts, base, type_)
    except (pa.ArrowInvalid, ValueError, OverflowError):
        return _json(texts, base[1:]) if pa.types.is_list(type_) else texts


def _json(texts: pa.StringArray, base: str) -> pa.StringArray:
    """Return arrays of any shape as JSON, as a reading of the table gives those that are no lists."""
    plain = base in ("int2", "int4", "int8", "float4", "float8", "numeric", "oid")

    def element(text: str | None) -> Any:
        if text is None:
            return None
        if base == "bool":
            return text == "t"
        if base in ("json", "jsonb"):
            return _Bare(text)
        return _Bare(text) if plain and text.lstrip("-")[:1].isdigit() else text

    def written(value: Any) -> str:
        if isinstance(value, list):
            return f"[{','.join(written(each) for each in value)}]"
        return value if isinstance(value, _Bare) else json.dumps(value, ensure_ascii=False)

    def nested(text: str) -> Any:
        bounds = re.match(r"(?:\[-?\d+:-?\d+\])+=", text)
        return _nested(text, bounds.end() if bounds else 0, element)[0]

    return pa.array([None if text is None else written(nested(text)) for text in texts.to_pylist()], pa.string())


class _Bare(str):
    """What stands in JSON as it is."""

    __slots__ = ()


def _scalars(texts: pa.StringArray, base: str, type_: pa.DataType) -> pa.Array:
    own = _OWN.get(base)
    if own is not None:
        return own(texts, type_)
    if isinstance(type_, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(type_, texts.cast(type_.storage_type))
    return texts.cast(type_)


def _booleans(texts: pa.StringArray, type_: pa.DataType) -> pa.Array:  # noqa: ARG001 - one shape for all
    return pc.equal(texts, "t")


def _bytes(texts: pa.StringArray, type_: pa.DataType) -> pa.Array:
    """Return the bytes that digits of base 16 stand for."""
    if texts.null_count == len(texts):
        return pa.nulls(len(texts), type_)
    digits = pc.fill_null(pc.utf8_slice_codeunits(texts, 2), "")
    lengths = pc.binary_length(digits).to_numpy(zero_copy_only=False).astype(np.int64) // 2
    data = bytes.fromhex("".join(digits.to_pylist()))
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    wide = offsets[-1] > np.iinfo(np.int32).max
    kind, size = (pa.large_binary(), np.int64) if wide else (pa.binary(), np.int32)
    made = pa.Array.from_buffers(kind, len(texts), [None, pa.py_buffer(offsets.astype(size)), pa.py_buffer(data)])
    return _nulled(made, texts)


def _uuids(texts: pa.StringArray, type_: pa.DataType) -> pa.Array:
    bare = pc.fill_null(pc.replace_substring(texts, "-", ""), "0" * 32)
    data = bytes.fromhex("".join(bare.to_pylist()))
    made = pa.Array.from_buffers(pa.binary(16), len(texts), [None, pa.py_buffer(data)])
    return pa.ExtensionArray.from_storage(type_, _nulled(made, texts))


def _moments(texts: pa.StringArray, type_: pa.DataType) -> pa.Array:
    odd = pc.fill_null(pc.match_substring_regex(texts, _ODD), False)
    if not pc.any(odd).as_py():
        return texts.cast(type_)
    rest = pc.if_else(odd, pa.scalar(None, pa.string()), texts).cast(type_)
    days = pa.types.is_date(type_)
    unit, size = ("D", np.int32) if days else ("us", np.int64)
    found = [_moment(text) for text in texts.filter(odd).to_pylist()]
    numbers = pa.array(np.array(found, f"datetime64[{unit}]").astype(size))
    return pc.replace_with_mask(rest, odd, numbers.cast(type_))


def _moment(text: str) -> np.datetime64:
    """Return a moment with a year of five digits or before Christ."""
    before = text.endswith(" BC")
    year, _, rest = text.removesuffix(" BC").removesuffix("+00").partition("-")
    # The year before 1 is 0 here, and 1 BC there.
    number = 1 - int(year) if before else int(year)
    return np.datetime64(f"{number:05d}-{rest.replace(' ', 'T')}")


def _clocks(texts: pa.StringArray, type_: pa.DataType) -> pa.Array:
    return pc.binary_join_element_wise("1970-01-01", texts, " ").cast(pa.timestamp("us")).cast(type_)


def _addresses(texts: pa.StringArray, type_: pa.DataType) -> pa.Array:  # noqa: ARG001 - one shape for all
    """Return addresses as a cast writes them, which always tells how many of their bits count."""
    bits = pc.if_else(pc.match_substring(texts, ":"), "/128", "/32")
    return pc.if_else(pc.match_substring(texts, "/"), texts, pc.binary_join_element_wise(texts, bits, ""))


def _money(texts: pa.StringArray, type_: pa.DataType) -> pa.Array:
    return pc.replace_substring_regex(texts, r"[$,]", "").cast(type_)


def _intervals(texts: pa.StringArray, type_: pa.DataType) -> pa.Array:
    return pa.array([None if text is None else _interval(text) for text in texts.to_pylist()], type_)


def _interval(text: str) -> tuple[int, int, int]:
    found = _INTERVAL.fullmatch(text)
    if found is None:
        raise ValueError(text)
    years, months, days, sign, hours, minutes, seconds = found.groups()
    whole, _, fraction = (seconds or "0").partition(".")
    clock = (int(hours or 0) * 60 + int(minutes or 0)) * 60 + int(whole)
    nanoseconds = (clock * 10**_FRACTION + int(fraction.ljust(_FRACTION, "0") or 0)) * 1000
    return (
        int(years or 0) * 12 + int(months or 0),
        int(days or 0),
        -nanoseconds if sign == "-" else nanoseconds,
    )


_OWN: dict[str, Callable[[pa.StringArray, pa.DataType], pa.Array]] = {
    "bool": _booleans,
    "bytea": _bytes,
    "uuid": _uuids,
    "date": _moments,
    "timestamp": _moments,
    "timestamptz": _moments,
    "time": _clocks,
    "inet": _addresses,
    "money": _money,
    "interval": _intervals,
}


def _lists(texts: pa.StringArray, base: str, type_: pa.ListType) -> pa.Array:
    """Return arrays of one dimension; others are none of the type."""
    if pc.any(pc.match_substring_regex(texts, r"^\[|^\{\{")).as_py():
        raise ValueError
    if pc.any(pc.match_substring(texts, '"')).as_py():
        pieces = pa.array(
            [None if text is None else _nested(text, 0, _same)[0] for text in texts.to_pylist()], pa.list_(pa.string())
        )
    else:
        inner = pc.utf8_slice_codeunits(texts, 1, -1)
        pieces = pc.split_pattern(inner, ",")
        empty = pc.fill_null(pc.equal(inner, ""), False)
        if pc.any(empty).as_py():
            pieces = pc.if_else(empty, pa.scalar([], pa.list_(pa.string())), pieces)
        values = pieces.values
        null = pc.equal(values, "NULL")
        values = pc.if_else(null, pa.scalar(None, pa.string()), values)
        pieces = pa.ListArray.from_arrays(pieces.offsets, values, mask=pieces.is_null() if pieces.null_count else None)
    flat = pieces.values
    made = flat if type_.value_type == pa.string() and base != "inet" else _scalars(flat, base, type_.value_type)
    mask = pieces.is_null() if pieces.null_count else None
    return pa.ListArray.from_arrays(pieces.offsets, made, type=type_, mask=mask)


def _same(text: str | None) -> str | None:
    return text


def _nested(text: str, at: int, element: Callable[[str | None], Any]) -> tuple[list[Any], int]:
    """Return the elements of an array that begins at a place, and the place behind it."""
    found: list[Any] = []
    at += 1
    while text[at] != "}":
        if text[at] == "{":
            inner, at = _nested(text, at, element)
            found.append(inner)
        elif text[at] == '"':
            piece, at = _quoted(text, at + 1)
            found.append(element(piece))
        else:
            end = min(place for place in (text.find(",", at), text.find("}", at)) if place >= 0)
            found.append(element(None if text[at:end] == "NULL" else text[at:end].replace("\\", "")))
            at = end
        at += text[at] == ","
    return found, at + 1


def _quoted(text: str, at: int) -> tuple[str, int]:
    piece = ""
    while text[at] != '"':
        at += text[at] == "\\"
        piece += text[at]
        at += 1
    return piece, at + 1


def _nulled(made: pa.Array, texts: pa.Array) -> pa.Array:
    """Return values with the nulls of others."""
    return made if not texts.null_count else pc.if_else(texts.is_valid(), made, pa.scalar(None, made.type))
