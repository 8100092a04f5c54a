"""Constructors of sources: ``from penstock import sources``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

from penstock.errors import ConfigurationError
from penstock.model.reading import Reading, read_as
from penstock.model.reading_streams import streamed
from penstock.model.specs import SchemaSpec, SourceSpec
from penstock.names import check_table_name, unknown


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
    )


def files(
    path: str,
    *,
    table: str,
    format: str | None = None,  # noqa: A002 - the word that users know
    connection: str | None = None,
    options: Mapping[str, Any] | None = None,
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
        **reading: See ``Reading``.
    """
    found: dict[str, Any] = {"path": path, **(options or {})}
    if format is not None:
        found["format"] = format
    return _source(SourceSpec(table=table, kind="files", connection=connection, options=found), reading)


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


def tail(
    path: str,
    *,
    table: str,
    format: str = "json",  # noqa: A002 - the word that users know
    stream: Mapping[str, Any] | None = None,
    **reading: Unpack[Reading],
) -> SourceSpec:
    """Read lines that are appended to files, as a stream: ``penstock stream`` reads it, runs do not.

    Args:
        path: A file or a glob such as ``logs/clicks*.jsonl``, relative to the project. A file that is given another
            name in the same folder (rotation) is read to its end.
        table: What it is called in Penstock.
        format: What a line is: ``json`` (an object), ``text`` or ``bytes``.
        stream: When micro-batches are closed, and what becomes of gaps; see ``model.reading_streams``.
        **reading: See ``Reading``.
    """
    spec = SourceSpec(table=table, kind="tail", options={"path": path})
    return streamed(_source(spec, reading), format, stream or {})


def redis_stream(
    connection: str,
    *,
    stream_name: str,
    table: str,
    value: str | None = None,
    format: str = "json",  # noqa: A002 - the word that users know
    group: str | None = None,
    stream: Mapping[str, Any] | None = None,
    **reading: Unpack[Reading],
) -> SourceSpec:
    """Read a stream of Redis: ``penstock stream`` reads it, runs do not.

    Args:
        connection: A connection of ``penstock.toml``, as ``redis://host:6379/0``.
        stream_name: Its key, as in ``XADD orders * …``.
        table: What it is called in Penstock.
        value: The field of an entry that is the message; the others stand in ``_headers``. Without it all fields are
            the message: an object of texts.
        format: What the message is: ``json`` (an object), ``text`` or ``bytes``; the last two want ``value``.
        group: A consumer group that is told how far was read, for Redis's own displays; nobody reads from it.
        stream: When micro-batches are closed, and what becomes of gaps; see ``model.reading_streams``.
        **reading: See ``Reading``.
    """
    if value is None and format != "json":
        raise ConfigurationError(
            f"Stream {table!r}: all fields of an entry are an object",
            value=f"format={format!r}",
            remedy="Name a value=…",
        )
    options = {"stream": _named(stream_name, table, "stream of Redis"), "value": value, "group": group}
    spec = SourceSpec(table=table, kind="redis", connection=connection, options=options)
    return streamed(_source(spec, reading), format, stream or {})


def nats(
    connection: str,
    *,
    stream_name: str,
    table: str,
    subject: str | None = None,
    format: str = "json",  # noqa: A002 - the word that users know
    stream: Mapping[str, Any] | None = None,
    **reading: Unpack[Reading],
) -> SourceSpec:
    """Read a stream of NATS JetStream: ``penstock stream`` reads it, runs do not.

    Args:
        connection: A connection of ``penstock.toml``, as ``nats://host:4222``.
        stream_name: The stream.
        table: What it is called in Penstock.
        subject: Messages of this subject alone; it may have wildcards, as ``orders.*.paid``.
        format: What a message is: ``json`` (an object), ``text`` or ``bytes``.
        stream: When micro-batches are closed, and what becomes of gaps; see ``model.reading_streams``.
        **reading: See ``Reading``.
    """
    options = {"stream": _named(stream_name, table, "stream of NATS"), "subject": subject}
    spec = SourceSpec(table=table, kind="nats", connection=connection, options=options)
    return streamed(_source(spec, reading), format, stream or {})


def _named(value: str, table: str, what: str) -> str:
    if not isinstance(value, str) or not value:
        raise ConfigurationError(f"Stream {table!r} names no {what}", value=repr(value), valid="its name, as 'orders'")
    return value


def kafka(
    connection: str,
    *,
    topics: str | Sequence[str],
    table: str,
    format: str = "json",  # noqa: A002 - the word that users know
    group: str | None = None,
    stream: Mapping[str, Any] | None = None,
    **reading: Unpack[Reading],
) -> SourceSpec:
    """Read topics of Apache Kafka, as a stream: ``penstock stream`` reads it, runs do not.

    Args:
        connection: A connection of ``penstock.toml``, as ``kafka://host:9092``.
        topics: One topic or several, whose messages go into one table.
        table: What it is called in Penstock.
        format: What a message is: ``json`` (an object), ``text`` or ``bytes``.
        group: The consumer group whose offsets show the lag in Kafka's own tools; nobody reads from them. The default
            is ``penstock-{table}``.
        stream: When micro-batches are closed, and what becomes of gaps; see ``model.reading_streams``.
        **reading: See ``Reading``; beside the fields of messages there are ``_key`` and ``_tombstone`` to go by.
    """
    named = _several(topics)
    if not named or not all(isinstance(topic, str) and topic for topic in named):
        raise ConfigurationError(f"Stream {table!r} names no topic", value=repr(topics), remedy='topics="clicks"')
    options: dict[str, Any] = {"topics": list(dict.fromkeys(named)), **({"group": group} if group else {})}
    spec = SourceSpec(table=table, kind="kafka", connection=connection, options=options)
    return streamed(_source(spec, reading), format, stream or {})


def webhook(
    connection: str,
    *,
    table: str,
    format: str = "json",  # noqa: A002 - the word that users know
    stream: Mapping[str, Any] | None = None,
    **reading: Unpack[Reading],
) -> SourceSpec:
    """Read what others post to ``penstock serve``, as a stream.

    Args:
        connection: Its URL says the path, as ``webhook:///hooks/shop``, and the rest how events are signed.
        table: What it is called in Penstock.
        format: What a body is: ``json`` (an object), ``text`` or ``bytes``.
        stream: When micro-batches are closed, and what becomes of gaps; see ``model.reading_streams``.
        **reading: See ``Reading``.
    """
    spec = SourceSpec(table=table, kind="webhook", connection=connection)
    return streamed(_source(spec, reading), format, stream or {})


def _several(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _source(spec: SourceSpec, reading: Reading) -> SourceSpec:
    check_table_name(spec.table, where="The name of a source")
    return read_as(spec, reading)
