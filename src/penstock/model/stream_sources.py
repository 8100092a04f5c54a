"""Constructors of streams; ``penstock.sources`` names them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

from penstock.errors import ConfigurationError
from penstock.model.reading import Reading, read_as
from penstock.model.reading_streams import streamed
from penstock.model.specs import SourceSpec
from penstock.names import check_table_name


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
        format: What a message is: ``json`` (an object), ``text`` or ``bytes``; ``avro``, ``protobuf`` or
            ``json_schema``, where messages name their schemas in a registry.
        group: The consumer group whose offsets show the lag in Kafka's own tools; nobody reads from them. The default
            is ``penstock-{table}``.
        stream: When micro-batches are closed, and what becomes of gaps; see ``model.reading_streams``.
        **reading: See ``Reading``; beside the fields of messages there are ``_key`` and ``_tombstone`` to go by.
    """
    wanted = _several(topics)
    if not wanted or not all(isinstance(topic, str) and topic for topic in wanted):
        raise ConfigurationError(f"Stream {table!r} names no topic", value=repr(topics), remedy='topics="clicks"')
    options: dict[str, Any] = {"topics": list(dict.fromkeys(wanted)), **({"group": group} if group else {})}
    spec = SourceSpec(table=table, kind="kafka", connection=connection, options=options)
    return _made(spec, reading, format, stream)


def kinesis(
    connection: str,
    *,
    stream_name: str,
    table: str,
    format: str = "json",  # noqa: A002 - the word that users know
    stream: Mapping[str, Any] | None = None,
    **reading: Unpack[Reading],
) -> SourceSpec:
    """Read a stream of AWS Kinesis: ``penstock stream`` reads it, runs do not.

    Args:
        connection: A connection of ``penstock.toml``, as ``kinesis://eu-central-1``.
        stream_name: The stream.
        table: What it is called in Penstock.
        format: What a record is: ``json`` (an object), ``text`` or ``bytes``.
        stream: When micro-batches are closed, and what becomes of gaps; see ``model.reading_streams``.
        **reading: See ``Reading``.
    """
    options = {"stream": _named(stream_name, table, "stream of Kinesis")}
    spec = SourceSpec(table=table, kind="kinesis", connection=connection, options=options)
    return _made(spec, reading, format, stream)


def mqtt(
    connection: str,
    *,
    topics: str | Sequence[str],
    table: str,
    id: str | None = None,  # noqa: A002 - the word that users know
    retained: bool = True,
    format: str = "json",  # noqa: A002 - the word that users know
    stream: Mapping[str, Any] | None = None,
    **reading: Unpack[Reading],
) -> SourceSpec:
    """Read topics of MQTT: ``penstock stream`` reads them, runs do not.

    Args:
        connection: A connection of ``penstock.toml``, as ``mqtt://host:1883``.
        topics: A filter of topics or several, as ``sensors/+/heat``, whose messages go into one table.
        table: What it is called in Penstock.
        id: The field of messages that tells one from all others.
        retained: What a topic has retained when it is first subscribed to counts; else it is left out.
        format: What a message is: ``json`` (an object), ``text`` or ``bytes``.
        stream: When micro-batches are closed; see ``model.reading_streams``.
        **reading: See ``Reading``.
    """
    _refuse_latest(stream, table)
    wanted = [topics] if isinstance(topics, str) else list(topics)
    if not wanted:
        raise ConfigurationError(f"Stream {table!r} names no topic", value=repr(topics), valid="as 'sensors/#'")
    filters = [_named(topic, table, "topic") for topic in wanted]
    options = {"topics": filters, "id": id, "retained": retained}
    spec = SourceSpec(table=table, kind="mqtt", connection=connection, options=options)
    return _made(spec, reading, format, stream)


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
    return _made(spec, reading, format, stream)


def pubsub(
    connection: str,
    *,
    subscription: str,
    table: str,
    id: str | None = None,  # noqa: A002 - the word that users know
    format: str = "json",  # noqa: A002 - the word that users know
    stream: Mapping[str, Any] | None = None,
    **reading: Unpack[Reading],
) -> SourceSpec:
    """Read a subscription of Google Pub/Sub: ``penstock stream`` acknowledges messages once they are committed.

    Args:
        connection: A connection of ``penstock.toml``, as ``pubsub://my-project``.
        subscription: The subscription, without its project.
        table: What it is called in Penstock.
        id: The field of messages that tells one from all others; the default is the id that the service gives.
        format: What a message is: ``json`` (an object), ``text`` or ``bytes``.
        stream: When micro-batches are closed; see ``model.reading_streams``.
        **reading: See ``Reading``.
    """
    _refuse_latest(stream, table)
    options = {"subscription": _named(subscription, table, "subscription"), "id": id}
    spec = SourceSpec(table=table, kind="pubsub", connection=connection, options=options)
    return _made(spec, reading, format, stream)


