"""What a sample of a file tells: dialect, header and the place of the table, with how sure that is."""

from __future__ import annotations

import io
from collections.abc import Sequence

from penstock.extract.files.csv.cells import TYPED, kind
from penstock.extract.files.csv.dialects import Scored, candidates, ranked
from penstock.extract.files.csv.records import Form, Record, records
from penstock.extract.files.csv.structure import Structure, structure
from penstock.values import dataclass

SCORED = 96 * 2**10
"""Characters of a sample by which dialects are told apart."""
_CLEAR = 0.75
_LIKELY = 0.93
_FEWEST = 0.05
_ABSENT = ("\x1f", "\x1e", "\x1d", "\x1c", "\x02", "\x03", "\ue001")
_PLAIN = frozenset({",", "\t", ";", "|"})


@dataclass(frozen=True, slots=True)
class Told:
    """What the user said of a file; None where it is to be found out."""

    delimiter: str | None = None
    quote: str | None = None
    escape: str | None = None
    headers: int | None = None
    skip: int = 0


@dataclass(frozen=True, slots=True)
class Detected:
    """What was found out.

    Attributes:
        form: The dialect.
        structure: Where the table lies.
        records: The records of the sample from the table's first on, header included.
        above: The lines before the table, as (number from 1, text), without blank ones.
        sureness: ``sure``, ``likely`` or ``unsure``.
        second: The next best dialect, where it is not much worse.
        mixed: Whether records of the sample end in different ways.
    """

    form: Form
    structure: Structure
    records: tuple[Record, ...]
    above: tuple[tuple[int, str], ...]
    sureness: str
    second: Form | None
    mixed: bool


def detect(text: str, told: Told, *, cut: bool) -> Detected | None:
    """Find out how a text is written; None if nothing stands in it.

    Args:
        text: The beginning of a file.
        told: What the user said.
        cut: Whether the file goes on after the text, so that the last line may not be whole.
    """
    lines = io.StringIO(text, newline="").readlines()
    if cut and len(lines) > 1:
        lines.pop()
    lines = lines[told.skip :]
    text = "".join(lines)
    if not text.strip("\r\n"):
        return None
    best, second, sureness = _dialect(_without_comments(_beginning(text)), told)
    found = list(records(text, best.form))
    if cut and len(found) > 1:
        found.pop()
    if not any(record.cells for record in found):
        return None
    shape = structure(found, best.width, told.headers, whole=told.skip > 0)
    if not told.skip and not shape.sure and sureness == "sure":
        sureness = "likely"
    above = tuple(
        (number, line.rstrip("\r\n")) for number, line in enumerate(lines[: shape.first], start=1) if line.strip()
    )
    body = tuple(record for record in found if record.first >= shape.first)
    return Detected(best.form, shape, body, above, sureness, second, _mixed(lines, found))


def _dialect(text: str, told: Told) -> tuple[Scored, Form | None, str]:
    forms = candidates(text, told.delimiter, told.quote, told.escape)
    several = [item for item in ranked(text, forms) if item.width > 1]
    fallback = forms[0] if told.delimiter else Form(",", forms[0].quote, forms[0].escape)
    alone = _alone(text, fallback)
    if not several:
        return alone, None, "sure" if told.delimiter else "likely"
    if told.delimiter is None and _typed(alone):
        # Lines that are moments, addresses or numbers as a whole are not cut at their colons and dashes.
        several = [item for item in several if item.form.delimiter in _PLAIN] or [alone]
    best = several[0]
    others = [item for item in several[1:] if _differs(item, best)]
    if told.delimiter is None:
        if best.score < max(alone.score, _FEWEST):
            return alone, best.form, "likely" if best.score < _CLEAR * alone.score else "unsure"
        others.append(alone)
    close = max(others, key=lambda item: item.score, default=None)
    share = close.score / best.score if close is not None and best.score else 0.0
    sureness = "sure" if share < _CLEAR else "likely" if share < _LIKELY else "unsure"
    return best, close.form if close is not None and share >= _CLEAR else None, sureness


def _alone(text: str, form: Form) -> Scored:
    """Score a text as one column: no delimiter that stands in it is believed."""
    absent = Form(next(sign for sign in _ABSENT if sign not in text), form.quote, form.escape)
    scored = ranked(text, [absent])[0]
    if form.delimiter not in text:
        return Scored(form, 1, scored.score, scored.records)
    return Scored(absent, 1, scored.score, scored.records)


def _typed(alone: Scored) -> bool:
    cells = [record.cells[0] for record in alone.records if record.cells][1:]
    return bool(cells) and sum(1 for cell in cells if kind(cell) in TYPED) >= _CLEAR * len(cells)


def _differs(one: Scored, other: Scored) -> bool:
    if one.form.delimiter != other.form.delimiter or one.width != other.width:
        return True
    return [record.cells for record in one.records] != [record.cells for record in other.records]


def _beginning(text: str) -> str:
    if len(text) <= SCORED:
        return text
    end = max(text.rfind("\n", 0, SCORED), text.rfind("\r", 0, SCORED))
    return text[: end + 1] if end > 0 else text[:SCORED]


def _without_comments(text: str) -> str:
    """Leave out lines of comments: their words are no fields. A line within a quoted value is none."""
    kept, quotes = [], 0
    for line in io.StringIO(text, newline=""):
        if quotes % 2 or not line.startswith("#"):
            quotes += line.count('"')
            kept.append(line)
    return "".join(kept) if kept else text


def _mixed(lines: Sequence[str], found: Sequence[Record]) -> bool:
    ends = set()
    for record in found:
        line = lines[record.after - 1] if 0 < record.after <= len(lines) else ""
        ends.add(line[len(line.rstrip("\r\n")) :][-2:] if not line.endswith("\n\n") else "\n")
    return len(ends - {""}) > 1
