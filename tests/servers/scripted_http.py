"""A real HTTP server on loopback whose answers a test writes as a function."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from penstock.extract.http import budget


@dataclass(frozen=True)
class Call:
    """A call as it arrived: its number from 1, path, last value of each parameter, headers in lower case."""

    number: int
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    target: str


@dataclass
class Answer:
    """What to send; ``raw`` is sent instead of everything else, then the connection is closed."""

    body: Any = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    pieces: Iterator[bytes] | None = None


Script = Callable[[Call], Any]


class Scripted(ThreadingHTTPServer):
    """The server; ``calls`` are those that it saw."""

    daemon_threads = True
    script: Script

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.calls: list[Call] = []
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay quiet: clients that hang up are what the tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: Scripted
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        headers = {name.lower(): value for name, value in self.headers.items()}
        with self.server.lock:
            call = Call(len(self.server.calls) + 1, parts.path, query, headers, self.path)
            self.server.calls.append(call)
        found = self.server.script(call)
        answer = found if isinstance(found, Answer) else Answer(found)
        if answer.raw is not None or answer.pieces is not None:
            for piece in answer.pieces or [answer.raw or b""]:
                self.wfile.write(piece)
                self.wfile.flush()
            self.close_connection = True
            return
        body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        self.send_response(answer.status)
        given = {"Content-Type": "application/json", "Content-Length": str(len(body)), **answer.headers}
        for name, value in given.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
        pass


@contextmanager
def scripted(script: Script) -> Iterator[Scripted]:
    """Run a server with the script for as long as the context lasts."""
    server = Scripted()
    server.script = script
    # A port comes again after thousands of tests; what a server of before asked for holds for this one no more.
    budget._BUDGETS.pop(server.url, None)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
