"""An inbox: takes the events that are posted for one stream, once each, and says so when they are durable."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path

from penstock.errors import PenstockError
from penstock.extract.streams.webhooks import segments
from penstock.extract.streams.webhooks.signatures import RefusedError, Window, identify
from penstock.extract.streams.webhooks.spool import SEGMENT, Spool, Told
from penstock.values import dataclass

_MOST_KNOWN = 2_000_000
"""So many ids are remembered, whatever their age."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxSpec:
    """What an inbox takes.

    Attributes:
        table: The table of its stream.
        path: The path of its URL.
        folder: Where its segments are.
        signature: The scheme; see ``signatures``.
        secrets: The keys.
        window: Seconds that a signature is valid.
        remembered: Seconds for which the id of an event is known, so that it is not taken twice.
        most: Bytes of an event.
        backlog: Bytes that may wait to be read; beyond them senders are asked to come again.
        segment: Bytes of a segment.
    """

    table: str
    path: str
    folder: Path
    signature: str
    secrets: Sequence[bytes] = field(default=(), repr=False)
    window: float = 300.0
    remembered: float = 3_600.0
    most: int = 2**20
    backlog: int = 4 * 2**30
    segment: int = SEGMENT


class Inbox:
    """Takes events; may be asked by several threads.

    Args:
        spec: What it takes.
    """

    def __init__(self, spec: InboxSpec) -> None:
        self.spec = spec
        self._spool: Spool | None = None
        self._lock = threading.Lock()
        self._known: OrderedDict[str, int] = OrderedDict()
        self._pending: dict[str, list[Told]] = {}
        self._looked = 0.0
        self._full = False

    def take(self, headers: Mapping[str, str], body: bytes, told: Told) -> None:
        """Take an event; ``told`` is called from another thread once it is durable, or why it is not.

        Args:
            headers: Names in lower case.
            body: As it was sent.
            told: May be called at once, for an event that is known.

        Raises:
            RefusedError: It is not taken, and why.
        """
        now = time.time()
        id_ = identify(self.spec.signature, headers, body, self.spec.secrets, Window(now, self.spec.window))
        with self._lock:
            spool = self._opened(now)
            if id_ in self._known:
                waiting = None
            elif id_ in self._pending:
                self._pending[id_].append(told)
                return
            else:
                self._pending[id_] = waiting = [told]
        if waiting is None:
            told(None)
            return
        at = int(now * 1e6)
        spool.append(segments.line(at, id_, body), lambda problem: self._settle(id_, at, problem))

    def close(self) -> None:
        """Write what waits, and let others take events."""
        with self._lock:
            spool, self._spool = self._spool, None
        if spool is not None:
            spool.close()

    def _settle(self, id_: str, at: int, problem: OSError | None) -> None:
        with self._lock:
            waiting = self._pending.pop(id_, [])
            if problem is None:
                self._known[id_] = at
                self._forget(at)
        for told in waiting:
            told(problem)

    def _forget(self, now: int) -> None:
        oldest = now - int(self.spec.remembered * 1e6)
        while self._known and (len(self._known) > _MOST_KNOWN or next(iter(self._known.values())) < oldest):
            self._known.popitem(last=False)

    def _opened(self, now: float) -> Spool:
        """Return the spool, once it is ours and has room."""
        if self._spool is None:
            try:
                spool = Spool(self.spec.folder, self.spec.segment)
            except PenstockError as error:
                raise RefusedError(503, f"Events cannot be taken now: {type(error).__name__}") from error
            since = int((now - self.spec.remembered) * 1e6)
            self._known = OrderedDict((id_, int(now * 1e6)) for id_ in spool.recent(since))
            self._spool = spool
        if now - self._looked >= 1.0:
            self._looked = now
            self._full = self._waiting() > self.spec.backlog
        if self._full:
            raise RefusedError(503, "Too many events wait to be read")
        return self._spool

    def _waiting(self) -> int:
        found = segments.listed(self.spec.folder)
        return found[-1].end - max(segments.committed(self.spec.folder), found[0].start) if found else 0
