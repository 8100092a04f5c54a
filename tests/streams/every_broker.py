"""Every broker by its name, for tests that all of them are to pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from brokers import Broker, NatsStand, RedisStand
from event_stand import EventStand
from kinesis_stand import PASSWORD as KINESIS_PASSWORD
from kinesis_stand import KinesisStand
from mqtt_stand import MqttStand
from pubsub_stand import PubSubStand
from rabbit_stands import RabbitQueueStand, RabbitStreamStand

from servers import feeds as _feeds
from servers import mosquitto as _mosquitto
from servers import nats as _nats
from servers import rabbitmq as _rabbitmq
from servers import redis as _redis

_Made = Callable[[Any, Path], Broker]
BROKERS: Mapping[str, tuple[str, str, _Made]] = {
    "redis": ("redis", _redis.PASSWORD, lambda server, _: RedisStand(server)),
    "nats": ("nats", _nats.PASSWORD, lambda server, _: NatsStand(server)),
    "rabbitmq": ("rabbitmq", _rabbitmq.PASSWORD, RabbitQueueStand),
    "rabbitmq_stream": ("rabbitmq", _rabbitmq.PASSWORD, RabbitStreamStand),
    "mqtt": ("mosquitto", _mosquitto.PASSWORD, MqttStand),
    "sse": ("event_server", _feeds.TOKEN, EventStand),
    "kinesis": ("kinesis", KINESIS_PASSWORD, KinesisStand),
    "pubsub": ("pubsub", "none is needed", PubSubStand),
}
"""Name to the fixture of its server, the password, and what makes a stand of the server and a folder."""
UNORDERED = ("pubsub",)
"""Those whose messages come in any order."""
QUEUES = ("rabbitmq", "mqtt", "sse", "pubsub")
"""Those that have no positions: what was taken is gone, and nobody can tell that it was lost."""


def stand_of(name: str, request: pytest.FixtureRequest, folder: Path) -> Broker:
    """Return a stand, whose server is started where it is not there."""
    server, _, made = BROKERS[name]
    return made(request.getfixturevalue(server), folder)
