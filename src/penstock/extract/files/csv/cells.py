"""What the text of a cell looks like: a number, a moment, a code, a word, or remains of a wrong dialect."""

from __future__ import annotations

import re
from collections.abc import Sequence

NULLS = (
    "NA",
    "N/A",
    "n/a",
    "na",
    "#N/A",
    "#NA",
    "NaN",
    "nan",
    "NAN",
    "null",
    "NULL",
    "Null",
    "None",
    "none",
    "nil",
    "\\N",
    "-",
    "--",
    "---",
    "?",
    ".",
    "..",
    "(null)",
    "<NA>",
    "missing",
    "unknown",
    "#VALUE!",
    "#DIV/0!",
    "#REF!",
)
"""Spellings of a missing value, believed only in columns whose other values have a type."""
_SPELLINGS = frozenset(NULLS)

INTEGER = r"-?(?:0|[1-9][0-9]{0,17})"
REAL = r"-?(?:0|[1-9][0-9]*)?(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?"
DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
MOMENT = DATE + r"[ T][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?"
ZONED = MOMENT + r"(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)"
BOOLEAN = r"(?i:true|false)"
"""Texts that a type holds without losing anything; the same in Python and in RE2. Leading zeros are no number."""

_KINDS = re.compile(
    r"""
    (?P<number>[+-]?(?:\d+|\d{1,3}(?:[,.'\u00a0 ]\d{3})+)?(?:[.,]\d+)?(?:[eE][+-]?\d+)?\s?%?|\(\d[\d.,]*\))
    |(?P<money>[-+]?\s?[$€£¥₹]\s?-?\d[\d.,' ]*|-?\d[\d.,' ]*\s?(?:[$€£¥₹]|EUR|USD|CHF|GBP))
    |(?P<date>\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](?:\d{4}|\d{2})
        |\d{1,2}[- ](?:[A-Z][a-z]{2,8})[-, ]{1,2}\d{2,4}|[A-Z][a-z]{2,8}\.?\ \d{1,2},\ \d{4})
    |(?P<moment>(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4})
        [T ]\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?
        \s?(?:Z|[AaPp][Mm]|[+-]\d{2}:?\d{0,2}|[A-Z]{3})?)
    |(?P<time>\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:\s?[AaPp][Mm])?)
    |(?P<truth>[Tt]rue|[Ff]alse|TRUE|FALSE)
    |(?P<mail>[\w.+-]+@[\w-]+(?:\.[\w-]+)+)
    |(?P<link>(?:https?|ftp)://\S+|(?:\d{1,3}\.){3}\d{1,3}(?:/\d+)?|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})
    |(?P<word>[\w.#@$%&*+/\\()\[\]<>=!?°'’:~^{}-]{1,64})
    |(?P<text>[^\t|;"]*)
    """,
    re.VERBOSE,
)
_GLUED = re.compile(r"[,;]\S|[,;|\t]$|\||\t")
_WEIGHTS = {"word": 0.85, "text": 0.7, "empty": 0.6, "null": 0.9, "glued": 0.4, "torn": 0.1}
TYPED = frozenset({"number", "money", "date", "moment", "time", "truth", "mail", "link"})
"""Kinds that a name of a column has not."""


def kind(cell: str) -> str:
    """Return what a cell looks like: one of ``TYPED``, ``word``, ``text``, ``empty``, ``null``, ``glued`` or ``torn``.

    A list, as one delimiter within what another sets apart, is glued; what remains of a quoted cell is torn.
    """
    text = cell.strip()
    if not text:
        return "empty"
    if text in _SPELLINGS:
        return "null"
    found = _KINDS.fullmatch(text)
    name = (found.lastgroup if found else None) or "torn"
    if name in ("word", "text", "torn") and _quoted(text):
        return "torn"
    if name in ("word", "text", "torn") and _GLUED.search(text):
        return "glued"
    return name


def weight(name: str) -> float:
    """Return how much a kind of cell speaks for the dialect that gave it, from 0 to 1."""
    return _WEIGHTS.get(name, 1.0)


def is_null(cell: str) -> bool:
    """Say whether a text is a spelling of a missing value."""
    return cell.strip() in _SPELLINGS


def homogeneity(kinds: Sequence[str]) -> float:
    """Return the share of a column's cells that look alike; missing ones agree with all."""
    present = [name for name in kinds if name not in ("empty", "null")]
    if not present:
        return 0.5
    families = ["text" if name in ("word", "text") else name for name in present]
    return max(families.count(name) for name in set(families)) / len(families)


def _quoted(text: str) -> bool:
    """Say whether quotes stand where a dialect would have taken them away."""
    if text[0] in "\"'" or text[-1] in "\"'":
        return not (len(text) > 1 and text[-1] == "'" and text[0].isalnum())
    return False
