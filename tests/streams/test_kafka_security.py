"""A real Kafka behind TLS and SASL: who is let in, and what those are told who are not."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from penstock import sources
from penstock.config.connections import GivenConnection, connection_from_table
from penstock.errors import ConfigurationError, PenstockError
from penstock.extract.streams.kafka import KafkaSource
from penstock.extract.streams.port import Opening
from penstock.model.streams import behind
from servers.certificates import KEY_PASSWORD
from servers.kafka import PASSWORD, USER, KafkaServer

_NUMBER = count()
Read = Callable[..., list[bytes]]


@pytest.fixture
def read(kafka: KafkaServer) -> Read:
    """Read a topic with three messages by a connection."""
    topic = kafka.create(f"secured-{next(_NUMBER)}")
    producer = kafka.producer()
    for value in (b"a", b"b", b"c"):
        producer.produce(topic, value)
    assert not producer.flush(20)

    def with_connection(port: int, **given: Any) -> list[bytes]:
        table = GivenConnection(f"kafka://127.0.0.1:{port}", rest=given)
        connection = connection_from_table("events", table, None, "connection 'events'")
        source = sources.kafka("events", topics=topic, table="clicks")
        reader = KafkaSource().open(Opening(source=source, connection=connection, positions={}))
        try:
            found: list[bytes] = []
            while behind({topic: {"0": len(found)}}, reader.ends()):
                for run in reader.poll(2**20, 1.0).runs:
                    found += run.data.column("value").to_pylist()
            return found
        finally:
            reader.close()

    return with_connection


def client(kafka: KafkaServer, **given: str) -> dict[str, str]:
    files = {"ssl_ca": "ca.pem", "ssl_certificate": "client.pem", "ssl_key_file": "client.key"}
    named = {name: str(kafka.folder / file) for name, file in files.items()}
    return {"security": "ssl", **named, "ssl_key_password": KEY_PASSWORD, **given}


def test_a_certificate_by_tls(kafka: KafkaServer, read: Read) -> None:
    assert read(kafka.secure, **client(kafka)) == [b"a", b"b", b"c"]


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"])
def test_a_user_and_a_password_by_tls(kafka: KafkaServer, read: Read, mechanism: str) -> None:
    given = {"user": USER, "sasl_mechanism": mechanism, "ssl_ca": str(kafka.folder / "ca.pem")}
    assert read(kafka.scram, **given, password=PASSWORD) == [b"a", b"b", b"c"]
    with pytest.raises(ConfigurationError, match="do not let us in") as refused:
        read(kafka.scram, **given, password="wr0ng-pa55")
    assert "wr0ng-pa55" not in str(refused.value)


def test_a_broker_whose_certificate_is_not_trusted_gets_no_password(kafka: KafkaServer, read: Read) -> None:
    given = {"user": USER, "password": PASSWORD, "sasl_mechanism": "SCRAM-SHA-512"}
    for authority in ({"ssl_ca": str(kafka.folder / "other.pem")}, {}):
        with pytest.raises(ConfigurationError, match=r"do not let us in.*certificate verify failed"):
            read(kafka.scram, **given, **authority)


def test_without_a_certificate_nobody_is_let_in(kafka: KafkaServer, read: Read) -> None:
    with pytest.raises(PenstockError, match=r"do not let us in|cannot be reached|failed"):
        read(kafka.secure, security="ssl", ssl_ca=str(kafka.folder / "ca.pem"))


def test_files_and_words_that_are_none_are_named(kafka: KafkaServer, read: Read) -> None:
    with pytest.raises(ConfigurationError, match=r"not understood.*ssl\.key\.location failed.*client\.key"):
        read(kafka.secure, **client(kafka, ssl_key_password="wr0ng-pa55"))
    with pytest.raises(ConfigurationError, match=r"not understood.*ssl\.ca\.location failed.*nowhere\.pem"):
        read(kafka.secure, **client(kafka, ssl_ca="nowhere.pem"))
    with pytest.raises(ConfigurationError, match=r"not understood.*security\.protocol"):
        read(kafka.secure, security="tsl")
    with pytest.raises(ConfigurationError, match=r"not understood.*SCRAM-SHA-1024"):
        read(kafka.scram, user=USER, password=PASSWORD, sasl_mechanism="SCRAM-SHA-1024")
