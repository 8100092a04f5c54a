"""Rows in events of the binary log: where each value begins, column by column, for the next row of all events at once.

The rows of one event follow each other without a word of where they begin, so they are walked one after the other; but
the first rows of all events are walked together, then the second ones. Events have some 8 KiB, so that rounds are few.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from penstock.extract.streams.changes.mysql.shapes import Column
from penstock.values import dataclass

Places = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Images:
    """Rows as they were or are, in the order of the log.

    Attributes:
        owners: Of each its event, by its place among those that were given.
        rounds: Its number in its event.
        starts: Column by column where its value begins.
        lengths: Column by column how long it is.
        nulls: Column by column whether it is null.
    """

    owners: Places
    rounds: Places
    starts: Places
    lengths: Places
    nulls: Flags

    def take(self, places: Places | Flags) -> Images:
        """Return some of them."""
        return Images(
            self.owners[places],
            self.rounds[places],
            self.starts[:, places],
            self.lengths[:, places],
            self.nulls[:, places],
        )


def walk(raw: Bytes, at: Places, ends: Places, columns: Sequence[Column]) -> Images:
    """Return the rows of events.

    Args:
        raw: The bytes.
        at: Where the rows of each event begin.
        ends: Where the events end.
        columns: The columns.
    """
    live, number = np.flatnonzero(at < ends), 0
    at = at[live]
    rounds: list[tuple[Places, Places, Places, Places, Flags]] = []
    while len(live):
        starts, lengths, nulls, at = _row(raw, at, columns)
        rounds.append((live, np.full(len(live), number, np.int64), starts, lengths, nulls))
        goes_on = at < ends[live]
        live, at, number = live[goes_on], at[goes_on], number + 1
    if not rounds:
        none = np.zeros((len(columns), 0), np.int64)
        return Images(none[0], none[0], none, none, none.astype(np.bool_))
    parts = list(zip(*rounds, strict=True))
    whole = Images(*(np.concatenate(each, axis=-1) for each in parts))
    return whole if number == 1 else whole.take(np.lexsort((whole.rounds, whole.owners)))


def _row(raw: Bytes, at: Places, columns: Sequence[Column]) -> tuple[Places, Places, Flags, Places]:
    """Return where values begin, how long they are and which are null, of rows that begin at places; and their ends."""
    count = len(columns)
    wide = (count + 7) // 8
    bits = raw[at[:, None] + np.arange(wide)]
    nulls = np.unpackbits(bits, axis=1, count=count, bitorder="little").astype(np.bool_).T
    any_null: Flags = np.any(nulls, axis=1)
    starts = np.empty((count, len(at)), np.int64)
    lengths = np.empty((count, len(at)), np.int64)
    at = at + wide
    for place, column in enumerate(columns):
        there: Flags | None = np.logical_not(nulls[place]) if any_null[place] else None
        prefix = column.prefix
        if not prefix:
            size = column.size
            starts[place], lengths[place] = at, size
            at = at + (size if there is None else size * there)
            continue
        found = _lengths(raw, at, prefix, there)
        starts[place], lengths[place] = at + prefix, found
        at = at + (prefix + found if there is None else (prefix + found) * there)
    return starts, lengths, nulls, at


def _lengths(raw: Bytes, at: Places, prefix: int, there: Flags | None) -> Places:
    """Return the lengths that stand at places; 0 where there is none."""
    at = at if there is None else np.where(there, at, 0)
    found = raw[at].astype(np.int64)
    for place in range(1, prefix):
        found |= raw[at + place].astype(np.int64) << (8 * place)
    return found if there is None else found * there
