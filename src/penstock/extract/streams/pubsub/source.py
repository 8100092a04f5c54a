"""Subscriptions of Pub/Sub: a message is acknowledged once the load that holds it is committed.

The service may give a message out again, acknowledged or not; each has an id of the service, by which it counts once.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from penstock.errors import PenstockError
from penstock.extract.streams.intake.feed import Quiet, Received, enveloped, id_of
from penstock.extract.streams.intake.reader import IntakeReader
from penstock.extract.streams.port import Opening, Reader
from penstock.extract.streams.pubsub.client import LEASE, Client

_MOST = 20_000
"""Messages that were given out and are not committed yet, at most."""
_PULL = 1.0
"""Seconds that a pull waits at least: one that is given up may have been given messages, which come again later."""
_QUIET = 2.0
"""Seconds without a message after which it is taken that none waits."""


class PubSubSource:
    """Reads a subscription; ``options``: ``subscription``, ``id`` (a field of the messages), ``folder``."""

    def open(self, opening: Opening) -> Reader:
        """Begin to read."""
        return IntakeReader(opening, _Subscription(opening))


class _Subscription:
    """A subscription as a feed."""

    keeps = True
    lost = ""
    envelope = enveloped("_message_id")

    def __init__(self, opening: Opening) -> None:
        options = opening.source.options
        self.topic = str(options["subscription"])
        self._id: str | None = options.get("id")
        self._client = Client(opening.endpoint, self.topic)
        self._waiting: deque[tuple[int, str]] = deque()
        self._first: Sequence[Any] = ()
        self._fresh: list[str] = []
        self._tickets = 0
        self._quiet = Quiet(_QUIET)

    def connect(self) -> None:
        """Begin to receive: a first pull says what stands in the way."""
        self._waiting.clear()
        self._fresh.clear()
        self._client.connect()
        self._first = self._client.pull(_MOST, _PULL)
        self._quiet.heard()

    def receive(self, wait: float) -> Sequence[Received]:
        """Return what came."""
        # What came with the last call is on the disk now; were it ours for long before, a kill would hide it for long.
        fresh, self._fresh = self._fresh, []
        self._client.lease(fresh, LEASE)
        found, self._first = self._first, ()
        room = _MOST - len(self._waiting)
        if not found and room > 0:
            begun = time.monotonic()
            found = self._client.pull(room, max(wait, _PULL))
            left = wait - (time.monotonic() - begun)
            if not found and left > 0:
                time.sleep(left)
        elif not found:
            time.sleep(wait)
        if found:
            self._quiet.heard()
        return [self._received(each.ack_id, each.message) for each in found]

    def settle(self, ticket: Any) -> None:
        """Acknowledge a message and all before it."""
        safe = []
        while self._waiting and self._waiting[0][0] <= ticket:
            safe.append(self._waiting.popleft()[1])
        self._client.acknowledge(safe)

    def empty(self) -> bool:
        """Say whether nothing has come for a while."""
        return bool(self._quiet)

    def close(self) -> None:
        """Leave, and have what was not acknowledged given out again."""
        left = [each for _, each in self._waiting] + [each.ack_id for each in self._first]
        self._waiting.clear()
        self._first = ()
        try:
            self._client.lease(left, 0)
        except PenstockError:
            # It is given out again when its time is over.
            pass
        finally:
            self._client.close()

    def _received(self, ack_id: str, message: Any) -> Received:
        self._tickets += 1
        self._waiting.append((self._tickets, ack_id))
        self._fresh.append(ack_id)
        headers = {**message.attributes, "publish_time": message.publish_time.isoformat()}
        if message.ordering_key:
            headers["ordering_key"] = message.ordering_key
        return Received(
            id=id_of(message.data, self._id, message.message_id),
            key=message.message_id.encode(),
            value=message.data,
            headers=[(name, value.encode()) for name, value in headers.items()],
            ticket=self._tickets,
        )
