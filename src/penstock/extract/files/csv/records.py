"""Text cut into records by a dialect, with the line that each begins at."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from penstock.values import dataclass

_STAND_IN = "\ue000"
"""A private character that stands for a delimiter of several."""


@dataclass(frozen=True, slots=True)
class Form:
    """How cells are set apart: delimiter, quote and escape; an empty quote means that nothing is quoted."""

    delimiter: str
    quote: str = '"'
    escape: str = '"'


@dataclass(frozen=True, slots=True)
class Record:
    """One record: its cells, its first line, and the line after its last one, both counted from 0."""

    cells: tuple[str, ...]
    first: int
    after: int

    @property
    def blank(self) -> bool:
        """Whether nothing at all stands in it."""
        return not any(cell.strip() for cell in self.cells)

    @property
    def filled(self) -> int:
        """How many cells hold something."""
        return sum(1 for cell in self.cells if cell.strip())


def records(text: str, form: Form, limit: int | None = None) -> Iterator[Record]:
    """Yield the records of a text; a blank line is a record of no cells. Ends where a cell grows past all bounds."""
    delimiter = form.delimiter
    if len(delimiter) > 1:
        text = text.replace(_STAND_IN, " ").replace(delimiter, _STAND_IN)
        delimiter = _STAND_IN
    escape = form.escape if form.escape != form.quote else None
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=delimiter,
        quotechar=form.quote or None,
        quoting=csv.QUOTE_MINIMAL if form.quote else csv.QUOTE_NONE,
        escapechar=escape,
        doublequote=escape is None,
        strict=False,
    )
    line, count = 0, 0
    try:
        for cells in reader:
            yield Record(tuple(cells), line, reader.line_num)
            line = reader.line_num
            count += 1
            if limit is not None and count >= limit:
                return
    except csv.Error:
        return
