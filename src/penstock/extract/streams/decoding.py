"""Decoding: the values of many messages become columns in one call; what is no row is found and named.

A format is a ``Decoder``. It gives pieces, in the order of the messages, and says of each message that is no row why.
Nothing here knows of offsets: a message is named by its place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa

from penstock.model.entries import Column
from penstock.names import DISCARDED


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows of one shape.

    Attributes:
        places: The place of each row's message, ascending.
        rows: The columns that were in the messages.
    """

    places: pa.Int64Array
    rows: pa.Table


@dataclass(frozen=True, slots=True)
class Decoded:
    """What messages hold.

    Attributes:
        pieces: Their rows; a message stands in one piece at most, and pieces may be mixed with each other.
        misfits: Place to why the message is no row: a word.
    """

    pieces: tuple[Piece, ...] = ()
    misfits: dict[int, str] = field(default_factory=dict)


class Decoder(Protocol):
    """A format of messages; it may remember what it has seen, for one stream in one process.

    Attributes:
        known: The columns that rows are known to have; a message may lack any of them.
    """

    known: Mapping[str, pa.DataType]

    def decode(self, values: pa.BinaryArray) -> Decoded:
        """Decode values, of which none is null."""
        ...


class TextDecoder:
    """Messages that are lines of text, with one column ``line``."""

    known: Mapping[str, pa.DataType] = {"line": pa.string()}

    def decode(self, values: pa.BinaryArray) -> Decoded:
        """Take each message as a text; one that is no UTF-8 is no row."""
        bad = undecodable(values)
        good = _others(len(values), bad)
        texts = values.take(good).cast(pa.string())
        return Decoded((Piece(good, pa.table({"line": texts})),), dict.fromkeys(bad, "wrong_encoding"))


class BytesDecoder:
    """Messages that are taken as they are, with one column ``value``."""

    known: Mapping[str, pa.DataType] = {"value": pa.binary()}

    def decode(self, values: pa.BinaryArray) -> Decoded:
        """Take each message as bytes."""
        return Decoded((Piece(_others(len(values), ()), pa.table({"value": values})),))


def decoder(format_: str, columns: Sequence[Column] = ()) -> Decoder:
    """Return a decoder of a format: ``json``, ``text`` or ``bytes``.

    Args:
        format_: The format.
        columns: The columns that the table has so far, those of the envelope left out.
    """
    if format_ == "json":
        from penstock.extract.streams.json_decoding import JsonDecoder, type_of

        found = {column.at_source: type_of(column.type) for column in columns if column.name != DISCARDED}
        return JsonDecoder({name: type_ for name, type_ in found.items() if type_ is not None})
    if format_ == "bytes":
        return BytesDecoder()
    return TextDecoder()


def undecodable(values: pa.BinaryArray) -> list[int]:
    """Return the places of values that are no UTF-8."""
    try:
        values.cast(pa.string())
    except pa.ArrowInvalid:
        if len(values) == 1:
            return [0]
        half = len(values) // 2
        return [*undecodable(values[:half]), *(half + place for place in undecodable(values[half:]))]
    return []


def _others(length: int, without: Sequence[int]) -> pa.Int64Array:
    left = set(without)
    return pa.array([place for place in range(length) if place not in left] if left else range(length), pa.int64())
