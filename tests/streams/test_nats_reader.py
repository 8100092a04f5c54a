"""Streams of a real NATS JetStream, as its reader sees them: subjects, headers, what was removed, who is let in."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Event
from typing import Any

import pytest
from brokers import NatsStand, connected
from test_readers import drained, moved, numbered, values

from penstock import sources
from penstock.errors import ConfigurationError, DataError, TransientError
from penstock.extract.streams.nats_streams import NatsSource
from penstock.extract.streams.port import Opening, Reader
from penstock.model.specs import ConnectionSpec
from penstock.model.streams import behind
from servers.debian import free_port
from servers.nats import PASSWORD, USER, NatsServer


@pytest.fixture
def stand(nats: NatsServer) -> NatsStand:
    return NatsStand(nats)


def opened(stream: str, connection: ConnectionSpec) -> Reader:
    source = sources.nats("events", stream_name=stream, table="clicks")
    return NatsSource().open(Opening(source=source, connection=connection, positions={}))


def test_a_message_comes_with_all_that_it_has(stand: NatsStand) -> None:
    stand.append([b"x", b""])
    with closing(stand.open()) as reader:
        rows = [row for polled in drained(reader)[0] for run in polled.runs for row in run.data.to_pylist()]
    stored = [stand.told(lambda jetstream, at=at: jetstream.get_msg(stand.name, at)) for at in (1, 2)]
    assert [(row["offset"], row["key"], row["value"]) for row in rows] == [
        (1, f"{stand.name}.a", b"x"),
        (2, f"{stand.name}.b", b""),
    ]
    assert [row["timestamp"] for row in rows] == [each.time for each in stored]
    assert rows[0]["headers"] == [{"name": "trace", "value": b"t"}]


def test_a_subject_is_read_to_its_own_end(stand: NatsStand) -> None:
    stand.append(numbered(0, 20))
    with closing(stand.open(subject=f"{stand.name}.a")) as reader:
        polls, at = drained(reader)
        assert values(polls) == numbered(0, 20)[::2]
        assert not behind(at, reader.ends())
        stand.told(lambda jetstream: jetstream.publish(f"{stand.name}.b", b"other"))
        assert not behind(at, reader.ends())
        stand.append([b"one more"])
        assert values(drained(reader, at)[0]) == [b"one more"]
    with closing(stand.open(subject=f"{stand.name}.none")) as reader:
        assert not values(drained(reader)[0])


def test_messages_that_were_deleted_one_by_one_are_no_silent_jump(stand: NatsStand) -> None:
    stand.append(numbered(0, 10))
    with closing(stand.open()) as reader:
        at = moved({}, reader.poll(20, 5))
        read = at[stand.name]["sequence"] - 1
    for sequence in (1, 6, 7):
        stand.told(lambda jetstream, at=sequence: jetstream.delete_msg(stand.name, at))
    assert 1 <= read < 5
    with closing(stand.open(at)) as reader, pytest.raises(DataError, match="no longer has offset 6: it goes on at 8"):
        drained(reader, at)
    with closing(stand.open(at, on_gap="record")) as reader:
        polls, at = drained(reader, at)
        assert values(polls) == [*numbered(read, 5 - read), *numbered(7, 3)]
        assert [(gap.wanted, gap.found) for polled in polls for gap in polled.gaps] == [(6, 8)]
    assert at[stand.name]["sequence"] == 11


def test_a_stream_that_was_made_anew_is_read_from_its_beginning(stand: NatsStand) -> None:
    stand.append(numbered(0, 10))
    with closing(stand.open()) as reader:
        _, at = drained(reader)
    stand.told(lambda jetstream: jetstream.delete_stream(stand.name))
    with pytest.raises(ConfigurationError, match=f"There is no stream '{stand.name}'"):
        stand.open(at)
    stand.told(lambda jetstream: jetstream.add_stream(name=stand.name, subjects=[f"{stand.name}.>"]))
    stand.append(numbered(50, 30))
    with pytest.raises(DataError, match="made anew"):
        stand.open(at)
    with closing(stand.open(at, on_gap="record")) as reader:
        polls, at = drained(reader, at)
        assert values(polls) == numbered(50, 30)
    with closing(stand.open(at)) as reader:
        assert not reader.poll(1000, 0)


def test_reading_goes_on_where_the_server_forgot_the_consumer(stand: NatsStand) -> None:
    stand.append(numbered(0, 5))
    with closing(stand.open()) as reader:
        drained(reader)

        async def forget(jetstream: Any) -> int:
            consumers = await jetstream.consumers_info(stand.name)
            for each in consumers:
                await jetstream.delete_consumer(stand.name, each.name)
            return len(consumers)

        assert stand.told(forget) == 1
        stand.append(numbered(5, 5))
        found = list[bytes]()
        for _ in range(30):
            try:
                found += values([reader.poll(2**20, 0.5)])
            except TransientError:
                continue
            if len(found) >= 5:
                break
        assert found == numbered(5, 5)


def test_an_answer_as_the_time_runs_out_is_nothing_that_came(stand: NatsStand) -> None:
    done = Event()
    with closing(stand.open()) as reader, ThreadPoolExecutor(4) as busy:
        for _ in range(4):
            busy.submit(lambda: [sum(range(50_000)) for _ in iter(done.is_set, True)])
        try:
            for _ in range(30):
                assert not values([reader.poll(2**20, 0)])
        finally:
            done.set()


def test_who_is_not_let_in_is_told_so_without_the_password(nats: NatsServer, stand: NatsStand) -> None:
    for wrong in ({"user": USER, "password": "wr0ng-pa55"}, {}, {"token": "wr0ng-pa55"}):
        with pytest.raises(ConfigurationError, match="'events' does not let us in") as refused:
            opened(stand.name, connected(nats.url, **wrong))
        assert "wr0ng-pa55" not in str(refused.value)


def test_what_is_not_there_is_named(nats: NatsServer) -> None:
    known = {"user": USER, "password": PASSWORD}
    with pytest.raises(ConfigurationError, match="There is no stream 'orderz' in the NATS of connection 'events'"):
        opened("orderz", connected(nats.url, **known))
    with pytest.raises(TransientError, match="'events' cannot be reached"):
        opened("orders", connected(f"nats://127.0.0.1:{free_port()}", **known))
    with pytest.raises(ConfigurationError, match="is no address of NATS"):
        opened("orders", connected("nats://", **known))
    with pytest.raises(ConfigurationError, match="certificates of connection 'events' cannot be read"):
        opened("orders", connected("tls://127.0.0.1:1", ssl_ca="/no/such/file"))
    with pytest.raises(ConfigurationError, match="names no stream of NATS"):
        sources.nats("events", stream_name="", table="clicks")
