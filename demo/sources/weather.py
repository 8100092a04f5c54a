"""What the weather API serves: hourly observations of the three airports, in a SQLite file with an index on time."""

from __future__ import annotations

import csv
import sqlite3
from contextlib import closing
from pathlib import Path

COLUMNS = {
    "origin": "TEXT",
    "year": "INTEGER",
    "month": "INTEGER",
    "day": "INTEGER",
    "hour": "INTEGER",
    "temp": "REAL",
    "dewp": "REAL",
    "humid": "REAL",
    "wind_dir": "INTEGER",
    "wind_speed": "REAL",
    "wind_gust": "REAL",
    "precip": "REAL",
    "pressure": "REAL",
    "visib": "REAL",
    "time_hour": "TEXT",
}


def make(origin: Path, target: Path) -> str:
    """Make the file; returns what it holds.

    Args:
        origin: Folder of the original CSV files.
        target: The file to make.
    """
    with (origin / "weather.csv").open(newline="", encoding="utf-8") as opened:
        rows = list(csv.reader(opened))[1:]
    rows.sort(key=lambda row: (row[-1], row[0]))
    defined = ", ".join(f"{name} {type_}" for name, type_ in COLUMNS.items())
    values = ", ".join("nullif(?, 'NA')" for _ in COLUMNS)
    with closing(sqlite3.connect(target)) as database:
        database.execute("PRAGMA journal_mode = OFF")
        database.execute("PRAGMA synchronous = OFF")
        database.execute(f"CREATE TABLE observations ({defined}, PRIMARY KEY (time_hour, origin)) WITHOUT ROWID")
        database.executemany(f"INSERT INTO observations VALUES ({values})", rows)
        database.commit()
    return f"{len(rows):,} hourly observations, for the weather API"
