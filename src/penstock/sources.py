"""Constructors of sources: ``from penstock import sources``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

from penstock.errors import ConfigurationError
from penstock.model.reading import Reading, read_as
from penstock.model.reading_changes import changed, verify_changes
from penstock.model.reading_streams import streamed
from penstock.model.specs import SchemaSpec, SourceSpec
from penstock.model.stream_sources import (
    kafka,  # noqa: F401 - users take it from here, as the next ones
    kinesis,  # noqa: F401
    mqtt,  # noqa: F401
    nats,  # noqa: F401
    pubsub,  # noqa: F401
    rabbitmq,  # noqa: F401
    rabbitmq_stream,  # noqa: F401
    redis_stream,  # noqa: F401
    sse,  # noqa: F401
    tail,  # noqa: F401
    webhook,  # noqa: F401
    websocket,  # noqa: F401
)
from penstock.names import check_table_name, unknown

_NAME = "The name of a source"


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
    return _source(SourceSpec(table=name, kind="sql", connection=connection, options=options), reading)


def database(
    connection: str,
    *,
    tables: str | Sequence[str] = "*",
    exclude: str | Sequence[str] = (),
    prefix: str = "",
    overrides: Mapping[str, Reading] | None = None,
    changes: bool | Mapping[str, Any] = False,
    **reading: Unpack[Reading],
) -> SchemaSpec:
    """Read many tables of a database; which, it is asked at each run.

    A table with a primary key is merged by it, another is replaced at each run, unless ``write`` says otherwise. A
    cursor is used where a table has the column. A table that is gone from the database fails until it is excluded.

    Args:
        connection: A connection of ``penstock.toml``.
        tables: Names or patterns such as ``"*"``, ``"cust_*"``, ``["orders", "sales.*"]``.
        exclude: Names or patterns of tables to leave out.
        prefix: Put before the name of each in Penstock.
        overrides: Table to arguments of its own, as ``{"orders": {"cursor": "changed_at"}}``.
        changes: Keep the tables up by their changes, as ``postgres_changes`` or ``mysql_changes`` does, by what the
            connection is: ``penstock stream`` reads them then. True, or arguments of that: ``max_lag``, ``stream``,
            ``slot``, ``publication``. Patterns take tables with a primary key, by which they are merged.
        **reading: See ``Reading``; for all the tables.
    """
    for name, own in (("", reading), *(overrides or {}).items()):
        for argument in own:
            if argument not in Reading.__annotations__:
                raise unknown("argument", argument, Reading.__annotations__, where=f"sources.database {name}".strip())
    return SchemaSpec(
        connection=connection,
        tables=_several(tables),
        exclude=_several(exclude),
        prefix=prefix,
        reading=dict(reading),
        overrides={name: dict(own) for name, own in (overrides or {}).items()},
        changes=verify_changes({} if changes is True else changes, connection) if changes is not False else None,
    )


def files(
    path: str,
    *,
    table: str,
    format: str | None = None,  # noqa: A002 - the word that users know
    connection: str | None = None,
    options: Mapping[str, Any] | None = None,
    stream: Mapping[str, Any] | None = None,
    **reading: Unpack[Reading],
) -> SourceSpec:
    """Read files: CSV, TSV, JSON, JSONL, Parquet, and what ``docs/how-to/file-formats.md`` lists.

    Args:
        path: A file, a folder or a glob such as ``planes/*.csv``, relative to the project.
        table: What it is called in Penstock.
        format: ``csv``, ``tsv``, ``json``, ``jsonl``, ``parquet``, ``xlsx``, ``log`` …; the default is read
            from the file's ending.
        connection: A connection whose folder the path is relative to.
        options: What the format takes: ``nulls``, ``delimiter``, ``encoding``, ``types``, ``records`` …
        stream: ``every``, as ``"5s"``, and what else ``model.reading_streams`` has: ``penstock stream`` looks so often
            for new and changed files, and runs do not.
        **reading: See ``Reading``.
    """
    found: dict[str, Any] = {"path": path, **(options or {})}
    if format is not None:
        found["format"] = format
    spec = _source(SourceSpec(table=table, kind="files", connection=connection, options=found), reading)
    return spec if stream is None else streamed(spec, "bytes", stream)


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
    found = {"path": path, **(options or {})}
    return _source(SourceSpec(table=table, kind="rest", connection=connection, options=found), reading)


def python(data: Any, *, table: str, **reading: Unpack[Reading]) -> SourceSpec:
    """Read a Python iterable of dicts, a DataFrame, an Arrow table or stream, or a function that gives one.

    Args:
        data: The object. A function is called at each extraction, with ``interval`` and ``position`` if it takes them.
        table: What it is called in Penstock.
        **reading: See ``Reading``.
    """
    return _source(SourceSpec(table=table, kind="python", data=data), reading)


def postgres_changes(
    connection: str,
    *,
    table: str,
    name: str | None = None,
    slot: str | None = None,
    publication: str | None = None,
    max_lag: str | int | None = None,
    stream: Mapping[str, Any] | None = None,
    **reading: Unpack[Reading],
) -> SourceSpec:
    """Keep a table of PostgreSQL up by the changes that it commits: ``penstock stream`` reads it, runs do not.

    It is read whole first, then change by change, with no gap and no overlap. Tables of one connection and slot are
    read together, and their transactions become visible whole in the staging warehouse.

    Args:
        connection: A connection of ``penstock.toml``, whose user may replicate.
        table: The table, as ``orders`` or ``sales.orders``.
        name: What it is called in Penstock; the default is the table's name.
        slot: The replication slot; the default is made of pipeline and connection, and made where it is not there.
        publication: A publication that has the table; the default is one that Penstock makes.
        max_lag: How much of its log the server may keep for changes that were not read before an alert says so;
            10 GiB unless said otherwise.
        stream: When micro-batches are closed, and what becomes of gaps; see ``model.reading_streams``. With
            ``on_gap="record"`` a table whose changes are gone is read whole again.
        **reading: See ``Reading``: ``write="merge"`` and a key keep the table as it is, ``write="scd2"`` all that it
            was, and without them each change is a row.
    """
    given = {"table": table, "slot": slot, "publication": publication, "max_lag": max_lag, "stream": stream or {}}
    return changed(check_table_name(name or table.rpartition(".")[2], where=_NAME), connection, given, reading)


def mysql_changes(
    connection: str,
    *,
    table: str,
    name: str | None = None,
    max_lag: str | int | None = None,
    stream: Mapping[str, Any] | None = None,
    **reading: Unpack[Reading],
) -> SourceSpec:
    """Keep a table of MariaDB or MySQL up by the changes in its binary log: ``penstock stream`` reads it, runs do not.

    It is read whole first, then change by change, with no gap and no overlap. Tables of one connection are read
    together, and their transactions become visible whole in the staging warehouse.

    Args:
        connection: A connection of ``penstock.toml``, whose user may read the binary log.
        table: The table, as ``orders`` or ``sales.orders``.
        name: What it is called in Penstock; the default is the table's name.
        max_lag: How many bytes of the log may stay unread before an alert says so; 10 GiB unless said otherwise.
        stream: When micro-batches are closed, and what becomes of gaps; see ``model.reading_streams``. With
            ``on_gap="record"`` a table whose changes are gone is read whole again.
        **reading: As ``postgres_changes`` has them.
    """
    given = {"table": table, "max_lag": max_lag, "stream": stream or {}}
    called = check_table_name(name or table.rpartition(".")[2], where=_NAME)
    return changed(called, connection, given, reading, "mysql_changes")


def _several(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _source(spec: SourceSpec, reading: Reading) -> SourceSpec:
    check_table_name(spec.table, where=_NAME)
    return read_as(spec, reading)
