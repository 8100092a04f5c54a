"""Messages that begin with the number of their schema: a zero byte, four bytes of number, and the value.

The messages of one schema are decoded together. Which columns there are, and of which kinds, is known from the table
and from what came before; a schema whose columns are of other kinds gives no rows, as a text among numbers does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from penstock.extract.streams.decoding import Decoded, Piece
from penstock.extract.streams.families import fit, unites
from penstock.extract.streams.registry import Registered, Registry

HEADER = 5
"""Bytes before the value."""
MAGIC, UNKNOWN, OTHER, BROKEN, UNFIT = (
    "no_schema_id", "unknown_schema", "other_format", "undecodable", "incompatible_schema",
)  # fmt: skip


class UndecodableError(ValueError):
    """Bytes that are nothing of their schema; its text quotes no value."""


class Form(Protocol):
    """Decodes the messages of one schema."""

    def decode(self, payloads: pa.BinaryArray) -> Decoded:
        """Decode values, without what stands before them."""
        ...


class WireDecoder:
    """Decodes messages by the schemas that they name.

    Args:
        registry: Gives schemas.
        type_: The type that they must have at the registry.
        making: Makes the form of a schema. Raises UndecodableError where it cannot be used.
        known: The columns that rows are known to have.
    """

    def __init__(
        self, registry: Registry, type_: str, making: Callable[[Registered], Form], known: Mapping[str, pa.DataType]
    ) -> None:
        self.known: Mapping[str, pa.DataType] = dict(known)
        self._registry = registry
        self._type = type_
        self._making = making
        self._forms: dict[int, Form] = {}
        self._without: dict[int, tuple[str, str]] = {}

    def prepare(self, values: pa.BinaryArray) -> None:
        """Fetch the schemas of values; what is unknown now is asked for again the next time.

        Raises:
            TransientError: The registry cannot be reached.
            ConfigurationError: It refuses us.
        """
        self._without = {number: told for number, told in self._without.items() if told[0] != UNKNOWN}
        for header in pc.unique(_headers(values)).to_pylist():
            number = _number(header)
            if number is None or number in self._forms or number in self._without:
                continue
            found = self._registry.schema(number)
            if found is None:
                self._without[number] = (UNKNOWN, "")
            elif found.type != self._type:
                self._without[number] = (OTHER, found.type)
            else:
                try:
                    self._forms[number] = self._making(found)
                except UndecodableError as error:
                    self._without[number] = (OTHER, str(error))

    def close(self) -> None:
        """Close the connections to the registry."""
        self._registry.close()

    def decode(self, values: pa.BinaryArray) -> Decoded:
        """Decode values; their schemas were prepared."""
        headers = _headers(values).dictionary_encode()
        pieces: list[tuple[int, Piece]] = []
        misfits: dict[int, str] = {}
        details: dict[int, Mapping[str, Any]] = {}
        for place, header in enumerate(headers.dictionary.to_pylist()):
            places = pc.indices_nonzero(pc.equal(headers.indices, place)).cast(pa.int64())
            number = _number(header)
            told = _schema(number)
            form = None if number is None else self._forms.get(number)
            if number is None or form is None:
                why, error = (MAGIC, "") if number is None else self._without.get(number, (UNKNOWN, ""))
                told |= {"error": error} if error else {}
                misfits |= dict.fromkeys(places.to_pylist(), why)
                details |= dict.fromkeys(places.to_pylist(), told)
                continue
            # A slice from a place to the end fails in Arrow where less is left than is cut off.
            found = form.decode(pc.binary_replace_slice(values.take(places), 0, HEADER, b""))
            pieces += [(number, Piece(places.take(piece.places), piece.rows)) for piece in found.pieces]
            for at, why in found.misfits.items():
                misfits[places[at].as_py()] = why
                details[places[at].as_py()] = {**told, **found.details.get(at, {})}
        kept = []
        for number, piece in sorted(pieces, key=lambda each: each[1].places[0].as_py()):
            if self._takes(piece):
                kept.append(piece)
            else:
                misfits |= dict.fromkeys(piece.places.to_pylist(), UNFIT)
                details |= dict.fromkeys(piece.places.to_pylist(), _schema(number))
        return Decoded(unites(kept), misfits, details)

    def _takes(self, piece: Piece) -> bool:
        """Say whether columns are of the kinds that are known, and learn of those that are not known yet."""
        schema = piece.rows.schema
        if not all(fit(field.type, self.known[field.name]) for field in schema if field.name in self.known):
            return False
        told = {field.name: field.type for field in schema if not pa.types.is_null(field.type)}
        self.known = {**told, **self.known}
        return True


def halved(payloads: pa.BinaryArray, rows: Callable[[pa.BinaryArray], pa.Table]) -> Decoded:
    """Decode what can be decoded together; what cannot is looked for by halves.

    Args:
        payloads: The values.
        rows: Decodes values in one call; raises UndecodableError where one of them is none.
    """
    found: list[tuple[int, pa.Table]] = []
    misfits: dict[int, str] = {}
    details: dict[int, Mapping[str, Any]] = {}

    def part(first: int, end: int) -> None:
        try:
            found.append((first, rows(payloads[first:end])))
        except UndecodableError as error:
            if end - first == 1:
                misfits[first], details[first] = BROKEN, {"error": str(error)[:200]}
                return
            middle = (first + end) // 2
            part(first, middle)
            part(middle, end)

    if len(payloads):
        part(0, len(payloads))
    if not found:
        return Decoded((), misfits, details)
    places = [place for first, table in found for place in range(first, first + table.num_rows)]
    table = pa.concat_tables([table for _, table in found]) if len(found) > 1 else found[0][1]
    return Decoded((Piece(pa.array(places, pa.int64()), table),), misfits, details)


def _headers(values: pa.BinaryArray) -> pa.BinaryArray:
    """Return what stands before values; nothing of a value that names no schema, so that these are alike."""
    headers = pc.binary_slice(values, 0, HEADER)
    named = pc.and_(pc.starts_with(headers, b"\x00"), pc.equal(pc.binary_length(headers), HEADER))
    return pc.if_else(named, headers, pa.scalar(b"", pa.binary()))


def _number(header: bytes) -> int | None:
    return int.from_bytes(header[1:], "big") if header else None


def _schema(number: int | None) -> dict[str, Any]:
    return {} if number is None else {"schema": number}
