"""Fixtures of the tests of streams."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from children import Children

from servers import feeds
from servers.feeds import EventServer, SocketServer


@pytest.fixture(scope="session")
def children() -> Iterator[Children]:
    """A process whose children stream."""
    made = Children()
    yield made
    made.close()


@pytest.fixture
def event_server() -> Iterator[EventServer]:
    """A server of Server-Sent Events."""
    with feeds.running_events() as server:
        yield server


@pytest.fixture
def socket_server() -> Iterator[SocketServer]:
    """A server of a WebSocket."""
    with feeds.running_socket() as server:
        yield server
