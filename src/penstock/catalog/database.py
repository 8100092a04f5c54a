"""The seam between the catalog's SQL and the database that runs it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol


class Statements(Protocol):
    """An open connection that runs statements; ``?`` stands for a bound value on every database."""

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows."""
        ...

    def many(self, sql: str, values: Iterable[Sequence[Any]]) -> None:
        """Run one statement for each sequence of values."""
        ...


class Database(Protocol):
    """A database that several threads and processes share.

    Attributes:
        shown: Where it is, without secrets, for messages.
        blob: Its type for bytes.
        row_lock: What ends a SELECT that locks its rows until the transaction's end.
    """

    shown: str
    blob: str
    row_lock: str

    def reading(self) -> AbstractContextManager[Statements]:
        """Lend this thread's connection for single statements."""
        ...

    def writing(self) -> AbstractContextManager[Statements]:
        """Lend this thread's connection for one transaction that excludes other writers of what it touches."""
        ...

    def now(self) -> int:
        """Return the time in microseconds since 1970 by the clock that all holders of leases share."""
        ...

    def has_schema(self) -> bool:
        """Say whether the table ``schema_version`` is there."""
        ...

    def close(self) -> None:
        """Close the connections of all threads."""
        ...
