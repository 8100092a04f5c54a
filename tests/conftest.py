"""Fixtures for all tests."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import TypeVar

import pytest

from penstock.stores.spark import Spark
from servers import azurite as _azurite
from servers import gcs as _gcs
from servers import java as _java
from servers import kafka as _kafka
from servers import kinesalite as _kinesalite
from servers import mariadb as _mariadb
from servers import mosquitto as _mosquitto
from servers import moto as _moto
from servers import mysql as _mysql
from servers import nats as _nats
from servers import odbc as _odbc
from servers import postgres as _postgres
from servers import pubsub as _pubsub
from servers import rabbitmq as _rabbitmq
from servers import redis as _redis
from servers.debian import NoServerError
from servers.kafka import KafkaServer
from servers.mariadb import MariaServer
from servers.mosquitto import MosquittoServer
from servers.mysql import MySqlServer
from servers.nats import NatsServer
from servers.postgres import PostgresServer
from servers.rabbitmq import RabbitServer
from servers.redis import RedisServer

# The runner's own assertions show what differs.
pytest.register_assert_rewrite("types_way")

Server = TypeVar("Server")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real PostgreSQL."""
    yield from _served("PostgreSQL", _postgres.running())


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaServer]:
    """A real MariaDB."""
    yield from _served("MariaDB", _mariadb.running())


@pytest.fixture(scope="session")
def mariadb_log() -> Iterator[MariaServer]:
    """A real MariaDB that tells its changes."""
    yield from _served("MariaDB", _mariadb.running(_mariadb.LOGGED))


@pytest.fixture(scope="session")
def mysql() -> Iterator[MySqlServer]:
    """A real MySQL that tells its changes; Debian's unstable suite promises none."""
    yield from _served("MySQL", _mysql.running(), optional=True)


@pytest.fixture(scope="session")
def mosquitto() -> Iterator[MosquittoServer]:
    """A real broker of MQTT."""
    yield from _served("Mosquitto", _mosquitto.running())


@pytest.fixture(scope="session")
def nats() -> Iterator[NatsServer]:
    """A real NATS with JetStream."""
    yield from _served("NATS", _nats.running())


@pytest.fixture(scope="session")
def pubsub() -> Iterator[str]:
    """The host and port of a Pub/Sub server; it needs Go, which a machine may lack."""
    yield from _served("Pub/Sub", _pubsub.running(), optional=True)


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[RabbitServer]:
    """A real RabbitMQ."""
    yield from _served("RabbitMQ", _rabbitmq.running())


@pytest.fixture(scope="session")
def redis() -> Iterator[RedisServer]:
    """A real Redis."""
    yield from _served("Redis", _redis.running())


@pytest.fixture(scope="session")
def kafka() -> Iterator[KafkaServer]:
    """A real Apache Kafka."""
    yield from _served("Kafka", _kafka.running())


@pytest.fixture(scope="session")
def kinesis() -> Iterator[str]:
    """The address of a real Kinesis."""
    yield from _served("Kinesis", _kinesalite.running())


@pytest.fixture(scope="session")
def odbc() -> Iterator[None]:
    """What the driver of SQL Server needs of the system."""
    yield from _served("driver of SQL Server", _odbc.running())


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """The address of a real S3 server."""
    yield from _served("S3", _moto.running())


@pytest.fixture(scope="session")
def azure() -> Iterator[str]:
    """The address of a real Azure Blob server."""
    yield from _served("Azure Blob", _azurite.running())


@pytest.fixture(scope="session")
def gcs() -> Iterator[str]:
    """The address of a Google Cloud Storage server; it needs Go, which a machine may lack."""
    yield from _served("Google Cloud Storage", _gcs.running(), optional=True)


@pytest.fixture(scope="session")
def spark() -> Iterator[Spark]:
    """A real Spark, started once."""
    yield from _served("Spark", _java.spark())


@pytest.fixture(scope="session")
def spark_connect() -> Iterator[str]:
    """The URL of a real Spark Connect."""
    yield from _served("Spark Connect", _java.spark_connect())


def _served(name: str, running: AbstractContextManager[Server], *, optional: bool = False) -> Iterator[Server]:
    """Yield a server; where none can be had: a skip with the reason, or a failure if servers are required."""
    with ExitStack() as stack:
        try:
            server = stack.enter_context(running)
        except NoServerError as error:
            if os.environ.get("PENSTOCK_REQUIRE_SERVERS") == "1" and not optional:
                pytest.fail(f"no {name}: {error}")
            pytest.skip(f"no {name}: {error}")
        yield server


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long forms out unless they are asked for by ``-m``; ``.ci/soak`` does so."""
    if "slow" in config.getoption("markexpr"):
        return
    long = [item for item in items if item.get_closest_marker("slow")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Keep the search for cycles away from the tests and all that they import, which stay to the end."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Let go of them, so that no library tells of leaks."""
    gc.unfreeze()
