"""How what reads changes is called at a server."""

from __future__ import annotations

from penstock.extract.streams.changes.port import CaptureOpening


def reading_name(opening: CaptureOpening) -> str:
    """Return what a reading is called: after its pipeline and its connection."""
    text = f"penstock_{opening.pipeline}_{opening.connection.name}".lower()
    return "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in text)[:63]
