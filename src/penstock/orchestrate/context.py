"""What all steps of one run share: the places, the lease, the receipts so far."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import field

from penstock.catalog.holders import this_process
from penstock.catalog.port import Lease
from penstock.errors import PenstockError
from penstock.model.entries import Entry
from penstock.model.events import Advance, StepAdvanced, StepFinished, StepStarted
from penstock.model.receipts import State, StepReceipt
from penstock.model.specs import PipelineSpec
from penstock.orchestrate.ledger import Ledger
from penstock.orchestrate.workspace import Workspace
from penstock.values import dataclass

LEASE_SECONDS = 60.0
PRODUCTION = "(production)"
"""Name of the lease of promotion and rollback; no pipeline can have it."""
CARE = "(care of the lake)"
"""Name of the lease of compaction and vacuum: one of them at a time."""


def dataset_lease(name: str) -> str:
    """Return the name of the lease under which a training set is built."""
    return f"(training set {name})"


@dataclass(kw_only=True)
class RunContext:
    """One run at work.

    Attributes:
        workspace: The places.
        spec: The pipeline.
        run: The run's id.
        lease: The right to write.
        ledger: What is known; only the run's own thread changes it.
        steps: Receipts in order of their end.
        errors: What went wrong and did not end the run.
        applied: Lake table to the numbers that the warehouse is known to hold.
        counted: Sources by interval of which it was told how many rows are in none.
        readers: How many sources may be read at the same time; 0: as many as the workspace says.
        kept: Fingerprints of code whose text this run has kept.
        unindexed: Versions that stand in the lake and not yet in the catalog; see ``index``.
        interrupted: Set once the run is to end: threads that read leave at the next rows.
    """

    workspace: Workspace
    spec: PipelineSpec
    run: str
    lease: Lease
    ledger: Ledger
    steps: list[StepReceipt] = field(default_factory=list)
    errors: list[PenstockError] = field(default_factory=list)
    applied: dict[str, set[int]] = field(default_factory=dict)
    counted: set[str] = field(default_factory=set)
    readers: int = 0
    kept: set[str] = field(default_factory=set)
    unindexed: list[Entry] = field(default_factory=list)
    interrupted: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._turns: dict[str, threading.RLock] = {}

    @property
    def fence(self) -> int:
        """Return the fencing token that every commit carries."""
        return self.lease.fence

    def hold(self) -> None:
        """Prolong the lease before anything is written below the raw zone.

        A process that was asleep meanwhile learns here that a successor has taken over, and stops.

        Raises:
            StaleWriterError: The lease is another's.
        """
        self.workspace.catalog.renew(self.lease, LEASE_SECONDS)

    def index(self) -> None:
        """Bring the catalog up to the lake, in one transaction for all versions that were made meanwhile."""
        made, self.unindexed = self.unindexed, []
        self.workspace.catalog.index(made)

    def turn(self, table: str) -> threading.RLock:
        """Return what is held while an entry of a lake table is committed: intervals may land at the same time."""
        with self._lock:
            return self._turns.setdefault(table, threading.RLock())

    def finished(self, receipt: StepReceipt) -> None:
        """Keep a receipt and tell the observer."""
        with self._lock:
            self.steps.append(receipt)
        self.workspace.observer(StepFinished(receipt=receipt))

    def advance(self, step: str) -> Advance:
        """Return the callback by which a stage reports progress of a step; it ends the stage of an interrupted run."""

        def forward(rows: int, size: int) -> None:
            if self.interrupted.is_set():
                raise KeyboardInterrupt
            self.workspace.observer(StepAdvanced(step=step, rows=rows, bytes=size))

        return forward

    def started(self, step: str, table: str) -> float:
        """Tell the observer that a step begins; returns the clock for ``seconds``."""
        self.workspace.observer(StepStarted(step=step, table=table))
        return time.monotonic()


@contextmanager
def leased(workspace: Workspace, name: str, *, committed: int = 0) -> Iterator[Lease]:
    """Hold a lease, prolonged in the background, given back at the end.

    Args:
        workspace: The places.
        name: What may be written: a pipeline's name, or ``PRODUCTION``.
        committed: The greatest fence under which something was committed; a catalog that was lost may be behind it.

    Raises:
        LeaseHeldError: Another run holds it.
    """
    workspace.catalog.raise_fence(name, committed)
    lease = workspace.catalog.acquire(name, this_process(), LEASE_SECONDS)
    stop = threading.Event()
    keeper = threading.Thread(target=_keep, args=(workspace, lease, stop), daemon=True, name="lease")
    keeper.start()
    try:
        yield lease
    finally:
        stop.set()
        keeper.join()
        workspace.catalog.release(lease)


def _keep(workspace: Workspace, lease: Lease, stop: threading.Event) -> None:
    # A lost lease needs no alarm here: the next commit is refused by its fence.
    while not stop.wait(LEASE_SECONDS / 4):
        try:
            workspace.catalog.renew(lease, LEASE_SECONDS)
        except PenstockError:
            return


def failed(step: str, table: str, seconds: float, error: PenstockError) -> StepReceipt:
    """Return the receipt of a step that raised."""
    return StepReceipt(step=step, table=table, state=State.FAILED, seconds=seconds, notes=(error.sentence(),))
