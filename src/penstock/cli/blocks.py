"""What text output is made of: lines and tables, before anybody knows where they are printed."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from penstock.values import dataclass

LONGEST_CELL = 80


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text.

    Attributes:
        text: What it says.
        style: ``plain``, ``strong``, ``good``, ``bad``, ``warn`` or ``faint``; seen on a terminal only.
    """

    text: str = ""
    style: str = "plain"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under headings.

    Attributes:
        columns: The headings; one that begins with ``>`` is set to the right.
        rows: The cells, as many as headings each.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


Block = Line | Table


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Return a table without the columns that are empty in every row."""
    used = [position for position in range(len(columns)) if any(row[position] for row in rows)]
    return Table(
        tuple(columns[position] for position in used),
        tuple(tuple(shortened(row[position]) for position in used) for row in rows),
    )


def shortened(text: str, longest: int = LONGEST_CELL) -> str:
    """Return a text on one line, cut to a length, with nothing in it that moves a cursor."""
    line = "".join(letter if letter.isprintable() else " " for letter in text)
    return line if len(line) <= longest else line[: longest - 1] + "…"


def plain_table(block: Table) -> str:
    """Return a table as aligned text without lines or colours."""
    names = [name.removeprefix(">") for name in block.columns]
    widths = [max(width(cell) for cell in column) for column in zip(names, *block.rows, strict=True)]
    lines = []
    for row in (names, *block.rows):
        cells = [
            " " * (room - width(cell)) + cell if name.startswith(">") else cell + " " * (room - width(cell))
            for name, cell, room in zip(block.columns, row, widths, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def width(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )
