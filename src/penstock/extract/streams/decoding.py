"""Decoding: the values of many messages become columns in one call; what is no row is found and named.

A format is a ``Decoder``. It gives pieces, in the order of the messages, and says of each message that is no row why.
Nothing here knows of offsets: a message is named by its place.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import field
from functools import lru_cache
from typing import Any, Protocol, runtime_checkable

import pyarrow as pa

from penstock.model.entries import Column
from penstock.model.scoring import Scoring
from penstock.model.specs import ConnectionSpec
from penstock.names import DISCARDED
from penstock.values import dataclass


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
        details: Place to what else is known of such a message.
    """

    pieces: tuple[Piece, ...] = ()
    misfits: dict[int, str] = field(default_factory=dict)
    details: dict[int, Mapping[str, Any]] = field(default_factory=dict)


class Decoder(Protocol):
    """A format of messages; it may remember what it has seen, for one stream in one process."""

    @property
    def known(self) -> Mapping[str, pa.DataType]:
        """The columns that rows are known to have; a message may lack any of them."""
        ...

    def decode(self, values: pa.BinaryArray) -> Decoded:
        """Decode values, of which none is null."""
        ...


class TextDecoder:
    """Messages that are lines of text, with one column ``line``."""

    known: Mapping[str, pa.DataType] = {"line": pa.string()}

    def decode(self, values: pa.BinaryArray) -> Decoded:
        """Take each message as a text; one that is no UTF-8 is no row."""
        bad = undecodable(values)
        good = others(len(values), bad)
        texts = values.take(good).cast(pa.string())
        return Decoded((Piece(good, pa.table({"line": texts})),), dict.fromkeys(bad, "wrong_encoding"))


class BytesDecoder:
    """Messages that are taken as they are, with one column ``value``."""

    known: Mapping[str, pa.DataType] = {"value": pa.binary()}

    def decode(self, values: pa.BinaryArray) -> Decoded:
        """Take each message as bytes."""
        return Decoded((Piece(others(len(values), ()), pa.table({"value": values})),))


@runtime_checkable
class Preparing(Protocol):
    """What a decoder has besides that asks somebody about messages before it decodes them."""

    def prepare(self, values: pa.BinaryArray) -> None:
        """Ask about values.

        Raises:
            TransientError: Who is asked is away, which is not the messages' fault: ask again later.
        """
        ...

    def close(self) -> None:
        """Release connections."""
        ...


def decoder(
    format_: str,
    columns: Sequence[Column] = (),
    registry: ConnectionSpec | None = None,
    scoring: Scoring | None = None,
) -> Decoder:
    """Return a decoder of a format.

    Args:
        format_: The format: one of ``model.reading_streams.FORMATS``.
        columns: The columns that the table has so far, those of the envelope left out.
        registry: The connection of the schema registry, for formats that have one.
        scoring: What is added to the rows, where something is.
    """
    if scoring is not None:
        from penstock.extract.streams.scoring import scoring_decoder

        own = [column for column in columns if column.at_source not in scoring.columns]
        return scoring_decoder(decoder(format_, own, registry), scoring, columns)
    if registry is not None:
        from penstock.extract.streams.registered import registered

        return registered(format_, tuple(columns), registry)
    if format_ == "json":
        from penstock.extract.streams.json_decoding import JsonDecoder, type_of

        found = {column.at_source: type_of(column.type) for column in columns if column.name != DISCARDED}
        return JsonDecoder({name: type_ for name, type_ in found.items() if type_ is not None})
    if format_ == "csv":
        from penstock.extract.streams.csv_decoding import CsvDecoder

        return CsvDecoder([column.at_source for column in columns if column.name != DISCARDED])
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


def others(length: int, left: Collection[int]) -> pa.Int64Array:
    """Return the places of so many messages but for some."""
    if left:
        without = set(left)
        return pa.array([place for place in range(length) if place not in without], pa.int64())
    # Nearly all micro-batches have some size or less.
    return _counted(1 << max(12, (length - 1).bit_length()))[:length]


@lru_cache(maxsize=1)
def _counted(count: int) -> pa.Int64Array:
    return pa.array(range(count), pa.int64())


def whole(column: pa.ChunkedArray) -> pa.Array:
    """Return a column in one piece."""
    found = column.combine_chunks()
    if not isinstance(found, pa.ChunkedArray):
        return found
    return found.chunk(0) if found.num_chunks else pa.array([], column.type)
