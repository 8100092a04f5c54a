"""One reading of an endpoint: pages in order, grouped into Arrow batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pyarrow as pa

from penstock.errors import ConfigurationError, DataError, PenstockError
from penstock.extract.http.address import below, parse_url, with_parameters
from penstock.extract.http.client import HttpClient
from penstock.extract.port import ArrowBatch, Request, byte_size
from penstock.extract.rest.columns import Columns
from penstock.extract.rest.document import Page, find_records, records_at
from penstock.extract.rest.guards import LoopGuard, Overlap
from penstock.extract.rest.options import RestOptions
from penstock.extract.rest.paging import Context, Pager, detect, pager_for
from penstock.extract.rest.window import Greatest, RowFilter, parameters

_ROWS = 10_000
_SPREAD = 4
"""Parsed JSON takes about this many times the bytes of its text in memory."""


class RestExtraction:
    """Reads one endpoint.

    Args:
        request: What to read.
        options: Its options.
        client: Calls the server; closed with the extraction.
        now: The present moment; a cursor far ahead of it does not move the position.
    """

    def __init__(self, request: Request, options: RestOptions, client: HttpClient, now: datetime) -> None:
        self._request = request
        self._options = options
        self._client = client
        self._notes: dict[str, None] = {}
        self._guard = LoopGuard(options.max_pages, client.veil.url)
        self._overlap = Overlap(request.source.key)
        self._columns = Columns(options.types, options.times, self._tell)
        unit = options.interval.format if options.interval else options.since.format if options.since else "epoch"
        self._filter = RowFilter(request, unit)
        self._greatest = Greatest(request, now)
        self._records = options.records
        self._threads: ThreadPoolExecutor | None = None
        self._read = 0
        self.paging = options.paging
        self.first = with_parameters(address(request, options), {**options.params, **parameters(request, options)})

    @property
    def schema(self) -> pa.Schema | None:
        """Return None: an endpoint says its columns by its first record."""
        return None

    def batches(self) -> Iterator[ArrowBatch]:
        """Yield the rows, page after page, in groups bounded in rows and bytes."""
        group: list[Page] = []
        rows = size = 0
        for page in self.pages():
            group.append(page)
            rows += len(page.records)
            size += page.bytes * _SPREAD
            if rows >= _ROWS or size >= self._request.batch_bytes:
                yield from self._convert(group)
                group, rows, size = [], 0, 0
        yield from self._convert(group)

    def position(self) -> Mapping[str, Any] | None:
        """Return the greatest cursor value; None for a reading without cursor, by interval, or without rows."""
        return self._greatest.position()

    def notes(self) -> tuple[str, ...]:
        """Return what was met on the way."""
        said = [*self._notes, *self._filter.notes()]
        table = self._request.source.table
        if self._overlap.twice:
            said.append(
                f"{self._overlap.twice} keys of {table!r} came on two pages in a row: rows were added or moved "
                "while it was read"
            )
        return (*said, *self._greatest.notes())

    def commit(self) -> None:
        """Do nothing: a server is not told how far it was read."""

    def close(self) -> None:
        """Stop fetching ahead and close the connections."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
        self._client.close()
        if self._threads is not None:
            self._threads.shutdown(wait=True)

    def pages(self) -> Iterator[Page]:
        """Yield the pages in order.

        Raises:
            TransientError: The server is down or over its limit, and stays so.
            ConfigurationError: Address, credentials, paging or path of the records are wrong.
            DataError: An answer is not what it should be, or the pages have no end.
        """
        ready: tuple[Page, ...] = ()
        if self.paging.kind == "auto":
            first = self._fetch(self.first, 1)
            self.paging = detect(first, where=self._client.veil.url(first.url))
            ready = (first,)
        pager = self._pager()
        asked = next(pager)
        while True:
            found = ready or self._fetch_all(asked)
            ready = ()
            for page in found:
                self._guard.got(page)
                if self.paging.kind in ("page", "offset"):
                    self._overlap.add(page.records)
                yield page
            try:
                asked = pager.send(found)
            except StopIteration:
                return

    def converted(self, page: Page) -> Iterator[ArrowBatch]:
        """Yield the rows of one page as batches."""
        return self._convert([page])

    def _pager(self) -> Pager:
        context = Context(
            link=self._client.link,
            tell=self._tell,
            window=self._options.concurrency,
            empty_pages=self._options.empty_pages,
        )
        return pager_for(self.first, self.paging, context)

    def _fetch_all(self, urls: tuple[str, ...]) -> tuple[Page, ...]:
        first = self._read + 1
        numbered = list(enumerate(urls, start=first))
        if len(urls) == 1:
            return (self._fetch(urls[0], first),)
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._options.concurrency, thread_name_prefix="penstock-pages")
        for url in urls:
            self._guard.ask(url)
        self._read += len(urls)
        return tuple(self._threads.map(lambda item: self._page(item[1], item[0]), numbered))

    def _fetch(self, url: str, number: int) -> Page:
        self._guard.ask(url)
        self._read = number
        return self._page(url, number)

    def _page(self, url: str, number: int) -> Page:
        """Fetch one page; past the first, a server that pages by number may say 404 where there is no more."""
        reply = self._client.get(url, absent=number > 1 and self.paging.kind in ("page", "offset"))
        try:
            document = None if reply.status == 404 else reply.json()
            if self._records is None and document is not None:
                self._records = find_records(document, where=reply.url)
            records = records_at(document, self._records or ".", where=reply.url)
        except (DataError, ConfigurationError) as error:
            raise self._veiled(error) from None
        return Page(url, self._client.veil.url(url), number, document, records, reply.headers, len(reply.body))

    def _veiled(self, error: DataError | ConfigurationError) -> PenstockError:
        """Return an error that quotes an answer without the secrets that a server may echo in it."""
        show = self._client.veil.text
        value = show(error.value) if isinstance(error.value, str) else error.value
        return type(error)(show(error.what), value=value, valid=error.valid, remedy=error.remedy)

    def _convert(self, group: list[Page]) -> Iterator[ArrowBatch]:
        records = [record for page in group for record in page.records]
        if not records:
            return
        where = group[0].shown
        detail: dict[str, Any] = {"page": group[0].number}
        if len(group) > 1:
            detail["last_page"] = group[-1].number
        for first in range(0, len(records), _ROWS):
            table = self._columns.table(records[first : first + _ROWS], where=where)
            table = self._filter.keep(table, where=where)
            self._greatest.add(table, where=where)
            for batch in table.combine_chunks().to_batches(max_chunksize=self._rows_of_a_batch(table)):
                if batch.num_rows:
                    yield ArrowBatch(batch, (where, detail))

    def _rows_of_a_batch(self, table: pa.Table) -> int:
        size: int = max(byte_size(table), 1)
        return max(1, len(table) * self._request.batch_bytes // size)

    def _tell(self, sentence: str) -> None:
        self._notes[self._client.veil.text(sentence)] = None


def address(request: Request, options: RestOptions) -> str:
    """Return the address of the endpoint, without userinfo.

    Raises:
        ConfigurationError: There is none, or it is on another server than the connection.
    """
    where = f"The path of source {request.source.table!r}"
    url = options.address
    if request.connection is not None and not url.startswith(("http://", "https://")):
        url = below(request.connection.url, url)
    return str(parse_url(url, where=where).copy_with(userinfo=b""))
