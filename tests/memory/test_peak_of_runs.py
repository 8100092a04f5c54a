"""The memory of a whole run stays below the cap, whatever the rows, the columns and the width of a value.

The short forms take seconds; the long ones, marked slow, have the sizes that docs/how-to/memory.md speaks of.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import duckdb
import pytest
from benchmarks.data import TABLE, fill_postgres

from memory.watching import CAP, MIB, ingested
from servers.postgres import PostgresServer


def wide(path: Path, rows: int, columns: int = 600) -> str:
    """Write a Parquet file of many columns: integers, doubles and texts."""
    kinds = ("(i * {k} % 1000003)::BIGINT", "(i * {k} % 99991)::DOUBLE", "'v' || (i * {k} % 9973)")
    listed = ", ".join(f"{kinds[k % 3].format(k=k + 7)} AS c{k}" for k in range(columns))
    with duckdb.connect(config={"memory_limit": "800MiB", "threads": 2}) as made:
        made.execute(
            f"COPY (SELECT i AS id, {listed} FROM range({rows}) AS t(i)) TO '{path}' "
            "(FORMAT parquet, ROW_GROUP_SIZE 20480)"
        )
    return str(path)


def growing(postgres: PostgresServer, folder: Path, sizes: tuple[int, int]) -> tuple[int, int]:
    """Return the peaks at two sizes of one table of PostgreSQL."""
    peaks = []
    for rows in sizes:
        fill_postgres(postgres.execute, rows)
        try:
            found, peak = ingested(f"{postgres.url()}?table={TABLE}", folder)
        finally:
            postgres.execute(f"DROP TABLE {TABLE}")
        assert found == rows
        peaks.append(peak)
    return peaks[0], peaks[1]


@pytest.mark.postgres
def test_a_table_of_twice_the_rows_takes_no_more_memory(postgres: PostgresServer, tmp_path: Path) -> None:
    small, large = growing(postgres, tmp_path, (300_000, 600_000))
    assert large < CAP / 2
    # A run of 300,000 rows may end before it holds all that it would.
    assert large < small * 1.15


def test_many_columns(tmp_path: Path) -> None:
    rows, peak = ingested(wide(tmp_path / "wide.parquet", 10_000), tmp_path)
    assert rows == 10_000
    assert peak < CAP


def test_one_long_value_among_short_ones(tmp_path: Path) -> None:
    long = "penstock " * (15 * MIB // 9)
    database = tmp_path / "notes.db"
    with closing(sqlite3.connect(database)) as made:
        made.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, note TEXT)")
        made.executemany(
            "INSERT INTO notes VALUES (?, ?)", ((i, long if i == 500 else f"note {i}") for i in range(1000))
        )
        made.commit()
    rows, peak = ingested(f"sqlite:///{database}?table=notes", tmp_path)
    assert rows == 1000
    assert peak < CAP


@pytest.mark.slow
@pytest.mark.postgres
def test_ten_times_the_rows_take_little_more_memory(postgres: PostgresServer, tmp_path: Path) -> None:
    small, large = growing(postgres, tmp_path, (300_000, 3_000_000))
    assert large < CAP / 2
    assert large < small * 1.10


@pytest.mark.slow
def test_six_hundred_columns_of_half_a_million_rows(tmp_path: Path) -> None:
    rows, peak = ingested(wide(tmp_path / "wide.parquet", 500_000), tmp_path)
    assert rows == 500_000
    assert peak < CAP
