"""Pagers: generators that yield the addresses to ask for, receive the pages, and do no I/O.

A pager yields a tuple of addresses, which may be fetched at the same time, and is sent their pages in the same order.
It ends when there are no more.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import httpx

from penstock.errors import ConfigurationError, DataError
from penstock.extract.http.address import with_parameters
from penstock.extract.rest.document import MISSING, Page, at, pointers, sign_of_more, total_of, whole
from penstock.extract.rest.options import Paging
from penstock.values import dataclass

Pager = Generator[tuple[str, ...], tuple[Page, ...], None]
Tell = Callable[[str], None]
Link = Callable[[str, str], str]
"""From the address of a page and a link in it to an absolute address that may be asked for."""

_NEXT_PATHS = (
    "next", "next_url", "nextUrl", "nextLink", "@odata.nextLink", "next_page_url", "next_link", "links.next",
    "links.next.href", "_links.next", "_links.next.href", "paging.next", "paging.next.link", "meta.next",
    "meta.next_url", "meta.links.next", "meta.pagination.links.next", "pagination.next", "pagination.next_url",
    "info.next", "page.next",
)  # fmt: skip
_TOKENS = {
    "next_page_token": "page_token", "nextPageToken": "pageToken", "next_cursor": "cursor", "nextCursor": "cursor",
    "meta.next_cursor": "cursor", "pagination.next_cursor": "cursor", "paging.next_cursor": "cursor",
    "response_metadata.next_cursor": "cursor", "meta.next_page_token": "page_token",
    "paging.cursors.after": "after", "continuation_token": "continuation_token",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a pager may use.

    Attributes:
        link: Checks a link and makes it absolute.
        tell: Takes a sentence for the user.
        window: How many pages may be fetched at the same time.
        empty_pages: How many empty pages may follow each other.
    """

    link: Link
    tell: Tell
    window: int = 4
    empty_pages: int = 10


def pager_for(first: str, paging: Paging, context: Context) -> Pager:
    """Return the pager of a kind that is not ``auto``.

    Args:
        first: The first address.
        paging: How pages follow each other.
        context: What the pager may use.
    """
    if paging.kind == "none":
        return _single(first, context)
    if paging.kind in ("page", "offset"):
        return _numbered(first, paging, context)
    finders: dict[str, Callable[[Page], str | None]] = {
        "link": lambda page: header_link(page, context.link),
        "next": lambda page: _body_link(page, paging.next or "next", context.link),
        "cursor": lambda page: _token_link(page, paging),
    }
    return _followed(_sized(first, paging), finders[paging.kind], paging, context)


def detect(page: Page, *, where: str) -> Paging:
    """Return how pages follow the first one, judged by what it holds.

    Raises:
        ConfigurationError: There is more to read, but no way that we know of to ask for it.
    """
    if _rel_next(page) is not None:
        return Paging(kind="link")
    document = page.document
    for path in _NEXT_PATHS:
        value = at(document, path)
        if isinstance(value, str) and ("/" in value or value.startswith("?")):
            return Paging(kind="next", next=path)
    for path, param in _TOKENS.items():
        if isinstance(at(document, path), (str, int)) and at(document, path):
            return Paging(kind="cursor", cursor=path, param=param)
    sign = sign_of_more(page)
    if sign is None:
        return Paging(kind="none")
    raise ConfigurationError(
        f"{where} has more pages than the first ({sign}), and how to ask for them is not clear",
        remedy='Say how the pages follow each other: paging = {"kind": "page", "param": "page"}, '
        '{"kind": "offset"}, {"kind": "cursor", "cursor": …, "param": …} or {"kind": "next", "next": …}',
    )


def header_link(page: Page, link: Link) -> str | None:
    """Return the address of ``rel=next`` in the header ``Link`` (RFC 8288), or None."""
    found = _rel_next(page)
    return None if found is None else link(page.url, found)


