"""Rows in messages: where each value begins and ends, column by column for all rows at once, and its text as Arrow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from penstock.extract.streams.changes.postgres.messages import Bytes, Places, numbers
from penstock.extract.streams.changes.slices import sliced
from penstock.values import dataclass

_TEXT, _UNCHANGED = ord("t"), ord("u")
_OLD = (ord("K"), ord("O"))
_INSERT, _UPDATE, _DELETE = ord("I"), ord("U"), ord("D")


@dataclass(frozen=True, slots=True)
class Cells:
    """The values of one column: the letter of each, where it begins, and its length."""

    kinds: Bytes
    starts: Places
    lengths: Places

    def take(self, places: npt.NDArray[np.int64]) -> Cells:
        """Return some of them."""
        return Cells(self.kinds[places], self.starts[places], self.lengths[places])

    def where(self, chosen: npt.NDArray[np.bool_], others: Cells) -> Cells:
        """Return others where chosen."""
        return Cells(
            np.where(chosen, others.kinds, self.kinds),
            np.where(chosen, others.starts, self.starts),
            np.where(chosen, others.lengths, self.lengths),
        )

    @property
    def unchanged(self) -> npt.NDArray[np.bool_]:
        """Say which were left as they were, and are not told."""
        found: npt.NDArray[np.bool_] = self.kinds == _UNCHANGED
        return found

    def texts(self, buffer: bytes) -> pa.StringArray:
        """Return the texts; null where there is none."""
        return sliced(buffer, self.starts, self.lengths, self.kinds == _TEXT).cast(pa.string())


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one table, in the order of their changes.

    Attributes:
        changes: The place of each row's change among those that were given.
        kinds: The letter of the change: ``I``, ``U`` or ``D``; the old key of a row that got another is ``D`` as well.
        after: Its values, column by column.
        before: The values before, column by column; letters that are zero where they are not told.
    """

    changes: Places
    kinds: Bytes
    after: tuple[Cells, ...]
    before: tuple[Cells, ...]


def walk(raw: Bytes, at: Places, columns: int) -> tuple[list[Cells], Places]:
    """Return the values of tuples that begin at places, and where the tuples end."""
    cells, at = [], at + 2
    for _ in range(columns):
        kinds = raw[at]
        there = kinds == _TEXT
        if there.all():
            lengths = numbers(raw, at + 1, 4)
            cells.append(Cells(kinds, at + 5, lengths))
            at = at + 5 + lengths
            continue
        lengths = np.zeros(len(at), np.int64)
        lengths[there] = numbers(raw, at[there] + 1, 4)
        cells.append(Cells(kinds, np.where(there, at + 5, at), lengths))
        at = np.where(there, at + 5 + lengths, at + 1)
    return cells, at


def rows_of(buffer: bytes, at: Places, columns: int, key: Sequence[int], *, moves: bool) -> Rows:
    """Return the rows of changes of one table.

    Args:
        buffer: The buffer.
        at: Where the changes begin: their letter.
        columns: How many columns the table has.
        key: Which of them name a row.
        moves: A row that gets another key is deleted under the old one.
    """
    raw: Bytes = np.frombuffer(buffer, np.uint8)
    kinds, marks = raw[at], raw[at + 5]
    olds = np.flatnonzero((marks == _OLD[0]) | (marks == _OLD[1]))
    news = np.flatnonzero(kinds != _DELETE)
    old, ends = walk(raw, at[olds] + 6, columns)
    begins = at + 6
    begins[olds] = ends + 1
    new, _ = walk(raw, begins[news], columns)
    if not len(olds):
        nothing = tuple(_none(len(news)) for _ in range(columns))
        return Rows(news, kinds, tuple(new), nothing)
    return _mixed(_Both(buffer, kinds, olds, news, old, new), key, moves=moves)


@dataclass(frozen=True, slots=True)
class _Both:
    """Old and new tuples of changes, by the places of these."""

    buffer: bytes
    kinds: Bytes
    olds: Places
    news: Places
    old: list[Cells]
    new: list[Cells]


def _mixed(both: _Both, key: Sequence[int], *, moves: bool) -> Rows:
    """Return rows where some changes tell what was before."""
    count = len(both.kinds)
    place_new, place_old = (np.full(count, -1, np.int64) for _ in range(2))
    place_new[both.news] = np.arange(len(both.news))
    place_old[both.olds] = np.arange(len(both.olds))
    had = place_old[both.news]
    known = had >= 0
    before = [_taken(each, had) for each in both.old]
    # What an update left as it was is told by the row before, where all of that came.
    after = [
        new.where(new.unchanged & known & (old.kinds == _TEXT), old) for new, old in zip(both.new, before, strict=True)
    ]
    deleted = both.olds[both.kinds[both.olds] == _DELETE]
    moved = both.news[_differ(both.buffer, after, before, known, key)] if moves else np.array([], np.int64)
    gone = np.concatenate((deleted, moved))
    rows = np.concatenate((gone, both.news))
    letters = np.concatenate((np.full(len(gone), _DELETE, np.uint8), both.kinds[both.news]))
    # An old key goes before the new one of the same change.
    order = np.lexsort((np.arange(len(rows)), rows))
    whole = [_taken(each, place_old[gone]) for each in both.old]
    if len(moved):
        emptied = np.arange(len(gone)) >= len(deleted)
        whole = [
            cells if place in key else cells.where(emptied, _none(len(gone), cells.starts))
            for place, cells in enumerate(whole)
        ]
    gone_before = [_none(len(gone), cells.starts) for cells in whole]
    return Rows(
        rows[order],
        letters[order],
        tuple(_joined(one, two).take(order) for one, two in zip(whole, after, strict=True)),
        tuple(_joined(one, two).take(order) for one, two in zip(gone_before, before, strict=True)),
    )


def _differ(
    buffer: bytes, after: Sequence[Cells], before: Sequence[Cells], known: npt.NDArray[np.bool_], key: Sequence[int]
) -> npt.NDArray[np.bool_]:
    """Say which rows have another key than before."""
    found = np.zeros(len(known), np.bool_)
    for column in key if known.any() else ():
        other = pc.not_equal(after[column].texts(buffer), before[column].texts(buffer))
        found |= known & pc.fill_null(other, False).to_numpy(zero_copy_only=False)
    return found


def _taken(cells: Cells, places: Places) -> Cells:
    """Return cells by place; none where the place is less than 0."""
    if not len(cells.kinds):
        return _none(len(places))
    there = places >= 0
    found = cells.take(np.where(there, places, 0))
    return Cells(
        np.where(there, found.kinds, 0).astype(np.uint8),
        found.starts,
        np.where(there, found.lengths, 0),
    )


def _none(count: int, at: Places | None = None) -> Cells:
    return Cells(np.zeros(count, np.uint8), np.zeros(count, np.int64) if at is None else at, np.zeros(count, np.int64))


def _joined(one: Cells, two: Cells) -> Cells:
    return Cells(
        np.concatenate((one.kinds, two.kinds)),
        np.concatenate((one.starts, two.starts)),
        np.concatenate((one.lengths, two.lengths)),
    )
