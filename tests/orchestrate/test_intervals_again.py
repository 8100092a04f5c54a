"""Intervals read once and again: half-open at midnight, each row in one of them, the same rows give the same files."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pyarrow as pa
import pytest
from incremental import Place, notes

from penstock import checks, sources
from penstock.errors import ConfigurationError
from penstock.model.interval import Interval
from penstock.model.receipts import RunReceipt, State
from penstock.model.specs import PipelineSpec, SourceSpec
from penstock.orchestrate import running
from servers.postgres import PostgresServer

ROWS: list[tuple[int, str]] = [
    (0, "2023-12-31 23:59:59.999999"),
    (1, "2024-01-01 00:00:00.000000"),
    (2, "2024-01-01 23:59:59.999999"),
    (3, "2024-01-02 00:00:00.000000"),
    (4, "2024-01-02 12:00:00.000000"),
    (5, "2024-01-03 00:00:00.000000"),
    (6, "2024-01-03 23:59:59.999999"),
    (7, "2024-01-04 00:00:00.000000"),
]
DAYS = {"2024-01-01": [1, 2], "2024-01-02": [3, 4], "2024-01-03": [5, 6]}
MODES: list[dict[str, Any]] = [
    {"write": "append"},
    {"write": "merge", "key": "id"},
    {"write": "merge", "key": "id", "cursor": "at"},
    {"write": "scd2", "key": "id"},
]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.close()


def run(place: Place, source: SourceSpec, days: str | None = None, **more: Any) -> RunReceipt:
    """Run what is due, or read days again."""
    spec = PipelineSpec(
        name="p",
        sources=(source,),
        schedule="@daily",
        start=datetime(2024, 1, 1, tzinfo=UTC),
        end=datetime(2024, 1, 4, tzinfo=UTC),
        checks={"t": tuple(more.pop("checks", ()))},
    )
    asked = running.Asked(interval=Interval.parse(days), again=True) if days else running.Asked()
    receipt = running.run(place.workspace, spec, asked)
    assert receipt.state in (State.DONE, State.UNCHANGED), receipt.error
    return receipt


def given(rows: list[tuple[int, str]]) -> pa.Table:
    moments = pa.array([datetime.fromisoformat(at) for _, at in rows], pa.timestamp("us"))
    return pa.table({"id": pa.array([n for n, _ in rows], pa.int64()), "at": moments})


def data_files(place: Place) -> dict[str, str]:
    lake = place.folder / "lake"
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(lake.rglob("*.parquet"))}


def by_load(place: Place) -> list[list[int]]:
    return place.column("SELECT list(id ORDER BY id) FROM raw_t GROUP BY _load ORDER BY _load")


@pytest.mark.parametrize("reading", MODES, ids=str)
def test_an_interval_that_is_read_again_is_identical(place: Place, reading: dict[str, Any]) -> None:
    rows = list(ROWS)
    source = sources.python(lambda: given(rows), table="t", interval="at", **reading)
    run(place, source)
    assert by_load(place) == list(DAYS.values())
    before, table = data_files(place), place.rows("SELECT * FROM raw_t ORDER BY ALL")
    assert run(place, source).state is State.UNCHANGED
    for days in ("2024-01-02", "2024-01-01/2024-01-04"):
        assert run(place, source, days).state is State.UNCHANGED
    rows.reverse()
    assert run(place, source, "2024-01-01/2024-01-04").state is State.UNCHANGED
    assert data_files(place) == before
    assert place.rows("SELECT * FROM raw_t ORDER BY ALL") == table


@pytest.mark.parametrize("reading", MODES[:3], ids=str)
def test_a_row_that_moves_over_midnight_is_in_one_day_once_both_are_read(place: Place, reading: dict[str, Any]) -> None:
    rows = list(ROWS)
    source = sources.python(lambda: given(rows), table="t", interval="at", **reading)
    run(place, source)
    rows[2] = (2, "2024-01-02 00:00:00.000000")
    run(place, source, "2024-01-01/2024-01-03")
    assert by_load(place) == [[5, 6], [1], [2, 3, 4]]
    rows[2] = ROWS[2]
    run(place, source, "2024-01-01/2024-01-04")
    assert by_load(place) == [[5, 6], [1, 2], [3, 4]]
    del rows[3:5]
    run(place, source, "2024-01-02")
    assert place.column("SELECT id FROM raw_t ORDER BY id") == [1, 2, 5, 6]


@pytest.mark.postgres
@pytest.mark.parametrize("type_", ["timestamp", "timestamptz"])
def test_midnight_parts_the_days_of_a_database_in_utc(tmp_path: Path, postgres: PostgresServer, type_: str) -> None:
    """The server's own zone, that of New York, is not asked."""
    postgres.execute(f"DROP TABLE IF EXISTS midnights; CREATE TABLE midnights (id int, at {type_})")
    with psycopg.connect(postgres.url(), options="-c TimeZone=UTC") as connection:
        connection.cursor().executemany("INSERT INTO midnights VALUES (%s, %s)", ROWS)
    place = Place(tmp_path, postgres.url())
    source = sources.sql("ops", table="midnights", name="t", interval="at", write="append")
    run(place, source)
    assert by_load(place) == list(DAYS.values())
    assert run(place, source, "2024-01-01/2024-01-04").state is State.UNCHANGED
    place.close()


