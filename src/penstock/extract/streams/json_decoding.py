"""Messages that are JSON objects, decoded by Arrow in one call, with the types that were seen before.

Each message is put into a frame with its place: ``{"i":7,"v":…}``. Whatever a broken message does to its neighbours,
the places no longer follow one another then, and the broken ones are looked for by halves. Python looks at those alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from penstock.extract.streams.decoding import Decoded, Piece, others, undecodable, whole
from penstock.schema import Type, parse

_BLOCK = 4 * 2**20
"""Bytes that one thread parses; a longer message makes longer blocks."""
_PIECE = 2**20
"""Bytes that are searched at once."""
_LONG = r"\s*-?[0-9]{17,}"
"""Whole numbers that a DOUBLE might round."""
_PLAIN_NAME = re.compile(r"[ -!#-\[\]-~]+")
"""Names that stand in JSON as they are."""
_MOST_INTEGER = 2**63
_UNFIT = (pa.ArrowException, OverflowError, UnicodeEncodeError)
"""What Arrow raises of a value for which it has no type."""
NO_JSON, NO_OBJECT, REPEATED, ENCODING, TYPE = "no_json", "no_object", "repeated_key", "wrong_encoding", "wrong_type"


class JsonDecoder:
    """Decodes JSON objects; remembers the types of their fields, so that batches agree with each other.

    Args:
        known: Fields and types that are known already.
    """

    def __init__(self, known: Mapping[str, pa.DataType] | None = None) -> None:
        self.known: Mapping[str, pa.DataType] = dict(known or {})

    def decode(self, values: pa.BinaryArray) -> Decoded:
        """Decode messages.

        A text stays a text, whatever it looks like; a number is BIGINT where it is whole, else DOUBLE. A message whose
        fields have other types than those of its neighbours becomes a piece of its own; where the types are of
        different kinds, as a text in a column of numbers, it is no row.
        """
        misfits = dict.fromkeys(undecodable(values), ENCODING)
        places = others(len(values), misfits)
        good = values.take(places) if misfits else values
        rows = self._parsed(good) if len(good) else None
        if rows is not None:
            return Decoded((Piece(places, rows),), misfits)
        odd = self._misfits(good, 0)
        whole = others(len(good), odd)
        pieces = []
        if len(whole):
            rows = self._parsed(good.take(whole))
            if rows is None:
                # Each half was in order by itself, with other types than the other.
                odd, whole = set(range(len(good))), whole[:0]
            else:
                pieces.append(Piece(places.take(whole), rows))
        alone, bad = _one_by_one(good, sorted(odd))
        for found in alone:
            if _fits(found.rows.schema, self.known):
                pieces.append(Piece(places.take(found.places), found.rows))
            else:
                bad |= dict.fromkeys(found.places.to_pylist(), TYPE)
        misfits |= {places[at].as_py(): why for at, why in bad.items()}
        return Decoded(tuple(pieces), misfits)

    def _misfits(self, values: pa.BinaryArray, first: int) -> set[int]:
        """Return the places that keep the others from being decoded together; of types the first that come count."""
        if not len(values) or self._parsed(values) is not None:
            return set()
        if len(values) == 1:
            return {first}
        half = len(values) // 2
        return self._misfits(values[:half], first) | self._misfits(values[half:], first + half)

    def _parsed(self, values: pa.BinaryArray) -> pa.Table | None:
        """Return the rows of all values, and learn their types; None where one of them is no row of the known ones."""
        framed = _framed(values)
        rows = _rows(framed, self.known, len(values))
        if rows is None:
            return None
        told = {name: type_ for name, type_ in ((f.name, _told(f.type)) for f in rows.schema) if type_ is not None}
        if any(not rows.schema.field(name).type.equals(type_) for name, type_ in told.items()):
            rows = _rows(framed, told, len(values))
            if rows is None:
                return None
        long = _rounding(rows.schema, self.known)
        if long and pc.any(pc.match_substring_regex(values, long)).as_py():
            return None
        self.known = {**self.known, **told}
        return rows


def _framed(values: pa.BinaryArray) -> pa.BinaryArray:
    """Return each message with its place, as a line; one after the other they are one text."""
    text = values
    if _broken(values):
        # Between the tokens of JSON a line break means nothing, and within a text it is not permitted.
        text = _unbroken(values)
    end, between = pa.scalar(b"}\n", pa.binary()), pa.scalar(b"", pa.binary())
    return pc.binary_join_element_wise(_numbered(len(values)), text, end, between)


def _broken(values: pa.BinaryArray) -> bool:
    """Say whether there is a line break, by one search through all values where they lie one after the other."""
    if not len(values):
        return False
    _, ends, text = values.buffers()
    at = memoryview(ends).cast("i")
    first, last = at[values.offset], at[values.offset + len(values)]
    return any(b"\n" in text[start : min(start + _PIECE, last)].to_pybytes() for start in range(first, last, _PIECE))


def _numbered(count: int) -> pa.BinaryArray:
    """Return what stands before each of so many messages."""
    # Nearly all micro-batches have some size or less.
    known = _beginnings(1 << max(12, (count - 1).bit_length()))
    return known[:count]


@lru_cache(maxsize=1)
def _beginnings(count: int) -> pa.BinaryArray:
    places = pa.array(range(count), pa.int64()).cast(pa.string())
    return pc.binary_join_element_wise('{"i":', places, ',"v":', "").cast(pa.binary())


def _unbroken(values: pa.BinaryArray) -> pa.BinaryArray:
    """Return values without line breaks; one that is no JSON stays as it is, and is found by that."""

    def compact(value: bytes) -> bytes:
        try:
            json.loads(value)
        except ValueError:
            return value
        return value.replace(b"\r", b" ").replace(b"\n", b" ")

    return pa.array([compact(value) if b"\n" in value else value for value in values.to_pylist()], pa.binary())


def _rows(framed: pa.BinaryArray, known: Mapping[str, pa.DataType], count: int) -> pa.Table | None:
    told = pa.struct(list(known.items()))
    schema = pa.schema([("i", pa.int64()), ("v", told)]) if known else pa.schema([("i", pa.int64())])
    text = framed.buffers()[2]
    longest = max(_BLOCK, pc.max(pc.binary_length(framed)).as_py() + 1)
    try:
        read = pj.read_json(
            pa.BufferReader(text),
            read_options=pj.ReadOptions(block_size=min(longest, text.size)),
            parse_options=pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="infer"),
        ).combine_chunks()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError):
        return None
    if read.schema.names != ["i", "v"] or not pa.types.is_struct(read.schema.field("v").type):
        return None
    values = whole(read.column("v"))
    numbered = read.column("i")
    in_order = read.num_rows == count and numbered.equals(pa.chunked_array([others(count, ())]))
    if not in_order or values.null_count:
        return None
    columns = values.flatten()
    # Fields of nothing but nulls say nothing yet, and columns of the same name are told apart by landing.
    names = [field.name for field in values.type]
    return pa.Table.from_arrays(columns, names=names) if names else _nothing(count)


def _nothing(count: int) -> pa.Table:
    """Return rows without columns: messages that are empty objects."""
    return pa.table({"_": pa.nulls(count)}).select([])


def _told(type_: pa.DataType) -> pa.DataType | None:
    """Return a type as it is told the next time; None: nothing is known of it yet. Moments stay the texts they are."""
    if pa.types.is_null(type_):
        return None
    if pa.types.is_temporal(type_):
        return pa.string()
    if pa.types.is_list(type_):
        item = _told(type_.value_type)
        return None if item is None else pa.list_(item)
    if pa.types.is_struct(type_):
        fields = [(each.name, _told(each.type)) for each in type_]
        kept = [(name, found) for name, found in fields if found is not None]
        return pa.struct(kept) if kept else None
    return type_


_TYPES = {"BIGINT": pa.int64(), "DOUBLE": pa.float64(), "BOOLEAN": pa.bool_(), "VARCHAR": pa.string()}
_AS_TEXT = ("TIMESTAMP", "DATE", "TIME", "UUID", "INTERVAL")


def type_of(type_: str) -> pa.DataType | None:
    """Return as what a column of a DuckDB type stands in JSON; None: that is not sure."""
    try:
        return _type_of(parse(type_))
    except ValueError:
        return None


def _type_of(type_: Type) -> pa.DataType | None:
    if type_.name.startswith(_AS_TEXT):
        return pa.string()
    if type_.name not in ("LIST", "STRUCT"):
        return _TYPES.get(type_.name)
    members = [(name, _type_of(member)) for name, member in type_.members]
    if any(found is None for _, found in members):
        return None
    return pa.list_(members[0][1]) if type_.name == "LIST" else pa.struct(members)


def _fits(schema: pa.Schema, known: Mapping[str, pa.DataType]) -> bool:
    """Say whether columns are of the kinds that are known: landing widens numbers, and writes what it can as text."""
    return all(_alike(field.type, known[field.name]) for field in schema if field.name in known)


def _alike(came: pa.DataType, known: pa.DataType) -> bool:
    if pa.types.is_null(came) or came.equals(known):
        return True
    if pa.types.is_struct(known) and pa.types.is_struct(came):
        fields = {field.name: field.type for field in known}
        return all(_alike(field.type, fields[field.name]) for field in came if field.name in fields)
    if pa.types.is_list(known) and pa.types.is_list(came):
        return _alike(came.value_type, known.value_type)
    if pa.types.is_string(known):
        return not pa.types.is_nested(came)
    return _number(known) and _number(came)


def _number(type_: pa.DataType) -> bool:
    return bool(pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_decimal(type_))


def _rounding(schema: pa.Schema, known: Mapping[str, pa.DataType]) -> str:
    """Return the pattern of whole numbers that were rounded, in fields that were not known as DOUBLE; empty: none."""
    new = [field for field in schema if "double" in str(field.type) and "double" not in str(known.get(field.name))]
    names = {name for field in new for name in _doubles(field.name, field.type)}
    if not names:
        return ""
    if not all(_PLAIN_NAME.fullmatch(name) for name in names):
        # Such a name may be written in many ways: then any long number will do.
        return "(^|[^0-9.])[0-9]{17,}"
    within = "|," if any("list" in str(field.type) for field in new) else ""
    return f'(?:"(?:{"|".join(map(re.escape, sorted(names)))})"\\s*:\\s*\\[*{within}){_LONG}'


def _doubles(name: str, type_: pa.DataType) -> Iterator[str]:
    """Yield the names under which numbers of DOUBLE stand in a field."""
    if pa.types.is_struct(type_):
        for field in type_:
            yield from _doubles(field.name, field.type)
    elif pa.types.is_list(type_):
        yield from _doubles(name, type_.value_type)
    elif pa.types.is_floating(type_):
        yield name


def _one_by_one(values: pa.BinaryArray, odd: Sequence[int]) -> tuple[list[Piece], dict[int, str]]:
    """Decode messages by themselves: those that fit to none of the others, and those that are no rows."""
    pieces: list[Piece] = []
    bad: dict[int, str] = {}
    held: list[tuple[int, dict[str, Any]]] = []
    for place in odd:
        found = _object(values[place].as_py())
        if isinstance(found, str):
            bad[place] = found
            continue
        if held and _shape(held[0][1]) != _shape(found):
            pieces.append(_piece(held, bad))
            held = []
        held.append((place, found))
    if held:
        pieces.append(_piece(held, bad))
    return [piece for piece in pieces if piece.rows.num_rows], bad


def _piece(held: Sequence[tuple[int, dict[str, Any]]], bad: dict[int, str]) -> Piece:
    """Return objects of one shape as rows; those that Arrow has no types for are no rows."""
    kept, tables = [], []
    try:
        tables, kept = [_table([found for _, found in held])], [place for place, _ in held]
    except _UNFIT:
        for place, found in held:
            try:
                tables.append(_table([found]))
                kept.append(place)
            except _UNFIT:
                bad[place] = TYPE
    rows = pa.concat_tables(tables, promote_options="permissive") if tables else pa.table({})
    return Piece(pa.array(kept, pa.int64()), rows)


def _table(objects: Sequence[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(list(objects)) if any(objects) else _nothing(len(objects))


def _shape(value: Any) -> Any:
    """Return what tells objects of different types apart."""
    if isinstance(value, dict):
        return {name: _shape(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_shape(each) for each in value[:1]]
    return type(value)


class _RepeatedError(ValueError):
    """An object has a key twice."""


def _object(value: bytes) -> dict[str, Any] | str:
    """Return a message as an object, or why it is none."""
    try:
        found = json.loads(
            value, object_pairs_hook=_pairs, parse_int=_whole, parse_float=_real, parse_constant=_no_constant
        )
    except _RepeatedError:
        return REPEATED
    except (ValueError, RecursionError):
        return NO_JSON
    return found if isinstance(found, dict) else NO_OBJECT


def _pairs(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _RepeatedError
    for name in found:
        # A lone surrogate can be written as an escape, and is no text.
        name.encode()
    return found


def _whole(text: str) -> int | Decimal:
    number = int(text) if len(text) < 40 else Decimal(text)
    return number if -_MOST_INTEGER <= number < _MOST_INTEGER else Decimal(text)


def _real(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(text)
    return number


def _no_constant(text: str) -> Any:
    raise ValueError(text)
