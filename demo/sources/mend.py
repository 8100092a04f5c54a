"""Bad days of the operations database, and their mending.

    python demo/sources/mend.py spoil|mend|wrong|unwrong OPS_DB DAY

What a day was is kept beside the database, in ``ops.kept.db``, until it is restored exactly. Days are days in UTC.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

from operations import COLUMNS, KEY, KEY_INDEX

_LISTED = ", ".join(COLUMNS)
_OF_THE_DAY = "time_hour >= ? AND time_hour < ?"


def spoil(ops_db: Path | str, day: str) -> int:
    """Let a day arrive broken: half of its rows, some without a carrier, some with the key of another flight.

    Returns:
        How many rows the day has now.
    """
    with _opened(ops_db) as database:
        _keep(database, day)
        database.execute("DROP INDEX IF EXISTS flights_key")
        found = database.execute(f"SELECT rowid FROM flights WHERE {_OF_THE_DAY} ORDER BY rowid", _bounds(day))
        rows = [row for (row,) in found]
        database.executemany("DELETE FROM flights WHERE rowid = ?", [(row,) for row in rows[1::2]])
        left = rows[::2]
        listed = ", ".join(KEY)
        database.executemany("UPDATE flights SET carrier = NULL WHERE rowid = ?", [(row,) for row in left[5::20]])
        database.executemany(
            f"UPDATE flights SET ({listed}) = (SELECT {listed} FROM flights WHERE rowid = ?) WHERE rowid = ?",
            list(zip(left[10::20], left[11::20], strict=False)),
        )
        return len(left)


def mend(ops_db: Path | str, day: str) -> int:
    """Restore a day exactly as it was; quiet if nothing happened to it. Returns how many rows were restored."""
    with _opened(ops_db) as database:
        return _restore(database, day)


def wrong(ops_db: Path | str, day: str, minutes: int = 60) -> int:
    """Let a day be wrong though every value is possible: a clock an hour ahead, all its delays too long.

    Returns:
        How many rows were changed.
    """
    with _opened(ops_db) as database:
        _keep(database, day)
        changed = database.execute(
            "UPDATE flights SET dep_delay = dep_delay + ?, arr_delay = arr_delay + ? "
            f"WHERE {_OF_THE_DAY} AND dep_delay IS NOT NULL",
            [minutes, minutes, *_bounds(day)],
        )
        return changed.rowcount


def unwrong(ops_db: Path | str, day: str) -> int:
    """Correct a day; quiet if nothing happened to it. Returns how many rows were restored."""
    return mend(ops_db, day)


def _keep(database: sqlite3.Connection, day: str) -> None:
    """Keep the day as it is, unless an earlier state of it is kept already."""
    if database.execute("SELECT 1 FROM kept.days WHERE day = ?", [day]).fetchone():
        _restore(database, day)
    database.execute("INSERT INTO kept.days VALUES (?)", [day])
    database.execute(
        f"INSERT INTO kept.flights SELECT ?, rowid, {_LISTED} FROM main.flights WHERE {_OF_THE_DAY}",
        [day, *_bounds(day)],
    )


def _restore(database: sqlite3.Connection, day: str) -> int:
    if not database.execute("SELECT 1 FROM kept.days WHERE day = ?", [day]).fetchone():
        return 0
    database.execute(f"DELETE FROM main.flights WHERE {_OF_THE_DAY}", _bounds(day))
    restored = database.execute(
        f"INSERT INTO main.flights (rowid, {_LISTED}) SELECT row, {_LISTED} FROM kept.flights WHERE kept_day = ? "
        "ORDER BY row",
        [day],
    )
    for table, column in (("flights", "kept_day"), ("days", "day")):
        database.execute(f"DELETE FROM kept.{table} WHERE {column} = ?", [day])
    if not database.execute("SELECT 1 FROM kept.days").fetchone():
        database.execute(KEY_INDEX.replace("INDEX", "INDEX IF NOT EXISTS"))
    return restored.rowcount


@contextmanager
def _opened(ops_db: Path | str) -> Iterator[sqlite3.Connection]:
    """Open the database with what is kept of it, for one transaction over both."""
    path = Path(ops_db)
    if not path.exists():
        sys.exit(f"{path} does not exist; make_sources.py makes it")
    database = sqlite3.connect(path, timeout=30)
    try:
        database.execute("ATTACH ? AS kept", [str(path.with_name(f"{path.stem}.kept.db"))])
        with database:
            database.execute("CREATE TABLE IF NOT EXISTS kept.days (day TEXT PRIMARY KEY)")
            database.execute(
                "CREATE TABLE IF NOT EXISTS kept.flights (kept_day TEXT, row INTEGER, "
                + ", ".join(f"{name} {type_}" for name, type_ in COLUMNS.items())
                + ")"
            )
            yield database
    finally:
        database.close()


def _bounds(day: str) -> tuple[str, str]:
    first = date.fromisoformat(day)
    return f"{first}T00:00:00Z", f"{first + timedelta(days=1)}T00:00:00Z"


if __name__ == "__main__":
    actions = {"spoil": spoil, "mend": mend, "wrong": wrong, "unwrong": unwrong}
    if len(sys.argv) != 4 or sys.argv[1] not in actions:
        sys.exit("usage: mend.py spoil|mend|wrong|unwrong OPS_DB DAY")
    print(f"{actions[sys.argv[1]](sys.argv[2], sys.argv[3])} rows")
