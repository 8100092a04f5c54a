"""A real Redis for tests, which keeps each entry on its disk; stopped by its process id."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

from servers.debian import provided
from servers.program import Program, installed, run

PASSWORD = "s3:cr@t/of redis"
_WANTED = re.compile(r"redis-tools|lib(jemalloc2|lzf1|atomic1|ssl3|systemd0)")


class RedisServer(Program):
    """A running server."""

    program = "redis-server"

    @property
    def url(self) -> str:
        """Return the address, with the password."""
        from urllib.parse import quote

        return f"redis://:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}/0"

    def client(self) -> Any:
        """Return a client that may do everything."""
        import redis

        return redis.Redis(port=self.port, password=PASSWORD)

    def command(self) -> list[str]:
        """Give its settings; all tools and the server are one program: which, is told by the name that begins it."""
        settings = {
            "port": self.port,
            "bind": "127.0.0.1",
            "dir": self.folder,
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
            "daemonize": "no",
            "requirepass": PASSWORD,
        }
        given = [text for name, value in settings.items() for text in (f"--{name}", str(value))]
        return ["redis-server", *given]

    def answers(self) -> bool:
        """Say whether it answers a client."""
        import redis

        with contextlib.suppress(redis.ConnectionError), contextlib.closing(self.client()) as client:
            client.ping()
            return True
        return False


@contextlib.contextmanager
def running() -> Iterator[RedisServer]:
    """Run a server.

    Raises:
        NoServerError: It cannot be had, or does not come up.
    """
    binary = provided(["redis-tools"], _WANTED, lambda: installed("redis-check-rdb", "usr/bin"))
    with run(RedisServer, binary) as server:
        yield server
