"""The swap: all views of a release change in one transaction, and no reader waits longer than a short limit.

A reader holds a weak lock on each view of its transaction, so views are replaced between readers. While the swap waits
for one of them, others queue behind it; so one attempt, from its first lock to its end, has ``lock_timeout`` seconds
(the server counts them), then gives everything back and tries again later. The first attempts wait much shorter. An
attempt is one statement: nothing travels over the network while locks are held.
"""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from penstock.errors import TransientError
from penstock.model.production import PostgresSpec
from penstock.stores.filelock import Tell
from penstock.stores.postgres.connecting import explain
from penstock.stores.postgres.views import Swap

if TYPE_CHECKING:
    import psycopg

_HELD = ("55P03", "57014", "40P01", "40001")
"""SQLSTATEs of an attempt that came too late: lock or statement timeout, deadlock, serialization."""
_BELOW_DEADLOCK = 0.8
"""Part of the server's ``deadlock_timeout`` that an attempt may take.

The swap holds views and waits for others; a reader may hold those and wait for the first. Whoever has waited for
``deadlock_timeout`` looks for such a ring, and ends itself: so the swap must be gone before any reader looks.
"""
_TO_GIVE_BACK = 0.1
"""Part of the limit that is kept for giving the locks back: readers wait for that, too."""
_SHORTEST_LOCK = 0.02
"""Seconds that the first attempts wait for a lock."""
_PAUSES = 4
"""How many times as long as that the pause after an attempt is, in the beginning."""
_LONGEST_PAUSE = 5.0
_HOLDERS = """
SELECT a.pid, a.usename::text, to_char(a.xact_start AT TIME ZONE 'UTC', 'HH24:MI:SS')
FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'relation' AND l.granted AND l.relation::int8 = ANY(%s) AND l.pid IS DISTINCT FROM pg_backend_pid()
AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
GROUP BY 1, 2, 3 ORDER BY 3 NULLS LAST, 1
"""


class Swapping:
    """Attempts a swap until it is done or the time is over.

    Args:
        connection: In autocommit mode.
        spec: The warehouse.
        patience: Seconds after which to give up; at least one attempt is made.
        tell: Told once, after a second, who is waited for.
    """

    def __init__(
        self, connection: psycopg.Connection[Any], spec: PostgresSpec, patience: float, tell: Tell | None
    ) -> None:
        self._connection = connection
        self._spec = spec
        self._patience = patience
        self._tell = tell

    def run(self, number: int, plan: Callable[[], Swap], record: Sequence[str]) -> None:
        """Do what a plan says, and record it, in one transaction.

        Args:
            number: The release.
            plan: Returns what is to be done; called before every attempt.
            record: Statements that are carried out with it.

        Raises:
            TransientError: Readers held the views all the time; nothing has changed, and no reader waits any more.
        """
        began, attempt = time.monotonic(), 0
        limit = min(self._spec.lock_timeout, _BELOW_DEADLOCK * self._deadlock_timeout())
        while True:
            swap = plan()
            # Most readers are gone in a moment: to wait longer for a lock, others behind, comes after many short tries.
            lock = min(limit, _SHORTEST_LOCK * 2 ** min(attempt // 2, 20)) if self._patience else limit
            attempt += 1
            if self._attempted([*swap.statements, *record], limit, lock):
                return
            holders = self._holders(swap.oids) or (
                f"nobody who still does (to replace {len(swap.oids)} views may itself take longer than {limit:g} s: "
                "raise lock_timeout)"
            )
            waited = time.monotonic() - began
            if waited >= self._patience:
                tries = "1 attempt" if attempt == 1 else f"{attempt} attempts"
                raise TransientError(
                    f"Release {number} is committed, but {self._spec.shown} still serves the one before. Its views "
                    f"were held over {tries} in {waited:.0f} s by {holders}",
                    remedy="Let that session end; the next penstock promote, diff or doctor puts the release in place",
                )
            if self._tell is not None and waited >= min(1.0, self._patience / 4):
                self._tell(
                    f"Release {number} waits for {holders}, who reads what it replaces in {self._spec.shown}; "
                    f"{self._patience:g} s at most. New readers are not held up longer than {limit:g} s."
                )
                self._tell = None
            # Jitter keeps the attempts out of step with a dashboard that asks every few seconds.
            pause = min(lock * _PAUSES * (1 + attempt / 10), _LONGEST_PAUSE) * random.uniform(0.5, 1.0)
            time.sleep(max(0.0, min(pause, self._patience - waited)))

    def _deadlock_timeout(self) -> float:
        found = self._connection.execute(
            "SELECT setting::float8 / 1000 FROM pg_settings WHERE name = 'deadlock_timeout'"
        ).fetchone()
        return float(found[0]) if found else 1.0

    def _attempted(self, statements: Sequence[str], limit: float, lock: float) -> bool:
        """Carry the statements out as one; False where somebody held a view for too long.

        Args:
            statements: The statements.
            limit: Seconds that all of them may take.
            lock: Seconds that they may wait for one view.
        """
        import psycopg

        tag = f"$penstock_{secrets.token_hex(8)}$"
        body = ";\n".join(statements)
        whole, each = (max(1, int(seconds * 1000)) for seconds in (limit * (1 - _TO_GIVE_BACK), lock))
        try:
            self._connection.execute(
                f"BEGIN; SET LOCAL lock_timeout = {each}; SET LOCAL statement_timeout = {whole}".encode()
            )
            # The end comes in the same message, so that no lock is held over a way to the server and back.
            self._connection.execute(
                f"DO {tag} DECLARE penstock_given record; BEGIN\n{body};\nEND {tag}; COMMIT".encode()
            )
        except psycopg.Error as error:
            if self._connection.closed or self._connection.broken:
                raise explain(error, self._spec) from None
            self._connection.execute("ROLLBACK")
            if error.sqlstate in _HELD:
                return False
            raise explain(error, self._spec) from None
        return True

    def _holders(self, oids: Sequence[int]) -> str:
        """Return who holds the views, as words: process, user, since when; never what they ask. Empty for nobody."""
        found = self._connection.execute(_HOLDERS, (list(oids),)).fetchall()
        named = [
            "a prepared transaction"
            if pid is None
            else f"session {pid}" + (f" of {user}" if user else "") + (f" since {since} UTC" if since else "")
            for pid, user, since in found[:3]
        ]
        more = len(found) - len(named)
        return ", ".join(named) + (f" and {more} more" if more > 0 else "")
