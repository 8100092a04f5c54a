"""The operations database: a SQLite file with all flights and the airlines."""

from __future__ import annotations

import sqlite3
import sys
import tempfile
import zipfile
from pathlib import Path

import duckdb

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
_BATCH = 20_000


def make(origin: Path, target: Path) -> str:
    """Make the database; returns what it holds.

    Args:
        origin: Folder of the original CSV files.
        target: The file to make.
    """
    with tempfile.TemporaryDirectory() as scratch, duckdb.connect() as csv:
        csv.execute("SET TimeZone = 'UTC'")
        with zipfile.ZipFile(origin / "flights.csv.zip") as packed:
            flights = packed.extract(next(name for name in packed.namelist() if name.endswith("flights.csv")), scratch)
        types = {name: "INTEGER" if type_ == "INTEGER" else "VARCHAR" for name, type_ in COLUMNS.items()}
        csv.execute(
            "CREATE TABLE flights AS SELECT * FROM read_csv(?, header = true, nullstr = 'NA', columns = ?)",
            [flights, types],
        )
        csv.execute(
            "CREATE TABLE airlines AS SELECT * FROM read_csv(?, header = true, all_varchar = true)",
            [str(origin / "airlines.csv")],
        )
        _prove(csv)
        return _write(csv, target)


def _prove(csv: duckdb.DuckDBPyConnection) -> None:
    """Stop where the data is not what the demo says of it: a key that is one, and hours in UTC."""
    listed = ", ".join(KEY)
    unknown = " OR ".join(f"{name} IS NULL" for name in KEY)
    rows, keys, empty = csv.execute(
        f"SELECT count(*), count(DISTINCT ({listed})), count(*) FILTER (WHERE {unknown}) FROM flights"
    ).fetchone() or (0, 0, 0)
    if rows != keys or empty:
        sys.exit(f"({listed}) is no key of the flights: {rows} rows, {keys} values, {empty} with a null")
    local = "make_timestamp(year, month, day, hour, 0, 0)"
    (odd,) = csv.execute(
        "SELECT count(*) FROM flights WHERE NOT regexp_full_match(time_hour, '\\d{4}-\\d\\d-\\d\\dT\\d\\d:00:00Z') "
        f"OR CAST(time_hour AS TIMESTAMPTZ) <> timezone('America/New_York', {local})"
    ).fetchone() or (0,)
    if odd:
        sys.exit(f"{odd} flights have a time_hour that is not their local hour in UTC")


def _write(csv: duckdb.DuckDBPyConnection, target: Path) -> str:
    with sqlite3.connect(target) as database:
        database.execute("PRAGMA journal_mode = OFF")
        database.execute("PRAGMA synchronous = OFF")
        defined = ", ".join(f"{name} {type_}" for name, type_ in COLUMNS.items())
        database.execute(f"CREATE TABLE flights ({defined})")
        database.execute("CREATE TABLE airlines (carrier TEXT PRIMARY KEY, name TEXT NOT NULL)")
        counts = [_copy(csv, database, table, order) for table, order in (("flights", ""), ("airlines", "carrier"))]
        # No PRIMARY KEY on flights: a source that could not go wrong would make no demo.
        database.execute(KEY_INDEX)
        database.execute("CREATE INDEX flights_time_hour ON flights (time_hour)")
        database.execute("ANALYZE")
    database.close()
    return f"{counts[0]:,} flights, {counts[1]} airlines"


def _copy(csv: duckdb.DuckDBPyConnection, database: sqlite3.Connection, table: str, order: str) -> int:
    rows = csv.execute(f"SELECT * FROM {table}" + (f" ORDER BY {order}" if order else ""))
    count = 0
    while batch := rows.fetchmany(_BATCH):
        database.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(batch[0]))})", batch)
        count += len(batch)
    return count
