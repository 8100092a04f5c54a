"""Reading MariaDB and MySQL by cursor, run after run: what comes late, equal, null, from the future, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from incremental import Place, notes, read

from penstock import sources
from penstock.model.receipts import State
from servers.mariadb import MariaServer

KEYED: dict[str, Any] = {"cursor": "at", "key": "id", "write": "merge"}
APPENDED: dict[str, Any] = {"cursor": "at", "write": "append"}


@pytest.fixture(params=["mariadb", "mysql"])
def database(request: pytest.FixtureRequest) -> MariaServer:
    server: MariaServer = request.getfixturevalue(request.param)
    server.execute("DROP DATABASE IF EXISTS shop", "CREATE DATABASE shop")
    return server


@pytest.fixture
def place(tmp_path: Path, database: MariaServer) -> Iterator[Place]:
    place = Place(tmp_path, database.url(password=None), password="tester")
    yield place
    place.close()


def test_equal_values_across_runs_land_once_and_late_ones_with_the_same_value_land(
    place: Place, database: MariaServer
) -> None:
    database.execute(
        "CREATE TABLE t (id INT, at TIMESTAMP(6))", "INSERT INTO t VALUES (1, '2024-01-01'), (2, '2024-01-01')"
    )
    place.sql(**APPENDED)
    database.execute("INSERT INTO t VALUES (3, '2024-01-01')")
    again = place.sql(**APPENDED)
    assert (read(again), "2 rows were landed before" in notes(again)) == (3, True)
    assert place.sql(**APPENDED).state is State.UNCHANGED
    assert place.column("SELECT id FROM raw_t ORDER BY id") == [1, 2, 3]


def test_a_late_commit_is_missed_without_a_lag_and_found_by_one_as_far_as_it_goes(
    place: Place, database: MariaServer
) -> None:
    database.execute("CREATE TABLE t (id INT PRIMARY KEY, at DATETIME(6))")
    with database.connect() as late, database.connect() as later:
        late.cursor().execute("INSERT INTO t VALUES (2, '2024-01-01 09:30')")
        later.cursor().execute("INSERT INTO t VALUES (3, '2024-01-01 07:30')")
        database.execute("INSERT INTO t VALUES (1, '2024-01-01 10:00')")
        place.sql(**KEYED)
        late.commit()
        later.commit()
    place.sql(**KEYED)
    assert place.column("SELECT id FROM raw_t") == [1]
    place.sql(**KEYED, lag="1h")
    assert place.column("SELECT id FROM raw_t ORDER BY id") == [1, 2]
    place.sql(**KEYED, lag="90000d")
    assert place.column("SELECT id FROM raw_t ORDER BY id") == [1, 2, 3]
    assert place.sql(**KEYED, lag="90000d").state is State.UNCHANGED


def test_a_row_that_changes_replaces_its_older_state(place: Place, database: MariaServer) -> None:
    database.execute(
        "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(9), at TIMESTAMP(6) DEFAULT NOW(6) ON UPDATE NOW(6))",
        "INSERT INTO t SELECT seq, 'a', NOW(6) - INTERVAL 5001 - seq SECOND FROM seq_1_to_5000",
    )
    place.sql(**KEYED)
    database.execute("UPDATE t SET v = 'b' WHERE id % 1000 = 0", "DELETE FROM t WHERE id = 7")
    again = place.sql(**KEYED)
    assert read(again) == 5  # the row of the boundary, 5000, was updated too
    assert place.column("SELECT count(*) FROM raw_t WHERE v = 'b'") == [5]
    assert place.column("SELECT count(*) FROM raw_t") == [5000]
    assert place.sql(**KEYED).state is State.UNCHANGED


@pytest.mark.parametrize("policy", ["include", "exclude", "raise"])
def test_rows_without_a_cursor_value(place: Place, database: MariaServer, policy: str) -> None:
    database.execute("CREATE TABLE t (id INT, at DATETIME)", "INSERT INTO t VALUES (1, '2024-01-01'), (2, NULL)")
    source = sources.sql("ops", table="t", **APPENDED, on_null_cursor=policy)
    first = place.run(source)
    database.execute("INSERT INTO t VALUES (3, NULL), (4, '2023-12-31')")
    second = place.run(source)
    if policy == "raise":
        assert "1 rows of t have no at, by which it is read" in str(first.error)
        assert "2 rows of t have no at" in str(second.error)
        return
    assert place.column("SELECT id FROM raw_t ORDER BY id") == ([1, 2, 3] if policy == "include" else [1])
    assert "have no at" in notes(first) + notes(second)
    assert place.run(source).state is State.UNCHANGED


@pytest.mark.parametrize(
    ("type_", "now", "ahead"),
    [
        ("TIMESTAMP(6) NULL", "NOW(6)", "NOW(6) + INTERVAL 20 HOUR"),
        ("DATETIME(6)", "UTC_TIMESTAMP(6)", "UTC_TIMESTAMP(6) + INTERVAL 20 HOUR"),
        ("DATE", "UTC_DATE()", "UTC_DATE() + INTERVAL 2 DAY"),
        ("BIGINT", "UNIX_TIMESTAMP()", "UNIX_TIMESTAMP() + 72000"),
    ],
)
def test_rows_of_the_future_hide_no_row_to_come(
    place: Place, database: MariaServer, type_: str, now: str, ahead: str
) -> None:
    database.execute(
        f"CREATE TABLE t (id INT, at {type_})",
        f"INSERT INTO t SELECT 1, {now} UNION ALL SELECT 2, {ahead}",
    )
    place.sql(**APPENDED)
    database.execute(f"INSERT INTO t SELECT 3, {now}")
    place.sql(**APPENDED)
    assert place.column("SELECT id FROM raw_t ORDER BY id") == [1, 2, 3]


def test_a_cursor_that_is_another_column_or_of_another_type_is_refused(place: Place, database: MariaServer) -> None:
    database.execute("CREATE TABLE t (id INT, at DATETIME)", "INSERT INTO t VALUES (1, '2024-01-01')")
    place.sql(**APPENDED)
    other = place.run(sources.sql("ops", table="t", cursor="id", write="append"))
    assert "it was last read by 'at'" in str(other.error)
    database.execute("ALTER TABLE t MODIFY at DATE")
    changed = place.run(sources.sql("ops", table="t", **APPENDED))
    assert "changed its type since it was last read" in str(changed.error)


def test_a_run_is_reconciled_and_a_failed_one_leaves_the_cursor_where_it_was(
    place: Place, database: MariaServer
) -> None:
    database.execute("CREATE TABLE t (id INT PRIMARY KEY, n DECIMAL(20,5), at DATETIME(6))")
    database.execute("INSERT INTO t SELECT seq, seq / 3, '2024-01-01' + INTERVAL seq SECOND FROM seq_1_to_2000")
    place.sql(**KEYED, reconcile="hashes")
    database.execute("INSERT INTO t SELECT seq, seq / 7, '2024-01-02' + INTERVAL seq SECOND FROM seq_2001_to_3000")
    database.execute("RENAME TABLE t TO gone")
    assert place.run(sources.sql("ops", table="t", **KEYED, reconcile="hashes")).state is State.FAILED
    database.execute("RENAME TABLE gone TO t")
    receipt = place.sql(**KEYED, reconcile="hashes")
    assert (read(receipt), "1 rows were landed before" in notes(receipt)) == (1001, True)
    assert [step.reconciled for step in receipt.steps if step.step.startswith("extract")] == ["reconciled"]
    ((rows, total),) = place.rows("SELECT count(*), sum(n) FROM raw_t")
    assert [(rows, total)] == database.execute("SELECT COUNT(*), SUM(n) FROM t")
