"""What was committed since the last reading, told by the transactions of PostgreSQL instead of by time.

Every row version carries the transaction that wrote it (``xmin``). A version that a snapshot did not show was written
by a transaction at or above the ``xmin`` of that snapshot: the oldest one that was at work then, in any session,
prepared or not; its subtransactions have greater numbers still. So the next reading takes what that number or a greater
one wrote: a little too much (landing drops what it has), never too little, whatever the rows say of time.

``age(xmin)`` compares the 32 bits of a row modulo 2^32. Freezing a row sets a flag and leaves them as they are (since
9.4); a frozen row over 2^32 transactions old may look new and is read once more. Past ``MOST_AGE`` all is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock.errors import ConfigurationError
from penstock.values import dataclass

MOST_AGE = 2_000_000_000
"""Transactions after which the numbers of rows can no longer be told apart, with room before 2^31."""

_SNAPSHOT = """
SELECT pg_snapshot_xmin(pg_current_snapshot())::text::int8, pg_snapshot_xmax(pg_current_snapshot())::text::int8,
       (SELECT oid::int8 FROM pg_database WHERE datname = current_database()),
       has_function_privilege('pg_control_system()', 'EXECUTE')
       AND has_function_privilege('pg_control_checkpoint()', 'EXECUTE')
"""
_SERVER = """
SELECT (SELECT system_identifier FROM pg_control_system())::text,
       CASE WHEN pg_is_in_recovery() THEN (SELECT timeline_id FROM pg_control_checkpoint())::int8
            ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int8 END
"""
_TABLES = """
WITH RECURSIVE part(oid) AS (
    SELECT %s::regclass::oid UNION SELECT i.inhrelid FROM pg_inherits i JOIN part p ON i.inhparent = p.oid
) SELECT c.oid::int8, c.relkind::text FROM part JOIN pg_class c ON c.oid = part.oid ORDER BY 1
"""
_KINDS = {"v": "a view", "f": "a foreign table", "m": "a materialized view"}
_FIRST_VERSION = 130_000


@dataclass(frozen=True, slots=True)
class Horizon:
    """The moment of a reading in transactions.

    Attributes:
        transaction: The oldest transaction that was at work, 64 bits.
        following: The transaction that was to begin next.
        server: Which history the numbers belong to: cluster, timeline and database.
        tables: The table and its partitions, by their numbers in the catalog.
    """

    transaction: int
    following: int
    server: str
    tables: tuple[int, ...]

    def position(self) -> Mapping[str, Any]:
        """Return what the next reading needs, as JSON."""
        return {"transaction": self.transaction, "server": self.server, "tables": list(self.tables)}

    def since(self, former: Mapping[str, Any] | None) -> Unseen:
        """Return which row versions a former reading cannot have seen.

        Args:
            former: Its ``position()``; None where it left none.
        """
        if former is None:
            return Unseen(why="the last reading left no horizon")
        if former["server"] != self.server:
            return Unseen(why="the server is another one, was restored or was failed over to")
        if self.following < former["transaction"]:
            return Unseen(why="the server has gone back in time")
        if self.following - former["transaction"] > MOST_AGE:
            return Unseen(why=f"over {MOST_AGE:,} transactions were begun since the last reading")
        known = set(former["tables"])
        if not known & set(self.tables):
            return Unseen(why="the table was made anew or exchanged")
        recent = f"age(xmin) BETWEEN 0 AND age('{former['transaction'] % 2**32}'::xid)"
        added = [str(number) for number in self.tables if number not in known]
        if not added:
            return Unseen(recent)
        return Unseen(recent, f"tableoid IN ({', '.join(added)})", f"{len(added)} partitions are new")


@dataclass(frozen=True, slots=True)
class Unseen:
    """Row versions that a former reading cannot have seen.

    Attributes:
        recent: Their condition by transactions; empty: all must be read.
        whole: The condition of partitions that must be read whole, as their rows may be older than their place here.
        why: Why more is read than usual; empty: it is not.
    """

    recent: str = ""
    whole: str = ""
    why: str = ""


def horizon(connection: Any, relation: str, named: str) -> Horizon:
    """Ask the snapshot of a connection for its horizon.

    Args:
        connection: A psycopg connection within its transaction.
        relation: The table, quoted.
        named: The table, for messages.

    Raises:
        ConfigurationError: Its rows carry no transactions of this server, or the server is older than version 13.
    """
    if connection.info.server_version < _FIRST_VERSION:
        raise ConfigurationError(
            f"The horizon of {named} cannot be told by this server",
            value=connection.info.server_version // 10_000,
            valid="PostgreSQL 13 or later",
            remedy="Drop horizon, and give the source a lag as long as its longest transaction",
        )
    found = () if relation.startswith("(") else connection.execute(_TABLES.encode(), (relation,)).fetchall()
    kinds = {kind for _, kind in found} & _KINDS.keys()
    if kinds or not found:
        raise ConfigurationError(
            f"{named} has no horizon: its rows carry no transactions",
            value=_KINDS[kinds.pop()] if kinds else "a query",
            valid="a table, partitioned or not",
            remedy="Name the table itself, or drop horizon and give a lag as long as its longest transaction",
        )
    transaction, following, database, may = connection.execute(_SNAPSHOT).fetchone()
    cluster, timeline = connection.execute(_SERVER).fetchone() if may else ("unknown", 0)
    tables = tuple(number for number, _ in found)
    return Horizon(transaction, following, f"{cluster}/{timeline}/{database}", tables)
