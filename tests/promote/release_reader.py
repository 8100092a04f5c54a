"""A reader with nothing but DuckDB: reads production until a file tells it to stop.

As a script: ``release_reader.py open WAREHOUSE LAKE STOP`` opens the file anew each time, ``release_reader.py hold
WAREHOUSE STOP`` holds the one it opened first, ``stay`` holds each for half a second. Prints how many reads it made,
the releases it saw, and of each read of the warehouse when it ended and how many seconds it took, as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import duckdb


def from_warehouse(warehouse: Path) -> set[int]:
    """Return the releases whose rows are in the two tables, in two statements of one opened file."""
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        first = connection.execute("SELECT DISTINCT release FROM delays").fetchall()
        second = connection.execute("SELECT DISTINCT release FROM planes").fetchall()
    return {number for (number,) in (*first, *second)}


def from_parquet(lake: Path) -> set[int]:
    """Return the same, following the pointer."""
    number = json.loads((lake / "releases" / "current").read_text())["release"]
    release = json.loads((lake / "releases" / f"{number}.json").read_text())
    files = [str(lake / table["table"] / file["path"]) for table in release["tables"] for file in table["files"]]
    listed = ", ".join(f"'{file}'" for file in files)
    with duckdb.connect() as connection:
        return {
            found
            for (found,) in connection.execute(f"SELECT DISTINCT release FROM read_parquet([{listed}])").fetchall()
        }


def main(warehouse: Path, lake: Path, stop: Path) -> None:
    """Read until told to stop."""
    seen: set[int] = set()
    reads, took = 0, []
    print("reading", flush=True)
    while not stop.exists():
        began = time.time()
        rows = from_warehouse(warehouse)
        took.append((time.time(), time.time() - began))
        for found in (rows, from_parquet(lake)):
            if len(found) != 1:
                raise SystemExit(f"a mixture: {sorted(found)}")
            seen |= found
        reads += 1
        time.sleep(0.02)
    print(json.dumps({"reads": reads, "seen": sorted(seen), "took": took}), flush=True)


def stay(warehouse: Path, stop: Path) -> None:
    """Open production, stay with that release for half a second of reading, then open it anew."""
    query = "SELECT d.release, p.release, count(*), sum(hash(d)) FROM delays d, planes p GROUP BY ALL"
    seen, reads, took = [], 0, []
    print("reading", flush=True)
    while not stop.exists() or reads < 3:
        began = time.time()
        with duckdb.connect(str(warehouse), read_only=True) as connection:
            before = connection.execute(query).fetchall()
            took.append((time.time(), time.time() - began))
            until = time.monotonic() + 0.5
            while time.monotonic() < until:
                if connection.execute(query).fetchall() != before:
                    raise SystemExit("the release that was held has changed")
                reads += 1
                time.sleep(0.05)
        if len(before) != 1 or before[0][0] != before[0][1]:
            raise SystemExit(f"a mixture: {before}")
        if before[0][0] not in seen:
            seen.append(before[0][0])
    print(json.dumps({"reads": reads, "seen": sorted(seen), "took": took}), flush=True)


def hold(warehouse: Path, stop: Path) -> None:
    """Go on reading the file that was opened first."""
    query = "SELECT d.release, p.release, count(*), sum(hash(d)) FROM delays d, planes p GROUP BY ALL"
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        before = connection.execute(query).fetchall()
        reads, took = 0, []
        print("reading", flush=True)
        while not stop.exists():
            began = time.time()
            if connection.execute(query).fetchall() != before:
                raise SystemExit("the file that was held has changed")
            took.append((time.time(), time.time() - began))
            reads += 1
            time.sleep(0.1)
    print(json.dumps({"reads": reads, "seen": [before[0][0]], "took": took}), flush=True)


if __name__ == "__main__":
    places = [Path(place) for place in sys.argv[2:]]
    if sys.argv[1] == "hold":
        hold(*places)
    elif sys.argv[1] == "stay":
        stay(*places)
    else:
        main(*places)
