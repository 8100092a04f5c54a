"""A real NATS with JetStream for tests, which keeps streams on its disk; stopped by its process id."""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from servers.debian import CACHE, NoServerError, free_port, provided

USER, PASSWORD = "penstock", "s3:cr@t/of nats"
_WANTED = re.compile(r"nats-server")


@dataclass
class NatsServer:
    """A running server."""

    binary: Path
    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Return the address."""
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it with what is on its disk, and wait until it answers."""
        settings = self.folder / "nats.conf"
        settings.write_text(
            f'listen: "127.0.0.1:{self.port}"\n'
            f'jetstream {{ store_dir: "{self.folder}/streams" }}\n'
            f'authorization {{ user: "{USER}", password: "{PASSWORD}" }}\n'
        )
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([self.binary, "-c", str(settings)], stdout=log, stderr=log)
        ends = time.monotonic() + 20
        while True:
            if self.process.poll() is not None or time.monotonic() > ends:
                raise NoServerError(f"nats-server does not answer: {(self.folder / 'log').read_text()[-300:]}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as answered:
                if answered.recv(4) == b"INFO":
                    return
            time.sleep(0.05)

    def kill(self) -> None:
        """Kill it as if its machine had failed."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@contextlib.contextmanager
def running() -> Iterator[NatsServer]:
    """Run a server.

    Raises:
        NoServerError: It cannot be had, or does not come up.
    """
    # Installing the package would start a server: it is unpacked, as it needs nothing else.
    binary = provided(["nats-server"], _WANTED, _installed, install=False)
    with tempfile.TemporaryDirectory(prefix="penstock-nats-") as folder:
        server = NatsServer(binary, Path(folder), free_port())
        try:
            server.start()
            yield server
        finally:
            if server.process is not None:
                server.kill()


def _installed() -> Path | None:
    on_path = shutil.which("nats-server")
    unpacked = CACHE / "root/usr/sbin/nats-server"
    if on_path:
        return Path(on_path)
    return unpacked if unpacked.exists() else None
