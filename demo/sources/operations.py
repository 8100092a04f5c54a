"""The operations database: a SQLite file with all flights and the airlines."""

from __future__ import annotations

import csv
import io
import sqlite3
import sys
import zipfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

COLUMNS = {
    "year": "INTEGER",
    "month": "INTEGER",
    "day": "INTEGER",
    "dep_time": "INTEGER",
    "sched_dep_time": "INTEGER",
    "dep_delay": "INTEGER",
    "arr_time": "INTEGER",
    "sched_arr_time": "INTEGER",
    "arr_delay": "INTEGER",
    "carrier": "TEXT",
    "flight": "INTEGER",
    "tailnum": "TEXT",
    "origin": "TEXT",
    "dest": "TEXT",
    "air_time": "INTEGER",
    "distance": "INTEGER",
    "hour": "INTEGER",
    "minute": "INTEGER",
    "time_hour": "TIMESTAMP",
}
KEY = ("carrier", "flight", "origin", "time_hour", "sched_dep_time")
KEY_INDEX = f"CREATE UNIQUE INDEX flights_key ON flights ({', '.join(KEY)})"
SUMMER_TIME = (datetime(2013, 3, 10, 7, tzinfo=UTC), datetime(2013, 11, 3, 6, tzinfo=UTC))
"""When New York was four hours behind UTC and not five, in 2013."""


def make(origin: Path, target: Path) -> str:
    """Make the database; returns what it holds.

    Args:
        origin: Folder of the original CSV files.
        target: The file to make.
    """
    with closing(sqlite3.connect(target)) as database:
        database.execute("PRAGMA journal_mode = OFF")
        database.execute("PRAGMA synchronous = OFF")
        database.execute("PRAGMA cache_size = -65536")
        defined = ", ".join(f"{name} {type_}" for name, type_ in COLUMNS.items())
        # No PRIMARY KEY on flights: a source that could not go wrong would make no demo.
        database.execute(f"CREATE TABLE flights ({defined})")
        database.execute("CREATE TABLE airlines (carrier TEXT PRIMARY KEY, name TEXT NOT NULL)")
        # NA becomes null, and SQLite turns digits into numbers in INTEGER columns.
        values = ", ".join("nullif(?, 'NA')" for _ in COLUMNS)
        flights = database.executemany(f"INSERT INTO flights VALUES ({values})", _flights(origin)).rowcount
        with (origin / "airlines.csv").open(newline="", encoding="utf-8") as opened:
            rows = sorted(list(csv.reader(opened))[1:])
        database.executemany("INSERT INTO airlines VALUES (?, ?)", rows)
        prove(database)
        database.execute("CREATE INDEX flights_time_hour ON flights (time_hour)")
        database.commit()
    return f"{flights:,} flights, {len(rows)} airlines"


def _flights(origin: Path) -> Iterator[list[str]]:
    with zipfile.ZipFile(origin / "flights.csv.zip") as packed:
        name = next(name for name in packed.namelist() if name.endswith("flights.csv"))
        with packed.open(name) as opened:
            rows = csv.reader(io.TextIOWrapper(opened, encoding="utf-8", newline=""))
            header = next(rows)
            if header != list(COLUMNS):
                sys.exit(f"The columns of flights.csv are not those expected: {', '.join(header)}")
            yield from rows


def prove(database: sqlite3.Connection) -> None:
    """Stop where the data is not what the demo says of it: numbers, hours in UTC, a key that is one."""
    unknown = " OR ".join(f"{name} IS NULL" for name in KEY)
    texts = " OR ".join(f"typeof({name}) = 'text'" for name, type_ in COLUMNS.items() if type_ == "INTEGER")
    empty, odd = database.execute(
        f"SELECT count(*) FILTER (WHERE {unknown}), count(*) FILTER (WHERE {texts}) FROM flights"
    ).fetchone()
    if empty:
        sys.exit(f"({', '.join(KEY)}) is no key of the flights: {empty} have a null in it")
    if odd:
        sys.exit(f"{odd} flights hold text where numbers are expected")
    for year, month, day, hour, time_hour in database.execute(
        "SELECT DISTINCT year, month, day, hour, time_hour FROM flights"
    ):
        utc = datetime.fromisoformat(time_hour)
        behind = 4 if SUMMER_TIME[0] <= utc < SUMMER_TIME[1] else 5
        if (utc - timedelta(hours=behind)).timetuple()[:4] != (year, month, day, hour):
            sys.exit(f"The flights of {year}-{month:02d}-{day:02d} {hour:02d} h have {time_hour} as their hour in UTC")
    try:
        database.execute(KEY_INDEX)
    except sqlite3.IntegrityError:
        sys.exit(f"({', '.join(KEY)}) is no key of the flights: it comes twice")
