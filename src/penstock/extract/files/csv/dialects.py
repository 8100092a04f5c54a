"""Which dialect a text is written in: candidates, scored by how regular the rows are and how much cells look like data.

The idea is that of van den Burg, Nazábal and Sutton, "Wrangling messy CSV files by detecting row and type patterns"
(2019): the right dialect gives rows of one pattern and cells of known types at once. As in García's table uniformity
(2024) the rows count from the first regular one to the last, so that lines around the table weigh less, and columns
whose cells look alike weigh more.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from penstock.extract.files.csv.cells import homogeneity, kind, weight
from penstock.extract.files.csv.records import Form, Record, records
from penstock.values import dataclass

_DELIMITERS = (
    ",",
    "\t",
    ";",
    "|",
    ":",
    "^",
    "~",
    "\x1f",
    "\x1e",
    "\x01",
    "§",
    "¦",
    "#",
    "&",
    "*",
    "!",
    " ",
    "/",
    "-",
    "_",
)
_SEVERAL = (
    "||",
    "::",
    ";;",
    ",,",
    "|~|",
    "~|~",
    "~~",
    "^^",
    "##",
    "&&",
    "<>",
    "=>",
    "->",
    "@@",
    "%%",
    "$$",
    ", ",
    "; ",
    " | ",
    "\t\t",
    "|+|",
    "#|#",
)
_FAITH = {" ": 0.6, ":": 0.6, "#": 0.7, "&": 0.7, "*": 0.7, "!": 0.7, "/": 0.15, "-": 0.15, "_": 0.15}
"""How far a delimiter is believed that also stands within values; 1 for the others."""
_QUOTES = ('"', "'", "`")
_ROWS = 600
_TYPED_ROWS = 120
_ALONE = 0.28
"""What one column is believed, beside several."""
_TRIED = 14
_HALF_HEADED, _HEADLESS = 0.9, 0.45
"""What a dialect is believed that does not cut the first line as the others, or not at all."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A dialect with what speaks for it.

    Attributes:
        form: The dialect.
        width: How many cells most rows have.
        score: From 0 to 1.
        records: The records it gives.
    """

    form: Form
    width: int
    score: float
    records: tuple[Record, ...]


def candidates(text: str, delimiter: str | None, quote: str | None, escape: str | None) -> list[Form]:
    """Return the dialects that a text could have; what the user said is not varied."""
    lines = [line for line in text.splitlines() if line.strip()][:200]
    delimiters = [delimiter] if delimiter else [*_present(_DELIMITERS, lines), *_present(_SEVERAL, lines)]
    quotes = [quote] if quote is not None else _quotes(text)
    forms = []
    for each in delimiters or [","]:
        for mark in quotes:
            if mark and mark in each:
                continue
            if escape is not None:
                escapes: Sequence[str] = [escape]
            else:
                escapes = [mark, "\\"] if mark and ("\\" + mark) in text else [mark]
            forms += [Form(each, mark, sign) for sign in escapes]
    return forms


def ranked(text: str, forms: Iterable[Form]) -> list[Scored]:
    """Return the candidates, best first; one that gives a single column comes where no delimiter is believed."""
    rough = []
    for place, form in enumerate(forms):
        found = tuple(records(text, form, _ROWS))
        width, regular = _regularity(found)
        if width:
            rough.append((regular * _spread(width) * _purity(text, form), -place, form, width, found))
    rough.sort(key=lambda item: item[:2], reverse=True)
    scored = [
        Scored(form, width, first * _types(found, width) * _faith(form, text), found)
        for first, _, form, width, found in rough[:_TRIED]
    ]
    # sorted() is stable: of equal scores the commoner delimiter, listed earlier, stays before the other.
    order = {item[2]: -item[1] for item in rough}
    return sorted(scored, key=lambda item: (-round(item.score, 9), order[item.form]))


def _faith(form: Form, text: str) -> float:
    quoting = 1.0 if form.quote == '"' or '"' not in text else 0.85 if form.quote else 0.7
    return _FAITH.get(form.delimiter, 1.0) * quoting


def _present(delimiters: Sequence[str], lines: Sequence[str]) -> list[str]:
    """Return the delimiters that stand in at least two lines, or in the only one."""
    enough = min(2, len(lines))
    return [each for each in delimiters if sum(1 for line in lines if each in line) >= enough > 0]


def _quotes(text: str) -> list[str]:
    found = [mark for mark in _QUOTES if mark in text]
    return [*dict.fromkeys(['"', *found]), *([""] if found else [])]


def _regularity(found: Sequence[Record]) -> tuple[int, float]:
    """Return the width of the table, and how regular the rows are from the first of that width to the last."""
    rows = [len(record.cells) for record in found if record.cells]
    if not rows:
        return 0, 0.0
    counts = Counter(rows)
    most = max(counts.values())
    # Of equally many rows those of the first one's width, then the wider ones.
    width = max(counts, key=lambda each: (each > 1 and counts[each] * 2 > most, counts[each], each == rows[0], each))
    if width == 1:
        return 1, 1.0
    first = rows.index(width)
    last = len(rows) - rows[::-1].index(width)
    inside = counts[width] / (last - first)
    headed = 1.0 if rows[0] == width else _HALF_HEADED if rows[0] > 1 else _HEADLESS
    return width, headed * inside**2 * float(((last - first) / len(rows)) ** 0.5)


def _spread(width: int) -> float:
    return _ALONE if width == 1 else (width - 0.75) / width


def _types(found: Sequence[Record], width: int) -> float:
    rows = [record.cells for record in found if len(record.cells) == width]
    step = max(1, len(rows) // _TYPED_ROWS)
    rows = rows[::step][:_TYPED_ROWS]
    if not rows:
        return 0.0
    # The header is of another kind than what stands below it.
    columns = [[kind(cell) for cell in column] for column in zip(*(rows[1:] or rows), strict=True)]
    clean = sum(weight(name) for column in columns for name in column) / sum(len(column) for column in columns)
    alike = sum(homogeneity(column) for column in columns) / width
    return clean * (0.6 + 0.4 * alike)


def _purity(text: str, form: Form) -> float:
    """Return the share of quotes that stand at the edge of a cell or are doubled; half of them at least, or 0."""
    quote = form.quote
    if not quote or quote not in text:
        return 1.0
    if form.escape != quote:
        text = text.replace(form.escape * 2, "").replace(form.escape + quote, "")
    mark, edge = re.escape(quote), re.escape(form.delimiter)
    total = text.count(quote)
    if not total:
        return 1.0
    opening = len(re.findall(rf"(?:^|[\r\n]|{edge}) *{mark}", text))
    closing = len(re.findall(rf"{mark} *(?=$|[\r\n]|{edge})", text))
    doubled = 2 * text.count(quote * 2) if form.escape == quote else 0
    share = min(1.0, (opening + closing + doubled) / total)
    if opening == 0 or share < 0.5:
        return 0.05
    return 0.4 + 0.6 * share
