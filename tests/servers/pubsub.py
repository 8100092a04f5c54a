"""A Pub/Sub server for tests: Google's own ``pstest`` with a port, built by Go below ``.cache/servers``."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from servers.debian import NoServerError, free_port, run
from servers.serving import fetching

_SOURCE = Path(__file__).with_name("pubsub_server")


@contextlib.contextmanager
def running() -> Iterator[str]:
    """Run the server, which keeps all in memory; gives its host and port.

    Raises:
        NoServerError: There is no Go, or it cannot be built.
    """
    with fetching("pubsub") as home:
        server = home / "pubsub-server"
        if not server.exists():
            if shutil.which("go") is None:
                raise NoServerError("Go, which builds it, is not on this machine")
            run("go", "build", "-o", str(server), ".", cwd=_SOURCE, seconds=900)
    port = free_port()
    process = subprocess.Popen([server, "-port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        ends = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if process.poll() is not None or time.monotonic() > ends:
                raise NoServerError("the Pub/Sub server does not answer")
            time.sleep(0.05)
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()
