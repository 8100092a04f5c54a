"""The swap: all views of a release change in one transaction, and no reader waits longer than a short limit.

A reader holds a weak lock on each view of its transaction, so views are replaced between readers. Whoever waits for
such a lock holds up all who come later; so the swap first looks, holding nothing, until there is a moment without
readers, and then waits for a lock for milliseconds only. Where such a moment does not come, it queues for longer and
longer, but before half of its patience is gone not behind somebody who has been reading for longer than that. From its
first lock to its end an attempt has ``lock_timeout`` seconds (the server counts them); then it gives everything back.
Looking, locking and the end are one message: nothing travels over the network while locks are held.
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
from penstock.values import dataclass

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
_SHORTEST_LOCK = 0.003
"""Seconds to wait for a lock that nobody was seen holding, and in the queue at first: readers hardly notice."""
_BETWEEN = 20
"""How many times as long as one stands in the queue nobody is held up before that."""
_LONGEST_BETWEEN = 5.0
_LOOKS = (0.1, 0.5)
"""Seconds that an attempt looks for a moment without readers: at least, and at most, as views may change meanwhile."""
_LOOK_EVERY = (0.001, 0.02)
"""Seconds between two looks: in the beginning, and after a long wait."""
_STAYS = "PEN01"
"""SQLSTATE of an attempt that did not stand in the queue."""
_LOOKING = """DO {tag} DECLARE
    penstock_first text[]; penstock_held text[];
    penstock_began timestamptz := clock_timestamp(); penstock_asked timestamptz;
BEGIN LOOP
    penstock_asked := clock_timestamp();
    SELECT array_agg(l.virtualtransaction) INTO penstock_held FROM pg_locks l WHERE l.locktype = 'relation'
        AND l.relation = ANY('{{{oids}}}'::oid[]) AND l.pid IS DISTINCT FROM pg_backend_pid()
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database());
    EXIT WHEN penstock_held IS NULL;
    penstock_first := coalesce(penstock_first, penstock_held);
    IF clock_timestamp() > penstock_began + interval '{look:.3f} s' THEN
        IF {queue} = 0 OR (penstock_held && penstock_first AND NOT {insisting}) THEN
            RAISE EXCEPTION 'the views are read' USING ERRCODE = '{stays}';
        END IF;
        PERFORM set_config('lock_timeout', '{queue}', true);
        EXIT;
    END IF;
    -- On a server with many locks a look costs more: a tenth of the time at most goes to looking.
    PERFORM pg_sleep(greatest({every:.3f}, 9 * extract(epoch FROM clock_timestamp() - penstock_asked)));
