"""The ports of the catalog: an index over the lake, and the only home of leases and progress.

Everything but leases and the running state can be rebuilt from the lakes' manifests, decisions and runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from penstock.model.entries import Entry, EntryKind, Verdict
from penstock.model.interval import Interval
from penstock.model.queries import ParsedQuery
from penstock.model.receipts import RunReceipt, StepReceipt
from penstock.model.releases import Candidate, Decision, Release
from penstock.model.specs import SourceTable
from penstock.values import dataclass

if TYPE_CHECKING:
    from penstock.catalog.alerts import AlertBook
    from penstock.catalog.schedules import Schedules


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadRecord:
    """A load with what became of it: ``verdict`` None means that checking has not ended."""

    entry: Entry
    verdict: Verdict | None
    verdict_entry: Entry | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to write for one pipeline until ``expires``; ``fence`` grows with every holder."""

    name: str
    holder: str
    fence: int
    expires: datetime


class CatalogReader(Protocol):
    """Questions. Environments are ``staging`` and ``production``."""

    def head(self, table: str) -> int:
        """Return the number of the newest staging entry that is indexed; 0 for none."""
        ...

    def entries(self, table: str, kind: EntryKind | None = None, limit: int | None = None) -> tuple[Entry, ...]:
        """Return indexed entries, newest first."""
        ...

    def loads(self, table: str, verdict: Verdict | None = None, limit: int | None = None) -> tuple[LoadRecord, ...]:
        """Return the loads of a raw table, newest first, all or those with one verdict."""
        ...

    def pending(self, table: str) -> tuple[LoadRecord, ...]:
        """Return loads without a verdict, oldest first."""
        ...

    def standing(self, table: str) -> tuple[tuple[int, Verdict | None, bool], ...]:
        """Return number, verdict and whether it is superseded of each load of a raw table, oldest first."""
        ...

    def loads_of(self, table: str, numbers: Sequence[int]) -> tuple[LoadRecord, ...]:
        """Return those loads of a raw table that have one of these numbers, oldest first."""
        ...

    def moved(self, table: str, after: int) -> tuple[int, ...]:
        """Return the loads that entries with a number greater than ``after`` brought or judged, ascending."""
        ...

    def newest_accepted(self, table: str) -> Entry | None:
        """Return the newest accepted load that carries a position: where extraction resumes."""
        ...

    def intervals_done(self, table: str) -> tuple[Interval, ...]:
        """Return the intervals of accepted loads (or versions) that no later entry superseded, sorted."""
        ...

    def tables(self) -> tuple[str, ...]:
        """Return the indexed staging tables, sorted."""
        ...

    def unchanged(self, table: str) -> tuple[StepReceipt, ...]:
        """Return the steps of runs that found a transform's result equal to a version, oldest first.

        These are the steps with state ``unchanged`` and a fingerprint; ``put_run`` indexes them.
        """
        ...

    def runs(self, pipeline: str | None = None, limit: int | None = 50) -> tuple[RunReceipt, ...]:
        """Return runs, newest first."""
        ...

    def run(self, id: str) -> RunReceipt:  # noqa: A002 - it is what a run calls it
        """Return one run; raises NotFoundError. A unique beginning of the id suffices."""
        ...

    def decisions(self, subject: str | None = None, limit: int | None = None) -> tuple[Decision, ...]:
        """Return decisions, newest first."""
        ...

    def candidates(self, pipeline: str | None = None) -> tuple[Candidate, ...]:
        """Return candidates, newest first."""
        ...

    def releases(self) -> tuple[Release, ...]:
        """Return production's releases, newest first."""
        ...

    def schema(self, connection: str) -> tuple[SourceTable, ...]:
        """Return the tables that the database of a connection was last found to have; empty if it was never asked."""
        ...

    def queries(self, pipeline: str) -> Mapping[str, ParsedQuery]:
        """Return the parsed queries of a pipeline by the digest of their text."""
        ...


class Catalog(CatalogReader, Protocol):
    """Questions and changes. Only ``orchestrate`` and ``project`` hold one."""

    @property
    def alerts(self) -> AlertBook:
        """The state of alerts; may be lost, like leases."""
        ...

    @property
    def schedules(self) -> Schedules:
        """Schedules and their firings."""
        ...

    def index(self, entries: Sequence[Entry]) -> None:
        """Add entries of staging tables; quiet about those it has."""
        ...

    def put_schema(self, connection: str, tables: Sequence[SourceTable]) -> None:
        """Remember the tables that the database of a connection has; may be lost, for it can be asked again."""
        ...

    def put_queries(self, pipeline: str, parsed: Mapping[str, ParsedQuery]) -> None:
        """Remember the parsed queries of a pipeline in the place of all before; may be lost."""
        ...

    def put_run(self, run: RunReceipt) -> None:
        """Insert or update a run."""
        ...

    def drop_run(self, id: str) -> None:  # noqa: A002
        """Forget a run that found nothing to do; quiet if it is not there."""
        ...

    def put_decision(self, decision: Decision) -> None:
        """Index a decision that stands in the lake; quiet if it has it."""
        ...

    def put_candidate(self, candidate: Candidate) -> None:
        """Index a candidate; quiet if it has it."""
        ...

    def put_release(self, release: Release) -> None:
        """Index a release; quiet if it has it."""
        ...

    def acquire(self, name: str, holder: str, seconds: float) -> Lease:
        """Take the lease if it is free, expired, or its holder is a dead process of this machine.

        Raises:
            LeaseHeldError: Somebody holds it; the sentence says who and since when.
        """
        ...

    def renew(self, lease: Lease, seconds: float) -> Lease:
        """Prolong a lease; raises StaleWriterError if somebody took it over."""
        ...

    def release(self, lease: Lease) -> None:
        """Give a lease back; quiet if it is not held any more."""
        ...

    def held(self, name: str) -> bool:
        """Say whether somebody holds a lease: it has not run out, and its holder is not known to be dead."""
        ...

    def held_among(self, names: Sequence[str]) -> set[str]:
        """Return those of several leases that somebody holds, as ``held`` says it."""
        ...

    def raise_fence(self, name: str, fence: int) -> None:
        """Make sure that the next lease gets a fence greater than ``fence`` (after a rebuild)."""
        ...

    def clear(self) -> None:
        """Forget everything but leases (before a rebuild)."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...
