"""A real Redis for tests, which keeps each entry on its disk; stopped by its process id."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from servers.debian import CACHE, NoServerError, environment, free_port, provided

PASSWORD = "s3:cr@t/of redis"
_WANTED = re.compile(r"redis-tools|lib(jemalloc2|lzf1|atomic1|ssl3|systemd0)")


@dataclass
class RedisServer:
    """A running server."""

    binary: Path
    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Return the address, with the password."""
        from urllib.parse import quote

        return f"redis://:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}/0"

    def client(self) -> Any:
        """Return a client that may do everything."""
        import redis

        return redis.Redis(port=self.port, password=PASSWORD)

    def start(self) -> None:
        """Start it with what is on its disk, and wait until it answers."""
        import redis

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
        with (self.folder / "log").open("ab") as log:
            # One program is all the tools and the server: which, is told by the name that it is started by.
            self.process = subprocess.Popen(
                ["redis-server", *given], executable=self.binary, env=environment(self.binary), stdout=log, stderr=log
            )
        ends = time.monotonic() + 20
        while True:
            if self.process.poll() is not None or time.monotonic() > ends:
                raise NoServerError(f"redis-server does not answer: {(self.folder / 'log').read_text()[-300:]}")
            with contextlib.suppress(redis.ConnectionError), contextlib.closing(self.client()) as client:
                client.ping()
                return
            time.sleep(0.05)

    def kill(self) -> None:
        """Kill it as if its machine had failed."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@contextlib.contextmanager
def running() -> Iterator[RedisServer]:
    """Run a server.

    Raises:
        NoServerError: It cannot be had, or does not come up.
    """
    binary = provided(["redis-tools"], _WANTED, _installed)
    with tempfile.TemporaryDirectory(prefix="penstock-redis-") as folder:
        server = RedisServer(binary, Path(folder), free_port())
        try:
            server.start()
            yield server
        finally:
            if server.process is not None:
                server.kill()


def _installed() -> Path | None:
    on_path = shutil.which("redis-check-rdb")
    unpacked = CACHE / "root/usr/bin/redis-check-rdb"
    if on_path:
        return Path(os.path.realpath(on_path))
    return unpacked if unpacked.exists() else None