def _rel_next(page: Page) -> str | None:
    header = page.headers.get("link")
    if not header:
        return None
    response = httpx.Response(200, headers={"link": header})
    for relation, found in response.links.items():
        if "next" in str(relation).lower().split():
            return found.get("url")
    return None


def _single(first: str, context: Context) -> Pager:
    (page,) = yield (first,)
    sign = sign_of_more(page)
    if sign is not None:
        context.tell(f"Only the first page was read, as paging is 'none', though {sign}")


def _followed(first: str, find_next: Callable[[Page], str | None], paging: Paging, context: Context) -> Pager:
    """Follow a pointer from each page to the next."""
    url: str | None = first
    seen, empty, total = 0, 0, None
    while url is not None:
        (page,) = yield (url,)
        seen += len(page.records)
        empty = _emptiness(page, empty, context)
        total = total_of(page.document, paging.total)
        url = find_next(page)
        if paging.more and at(page.document, paging.more) is False:
            url = None
        if url is None and page.number == 1:
            _refuse_first_page_only(page, paging)
    if total is not None and total > seen:
        context.tell(f"The server announced {total} records and sent {seen}")


def _refuse_first_page_only(page: Page, paging: Paging) -> None:
    """Refuse to take a first page for everything when it says that there is more."""
    pointer = {"next": paging.next, "cursor": paging.cursor}.get(paging.kind)
    said = pointer is not None and at(page.document, pointer) is not MISSING
    sign = sign_of_more(page)
    if sign is None or said or paging.last or (paging.more and at(page.document, paging.more) is False):
        return
    others = [path for path, value in pointers(page.document) if isinstance(value, (str, int, dict))]
    raise ConfigurationError(
        f"The paging {paging.kind!r} found no second page of {page.shown}, though {sign}",
        value={name: value for name in ("next", "cursor", "last") if (value := getattr(paging, name))} or None,
        valid=others or None,
        remedy="Check the paging of the source",
    )


def _emptiness(page: Page, before: int, context: Context) -> int:
    """Count empty pages in a row; refuse too many."""
    if page.records:
        return 0
    if before + 1 > context.empty_pages:
        raise DataError(
            f"{page.shown} is the {before + 1}th empty page in a row, and the server says that there are more",
            remedy="Check the paging of the source, or raise empty_pages",
        )
    return before + 1


def _body_link(page: Page, path: str, link: Link) -> str | None:
    value = at(page.document, path)
    if isinstance(value, dict) and "href" in value:
        value = value["href"]
    if value is MISSING or value in (None, "", False):
        return None
    if not isinstance(value, str):
        raise DataError(f"{path!r} of {page.shown} is no address", value=type(value).__name__)
    return link(page.url, value)


def _token_link(page: Page, paging: Paging) -> str | None:
    if paging.last is not None:
        value = at(page.records[-1], paging.last) if page.records else None
        if value is MISSING:
            raise DataError(f"The last record of {page.shown} has no {paging.last!r}, from which the next page follows")
    else:
        value = at(page.document, paging.cursor or "")
    if value is MISSING or value in (None, "", False):
        return None
    if isinstance(value, (dict, list)):
        raise DataError(f"{paging.cursor or paging.last!r} of {page.shown} is no token", value=type(value).__name__)
    return with_parameters(page.url, {paging.param or "cursor": value})


def _sized(url: str, paging: Paging) -> str:
    return url if paging.size is None else with_parameters(url, {paging.size_param or "limit": paging.size})


