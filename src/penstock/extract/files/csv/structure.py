"""Where the table of a file begins, how many of its rows are headers, and what its columns are called."""

from __future__ import annotations

import re
from collections.abc import Sequence

from penstock.extract.files.csv.cells import TYPED, kind
from penstock.extract.files.csv.records import Record
from penstock.values import dataclass

MOST_HEADERS = 3
_LOOKED_AT = 400
_MOSTLY = 0.8
_YEAR = re.compile(r"(?:1[89]|20|21)\d\d")


@dataclass(frozen=True, slots=True)
class Structure:
    """How a table lies in its file.

    Attributes:
        width: How many fields a row has.
        first: The line at which it begins, header included, counted from 0; what is above it is no row.
        data: The line of its first row of data.
        headers: How many rows of headers.
        names: What the header says, a text for each column; empty texts where it says nothing.
        sure: Whether the header tells itself from the data by its types.
    """

    width: int
    first: int
    data: int
    headers: int
    names: tuple[str, ...]
    sure: bool = True


def structure(found: Sequence[Record], width: int, headers: int | None, *, whole: bool) -> Structure:
    """Find the table among records.

    Args:
        found: The records, in order, blank ones too.
        width: How many cells most of them have.
        headers: How many header rows there are, where the user said so.
        whole: Whether the user said where the table begins, so that it is the first record.
    """
    rows = [record for record in found if record.cells]
    width = _wider(rows, width)
    start = 0 if whole else _start(rows, width)
    start, width = (0, len(rows[0].cells)) if whole and width == 1 else _odd_header(rows, start, width, headers)
    body = rows[start:]
    sure = True
    if headers is None:
        headers, sure = _headers(body, width)
    headers = min(headers, len(body))
    lines = [_fitted(record.cells, width) for record in body[:headers]]
    data = body[headers - 1].after if headers else body[0].first if body else 0
    return Structure(width, body[0].first if body else 0, data, headers, _names(lines, width), sure)


def _wider(rows: Sequence[Record], width: int) -> int:
    """Return the width of a table at the beginning that is wider than most rows, which lack some of its fields."""
    beginning = rows[: MOST_HEADERS + 1]
    widths = {len(record.cells) for record in beginning}
    if len(beginning) <= 2 or len(widths) > 1 or max(widths) <= width:
        return width
    return max(widths) if _named(beginning[0]) else width


def _start(rows: Sequence[Record], width: int) -> int:
    """Return the place of the first row that is as wide and nearly as full as the rows after it."""
    full = sorted(record.filled for record in rows if len(record.cells) == width)
    enough = max(min(2, width), 0.4 * (full[len(full) // 2] if full else 0))
    for place, record in enumerate(rows):
        following = rows[place + 1 : place + 4]
        regular = sum(1 for other in following if len(other.cells) == width)
        if len(record.cells) != width or record.filled < enough:
            continue
        if 2 * regular >= len(following) or _named(record):
            return place
    return 0


def _named(record: Record) -> bool:
    """Say whether a row is made of names alone, each another one."""
    cells = {cell.strip() for cell in record.cells}
    return record.filled == len(cells) == len(record.cells) > 1 and not any(kind(cell) in TYPED for cell in cells)


def _odd_header(rows: Sequence[Record], start: int, width: int, headers: int | None) -> tuple[int, int]:
    """Take in a header above the table that is not as wide as it: without a name for row labels, or wider."""
    if not start or headers == 0:
        return start, width
    above, first = rows[start - 1], rows[start]
    kinds = [kind(cell) for cell in above.cells]
    named = above.filled >= 2 and not any(name in TYPED for name in kinds)
    if not named or above.after != first.first:
        return start, width
    typed = any(kind(cell) in TYPED for cell in first.cells)
    if not typed:
        return start, width
    if len(above.cells) == width - 1 or (len(above.cells) == width + 1 and not above.cells[-1].strip()):
        return start - 1, width
    if start == 1 and len(above.cells) > width and above.filled == len(above.cells):
        # Rows that lack fields are told as what they are, not read under the wrong names.
        return 0, len(above.cells)
    return start, width


def _headers(body: Sequence[Record], width: int) -> tuple[int, bool]:
    """Return how many header rows there are, and whether types tell so."""
    fitting = [_fitted(record.cells, width) for record in body[:_LOOKED_AT] if abs(len(record.cells) - width) <= 1]
    if not fitting:
        return 1, False
    told = 0
    for count in range(1, MOST_HEADERS + 1):
        if len(fitting) > count + (count > 1) and _heads(fitting[count - 1], fitting[count:]):
            told = count
    if told:
        return told, True
    first, rest = fitting[0], fitting[1:]
    kinds = [kind(cell) for cell in first]
    if any(name in TYPED for name in kinds):
        return (1, True) if _years(first, rest) else (0, True)
    cells = [cell.strip() for cell in first]
    repeats = len(set(cells)) < len(cells) or not all(cells)
    recurs = any(cell and cell == row[place].strip() for row in rest for place, cell in enumerate(cells))
    return (0, False) if rest and repeats and recurs else (1, False)


def _heads(row: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Say whether a row holds texts where nearly all rows below it hold numbers, moments and the like."""
    seen = texts = 0
    for place, cell in enumerate(row):
        kinds = [name for other in below if (name := kind(other[place])) not in ("empty", "null")]
        if not kinds or sum(1 for name in kinds if name in TYPED) < _MOSTLY * len(kinds):
            continue
        name = kind(cell)
        if name in TYPED:
            return False
        seen += 1
        texts += name not in ("empty", "null")
    return texts > 0 and 2 * texts >= seen


def _years(first: Sequence[str], rest: Sequence[Sequence[str]]) -> bool:
    """Say whether the only numbers of a first row are years that grow from left to right, over columns of others."""
    years = [(place, cell.strip()) for place, cell in enumerate(first) if kind(cell) in TYPED]
    if len(years) < 2 or len(years) == len(first) or not all(_YEAR.fullmatch(cell) for _, cell in years):
        return False
    values = [int(cell) for _, cell in years]
    others = [row[place].strip() for row in rest for place, _ in years]
    return values == sorted(set(values)) and not any(_YEAR.fullmatch(cell) for cell in others)


def _fitted(cells: Sequence[str], width: int) -> tuple[str, ...]:
    """Bring a header to the width of its table: labels without a name come first, a trailing delimiter goes."""
    if len(cells) == width - 1:
        return ("", *cells)
    return (*cells[:width], *[""] * (width - len(cells)))


def _names(lines: Sequence[Sequence[str]], width: int) -> tuple[str, ...]:
    """Join the header rows of each column; in all but the last an empty cell goes on with the one to its left."""
    if len(lines) < 2:
        return tuple(cell.strip() for cell in lines[0]) if lines else ("",) * width
    spread = []
    for line in lines[:-1]:
        filled, last = [], ""
        for cell in line:
            last = cell.strip() or last
            filled.append(last)
        spread.append(filled)
    spread.append([cell.strip() for cell in lines[-1]])
    return tuple("_".join(dict.fromkeys(part for part in column if part)) for column in zip(*spread, strict=True))
