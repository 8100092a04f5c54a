"""The options of a REST source, read once and refused where they are misspelt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from typing import Any

from penstock.errors import ConfigurationError
from penstock.extract.http.settings import SETTINGS, HttpSettings, settings_from
from penstock.extract.port import Request
from penstock.names import unknown
from penstock.values import dataclass

KINDS = ("auto", "link", "next", "cursor", "page", "offset", "none")
FORMATS = ("iso", "date", "epoch", "epoch_ms")

_SOURCE = (
    "path", "url", "params", "records", "paging", "since", "interval", "types", "times", "concurrency", "max_pages",
    "empty_pages",
)  # fmt: skip
_CONNECTION = ("auth", "headers", "params", "user")
_PAGING = ("kind", "next", "cursor", "last", "param", "start", "size", "size_param", "total", "pages", "more")
_TIMES = ("start", "end", "param", "format", "inclusive")


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging:
    """How the pages of an endpoint follow each other.

    Attributes:
        kind: One of ``KINDS``.
        next: ``next``: path of the next address in the body.
        cursor: ``cursor``: path of the token of the next page in the body.
        last: ``cursor``: instead, the column of the last record whose value is the token.
        param: The parameter that takes the token, the page number or the offset.
        start: First page number, or first offset.
        size: Records asked for per page; None leaves it to the server.
        size_param: The parameter that takes ``size``.
        total: Path of the number of all records.
        pages: ``page``: path of the number of pages.
        more: Path of a truth value: there are more pages.
    """

    kind: str = "auto"
    next: str | None = None
    cursor: str | None = None
    last: str | None = None
    param: str | None = None
    start: int = 1
    size: int | None = None
    size_param: str | None = None
    total: str | None = None
    pages: str | None = None
    more: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeParameters:
    """How moments are put into the query: an interval (``start``, ``end``) or a position (``start`` alone).

    Attributes:
        start: Parameter of the first moment.
        end: Parameter of the moment after the last; None: the endpoint has none.
        format: One of ``FORMATS``.
        inclusive: With ``date``: the endpoint's end is the last day inside.
    """

    start: str
    end: str | None = None
    format: str = "iso"
    inclusive: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RestOptions:
    """Everything that the options of a source and its connection say."""

    address: str
    params: Mapping[str, Any] = field(default_factory=dict)
    records: str | None = None
    paging: Paging = field(default_factory=Paging)
    since: TimeParameters | None = None
    interval: TimeParameters | None = None
    types: Mapping[str, str] = field(default_factory=dict)
    times: bool = True
    concurrency: int = 4
    max_pages: int = 100_000
    empty_pages: int = 10
    settings: HttpSettings = field(default_factory=HttpSettings)


def read_options(request: Request) -> RestOptions:
    """Read the options of a request.

    Raises:
        ConfigurationError: An option that is unknown, missing or of the wrong type; names the nearest.
    """
    where = f"source {request.source.table!r}"
    options, connection = request.source.options, request.connection
    _known(options, (*_SOURCE, *SETTINGS), where)
    shared: Mapping[str, Any] = connection.options if connection else {}
    if connection:
        _known(shared, (*_CONNECTION, *SETTINGS), f"connection {connection.name!r}")
    settings = settings_from({**shared, **{k: v for k, v in options.items() if k in SETTINGS}}, where=where)
    params = {**_mapping(shared, "params", where), **_mapping(options, "params", where)}
    counts: dict[str, Any] = {
        name: _count(options, name, where) for name in ("concurrency", "max_pages", "empty_pages") if name in options
    }
    return RestOptions(
        address=str(options.get("url") or options.get("path") or ""),
        params=params,
        records=_text(options, "records", where),
        paging=_paging(options.get("paging", "auto"), where),
        since=_times(options.get("since"), "since", where),
        interval=_times(options.get("interval"), "interval", where),
        types={str(name): str(type_) for name, type_ in _mapping(options, "types", where).items()},
        times=bool(options.get("times", True)),
        settings=settings,
        **counts,
    )


def _paging(given: Any, where: str) -> Paging:
    given = {"kind": given} if isinstance(given, str) else given
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"The paging of {where} is not usable", value=given, valid='{"kind": …}')
    _known(given, _PAGING, f"paging of {where}")
    kind = given.get("kind", "auto")
    if kind not in KINDS:
        raise unknown("kind of paging", str(kind), KINDS, where=where)
    numbers = {name: _count(given, name, f"the paging of {where}", least=least) for name, least in _LEAST.items()}
    texts = {name: _text(given, name, where) for name in _PAGING if name not in ("kind", "start", "size")}
    usual: dict[str, Any] = {"page": {"param": "page", "start": 1}, "offset": {"param": "offset", "start": 0}}.get(
        kind, {}
    )
    given_values = {name: value for name, value in {**numbers, **texts}.items() if value is not None}
    paging = Paging(kind=kind, **{**usual, **given_values})
    needs = {"next": ("next",), "cursor": ("param",)}.get(kind, ())
    missing = [name for name in needs if getattr(paging, name) is None]
    if kind == "cursor" and not (paging.cursor or paging.last):
        missing.append("cursor")
    if missing:
        raise ConfigurationError(f"The paging {kind!r} of {where} needs {missing[0]!r}", value=dict(given))
    if paging.size is not None and paging.size_param is None:
        default = {"page": "per_page", "offset": "limit"}.get(kind, "limit")
        paging = replace(paging, size_param=default)
    return paging


_LEAST = {"start": 0, "size": 1}


def _times(given: Any, name: str, where: str) -> TimeParameters | None:
    if given is None:
        return None
    given = {"start": given} if isinstance(given, str) else given
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"Option {name!r} of {where} is not usable", value=given, valid='{"start": …}')
    _known(given, _TIMES, f"{name} of {where}")
    start = given.get("start", given.get("param"))
    if not start:
        raise ConfigurationError(f"Option {name!r} of {where} names no parameter", valid='{"start": "from", …}')
    format_ = given.get("format", "iso")
    if format_ not in FORMATS:
        raise unknown("format", str(format_), FORMATS, where=f"{name} of {where}")
    end = given.get("end")
    return TimeParameters(
        start=str(start), end=str(end) if end else None, format=format_, inclusive=bool(given.get("inclusive", False))
    )


def _known(given: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for name in given:
        if name not in known:
            raise unknown("option", str(name), known, where=where)


def _mapping(options: Mapping[str, Any], name: str, where: str) -> Mapping[str, Any]:
    found = options.get(name, {})
    if not isinstance(found, Mapping):
        raise ConfigurationError(f"Option {name!r} of {where} is not usable", value=found, valid="a table of values")
    return found


def _text(options: Mapping[str, Any], name: str, where: str) -> str | None:
    found = options.get(name)
    if found is not None and (not isinstance(found, str) or not found):
        raise ConfigurationError(f"Option {name!r} of {where} is not usable", value=found, valid="a text")
    return found


def _count(options: Mapping[str, Any], name: str, where: str, *, least: int = 1) -> int | None:
    found = options.get(name)
    if found is not None and (isinstance(found, bool) or not isinstance(found, int) or found < least):
        raise ConfigurationError(
            f"Option {name!r} of {where} is not usable", value=found, valid=f"a whole number from {least}"
        )
    return found
