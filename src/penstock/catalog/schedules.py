"""Schedules in the catalog: how far each pipeline is settled, its firings, and who holds which lease.

Whoever schedules holds the lease ``SCHEDULER``; each of its writes is one transaction that first sees whether its fence
still stands. A firing is changed only from the attempt that the writer knows, so that what an earlier attempt says
afterwards does not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from penstock.catalog import holders
from penstock.catalog.database import Database, Statements
from penstock.catalog.moments import from_micros, to_micros
from penstock.catalog.port import Lease
from penstock.errors import NotFoundError, StaleWriterError
from penstock.model.codec import decode, encode
from penstock.model.firings import ACTIVE, Firing, Standing

SCHEDULER = "(scheduler)"
"""Name of the lease of whoever carries out schedules; no pipeline can have it."""
KEPT = 1000
"""Ended firings that are kept of each pipeline."""


def firing_lease(pipeline: str) -> str:
    """Return the name of the lease under which a firing of a pipeline is worked on."""
    return f"(firing of {pipeline})"


class Schedules:
    """The tables ``schedules`` and ``firings`` of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # Questions

    def standings(self) -> dict[str, Standing]:
        """Return how each pipeline stands that was ever scheduled."""
        rows = self._rows("SELECT body FROM schedules")
        found = (decode(Standing, bytes(row[0]), where="A schedule in the catalog") for row in rows)
        return {each.pipeline: each for each in found}

    def changes(self, since: int) -> tuple[int, tuple[Firing, ...]]:
        """Return the firings that were written after a revision, and the newest revision."""
        rows = self._rows("SELECT revision, body FROM firings WHERE revision > ? ORDER BY revision", (since,))
        return (int(rows[-1][0]) if rows else since), tuple(_firing(row[1]) for row in rows)

    def firings(self, pipeline: str | None = None, limit: int = 20) -> tuple[Firing, ...]:
        """Return the newest firings, newest first."""
        chosen = ("", ()) if pipeline is None else (" WHERE pipeline = ?", (pipeline,))
        rows = self._rows(f"SELECT body FROM firings{chosen[0]} ORDER BY id DESC LIMIT ?", (*chosen[1], limit))
        return tuple(_firing(row[0]) for row in rows)

    def firing(self, id: str) -> Firing:  # noqa: A002 - it is what a firing calls it
        """Return one firing; raises NotFoundError."""
        rows = self._rows("SELECT body FROM firings WHERE id = ?", (id,))
        if not rows:
            raise NotFoundError(f"There is no firing {id}", remedy="penstock schedule lists them")
        return _firing(rows[0][0])

    def held(self) -> dict[str, Lease]:
        """Return the leases that somebody holds who may be alive, by name."""
        now = self._database.now()
        rows = self._rows("SELECT name, holder, fence, expires FROM leases WHERE holder IS NOT NULL")
        return {
            name: Lease(name=name, holder=holder, fence=int(fence), expires=from_micros(expires))
            for name, holder, fence, expires in rows
            if expires > now and not holders.is_dead(holder)
        }

    # What the scheduler writes

    def register(self, lease: Lease, standing: Standing) -> None:
        """Write how a pipeline stands that was never scheduled; quiet if it was."""
        with self._database.writing() as statements:
            _refuse_stale(statements, lease)
            if _standing(statements, standing.pipeline) is None:
                _put(statements, standing)

    def watch(self, lease: Lease, pipelines: Iterable[str], at: datetime) -> None:
        """Write that somebody looks at pipelines; a paused one is looked at by nobody."""
        with self._database.writing() as statements:
            _refuse_stale(statements, lease)
            for pipeline in pipelines:
                standing = _standing(statements, pipeline)
                if standing is not None and standing.paused is None:
                    _put(statements, replace(standing, watched=at))

    def fire(self, lease: Lease, firings: Sequence[Firing], settled: datetime | None = None) -> None:
        """Write new firings of one pipeline, and up to which moment they settle it, in one transaction."""
        with self._database.writing() as statements:
            _refuse_stale(statements, lease)
            for firing in firings:
                _insert(statements, firing)
            if settled is not None:
                standing = _standing(statements, firings[0].pipeline)
                assert standing is not None
                _put(statements, replace(standing, settled=max(settled, standing.settled)))

    def change(self, lease: Lease, before: Firing, after: Firing) -> bool:
        """Change a firing unless somebody else has changed it meanwhile; says whether it did."""
        with self._database.writing() as statements:
            _refuse_stale(statements, lease)
            return _update(statements, before, after)

    def prune(self, lease: Lease, pipeline: str) -> None:
        """Forget the oldest firings that ended."""
        with self._database.writing() as statements:
            _refuse_stale(statements, lease)
            last = statements.rows(
                "SELECT id FROM firings WHERE pipeline = ? AND active = 0 ORDER BY id DESC LIMIT 1 OFFSET ?",
                (pipeline, KEPT),
            )
            if last:
                statements.rows(
                    "DELETE FROM firings WHERE pipeline = ? AND active = 0 AND id <= ?", (pipeline, last[0][0])
                )

    # What the process of a run and people write

    def report(self, before: Firing, after: Firing) -> bool:
        """Change a firing as its own process does: unless a later attempt was begun; says whether it did."""
        with self._database.writing() as statements:
            return _update(statements, before, after)

    def ask(self, firing: Firing) -> None:
        """Write a firing that a person asks for."""
        with self._database.writing() as statements:
            _insert(statements, firing)

    def pause(self, fresh: Standing, at: datetime, by: str) -> None:
        """Have nothing of a pipeline begun; quiet if it is paused. ``fresh`` is written if it never was scheduled."""
        with self._database.writing() as statements:
            standing = _standing(statements, fresh.pipeline) or fresh
            if standing.paused is None:
                _put(statements, replace(standing, paused=at, paused_by=by))

    def resume(self, pipeline: str, at: datetime) -> None:
        """Have it begun again. A pipeline settled into the future, by a clock that was wrong, is taken back to now."""
        with self._database.writing() as statements:
            standing = _standing(statements, pipeline)
            if standing is not None:
                _put(statements, replace(standing, paused=None, paused_by="", settled=min(standing.settled, at)))

    def _rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._database.reading() as statements:
            return statements.rows(sql, values)


