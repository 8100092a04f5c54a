"""Committing to a table to which others commit as well: numbered anew, while they come first."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from penstock.errors import ConflictError, StaleWriterError

Committed = TypeVar("Committed")


def committed(attempt: Callable[[], Committed], tries: int = 4) -> Committed:
    """Return what an attempt to commit gives; it is made again while others commit first.

    Args:
        attempt: Reads the table afresh and commits.
        tries: How often at most.

    Raises:
        ConflictError: Others came first each time.
        StaleWriterError: A successor has taken over, which no further attempt changes.
    """
    for left in range(tries - 1, -1, -1):
        try:
            return attempt()
        except StaleWriterError:
            raise
        except ConflictError:
            if not left:
                raise
    raise AssertionError
