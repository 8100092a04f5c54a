"""Real feeds of the web for tests: Server-Sent Events over HTTP, and a WebSocket; each is killed and started again."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import Server, ServerConnection, serve

from servers.debian import free_port

TOKEN = "s3cr3t-of-feeds"


class EventServer:
    """Keeps events, numbered from 1, and sends those behind ``Last-Event-ID``, then those that come."""

    def __init__(self) -> None:
        self.port = free_port()
        self.events: list[bytes] = []
        self.inclusive = False
        self.asked: list[str | None] = []
        self._changed = threading.Condition()
        self._open: set[socket.socket] = set()
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        """Return the address."""
        return f"http://127.0.0.1:{self.port}/events"

    def append(self, values: list[bytes]) -> None:
        """Send events."""
        with self._changed:
            self.events += values
            self._changed.notify_all()

    def start(self) -> None:
        """Take connections."""
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                served._serve(self)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, *_: Any) -> None:
                """Say nothing of those that leave."""

        self._server = Quiet(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def kill(self) -> None:
        """End all connections, and take none."""
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()
        with self._changed:
            self._server = None
            for each in self._open:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
            self._changed.notify_all()

    def _serve(self, request: BaseHTTPRequestHandler) -> None:
        statuses = {"/busy": 503, "/none": 404, "/over": 204, "/page": 200, "/events": 200}
        status = statuses[request.path] if request.headers["Authorization"] == f"Bearer {TOKEN}" else 401
        kind = "text/event-stream; charset=utf-8" if request.path == "/events" else "text/html"
        request.send_response(status)
        request.send_header("Content-Type", kind)
        request.send_header("Connection", "close")
        request.end_headers()
        if status != 200 or request.path != "/events":
            return
        given = request.headers["Last-Event-ID"]
        self.asked.append(given)
        self._open.add(request.connection)
        try:
            self._send(request, int(given or 0) - (1 if given and self.inclusive else 0))
        finally:
            self._open.discard(request.connection)

    def _send(self, request: BaseHTTPRequestHandler, at: int) -> None:
        server = self._server
        while self._server is server:
            with self._changed:
                if len(self.events) <= at:
                    self._changed.wait(1)
                fresh = self.events[at:]
            lines = (_event(number, each) for number, each in enumerate(fresh, at + 1))
            request.wfile.write(b"".join(lines) or b": nothing yet\n\n")
            request.wfile.flush()
            at += len(fresh)


def _event(number: int, data: bytes) -> bytes:
    lines = b"\n".join(b"data: " + line for line in data.split(b"\n"))
    return b"id: %d\nevent: click\n%b\n\n" % (number, lines)


class SocketServer:
    """Sends what is sent to all that are connected, and notes what they say."""

    def __init__(self) -> None:
        self.port = free_port()
        self.said: list[str | bytes] = []
        self._connected: set[ServerConnection] = set()
        self._server: Server | None = None

    @property
    def url(self) -> str:
        """Return the address."""
        return f"ws://127.0.0.1:{self.port}/feed"

    @property
    def connected(self) -> int:
        """Return how many listen."""
        return len(self._connected)

    def append(self, values: list[bytes | str]) -> None:
        """Send messages to all that listen; nobody else will ever get them."""
        for each in list(self._connected):
            for value in values:
                each.send(value)

    def start(self) -> None:
        """Take connections."""
        self._server = serve(self._serve, "127.0.0.1", self.port, process_request=_let_in)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def kill(self) -> None:
        """End all connections, and take none."""
        assert self._server is not None
        self._server.shutdown()
        for each in list(self._connected):
            with contextlib.suppress(OSError):
                each.socket.shutdown(socket.SHUT_RDWR)

    def _serve(self, connection: ServerConnection) -> None:
        self._connected.add(connection)
        try:
            for message in connection:
                self.said.append(message)
        except ConnectionClosed:
            pass
        finally:
            self._connected.discard(connection)


def _let_in(connection: ServerConnection, request: Request) -> Response | None:
    if request.headers.get("Authorization") != f"Bearer {TOKEN}":
        return connection.respond(401, "who are you?\n")
    return None if request.path == "/feed" else connection.respond(404, "nothing here\n")


@contextlib.contextmanager
def running_events() -> Iterator[EventServer]:
    """Run a server of events."""
    server = EventServer()
    server.start()
    try:
        yield server
    finally:
        server.kill()


@contextlib.contextmanager
def running_socket() -> Iterator[SocketServer]:
    """Run a server of a WebSocket."""
    server = SocketServer()
    server.start()
    try:
        yield server
    finally:
        server.kill()
