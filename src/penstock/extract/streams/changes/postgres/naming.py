"""How what is made at a server is called."""

from __future__ import annotations

from penstock.extract.streams.changes.naming import reading_name
from penstock.extract.streams.changes.port import CaptureOpening


def slot_name(opening: CaptureOpening) -> str:
    """Return the name of the slot."""
    given = opening.sources[0].options.get("slot")
    return str(given) if given else reading_name(opening)


def publication_name(opening: CaptureOpening) -> tuple[str, bool]:
    """Return the name of the publication, and whether it is Penstock's own."""
    given = opening.sources[0].options.get("publication")
    return (str(given), False) if given else (reading_name(opening), True)
