"""Queues of RabbitMQ: a message is acknowledged once the load that holds it is committed.

Until then the queue has it, and so has the disk; one that comes again is known by its id and counts once. Without an id
nobody can tell, and one that was given out and not acknowledged when we died or the connection broke may count twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from penstock.errors import ConfigurationError, TransientError
from penstock.extract.streams.intake.feed import MOST, Received, enveloped, id_of
from penstock.extract.streams.intake.reader import IntakeReader
from penstock.extract.streams.port import Opening, Reader
from penstock.extract.streams.rabbitmq.client import MOST_UNTAKEN, Client, header_list
from penstock.model.specs import ConnectionSpec

PREFETCH = 20_000
"""Messages that were given out and are not committed yet, at most, unless said otherwise."""


def opened(opening: Opening) -> Reader:
    """Begin to read a queue; ``options``: ``queue``, ``id`` (a field of the messages), ``folder``."""
    return IntakeReader(opening, _Queue(opening))


class _Queue:
    """A queue as a feed."""

    keeps = True
    lost = ""
    envelope = enveloped("_message_id")

    def __init__(self, opening: Opening) -> None:
        options = opening.source.options
        self.topic = str(options["queue"])
        self._id: str | None = options.get("id")
        self._prefetch = _prefetch(opening.endpoint)
        self._client = Client(opening.endpoint, self.topic)

    def connect(self) -> None:
        """Begin to receive."""
        self._client.consume(self._prefetch)

    def receive(self, wait: float) -> Sequence[Received]:
        """Return what came."""
        found = self._client.receive(wait, MOST)
        if not found and not self._client.consuming:
            raise TransientError(f"The queue {self.topic!r} cannot be reached: it was deleted")
        return [self._received(*each) for each in found]

    def settle(self, ticket: Any) -> None:
        """Acknowledge a message and all before it."""
        self._client.acknowledge(ticket)

    def empty(self) -> bool:
        """Say whether the queue has no message that was given to nobody."""
        return self._client.count() == 0

    def close(self) -> None:
        """Leave."""
        self._client.close()

    def _received(self, delivery: Any, properties: Any, body: bytes) -> Received:
        headers = properties.headers or {}
        if "x-stream-offset" in headers:
            raise ConfigurationError(
                f"{self.topic!r} is a stream of RabbitMQ, not a queue",
                remedy=f"Read it by its offsets: sources.rabbitmq_stream(…, stream_name={self.topic!r})",
            )
        id_ = properties.message_id or ""
        places = {"exchange": delivery.exchange, "routing_key": delivery.routing_key}
        return Received(
            id=id_of(body, self._id, id_),
            key=id_.encode() or None,
            value=body,
            headers=header_list({**places, **headers}),
            ticket=delivery.delivery_tag,
        )


def _prefetch(connection: ConnectionSpec) -> int:
    found = connection.options.get("prefetch", PREFETCH)
    if not isinstance(found, int) or not 1 <= found <= MOST_UNTAKEN:
        raise ConfigurationError(
            f"The prefetch of connection {connection.name!r} is no number of messages",
            value=found,
            valid=f"1 to {MOST_UNTAKEN}",
        )
    return found
