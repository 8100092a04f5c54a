"""A feed: a far end that hands out messages, has no position to go on from, and hears in the end that they are safe."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from penstock.values import dataclass

MOST = 2**20
"""Bytes after which a feed gives what it has received."""


@dataclass(frozen=True, slots=True)
class Received:
    """A message as it came.

    Attributes:
        id: What tells it from all others, and is the same when it comes again; empty: nothing does.
        key: What stands in its row as the key.
        value: Its body.
        headers: Names and values.
        ticket: What ``settle`` is given.
        again: It may be one that came before; else its id is noted, and nothing is looked for.
    """

    id: str
    key: bytes | None
    value: bytes
    headers: Sequence[tuple[str, bytes]] = ()
    ticket: Any = None
    again: bool = True


class Feed(Protocol):
    """One connection to a far end; it is used by one thread at a time, and connects again after ``close``."""

    @property
    def topic(self) -> str:
        """What the far end calls it."""
        ...

    @property
    def envelope(self) -> Mapping[str, str]:
        """As that of a reader; there are ``offset``, ``timestamp``, ``key``, ``value`` and ``headers``."""
        ...

    @property
    def lost(self) -> str:
        """Why the far end may no longer have what came since the last connection; empty: it has."""
        ...

    @property
    def keeps(self) -> bool:
        """Whether the far end keeps messages until they are settled, so that they are settled after their commit.

        Else they are settled once they are on the disk.
        """
        ...

    def connect(self) -> None:
        """Begin to receive.

        Raises:
            ConfigurationError: What is to be read is not there; we are not let in.
            TransientError: The far end cannot be reached.
        """
        ...

    def receive(self, wait: float) -> Sequence[Received]:
        """Return what came, about ``MOST`` bytes of it; wait ``wait`` seconds where nothing is there.

        Raises:
            ConfigurationError: What is read is gone; we are no longer let in.
            TransientError: The connection broke.
        """
        ...

    def settle(self, ticket: Any) -> None:
        """Tell the far end that a message and all that were received before it are safe."""
        ...

    def empty(self) -> bool:
        """Say whether the far end has, as far as it tells, nothing now that was not received."""
        ...

    def close(self) -> None:
        """Leave; called always, also twice."""
        ...


class Quiet:
    """Knows for how long nothing has come from a far end that does not tell how many messages wait.

    Args:
        enough: Seconds without a message after which it is taken that none does.
    """

    def __init__(self, enough: float = 1.0) -> None:
        self._enough = enough
        self._heard = 0.0

    def heard(self) -> None:
        """Take in that something came, or that listening began."""
        self._heard = time.monotonic()

    def __bool__(self) -> bool:
        """Say whether nothing has come for long enough."""
        return time.monotonic() - self._heard >= self._enough


def enveloped(key: str) -> Mapping[str, str]:
    """Return what stands beside a message's own columns, of which one is its key; see ``Reader.envelope``."""
    return {key: "key", "_timestamp": "timestamp", "_offset": "offset", "_headers": "headers"}


def id_of(body: bytes, name: str | None, otherwise: str = "") -> str:
    """Return what tells a message from all others.

    Args:
        body: The message.
        name: The field that does; None: none was named.
        otherwise: What the far end calls it, where no field was named.
    """
    return _field(body, name) if name else otherwise


def _field(body: bytes, name: str) -> str:
    try:
        found = json.loads(body)
    except ValueError:
        return ""
    value = found.get(name) if isinstance(found, dict) else None
    return "" if value is None else json.dumps(value, sort_keys=True)
