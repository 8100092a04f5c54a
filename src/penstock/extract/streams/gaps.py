"""Gaps: what a source has thrown away before it was read stops its stream, or is declared; it is never passed over."""

from __future__ import annotations

from penstock.errors import DataError
from penstock.model.streams import Gap, OnGap

RECORD = "To go on there and keep a record of what is missing: on_gap='record'"


def declared(gap: Gap, on_gap: OnGap, table: str, remedy: str = RECORD) -> Gap:
    """Return a gap that the stream may go on behind.

    Args:
        gap: What is missing.
        on_gap: As the stream says.
        table: The stream, for the message.
        remedy: What a person may do where it stops.

    Raises:
        DataError: The stream stops at gaps.
    """
    if on_gap is OnGap.STOP:
        raise DataError(f"The stream {table!r} cannot go on: {gap.sentence}", remedy=remedy)
    return gap
