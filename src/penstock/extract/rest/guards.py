"""Guards against servers that page for ever, and counters of what shifted while pages were read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from operator import itemgetter
from typing import Any

from penstock.errors import DataError
from penstock.extract.rest.document import Page

_REMEDY = "Check the paging of the source: the server may ignore the parameter that asks for the next page"
_SINGLE_REPEATS = 3


class LoopGuard:
    """Refuses an address asked for twice, a page that comes twice, and too many pages.

    It keeps 16 bytes for each address and page.

    Args:
        max_pages: Pages that one extraction may have.
        show: Makes an address fit to be shown.
    """

    def __init__(self, max_pages: int, show: Callable[[str], str]) -> None:
        self._max = max_pages
        self._show = show
        self._asked: set[bytes] = set()
        self._seen: dict[bytes, int] = {}
        self._repeats = 0
        self._pages = 0

    def ask(self, url: str) -> None:
        """Note that an address is asked for.

        Raises:
            DataError: It was asked for before, or there were too many.
        """
        mark = blake2b(url.encode("utf-8", "replace"), digest_size=16).digest()
        if mark in self._asked:
            raise DataError(
                f"The pages lead in a circle: after {self._pages} pages the next one is {self._show(url)}, "
                "which was read already",
                remedy=_REMEDY,
            )
        self._asked.add(mark)
        self._pages += 1
        if self._pages > self._max:
            raise DataError(
                f"{self._show(url)} is past the {self._max:,} pages that max_pages allows",
                remedy="Raise max_pages of the source if there are really that many",
            )

    def got(self, page: Page) -> None:
        """Note what came.

        Raises:
            DataError: The same records came before under another address.
        """
        if not page.records:
            return
        mark = blake2b(repr(page.records).encode("utf-8", "replace"), digest_size=16).digest()
        earlier = self._seen.setdefault(mark, page.number)
        if earlier == page.number:
            self._repeats = 0
            return
        # One record per page may well equal another; a page of several that comes again is a server that stands still.
        self._repeats += 1
        if len(page.records) > 1 or self._repeats >= _SINGLE_REPEATS:
            raise DataError(
                f"Page {page.number} ({page.shown}) holds the same records as page {earlier}", remedy=_REMEDY
            )


class Overlap:
    """Counts keys that stand on two neighbouring pages: rows were inserted while pages were read by number.

    Args:
        key: The columns of the key; none: nothing is counted.
    """

    def __init__(self, key: Sequence[str]) -> None:
        self._key = tuple(key)
        self._before: set[Any] = set()
        self.twice = 0

    def add(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Compare a page with the one before it."""
        if not self._key or not records:
            return
        try:
            keys = set(map(itemgetter(*self._key), records))
        except (KeyError, TypeError):
            self._key = ()
            return
        self.twice += len(keys & self._before)
        self._before = keys