END LOOP; END {tag}"""
_HOLDERS = """
SELECT a.pid, a.usename::text, to_char(a.xact_start AT TIME ZONE 'UTC', 'HH24:MI:SS')
FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'relation' AND l.granted AND l.relation::int8 = ANY(%s) AND l.pid IS DISTINCT FROM pg_backend_pid()
AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
GROUP BY 1, 2, 3 ORDER BY 3 NULLS LAST, 1
"""


@dataclass(frozen=True, slots=True)
class _Turn:
    """How an attempt goes about it.

    Attributes:
        look: Seconds that it looks for a moment without readers.
        every: Seconds between two looks.
        queue: Seconds that it waits for a view where there was no such moment; 0 if it is not to.
        insisting: Whether it waits even for those who were there all the time.
    """

    look: float
    every: float
    queue: float
    insisting: bool


class _Queueing:
    """Decides how each attempt goes about it: the longer it takes, the longer readers may be held up.

    Args:
        limit: Seconds that an attempt may hold anybody up.
        patience: Seconds that all attempts have.
    """

    def __init__(self, limit: float, patience: float) -> None:
        self._limit = limit
        self._patience = patience
        self._queue = _SHORTEST_LOCK
        self._due = 0.0

    def next(self, waited: float) -> _Turn:
        """Return how the next attempt goes about it, after so many seconds."""
        shortest, longest = _LOOKS
        look = min(max(shortest, waited / 10), longest)
        every = min(max(_LOOK_EVERY[0], waited / 500), _LOOK_EVERY[1])
        insisting = 0 < self._patience <= 2 * waited
        queue = self._limit if insisting else min(self._queue, look, self._limit)
        return _Turn(look, every, queue if waited >= self._due else 0.0, insisting)

    def failed(self, waited: float, turn: _Turn) -> None:
        """Wait longer in the queue next time, and leave readers alone before that."""
        held_up = turn.queue or _SHORTEST_LOCK
        # Jitter keeps the attempts out of step with a dashboard that asks every few seconds.
        pause = min(_BETWEEN * held_up, _LONGEST_BETWEEN) * random.uniform(0.5, 1.0)
        if turn.queue:
            self._queue *= 2
            self._due = waited + pause
        else:
            # A moment without readers was over before it could be used.
            time.sleep(pause)


@dataclass(frozen=True, slots=True)
class Words:
    """What is said of a swap that waits.

    Attributes:
        what: What is put in place.
        standing: What holds until then.
        remedy: Who does it, where this attempt has given up.
    """

    what: str
    standing: str
    remedy: str


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

    def run(self, words: Words, plan: Callable[[], Swap], record: Sequence[str]) -> None:
        """Do what a plan says, and record it, in one transaction.

        Args:
            words: What is said where it waits.
            plan: Returns what is to be done; called before every attempt.
            record: Statements that are carried out with it.

        Raises:
            TransientError: Readers held the views all the time; nothing has changed, and no reader waits any more.
        """
        began, attempt = time.monotonic(), 0
        limit = min(self._spec.lock_timeout, _BELOW_DEADLOCK * self._deadlock_timeout())
        queueing = _Queueing(limit, self._patience)
        while True:
            swap = plan()
            attempt += 1
            # What no reader reads comes first, so that the locks are held for less.
            turn = queueing.next(time.monotonic() - began)
            failed = self._attempted(swap.oids, [*record, *swap.statements], limit, turn)
            if failed is None:
                return
            if failed != _STAYS:
                queueing.failed(time.monotonic() - began, turn)
            holders = self._holders(swap.oids) or (
                f"nobody who still does (to replace {len(swap.oids)} views may itself take longer than {limit:g} s: "
                "raise lock_timeout)"
            )
            waited = time.monotonic() - began
            if waited >= self._patience:
                tries = "1 attempt" if attempt == 1 else f"{attempt} attempts"
                raise TransientError(
                    f"{words.what} {words.standing}. Its views were held over {tries} in {waited:.0f} s by {holders}",
                    remedy=f"Let that session end; {words.remedy}",
                )
            if self._tell is not None and waited >= min(1.0, self._patience / 4):
                self._tell(
                    f"{words.what} waits for {holders}, who reads what it replaces in {self._spec.shown}; "
                    f"{self._patience:g} s at most. New readers are not held up longer than {limit:g} s."
                )
                self._tell = None

    def _deadlock_timeout(self) -> float:
        found = self._connection.execute(
            "SELECT setting::float8 / 1000 FROM pg_settings WHERE name = 'deadlock_timeout'"
        ).fetchone()
        return float(found[0]) if found else 1.0

    def _attempted(self, oids: Sequence[int], statements: Sequence[str], limit: float, turn: _Turn) -> str | None:
        """Carry the statements out as one; return the SQLSTATE where somebody held a view for too long.

        Args:
            oids: The views that they lock.
            statements: The statements.
            limit: Seconds that all of them may take.
            turn: How long to look, and to wait for one view.
        """
        import psycopg

        tag = f"$penstock_{secrets.token_hex(8)}$"
        body = ";\n".join(statements)
        looking = _LOOKING.format(
            tag=tag,
            oids=",".join(map(str, oids)),
            look=turn.look,
            queue=_milliseconds(turn.queue) if turn.queue else 0,
            insisting=turn.insisting,
            stays=_STAYS,
            every=turn.every,
        )
        try:
            # The end comes in the same message, so that no lock is held over a way to the server and back.
            self._connection.execute(
                f"BEGIN; SET LOCAL lock_timeout = {_milliseconds(_SHORTEST_LOCK)}; {looking}; "
                f"SET LOCAL statement_timeout = {_milliseconds(limit * (1 - _TO_GIVE_BACK))}; "
                f"DO {tag} DECLARE penstock_given record; BEGIN\n{body};\nEND {tag}; COMMIT".encode()
            )
        except psycopg.Error as error:
            if self._connection.closed or self._connection.broken:
                raise explain(error, self._spec) from None
            self._connection.execute("ROLLBACK")
            if error.sqlstate in (*_HELD, _STAYS):
                return error.sqlstate
            raise explain(error, self._spec) from None
        return None

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


def _milliseconds(seconds: float) -> int:
    return max(1, int(seconds * 1000))
