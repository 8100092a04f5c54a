"""A stand of Pub/Sub: a topic and a subscription, behind a port that can be cut."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
from brokers import connected
from google.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from penstock import sources
from penstock.extract.streams.port import Opening, Reader
from penstock.extract.streams.pubsub.source import PubSubSource
from penstock.model.specs import SourceSpec
from penstock.model.streams import Positions
from servers.forwarder import Forwarder


class PubSubStand:
    """A subscription."""

    def __init__(self, place: str, folder: Path) -> None:
        self.folder = folder
        self.name = f"stand-{uuid4().hex[:12]}"
        self.topic = f"projects/p/topics/{self.name}"
        self.subscription = f"projects/p/subscriptions/{self.name}"
        channel = grpc.insecure_channel(place)
        self.publisher = PublisherClient(transport=PublisherGrpcTransport(channel=channel))
        self.subscriber = SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))
        self.publisher.create_topic(name=self.topic)
        self.subscriber.create_subscription(name=self.subscription, topic=self.topic, ack_deadline_seconds=10)
        self.forwarder = Forwarder(int(place.rpartition(":")[2]))

    def spec(self, **given: Any) -> SourceSpec:
        """Return its source."""
        return sources.pubsub("events", subscription=self.name, table="clicks", **given)

    def open(self, at: Positions | None = None, **stream: Any) -> Reader:
        return self.opened(self.spec(stream=stream), at)

    def opened(self, source: SourceSpec, at: Positions | None = None, **given: Any) -> Reader:
        """Open a source of its own."""
        connection = connected("pubsub://p", **{"endpoint": self._endpoint, **given})
        return PubSubSource().open(
            Opening(source=source, connection=connection, positions=at or {}, root=str(self.folder))
        )

    @property
    def connection(self) -> str:
        return f'[connections.events]\nurl = "pubsub://p"\nendpoint = "{self._endpoint}"\n'

    @property
    def source(self) -> str:
        return f'sources.pubsub("events", subscription="{self.name}", table="clicks", stream={{"every": "200ms"}})'

    @contextmanager
    def away(self) -> Iterator[None]:
        self.forwarder.cut()
        yield
        self.forwarder.start()

    def append(self, values: Sequence[bytes]) -> None:
        for first in range(0, len(values), 400):
            messages = [{"data": value, "attributes": {"trace": "t"}} for value in values[first : first + 400]]
            self.publisher.publish(topic=self.topic, messages=messages)

    def lose(self, values: Sequence[bytes]) -> None:
        self.append(values)

    @property
    def _endpoint(self) -> str:
        return f"127.0.0.1:{self.forwarder.port}"
