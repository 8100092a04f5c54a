"""Messages of ``pgoutput`` (version 1): many at once are taken apart by their places in one buffer.

Of a message only the few bytes are looked at that say what it is; tuples are walked column by column, for all rows of
one table together (``tuples.py``). Descriptions of tables come seldom and are read one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from penstock.values import dataclass

Places = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

HEAD = 25
"""Bytes before a message: the letter, where it begins and ends in the log, and the moment it was sent."""
COMMIT = ord("C")
"""The letter of the message that ends a transaction."""
_EPOCH = 946_684_800_000_000
"""Microseconds from 1970 to 2000."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """A column as a message describes it; ``key`` says that it belongs to the identity of a row."""

    name: str
    type: int
    modifier: int
    key: bool


@dataclass(frozen=True, slots=True)
class Relation:
    """A table as a message describes it.

    Attributes:
        number: Its object id.
        schema: Its schema.
        name: Its name.
        identity: How its rows are told apart: ``d`` by the primary key, ``i`` by an index, ``f`` by all, ``n`` by none.
        columns: Its columns.
    """

    number: int
    schema: str
    name: str
    identity: str
    columns: tuple[Attribute, ...]

    @property
    def table(self) -> str:
        """Return the table as ``schema.name``."""
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True, slots=True)
class Begun:
    """A transaction that has begun: where its commit stands in the log, and when that was, in microseconds."""

    commit: int = 0
    at: int = 0


class Messages:
    """Messages in one buffer.

    Args:
        buffer: The messages, each with its head.
        sizes: How many bytes each has.
    """

    def __init__(self, buffer: bytes, sizes: Sequence[int]) -> None:
        self.buffer = buffer
        self.raw: Bytes = np.frombuffer(buffer, np.uint8)
        lengths = np.array(sizes, np.int64)
        self.starts: Places = np.cumsum(lengths) - lengths + HEAD
        self.kinds: Bytes = self.raw[self.starts]

    def of(self, kinds: bytes) -> Places:
        """Return which messages are of one of some kinds, by their letters."""
        if len(kinds) == 1:
            return np.flatnonzero(self.kinds == kinds[0])
        wanted = np.zeros(256, np.bool_)
        wanted[list(kinds)] = True
        return np.flatnonzero(wanted[self.kinds])

    def end(self, place: int) -> int:
        """Return where the log goes on after the commit that a message tells of."""
        return number(self.buffer, int(self.starts[place]) + 10, 8)

    def transactions(self, changes: Places, open_: Begun) -> tuple[Places, Places, Begun]:
        """Return commit and moment of the transactions that changes are of, and the one that begins last.

        Args:
            changes: The changes, by place.
            open_: The transaction that was begun before these messages.
        """
        begins = self.of(b"B")
        at = self.starts[begins]
        commits = np.concatenate(([open_.commit], numbers(self.raw, at + 1, 8)))
        moments = np.concatenate(([open_.at], numbers(self.raw, at + 9, 8) + _EPOCH))
        of = np.searchsorted(begins, changes)
        return commits[of], moments[of], Begun(int(commits[-1]), int(moments[-1]))

    def relations(self) -> Iterator[tuple[int, Relation]]:
        """Yield the descriptions of tables, with their places."""
        for place in self.of(b"R").tolist():
            yield place, _relation(self.buffer, int(self.starts[place]) + 1)

    def truncated(self) -> Iterator[tuple[int, int]]:
        """Yield place and table of each truncation."""
        for place in self.of(b"T").tolist():
            at = int(self.starts[place]) + 1
            for each in range(number(self.buffer, at, 4)):
                yield place, number(self.buffer, at + 5 + 4 * each, 4)


def numbers(raw: Bytes, at: Places, size: int) -> Places:
    """Return the numbers of 4 or 8 bytes that stand at places."""
    # One number for each byte at which one may begin: they lie over each other, and only those asked for are read.
    every: npt.NDArray[Any] = np.ndarray((max(0, len(raw) - size + 1),), f">u{size}", raw, strides=(1,))
    return every[at].astype(np.int64)


def number(buffer: bytes, at: int, size: int) -> int:
    """Return the number that stands at a place."""
    return int.from_bytes(buffer[at : at + size], "big")


def _relation(buffer: bytes, at: int) -> Relation:
    oid, at = number(buffer, at, 4), at + 4
    schema, at = _text(buffer, at)
    name, at = _text(buffer, at)
    identity, count, at = chr(buffer[at]), number(buffer, at + 1, 2), at + 3
    columns = []
    for _ in range(count):
        flags = buffer[at]
        column, at = _text(buffer, at + 1)
        modifier = int.from_bytes(buffer[at + 4 : at + 8], "big", signed=True)
        columns.append(Attribute(column, number(buffer, at, 4), modifier, bool(flags & 1)))
        at += 8
    return Relation(oid, schema or "pg_catalog", name, identity, tuple(columns))


def _text(buffer: bytes, at: int) -> tuple[str, int]:
    end = buffer.index(0, at)
    return buffer[at:end].decode(), end + 1
