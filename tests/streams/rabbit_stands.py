"""Stands of RabbitMQ: a queue, whose messages have ids, and a stream."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

import pika
import pika.exceptions
from brokers import connected
from stream_project import until

from penstock import sources
from penstock.extract.streams.port import Opening, Reader
from penstock.extract.streams.rabbitmq.source import RabbitSource
from penstock.model.specs import SourceSpec
from penstock.model.streams import Positions
from servers.rabbitmq import PASSWORD, USER, RabbitServer


class RabbitStand:
    """What a queue of either type has: a channel that confirms what it publishes."""

    arguments: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, server: RabbitServer, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.name = f"stand-{uuid4().hex[:12]}"
        with self.channel() as channel:
            channel.queue_declare(self.name, durable=True, arguments=dict(self.arguments))

    @contextmanager
    def channel(self) -> Iterator[Any]:
        """Give a channel to the server, once it has what is on its disk."""
        with pika.BlockingConnection(self._parameters()) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            yield channel

    @property
    def connection(self) -> str:
        return f'[connections.events]\nurl = "{self.server.url}"\nuser = "{USER}"\npassword = "${{BROKER_PASSWORD}}"\n'

    @contextmanager
    def away(self) -> Iterator[None]:
        self.server.kill()
        yield
        self.server.start()
        end = time.monotonic() + 60
        # A stream has a process of its own, which may come up later than the server.
        while True:
            try:
                with self.channel() as channel:
                    channel.queue_declare(self.name, passive=True)
                return
            except pika.exceptions.AMQPError:
                assert time.monotonic() < end, "the queue did not come back"
                time.sleep(0.2)

    def append(self, values: Sequence[bytes]) -> None:
        with self.channel() as channel:
            for value in values:
                self.publish(channel, value, uuid4().hex)

    def publish(self, channel: Any, value: bytes, id_: str | None) -> None:
        """Publish a message, and wait until the server has it."""
        properties = pika.BasicProperties(message_id=id_, delivery_mode=2, headers={"trace": "t"})
        channel.basic_publish("", self.name, value, properties)

    def _parameters(self) -> pika.ConnectionParameters:
        return pika.ConnectionParameters(
            "127.0.0.1", self.server.port, credentials=pika.PlainCredentials(USER, PASSWORD)
        )


class RabbitQueueStand(RabbitStand):
    """A queue."""

    def spec(self, **given: Any) -> SourceSpec:
        """Return its source."""
        return sources.rabbitmq("events", queue=self.name, table="clicks", **given)

    def open(self, at: Positions | None = None, **stream: Any) -> Reader:
        return self.opened(self.spec(stream=stream), at)

    def opened(self, source: SourceSpec, at: Positions | None = None, **given: Any) -> Reader:
        """Open a source of its own."""
        connection = connected(self.server.url, user=USER, password=PASSWORD, **given)
        return RabbitSource().open(
            Opening(source=source, connection=connection, positions=at or {}, root=str(self.folder))
        )

    @property
    def source(self) -> str:
        return f'sources.rabbitmq("events", queue="{self.name}", table="clicks", stream={{"every": "200ms"}})'

    def lose(self, values: Sequence[bytes]) -> None:
        with self.channel() as channel:
            channel.queue_purge(self.name)
        self.append(values)

    def waiting(self) -> int:
        """Return how many messages were given to nobody."""
        with self.channel() as channel:
            return int(channel.queue_declare(self.name, passive=True).method.message_count)


class RabbitStreamStand(RabbitStand):
    """A stream."""

    arguments: ClassVar[Mapping[str, Any]] = {"x-queue-type": "stream"}

    def open(self, at: Positions | None = None, **stream: Any) -> Reader:
        source = sources.rabbitmq_stream("events", stream_name=self.name, table="clicks", stream=stream)
        connection = connected(self.server.url, user=USER, password=PASSWORD)
        return RabbitSource().open(Opening(source=source, connection=connection, positions=at or {}))

    @property
    def source(self) -> str:
        return (
            f'sources.rabbitmq_stream("events", stream_name="{self.name}", table="clicks", stream={{"every": "200ms"}})'
        )

    @contextmanager
    def away(self) -> Iterator[None]:
        # The server writes some seconds late who coordinates its streams, and without that it never opens them again.
        names = list(self.server.folder.glob("node/*/coordination/*/names.dets"))
        until(lambda: any(b"rabbit_stream_coordinator" in path.read_bytes() for path in names))
        with super().away():
            yield

    def lose(self, values: Sequence[bytes]) -> None:
        with self.channel() as channel:
            channel.queue_delete(self.name)
            channel.queue_declare(self.name, durable=True, arguments=dict(self.arguments))
        self.append(values)
