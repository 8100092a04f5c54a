"""Versions out of rows: which rows open a version, and until when it is valid. See ``history`` for the rules."""

from __future__ import annotations

from penstock.load.change import Effect
from penstock.load.merge import ROW_ALIAS, TOUCHED, Merging
from penstock.names import CREATED, UPDATED, VALID_FROM, VALID_TO
from penstock.queries.text import identifier, identifiers
from penstock.stores.port import WarehouseTransaction
from penstock.values import dataclass

MOMENT = "_penstock_moment"
"""From when a row counts."""
GONE = "_penstock_gone"
"""Whether a row means deletion."""
RANK = "_penstock_rank"
"""What rows of a key are ordered by."""

_CHANGED = "penstock_load_changed"
_EVENTS = "penstock_load_events"
_CURRENT = "penstock_load_current"
_NEW = "_penstock_new"
_SAYS = "_penstock_says"


@dataclass(frozen=True, slots=True, kw_only=True)
class Versioning:
    """What the making of versions needs to know.

    Attributes:
        transaction: The open transaction.
        table: The warehouse table.
        merging: Its key.
        business: The columns whose change makes a version.
        seen: The new rows, with ``MOMENT``, ``GONE`` and ``RANK``.
        again: All rows of the keys in ``TOUCHED``, likewise.
    """

    transaction: WarehouseTransaction
    table: str
    merging: Merging
    business: tuple[str, ...]
    seen: str
    again: str

    def says(self, row: str) -> str:
        """Return what a row says, as one value that is equal where nothing changed."""
        if not self.business:
            return "0"
        return "{" + ", ".join(f"'c{n}': {row}.{identifier(name)}" for n, name in enumerate(self.business)) + "}"

    def keys(self, row: str) -> str:
        """Return the key columns of a row."""
        return ", ".join(f"{row}.{identifier(name)}" for name in self.merging.key)


def write_versions(work: Versioning) -> Effect:
    """Make the versions of all keys of which something changed, and put them in the place of those that stand."""
    execute, table, same = work.transaction.execute, identifier(work.table), work.merging.same_key
    _find_changed(work)
    execute(
        f"CREATE OR REPLACE TEMP TABLE {_CURRENT} AS SELECT {work.keys('t')} FROM {table} t "
        f"SEMI JOIN {_CHANGED} c ON {same('t', 'c')} WHERE t.{VALID_TO} IS NULL"
    )
    _gather_events(work)
    deleted = execute(
        f"DELETE FROM {table} AS {ROW_ALIAS} WHERE EXISTS (SELECT 1 FROM {_CHANGED} c WHERE {same(ROW_ALIAS, 'c')})"
    )
    inserted = execute(f"INSERT INTO {table} BY NAME {_versions(work)}")
    ended = execute(
        f"SELECT count(*) FROM {_CURRENT} k "
        f"ANTI JOIN (SELECT * FROM {table} WHERE {VALID_TO} IS NULL) t ON {same('k', 't')}"
    )
    return Effect(int(inserted[0][0]), int(deleted[0][0]), int(ended[0][0]))


def _find_changed(work: Versioning) -> None:
    """Find the keys to be looked at: all but those whose new rows just say again what is valid."""
    same, keys = work.merging.same_key, identifiers(work.merging.key)
    work.transaction.execute(
        f"CREATE OR REPLACE TEMP TABLE {_CHANGED} AS SELECT DISTINCT * FROM ("
        f"SELECT {keys} FROM {TOUCHED} UNION ALL "
        f"SELECT {work.keys(ROW_ALIAS)} FROM {work.seen} {ROW_ALIAS} WHERE NOT EXISTS (SELECT 1 "
        f"FROM {identifier(work.table)} t WHERE {same('t', ROW_ALIAS)} AND t.{VALID_TO} IS NULL "
        f"AND NOT {ROW_ALIAS}.{GONE} AND {ROW_ALIAS}.{MOMENT} > t.{VALID_FROM} "
        f"AND {work.says(ROW_ALIAS)} IS NOT DISTINCT FROM {work.says('t')}))"
    )


def _gather_events(work: Versioning) -> None:
    """Put what is known of the changed keys together: what stands, in which a closed version ends with a deletion.

    Where the next version begins at that moment, the deletion is one that no moment separates from it, and not shown.
    """
    same, table = work.merging.same_key, identifier(work.table)
    standing = f"FROM {table} t SEMI JOIN {_CHANGED} c ON {same('t', 'c')} ANTI JOIN {TOUCHED} a ON {same('t', 'a')}"
    work.transaction.execute(
        f"CREATE OR REPLACE TEMP TABLE {_EVENTS} AS SELECT *, {work.says('e')} AS {_SAYS} FROM ("
        f"SELECT s.*, true AS {_NEW} FROM {work.seen} s SEMI JOIN {_CHANGED} c ON {same('s', 'c')} "
        f"ANTI JOIN {TOUCHED} a ON {same('s', 'a')} "
        f"UNION ALL BY NAME SELECT *, true AS {_NEW} FROM {work.again} "
        f"UNION ALL BY NAME SELECT t.* EXCLUDE ({VALID_FROM}, {VALID_TO}, {UPDATED}), t.{VALID_FROM} AS {MOMENT}, "
        f"false AS {GONE}, false AS {_NEW} {standing} "
        f"UNION ALL BY NAME SELECT {work.keys('t')}, t.{UPDATED} AS {CREATED}, t.{VALID_TO} AS {MOMENT}, "
        f"true AS {GONE}, false AS {_NEW} {standing} WHERE t.{VALID_TO} IS NOT NULL) e"
    )


def _versions(work: Versioning) -> str:
    """Return the query for the versions of the keys in ``_EVENTS``; see the rules in ``history``."""
    keys = identifiers(work.merging.key)
    # What stands has one row a moment, and a deletion before it; new rows are ranked, and newer than all of these.
    order = (
        f"{_NEW}, CASE WHEN NOT {_NEW} THEN {MOMENT} END, CASE WHEN NOT {_NEW} THEN NOT {GONE} END, {RANK} NULLS LAST"
    )
    after = "ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING"
    dated = f"(PARTITION BY {keys} ORDER BY {MOMENT})"
    return (
        f"WITH placed AS (SELECT *, min({MOMENT}) OVER (PARTITION BY {keys} ORDER BY {order} {after}) AS overtaken "
        f"FROM {_EVENTS}), "
        f"shown AS (SELECT *, lag({GONE}) OVER {dated} AS was_gone, lag({_SAYS}) OVER {dated} AS said "
        f"FROM placed WHERE overtaken IS NULL OR {MOMENT} < overtaken), "
        f"opening AS (SELECT *, lead({MOMENT}) OVER {dated} AS {VALID_TO}, lead({CREATED}) OVER {dated} AS closed "
        f"FROM shown WHERE was_gone IS NULL OR was_gone <> {GONE} OR (NOT {GONE} AND said IS DISTINCT FROM {_SAYS})) "
        f"SELECT * EXCLUDE ({MOMENT}, {GONE}, {RANK}, {_NEW}, {_SAYS}, overtaken, was_gone, said, closed), "
        f"{MOMENT} AS {VALID_FROM}, coalesce(closed, {CREATED}) AS {UPDATED} FROM opening WHERE NOT {GONE}"
    )
