"""What the footers of Parquet files tell: read here where they are small, else, or once it is at hand, by Arrow.

A footer of some kilobytes is read in less time than Arrow takes to be imported. The numbers of fields are those of
``parquet.thrift``, https://github.com/apache/parquet-format.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from penstock.arrow import at_hand, pa, pq
from penstock.errors import BugError, DataError
from penstock.stores import thrift
from penstock.values import dataclass

_MAGIC = b"PAR1"
_TAIL = 8
_SMALL = 32 * 2**10
"""Bytes of a footer up to which it is read here."""
_BYTE_ARRAY, _REPEATED, _DECIMAL = 6, 2, 5
_FOREIGN = (BugError, LookupError, TypeError, ValueError, AttributeError, RuntimeError)
"""What comes of a footer that has another shape than Parquet's."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A column of a file, or a member of a nested one.

    Attributes:
        column: The column; empty for a member of a nested one, whose path may be that of a column.
        digits: Of a decimal; else 0.
    """

    column: str
    digits: int


class Group(Protocol):
    """A row group; leaves are told by their places.

    Attributes:
        rows: How many it has.
        bytes: How large it is, not compressed.
    """

    rows: int
    bytes: int

    def nulls(self, leaf: int) -> int | None:
        """Return how many values are null; None: it does not tell."""
        ...

    def texts(self, leaf: int) -> tuple[int, int]:
        """Return how many bytes, not compressed, and how many values there are of texts or bytes; else zeros."""
        ...


@dataclass(frozen=True, slots=True)
class Footer:
    """What a footer tells.

    Attributes:
        rows: Of the file.
        leaves: In their order.
        groups: Its row groups.
    """

    rows: int
    leaves: tuple[Leaf, ...]
    groups: Sequence[Group]


def footer(path: str) -> Footer:
    """Return the footer of a file on this disk.

    Raises:
        DataError: It is no whole Parquet file, or cannot be opened.
    """
    try:
        data = _small(path) if not at_hand() else None
        if data is not None:
            return _own(thrift.read(data))
    except (OSError, *_FOREIGN) as error:
        raise DataError(f"{path} is no whole Parquet file") from error
    try:
        found, leaves = by_arrow(path)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path} is no whole Parquet file") from error
    groups = [_ArrowGroup(found.row_group(place)) for place in range(found.num_row_groups)]
    return Footer(found.num_rows, leaves, groups)


def by_arrow(path: str) -> tuple[pq.FileMetaData, tuple[Leaf, ...]]:
    """Return Arrow's footer of a file, and its leaves.

    What tells them in that footer, ``schema``, holds the footer itself, until somebody searches for cycles.
    """
    with pq.ParquetFile(path) as opened:
        fields = list(opened.schema_arrow)
        return opened.metadata, tuple(leaf for field in fields for leaf in _arrow_leaves(field.type, field.name))


def _small(path: str) -> bytes | None:
    """Return the bytes of a footer; None where it is large, or none that is read here."""
    with open(path, "rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL - _SMALL))
        end = file.read()
    length = int.from_bytes(end[-_TAIL:-4], "little")
    if end[-4:] != _MAGIC or length > len(end) - _TAIL:
        return None
    return end[-_TAIL - length : -_TAIL]


def _own(fields: thrift.Struct) -> Footer:
    elements = iter(fields[2][1][1])
    columns = range(_told(next(elements), 5, 0))
    leaves = tuple(leaf for _ in columns for leaf in _own_leaves(elements, top=True))
    groups = [_OwnGroup(group, len(leaves)) for group in _told(fields, 4, (None, []))[1]]
    return Footer(int(fields[3][1]), leaves, groups)


def _own_leaves(elements: Iterator[thrift.Struct], *, top: bool) -> Iterator[Leaf]:
    """Yield the leaves of the next element of a schema, in which each one stands before its members."""
    element = next(elements)
    members = _told(element, 5, 0)
    for _ in range(members):
        yield from _own_leaves(elements, top=False)
    if not members:
        logical = _told(element, 10, {})
        digits = _told(logical[_DECIMAL][1], 2, 0) if _DECIMAL in logical else _told(element, 8, 0)
        alone = top and _told(element, 3, 0) != _REPEATED
        yield Leaf(element[4][1].decode() if alone else "", int(digits))


def _told(fields: thrift.Struct, number: int, otherwise: Any) -> Any:
    return fields[number][1] if number in fields else otherwise


class _OwnGroup:
    def __init__(self, fields: thrift.Struct, leaves: int) -> None:
        self.rows = int(fields[3][1])
        self.bytes = int(fields[2][1])
        self._nulls: list[int | None] = []
        self._texts = []
        for chunk in (_told(each, 3, {}) for each in fields[1][1][1]):
            nulls = _told(_told(chunk, 12, {}), 3, None)
            self._nulls.append(None if nulls is None else int(nulls))
            size, values = int(chunk[6][1]), int(chunk[5][1])
            self._texts.append((size, values) if chunk[1][1] == _BYTE_ARRAY else (0, 0))
        if len(self._texts) != leaves:
            raise BugError("A row group of Parquet has other columns than its file")

    def nulls(self, leaf: int) -> int | None:
        return self._nulls[leaf]

    def texts(self, leaf: int) -> tuple[int, int]:
        return self._texts[leaf]


def _arrow_leaves(type_: pa.DataType, column: str) -> Iterator[Leaf]:
    if isinstance(type_, pa.BaseExtensionType):
        type_ = type_.storage_type
    for place in range(type_.num_fields):
        yield from _arrow_leaves(type_.field(place).type, "")
    if not type_.num_fields:
        yield Leaf(column, type_.precision if pa.types.is_decimal(type_) else 0)


class _ArrowGroup:
    def __init__(self, group: pq.RowGroupMetaData) -> None:
        self.rows: int = group.num_rows
        self.bytes: int = group.total_byte_size
        self._group = group

    def nulls(self, leaf: int) -> int | None:
        told = self._group.column(leaf).statistics
        return told.null_count if told is not None and told.has_null_count else None

    def texts(self, leaf: int) -> tuple[int, int]:
        chunk = self._group.column(leaf)
        return (chunk.total_uncompressed_size, chunk.num_values) if chunk.physical_type == "BYTE_ARRAY" else (0, 0)
