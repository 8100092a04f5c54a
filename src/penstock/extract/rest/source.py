"""The source kind ``rest``."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from penstock.errors import ConfigurationError
from penstock.extract import scoping
from penstock.extract.http.address import parse_url, server
from penstock.extract.http.budget import Timing
from penstock.extract.http.client import HttpClient
from penstock.extract.http.credentials import Credentials, credentials_of
from penstock.extract.port import Request, TableDescription
from penstock.extract.rest.document import Page, total_of
from penstock.extract.rest.extraction import RestExtraction, address
from penstock.extract.rest.options import Paging, RestOptions, read_options

_PAGES = {
    "link": "the next address in the header Link",
    "none": "a single page",
    "page": "page numbers",
    "offset": "offsets",
}


class RestSource:
    """Reads endpoints of HTTP APIs, page by page.

    Options of the source: ``path`` (or ``url``), ``params``, ``records`` (path of the list), ``paging`` (see
    ``options.Paging``), ``since`` and ``interval`` (how moments are put into the query), ``types`` (column to DuckDB
    type), ``times`` (recognise ISO times; default true), ``concurrency``, ``max_pages``, ``empty_pages``. Options of
    the connection: ``auth``, ``headers``, ``params``, and the bounds of ``HttpSettings``.

    Args:
        timing: Clock and sleep; tests put their own in.
    """

    def __init__(self, timing: Timing | None = None) -> None:
        self._timing = timing

    def open(self, request: Request) -> RestExtraction:
        """Begin to read. The first call is made when the first batch is asked for.

        Raises:
            ConfigurationError: An option, the address or the credentials cannot be.
        """
        options = read_options(request)
        url = address(request, options)
        if request.connection is None:
            credentials, name = Credentials(), parse_url(url, where="The url").host
        else:
            credentials, name = credentials_of(request.connection), request.connection.name
            home = parse_url(request.connection.url, where=f"The url of connection {name!r}")
            if server(parse_url(url, where="The path")) != server(home):
                raise ConfigurationError(
                    f"The path of source {request.source.table!r} is on another server than connection {name!r}",
                    value=credentials.veil.url(url),
                    valid=f"a path below {server(home)}",
                )
        timing = self._timing or Timing()
        client = HttpClient(name, url, credentials, options.settings, self._timing)
        try:
            return RestExtraction(request, options, client, datetime.fromtimestamp(timing.now(), UTC))
        except BaseException:
            client.close()
            raise

    def describe(self, request: Request) -> tuple[TableDescription, ...]:
        """Read the first page and say what it holds."""
        extraction = self.open(request)
        try:
            page = next(extraction.pages())
            batches = [batch.data for batch in extraction.converted(page)]
        finally:
            extraction.close()
        options = read_options(request)
        table = pa.Table.from_batches(batches) if batches else pa.table({})
        name = request.source.table
        personal = scoping.personal(table.column_names, table.slice(0, 200).to_pydict())
        return (
            TableDescription(
                name=name,
                columns={field.name: str(field.type) for field in table.schema},
                rows=_rows(page, extraction.paging),
                key=_key(table),
                cursors=tuple(field.name for field in table.schema if pa.types.is_timestamp(field.type)),
                pattern="api",
                reason=f"an HTTP endpoint; its pages follow by {_how(extraction.paging)}",
                remarks=(*personal, *extraction.notes()),
                suggestion=scoping.protecting(_suggestion(request, options), personal),
            ),
        )


def _rows(page: Page, paging: Paging) -> int | None:
    return len(page.records) if paging.kind == "none" else total_of(page.document, paging.total)


def _key(table: pa.Table) -> tuple[str, ...]:
    """Return a column named like a key whose values differ on the first page."""
    for name in ("id", "_id", "uuid", "key"):
        if name in table.column_names and len(table) > 1:
            column = table.column(name)
            if not pa.types.is_nested(column.type) and pc.count_distinct(column, "all").as_py() == len(table):
                return (name,)
    return ()


def _how(paging: Paging) -> str:
    if paging.kind == "next":
        return f"the next address in the body ({paging.next})"
    if paging.kind == "cursor":
        return f"a token ({paging.cursor or paging.last}) in the parameter {paging.param}"
    return _PAGES.get(paging.kind, paging.kind)


def _suggestion(request: Request, options: RestOptions) -> str:
    connection = request.connection.name if request.connection else "CONNECTION"
    return f"sources.rest({connection!r}, path={options.address!r}, table={request.source.table!r})"
