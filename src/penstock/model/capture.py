"""Change data capture: tables that are kept up by the changes which their database commits."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Any

from penstock.model.specs import SourceSpec
from penstock.model.streams import OFFSETS

DATABASE_OF = {"postgres_changes": "postgres", "mysql_changes": "mysql"}
"""The kinds of streams whose messages are changes of tables, and the kind of database that each reads."""
OP = "_op"
"""The column that says what happened to a row."""
COMMIT = "_lsn"
"""The column with the position of the commit that made a change; it grows from commit to commit."""
COMMITTED = "_committed_at"
"""The column with the moment of that commit, by the database's clock."""
UNCHANGED = "_unchanged"
"""The column that names those of which an update did not tell the value, because it left it as it was."""
BEFORE = "_before"
"""The column with the row as it was before, where the database tells it; in tables that are logs."""
COLUMNS = (OP, COMMIT, COMMITTED, UNCHANGED, BEFORE)
LEVEL = "level"
"""The key of a load's position under which stands how far all tables of its reading are landed, and which these are."""


class Op(StrEnum):
    """What happened. Of a table that is read from the start again ``RESTART`` comes before its rows."""

    SNAPSHOT = "snapshot"
    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"
    TRUNCATE = "truncate"
    RESTART = "restart"


EMPTYING = (Op.TRUNCATE, Op.RESTART)
"""After these the table is empty, and they are no rows themselves."""
ROWLESS = (*EMPTYING, Op.DELETE)
"""Of these there is no row that could be checked."""


def captured(source: SourceSpec) -> bool:
    """Say whether a source is kept up by changes."""
    return source.kind in DATABASE_OF


Landed = Mapping[str, Mapping[str, Any] | None]
"""Table to the position of its newest accepted load; None: nothing has landed."""


def levelled(at: int, tables: Collection[str], stand: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a load's position says of how far all tables are landed.

    Args:
        at: The position.
        tables: The tables.
        stand: What it must say beside its number.
    """
    return {LEVEL: {**stand, "at": at, "tables": sorted(tables)}}


def level(landed: Landed) -> int:
    """Return how far all tables of a reading were landed when the newest loads were; 0: nobody knows."""
    told = [position[LEVEL]["at"] for position in landed.values() if position and LEVEL in position]
    return max(told, default=0)


def own(position: Mapping[str, Any] | None) -> int:
    """Return up to where a load says that its own table is landed."""
    found = (position or {}).get(OFFSETS, {})
    return max((int(at) for each in found.values() for at in each.values()), default=0)


def reached(landed: Landed, table: str) -> int:
    """Return up to where a table is landed: as its own load says, or one that was landed beside it."""
    found = own(landed[table])
    for position in landed.values():
        said = (position or {}).get(LEVEL)
        if said and table in said["tables"]:
            found = max(found, int(said["at"]))
    return found
