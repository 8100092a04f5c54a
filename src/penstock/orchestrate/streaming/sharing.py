"""Several processes that read one pipeline's streams together: each reads its share of the partitions.

Who reads what is only a matter of saving work; that each message counts once does not hang on it. A member reads
and decodes by itself, and takes the lease of the streams for each micro-batch alone. With the lease it looks at what
has landed meanwhile: if its partitions are no longer where its batch begins, somebody else has
landed these messages, its batch is dropped and it reads on from where the table is. So no rebalance can come between
reading and committing. A member that slept with the lease is refused by the lake, as any consumer that was overtaken.

Members are told by leases of their own, one for each place at the table: who dies, leaves its place, at once on the
same machine, and when its lease runs out elsewhere.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from random import Random

from penstock.catalog.port import Lease
from penstock.errors import ConfigurationError, LeaseHeldError, StaleWriterError, TransientError
from penstock.extract.streams.port import Share
from penstock.model.specs import PipelineSpec
from penstock.orchestrate import holding
from penstock.orchestrate.context import LEASE_SECONDS, leased
from penstock.orchestrate.workspace import Workspace

MOST = 64
"""Members at most."""
_AGAIN = 0.05
"""About how many seconds pass between two tries to get the lease."""
_SILENT = 5.0
"""Seconds after which a person is told that the lease is waited for."""
_PATIENCE = 2 * LEASE_SECONDS
"""Seconds that one that is to end waits: a holder that died elsewhere keeps the lease until it runs out."""
_CHANCE = Random()
"""Waits are drawn, so that members do not try in step."""


class Member:
    """One process among those that read together; ``close`` frees its place.

    Args:
        workspace: The places.
        spec: The pipeline.

    Raises:
        ConfigurationError: All places are taken.
    """

    def __init__(self, workspace: Workspace, spec: PipelineSpec) -> None:
        self._workspace = workspace
        self._spec = spec
        self._names = [f"{holding.stream_lease(spec.name)} member {number}" for number in range(MOST)]
        self._held = ExitStack()
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._lease = self._seated()

    def share(self) -> Share:
        """Return which share of the partitions is this member's now."""
        with self._lock:
            try:
                self._workspace.catalog.renew(self._lease, LEASE_SECONDS)
            except StaleWriterError:
                # It slept for so long that another has its place.
                self._held.close()
                self._lease = self._seated()
            there = self._workspace.catalog.held_among(self._names)
        others = [name for name in self._names if name in there or name == self._lease.name]
        return Share(rank=others.index(self._lease.name), count=len(others))

    @contextmanager
    def writing(self, stop: threading.Event) -> Iterator[Lease]:
        """Hold the right to write, for one micro-batch; it is waited for.

        Raises:
            TransientError: Nobody waits any more, and somebody holds it still.
        """
        with self._writing, ExitStack() as held:
            yield self._acquired(held, stop)

    def close(self) -> None:
        """Free the place."""
        self._held.close()

    def _acquired(self, held: ExitStack, stop: threading.Event) -> Lease:
        begun, told = time.monotonic(), False
        while True:
            try:
                return held.enter_context(holding.streams(self._workspace, self._spec))
            except LeaseHeldError as error:
                waited = time.monotonic() - begun
                if stop.is_set() and waited > _PATIENCE:
                    raise TransientError(error.what) from None
                if waited > _SILENT and not told:
                    told = True
                    self._workspace.waiting(f"{error.what}; waiting for it.")
                time.sleep(_AGAIN * _CHANCE.uniform(0.5, 1.5))

    def _seated(self) -> Lease:
        for name in self._names:
            try:
                return self._held.enter_context(leased(self._workspace, name))
            except LeaseHeldError:
                continue
        raise ConfigurationError(
            f"The streams of {self._spec.name!r} are read by {MOST} processes already", remedy="Stop one of them first"
        )
