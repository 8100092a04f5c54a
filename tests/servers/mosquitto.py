"""A real MQTT broker for tests, Mosquitto, which keeps sessions on its disk; stopped by its process id."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
from collections.abc import Iterator

from servers.debian import NoServerError, environment, provided
from servers.program import Program, installed, run

USER, PASSWORD = "penstock", "s3:cr@t/of mosquitoes"
_WANTED = re.compile(r"mosquitto|lib(cjson1|mosquitto1|dlt2|wrap0|websockets\d+|ev4|uv1|ssl3|systemd0)")


class MosquittoServer(Program):
    """A running server."""

    program = "mosquitto"

    @property
    def url(self) -> str:
        """Return the address."""
        return f"mqtt://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        """Write users and settings."""
        made = environment(self.binary)
        users = self.folder / "users"
        if not users.exists():
            tool = self.binary.parents[1] / "bin/mosquitto_passwd"
            done = subprocess.run([tool, "-c", "-b", users, USER, PASSWORD], env=made, capture_output=True, check=False)
            if done.returncode:
                raise NoServerError(f"mosquitto_passwd failed: {done.stderr.decode()[-300:]}")
            users.chmod(0o600)
        settings = self.folder / "mosquitto.conf"
        # Each change is written: a kill is to find the sessions as they were.
        settings.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous false\npassword_file {users}\nuser root\n"
            f"persistence true\npersistence_location {self.folder}/\nautosave_on_changes true\nautosave_interval 1\n"
            "max_queued_messages 0\n"
        )
        return ["mosquitto", "-c", str(settings)]

    def answers(self) -> bool:
        """Say whether somebody listens."""
        socket.create_connection(("127.0.0.1", self.port), 1).close()
        return True


@contextlib.contextmanager
def running() -> Iterator[MosquittoServer]:
    """Run a server.

    Raises:
        NoServerError: It cannot be had, or does not come up.
    """
    # Installing the package would start a server: it is unpacked.
    binary = provided(["mosquitto"], _WANTED, lambda: installed("mosquitto", "usr/sbin"), install=False)
    with run(MosquittoServer, binary) as server:
        yield server
