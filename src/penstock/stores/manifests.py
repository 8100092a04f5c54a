"""The manifests of a lake table: one create-only JSON object per entry."""

from __future__ import annotations

from collections.abc import Iterable

from penstock.errors import ConflictError, NotFoundError
from penstock.model.codec import decode, encode
from penstock.model.entries import Entry
from penstock.stores.port import Objects

FOLDER = "_manifests"
_NEAR = 8
"""Numbers after the head among which a process that begins looks for what a crash left."""


class Manifests:
    """The entries of one table as objects ``{table}/_manifests/{number}.json``.

    A manifest alone does not count: a crash may leave one whose number never reached the log.

    Args:
        objects: The objects of the lake.
        table: The lake table.
    """

    def __init__(self, objects: Objects, table: str) -> None:
        self._objects = objects
        self._table = table
        self._highest: int | None = None

    def path(self, number: int) -> str:
        """Return the path of an entry's manifest below the lake's root."""
        return f"{self._table}/{FOLDER}/{number}.json"

    def read(self, number: int) -> Entry:
        """Return an entry; raises NotFoundError."""
        path = self.path(number)
        try:
            data = self._objects.get(path)
        except NotFoundError:
            raise NotFoundError(
                f"The table {self._table} has no entry {number}", remedy=f"penstock versions {self._table} lists them"
            ) from None
        return decode(Entry, data, where=f"The manifest {path}")

    def expect(self, numbers: Iterable[int]) -> None:
        """Hear that entries will be read, of numbers that may have none."""
        self._objects.expect([self.path(number) for number in numbers])

    def write(self, entry: Entry) -> None:
        """Create an entry's manifest; raises ConflictError if the number is taken."""
        try:
            self._objects.create(self.path(entry.number), encode(entry))
        except ConflictError as error:
            raise ConflictError(
                f"The number {entry.number} of the table {self._table} is taken",
                remedy="Read the table afresh and try again",
            ) from error

    def highest(self, head: int) -> int:
        """Return the greatest number that a manifest has, committed or not.

        Only the next few numbers are looked at, because they are given out one after the other.

        Args:
            head: The newest committed number.
        """
        if self._highest is None:
            near = range(head + 1, head + _NEAR)
            self._highest = max((number for number in near if self._objects.exists(self.path(number))), default=head)
        self._highest = max(self._highest, head)
        while self._objects.exists(self.path(self._highest + 1)):
            self._highest += 1
        return self._highest
