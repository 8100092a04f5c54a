"""A real NATS with JetStream for tests, which keeps streams on its disk; stopped by its process id."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterator

from servers.debian import provided
from servers.program import Program, installed, run

USER, PASSWORD = "penstock", "s3:cr@t/of nats"
_WANTED = re.compile(r"nats-server")


class NatsServer(Program):
    """A running server."""

    program = "nats-server"

    @property
    def url(self) -> str:
        """Return the address."""
        return f"nats://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        """Write its settings."""
        settings = self.folder / "nats.conf"
        settings.write_text(
            f'listen: "127.0.0.1:{self.port}"\n'
            f'jetstream {{ store_dir: "{self.folder}/streams" }}\n'
            f'authorization {{ user: "{USER}", password: "{PASSWORD}" }}\n'
        )
        return ["nats-server", "-c", str(settings)]

    def answers(self) -> bool:
        """Say whether it greets."""
        with socket.create_connection(("127.0.0.1", self.port), 1) as answered:
            return answered.recv(4) == b"INFO"


@contextlib.contextmanager
def running() -> Iterator[NatsServer]:
    """Run a server.

    Raises:
        NoServerError: It cannot be had, or does not come up.
    """
    # Installing the package would start a server: it is unpacked, as it needs nothing else.
    binary = provided(["nats-server"], _WANTED, lambda: installed("nats-server", "usr/sbin"), install=False)
    with run(NatsServer, binary) as server:
        yield server
