"""Live tables where production is a PostgreSQL: readers there see each micro-batch that passed, once, whatever dies."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import psycopg
import pytest
from live_postgres import LIVE, asked, database, live_project, numbers, relations
from stream_project import (
    append,
    begun,
    drained,
    end_leases,
    events,
    in_lake,
    in_warehouse,
    killed_while_events_come,
    penstock,
    said,
    served,
    until,
)

from penstock import Project
from penstock.model.receipts import State
from servers.postgres import PostgresServer

pytestmark = pytest.mark.postgres
MERGED = LIVE.replace(
    'table="clicks",', 'table="clicks", write="merge", key="user", cursor="n", deletes={"column": "gone"},', 1
)


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return database(postgres.url(), "live")


@pytest.fixture
def folder(tmp_path: Path, url: str) -> Path:
    return live_project(tmp_path, url)


def log(folder: Path) -> Path:
    return folder / "logs/clicks.jsonl"


def in_production(folder: Path) -> Counter[int]:
    """Return what a reader of bare Delta sees."""
    from deltalake import DeltaTable

    found = DeltaTable(folder / "data/production/lake/clicks").to_pyarrow_table(columns=["n"])
    return Counter(found["n"].to_pylist())


def test_each_micro_batch_is_readable_once_it_passed(folder: Path, url: str) -> None:
    append(log(folder), events(0, 100))
    assert drained(folder).state is State.DONE, said(folder)
    assert numbers(url) == in_production(folder) == Counter(range(100))
    append(log(folder), [*events(100, 5), {"user": "a", "n": -1}, "{oops"])
    drained(folder)
    assert numbers(url) == in_production(folder) == Counter(range(105))
    assert asked(url, "SELECT DISTINCT _load, _created_at IS NOT NULL FROM clicks ORDER BY 1") == [(1, True), (3, True)]
    append(log(folder), [*events(105, 5), {"n": 110}])
    assert drained(folder).exit_code == 3
    assert numbers(url) == Counter(range(105))
    with Project(folder) as project:
        project.quarantine.replay("clicks", sets=["n = 200"])
        project.accept("clicks", 5, "the player forgot its user")
    drained(folder)
    assert numbers(url) == in_production(folder) == in_warehouse(folder)
    assert len(relations(url)) == 1


def test_columns_come_and_widen_while_views_of_others_stand_upon_it(folder: Path, url: str) -> None:
    append(log(folder), [{"user": "a", "n": 1, "size": 1}])
    drained(folder)
    asked(url, "DO $$ BEGIN CREATE ROLE analyst; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    asked(url, "GRANT SELECT ON clicks TO analyst")
    asked(url, "CREATE VIEW theirs AS SELECT n FROM clicks")
    before = relations(url)
    append(log(folder), [{"user": "b", "n": 2, "size": 3, "device": {"os": "x"}, "tags": ["p", "q"], "when": None}])
    drained(folder)
    # New columns stand behind those that are there, so nothing has to go.
    assert relations(url) == before
    assert asked(url, "SELECT n FROM theirs ORDER BY 1") == [(1,), (2,)]
    append(log(folder), [{"user": "c", "n": 3, "size": 1.5, "when": "2026-11-22", "Late": True}])
    assert "theirs" in drained(folder).error
    assert asked(url, "SELECT n FROM clicks ORDER BY 1") == [(1,), (2,)]
    asked(url, "DROP VIEW theirs")
    drained(folder)
    query = """SELECT n, "size", device->>'os', tags, "when", "Late" FROM clicks ORDER BY n"""
    assert asked(url, query) == [
        (1, 1.0, None, None, None, None),
        (2, 3.0, "x", ["p", "q"], None, None),
        (3, 1.5, None, None, "2026-11-22", True),
    ]
    assert asked(url, "SELECT pg_typeof(size)::text, pg_typeof(n)::text FROM clicks LIMIT 1") == [
        ("double precision", "bigint")
    ]
    assert asked(url, "SELECT has_table_privilege('analyst', 'clicks', 'SELECT')") == [(True,)]
    assert len(relations(url)) == 1


def test_merged_rows_are_those_of_the_staging_warehouse(folder: Path, url: str) -> None:
    (folder / "pipeline.py").write_text(MERGED)
    chance = random.Random(4)
    rows = [{"user": f"u{n % 9}", "n": n, "gone": chance.random() < 0.2} for n in range(120)]
    chance.shuffle(rows)
    for first in range(0, 120, 8):
        append(log(folder), rows[first : first + 8])
        assert drained(folder).state is State.DONE
        assert asked(url, 'SELECT "user", n FROM clicks ORDER BY 1') == in_staging(folder), first
    columns = [name for (name,) in asked(url, _COLUMNS)]
    assert columns == ["_file", "_offset", "user", "n", "gone", "_load", "_created_at"]
    # A cursor that becomes wider: all keys are compared anew.
    append(log(folder), [{"user": "u1", "n": 500.5, "gone": False}, {"user": None, "n": 1, "gone": False}])
    drained(folder)
    assert asked(url, 'SELECT "user", n FROM clicks ORDER BY 1') == in_staging(folder)


_COLUMNS = "SELECT attname::text FROM pg_attribute WHERE attrelid = 'clicks'::regclass AND attnum > 0 ORDER BY attnum"


def in_staging(folder: Path) -> list[tuple[object, ...]]:
    return served(folder, "SELECT user, n FROM raw_clicks ORDER BY user")


READER = """
import sys, time, psycopg
url, end = sys.argv[1], time.monotonic() + float(sys.argv[2])
last = 0
with psycopg.connect(url, autocommit=True) as connection:
    while time.monotonic() < end:
        query = "SELECT count(*), count(DISTINCT n), max(n) FROM clicks"
        rows, distinct, greatest = connection.execute(query).fetchone()
        assert rows == distinct == greatest + 1, (rows, distinct, greatest)
        assert rows >= last, (rows, last)
        last = rows
