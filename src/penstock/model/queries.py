"""What was found in the text of a query, so that the same text is not parsed again by every run."""

from __future__ import annotations

from penstock.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedQuery:
    """A query, parsed.

    Attributes:
        tables: The tables that it reads, as first written, in order of appearance.
        meaning: One text for all its spellings that differ in comments, white space or keyword case.
    """

    tables: tuple[str, ...]
    meaning: str
