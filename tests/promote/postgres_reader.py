"""A reader with nothing but PostgreSQL: reads production until a file tells it to stop.

As a script: ``postgres_reader.py MODE URL STOP``. ``open`` connects anew for each read, ``stay`` keeps its connection,
``hold`` keeps a release in one transaction for half a second and reads it again and again, ``long`` reads for up to so
many seconds as a fourth argument says. Prints how many reads it made, which releases it saw with which rows, and of
each read when it ended and how many seconds it took, as JSON.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

QUERY = "SELECT DISTINCT d.release, p.release, r.release FROM delays d JOIN planes p USING (id), penstock_release r"


def main(mode: str, url: str, stop: Path, longest: float) -> None:
    """Read until told to stop."""
    seen: set[tuple[int, int]] = set()
    took: list[tuple[float, float]] = []

    @contextmanager
    def timed() -> Iterator[None]:
        began = time.time()
        yield
        took.append((time.time(), time.time() - began))

    kept: Any = psycopg.connect(url, autocommit=mode != "hold")
    print("reading", flush=True)
    while not stop.exists():
        if mode == "open":
            with timed(), psycopg.connect(url, autocommit=True) as connection:
                found = connection.execute(QUERY).fetchall()
            time.sleep(0.02)
        elif mode == "stay":
            with timed():
                found = kept.execute(QUERY).fetchall()
            time.sleep(0.02)
        elif mode == "long":
            with timed():
                seconds = random.uniform(longest / 2, longest)
                kept.execute(b"SELECT pg_sleep(%s) FROM (SELECT FROM delays LIMIT 1) d, penstock_release", (seconds,))
            found = []
            time.sleep(random.uniform(0.5, 1.5))
        else:
            with timed():
                found = kept.execute(QUERY).fetchall()
            until = time.monotonic() + 0.5
            while time.monotonic() < until:
                for table in ("delays", "planes"):
                    again = kept.execute(f"SELECT DISTINCT release FROM {table}".encode()).fetchall()
                    if again != [(found[0][1],)]:
                        raise SystemExit(f"the release that was held has changed: {found}, {again}")
                time.sleep(0.05)
            kept.rollback()
            time.sleep(0.2)
        if found and (len(found) != 1 or len({found[0][0], found[0][1]}) != 1):
            raise SystemExit(f"a mixture: {found}")
        seen |= {(row[2], row[0]) for row in found}
    print(json.dumps({"reads": len(took), "seen": sorted(seen), "took": took}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), float(sys.argv[4]) if len(sys.argv) > 4 else 0.0)
