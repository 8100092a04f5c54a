"""A real RabbitMQ for tests, which keeps durable queues on its disk; stopped by its process id."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from servers.debian import CACHE, NoServerError, environment, free_port, provided

USER, PASSWORD = "penstock", "s3:cr@t/of rabbits"
_WANTED = re.compile(r"rabbitmq-server|erlang-[a-z0-9-]+|libtinfo6|libsctp1|libssl3|zlib1g|libsystemd0")
_LONGEST = 90


@dataclass
class RabbitServer:
    """A running server.

    Attributes:
        script: ``rabbitmq-server`` of its release.
        erlang: The root of Erlang.
        folder: What it keeps.
        port: Where it listens.
        ports: Those of its node, and of the mapper of nodes, which is ours as well.
    """

    script: Path
    erlang: Path
    folder: Path
    port: int
    ports: tuple[int, int]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Return the address."""
        return f"amqp://127.0.0.1:{self.port}/%2F"

    def start(self) -> None:
        """Start it with what is on its disk, and wait until it takes connections."""
        log = (self.folder / "log").open("ab")
        made = self._environment()
        mapper = next(self.erlang.glob("erts-*/bin/epmd"))
        with log:
            self.processes = [
                subprocess.Popen(command, stdout=log, stderr=log, env=made, start_new_session=True)
                for command in ([str(mapper)], [str(self.script)])
            ]
        ends = time.monotonic() + _LONGEST
        while True:
            if self.processes[1].poll() is not None or time.monotonic() > ends:
                raise NoServerError(f"rabbitmq-server does not answer: {(self.folder / 'log').read_text()[-500:]}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as answered:
                answered.settimeout(2)
                answered.sendall(b"AMQP\x00\x00\x09\x01")
                if answered.recv(1) == b"\x01":
                    return
            time.sleep(0.1)

    def kill(self) -> None:
        """Kill it as if its machine had failed, with the helpers that are its children."""
        for process in reversed(self.processes):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self.processes = []

    def _environment(self) -> dict[str, str]:
        """Return an environment in which all is in the folder, and Erlang is found wherever it was unpacked."""
        binaries = self.folder / "bin"
        binaries.mkdir(exist_ok=True)
        start = (self.erlang / "bin" / "erl").read_text().replace("/usr/lib/erlang", str(self.erlang))
        (binaries / "erl").write_text(start)
        (binaries / "erl").chmod(0o755)
        (self.folder / "rabbitmq.conf").write_text(
            f"default_user = {USER}\ndefault_pass = {PASSWORD}\nloopback_users = none\n"
            "disk_free_limit.absolute = 10MB\nlog.console = true\nlog.file = false\n"
        )
        (self.folder / "plugins").write_text("[].")
        node, mapper = self.ports
        places = {
            "RABBITMQ_MNESIA_BASE": "node",
            "RABBITMQ_LOG_BASE": "node",
            "RABBITMQ_ENABLED_PLUGINS_FILE": "plugins",
            "RABBITMQ_CONFIG_FILE": "rabbitmq",
            "RABBITMQ_PID_FILE": "pid",
            "RABBITMQ_GENERATED_CONFIG_DIR": "config",
            "RABBITMQ_FEATURE_FLAGS_FILE": "flags",
            "HOME": "",
        }
        made = environment(self.script)
        return (
            made
            | {name: str(self.folder / place) for name, place in places.items()}
            | {
                "PATH": f"{binaries}:{next(self.erlang.glob('erts-*'))}/bin:{made['PATH']}",
                "ERL_EPMD_PORT": str(mapper),
                "ERL_EPMD_ADDRESS": "127.0.0.1",
                "RABBITMQ_NODENAME": f"penstock{mapper}@localhost",
                "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
                "RABBITMQ_NODE_PORT": str(self.port),
                "RABBITMQ_DIST_PORT": str(node),
                "RABBITMQ_CONF_ENV_FILE": os.devnull,
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none -kernel inet_dist_use_interface {127,0,0,1}",
            }
        )


@contextlib.contextmanager
def running() -> Iterator[RabbitServer]:
    """Run a server.

    Raises:
        NoServerError: It cannot be had, or does not come up.
    """
    # Installing the package would start a server: it is unpacked, and told where Erlang is.
    script = provided(["rabbitmq-server"], _WANTED, _unpacked, install=False)
    with tempfile.TemporaryDirectory(prefix="penstock-rabbitmq-", ignore_cleanup_errors=True) as folder:
        erlang = script.parents[5] / "lib/erlang"
        server = RabbitServer(script, erlang, Path(folder), free_port(), (free_port(), free_port()))
        try:
            server.start()
            yield server
        finally:
            server.kill()


def _unpacked() -> Path | None:
    for root in (CACHE / "root", Path("/")):
        for found in root.glob("usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server"):
            return found
    return None
