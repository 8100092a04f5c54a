"""Topics of MQTT: what the broker sends is acknowledged once it is on the disk, and read from there.

The broker sends again what was not acknowledged when a connection ended, says that it does so, and gives it its number:
one that has number, topic and bytes of one that is on the disk is that one. What retained messages hold is known by
topic and bytes.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Sequence
from typing import Any

from penstock.extract.streams.intake.feed import MOST, Quiet, Received, enveloped, id_of
from penstock.extract.streams.intake.reader import IntakeReader
from penstock.extract.streams.mqtt.client import Client
from penstock.extract.streams.port import Opening, Reader


class MqttSource:
    """Reads topics; ``options``: ``topics``, ``id`` (a field of messages), ``retained`` (they count), ``folder``."""

    def open(self, opening: Opening) -> Reader:
        """Begin to read."""
        return IntakeReader(opening, _Topics(opening))


class _Topics:
    """Topics as a feed."""

    keeps = False
    envelope = enveloped("_topic")

    def __init__(self, opening: Opening) -> None:
        options, connection = opening.source.options, opening.endpoint
        topics = [str(topic) for topic in options["topics"]]
        self.topic = ",".join(topics)
        self.lost = ""
        self._id: str | None = options.get("id")
        self._retained = bool(options.get("retained", True))
        session = str(connection.options.get("client_id") or f"penstock-{opening.source.table}")
        self._client = Client(connection, session, topics)
        self._tickets = 0
        self._waiting: deque[tuple[int, int]] = deque()
        self._quiet = Quiet()

    def connect(self) -> None:
        """Begin to receive."""
        self._waiting.clear()
        self.lost = "" if self._client.connect() else "the broker has forgotten the session, and what it held"
        self._quiet.heard()

    def receive(self, wait: float) -> Sequence[Received]:
        """Return what came, each with its place in the order of coming as its ticket."""
        found = self._client.receive(wait, MOST)
        if found:
            self._quiet.heard()
        taken = []
        for message in found:
            self._tickets += 1
            if message.qos:
                self._waiting.append((self._tickets, message.mid))
            if self._retained or not message.retain:
                taken.append(self._received(message))
        if found and not taken:
            self.settle(self._tickets)
        return taken

    def settle(self, ticket: Any) -> None:
        """Acknowledge a message and all before it."""
        while self._waiting and self._waiting[0][0] <= ticket:
            self._client.acknowledge(self._waiting.popleft()[1])

    def empty(self) -> bool:
        """Say whether nothing has come for a while."""
        return bool(self._quiet)

    def close(self) -> None:
        """Leave."""
        self._client.close()

    def _received(self, message: Any) -> Received:
        topic = message.topic.encode()
        told = getattr(message.properties, "UserProperty", None) or ()
        if self._id:
            id_, again = id_of(message.payload, self._id), True
        else:
            digest = hashlib.blake2b(topic + b"\0" + message.payload, digest_size=12).hexdigest()
            id_ = f"retained {digest}" if message.retain else f"{message.mid} {digest}" if message.qos else ""
            again = message.retain or message.dup
        return Received(
            id=id_,
            key=topic,
            value=message.payload,
            headers=[*((name, value.encode()) for name, value in told), *([("retained", b"true")] * message.retain)],
            ticket=self._tickets,
            again=again,
        )
