"""Reading SQLite, Python objects and endpoints by cursor, run after run."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from incremental import Place, notes, read

from penstock import checks, sources
from penstock.errors import ConfigurationError
from penstock.model.entries import Verdict
from penstock.model.receipts import State
from penstock.model.specs import PipelineSpec
from penstock.orchestrate import judging

APPENDED: dict[str, Any] = {"cursor": "at", "write": "append"}


@pytest.fixture
def ops(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(tmp_path / "ops.db", isolation_level=None)
    yield connection
    connection.close()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path, f"sqlite:///{tmp_path / 'ops.db'}")
    yield place
    place.close()


@pytest.mark.parametrize(
    "values",
    [
        [1, 2, 3],
        ["2024-01-01", "2024-01-02", "2024-01-03"],
        ["2024-01-01 00:00:00", "2024-01-01 00:00:00.1", "2024-01-01 00:00:01"],
        ["2024-11-03T01:30:00-04:00", "2024-11-03T01:10:00-05:00", "2024-11-03T01:20:00-05:00"],
        ["2024-01-01T20:00:00+14:00", "2024-01-01T06:30:00+00:00", "2024-01-01T01:00:00-12:00"],
        [1704067200, 1704067201, 1704067202],
        [0.1, 0.2, 0.30000000000000004],
        ["10", "9", "90"],
    ],
)
def test_cursors_of_all_kinds_lose_and_double_nothing(place: Place, ops: sqlite3.Connection, values: list[Any]) -> None:
    ops.execute("CREATE TABLE t (id INTEGER, at)")
    for number, value in enumerate(values):
        for copy in range(2):
            ops.execute("INSERT INTO t VALUES (?, ?)", (2 * number + copy, value))
            place.sql(**APPENDED)
            assert place.sql(**APPENDED).state is State.UNCHANGED
    assert place.column("SELECT id FROM raw_t ORDER BY id") == list(range(6))


def test_offsets_of_a_year_with_summer_time_and_a_lag(place: Place, ops: sqlite3.Connection) -> None:
    ops.execute("CREATE TABLE t (id INTEGER, at TIMESTAMP)")
    ops.execute(
        "INSERT INTO t VALUES (1, '2024-11-03T01:10:00-05:00'), (2, NULL), (3, 'soon'), "
        "(7, '2024-07-01T00:00:00-04:00')"
    )
    place.sql(**APPENDED, lag="30m")
    ops.execute("INSERT INTO t VALUES (4, '2024-11-03T01:50:00-04:00'), (5, '2024-11-03T01:30:00-04:00'), (6, 'later')")
    place.sql(**APPENDED, lag="30m")
    assert place.column("SELECT id FROM raw_t ORDER BY id") == [1, 2, 3, 4, 6, 7]


def test_rows_at_the_boundary_of_a_discarded_load_do_not_come_back(place: Place, ops: sqlite3.Connection) -> None:
    place.checks = (checks.between("v", 0, 9),)
    ops.execute("CREATE TABLE t (id INTEGER, at INTEGER, v INTEGER)")
    ops.execute("INSERT INTO t VALUES (1, 1, 1)")
    place.sql(**APPENDED)
    ops.execute("INSERT INTO t VALUES (2, 2, 99)")
    assert place.run(sources.sql("ops", table="t", **APPENDED)).state is not State.DONE
    (load,) = [r.entry for r in place.workspace.catalog.loads("raw_t") if r.verdict is Verdict.REJECTED]
    known = {"p": PipelineSpec(name="p", sources=(sources.sql("ops", table="t", **APPENDED),))}
    judging.discard(place.workspace, known, "t", load.number, reason="wrong", by="me")
    ops.execute("INSERT INTO t VALUES (3, 2, 3)")
    place.sql(**APPENDED)
    assert place.column("SELECT id FROM raw_t ORDER BY id") == [1, 3]


def test_a_value_that_changes_back_within_one_tick_of_the_cursor_is_seen(place: Place, ops: sqlite3.Connection) -> None:
    ops.execute("CREATE TABLE t (id INTEGER, at INTEGER, v TEXT)")
    ops.execute("INSERT INTO t VALUES (1, 1, 'a'), (2, 1, 'z')")
    for value in ("a", "b", "a", "b", "b", "a"):
        ops.execute("UPDATE t SET v = ? WHERE id = 1", (value,))
        place.sql(cursor="at", key="id", write="merge")
        assert place.rows("SELECT id, v FROM raw_t ORDER BY id") == [(1, value), (2, "z")]


def test_a_log_of_several_rows_per_key_does_not_grow_when_its_end_is_read_again(
    place: Place, ops: sqlite3.Connection
) -> None:
    ops.execute("CREATE TABLE t (id INTEGER, at INTEGER, v TEXT)")
    ops.execute("INSERT INTO t VALUES (1, 1, 'a'), (1, 1, 'b'), (1, 1, 'c')")
    reading: dict[str, Any] = {"cursor": "at", "key": "id", "write": "append"}
    place.sql(**reading)
    for _ in range(3):
        assert place.sql(**reading).state is State.UNCHANGED
    assert place.column("SELECT v FROM raw_t ORDER BY v") == ["a", "b", "c"]


def test_rows_that_are_equal_in_all_are_counted_in_each_run(place: Place, ops: sqlite3.Connection) -> None:
    ops.execute("CREATE TABLE t (at INTEGER, v TEXT)")
    ops.execute("INSERT INTO t VALUES (1, 'a'), (1, 'a')")
    reading: dict[str, Any] = {"cursor": "at", "write": "append"}
    place.sql(**reading)
    for count in (3, 4):
        ops.execute("INSERT INTO t VALUES (1, 'a')")
        place.sql(**reading)
        assert place.sql(**reading).state is State.UNCHANGED
        assert place.column("SELECT v FROM raw_t") == ["a"] * count


@pytest.mark.parametrize("policy", ["include", "exclude", "raise"])
@pytest.mark.parametrize("kind", ["sql", "python", "function"])
def test_rows_without_a_cursor_value(place: Place, ops: sqlite3.Connection, kind: str, policy: str) -> None:
    rows = [{"id": 1, "at": 5}, {"id": 2, "at": None}]
    ops.execute("CREATE TABLE t (id INTEGER, at INTEGER)")
    ops.executemany("INSERT INTO t VALUES (:id, :at)", rows)

    def chosen(position: Any) -> list[dict[str, Any]]:
        return [row for row in rows if not position or row["at"] is None or row["at"] >= position["cursor"]]

    reading = {**APPENDED, "on_null_cursor": policy}
    source = {
        "sql": sources.sql("ops", table="t", **reading),
        "python": sources.python(lambda: rows, table="t", **reading),
        "function": sources.python(chosen, table="t", **reading),
    }[kind]
    first = place.run(source)
    more = [{"id": 3, "at": None}, {"id": 4, "at": 4}, {"id": 5, "at": 5}]
    ops.executemany("INSERT INTO t VALUES (:id, :at)", more)
    rows += more
    second = place.run(source)
    if policy == "raise":
        assert "1 rows of t have no at, by which it is read" in first.error
        assert "2 rows of t have no at" in second.error
        return
    assert place.column("SELECT id FROM raw_t ORDER BY id") == ([1, 2, 3, 5] if policy == "include" else [1, 5])
    assert "2 rows of t have no at" in notes(second)
    assert place.run(source).state is State.UNCHANGED


def test_python_objects_that_are_late_equal_or_dated_in_the_future(place: Place) -> None:
    now = datetime.now(UTC)
    rows = [{"id": 1, "at": now - timedelta(hours=3)}, {"id": 2, "at": now + timedelta(hours=5)}]
    source = sources.python(lambda: rows, table="t", **APPENDED)
    place.good(source)
    rows += [
        {"id": 3, "at": (now - timedelta(hours=2)).astimezone(timezone(timedelta(hours=14)))},
        {"id": 4, "at": rows[0]["at"]},
    ]
    place.good(source)
    assert place.good(source).state is State.UNCHANGED
    assert place.column("SELECT id FROM raw_t ORDER BY id") == [1, 2, 3, 4]
    rows.append({"id": 5, "at": now - timedelta(hours=4)})
    place.good(source)
    assert 5 not in place.column("SELECT id FROM raw_t")
    place.good(sources.python(lambda: rows, table="t", **APPENDED, lag="1d"))
    assert 5 in place.column("SELECT id FROM raw_t")


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_no_unit_of_time_reloads_or_skips_on_the_way_through_the_position(place: Place, unit: str) -> None:
    ticks = [1_704_067_200_123_456_700 // {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}[unit] + n for n in range(3)]
    rows: list[int] = []
    source = sources.python(
        lambda: pa.table({"id": list(range(len(rows))), "at": pa.array(rows, pa.timestamp(unit))}),
        table="t",
        **APPENDED,
    )
    for tick in ticks:
        rows.append(tick)
        place.good(source)
        assert place.good(source).state is State.UNCHANGED
    assert place.column("SELECT id FROM raw_t ORDER BY id") == [0, 1, 2]


def test_an_unsorted_source_that_breaks_leaves_no_position_past_rows_that_were_not_read(place: Place) -> None:
    broken = [True]

    def rows() -> Iterator[dict[str, int]]:
        yield {"id": 1, "at": 9}
        if broken[0]:
            raise OSError("gone")
        yield {"id": 2, "at": 3}

    source = sources.python(rows, table="t", **APPENDED)
    assert place.run(source).state is State.FAILED
    broken[0] = False
    place.good(source)
    assert place.column("SELECT id FROM raw_t ORDER BY id") == [1, 2]


def test_only_files_near_the_boundary_are_read_again(place: Place, ops: sqlite3.Connection) -> None:
    ops.execute("CREATE TABLE t (id INTEGER, at INTEGER)")
    for number in range(6):
        ops.execute("INSERT INTO t VALUES (?, ?)", (number, number))
        place.sql(**APPENDED)
    older = sorted((place.folder / "lake" / "raw_t").rglob("*.parquet"))[:4]
    for path in older:
        path.rename(path.with_suffix(".away"))
    ops.execute("INSERT INTO t VALUES (6, 5)")
    land_only = place.run(sources.sql("ops", table="t", **APPENDED))
    for path in older:
        path.with_suffix(".away").rename(path)
    assert read(land_only) == 2, land_only.error


@pytest.mark.parametrize(
    ("reading", "sentence"),
    [
        ({"cursor": "at", "on_null_cursor": "ignore"}, "on_null_cursor of source 't' is not known"),
        ({"horizon": True}, "has a horizon but no cursor"),
        ({"cursor": "at", "horizon": True, "write": "replace"}, "is not read by its cursor"),
        ({"cursor": "at", "horizon": True, "interval": "at"}, "is not read by its cursor"),
    ],
)
def test_readings_that_cannot_be_are_refused(reading: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        sources.sql("ops", table="t", **reading)
    with pytest.raises(ConfigurationError, match="only tables of PostgreSQL have one"):
        sources.python([], table="t", cursor="at", horizon=True)


def test_a_horizon_of_sqlite_is_refused(place: Place, ops: sqlite3.Connection) -> None:
    ops.execute("CREATE TABLE t (id INTEGER, at INTEGER)")
    run = place.run(sources.sql("ops", table="t", **APPENDED, horizon=True))
    assert "only tables of PostgreSQL have one" in run.error
