"""Constructors of sources: ``from penstock import sources``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, TypedDict, Unpack

from penstock.errors import ConfigurationError
from penstock.model.durations import parse_duration
from penstock.model.specs import OnEmpty, SourceSpec, WriteMode
from penstock.names import check_table_name, unknown


class Reading(TypedDict, total=False):
    """What every kind of source takes.

    Attributes:
        write: ``append``, ``replace`` or ``merge``.
        key: The column or columns that name a row; needed for merge.
        cursor: The column that says how far was read; it also decides which of two rows with one key is newer.
        lag: How far behind the cursor reading begins again, for late rows: ``"2h"`` or a timedelta.
        interval: The column by which the source is read interval by interval of the pipeline's schedule.
        on_empty: For replace: ``empty`` the table when nothing comes, or ``refuse``.
    """

    write: str
    key: str | Sequence[str]
    cursor: str | None
    lag: str | timedelta
    interval: str | None
    on_empty: str


def sql(
    connection: str,
    *,
    table: str | None = None,
    query: str | None = None,
    name: str | None = None,
    **reading: Unpack[Reading],
) -> SourceSpec:
    """Read a table or a query of a database.

    Args:
        connection: A connection of ``penstock.toml``.
        table: The table, as ``flights`` or ``schema.flights``.
        query: A query instead of a table; then ``name`` is needed.
        name: What it is called in Penstock; the default is the table's name.
        **reading: See ``Reading``.
    """
    if (table is None) == (query is None):
        raise ConfigurationError(
            "sources.sql needs either a table or a query", value=f"table={table!r} query={query!r}"
        )
    if name is None:
        if table is None:
            raise ConfigurationError("sources.sql with a query needs a name", remedy="Add name=…")
        name = table.rpartition(".")[2]
    options = {"table": table} if table is not None else {"query": query}
    return _source(name, "sql", connection, options, reading)


def files(
    path: str,
    *,
    table: str,
    format: str | None = None,
    connection: str | None = None,  # noqa: A002
    options: Mapping[str, Any] | None = None,
    **reading: Unpack[Reading],
) -> SourceSpec:
    """Read files: CSV, TSV, JSON, JSONL or Parquet.

    Args:
        path: A file, a folder or a glob such as ``planes/*.csv``, relative to the project.
        table: What it is called in Penstock.
        format: ``csv``, ``tsv``, ``json``, ``jsonl`` or ``parquet``; the default is read from the file's ending.
        connection: A connection whose folder the path is relative to.
        options: What the format takes: ``nulls``, ``delimiter``, ``encoding``, ``types``, ``records`` …
        **reading: See ``Reading``.
    """
    found: dict[str, Any] = {"path": path, **(options or {})}
    if format is not None:
        found["format"] = format
    return _source(table, "files", connection, found, reading)


def rest(
    connection: str,
    *,
    path: str,
    table: str,
    options: Mapping[str, Any] | None = None,
    **reading: Unpack[Reading],
) -> SourceSpec:
    """Read an endpoint of an HTTP API.

    Args:
        connection: A connection of ``penstock.toml`` with the address, the token and the rate.
        path: The endpoint, as ``/observations``.
        table: What it is called in Penstock.
        options: ``records``, ``params``, ``paging``, ``interval``, ``since`` …
        **reading: See ``Reading``.
    """
    return _source(table, "rest", connection, {"path": path, **(options or {})}, reading)


def python(data: Any, *, table: str, **reading: Unpack[Reading]) -> SourceSpec:
    """Read a Python iterable of dicts, a DataFrame, an Arrow table or stream, or a function that gives one.

    Args:
        data: The object. A function is called at each extraction, with ``interval`` and ``position`` if it takes them.
        table: What it is called in Penstock.
        **reading: See ``Reading``.
    """
    return _source(table, "python", None, {}, reading, data)


def _source(  # noqa: PLR0913 - the one place where the parts of a spec meet
    table: str,
    kind: str,
    connection: str | None,
    options: Mapping[str, Any],
    reading: Reading,
    data: Any = None,
) -> SourceSpec:
    check_table_name(table, where="The name of a source")
    known = list(Reading.__annotations__)
    for name in reading:
        if name not in known:
            raise unknown("argument", name, known, where=f"source {table!r}")
    lag = reading.get("lag", timedelta(0))
    spec = SourceSpec(
        table=table,
        kind=kind,
        connection=connection,
        options=dict(options),
        write=_choice(WriteMode, reading.get("write", "append"), f"write mode of source {table!r}"),
        key=_names(reading.get("key", ())),
        cursor=reading.get("cursor"),
        lag=lag if isinstance(lag, timedelta) else parse_duration(lag),
        interval=reading.get("interval"),
        on_empty=_choice(OnEmpty, reading.get("on_empty", "empty"), f"on_empty of source {table!r}"),
        data=data,
    )
    if spec.write is WriteMode.MERGE and not spec.key:
        raise ConfigurationError(
            f"Source {table!r} merges but has no key", remedy="Say which columns name a row: key=[…]"
        )
    if spec.lag and not spec.cursor:
        raise ConfigurationError(f"Source {table!r} has a lag but no cursor", remedy="Add cursor=… or drop lag")
    return spec


def _names(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _choice(kind: type[Any], value: str, what: str) -> Any:
    try:
        return kind(value)
    except ValueError:
        raise ConfigurationError(f"The {what} is not known", value=value, valid=[item.value for item in kind]) from None
