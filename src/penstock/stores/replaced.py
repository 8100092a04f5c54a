"""Where the rows of files stand that compactions have replaced, read off the chain of compactions as far as needed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from penstock.model.entries import Entry
from penstock.values import dataclass

_MOST = 20_000
"""Files after which what is known of them is forgotten, at the next compaction."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Rows of one former file: the file in which they stand, their first row in it, how many, and their load."""

    path: str
    first: int
    rows: int
    load: int


class Replaced:
    """The files of one table that were replaced. Not safe for threads: its table holds a lock.

    Compactions are read from the newest to older ones, only until every file asked for is found: recent loads, which
    are asked for most, cost nothing however long the history is.

    Args:
        entry: Returns an entry of the table by its number.
    """

    def __init__(self, entry: Callable[[int], Entry]) -> None:
        self._entry = entry
        self._slices: dict[str, Standing] = {}
        self._newest: int | None = None
        self._older: int | None = None

    def follow(self, newest: int) -> None:
        """Take in the compactions that came since the last call."""
        if self._newest is None:
            self._newest = self._older = newest
        if newest == self._newest:
            return
        if len(self._slices) > _MOST:
            # They are read again as far as they are asked for: mostly not at all.
            self._slices = {}
            self._newest = self._older = newest
            return
        number: int | None = newest
        while number is not None and number > self._newest:
            number = self._take(number)
        self._newest = newest

    def find(self, paths: Iterable[str], live: Collection[str]) -> None:
        """Read older compactions until it is known of each file where its rows stand.

        Args:
            paths: The files.
            live: The files that stand in the table themselves.
        """
        wanted = {path for path in paths if path not in live and path not in self._slices}
        while wanted and self._older is not None:
            self._older = self._take(self._older)
            wanted = {path for path in wanted if path not in self._slices}

    def at(self, path: str) -> Standing | None:
        """Return where the rows of a file stand; None if it was not replaced, as far as was read."""
        found = self._slices.get(path)
        if found is None:
            return None
        further = self._slices.get(found.path)
        # What a compaction made may itself be compacted; a later one is always read before it.
        while further is not None:
            found = Standing(further.path, further.first + found.first, found.rows, found.load)
            further = self._slices.get(found.path)
        return found

    def _take(self, number: int) -> int | None:
        entry = self._entry(number)
        for piece in entry.slices:
            into = entry.files[piece.into].path
            self._slices[piece.file] = Standing(into, piece.first, piece.rows, piece.load)
        return entry.compaction
