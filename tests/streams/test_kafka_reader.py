"""Topics of a real Kafka, as a reader sees them: positions, transactions, gaps, partitions that are added."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest

from penstock import sources
from penstock.config.connections import GivenConnection, connection_from_table
from penstock.errors import ConfigurationError, DataError, TransientError
from penstock.extract.streams.kafka import KafkaSource
from penstock.extract.streams.port import Opening, Polled, Reader
from penstock.model.specs import ConnectionSpec
from penstock.model.streams import Positions, advanced, behind
from servers.debian import free_port
from servers.kafka import PASSWORD, USER, KafkaServer
from streams.stream_project import until

_NUMBER = count()


@pytest.fixture
def topic(kafka: KafkaServer) -> str:
    return kafka.create(f"reader-{next(_NUMBER)}", 3)


@pytest.fixture
def opened(kafka: KafkaServer, topic: str) -> Iterator[Callable[..., Reader]]:
    readers = []

    def begin(at: Positions | None = None, connection: ConnectionSpec | None = None, **stream: Any) -> Reader:
        source = sources.kafka("events", topics=topic, table="clicks", stream=stream)
        connection = connection or connected(url=kafka.url)
        readers.append(KafkaSource().open(Opening(source=source, connection=connection, positions=at or {})))
        return readers[-1]

    yield begin
    for reader in readers:
        reader.close()


def connected(**given: Any) -> ConnectionSpec:
    url = given.pop("url")
    return connection_from_table("events", GivenConnection(url, rest=given), None, "connection 'events'")


def produce(kafka: KafkaServer, topic: str, values: list[bytes | None], partition: int = 0, **message: Any) -> None:
    producer = kafka.producer()
    for value in values:
        producer.produce(topic, value, partition=partition, **message)
    assert not producer.flush(20)


def drained(reader: Reader, at: Positions | None = None) -> tuple[list[Polled], Positions]:
    """Read until nothing is behind."""
    polls, at, ends = [], dict(at or {}), reader.ends()
    deadline = time.monotonic() + 30
    while behind(at, ends) or not polls:
        assert time.monotonic() < deadline, f"{at} of {ends}"
        polled = reader.poll(2**20, 0.2)
        polls.append(polled)
        at = advanced(at, polled.moves)
    return polls, at


def values(polls: list[Polled]) -> list[bytes | None]:
    return [value for polled in polls for run in polled.runs for value in run.data.column("value").to_pylist()]


def test_messages_come_once_with_all_that_they_have(
    kafka: KafkaServer, topic: str, opened: Callable[..., Reader]
) -> None:
    headers = [("trace", b"\x00\xff"), ("empty", None)]
    produce(kafka, topic, [b"a", None, b""], 1, key=b"k", headers=headers, timestamp=1_700_000_000_123)
    produce(kafka, topic, [b"b"], 2)
    polls, at = drained(opened())
    assert sorted(map(repr, values(polls))) == sorted(map(repr, [b"a", None, b"", b"b"]))
    first = next(run for polled in polls for run in polled.runs if run.partition == "1").data.to_pylist()[0]
    assert (first["offset"], first["key"]) == (0, b"k")
    assert first["headers"] == [{"name": "trace", "value": b"\x00\xff"}, {"name": "empty", "value": None}]
    assert first["timestamp"].isoformat() == "2023-11-14T22:13:20.123000+00:00"
    assert at == {topic: {"0": 0, "1": 3, "2": 1}}
    produce(kafka, topic, [b"c"], 1)
    assert values(drained(opened(at), at)[0]) == [b"c"]


def test_aborted_transactions_are_not_seen_and_stop_nobody(
    kafka: KafkaServer, topic: str, opened: Callable[..., Reader]
) -> None:
    producer = kafka.producer(**{"transactional.id": topic})
    producer.init_transactions()
    for number in range(6):
        producer.begin_transaction()
        for each in range(5):
            producer.produce(topic, b"%d-%d" % (number, each), partition=0)
        if number % 2:
            producer.flush()
            producer.abort_transaction()
        else:
            producer.commit_transaction()
    expected = [b"%d-%d" % (number, each) for number in (0, 2, 4) for each in range(5)]
    polls, at = drained(opened())
    assert values(polls) == expected
    # Behind the last message lie markers, and messages that were aborted.
    assert at[topic]["0"] == 36
    producer.begin_transaction()
    producer.produce(topic, b"open", partition=0)
    producer.flush()
    again = opened(at)
    assert not behind(at, again.ends())
    assert not values([again.poll(2**20, 0.5)])
    producer.commit_transaction()
    assert values(drained(opened(at), at)[0]) == [b"open"]


def test_what_retention_deleted_stops_the_stream_or_is_recorded(
    kafka: KafkaServer, topic: str, opened: Callable[..., Reader]
) -> None:
    produce(kafka, topic, [b"%d" % n for n in range(10)])
    from confluent_kafka import TopicPartition

    at = {topic: {"0": 2, "1": 0, "2": 0}}
    running = opened(at, on_gap="record")
    admin = kafka.admin()
    admin.delete_records([TopicPartition(topic, 0, 7)])
    deadline = time.monotonic() + 20
    while opened().poll(1, 0).moved[0][2] != 7:
        assert time.monotonic() < deadline
    with pytest.raises(DataError, match=rf"Partition 0 of {topic} no longer has offset 2: it goes on at 7 .*retention"):
        opened(at)
    polls, _ = drained(opened(at, on_gap="record"), at)
    assert [(gap.wanted, gap.found) for polled in polls for gap in polled.gaps] == [(2, 7)]
    assert values(polls) == [b"7", b"8", b"9"]
    # One that was at work already had fetched its messages, or learns of the gap from the broker.
    polls, _ = drained(running, at)
    assert values(polls)[-3:] == [b"7", b"8", b"9"]


def test_a_topic_that_was_made_anew_is_no_silent_jump(
    kafka: KafkaServer, topic: str, opened: Callable[..., Reader]
) -> None:
    produce(kafka, topic, [b"only"])
    with pytest.raises(DataError, match=r"no longer has offset 50.*ends at 1: it was made anew"):
        opened({topic: {"0": 50}})
    polls, _ = drained(opened({topic: {"0": 50}}, on_gap="record"))
    assert values(polls) == [b"only"]


def test_partitions_that_are_added_are_read_from_their_beginning(
    kafka: KafkaServer, topic: str, opened: Callable[..., Reader], monkeypatch: pytest.MonkeyPatch
) -> None:
    from confluent_kafka.admin import NewPartitions

    from penstock.extract.streams import kafka as module

    monkeypatch.setattr(module, "_REFRESH", 0.2)
    produce(kafka, topic, [b"old"])
    reader = opened(start="latest")
    _, at = drained(reader)
    admin = kafka.admin()
    admin.create_partitions([NewPartitions(topic, 4)])[topic].result(20)
    deadline = time.monotonic() + 20
    while True:
        try:
            produce(kafka, topic, [b"new"], 3)
            break
        except Exception:
            assert time.monotonic() < deadline
    found: list[bytes | None] = []
    while not found:
        assert time.monotonic() < deadline
        found = values([reader.poll(2**20, 0.2)])
    assert found == [b"new"]
    assert values(drained(opened(at, start="latest"), at)[0]) == [b"new"]


def test_it_may_begin_with_what_comes_and_a_restart_begins_there_too(
    kafka: KafkaServer, topic: str, opened: Callable[..., Reader]
) -> None:
    produce(kafka, topic, [b"before"])
    polls, at = drained(opened(start="latest"))
    assert not values(polls)
    assert at == {topic: {"0": 1, "1": 0, "2": 0}}
    produce(kafka, topic, [b"after"])
    assert values(drained(opened(at, start="latest"), at)[0]) == [b"after"]


def test_what_is_acknowledged_shows_in_the_group(kafka: KafkaServer, topic: str, opened: Callable[..., Reader]) -> None:
    from confluent_kafka import Consumer, TopicPartition

    produce(kafka, topic, [b"a", b"b"])
    reader = opened()
    _, at = drained(reader)
    reader.acknowledge(at)
    reader.poll(1, 0.0)
    looking = Consumer({"bootstrap.servers": kafka.hosts, "group.id": "penstock-clicks"})
    until(lambda: [each.offset for each in looking.committed([TopicPartition(topic, 0)], timeout=20)] == [2])
    looking.close()


def test_a_user_and_a_password(kafka: KafkaServer, topic: str, opened: Callable[..., Reader]) -> None:
    produce(kafka, topic, [b"a"])
    guarded = f"kafka://127.0.0.1:{kafka.guarded}"
    named = {"url": guarded, "user": USER, "security": "sasl_plaintext"}
    assert values(drained(opened(connection=connected(**named, password=PASSWORD)))[0]) == [b"a"]
    with pytest.raises(ConfigurationError, match="do not let us in") as refused:
        opened(connection=connected(**named, password="wr0ng-pa55"))
    assert "wr0ng-pa55" not in str(refused.value)


def test_what_is_not_there_is_named(kafka: KafkaServer, topic: str) -> None:
    def begin(url: str, topics: str = topic, **given: Any) -> None:
        source = sources.kafka("events", topics=topics, table="clicks")
        KafkaSource().open(Opening(source=source, connection=connected(url=url, **given), positions={})).close()

    with pytest.raises(ConfigurationError, match=r"There is no topic 'clickz' .* Valid: \w"):
        begin(kafka.url, "clickz")
    with pytest.raises(TransientError, match=r"cannot be reached|failed"):
        begin(f"kafka://127.0.0.1:{free_port()}", settings={"socket.connection.setup.timeout.ms": 1000})
    with pytest.raises(ConfigurationError, match=r"not understood.*no.such.thing"):
        begin(kafka.url, settings={"no.such.thing": 1})
    with pytest.raises(ConfigurationError, match="hold a secret in the clear"):
        begin(kafka.url, settings={"sasl.password": "x"})
    with pytest.raises(ConfigurationError, match="names no topic"):
        sources.kafka("events", topics=[], table="clicks")
