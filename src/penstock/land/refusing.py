"""Refusals of values: which column, which row, and from where."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from penstock.errors import DataError
from penstock.land.chunks import OriginRows
from penstock.model.entries import Column
from penstock.queries.widening import LOSSY


class MisfitError(DataError):
    """A value that the type of its column cannot hold.

    Args:
        table: The lake table.
        column: The stored name of the column.
        type_: Its type.
        place: The row and where it came from, where that is known.
    """

    def __init__(self, table: str, column: str, type_: str, place: str = "") -> None:
        self.table = table
        self.column = column
        self.type = type_
        super().__init__(
            f"The column {column!r} of {table} holds a value that is no {type_}, the type it has so far{place}",
            remedy="Mend the source, cast the column in the source's query, or change its contract: 'evolve' widens "
            "the type where that loses nothing, 'discard' sets such rows aside, 'VARCHAR' makes the column text",
        )


@contextmanager
def sentences(table: str, columns: Sequence[Column]) -> Iterator[None]:
    """Name the column where a conversion stopped at a value that would be lost; other errors pass as they are."""
    try:
        yield
    except DataError as error:
        _, marked, name = str(error.__cause__).partition(LOSSY)
        if not marked:
            raise
        name = name.splitlines()[0]
        type_ = next((column.type for column in columns if column.name == name), "the table's type")
        raise MisfitError(table, name, type_) from error.__cause__


class Passed:
    """Counts the rows of each origin as they pass, so that a row can be named by its place there."""

    def __init__(self) -> None:
        self._last: tuple[str, Mapping[str, Any]] | None = None
        self._rows = 0

    def take(self, origins: Sequence[OriginRows]) -> None:
        """Count rows that were written."""
        for uri, detail, rows in origins:
            self._rows = rows + (self._rows if self._last == (uri, detail) else 0)
            self._last = (uri, detail)

    def place(self, origins: Sequence[OriginRows], position: int) -> str:
        """Return where the row at a position of the coming rows came from, as the end of a sentence."""
        last, before = self._last, self._rows
        for uri, detail, rows in origins:
            before = before if last == (uri, detail) else 0
            if position < rows:
                found = ", ".join(f"{name} {value}" for name, value in detail.items() if name in ("page", "offset"))
                return f" (row {before + position + 1} of {uri}{', ' + found if found else ''})"
            position -= rows
            last, before = (uri, detail), before + rows
        return ""