def rabbitmq(
    connection: str,
    *,
    queue: str,
    table: str,
    id: str | None = None,  # noqa: A002 - the word that users know
    format: str = "json",  # noqa: A002 - the word that users know
    stream: Mapping[str, Any] | None = None,
    **reading: Unpack[Reading],
) -> SourceSpec:
    """Read a queue of RabbitMQ: ``penstock stream`` reads it, and acknowledges messages once they are committed.

    Args:
        connection: A connection of ``penstock.toml``, as ``amqp://host:5672/vhost``.
        queue: The queue.
        table: What it is called in Penstock.
        id: The field of messages that tells one from all others; the default is the property ``message_id``.
        format: What a message is: ``json`` (an object), ``text`` or ``bytes``.
        stream: When micro-batches are closed; see ``model.reading_streams``.
        **reading: See ``Reading``.
    """
    _refuse_latest(stream, table)
    options = {"queue": _named(queue, table, "queue"), "id": id}
    spec = SourceSpec(table=table, kind="rabbitmq", connection=connection, options=options)
    return _made(spec, reading, format, stream)


def rabbitmq_stream(
    connection: str,
    *,
    stream_name: str,
    table: str,
    format: str = "json",  # noqa: A002 - the word that users know
    stream: Mapping[str, Any] | None = None,
    **reading: Unpack[Reading],
) -> SourceSpec:
    """Read a stream of RabbitMQ, a queue of type ``stream``, by its offsets: ``penstock stream`` reads it, runs do not.

    Args:
        connection: A connection of ``penstock.toml``, as ``amqp://host:5672/vhost``.
        stream_name: The stream.
        table: What it is called in Penstock.
        format: What a message is: ``json`` (an object), ``text`` or ``bytes``.
        stream: When micro-batches are closed, and what becomes of gaps; see ``model.reading_streams``.
        **reading: See ``Reading``.
    """
    options = {"stream": _named(stream_name, table, "stream of RabbitMQ")}
    spec = SourceSpec(table=table, kind="rabbitmq", connection=connection, options=options)
    return _made(spec, reading, format, stream)


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
    return _made(spec, reading, format, stream)


def sse(
    connection: str,
    *,
    table: str,
    id: str | None = None,  # noqa: A002 - the word that users know
    last_event_id: str | None = None,
    format: str = "json",  # noqa: A002 - the word that users know
    stream: Mapping[str, Any] | None = None,
    **reading: Unpack[Reading],
) -> SourceSpec:
    """Read Server-Sent Events: ``penstock stream`` reads them, runs do not.

    Args:
        connection: A connection of ``penstock.toml``, whose ``url`` is that of the events, with ``kind = "sse"``.
        table: What it is called in Penstock.
        id: The field of events that tells one from all others.
        last_event_id: The event behind which the first connection begins.
        format: What the data of an event is: ``json`` (an object), ``text`` or ``bytes``.
        stream: When micro-batches are closed; see ``model.reading_streams``.
        **reading: See ``Reading``.
    """
    _refuse_latest(stream, table)
    options = {"id": id, "last_event_id": last_event_id}
    return _made(SourceSpec(table=table, kind="sse", connection=connection, options=options), reading, format, stream)


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
        format: What a line is: ``json`` (an object), ``csv`` (below the header of its file), ``text`` or ``bytes``.
        stream: When micro-batches are closed, and what becomes of gaps; see ``model.reading_streams``.
        **reading: See ``Reading``.
    """
    spec = SourceSpec(table=table, kind="tail", options={"path": path})
    return _made(spec, reading, format, stream)


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
    return _made(spec, reading, format, stream)


def websocket(
    connection: str,
    *,
    table: str,
    send: str | Sequence[str] = (),
    id: str | None = None,  # noqa: A002 - the word that users know
    format: str = "json",  # noqa: A002 - the word that users know
    stream: Mapping[str, Any] | None = None,
    **reading: Unpack[Reading],
) -> SourceSpec:
    """Read the messages of a WebSocket: what is sent while nobody listens is lost.

    Args:
        connection: A connection of ``penstock.toml``, as ``wss://host/path``.
        table: What it is called in Penstock.
        send: A text or several that are sent first, as a subscription.
        id: The field of messages that tells one from all others.
        format: What a message is: ``json`` (an object), ``text`` or ``bytes``.
        stream: When micro-batches are closed; see ``model.reading_streams``.
        **reading: See ``Reading``.
    """
    _refuse_latest(stream, table)
    options = {"send": [send] if isinstance(send, str) else list(send), "id": id}
    spec = SourceSpec(table=table, kind="websocket", connection=connection, options=options)
    return _made(spec, reading, format, stream)


def _named(value: str, table: str, what: str) -> str:
    """Return the name of what a stream reads.

    Raises:
        ConfigurationError: It is none.
    """
    if not isinstance(value, str) or not value:
        raise ConfigurationError(f"Stream {table!r} names no {what}", value=repr(value), valid="its name, as 'orders'")
    return value


def _several(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _refuse_latest(stream: Mapping[str, Any] | None, table: str) -> None:
    """Refuse to begin with what comes next where nothing else can be had."""
    if (stream or {}).get("start") == "latest":
        raise ConfigurationError(
            f"The stream {table!r} has no past that could be left out", value="start='latest'", remedy="Drop it"
        )


def _made(spec: SourceSpec, reading: Reading, format_: str, stream: Mapping[str, Any] | None) -> SourceSpec:
    check_table_name(spec.table, where="The name of a source")
    return streamed(read_as(spec, reading), format_, stream or {})
