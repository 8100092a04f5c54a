"""Server-Sent Events and WebSockets, as their readers see them."""

from __future__ import annotations

import random
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from brokers import connected
from event_stand import EventStand
from stream_project import until
from test_readers import drained, numbered, values

from penstock import sources
from penstock.errors import ConfigurationError, TransientError
from penstock.extract.streams.port import Opening, Reader
from penstock.extract.streams.web_feeds.events import Event, Events
from penstock.extract.streams.web_feeds.websocket import WebSocketSource
from servers.debian import free_port
from servers.feeds import TOKEN, EventServer, SocketServer

TEXT = (
    b"\xef\xbb\xbf: a comment\r\nid: 7\r\nevent: add\r\ndata: one\r\ndata:  two\r\n\r\n"
    b"data\ndata\n\nid: 8\n\nid\rdata:x\r\rretry: 5\nid: a\0b\nunknown: y\ndata: \xc3\xa4: b\n\n"
    b"event: nothing\n\ndata: last\n\ndata: not ended\n"
)
EVENTS = [
    Event("7", "add", b"one\n two", named=True),
    Event("7", "message", b"\n", named=False),
    Event("", "message", b"x", named=True),
    Event("", "message", "ä: b".encode(), named=False),
    Event("", "message", b"last", named=False),
]


@pytest.fixture
def stand(event_server: EventServer, tmp_path: Path) -> EventStand:
    return EventStand(event_server, tmp_path)


def opened(server: SocketServer, folder: Path, *, url: str | None = None, token: str = TOKEN, **given: Any) -> Reader:
    source = sources.websocket("events", table="clicks", **given)
    connection = connected(url or server.url, token=token)
    return WebSocketSource().open(Opening(source=source, connection=connection, positions={}, root=str(folder)))


@pytest.mark.parametrize("seed", range(20))
def test_events_are_those_of_their_text_wherever_it_is_cut(seed: int) -> None:
    chance = random.Random(seed)
    cuts = sorted(chance.sample(range(1, len(TEXT)), chance.randrange(40)))
    parser = Events()
    found = [
        event
        for first, last in zip([0, *cuts], [*cuts, len(TEXT)], strict=True)
        for event in parser.fed(TEXT[first:last])
    ]
    assert found == EVENTS


def test_an_event_comes_with_all_that_it_has(stand: EventStand) -> None:
    stand.append([b"x", b"two\nlines"])
    with closing(stand.open()) as reader:
        rows = [row for polled in drained(reader)[0] for run in polled.runs for row in run.data.to_pylist()]
    assert [(row["key"], row["value"]) for row in rows] == [(b"1", b"x"), (b"2", b"two\nlines")]
    assert rows[0]["headers"] == [{"name": "event", "value": b"click"}]


def test_a_server_that_sends_the_last_event_again_sends_it_once(stand: EventStand) -> None:
    stand.server.inclusive = True
    stand.append([b"same"] * 5)
    found = list[bytes]()
    with closing(stand.open()) as reader:
        for count in (5, 7, 9):
            until(lambda: _tried(reader, found) == count)  # noqa: B023 - it is called at once
            with stand.away():
                stand.append([b"same"] * 2)
    assert found == [b"same"] * 9
    with closing(stand.open()) as reader:
        assert values(drained(reader)[0]) == [b"same"] * 11
    assert stand.server.asked[0] is None
    assert {"5", "7", "9"} <= set(stand.server.asked)


def _tried(reader: Reader, found: list[bytes]) -> int:
    """Poll once, and return how many messages were found so far."""
    with suppress(TransientError):
        found += values([reader.poll(2**20, 0.2)])
    return len(found)


def test_the_first_connection_may_begin_behind_an_event(stand: EventStand) -> None:
    stand.append(numbered(0, 10))
    with closing(stand.opened(sources.sse("events", table="clicks", last_event_id="7"))) as reader:
        assert values(drained(reader)[0]) == numbered(7, 3)


def test_what_gives_no_events_is_told(stand: EventStand, tmp_path: Path) -> None:
    source = sources.sse("events", table="clicks")
    for path, error, said in (
        ("none", ConfigurationError, "'events' has nothing to read: status 404"),
        ("over", ConfigurationError, "has nothing to read: status 204"),
        ("busy", TransientError, "cannot be reached: status 503"),
        ("page", ConfigurationError, "gives no Server-Sent Events. Got: text/html"),
    ):
        with pytest.raises(error, match=said):
            stand.opened(source, url=f"http://127.0.0.1:{stand.server.port}/{path}")
    with pytest.raises(TransientError, match="'events' cannot be reached"):
        stand.opened(source, url=f"http://127.0.0.1:{free_port()}/events")
    with pytest.raises(ConfigurationError, match="does not let us in: status 401") as refused:
        stand.opened(source, token="wr0ng-t0ken")
    assert "wr0ng-t0ken" not in str(refused.value)
    with pytest.raises(ConfigurationError, match="headers of connection 'events' are no texts"):
        stand.opened(source, headers={"X-Number": 5})


def test_messages_of_a_socket_come_as_they_were_sent(socket_server: SocketServer, tmp_path: Path) -> None:
    with closing(opened(socket_server, tmp_path, send=["hello", "more"])) as reader:
        until(lambda: socket_server.said == ["hello", "more"])
        socket_server.append(["ä", b"\x00\n\xff", "", b"x" * 3_000_000])
        found = list[bytes]()
        while len(found) < 4:
            found += values([reader.poll(10**7, 5)])
    assert found == ["ä".encode(), b"\x00\n\xff", b"", b"x" * 3_000_000]


def test_a_socket_that_ends_is_connected_again_and_a_field_may_be_the_id(
    socket_server: SocketServer, tmp_path: Path
) -> None:
    with closing(opened(socket_server, tmp_path, id="n")) as reader:
        until(lambda: socket_server.connected == 1)
        socket_server.append([b'{"n": 1}', b'{"n": 1}', b'{"n": 2}'])
        found = list[bytes]()
        until(lambda: _tried(reader, found) == 2)
        socket_server.kill()
        with pytest.raises(TransientError, match="cannot be reached"):
            reader.poll(1000, 30)
        socket_server.start()
        until(lambda: _tried(reader, found) == 2 and socket_server.connected == 1)
        socket_server.append([b'{"n": 2}', b'{"n": 3}'])
        until(lambda: _tried(reader, found) == 3)
    assert found == [b'{"n": 1}', b'{"n": 2}', b'{"n": 3}']


def test_who_is_not_let_in_to_a_socket_is_told_so(socket_server: SocketServer, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="does not let us in: status 401") as refused:
        opened(socket_server, tmp_path, token="wr0ng-t0ken")
    assert "wr0ng-t0ken" not in str(refused.value)
    place = f"127.0.0.1:{socket_server.port}"
    for url, error, said in (
        (f"ws://{place}/none", ConfigurationError, "'events' has nothing to read: status 404"),
        (f"ws://127.0.0.1:{free_port()}/feed", TransientError, "'events' cannot be reached"),
        ("ws:nowhere", ConfigurationError, "is none of a WebSocket"),
    ):
        with pytest.raises(error, match=said):
            opened(socket_server, tmp_path, url=url)
