"""RabbitMQ as its readers see it: what is acknowledged when, what comes twice, what is refused."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from brokers import connected
from rabbit_stands import RabbitQueueStand, RabbitStreamStand
from stream_project import until
from test_readers import drained, moved, numbered, values

from penstock import sources
from penstock.errors import ConfigurationError, DataError, TransientError
from penstock.extract.streams.port import Opening, Reader
from penstock.extract.streams.rabbitmq.source import RabbitSource
from penstock.model.specs import ConnectionSpec, SourceSpec
from servers.debian import free_port
from servers.rabbitmq import PASSWORD, USER, RabbitServer


@pytest.fixture
def queue(rabbitmq: RabbitServer, tmp_path: Path) -> RabbitQueueStand:
    return RabbitQueueStand(rabbitmq, tmp_path)


@pytest.fixture
def stream(rabbitmq: RabbitServer, tmp_path: Path) -> RabbitStreamStand:
    return RabbitStreamStand(rabbitmq, tmp_path)


def opened(source: SourceSpec, connection: ConnectionSpec, folder: Path) -> Reader:
    return RabbitSource().open(Opening(source=source, connection=connection, positions={}, root=str(folder)))


def rows(reader: Reader) -> list[dict[str, Any]]:
    return [row for polled in drained(reader)[0] for run in polled.runs for row in run.data.to_pylist()]


def test_a_message_of_a_queue_comes_with_all_that_it_has(queue: RabbitQueueStand) -> None:
    bodies = [b"x", b"", b"a\tb\nc\x1b\x1e\x1f\x00\xff"]
    with queue.channel() as channel:
        for number, body in enumerate(bodies):
            queue.publish(channel, body, f"id\t{number}" if number else None)
    with closing(queue.open()) as reader:
        found = rows(reader)
    assert [row["value"] for row in found] == bodies
    assert [row["key"] for row in found] == [None, b"id\t1", b"id\t2"]
    places = [("exchange", b""), ("routing_key", queue.name.encode()), ("trace", b"t")]
    assert [(each["name"], each["value"]) for each in found[0]["headers"]] == places


def test_messages_are_acknowledged_after_their_commit_and_not_before(queue: RabbitQueueStand) -> None:
    queue.append(numbered(0, 10))
    with closing(queue.open()) as reader:
        drained(reader)
    assert queue.waiting() == 10
    with closing(queue.open()) as reader:
        polls, at = drained(reader)
        assert values(polls) == numbered(0, 10)
        reader.acknowledge(at)
    assert queue.waiting() == 0
    with closing(queue.open(at)) as reader:
        assert not values(drained(reader, at)[0])


def test_what_was_committed_and_not_acknowledged_counts_once(queue: RabbitQueueStand) -> None:
    queue.append(numbered(0, 10))
    with closing(queue.open()) as reader:
        _, at = drained(reader)
    queue.append(numbered(10, 5))
    with closing(queue.open(at)) as reader:
        polls, after = drained(reader, at)
        assert values(polls) == numbered(10, 5)
        reader.acknowledge(after)
    assert queue.waiting() == 0


def test_a_publisher_that_sends_an_id_again_sends_it_once(queue: RabbitQueueStand) -> None:
    with queue.channel() as channel:
        for id_ in ("a", "b", "a", "ä", "ä"):
            queue.publish(channel, id_.encode(), id_)
    with closing(queue.open()) as reader:
        polls, at = drained(reader)
        assert values(polls) == [b"a", b"b", "ä".encode()]
        reader.acknowledge(at)
        until(lambda: queue.waiting() == 0)


def test_a_field_may_be_the_id(queue: RabbitQueueStand) -> None:
    bodies = [b'{"order": 1, "n": 1}', b'{"order": 1, "n": 2}', b'{"order": "1"}', b"no id", b"no id"]
    with queue.channel() as channel:
        for body in bodies:
            queue.publish(channel, body, None)
    with closing(queue.opened(queue.spec(id="order"))) as reader:
        assert values(drained(reader)[0]) == [bodies[0], *bodies[2:]]


def test_what_nobody_has_read_is_left_to_the_queue(queue: RabbitQueueStand) -> None:
    with queue.channel() as channel:
        for value in numbered(0, 50):
            queue.publish(channel, value, None)
    with closing(queue.open()) as reader:
        reader.ends()
        first = reader.poll(300, 5)
        at = moved({}, first)
        reader.acknowledge(at)
    found = values([first])
    assert 0 < len(found) < 50
    with closing(queue.open(at)) as reader:
        assert [*found, *values(drained(reader, at)[0])] == numbered(0, 50)


def test_a_lost_folder_loses_nothing_that_the_queue_has(queue: RabbitQueueStand, tmp_path: Path) -> None:
    queue.append(numbered(0, 20))
    with closing(queue.open()) as reader:
        _, at = drained(reader)
        reader.acknowledge(at)
    queue.append(numbered(20, 5))
    with closing(queue.open(at)) as reader:
        reader.ends()
    for path in (tmp_path / "inbox/clicks").iterdir():
        path.unlink()
    with closing(queue.open(at)) as reader:
        polls, after = drained(reader, at)
        assert values(polls) == numbered(20, 5)
        assert after[queue.name]["0"] > at[queue.name]["0"]


def test_no_more_is_given_out_than_the_prefetch(queue: RabbitQueueStand) -> None:
    queue.append(numbered(0, 30))
    with closing(queue.opened(queue.spec(), prefetch=7)) as reader:
        found = list[bytes]()
        at = {}
        while len(found) < 30:
            polled = reader.poll(2**20, 10)
            assert 0 < polled.rows <= 7
            found += values([polled])
            at = moved(at, polled)
            assert queue.waiting() >= 30 - len(found) - 7
            reader.acknowledge(at)
        assert found == numbered(0, 30)


def test_two_readers_of_a_folder_wait_for_each_other(queue: RabbitQueueStand) -> None:
    queue.append(numbered(0, 3))
    with closing(queue.open()), pytest.raises(TransientError, match="written by another process"):
        queue.open()


def test_a_stream_is_no_queue(stream: RabbitStreamStand, tmp_path: Path) -> None:
    connection = connected(stream.server.url, user=USER, password=PASSWORD)
    with closing(opened(sources.rabbitmq("events", queue=stream.name, table="t"), connection, tmp_path)) as reader:
        stream.append(numbered(0, 1))
        with pytest.raises(ConfigurationError, match=r"is a stream of RabbitMQ.*sources.rabbitmq_stream"):
            reader.poll(100, 30)


def test_a_message_of_a_stream_comes_with_all_that_it_has(stream: RabbitStreamStand) -> None:
    stream.append([b"x", b""])
    with closing(stream.open()) as reader:
        found = rows(reader)
    assert [(row["offset"], row["key"], row["value"]) for row in found] == [
        (0, stream.name, b"x"),
        (1, stream.name, b""),
    ]
    assert found[0]["headers"] == [{"name": "trace", "value": b"t"}]


def test_a_stream_that_was_made_anew_is_known_though_it_is_longer(stream: RabbitStreamStand) -> None:
    stream.append(numbered(0, 10))
    with closing(stream.open()) as reader:
        _, at = drained(reader)
    stream.lose(numbered(50, 30))
    with closing(stream.open(at)) as reader, pytest.raises(DataError, match="made anew"):
        drained(reader, at)
    with closing(stream.open(at, on_gap="record")) as reader:
        polls, at = drained(reader, at)
        assert values(polls) == numbered(50, 30)
    with closing(stream.open(at)) as reader:
        assert not reader.poll(1000, 0.5)


def test_who_is_not_let_in_is_told_so_without_the_password(
    rabbitmq: RabbitServer, queue: RabbitQueueStand, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match="'events' does not let us in") as refused:
        opened(queue.spec(), connected(rabbitmq.url, user=USER, password="wr0ng-pa55"), tmp_path)
    assert "wr0ng-pa55" not in str(refused.value)


def test_what_is_not_there_is_named(rabbitmq: RabbitServer, tmp_path: Path) -> None:
    known = {"user": USER, "password": PASSWORD}
    queue = sources.rabbitmq("events", queue="orderz", table="t")
    for source in (queue, sources.rabbitmq_stream("events", stream_name="orderz", table="t")):
        with pytest.raises(ConfigurationError, match="no queue 'orderz' in the RabbitMQ of connection 'events'"):
            opened(source, connected(rabbitmq.url, **known), tmp_path)
        with pytest.raises(TransientError, match="'events' cannot be reached"):
            opened(source, connected(f"amqp://127.0.0.1:{free_port()}", **known), tmp_path)
        with pytest.raises(ConfigurationError, match="does not open its virtual host"):
            opened(source, connected(f"amqp://127.0.0.1:{rabbitmq.port}/none", **known), tmp_path)
    with pytest.raises(ConfigurationError, match="is no address of RabbitMQ"):
        opened(queue, connected("amqp://", **known), tmp_path)
    with pytest.raises(ConfigurationError, match="certificates of connection 'events' cannot be read"):
        opened(queue, connected("amqps://127.0.0.1:1", ssl_ca="/no/such/file"), tmp_path)


def test_what_cannot_be_is_refused_before_anything_is_read(queue: RabbitQueueStand) -> None:
    with pytest.raises(ConfigurationError, match="names no queue"):
        sources.rabbitmq("events", queue="", table="t")
    with pytest.raises(ConfigurationError, match=r"prefetch of connection 'events' is no number of messages.*70000"):
        queue.opened(queue.spec(), prefetch=70_000)
    with pytest.raises(ConfigurationError, match="has no past that could be left out"):
        sources.rabbitmq("events", queue="q", table="t", stream={"start": "latest"})
    with pytest.raises(ConfigurationError, match="soon"):
        queue.opened(queue.spec(), remember="soon")
