"""The loads of a stream, which are very many: the newest are at hand, older ones are read when they are asked for."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import overload

from penstock.catalog.port import CatalogReader, LoadRecord
from penstock.errors import NotFoundError

HELD = 1000
"""Loads that stay at hand; what a check compares a load with are no more."""
_PAGE = 200
"""Loads that are read together."""


class Held:
    """The loads of one table: some of them at hand, the others in the catalog.

    Args:
        table: The raw table.
        catalog: The index of its loads.
        most: How many stay at hand; None: all that were seen.
    """

    def __init__(self, table: str, catalog: CatalogReader, most: int | None = HELD) -> None:
        self._table = table
        self._catalog = catalog
        self._most = most
        self._found: dict[int, LoadRecord] = {}

    def put(self, record: LoadRecord) -> None:
        """Take in a load; the one that came first gives way."""
        self._found.pop(record.entry.number, None)
        self._found[record.entry.number] = record
        if self._most is not None and len(self._found) > self._most:
            del self._found[next(iter(self._found))]

    def read(self, numbers: Sequence[int]) -> list[LoadRecord]:
        """Return loads.

        Raises:
            NotFoundError: The catalog has not all of them.
        """
        missing = [number for number in numbers if number not in self._found]
        read = {record.entry.number: record for record in self._catalog.loads_of(self._table, missing)}
        if len(read) < len(missing):
            lost = next(number for number in missing if number not in read)
            raise NotFoundError(
                f"The catalog no longer has load {lost} of {self._table}", remedy="penstock doctor --rebuild-catalog"
            )
        if self._most is None:
            self._found |= read
        return [self._found[number] if number in self._found else read[number] for number in numbers]


class History(Sequence[LoadRecord]):
    """Loads in the order of their numbers, of which a number is all that is held for good.

    Args:
        held: Where they are.
        numbers: Their numbers, ascending.
    """

    def __init__(self, held: Held, numbers: Iterable[int] = ()) -> None:
        self._held = held
        self.numbers = array("q", numbers)

    def append(self, number: int) -> None:
        """Add a load that is newer than all."""
        self.numbers.append(number)

    def after(self, number: int) -> int:
        """Return the place of the first load that is newer than a number."""
        return bisect_right(self.numbers, number)

    def called(self, number: int) -> LoadRecord | None:
        """Return the load of a number; None: there is none."""
        return self._held.read([number])[0] if self.holds(number) else None

    def holds(self, number: int) -> bool:
        """Say whether a load is among them."""
        place = bisect_left(self.numbers, number)
        return place < len(self.numbers) and self.numbers[place] == number

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, place: int) -> LoadRecord: ...

    @overload
    def __getitem__(self, place: slice) -> History: ...

    def __getitem__(self, place: int | slice) -> LoadRecord | History:
        if isinstance(place, slice):
            return History(self._held, self.numbers[place])
        return self._held.read([self.numbers[place]])[0]

    def __iter__(self) -> Iterator[LoadRecord]:
        for first in range(0, len(self.numbers), _PAGE):
            yield from self._held.read(self.numbers[first : first + _PAGE])

    def __reversed__(self) -> Iterator[LoadRecord]:
        size = 1
        following = len(self.numbers)
        while following > 0:
            first = max(0, following - size)
            yield from reversed(self._held.read(self.numbers[first:following]))
            # Mostly the newest is wanted alone.
            following, size = first, _PAGE
