"""Event times in SQL: a column of moments, dates or texts as a moment with a time zone; what is none is null."""

from __future__ import annotations

from penstock.queries.text import identifier

EVER = "'infinity'::TIMESTAMP WITH TIME ZONE"
"""Stands for the watermark in queries of windows that are in a table once they are closed."""
_EARLIEST = "make_timestamptz(-62104060800000000)"
_LATEST = "make_timestamptz(253339228800000000)"


def moment(column: str, relation: str = "") -> str:
    """Return the event time that stands in a column, as TIMESTAMPTZ; without a time zone it is UTC.

    What lies before the year 2 or after 9997 is none: nothing could be counted from it.

    Args:
        column: The column.
        relation: The alias of its relation.
    """
    name = f"{relation}.{identifier(column)}" if relation else identifier(column)
    cast = f"TRY_CAST({name} AS TIMESTAMP WITH TIME ZONE)"
    return f"CASE WHEN {cast} >= {_EARLIEST} AND {cast} < {_LATEST} THEN {cast} END"


def at(microseconds: int) -> str:
    """Return a moment as SQL, from microseconds since 1970."""
    return f"make_timestamptz({microseconds})"


def span(microseconds: int) -> str:
    """Return a duration as SQL."""
    return f"to_microseconds({microseconds})"
