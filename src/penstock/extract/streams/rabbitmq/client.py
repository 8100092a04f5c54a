"""The client of RabbitMQ, as far as it is needed: one channel that consumes one queue, and errors as sentences."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import unquote

from penstock.errors import ConfigurationError, MissingExtraError, TransientError
from penstock.extract.streams import tls

if TYPE_CHECKING:
    from penstock.model.specs import ConnectionSpec

_PATIENCE = 15.0
"""Seconds that are waited for an answer."""
MOST_UNTAKEN = 65_535
"""Messages that a server may send which were not acknowledged, at most."""
_PORTS = {"amqp": 5672, "amqps": 5671}


class Client:
    """One connection to RabbitMQ, made by ``consume``; used by one thread at a time.

    Args:
        connection: ``amqp://host:5672,host:5672/vhost`` or ``amqps://…``; ``user`` and ``password``; ``ssl_ca``,
            ``ssl_certificate``, ``ssl_key_file``.
        queue: The queue, or the stream.
        heartbeat: Seconds after which a silent end is taken for dead.
    """

    def __init__(self, connection: ConnectionSpec, queue: str, heartbeat: int = 60) -> None:
        try:
            import pika  # noqa: F401
        except ImportError:
            raise MissingExtraError("Reading from RabbitMQ", "rabbitmq") from None
        self._name = connection.name
        self._queue = queue
        self._parameters = _parameters(connection, heartbeat)
        self._connected: Any = None
        self._channel: Any = None
        self._consumer: str | None = None
        self._found: list[tuple[Any, Any, bytes]] = []
        self._size = 0

    def consume(self, prefetch: int, arguments: Mapping[str, Any] | None = None) -> None:
        """Connect, and begin to receive; at most ``prefetch`` messages that are not acknowledged.

        Raises:
            ConfigurationError: There is no such queue; we are not let in.
            TransientError: The servers cannot be reached.
        """
        with self._answering():
            self._found, self._size = [], 0
            self._channel = self._connection().channel()
            self._channel.basic_qos(prefetch_count=prefetch)
            self._consumer = self._channel.basic_consume(self._queue, self._take, arguments=dict(arguments or {}))
            self._channel.add_on_cancel_callback(self._cancelled)

    def receive(self, wait: float, most: int) -> Sequence[tuple[Any, Any, bytes]]:
        """Return deliveries, properties and bodies that came, about ``most`` bytes of them."""
        with self._answering():
            if self._connected is None:
                raise TransientError(f"The RabbitMQ of connection {self._name!r} cannot be reached: not connected")
            if not self._found:
                self._connected.process_data_events(wait)
            before = 0
            while self._size < most and len(self._found) > before:
                before = len(self._found)
                self._connected.process_data_events(0)
        found, self._found, self._size = self._found, [], 0
        return found

    def acknowledge(self, tag: int) -> None:
        """Acknowledge a delivery and all before it."""
        with self._answering():
            self._channel.basic_ack(tag, multiple=True)

    @property
    def consuming(self) -> bool:
        """Whether the server still sends; it ends that where the queue is deleted."""
        return self._consumer is not None

    def end(self) -> int:
        """Return the offset behind the last message of a stream."""
        found: list[int] = []

        def take(channel: Any, delivery: Any, properties: Any, body: bytes) -> None:  # noqa: ARG001 - as it is called
            found.append(int(properties.headers["x-stream-offset"]))

        with self._answering():
            channel = self._connection().channel()
            channel.basic_qos(prefetch_count=MOST_UNTAKEN)
            channel.basic_consume(self._queue, take, arguments={"x-stream-offset": "last"})
            # The server sends the messages that are written together at once, and answers after them.
            channel.queue_declare(self._queue, passive=True)
            before = -1
            while len(found) > before:
                before = len(found)
                self._connection().process_data_events(0)
            channel.close()
        return max(found, default=-1) + 1

    def count(self) -> int:
        """Return how many messages are there that were given to nobody."""
        with self._answering():
            return int(self._channel.queue_declare(self._queue, passive=True).method.message_count)

    def leave(self) -> None:
        """Close the channel: what was not acknowledged is given to others."""
        channel, self._channel, self._consumer = self._channel, None, None
        self._found, self._size = [], 0
        if channel is not None and channel.is_open:
            with suppress(ConfigurationError, TransientError), self._answering():
                channel.close()

    def close(self) -> None:
        """Leave."""
        from pika.exceptions import AMQPError

        self._channel, self._consumer = None, None
        self._found, self._size = [], 0
        connected, self._connected = self._connected, None
        if connected is not None and connected.is_open:
            with suppress(AMQPError, OSError):
                connected.close()

    def _connection(self) -> Any:
        import pika

        if self._connected is None:
            self._connected = pika.BlockingConnection(self._parameters)
        return self._connected

    def _take(self, channel: Any, delivery: Any, properties: Any, body: bytes) -> None:  # noqa: ARG002 - as it is called
        self._found.append((delivery, properties, body))
        self._size += len(body)

    def _cancelled(self, frame: Any) -> None:  # noqa: ARG002 - as it is called
        self._consumer = None

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Raise what the client raises as ours, and give the connection up."""
        from pika import exceptions

        try:
            yield
        except exceptions.ChannelClosedByBroker as error:
            self.close()
            self._refused(error.reply_code, error.reply_text)
        except (exceptions.ProbableAuthenticationError, exceptions.AuthenticationError):
            self.close()
            raise ConfigurationError(
                f"The RabbitMQ of connection {self._name!r} does not let us in", remedy="Look at its user and password"
            ) from None
        except exceptions.ProbableAccessDeniedError as error:
            self.close()
            raise ConfigurationError(
                f"The RabbitMQ of connection {self._name!r} does not open its virtual host: {_said(error)}",
                remedy="The virtual host is the path of the url, as amqp://host:5672/orders",
            ) from None
        except (exceptions.AMQPError, OSError) as error:
            self.close()
            cause = _certificate(error)
            if cause is not None:
                raise tls.untrusted(self._name, cause) from None
            raise TransientError(
                f"The RabbitMQ of connection {self._name!r} cannot be reached: {_said(error)}"
            ) from None

    def _refused(self, code: int, text: str) -> NoReturn:
        if code == 404 and "no queue" in text:
            raise ConfigurationError(
                f"There is no queue {self._queue!r} in the RabbitMQ of connection {self._name!r}",
                remedy="Make it, or name one that is there: rabbitmqctl list_queues",
            )
        if code == 403:
            raise ConfigurationError(
                f"The user of connection {self._name!r} may not read {self._queue!r}: {text}",
                remedy=f"rabbitmqctl set_permissions -p VHOST USER '' '' '^{self._queue}$'",
            )
        raise TransientError(f"{self._queue!r} cannot be read now (connection {self._name!r}): {text}")


