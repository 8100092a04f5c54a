"""Stands: each a stream of one implementation, with the means to write to it, and to throw away what it holds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Protocol

from penstock import sources
from penstock.config.connections import GivenConnection, connection_from_table
from penstock.extract.streams.nats_streams import NatsSource
from penstock.extract.streams.port import Opening, Reader
from penstock.extract.streams.redis_streams import RedisSource
from penstock.extract.streams.tail import TailSource
from penstock.model.specs import ConnectionSpec
from penstock.model.streams import Positions
from servers import nats as nats_server
from servers.nats import NatsServer
from servers.redis import RedisServer

_NUMBER = count()


class Stand(Protocol):
    """A stream of one implementation."""

    def open(self, at: Positions | None = None, **stream: Any) -> Reader:
        """Open it at positions."""
        ...

    def append(self, values: Sequence[bytes]) -> None:
        """Write messages to it."""
        ...

    def lose(self, values: Sequence[bytes]) -> None:
        """Throw away everything that it holds, and write other messages."""
        ...


class Broker(Stand, Protocol):
    """A stream of a server.

    Attributes:
        name: What it is called there.
    """

    name: str

    @property
    def connection(self) -> str:
        """What ``penstock.toml`` says of its connection; the password is ``BROKER_PASSWORD``."""
        ...

    @property
    def source(self) -> str:
        """What the pipeline says of it; micro-batches are closed after 200 ms."""
        ...

    def away(self) -> AbstractContextManager[None]:
        """Kill its server, and start it again at the end."""
        ...


def connected(url: str, *, kind: str | None = None, **given: Any) -> ConnectionSpec:
    """Return a connection as ``penstock.toml`` would give it."""
    return connection_from_table("events", GivenConnection(url, kind, rest=given), None, "connection 'events'")


class TailStand:
    """A file that grows."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "clicks.jsonl"
        # A file is known by its first line, which is no message here.
        self._path.write_bytes(b"\n")

    def open(self, at: Positions | None = None, **stream: Any) -> Reader:
        source = sources.tail("clicks.jsonl", table="clicks", stream=stream)
        return TailSource().open(Opening(source=source, connection=None, positions=at or {}, root=str(self._folder)))

    def append(self, values: Sequence[bytes]) -> None:
        with self._path.open("ab") as file:
            file.writelines(value + b"\n" for value in values)

    def lose(self, values: Sequence[bytes]) -> None:
        with self._path.open("r+b") as file:
            file.truncate(1)
        self.append(values)


class RedisStand:
    """A stream of Redis."""

    def __init__(self, server: RedisServer) -> None:
        self._server = server
        self.name = f"stand-{next(_NUMBER)}"
        self.client = server.client()
        self.client.xgroup_create(self.name, "nobody", mkstream=True)

    def open(self, at: Positions | None = None, **stream: Any) -> Reader:
        source = sources.redis_stream(
            "events", stream_name=self.name, table="clicks", value="data", group="shown", stream=stream
        )
        return RedisSource().open(Opening(source=source, connection=connected(self._server.url), positions=at or {}))

    @property
    def connection(self) -> str:
        url = f"redis://127.0.0.1:{self._server.port}/0"
        return f'[connections.events]\nurl = "{url}"\npassword = "${{BROKER_PASSWORD}}"\n'

    @property
    def source(self) -> str:
        return (
            f'sources.redis_stream("events", stream_name="{self.name}", value="data", table="clicks", '
            'stream={"every": "200ms"})'
        )

    @contextmanager
    def away(self) -> Iterator[None]:
        self._server.kill()
        yield
        self._server.start()

    def append(self, values: Sequence[bytes]) -> None:
        with self.client.pipeline() as together:
            for value in values:
                together.xadd(self.name, {"data": value, "trace": "t"})
            together.execute()

    def lose(self, values: Sequence[bytes]) -> None:
        self.client.xtrim(self.name, maxlen=0, approximate=False)
        self.append(values)


class NatsStand:
    """A stream of NATS JetStream, whose subjects are ``{name}.a`` and ``{name}.b`` in turn."""

    def __init__(self, server: NatsServer) -> None:
        self._server = server
        self.name = f"stand-{next(_NUMBER)}"
        self.told(lambda jetstream: jetstream.add_stream(name=self.name, subjects=[f"{self.name}.>"]))

    def told(self, tell: Callable[[Any], Awaitable[Any]]) -> Any:
        """Tell the server something, as a user who may do everything."""
        import nats

        async def connected() -> Any:
            client = await nats.connect(
                self._server.url, user=nats_server.USER, password=nats_server.PASSWORD, allow_reconnect=False
            )
            try:
                return await tell(client.jetstream())
            finally:
                await client.close()

        return asyncio.run(connected())

    def open(self, at: Positions | None = None, subject: str | None = None, **stream: Any) -> Reader:
        source = sources.nats("events", stream_name=self.name, subject=subject, table="clicks", stream=stream)
        connection = connected(self._server.url, user=nats_server.USER, password=nats_server.PASSWORD)
        return NatsSource().open(Opening(source=source, connection=connection, positions=at or {}))

    @property
    def connection(self) -> str:
        return (
            f'[connections.events]\nurl = "{self._server.url}"\nuser = "{nats_server.USER}"\n'
            'password = "${BROKER_PASSWORD}"\n'
        )

    @property
    def source(self) -> str:
        return f'sources.nats("events", stream_name="{self.name}", table="clicks", stream={{"every": "200ms"}})'

    @contextmanager
    def away(self) -> Iterator[None]:
        self._server.kill()
        yield
        self._server.start()

    def append(self, values: Sequence[bytes]) -> None:
        async def publish(jetstream: Any) -> None:
            for number, value in enumerate(values):
                await jetstream.publish(f"{self.name}.{'ab'[number % 2]}", value, headers={"trace": "t"})

        self.told(publish)

    def lose(self, values: Sequence[bytes]) -> None:
        self.told(lambda jetstream: jetstream.purge_stream(self.name))
        self.append(values)