def test_rows_that_were_set_aside_are_judged_by_the_checks_of_today(place: Place) -> None:
    source = sources.python(lambda: given(ROWS), table="t", interval="at", write="append")
    strict = [checks.between("id", 0, 3, severity="quarantine")]
    run(place, source, checks=strict)
    assert place.column("SELECT id FROM raw_t ORDER BY id") == [1, 2, 3]
    run(place, source, "2024-01-01/2024-01-04", checks=[checks.between("id", 0, 5, severity="quarantine")])
    assert by_load(place) == [[1, 2], [3, 4], [5]]


def test_rows_without_a_moment_are_in_no_interval_and_told(place: Place) -> None:
    table = pa.table({"id": [1, 2], "at": pa.array([datetime(2024, 1, 1), None], pa.timestamp("us"))})  # noqa: DTZ001
    receipt = run(place, sources.python(lambda: table, table="t", interval="at", write="append"))
    assert place.column("SELECT id FROM raw_t") == [1]
    assert notes(receipt).count("1 rows of t have no moment in at and belong to no interval; they are not read") == 1


@pytest.mark.parametrize("kind", ["postgres", "sqlite", "duckdb"])
def test_rows_of_a_database_without_a_moment_are_told_once_a_run(
    tmp_path: Path, request: pytest.FixtureRequest, kind: str
) -> None:
    rows = "(1, '2024-01-01 00:00:00'), (2, '2024-01-02 00:00:00'), (3, NULL), (4, NULL)"
    statements = ["DROP TABLE IF EXISTS timeless", "CREATE TABLE timeless (id INTEGER, \"at\" TIMESTAMP)",
                  f"INSERT INTO timeless VALUES {rows}"]  # fmt: skip
    url, lost = f"{kind}:///{tmp_path / 'ops.db'}", 2
    if kind == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres")
        url, lost = server.url(), 3
        for statement in (*statements, "INSERT INTO timeless VALUES (5, 'infinity')"):
            server.execute(statement)
    else:
        connect = sqlite3.connect if kind == "sqlite" else duckdb.connect
        with closing(connect(str(tmp_path / "ops.db"))) as connection:
            for statement in statements:
                connection.execute(statement)
            connection.commit()
    place = Place(tmp_path, url)
    source = sources.sql("ops", table="timeless", name="t", interval="at", write="append")
    told = f"{lost} rows of timeless have no moment in at and belong to no interval; they are not read"
    assert notes(run(place, source)).count(told) == 1
    assert place.column("SELECT id FROM raw_t ORDER BY id") == [1, 2]
    assert notes(run(place, source, "2024-01-01/2024-01-04")).count(told) == 1
    place.close()


def test_intervals_do_not_go_with_a_table_that_is_replaced() -> None:
    with pytest.raises(ConfigurationError, match=r"each interval would throw out the one before.*append, merge, scd2"):
        sources.python([], table="t", interval="at", write="replace")
