"""What the weather API serves: hourly observations of the three airports, in a SQLite file with an index on time."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import duckdb

COLUMNS = {
    "origin": "VARCHAR",
    "year": "INTEGER",
    "month": "INTEGER",
    "day": "INTEGER",
    "hour": "INTEGER",
    "temp": "DOUBLE",
    "dewp": "DOUBLE",
    "humid": "DOUBLE",
    "wind_dir": "INTEGER",
    "wind_speed": "DOUBLE",
    "wind_gust": "DOUBLE",
    "precip": "DOUBLE",
    "pressure": "DOUBLE",
    "visib": "DOUBLE",
    "time_hour": "VARCHAR",
}
_SPELT = {"VARCHAR": "TEXT", "INTEGER": "INTEGER", "DOUBLE": "REAL"}


def make(origin: Path, target: Path) -> str:
    """Make the file; returns what it holds.

    Args:
        origin: Folder of the original CSV files.
        target: The file to make.
    """
    with duckdb.connect() as csv:
        rows = csv.execute(
            "SELECT * FROM read_csv(?, header = true, nullstr = 'NA', columns = ?) ORDER BY time_hour, origin",
            [str(origin / "weather.csv"), COLUMNS],
        ).fetchall()
    defined = ", ".join(f"{name} {_SPELT[type_]}" for name, type_ in COLUMNS.items())
    with sqlite3.connect(target) as database:
        database.execute("PRAGMA journal_mode = OFF")
        database.execute("PRAGMA synchronous = OFF")
        database.execute(f"CREATE TABLE observations ({defined}, PRIMARY KEY (time_hour, origin)) WITHOUT ROWID")
        database.executemany(f"INSERT INTO observations VALUES ({', '.join('?' * len(COLUMNS))})", rows)
    database.close()
    return f"{len(rows):,} hourly observations, for the weather API"
