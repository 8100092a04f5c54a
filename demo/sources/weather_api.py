"""The weather API of the demo: pages, a limit of calls, and now and then a 503, as such services are.

    python demo/sources/weather_api.py --data demo/sources/data --port 8713

``GET /observations?from=…&to=…`` (ISO times, half-open) gives ``{"meta": {"total", "count", "next"},
"observations": […]}``
and needs ``Authorization: Bearer TOKEN``; ``meta.next`` is the address of the next page, null on the last.
``GET /health`` needs nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import sys
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime
from hmac import compare_digest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, local
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

KNOWN = ("from", "to", "cursor")


class Limit:
    """A token bucket.

    Args:
        rate: Calls per second; the bucket holds as many.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._tokens = rate
        self._at = time.monotonic()
        self._lock = Lock()

    def allows(self) -> bool:
        """Take a token if there is one."""
        with self._lock:
            now = time.monotonic()
            self._tokens = min(max(self._rate, 1.0), self._tokens + (now - self._at) * self._rate)
            self._at = now
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True


class WeatherServer(ThreadingHTTPServer):
    """Serves the observations on loopback.

    Args:
        data: Folder with ``weather.db``.
        port: 0 takes a free one.
        settings: ``token``, ``rate``, ``page``, ``fail_every``.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, data: Path, port: int, settings: argparse.Namespace) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.settings = settings
        self.limit = Limit(settings.rate)
        self._path = data / "weather.db"
        self._calls = 0
        self._lock = Lock()
        self._opened = local()

    def count(self) -> int:
        """Count a call; returns its number."""
        with self._lock:
            self._calls += 1
            return self._calls

    def rows(self, sql: str, values: list[Any]) -> list[dict[str, Any]]:
        """Run a query on this thread's connection."""
        if not hasattr(self._opened, "database"):
            self._opened.database = sqlite3.connect(f"{self._path.resolve().as_uri()}?mode=ro", uri=True)
            self._opened.database.row_factory = sqlite3.Row
        return [dict(row) for row in self._opened.database.execute(sql, values)]


class Handler(BaseHTTPRequestHandler):
    """Answers one call."""

    server: WeatherServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self) -> None:
        """Answer."""
        url = urlsplit(self.path)
        if url.path == "/health":
            return self._answer(200, {"status": "ok"})
        if url.path != "/observations":
            return self._answer(404, {"error": f"there is no {url.path}"})
        sent = self.headers.get("Authorization", "")
        if not compare_digest(sent.encode(), f"Bearer {self.server.settings.token}".encode()):
            return self._answer(401, {"error": "a bearer token is needed"})
        if not self.server.limit.allows():
            return self._answer(429, {"error": "too many calls"}, {"Retry-After": "1"})
        every = self.server.settings.fail_every
        if every and self.server.count() % every == 0:
            return self._answer(503, {"error": "try again"})
        try:
            return self._answer(200, self._observations({k: v[-1] for k, v in parse_qs(url.query).items()}))
        except ValueError as error:
            return self._answer(400, {"error": str(error)})

    def _observations(self, query: dict[str, str]) -> dict[str, Any]:
        for name in query:
            if name not in KNOWN:
                raise ValueError(f"there is no parameter {name}; there are {', '.join(KNOWN)}")
        bounds = [_moment(query.get("from", "2013-01-01"), "from"), _moment(query.get("to", "2014-01-01"), "to")]
        after = _opened(query["cursor"]) if query.get("cursor") else ["", ""]
        page = self.server.settings.page
        inside = "time_hour >= ? AND time_hour < ?"
        rows = self.server.rows(
            f"SELECT * FROM observations WHERE {inside} AND (time_hour, origin) > (?, ?) "
            "ORDER BY time_hour, origin LIMIT ?",
            [*bounds, *after, page + 1],
        )
        (counted,) = self.server.rows(f"SELECT count(*) AS total FROM observations WHERE {inside}", bounds)
        following = None
        if len(rows) > page:
            rows = rows[:page]
            sealed = _sealed(rows[-1]["time_hour"], rows[-1]["origin"])
            following = "/observations?" + urlencode({"from": bounds[0], "to": bounds[1], "cursor": sealed})
        meta = {"total": counted["total"], "count": len(rows), "next": following}
        return {"meta": meta, "observations": rows}

    def _answer(self, status: int, document: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        body = json.dumps(document, separators=(",", ":")).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the name that http.server gives it
        """Log nothing: the demo's screen belongs to the pipeline."""


def _moment(text: str, name: str) -> str:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{name} is no ISO time: {text[:40]!r}") from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _sealed(*values: str) -> str:
    return urlsafe_b64encode("|".join(values).encode()).decode().rstrip("=")


def _opened(cursor: str) -> list[str]:
    try:
        found = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().split("|")
    except (ValueError, UnicodeDecodeError):
        found = []
    if len(found) != 2:
        raise ValueError("this cursor is not one of ours")
    return found


def main() -> int:
    """Serve until terminated; prints the address once it listens."""
    arguments = argparse.ArgumentParser(description="Serve the demo's weather on loopback.")
    arguments.add_argument("--data", type=Path, required=True, help="folder with weather.db")
    arguments.add_argument("--port", type=int, default=0, help="0 takes a free one")
    arguments.add_argument("--token", default=os.environ.get("WEATHER_TOKEN", "demo"))
    arguments.add_argument("--rate", type=float, default=20, help="calls per second")
    arguments.add_argument("--page", type=int, default=50, help="observations per page")
    arguments.add_argument("--fail-every", type=int, default=25, help="every n-th call gets a 503; 0: none")
    settings = arguments.parse_args()
    if not (settings.data / "weather.db").exists():
        print(f"{settings.data} holds no weather.db; make_sources.py makes it", file=sys.stderr)
        return 2
    with WeatherServer(settings.data, settings.port, settings) as server:
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
