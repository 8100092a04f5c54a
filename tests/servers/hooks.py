"""A web server that takes documents which are posted to it, as chats and receivers of events do."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Hook:
    """A web server that takes what is posted.

    Attributes:
        got: Headers and document of each request.
        status: What it answers with.
        hold: While this is not set, no answer comes.
    """

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.status = 200
        self.hold = threading.Event()
        self.hold.set()
        self.url = ""


@contextmanager
def hook() -> Iterator[Hook]:
    """Run such a server; it answers with 200 unless ``status`` is set to another."""
    taking = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            taking.hold.wait(60)
            taking.got.append((dict(self.headers), json.loads(body)))
            self.send_response(taking.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    taking.url = f"http://127.0.0.1:{server.server_port}/hooks"
    try:
        yield taking
    finally:
        taking.hold.set()
        server.shutdown()
        server.server_close()
        thread.join()
