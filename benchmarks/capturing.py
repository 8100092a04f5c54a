"""Changes of PostgreSQL: ``python -m benchmarks.capturing bare|rows|penstock FOLDER URL COUNT``.

Each contestant reads the same changes: a slot of its own is copied of one that stands before them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

TEMPLATE, SLOT, PUBLICATION = "bench_template", "penstock_bench_shop", "penstock_bench_shop"
_EACH = 1000
"""Rows that are changed in one transaction."""
_SETTINGS = """
[project]
name = "bench"
pipelines = ["pipeline:bench"]
[environments.staging]
lake = "lake"
warehouse = "t.duckdb"
[connections.shop]
url = "URL"
"""
_PIPELINE = """
from penstock import Pipeline, sources
bench = Pipeline(name="bench", sources=[sources.postgres_changes("shop", table="t", key="id", write="merge")])
"""
_MADE = """
CREATE TABLE t (id int PRIMARY KEY, name text, amount numeric(12, 2), at timestamptz, share float8, note text);
INSERT INTO t VALUES (0, 'first', 0, '2026-01-01', 0, '')
"""


def main() -> None:
    """Do the work that the arguments name."""
    work, folder, url, count = sys.argv[1:]
    WORKS[work](Path(folder), url, int(count))


def prepare(execute: Callable[[str], Any], url: str, folder: Path, count: int) -> None:
    """Make a table, read it once, keep the slot as it stands then, and change the table.

    Args:
        execute: Runs SQL in a transaction of its own.
        url: The server.
        folder: The project.
        count: How many changes; eight of ten are inserts, the others updates and deletes.
    """
    execute(_MADE)
    folder.mkdir(parents=True)
    (folder / "penstock.toml").write_text(_SETTINGS.replace("URL", url))
    (folder / "pipeline.py").write_text(_PIPELINE)
    subprocess.run([sys.executable, "-m", "penstock", "stream", "--until-end"], cwd=folder, check=True)
    execute(f"SELECT pg_copy_logical_replication_slot('{SLOT}', '{TEMPLATE}')")
    inserts = count * 8 // 10
    row = "'name ' || i, i * 1.5, timestamptz '2026-01-01' + i * interval '1 second', i / 7.0, repeat('n', i % 60)"
    for first in range(1, inserts + 1, _EACH):
        last = min(first + _EACH - 1, inserts)
        execute(f"INSERT INTO t SELECT i, {row} FROM generate_series({first}, {last}) i")
    updates, deletes = count * 15 // 100, count - inserts - count * 15 // 100
    for first in range(1, updates + 1, _EACH):
        execute(f"UPDATE t SET amount = amount + 1 WHERE id BETWEEN {first} AND {min(first + _EACH - 1, updates)}")
    execute(f"DELETE FROM t WHERE id > {inserts - deletes}")


def bare(folder: Path, url: str, count: int) -> None:
    """Receive and count: the least that a client does."""
    from psycopg import pq

    connection = pq.PGconn.connect(f"{_again(url, 'bench_bare')}?replication=database".encode())
    options = f"proto_version '1', publication_names '{PUBLICATION}'"
    connection.send_query(f"START_REPLICATION SLOT bench_bare LOGICAL 0/0 ({options})".encode())
    connection.get_result()
    found, get = 0, connection.get_copy_data
    while found < count:
        _, frame = get(0)
        found += frame[0] == 0x77 and frame[25] in b"IUD"
    connection.finish()
    (folder / "count").write_text(str(found))


def rows(folder: Path, url: str, count: int) -> None:
    """Make typed rows of the changes, as they are landed, and count them."""
    from penstock.extract.streams.changes.port import CaptureOpening, Taken
    from penstock.extract.streams.changes.postgres.source import PostgresChanges
    from penstock.model.specs import ConnectionSpec
    from penstock.sources import postgres_changes

    source = postgres_changes("shop", table="t", key="id", write="merge", slot="bench_rows", publication=PUBLICATION)
    opening = CaptureOpening(
        sources=(source,),
        connection=ConnectionSpec(name="shop", kind="postgres", url=_again(url, "bench_rows")),
        pipeline="bench",
        positions={"t": _position(url)},
    )
    capture, found = PostgresChanges().capture(opening), 0
    capture.begin()
    while found < count:
        taken = Taken()
        while taken.bytes < 16 * 2**20 and capture.take(taken, 16 * 2**20, 0.2):
            pass
        capture.settle(taken)
        found += sum(batch.num_rows for held in taken.rows.values() for batch in held.batches())
        taken.close()
    capture.close()
    (folder / "count").write_text(str(found))


def penstock(folder: Path, url: str, count: int) -> None:
    """Let a stream read them: into lake and warehouse, each once."""
    del count
    _again(url, SLOT)
    # In the place of this process, whose memory would count as well.
    os.chdir(folder)
    os.execv(sys.executable, [sys.executable, "-m", "penstock", "stream", "--until-end"])


def _position(url: str) -> dict[str, Any]:
    """Return where the first reading ended, as a load would say it."""
    import psycopg

    from penstock.extract.streams.changes.postgres.wire import parsed

    with psycopg.connect(url, autocommit=True) as connection:
        asked = f"SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = '{TEMPLATE}'"
        ((at,),) = connection.execute(asked.encode()).fetchall()
        ((system,),) = connection.execute("SELECT system_identifier::text FROM pg_control_system()").fetchall()
    return {"offsets": {"public.t": {"bench_rows": parsed(at)}}, "system": system, "timeline": 1}


def _again(url: str, slot: str) -> str:
    """Make a slot that stands before the changes; returns the URL."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM pg_replication_slots WHERE slot_name = %s", (slot,)).fetchone():
            connection.execute("SELECT pg_drop_replication_slot(%s)", (slot,))
        connection.execute("SELECT pg_copy_logical_replication_slot(%s, %s)", (TEMPLATE, slot))
    return url


WORKS = {"bare": bare, "rows": rows, "penstock": penstock}

if __name__ == "__main__":
    main()
