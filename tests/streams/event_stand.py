"""A stand of Server-Sent Events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from brokers import connected

from penstock import sources
from penstock.extract.streams.port import Opening, Reader
from penstock.extract.streams.web_feeds.sse import SseSource
from penstock.model.specs import SourceSpec
from penstock.model.streams import Positions
from servers.feeds import TOKEN, EventServer


class EventStand:
    """The events of a server of its own."""

    name = "clicks"

    def __init__(self, server: EventServer, folder: Path) -> None:
        self.server = server
        self.folder = folder

    def open(self, at: Positions | None = None, **stream: Any) -> Reader:
        return self.opened(sources.sse("events", table="clicks", stream=stream), at)

    def opened(self, source: SourceSpec, at: Positions | None = None, **given: Any) -> Reader:
        """Open a source of its own."""
        connection = connected(**{"url": self.server.url, "kind": "sse", "token": TOKEN, **given})
        return SseSource().open(
            Opening(source=source, connection=connection, positions=at or {}, root=str(self.folder))
        )

    @property
    def connection(self) -> str:
        return f'[connections.events]\nkind = "sse"\nurl = "{self.server.url}"\ntoken = "${{BROKER_PASSWORD}}"\n'

    @property
    def source(self) -> str:
        return 'sources.sse("events", table="clicks", stream={"every": "200ms"})'

    @contextmanager
    def away(self) -> Iterator[None]:
        self.server.kill()
        yield
        self.server.start()

    def append(self, values: Sequence[bytes]) -> None:
        self.server.append(list(values))

    def lose(self, values: Sequence[bytes]) -> None:
        self.server.append(list(values))
