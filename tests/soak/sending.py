"""Senders of known events: ``python sending.py PORT EVENTS SECONDS SEED``; what was not answered for is sent again.

They end once every event was answered for.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import itertools
import sys
import threading
import time
from typing import Any

from producing import event

SECRET = b"s3cr3t of the shop"
_SENDERS = 6
_PATIENCE = 3.0
"""Seconds after which a sender gives up an answer."""


class Senders:
    """Threads that send, each over a connection that it keeps while it lasts."""

    def __init__(self, port: int, events: int, seconds: float, seed: str) -> None:
        self._port = port
        self._events = events
        self._seconds = seconds
        self._seed = seed
        self._next = itertools.count()
        self.again = 0

    def all(self) -> None:
        """Send all events."""
        threads = [threading.Thread(target=self._send_some) for _ in range(_SENDERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _send_some(self) -> None:
        connection, begun = self._connection(), time.monotonic()
        while (number := next(self._next)) < self._events:
            time.sleep(max(0.0, begun + number * self._seconds / self._events - time.monotonic()))
            body = event(self._seed, number)
            signed = "sha256=" + hmac.new(SECRET, body, hashlib.sha256).hexdigest()
            headers = {"X-Hub-Signature-256": signed, "X-GitHub-Delivery": f"d{number}"}
            while not _answered(connection, body, headers):
                self.again += 1
                connection.close()
                time.sleep(0.2)
                connection = self._connection()
        connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._port, timeout=_PATIENCE)


def _answered(connection: Any, body: bytes, headers: dict[str, str]) -> bool:
    try:
        connection.request("POST", "/hooks/shop", body, headers)
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException):
        return False
    return bool(answer.status == 200)


def main() -> None:
    port, events, seconds, seed = sys.argv[1:]
    senders = Senders(int(port), int(events), float(seconds), seed)
    senders.all()
    print(f"{senders.again} sent again")


if __name__ == "__main__":
    main()