print(last)
"""


def test_killed_at_any_time_readers_see_whole_micro_batches_once_and_releases_go_on(folder: Path, url: str) -> None:
    text = LIVE.replace("transforms=", 'promote=["per_user"], approve="automatic", transforms=')
    (folder / "pipeline.py").write_text(text)
    append(log(folder), events(0, 10))
    drained(folder)
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, url, "30"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    released = threading.Thread(target=release, args=(folder,))
    released.start()
    try:
        count = killed_while_events_come(folder, 10, 27, (1.5, 5), seed=5)
        released.join()
        told, failed = reader.communicate(timeout=60)
        assert reader.returncode == 0, failed
        assert int(told) >= 10
    finally:
        reader.kill()
        reader.wait()
        released.join()
    end_leases(folder)
    assert drained(folder).exit_code == 0, said(folder)
    assert numbers(url) == in_production(folder) == in_warehouse(folder) == in_lake(folder) == Counter(range(count))
    assert len(relations(url)) == 1
    end_leases(folder)
    before = numbers(url)
    release(folder)
    done = penstock(folder, "rollback", "--reason", "as it was")
    assert done.returncode == 0, done.stderr
    assert numbers(url) == before
    assert asked(url, "SELECT sum(clicks) > 0 FROM per_user") == [(True,)]


def release(folder: Path) -> None:
    """Compare, approve and promote what is there, whatever the stream does."""
    for command in ("run", "diff", "promote"):
        done = penstock(folder, command)
        assert done.returncode in (0, 5), (command, done.stdout, done.stderr)


def test_a_server_that_is_away_is_waited_for(folder: Path, url: str) -> None:
    append(log(folder), events(0, 10))
    process = begun(folder, "stream")
    try:
        until(lambda: there(url) == 10)
        name = url.rpartition("/")[2]
        main = url.replace(f"/{name}", "/postgres")
        asked(main, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        asked(main, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        append(log(folder), events(10, 10))
        until(lambda: in_production(folder).total() == 20)
        assert process.poll() is None, said(folder)
        asked(main, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        until(lambda: there(url) == 20)
        append(log(folder), events(20, 10))
        until(lambda: there(url) == 30)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, said(folder)
    assert numbers(url) == Counter(range(30))


def there(url: str) -> int:
    try:
        return numbers(url).total()
    except psycopg.Error:
        return 0


def test_taken_back_to_a_load_and_forward_again(folder: Path, url: str) -> None:
    for n in range(0, 40, 10):
        append(log(folder), events(n, 10))
        drained(folder)
    with Project(folder) as project:
        loads = [load for (load,) in asked(url, "SELECT DISTINCT _load FROM clicks ORDER BY 1")]
        project.live.rollback("clicks", loads[1], reason="the player counted twice", by="ada")
        assert numbers(url) == in_production(folder) == Counter(range(20))
        append(log(folder), events(50, 10))
        drained(folder)
        assert numbers(url) == in_production(folder) == Counter([*range(20), *range(50, 60)])
        project.live.rollback("clicks", loads[3], reason="it was right")
        assert numbers(url) == Counter(range(40))
        project.live.rollback("clicks", 0, reason="all of it")
        assert numbers(url) == Counter()
    assert len(relations(url)) == 1


def test_what_stands_there_already_is_not_touched(folder: Path, url: str) -> None:
    asked(url, "CREATE TABLE clicks (n int)")
    append(log(folder), events(0, 10))
    assert "There is a table 'clicks' in PostgreSQL" in drained(folder).error
    asked(url, "DROP TABLE clicks")
    drained(folder)
    assert numbers(url) == Counter(range(10))
    # The view is the table's own: dropped, it comes again, with all rows.
    asked(url, "DROP VIEW clicks")
    append(log(folder), events(10, 10))
    drained(folder)
    assert numbers(url) == Counter(range(20))


def test_another_lake_of_that_name_is_refused(folder: Path, url: str, tmp_path: Path) -> None:
    append(log(folder), events(0, 10))
    drained(folder)
    other = live_project(tmp_path / "other", url)
    append(log(other), events(0, 3))
    assert "was written from another production lake" in drained(other).error
    assert numbers(url) == Counter(range(10))
    append(log(folder), events(10, 3))
    drained(folder)
    assert numbers(url) == Counter(range(13))
    asked(url, "DROP VIEW clicks")
    assert drained(other).exit_code == 0
    assert numbers(url) == Counter(range(3))


def test_a_value_that_cannot_be_there_stops_it_with_a_sentence(folder: Path, url: str) -> None:
    append(log(folder), events(0, 10))
    drained(folder)
    append(log(folder), ['{"user": "a\\u0000b", "n": 10}'])
    told = drained(folder).error
    assert "Column 'user' of 'clicks' cannot be loaded into PostgreSQL" in told
    assert "penstock rollback --table clicks --to 1" in told
    with Project(folder) as project:
        project.live.rollback("clicks", 1, reason="a byte 0")
    append(log(folder), events(11, 10))
    drained(folder)
    assert numbers(url) == Counter([*range(10), *range(11, 21)])