def header_list(headers: Mapping[str, Any] | None) -> list[tuple[str, bytes]]:
    """Return headers with their values as bytes: texts as UTF-8, others as JSON."""
    return [(name, _bytes(value)) for name, value in (headers or {}).items()]


def _bytes(value: Any) -> bytes:
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    return value.encode() if isinstance(value, str) else json.dumps(value, default=str).encode()


def _said(error: BaseException) -> str:
    """Return what an error says; those of a connection stand within those of attempts."""
    inner = getattr(error, "exception", None) or (error.args[0] if error.args else None)
    while isinstance(inner, BaseException):
        error, inner = inner, getattr(inner, "exception", None) or (inner.args[0] if inner.args else None)
    return str(error) or type(error).__name__


def _certificate(error: BaseException) -> ssl.SSLCertVerificationError | None:
    inner: Any = error
    while isinstance(inner, BaseException):
        if isinstance(inner, ssl.SSLCertVerificationError):
            return inner
        inner = getattr(inner, "exception", None) or (inner.args[0] if inner.args else None)
    return None


def _parameters(connection: ConnectionSpec, heartbeat: int) -> list[Any]:
    import pika

    scheme, _, rest = connection.url.partition("://")
    place, _, path = rest.partition("/")
    user, _, hosts = place.rpartition("@")
    if scheme not in _PORTS or not hosts:
        raise ConfigurationError(
            f"Connection {connection.name!r} is no address of RabbitMQ",
            value=connection.url,
            valid="amqp://host:5672/vhost, or amqps://… for TLS",
        )
    credentials = pika.PlainCredentials(
        connection.options.get("user") or unquote(user) or "guest", connection.secrets.get("password", "guest")
    )
    context = tls.context(connection) if scheme == "amqps" else None
    found = []
    for host in hosts.split(","):
        name, _, port = host.partition(":")
        if port and not port.isdigit():
            raise ConfigurationError(f"A port of connection {connection.name!r} is no number", value=port)
        found.append(
            pika.ConnectionParameters(
                host=name,
                port=int(port or _PORTS[scheme]),
                virtual_host=unquote(path) or "/",
                credentials=credentials,
                ssl_options=pika.SSLOptions(context, name) if context else None,
                heartbeat=heartbeat,
                socket_timeout=_PATIENCE,
                stack_timeout=_PATIENCE,
                blocked_connection_timeout=_PATIENCE,
                client_properties={"connection_name": "penstock"},
            )
        )
    return found
