"""Parsed answers: values by path, the list of records, and signs that there is more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any

from penstock.errors import ConfigurationError, DataError
from penstock.extract.http.body import excerpt
from penstock.values import dataclass

MISSING: Any = object()
"""What ``at`` returns where a path leads nowhere; a null is not missing."""

WHOLE = "."
"""The path of the document itself."""

_USUAL_NAMES = ("data", "results", "items", "records", "rows", "value", "values", "entries", "features", "content")
_TOTALS = (
    "total", "total_count", "totalCount", "total_results", "totalResults", "totalElements", "count", "@odata.count",
    "meta.total", "meta.total_count", "meta.count", "meta.totalCount", "pagination.total", "pagination.total_count",
    "paging.total", "page.totalElements", "page.total", "info.count",
)  # fmt: skip
_MORE = (
    "has_more", "hasMore", "more", "has_next", "hasNext", "meta.has_more", "meta.hasMore", "pagination.has_more",
    "pagination.has_next", "paging.has_more", "pageInfo.hasNextPage", "paging.hasMore",
)  # fmt: skip
_PAGES = (
    "total_pages", "totalPages", "pages", "page_count", "pageCount", "last_page", "meta.total_pages", "meta.pages",
    "meta.last_page", "pagination.total_pages", "pagination.pages", "page.totalPages", "info.pages",
)  # fmt: skip
_ENVELOPES = ("", "meta", "pagination", "paging", "page", "links", "_links", "info", "cursor", "response_metadata")


@dataclass(frozen=True, slots=True)
class Page:
    """One answer.

    Attributes:
        url: The address asked for, without credentials.
        shown: The same as it may be shown.
        number: 1 for the first answer of the extraction.
        document: The parsed body.
        records: Its records.
        headers: As received; names in any case.
        bytes: Size of the body.
    """

    url: str
    shown: str
    number: int
    document: Any = field(repr=False)
    records: Sequence[Mapping[str, Any]] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    bytes: int = 0


def at(document: Any, path: str) -> Any:
    """Return the value at a dotted path, or MISSING; a number steps into a list, a name with dots in it comes first."""
    if path == WHOLE:
        return document
    found = document
    steps = path.split(".")
    for position, step in enumerate(steps):
        if isinstance(found, dict):
            rest = ".".join(steps[position:])
            if rest in found:
                return found[rest]
            found = found.get(step, MISSING)
        elif isinstance(found, list) and step.lstrip("-").isdigit() and -len(found) <= int(step) < len(found):
            found = found[int(step)]
        else:
            return MISSING
        if found is MISSING:
            return MISSING
    return found


def find_records(document: Any, *, where: str) -> str:
    """Return the path of the one list of objects in a document.

    Raises:
        ConfigurationError: There is none, or more than one; names them.
    """
    if isinstance(document, list) or document is None:
        return WHOLE
    if not isinstance(document, dict):
        raise DataError(f"{where} answers with a single {type(document).__name__}, not with records")
    _refuse_error(document, "", where)
    for candidates in (dict(_lists(document, "")), dict(_nested_lists(document))):
        full = [path for path, found in candidates.items() if found and isinstance(found[0], dict)]
        chosen = full or [path for path, found in candidates.items() if not found]
        usual = [path for path in chosen if path.rpartition(".")[2] in _USUAL_NAMES]
        if len(chosen) == 1 or len(usual) == 1:
            return chosen[0] if len(chosen) == 1 else usual[0]
        if chosen:
            raise ConfigurationError(
                f"{where} holds more than one list of records", valid=chosen, remedy="Say which: records = …"
            )
    raise ConfigurationError(
        f"{where} holds no list of records; its keys are {', '.join(sorted(document)[:12]) or 'none'}",
        remedy='Say where the records are: records = "path.to.list", or records = "." if the answer is one record',
    )


def records_at(document: Any, path: str, *, where: str) -> list[dict[str, Any]]:
    """Return the records of a document.

    Raises:
        DataError: The document is an error, the path leads nowhere, or something in the list is no object.
    """
    if document is None:
        return []
    _refuse_error(document, path, where)
    found = at(document, path)
    if found is None:
        return []
    if found is MISSING:
        keys = ", ".join(sorted(document)[:12]) if isinstance(document, dict) else f"a {type(document).__name__}"
        raise DataError(f"{where} holds no records at {path!r}", value=keys, remedy="Check records = … of the source")
    if isinstance(found, dict):
        found = [found]
    if not isinstance(found, list):
        raise DataError(f"{where} holds no list at {path!r}", value=type(found).__name__, valid="a list of objects")
    if set(map(type, found)) - {dict}:
        wrong = next(position for position, item in enumerate(found) if not isinstance(item, dict))
        raise DataError(
            f"Record {wrong} of {where} is not an object", value=type(found[wrong]).__name__, valid="a list of objects"
        )
    return found


def total_of(document: Any, path: str | None = None) -> int | None:
    """Return how many records the server says there are, from ``path`` or from where it usually stands; else None."""
    for candidate in (path,) if path else _TOTALS:
        count = whole(at(document, candidate))
        if count is not None:
            return count
    return None


def whole(value: Any) -> int | None:
    """Return a count that was sent as a number or as digits; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return int(value) if value >= 0 else None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
        return int(value)
    return None


def sign_of_more(page: Page) -> str | None:
    """Return what in an answer says that there are more pages, as a phrase, or None."""
    document = page.document
    if not isinstance(document, dict):
        announced = whole(page.headers.get("x-total-count") or page.headers.get("x-total"))
        return f"X-Total-Count is {announced}" if announced is not None and announced > len(page.records) else None
    total = total_of(document)
    if total is not None and total > len(page.records):
        return f"it announces {total} records"
    for path in _MORE:
        if at(document, path) is True:
            return f"{path} is true"
    for path in _PAGES:
        pages = whole(at(document, path))
        if pages is not None and pages > 1:
            return f"{path} is {pages}"
    for path, value in pointers(document):
        return f"{path} is {str(value)[:40]!r}"
    return None


def pointers(document: Any) -> Iterator[tuple[str, Any]]:
    """Yield what looks like a pointer to the next page: (path, value) of non-empty values whose name says ``next``."""
    for envelope in _ENVELOPES:
        holder = document if not envelope else at(document, envelope)
        if not isinstance(holder, dict):
            continue
        for name, value in holder.items():
            if "next" in name.lower() and value and not isinstance(value, (list, bool)):
                yield (f"{envelope}.{name}" if envelope else name), value


def _lists(holder: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, list[Any]]]:
    for name, value in holder.items():
        if isinstance(value, list):
            yield prefix + name, value


def _nested_lists(document: Mapping[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    for name, value in document.items():
        if isinstance(value, dict):
            yield from _lists(value, f"{name}.")


def _refuse_error(document: Any, path: str, where: str) -> None:
    """Refuse an error that is sent as a success."""
    if not isinstance(document, dict):
        return
    for name in ("error", "errors"):
        value = document.get(name)
        if value and value is not True and path.partition(".")[0] != name and path != WHOLE:
            raise DataError(f"{where} answers with an error", value=excerpt(str(value).encode("utf-8", "replace")))
