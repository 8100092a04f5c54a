"""Leases: the right to write, handed on with a fence that only grows."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.catalog import holders
from penstock.catalog.database import Database
from penstock.catalog.moments import from_micros
from penstock.catalog.port import Lease
from penstock.errors import LeaseHeldError, StaleWriterError


class Leases:
    """The table ``leases`` of one database; each change is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def acquire(self, name: str, holder: str, seconds: float) -> Lease:
        """Take a lease; see the port."""
        with self._database.writing() as statements:
            statements.rows(
                "INSERT INTO leases VALUES (?, NULL, 0, 0, 0, 0) ON CONFLICT DO NOTHING",
                (name,),
            )
            now = self._database.now()
            held_by, acquired, expires = statements.rows(
                f"SELECT holder, acquired, expires FROM leases WHERE name = ?{self._database.row_lock}", (name,)
            )[0]
            if held_by is not None and expires > now and not holders.is_dead(held_by):
                raise LeaseHeldError(
                    f"Another run of {name} is at work: {holders.shown(held_by)}, "
                    f"since {from_micros(acquired):%Y-%m-%d %H:%M:%S} UTC",
                    remedy="Wait until it ends; if it is dead on another machine, its lease runs out "
                    f"at {from_micros(expires):%H:%M:%S} UTC",
                )
            until = now + round(seconds * 1e6)
            fence = statements.rows(
                "UPDATE leases SET holder = ?, fence = highest_fence + 1, highest_fence = highest_fence + 1, "
                "acquired = ?, expires = ? WHERE name = ? RETURNING fence",
                (holder, now, until, name),
            )[0][0]
        return Lease(name=name, holder=holder, fence=int(fence), expires=from_micros(until))

    def renew(self, lease: Lease, seconds: float) -> Lease:
        """Prolong a lease; see the port."""
        with self._database.writing() as statements:
            until = self._database.now() + round(seconds * 1e6)
            kept = statements.rows(
                "UPDATE leases SET expires = ? WHERE name = ? AND holder = ? AND fence = ? RETURNING fence",
                (until, lease.name, lease.holder, lease.fence),
            )
        if not kept:
            raise StaleWriterError(
                f"The lease of {lease.name} (fence {lease.fence}) was taken over by another run",
                remedy="This run stops; penstock runs shows its successor",
            )
        return Lease(name=lease.name, holder=lease.holder, fence=lease.fence, expires=from_micros(until))

    def release(self, lease: Lease) -> None:
        """Give a lease back; see the port."""
        with self._database.writing() as statements:
            statements.rows(
                "UPDATE leases SET holder = NULL WHERE name = ? AND holder = ? AND fence = ?",
                (lease.name, lease.holder, lease.fence),
            )

    def held(self, name: str) -> bool:
        """Say whether somebody holds it; see the port."""
        with self._database.reading() as statements:
            rows = statements.rows("SELECT holder, expires FROM leases WHERE name = ? AND holder IS NOT NULL", (name,))
        return any(expires > self._database.now() and not holders.is_dead(holder) for holder, expires in rows)

    def held_among(self, names: Sequence[str]) -> set[str]:
        """Return those that somebody holds; see the port."""
        marks = ", ".join("?" * len(names))
        with self._database.reading() as statements:
            rows = statements.rows(
                f"SELECT name, holder, expires FROM leases WHERE name IN ({marks}) AND holder IS NOT NULL", tuple(names)
            )
        now = self._database.now()
        return {name for name, holder, expires in rows if expires > now and not holders.is_dead(holder)}

    def raise_fence(self, name: str, fence: int) -> None:
        """Lift the highest fence that was given; see the port. A present holder keeps its lease."""
        with self._database.writing() as statements:
            statements.rows(
                "INSERT INTO leases VALUES (?, NULL, 0, ?, 0, 0) ON CONFLICT (name) DO UPDATE SET highest_fence = "
                "CASE WHEN leases.highest_fence < excluded.highest_fence "
                "THEN excluded.highest_fence ELSE leases.highest_fence END",
                (name, fence),
            )
