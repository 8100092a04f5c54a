"""The memory of a whole run stays below the cap, whatever the rows, the columns and the width of a value.

The short forms take seconds; the long ones, marked slow, have the sizes that docs/how-to/memory.md speaks of.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from benchmarks.data import TABLE, fill_postgres

import penstock
from memory.watching import CAP, MIB, ingested
from penstock.errors import ConfigurationError, PenstockError
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
    # DuckDB fills what it is left with on its way to the warehouse: fewer rows end before they do.
    small, large = growing(postgres, tmp_path, (1_000_000, 2_000_000))
    assert large < CAP
    # Who keeps the rows that pass takes 140 bytes of each, or more. DuckDB fills 60 MiB more or less of what it is left
    # with, by two threads, and more by more.
    threads = max(2, os.cpu_count() or 2)
    assert large - small < 50 * threads * 1_000_000


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


def fill_with_a_long_value(postgres: PostgresServer, type_: str) -> str:
    """Make a table of short values and one of 200 MiB, a ``jsonb`` of 200 MB; return the MD5 of that."""
    texts = 6_250_000 if type_ == "jsonb" else 6_553_600
    value = "string_agg(md5(i::text), '')"
    value = f"convert_to({value}, 'UTF8')" if type_ == "bytea" else value
    value = f"jsonb_build_object('note', {value})" if type_ == "jsonb" else value
    short = """'{"note": 1}'""" if type_ == "jsonb" else "'note'"
    postgres.execute(f"CREATE UNLOGGED TABLE long_notes AS SELECT i AS id, {short}::{type_} AS note "
                     "FROM generate_series(1, 999) AS g(i)")  # fmt: skip
    postgres.execute(f"INSERT INTO long_notes SELECT 1000, {value} FROM generate_series(1, {texts}) AS g(i)")
    text = "note::text" if type_ == "jsonb" else "note"
    ((size, digest),) = postgres.execute(f"SELECT octet_length({text}), md5({text}) FROM long_notes WHERE id = 1000")
    assert size >= 32 * texts
    return str(digest)


def digests(folder: Path, row: int = 1000) -> list[str]:
    """Return the MD5 of the long value as it stands in the warehouse and in the lake."""
    (warehouse,) = folder.glob("*/t.duckdb")
    lake = f"{warehouse.with_suffix('.lake')}/raw_t/**/*.parquet"
    with duckdb.connect(config={"threads": 1}) as looked:
        looked.execute(f"ATTACH '{warehouse}' AS w (READ_ONLY)")
        found = [
            looked.execute(f"SELECT md5(note) FROM {relation} WHERE id = {row}").fetchall()
            for relation in ("w.t", f"read_parquet('{lake}', hive_partitioning = false)")
        ]
    return [digest for ((digest,),) in found]


@pytest.mark.postgres
@pytest.mark.parametrize("type_", ["text", "jsonb", pytest.param("bytea", marks=pytest.mark.slow)])
def test_one_very_long_value(postgres: PostgresServer, tmp_path: Path, type_: str) -> None:
    digest = fill_with_a_long_value(postgres, type_)
    try:
        rows, peak = ingested(f"{postgres.url()}?table=long_notes", tmp_path)
    finally:
        postgres.execute("DROP TABLE long_notes")
    assert rows == 1000
    assert peak < CAP
    assert digests(tmp_path) == [digest, digest]


@pytest.mark.parametrize("type_", ["text", "binary"])
def test_one_value_of_200_megabytes_in_a_parquet_file(tmp_path: Path, type_: str) -> None:
    long = "penstock" * (200_000_000 // 8)
    place = tmp_path / "notes.parquet"
    kind = pa.string() if type_ == "text" else pa.binary()
    notes = pa.array([long if i == 500 else f"note {i}" for i in range(1000)], pa.string()).cast(kind)
    pq.write_table(pa.table({"id": pa.array(range(1000), pa.int64()), "note": notes}), place)
    digest = hashlib.md5(long.encode()).hexdigest()
    del long, notes
    rows, peak = ingested(str(place), tmp_path)
    assert rows == 1000
    assert peak < CAP
    assert digests(tmp_path, 500) == [digest, digest]


@pytest.mark.slow
def test_one_value_of_200_mebibytes_in_a_file_of_sqlite(tmp_path: Path) -> None:
    long = "penstock" * (200 * MIB // 8)
    database = tmp_path / "notes.db"
    with closing(sqlite3.connect(database)) as made:
        made.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, note TEXT)")
        made.executemany("INSERT INTO notes VALUES (?, ?)", ((i, long if i == 1000 else "note") for i in range(1001)))
        made.commit()
    digest = hashlib.md5(long.encode()).hexdigest()
    rows, peak = ingested(f"sqlite:///{database}?table=notes", tmp_path)
    assert rows == 1001
    assert peak < CAP
    assert digests(tmp_path) == [digest, digest]


@pytest.mark.slow
@pytest.mark.postgres
def test_five_times_the_rows_take_little_more_memory(postgres: PostgresServer, tmp_path: Path) -> None:
    # From some six million rows on, DuckDB has filled what it is left with.
    small, large = growing(postgres, tmp_path, (6_000_000, 30_000_000))
    assert large < CAP
    assert large < small * 1.10


@pytest.mark.slow
def test_six_hundred_columns_of_half_a_million_rows(tmp_path: Path) -> None:
    rows, peak = ingested(wide(tmp_path / "wide.parquet", 500_000), tmp_path)
    assert rows == 500_000
    assert peak < CAP


def test_a_value_too_long_for_the_memory_of_an_ingest_is_told(tmp_path: Path) -> None:
    database = tmp_path / "notes.db"
    with closing(sqlite3.connect(database)) as made:
        made.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, note TEXT)")
        made.execute("INSERT INTO notes VALUES (1, ?)", ("penstock " * (100 * MIB // 9),))
        made.commit()
    uri, target = f"sqlite:///{database}?table=notes", str(tmp_path / "notes.duckdb")
    with pytest.raises(PenstockError, match="memory"):
        penstock.ingest(uri, to=target, memory="512MiB")
    assert penstock.ingest(uri, to=target, memory="2GiB").rows == 1


@pytest.mark.parametrize("memory", ["511MiB", "much", -1, "12"])
def test_what_is_no_memory_for_an_ingest_is_told(tmp_path: Path, memory: str | int) -> None:
    with pytest.raises(ConfigurationError, match=r"memory is (not a size|too small)"):
        penstock.ingest([{"a": 1}], to=str(tmp_path / "t.duckdb"), table="t", memory=memory)