class _Count:
    """What is known about the number of records, and what was seen of them."""

    def __init__(self, paging: Paging, tell: Tell) -> None:
        self.seen = 0
        self.total: int | None = None
        self._paging = paging
        self._tell = tell
        self._first = True

    def add(self, page: Page) -> None:
        self.seen += len(page.records)
        total = total_of(page.document, self._paging.total) if isinstance(page.document, dict) else None
        if total is None and "x-total-count" in page.headers:
            total = whole(page.headers["x-total-count"])
        if self._first:
            self._first = False
            if self._paging.total and total is None:
                self._tell(f"{self._paging.total!r} holds no number of records; pages are read until one is empty")
            # A number like "count" is often that of the page; only a greater one, or one that was named, is a total.
            rows = len(page.records)
            self.total = None if total is None or total < rows or (total == rows and not self._paging.total) else total
        elif total is not None and self.total is not None and total != self.total:
            self._tell(
                f"The server's count of records changed from {self.total} to {total} while it was read: "
                "records may be missing or come twice"
            )
            self.total = total

    def left(self) -> int | None:
        return None if self.total is None else self.total - self.seen

    def close(self) -> None:
        if self.total is not None and self.seen != self.total:
            self._tell(f"The server announced {self.total} records and sent {self.seen}")


def _numbered(first: str, paging: Paging, context: Context) -> Pager:
    """Ask by page number or by offset; ahead of the answers where the total is known."""
    by_page = paging.kind == "page"
    count = _Count(paging, context.tell)

    def address(at_: int, size: int | None = None) -> str:
        asked = {paging.size_param or "limit": size} if size is not None and paging.size is not None else {}
        return with_parameters(_sized(first, paging), {paging.param or paging.kind: at_, **asked})

    place, empty = paging.start, 0
    (page,) = yield (address(place),)
    count.add(page)
    full = len(page.records)
    last = _last_page(page, paging, count, full) if by_page else None
    while not _ended(page, paging, count, full, last, place):
        empty = _emptiness(page, empty, context)
        if by_page:
            place += 1
            step = 1
        else:
            place += len(page.records) or full or 1
            step = full
        window = _window(place, step, paging, context, count.left(), full, last)
        pages = yield tuple(address(place + step * ahead) for ahead in range(window))
        for ahead, page in enumerate(pages):
            count.add(page)
            empty = _emptiness(page, empty, context) if ahead < window - 1 else empty
        if not by_page:
            for ahead, short in enumerate(pages[:-1]):
                yield from _filled(place + step * ahead, short, full, address, count)
        place += step * (window - 1)
    count.close()


def _filled(
    offset: int, short: Page, full: int, address: Callable[..., str], count: _Count
) -> Generator[tuple[str, ...], tuple[Page, ...], None]:
    """Ask again for what a page among others, fetched by offset, left out."""
    got = len(short.records)
    while 0 < got < full:
        (page,) = yield (address(offset + got, full - got),)
        count.add(page)
        if not page.records:
            return
        got += len(page.records)


def _last_page(page: Page, paging: Paging, count: _Count, full: int) -> int | None:
    """Return the number of the last page, where the server says it or its total implies it."""
    if paging.pages is not None:
        pages = whole(at(page.document, paging.pages))
        return None if pages is None else paging.start + pages - 1
    if count.total is None or full == 0:
        return None
    return paging.start + -(-count.total // full) - 1


def _ended(page: Page, paging: Paging, count: _Count, full: int, last: int | None, place: int) -> bool:
    """Say whether there is nothing left to ask for. A full last page is not believed: the total may be too small."""
    if paging.more is not None:
        more: Any = at(page.document, paging.more)
        if isinstance(more, bool):
            return not more
    rows, left = len(page.records), count.left()
    if last is not None and place < last:
        return False
    if rows == 0:
        return last is not None or full == 0 or count.total is None or place + full >= count.total
    short = rows < full or (paging.size is not None and rows < paging.size)
    return short and (left <= 0 if left is not None else last is not None)


def _window(
    place: int, step: int, paging: Paging, context: Context, left: int | None, full: int, last: int | None
) -> int:
    """Return how many pages may be asked for at once without asking past the announced end."""
    if paging.more is not None or full == 0:
        return 1
    ahead = -(-left // full) if left is not None and step else 1
    if last is not None:
        ahead = last - place + 1
    return max(1, min(context.window, ahead))
