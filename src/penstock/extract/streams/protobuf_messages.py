"""Protobuf messages: those of one message type are decoded together, by a native reader from bytes to columns.

A field that is absent and can be told to be so is null; others have their default, as Protobuf has it. Enumerations
are the names of their values, moments have microseconds, and what a recursive type repeats are its bytes.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from functools import partial
from importlib import import_module
from typing import Any

import ptars
import pyarrow as pa
import pyarrow.compute as pc
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.message import DecodeError

from penstock.extract.streams.decoding import Decoded, Piece
from penstock.extract.streams.families import nullable
from penstock.extract.streams.registry import Registered
from penstock.extract.streams.wire import BROKEN, UndecodableError, halved

_NO_TYPE = {"error": "no message type of the schema"}
_MOST_INDEXES = 16
"""Types within types: nobody nests more."""
_LONGEST = 2 * (1 + _MOST_INDEXES)
"""Bytes of a list of indexes at most, in files of fewer than 8,192 types."""
_WELL_KNOWN = ("google/protobuf/", "google/type/")
_OPTIONS_ALONE = "confluent/meta.proto"
"""A file that registries do not name either, and that holds nothing but what is said of fields."""


class ProtobufForm:
    """Decodes the messages of one schema, which may be of any of its message types.

    Args:
        registered: The schema.

    Raises:
        UndecodableError: The registry gives no compiled form of it, or one that cannot be used.
    """

    def __init__(self, registered: Registered) -> None:
        pool = descriptor_pool.DescriptorPool()
        texts = {**registered.references, "": registered.text}
        name = ""
        try:
            added: set[str] = set()
            for given, text in texts.items():
                file = descriptor_pb2.FileDescriptorProto.FromString(base64.b64decode(text, validate=True))
                file.name = name = given or file.name or "penstock.proto"
                if _OPTIONS_ALONE in file.dependency:
                    file.dependency.remove(_OPTIONS_ALONE)
                self._add_well_known(pool, file.dependency, added)
                pool.AddSerializedFile(file.SerializeToString())
            self._file = pool.FindFileByName(name)
        except (binascii.Error, DecodeError):
            raise UndecodableError(
                f"the registry does not give schema {registered.id} as a descriptor (format=serialized)"
            ) from None
        except (TypeError, KeyError, ValueError) as error:
            raise UndecodableError(
                f"the descriptor of schema {registered.id} cannot be used: {type(error).__name__}"
            ) from None
        config = ptars.PtarsConfig(timestamp_unit="us", time_unit="us", duration_unit="us", enum_repr="string")
        self._pool = ptars.HandlerPool([self._file], config=config)

    def decode(self, payloads: pa.BinaryArray) -> Decoded:
        """Decode messages, each behind the list that says which message type it is."""
        prefixes = _prefixes(payloads).dictionary_encode()
        pieces: list[Piece] = []
        misfits: dict[int, str] = {}
        details: dict[int, Mapping[str, Any]] = {}
        for at, prefix in enumerate(prefixes.dictionary.to_pylist()):
            places = pc.indices_nonzero(pc.equal(prefixes.indices, at)).cast(pa.int64())
            descriptor = self._descriptor(prefix)
            if descriptor is None:
                misfits |= dict.fromkeys(places.to_pylist(), BROKEN)
                details |= dict.fromkeys(places.to_pylist(), _NO_TYPE)
                continue
            handler = self._pool.get_for_message(descriptor)
            found = halved(pc.binary_replace_slice(payloads.take(places), 0, len(prefix), b""), partial(_rows, handler))
            pieces += [Piece(places.take(piece.places), piece.rows) for piece in found.pieces]
            misfits |= {places[place].as_py(): why for place, why in found.misfits.items()}
            details |= {places[place].as_py(): told for place, told in found.details.items()}
        return Decoded(tuple(pieces), misfits, details)

    def _descriptor(self, prefix: bytes) -> Any:
        """Return the message type that a list of indexes leads to; None where it leads nowhere."""
        types = list(self._file.message_types_by_name.values())
        found = None
        for index in _indexes(prefix):
            if index >= len(types):
                return None
            found = types[index]
            # The entries of maps are types for the compiler alone.
            types = [each for each in found.nested_types if not each.GetOptions().map_entry]
        return found

    @staticmethod
    def _add_well_known(pool: Any, names: Iterable[str], added: set[str]) -> None:
        """Add what comes with Protobuf itself, which registries do not name."""
        for name in names:
            if name.startswith(_WELL_KNOWN) and name not in added:
                added.add(name)
                known = _well_known(name)
                ProtobufForm._add_well_known(pool, [each.name for each in known.dependencies], added)
                pool.AddSerializedFile(known.serialized_pb)


def _well_known(name: str) -> Any:
    return import_module(f"{name.removesuffix('.proto').replace('/', '.')}_pb2").DESCRIPTOR


def _rows(handler: Any, payloads: pa.BinaryArray) -> pa.Table:
    try:
        found = handler.array_to_record_batch(payloads)
    except ValueError as error:
        raise UndecodableError(str(error).partition(":")[2].strip()) from None
    types = pa.schema([(field.name, nullable(field.type)) for field in found.schema])
    return pa.Table.from_batches([found.cast(types)])


def _prefixes(payloads: pa.BinaryArray) -> pa.BinaryArray:
    """Return the lists of indexes before messages; nothing where there is none, so that these are alike."""
    usual = pc.starts_with(payloads, b"\x00")
    if pc.all(usual).as_py():
        return pc.binary_slice(payloads, 0, 1)
    heads = pc.binary_slice(payloads, 0, _LONGEST).to_pylist()
    return pa.array([head[: _length(head)] for head in heads], pa.binary())


def _length(head: bytes) -> int:
    """Return how many bytes a list of indexes takes; 0 where it is none."""
    count, at = _number(head, 0)
    if not 0 <= count <= _MOST_INDEXES:
        return 0
    for _ in range(count):
        index, at = _number(head, at)
        if index < 0:
            return 0
    return at


def _indexes(prefix: bytes) -> list[int]:
    """Return the indexes of a list; one without any means the first message type."""
    found, at = list[int](), 0
    while at < len(prefix):
        index, at = _number(prefix, at)
        found.append(index)
    return found[1:] or ([0] if found else [])


def _number(data: bytes, at: int) -> tuple[int, int]:
    """Return the zigzag number at a place, and where it ends; -1 where there is none."""
    value = shift = 0
    while at < len(data):
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at
    return -1, at
