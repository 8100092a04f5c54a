"""A stand of MQTT: a topic, and the session of whoever reads it, which the broker keeps from the beginning on."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import paho.mqtt.client as paho
from brokers import connected
from paho.mqtt.enums import CallbackAPIVersion

from penstock import sources
from penstock.extract.streams.mqtt.client import Client
from penstock.extract.streams.mqtt.source import MqttSource
from penstock.extract.streams.port import Opening, Reader
from penstock.model.specs import SourceSpec
from penstock.model.streams import Positions
from servers.mosquitto import PASSWORD, USER, MosquittoServer


class MqttStand:
    """A topic."""

    def __init__(self, server: MosquittoServer, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.name = f"stand/{uuid4().hex[:12]}"
        self.session = f"reader-{uuid4().hex[:12]}"
        self.subscribe()

    def subscribe(self) -> bool:
        """Have the broker keep the session; returns whether it had it."""
        client = Client(self.known(), self.session, [self.name])
        try:
            return client.connect()
        finally:
            client.close()

    def known(self, **given: Any) -> Any:
        """Return the connection."""
        return connected(self.server.url, **{"user": USER, "password": PASSWORD, "client_id": self.session, **given})

    def spec(self, **given: Any) -> SourceSpec:
        """Return its source."""
        return sources.mqtt("events", topics=self.name, table="clicks", **given)

    def open(self, at: Positions | None = None, **stream: Any) -> Reader:
        return self.opened(self.spec(stream=stream), at)

    def opened(self, source: SourceSpec, at: Positions | None = None, **given: Any) -> Reader:
        """Open a source of its own."""
        return MqttSource().open(
            Opening(source=source, connection=self.known(**given), positions=at or {}, root=str(self.folder))
        )

    @property
    def connection(self) -> str:
        return (
            f'[connections.events]\nurl = "{self.server.url}"\nuser = "{USER}"\npassword = "${{BROKER_PASSWORD}}"\n'
            f'client_id = "{self.session}"\n'
        )

    @property
    def source(self) -> str:
        return f'sources.mqtt("events", topics="{self.name}", table="clicks", stream={{"every": "200ms"}})'

    @contextmanager
    def away(self) -> Iterator[None]:
        # It writes what changed once a second, at most.
        time.sleep(1.5)
        self.server.kill()
        yield
        self.server.start()

    def append(self, values: Sequence[bytes]) -> None:
        self.publish([(self.name, value) for value in values])

    def publish(self, messages: Sequence[tuple[str, bytes]], *, qos: int = 1, retain: bool = False) -> None:
        """Publish messages to topics, and wait until the broker has them."""
        client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        client.username_pw_set(USER, PASSWORD)
        client.max_inflight_messages_set(500)
        client.connect("127.0.0.1", self.server.port)
        client.loop_start()
        try:
            for sent in [client.publish(topic, value, qos=qos, retain=retain) for topic, value in messages]:
                sent.wait_for_publish(30)
        finally:
            client.disconnect()
            client.loop_stop()

    def lose(self, values: Sequence[bytes]) -> None:
        self.append(values)
