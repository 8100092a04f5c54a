"""What a workbook is to its reader: sheets, and the cells of a sheet row by row."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Protocol

from penstock.errors import DataError
from penstock.values import dataclass

MOST_ROWS, MOST_COLUMNS = 2**20, 2**14
MOST_TEXT = 2**30
"""The most characters of shared texts that a workbook may have, which are held while it is read."""


class Fault(str):
    """An error cell, as ``#DIV/0!``."""

    __slots__ = ()


class Uncomputed(Fault):
    """A cell with a formula that no program has computed."""

    __slots__ = ()


class Digits(str):
    """An integer of more digits than a number of 64 bits carries."""

    __slots__ = ()


class Large(int):
    """An integer that a double would round."""

    __slots__ = ()


Value = int | float | str | bool | date | datetime | time | timedelta
Row = tuple[int, list[tuple[int, Value]]]
"""A row's place, and the place and value of each cell in it that is not empty; places count from 0."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A sheet with cells.

    Attributes:
        name: Its name.
        hidden: Whether it is not shown.
        part: Where its cells lie, in the words of its workbook.
    """

    name: str
    hidden: bool
    part: str


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle of cells, both ends within it, from 0."""

    top: int = 0
    left: int = 0
    bottom: int = MOST_ROWS
    right: int = MOST_COLUMNS


class Workbook(Protocol):
    """A workbook that is open."""

    @property
    def sheets(self) -> tuple[Sheet, ...]:
        """The sheets with cells, in their order."""
        ...

    def rows(self, sheet: Sheet) -> Iterator[Row]:
        """Yield the rows that have cells; may be asked for again."""
        ...

    def merged(self, sheet: Sheet) -> list[Area]:
        """Return the merged cells; known once ``rows`` was drained."""
        ...

    def close(self) -> None:
        """Release the file."""
        ...


def number(text: str) -> Value:
    """Return a number as it is written: an integer where it is one."""
    try:
        value = float(text)
    except ValueError:
        return text
    if len(text) > 15 and text.lstrip("-").isdecimal():
        exact = int(text)
        return (Large(exact) if abs(exact) > 2**53 else exact) if -(2**63) <= exact < 2**63 else Digits(text)
    return plain(value)


def plain(value: float) -> Value:
    """Return a double as an integer where it is one that doubles tell from its neighbours."""
    return int(value) if value.is_integer() and -(2.0**53) <= value <= 2.0**53 else value


_REFERENCE = re.compile(r"\$?([A-Za-z]{1,3})?\$?(\d{1,7})?")
_columns: dict[str, int] = {}


def column(letters: str) -> int:
    """Return the place of a column by its letters.

    Raises:
        DataError: There is no such column.
    """
    found = _columns.get(letters)
    if found is None:
        found = 0
        for letter in letters.upper():
            found = found * 26 + ord(letter) - 64
        found -= 1
        if not letters.isalpha() or not letters.isascii() or found >= MOST_COLUMNS:
            raise DataError("A cell lies in a column that no sheet has", value=letters)
        _columns[letters] = found
    return found


def letters(place: int) -> str:
    """Return the letters of a column."""
    text, left = "", place + 1
    while left:
        left, digit = divmod(left - 1, 26)
        text = chr(65 + digit) + text
    return text


def area(text: str) -> Area | None:
    """Return the area of ``B2:F100``, ``B:F``, ``B2:F`` or ``B2``; None for what is none."""
    ends = [_REFERENCE.fullmatch(part) for part in text.strip().split(":")]
    if len(ends) not in (1, 2) or not all(end and end[0] for end in ends):
        return None
    first, last = ends[0], ends[-1]
    assert first is not None
    assert last is not None
    only = len(ends) == 1
    return Area(
        int(first[2]) - 1 if first[2] else 0,
        column(first[1]) if first[1] else 0,
        int(last[2]) - 1 if last[2] and not (only and not first[1]) else MOST_ROWS,
        column(last[1]) if last[1] else MOST_COLUMNS,
    )
