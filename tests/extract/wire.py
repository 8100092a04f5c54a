"""Servers that are none: what a database driver meets where something else listens, or nothing."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator


def closed_port() -> int:
    """Return a port of loopback at which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def talking(answer: bytes | None) -> Iterator[int]:
    """Listen at a port; answer the first bytes of everyone with these and hang up, or, with None, say nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        listener.settimeout(0.1)
        over = threading.Event()
        held: list[socket.socket] = []

        def serve() -> None:
            while not over.is_set():
                with contextlib.suppress(OSError):
                    caller, _ = listener.accept()
                    held.append(caller)
                    if answer is not None:
                        caller.settimeout(1)
                        caller.recv(4096)
                        caller.sendall(answer)
                        caller.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            over.set()
            thread.join()
            for caller in held:
                caller.close()
