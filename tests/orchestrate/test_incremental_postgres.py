"""Reading PostgreSQL by cursor and by horizon, run after run, while other transactions write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from incremental import Place, notes, read

from penstock import sources
from penstock.model.receipts import State
from servers.postgres import PostgresServer

pytestmark = pytest.mark.postgres

KEYED: dict[str, Any] = {"cursor": "at", "key": "id", "write": "merge"}
APPENDED: dict[str, Any] = {"cursor": "at", "write": "append"}


@pytest.fixture
def database(postgres: PostgresServer) -> PostgresServer:
    postgres.execute("DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public")
    return postgres


@pytest.fixture
def place(tmp_path: Path, database: PostgresServer) -> Iterator[Place]:
    place = Place(tmp_path, database.url())
    yield place
    place.close()


@pytest.fixture
def session(database: PostgresServer) -> Iterator[Callable[[], psycopg.Connection[Any]]]:
    opened: list[psycopg.Connection[Any]] = []

    def begin() -> psycopg.Connection[Any]:
        opened.append(psycopg.connect(database.url()))
        return opened[-1]

    yield begin
    for connection in opened:
        connection.close()


Session = Callable[[], psycopg.Connection[Any]]


def test_equal_values_across_runs_land_once_and_late_ones_with_the_same_value_land(
    place: Place, database: PostgresServer
) -> None:
    database.execute(
        "CREATE TABLE t (id int, at timestamptz); INSERT INTO t VALUES (1, '2024-01-01'), (2, '2024-01-01')"
    )
    place.sql(**APPENDED)
    database.execute("INSERT INTO t VALUES (3, '2024-01-01')")
    place.sql(**APPENDED)
    assert place.sql(**APPENDED).state is State.UNCHANGED
    assert place.column("SELECT id FROM raw_t ORDER BY id") == [1, 2, 3]


@pytest.mark.parametrize("reading", [KEYED, APPENDED], ids=["merge", "append"])
def test_a_row_that_was_committed_late_is_found_by_the_horizon(
    place: Place, database: PostgresServer, session: Session, reading: dict[str, Any]
) -> None:
    database.execute("CREATE TABLE t (id int, at timestamptz); INSERT INTO t VALUES (1, '2024-01-01')")
    late, nested, long = session(), session(), session()
    late.execute("INSERT INTO t VALUES (2, '2020-01-01')")
    nested.execute("SELECT pg_current_xact_id()")
    nested.execute("SAVEPOINT a; INSERT INTO t VALUES (3, '2019-01-01'); SAVEPOINT b; INSERT INTO t VALUES (4, NULL)")
    nested.execute("RELEASE SAVEPOINT b; SAVEPOINT c; INSERT INTO t VALUES (99, '2018-01-01'); ROLLBACK TO SAVEPOINT c")
    long.execute("INSERT INTO t VALUES (5, '2017-01-01')")
    database.execute("INSERT INTO t VALUES (6, '2024-06-01')")
    place.sql(**reading, horizon=True)
    assert place.column("SELECT id FROM raw_t ORDER BY id") == [1, 6]
    late.commit()
    place.sql(**reading, horizon=True)
    assert place.column("SELECT id FROM raw_t ORDER BY id") == [1, 2, 6]
    nested.commit()
    place.sql(**reading, horizon=True)
    assert place.column("SELECT id FROM raw_t ORDER BY id") == [1, 2, 3, 4, 6]
    for _ in range(3):
        place.sql(**reading, horizon=True)
    long.commit()
    place.sql(**reading, horizon=True)
    assert place.column("SELECT id FROM raw_t ORDER BY id") == [1, 2, 3, 4, 5, 6]
    place.sql(**reading, horizon=True)
    quiet = place.sql(**reading, horizon=True)
    assert (quiet.state, read(quiet)) == (State.UNCHANGED, 0)


def test_without_lag_or_horizon_a_late_commit_is_missed_and_a_lag_finds_it_as_far_as_it_goes(
    place: Place, database: PostgresServer, session: Session
) -> None:
    database.execute("CREATE TABLE t (id int, at timestamptz)")
    late, later = session(), session()
    late.execute("INSERT INTO t VALUES (2, '2024-01-01 09:30Z')")
    later.execute("INSERT INTO t VALUES (3, '2024-01-01 07:30Z')")
    database.execute("INSERT INTO t VALUES (1, '2024-01-01 10:00Z')")
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


def test_the_horizon_holds_through_prepared_transactions_and_freezing(
    place: Place, database: PostgresServer, session: Session
) -> None:
    if database.execute("SHOW max_prepared_transactions") == [("0",)]:
        pytest.fail("the server of the tests must allow prepared transactions")
    database.execute("CREATE TABLE t (id int, at timestamptz); INSERT INTO t VALUES (1, '2024-01-01')")
    two = session()
    two.execute("INSERT INTO t VALUES (2, '2020-01-01')")
    two.execute("PREPARE TRANSACTION 'two'")
    two.close()
    database.execute("INSERT INTO t VALUES (3, '2024-02-01')")
    place.sql(**APPENDED, horizon=True)
    with psycopg.connect(database.url(), autocommit=True) as other:
        other.execute("COMMIT PREPARED 'two'")
        other.execute("VACUUM (FREEZE, ANALYZE) t")
        other.execute("VACUUM FULL t")
    place.sql(**APPENDED, horizon=True)
    assert place.column("SELECT id FROM raw_t ORDER BY id") == [1, 2, 3]


def test_a_version_that_was_written_last_wins_whatever_its_cursor_says(
    place: Place, database: PostgresServer, session: Session
) -> None:
    database.execute(
        "CREATE TABLE t (id int PRIMARY KEY, at timestamptz, v text); INSERT INTO t VALUES (1, now(), 'a')"
    )
    early = session()
    early.execute("SELECT now()")
    database.execute("UPDATE t SET v = 'b', at = now()")
    place.sql(**KEYED, horizon=True)
    early.execute("UPDATE t SET v = 'c', at = now()")  # its now() is the moment at which it began
    early.commit()
    place.sql(**KEYED, horizon=True)
    assert place.column("SELECT v FROM raw_t") == ["c"]
    database.execute("UPDATE t SET v = 'b', at = (SELECT at FROM t)")  # back, with the cursor left as it was
    place.sql(**KEYED, horizon=True)
    database.execute("UPDATE t SET v = 'c'")
    place.sql(**KEYED, horizon=True)
    assert place.column("SELECT v FROM raw_t") == ["c"]


def test_a_lag_bounds_how_far_back_the_horizon_looks_and_an_index_serves_it(
    place: Place, database: PostgresServer
) -> None:
    database.execute(
        "CREATE TABLE t (id int, at timestamptz); CREATE INDEX ON t (at);"
        "INSERT INTO t SELECT i, timestamptz '2024-01-01Z' + i * interval '1 minute' FROM generate_series(1, 5000) i"
    )
    place.sql(**KEYED, horizon=True, lag="1d")
    database.execute(
        "INSERT INTO t SELECT 9001, max(at) - interval '23 hours' FROM t; INSERT INTO t VALUES (9002, '2024-01-01Z')"
    )
    again = place.sql(**KEYED, horizon=True, lag="1d")
    assert place.column("SELECT id FROM raw_t WHERE id > 9000") == [9001]
    assert read(again) == 1


def test_a_horizon_that_does_not_belong_to_the_table_any_more_reads_all_and_says_so(
    place: Place, database: PostgresServer
) -> None:
    rows = "SELECT i, timestamptz '2024-01-01' + i * interval '1 minute' FROM generate_series(1, 9) i"
    database.execute(f"CREATE TABLE t (id int, at timestamptz); INSERT INTO t {rows}")
    database.execute(
        f"CREATE TABLE u (id int, at timestamptz); INSERT INTO u {rows}; INSERT INTO u VALUES (10, '2020-01-01')"
    )
    place.sql(**APPENDED, horizon=True)
    database.execute("ALTER TABLE t RENAME TO old; ALTER TABLE u RENAME TO t")
    swapped = place.sql(**APPENDED, horizon=True)
    assert "compared with what was landed: the table was made anew" in notes(swapped)
    assert place.column("SELECT id FROM raw_t ORDER BY id") == list(range(1, 11))
    database.execute("ALTER TABLE t ALTER id TYPE bigint")  # writes every row anew
    place.sql(**APPENDED, horizon=True)
    assert place.column("SELECT count(*) FROM raw_t") == [10]


def test_a_partition_with_old_rows_that_is_attached_is_read_whole(place: Place, database: PostgresServer) -> None:
    database.execute(
        "CREATE TABLE old (id int, at timestamptz); INSERT INTO old VALUES (1, '2020-05-05');"
        "CREATE TABLE t (id int, at timestamptz) PARTITION BY RANGE (at);"
        "CREATE TABLE new PARTITION OF t FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');"
        "INSERT INTO t VALUES (2, '2024-02-02')"
    )
    place.sql(**APPENDED, horizon=True, lag="1h")
    database.execute("ALTER TABLE t ATTACH PARTITION old FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')")
    attached = place.sql(**APPENDED, horizon=True, lag="1h")
    assert place.column("SELECT id FROM raw_t ORDER BY id") == [1, 2]
    assert read(attached) == 1


def test_views_and_queries_have_no_horizon(place: Place, database: PostgresServer) -> None:
    database.execute("CREATE TABLE t (id int, at timestamptz); CREATE VIEW v AS SELECT * FROM t")
    for source in (
        sources.sql("ops", table="v", **KEYED, horizon=True),
        sources.sql("ops", query="SELECT * FROM t", name="q", **KEYED, horizon=True),
    ):
        run = place.run(source)
        assert run.state is State.FAILED
        assert "has no horizon" in run.error


def test_a_bulk_update_is_landed_once_and_with_the_horizon_read_once(place: Place, database: PostgresServer) -> None:
    database.execute(
        "CREATE TABLE t (id int PRIMARY KEY, at timestamptz, v int); CREATE INDEX ON t (at);"
        "INSERT INTO t SELECT i, '2024-01-01', 0 FROM generate_series(1, 100000) i"
    )
    place.sql(**KEYED)
    again = place.sql(**KEYED)
    assert (again.state, place.column("SELECT count(*) FROM raw_t")) == (State.UNCHANGED, [100_000])
    assert "100000 rows were landed before" in notes(again)
    assert "left no horizon" in notes(place.sql(**KEYED, horizon=True))
    assert notes(place.sql(**KEYED, horizon=True)) == ""
    database.execute("INSERT INTO t VALUES (0, '2024-01-02', 0)")
    assert read(place.sql(**KEYED, horizon=True)) == 1
    place.sql(**KEYED)
    assert "1 rows were landed before" in notes(place.sql(**KEYED))


@pytest.mark.parametrize("policy", ["include", "exclude", "raise"])
def test_rows_without_a_cursor_value(place: Place, database: PostgresServer, policy: str) -> None:
    database.execute("CREATE TABLE t (id int, at timestamptz); INSERT INTO t VALUES (1, '2024-01-01'), (2, NULL)")
    source = sources.sql("ops", table="t", **APPENDED, on_null_cursor=policy)
    first = place.run(source)
    database.execute("INSERT INTO t VALUES (3, NULL), (4, '2023-12-31')")
    second = place.run(source)
    if policy == "raise":
        assert "1 rows of t have no at, by which it is read" in first.error
        assert "2 rows of t have no at" in second.error
        return
    assert place.column("SELECT id FROM raw_t ORDER BY id") == ([1, 2, 3] if policy == "include" else [1])
    assert "have no at" in notes(first) + notes(second)
    assert place.run(source).state is State.UNCHANGED


def test_future_rows_hide_no_row_to_come_not_even_those_of_the_next_hours(
    place: Place, database: PostgresServer
) -> None:
    database.execute(
        "CREATE TABLE t (id int, at timestamptz, local timestamp, day date, epoch bigint, text text);"
        "INSERT INTO t SELECT id, at, at AT TIME ZONE 'America/New_York', at::date, extract(epoch FROM at)::bigint, "
        "to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') "
        "FROM (VALUES (1, now() - interval '2 hours'), (2, now() + interval '20 hours'), (3, '2099-01-01')) v(id, at)"
    )
    for column in ("at", "local", "day", "epoch", "text"):
        reading = {**APPENDED, "cursor": column}
        other = sources.sql("ops", table="t", **reading)
        source = replace(other, table=f"by_{column}")
        place.good(source)
        database.execute(
            "INSERT INTO t SELECT 4, at, at AT TIME ZONE 'America/New_York', at::date, extract(epoch FROM at)::bigint, "
            "to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') FROM (SELECT now() AS at) n"
        )
        place.good(source)
        assert place.column(f"SELECT id FROM raw_by_{column} ORDER BY id") == [1, 2, 3, 4], column
        place.good(source)
        assert place.column(f"SELECT count(*) FROM raw_by_{column}") == [4]
        database.execute("DELETE FROM t WHERE id = 4")


@pytest.mark.parametrize(
    ("type_", "values"),
    [
        ("numeric", ["9", "10", "10.000000001"]),
        ("numeric(38,9)", ["9", "10", "10.000000001"]),
        ("uuid", [f"{n}0000000-0000-0000-0000-000000000000" for n in "19f"]),
        ("text", ["10", "9", "90"]),
        ('text COLLATE "en-x-icu"', ["B", "a", "ä"]),
        ("timestamp", ["2024-11-03 01:30:00.000001", "2024-11-03 01:30:00.000002", "2024-11-03 01:30:00.000003"]),
        ("timestamptz", ["2024-11-03 05:30:00+14", "2024-11-03 01:30:00-04", "2024-11-03 01:30:00-05"]),
        ("date", ["2024-01-01", "2024-01-02", "2024-01-03"]),
    ],
)
def test_cursors_of_other_types_lose_and_double_nothing(
    place: Place, database: PostgresServer, type_: str, values: list[str]
) -> None:
    database.execute(f"CREATE TABLE t (id int, at {type_})")
    for number, value in enumerate(values):
        for copy in range(2):
            database.execute("INSERT INTO t VALUES (%s, %s)", (2 * number + copy, value))
            place.sql(**APPENDED)
            assert place.sql(**APPENDED).state is State.UNCHANGED
    assert place.column("SELECT id FROM raw_t ORDER BY id") == list(range(6))


def test_a_cursor_that_was_renamed_retyped_or_exchanged_gets_a_sentence(place: Place, database: PostgresServer) -> None:
    database.execute("CREATE TABLE t (id int, at timestamptz, b timestamptz); INSERT INTO t VALUES (1, now(), now())")
    place.sql(**APPENDED)
    exchanged = place.run(sources.sql("ops", table="t", **{**APPENDED, "cursor": "b"}))
    assert "is now 'b', but it was last read by 'at'" in exchanged.error
    database.execute("ALTER TABLE t ALTER at TYPE date")
    assert "changed its type since it was last read" in place.run(sources.sql("ops", table="t", **APPENDED)).error
    database.execute("ALTER TABLE t RENAME at TO changed")
    assert "no column 'at'" in place.run(sources.sql("ops", table="t", **APPENDED)).error
    assert place.column("SELECT id FROM raw_t") == [1]


def test_a_column_that_was_added_or_dropped_doubles_no_row_that_is_read_again(
    place: Place, database: PostgresServer
) -> None:
    database.execute("CREATE TABLE t (id int, at date); INSERT INTO t VALUES (1, '2024-01-01'), (2, '2024-01-01')")
    place.sql(**APPENDED)
    database.execute("ALTER TABLE t ADD v text DEFAULT 'x'; INSERT INTO t VALUES (3, '2024-01-01', 'y')")
    place.sql(**APPENDED)
    place.sql(**APPENDED)
    assert place.rows("SELECT id, v FROM raw_t ORDER BY id") == [(1, None), (2, None), (3, "y")]
    database.execute("ALTER TABLE t DROP v; INSERT INTO t VALUES (4, '2024-01-01')")
    place.sql(**APPENDED)
    place.sql(**APPENDED)
    assert place.column("SELECT id FROM raw_t ORDER BY id") == [1, 2, 3, 4]