def _refuse_stale(statements: Statements, lease: Lease) -> None:
    held = statements.rows(
        "SELECT 1 FROM leases WHERE name = ? AND holder = ? AND fence = ?", (lease.name, lease.holder, lease.fence)
    )
    if not held:
        raise StaleWriterError(f"Another scheduler took over from the one with fence {lease.fence}")


def _standing(statements: Statements, pipeline: str) -> Standing | None:
    rows = statements.rows("SELECT body FROM schedules WHERE pipeline = ?", (pipeline,))
    return decode(Standing, bytes(rows[0][0]), where="A schedule in the catalog") if rows else None


def _put(statements: Statements, standing: Standing) -> None:
    statements.rows(
        "INSERT INTO schedules VALUES (?, ?) ON CONFLICT (pipeline) DO UPDATE SET body = excluded.body",
        (standing.pipeline, encode(standing)),
    )


def _insert(statements: Statements, firing: Firing) -> None:
    statements.rows(
        "INSERT INTO firings VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            firing.id,
            firing.pipeline,
            to_micros(firing.due),
            firing.state.value,
            int(firing.state in ACTIVE),
            _revision(statements),
            encode(firing),
        ),
    )


def _update(statements: Statements, before: Firing, after: Firing) -> bool:
    rows = statements.rows("SELECT body FROM firings WHERE id = ?", (before.id,))
    if not rows or _firing(rows[0][0]) != before:
        return False
    statements.rows(
        "UPDATE firings SET state = ?, active = ?, revision = ?, body = ? WHERE id = ?",
        (
            after.state.value,
            int(after.state in ACTIVE),
            _revision(statements),
            encode(after),
            after.id,
        ),
    )
    return True


def _revision(statements: Statements) -> int:
    return int(statements.rows("SELECT coalesce(max(revision), 0) + 1 FROM firings")[0][0])


def _firing(body: Any) -> Firing:
    return decode(Firing, bytes(body), where="A firing in the catalog")
