"""A port that leads to another, until it is cut: a server is away then, and loses nothing that it has in memory."""

from __future__ import annotations

import contextlib
import socket
import threading

from servers.debian import free_port


class Forwarder:
    """Takes connections to a port of loopback, and forwards them to another.

    Args:
        target: The other.
        port: Where connections are taken; None: a port that is free.
    """

    def __init__(self, target: int, port: int | None = None) -> None:
        self.port = port or free_port()
        self._target = target
        self._open: list[socket.socket] = []
        self._flowing = threading.Event()
        self._flowing.set()
        self.start()

    def start(self) -> None:
        """Take connections."""
        self._listening = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._listening,), daemon=True).start()

    def cut(self) -> None:
        """End all connections, and take none."""
        for each in (self._listening, *self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._open.clear()

    def stall(self) -> None:
        """Carry nothing further, and keep all connections open: neither side hears anything."""
        self._flowing.clear()

    def flow(self) -> None:
        """Carry on with what was stalled."""
        self._flowing.set()

    def _accept(self, listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                taken, _ = listening.accept()
                try:
                    further = socket.create_connection(("127.0.0.1", self._target))
                except OSError:
                    # The other is away; who came may come again.
                    taken.close()
                    continue
                for each in (taken, further):
                    # Else a request in two pieces would wait for the answer to the first.
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._open += [taken, further]
                threading.Thread(target=self._join, args=(taken, further), daemon=True).start()

    def _join(self, one: socket.socket, other: socket.socket) -> None:
        back = threading.Thread(target=self._carry, args=(other, one), daemon=True)
        back.start()
        self._carry(one, other)
        back.join()
        one.close()
        other.close()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(2**16):
                self._flowing.wait()
                target.sendall(data)
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
