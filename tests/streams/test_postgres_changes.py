"""Tables of a PostgreSQL that are kept up by their changes, from the first reading to the staging warehouse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from penstock import Project
from servers.postgres import PostgresServer
from streams.bank import agreed
from streams.capturing import emptied, project
from streams.stream_project import served, streamed
from typed import typed

pytestmark = pytest.mark.postgres

_ORDERS = "sources.postgres_changes('db', table='orders', key='id', write='merge', stream={'every': '300ms'})"
_MADE = """
    CREATE TABLE orders (id int PRIMARY KEY, note text, amount numeric(10, 2));
    INSERT INTO orders SELECT i, 'note ' || i, i FROM generate_series(1, 100) i;
"""


@pytest.fixture
def database(postgres: PostgresServer) -> PostgresServer:
    return emptied(postgres)


def same(folder: Path, database: PostgresServer, table: str = "orders") -> list[tuple[Any, ...]]:
    """Return the rows of a table, which are the same at the source and in the warehouse."""
    ((columns,),) = database.execute(
        "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute "
        f"WHERE attrelid = '{table}'::regclass AND attnum > 0 AND NOT attisdropped"
    )
    return agreed(folder, database, table, str(columns))


def test_every_kind_of_change_reaches_the_table(database: PostgresServer, tmp_path: Path) -> None:
    database.execute(_MADE)
    folder = project(tmp_path, database, _ORDERS)
    streamed(folder)
    assert len(same(folder, database)) == 100
    database.execute("INSERT INTO orders VALUES (101, NULL, NULL); UPDATE orders SET amount = amount + 1 WHERE id < 10")
    database.execute("DELETE FROM orders WHERE id = 50; INSERT INTO orders VALUES (50, 'again', 0)")
    database.execute("DELETE FROM orders WHERE id = 51; UPDATE orders SET id = 500 WHERE id = 52")
    database.execute("UPDATE orders SET id = id + 1000 WHERE id BETWEEN 60 AND 70")
    streamed(folder)
    assert len(same(folder, database)) == 100
    database.execute(
        "INSERT INTO orders VALUES (7777, 'gone', 0); TRUNCATE orders; INSERT INTO orders VALUES (1, 'one', 1)"
    )
    database.execute("UPDATE orders SET note = 'changed'")
    streamed(folder)
    assert same(folder, database) == [(1, "changed", 1)]
    database.execute("TRUNCATE orders")
    streamed(folder)
    assert same(folder, database) == []
    ops = [row[0] for row in served(folder, "SELECT DISTINCT _op FROM raw_orders")]
    assert ops == []


def test_the_warehouse_made_anew_is_the_same(database: PostgresServer, tmp_path: Path) -> None:
    database.execute(_MADE)
    folder = project(tmp_path, database, _ORDERS)
    for number in range(3):
        streamed(folder)
        database.execute(
            f"UPDATE orders SET note = 'n{number}' WHERE id % 3 = {number}; DELETE FROM orders WHERE id = {number}"
        )
        if number == 1:
            database.execute(f"TRUNCATE orders; {_MADE.partition(';')[2]}")
    streamed(folder)
    before = same(folder, database)
    (folder / "data/staging/warehouse.duckdb").unlink()
    rebuilt = typed(folder, "run", "shop")
    assert rebuilt.returncode == 0, rebuilt.stderr
    assert same(folder, database) == before


@pytest.mark.parametrize("identity", ["DEFAULT", "FULL"])
def test_a_long_value_that_an_update_leaves_alone_stays(
    database: PostgresServer, tmp_path: Path, identity: str
) -> None:
    database.execute(
        "CREATE TABLE orders (id int PRIMARY KEY, long text, amount int);"
        "ALTER TABLE orders ALTER long SET STORAGE EXTERNAL;"
        f"ALTER TABLE orders REPLICA IDENTITY {identity};"
        "INSERT INTO orders SELECT i, repeat(md5(i::text), 300), i FROM generate_series(1, 20) i"
    )
    folder = project(tmp_path, database, _ORDERS)
    streamed(folder)
    database.execute("UPDATE orders SET amount = -1 WHERE id <= 10")
    # Of rows that came in the same load, and of one that was changed twice in it.
    database.execute("INSERT INTO orders SELECT i, repeat(md5(i::text), 300), i FROM generate_series(21, 25) i")
    database.execute("UPDATE orders SET amount = -2 WHERE id >= 20; UPDATE orders SET amount = -3 WHERE id >= 23")
    database.execute("UPDATE orders SET long = NULL WHERE id = 5; UPDATE orders SET amount = -4 WHERE id = 5")
    database.execute(
        "UPDATE orders SET long = repeat('new', 3000) WHERE id = 6; UPDATE orders SET amount = -5 WHERE id = 6"
    )
    database.execute("DELETE FROM orders WHERE id = 7; INSERT INTO orders VALUES (7, repeat('back', 3000), 7)")
    database.execute("UPDATE orders SET amount = -6 WHERE id = 7")
    # A row that gets another key, one that gets two, one that goes then, and one whose value changes after it.
    database.execute("UPDATE orders SET id = id + 100 WHERE id IN (8, 9, 10, 11)")
    database.execute("UPDATE orders SET id = 209 WHERE id = 109; DELETE FROM orders WHERE id = 110")
    database.execute("UPDATE orders SET long = repeat('newest', 2000) WHERE id = 111")
    streamed(folder)
    same(folder, database)
    told = served(folder, "SELECT count(*) FROM raw_orders WHERE len(_unchanged) > 0")
    assert (told[0][0] > 0) == (identity == "DEFAULT")


def test_columns_that_come_and_go_amid_the_changes(database: PostgresServer, tmp_path: Path) -> None:
    database.execute(_MADE)
    folder = project(tmp_path, database, _ORDERS)
    streamed(folder)
    database.execute("UPDATE orders SET note = 'x' WHERE id = 1; ALTER TABLE orders ADD COLUMN extra int")
    database.execute("UPDATE orders SET extra = id WHERE id < 5; ALTER TABLE orders ALTER amount TYPE numeric(12, 4)")
    database.execute("INSERT INTO orders VALUES (200, 'y', 1.2345, 7)")
    streamed(folder)
    same(folder, database)
    database.execute("ALTER TABLE orders DROP COLUMN note; UPDATE orders SET extra = 9 WHERE id = 2")
    database.execute("ALTER TABLE orders RENAME COLUMN extra TO more; INSERT INTO orders VALUES (201, 1, 2)")
    streamed(folder)
    assert served(folder, "SELECT note, amount, more FROM raw_orders WHERE id = 201") == [(None, 1, 2)]
    assert served(folder, "SELECT count(*) FROM raw_orders") == [(102,)]


def test_tables_of_one_transaction_become_visible_together(database: PostgresServer, tmp_path: Path) -> None:
    database.execute(_MADE + "CREATE TABLE lines (id int, n int, PRIMARY KEY (id, n))")
    lines = "sources.postgres_changes('db', table='lines', key=['id', 'n'], write='merge')"
    folder = project(tmp_path, database, f"{_ORDERS}, {lines}")
    streamed(folder)
    database.execute("INSERT INTO orders VALUES (300, '', 0); INSERT INTO lines VALUES (300, 1), (300, 2)")
    assert "lines" in streamed(folder, "--table", "orders")
    assert len(same(folder, database, "lines")) == 2
    commits = served(
        folder,
        "SELECT _lsn, _committed_at FROM raw_orders WHERE id = 300 UNION SELECT _lsn, _committed_at FROM raw_lines",
    )
    assert len(commits) == 1
    with Project(folder) as opened:
        lags = {lag.table: lag for lag in opened.lags()}
    assert lags["orders"].lag is not None
    newest, (_, committed) = lags["orders"].partitions[0].newest, commits[0]
    assert newest is not None
    assert abs(newest - committed).total_seconds() < 0.001


def test_whole_schemas_are_followed_and_what_is_added_joins_them(database: PostgresServer, tmp_path: Path) -> None:
    database.execute(_MADE + "CREATE TABLE lines (id int PRIMARY KEY); CREATE VIEW seen AS SELECT 1 AS one")
    own = "overrides={'lines': {'write': 'scd2'}}"
    folder = project(
        tmp_path, database, f"sources.database('db', tables='*', changes={{'stream': {{'every': '1s'}}}}, {own})"
    )
    streamed(folder)
    database.execute(
        "CREATE TABLE later (id int PRIMARY KEY); INSERT INTO later VALUES (1); DELETE FROM orders WHERE id < 9"
    )
    database.execute("INSERT INTO lines VALUES (5)")
    streamed(folder)
    database.execute("INSERT INTO later VALUES (2)")
    streamed(folder)
    assert len(same(folder, database)) == 92
    assert same(folder, database, "later") == [(1,), (2,)]
    assert served(folder, "SELECT id, _valid_to FROM raw_lines") == [(5, None)]


def test_a_log_tells_what_was_before(database: PostgresServer, tmp_path: Path) -> None:
    database.execute(_MADE + "ALTER TABLE orders REPLICA IDENTITY FULL")
    folder = project(tmp_path, database, "sources.postgres_changes('db', table='orders')")
    streamed(folder)
    database.execute(
        "UPDATE orders SET id = 400, amount = 0 WHERE id = 1; DELETE FROM orders WHERE id = 2; TRUNCATE orders"
    )
    streamed(folder)
    told = served(
        folder, "SELECT _op, id, _before.id, _before.amount FROM raw_orders WHERE _op <> 'snapshot' ORDER BY _lsn, _op"
    )
    assert sorted(told, key=str) == sorted(
        [("update", 400, 1, 1), ("delete", 2, 2, 2), ("truncate", None, None, None)], key=str
    )
    assert served(folder, "SELECT count(*) FROM raw_orders") == [(103,)]


def test_a_history_has_every_state(database: PostgresServer, tmp_path: Path) -> None:
    database.execute(
        "CREATE TABLE orders (id int PRIMARY KEY, amount int); INSERT INTO orders VALUES (1, 1), (2, 2), (3, 3)"
    )
    folder = project(tmp_path, database, _ORDERS.replace("merge", "scd2"))
    streamed(folder)
    for amount in (10, 11, 11):
        database.execute("UPDATE orders SET amount = %s WHERE id = 1", (amount,))
    database.execute("DELETE FROM orders WHERE id = 2")
    streamed(folder)
    states = "SELECT id, amount, _valid_to IS NULL FROM raw_orders ORDER BY id, _valid_from"
    assert served(folder, states) == [(1, 1, False), (1, 10, False), (1, 11, True), (2, 2, False), (3, 3, True)]
    database.execute("INSERT INTO orders VALUES (2, 5)")
    database.execute("TRUNCATE orders")
    database.execute("INSERT INTO orders VALUES (1, 7)")
    streamed(folder)
    assert served(folder, states) == [
        *[(1, 1, False), (1, 10, False), (1, 11, False), (1, 7, True)],
        *[(2, 2, False), (2, 5, False), (3, 3, False)],
    ]


def test_checks_judge_rows_and_not_what_tells_of_deletions(database: PostgresServer, tmp_path: Path) -> None:
    database.execute(_MADE)
    folder = project(tmp_path, database, _ORDERS)
    pipeline = folder / "pipeline.py"
    strict = (
        "], checks={'orders': [checks.not_null('amount'), checks.between('amount', 0, 1000, severity='quarantine')]})"
    )
    pipeline.write_text(pipeline.read_text().replace("])\n", strict + "\n"))
    streamed(folder)
    database.execute("DELETE FROM orders WHERE id = 1; UPDATE orders SET amount = -5 WHERE id = 2; TRUNCATE orders")
    streamed(folder)
    assert same(folder, database) == []
    database.execute("INSERT INTO orders VALUES (1, '', NULL)")
    assert "rejected" in streamed(folder, code=3)
    assert "stands before load" in streamed(folder, code=5)
    database.execute("INSERT INTO orders VALUES (2, '', 2)")
    pipeline.write_text(pipeline.read_text().replace("checks.not_null('amount'), ", ""))
    streamed(folder, "--retry")
    assert same(folder, database) == [(1, "", None), (2, "", 2)]


def test_rows_from_the_quarantine_have_their_place_in_a_history(database: PostgresServer, tmp_path: Path) -> None:
    database.execute(_MADE + "ALTER TABLE orders ALTER note SET STORAGE EXTERNAL")
    checked = "], checks={'orders': [checks.between('amount', 0, 1000, severity='quarantine')]})  # "
    folder = project(tmp_path, database, _ORDERS.replace("'merge'", "'scd2'") + checked)
    streamed(folder)
    database.execute("INSERT INTO orders VALUES (301, repeat('aside', 900), -1), (302, repeat('aside', 900), -1)")
    streamed(folder)
    database.execute("UPDATE orders SET amount = 1 WHERE id = 301")
    streamed(folder)
    database.execute("TRUNCATE orders; INSERT INTO orders VALUES (1, 'one', 1)")
    streamed(folder)
    pipeline = folder / "pipeline.py"
    pipeline.write_text(pipeline.read_text().replace("0, 1000", "-10, 1000"))
    with Project(folder) as known:
        known.quarantine.replay("orders")
    streamed(folder)
    states = "SELECT id, left(note, 5), amount, _valid_to IS NULL FROM raw_orders WHERE id IN (1, 301, 302) ORDER BY "
    states += "id, _valid_from"
    found = served(folder, states)
    assert found == [
        *[(1, "note ", 1, False), (1, "one", 1, True)],
        *[(301, "aside", -1, False), (301, "aside", 1, False), (302, "aside", -1, False)],
    ]
    (folder / "data/staging/warehouse.duckdb").unlink()
    assert typed(folder, "run", "shop").returncode == 0
    assert served(folder, states) == found


def test_what_landed_before_a_rejected_micro_batch_is_loaded(database: PostgresServer, tmp_path: Path) -> None:
    database.execute(_MADE)
    # The changes are older than they may be once the process has begun, so several micro-batches are loaded together.
    reading = _ORDERS.replace("'300ms'", "'1s', 'bytes': '1MB'")
    folder = project(tmp_path, database, f"{reading}], checks={{'orders': [checks.not_null('amount')]}})  # ")
    streamed(folder)
    long = "repeat('x', 300000)"
    for first in range(101, 117, 4):
        database.execute(f"INSERT INTO orders SELECT i, {long}, i FROM generate_series({first}, {first + 3}) i")
    database.execute("INSERT INTO orders SELECT i, repeat('y', 300000), NULL FROM generate_series(201, 204) i")
    assert "rejected" in streamed(folder, code=3)
    # What was committed last before them may have come in the same micro-batch.
    lake = f"read_parquet({DeltaTable(str(folder / 'data/staging/lake/raw_orders')).file_uris()})"
    good = f"SELECT id FROM {lake} WHERE _load < (SELECT max(_load) FROM {lake}) ORDER BY 1"
    landed = served(folder, good)
    assert landed[:112] == [(id_,) for id_ in range(1, 113)]
    assert served(folder, "SELECT id FROM raw_orders ORDER BY 1") == landed


def test_personal_values_reach_no_disk_readable(
    database: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.execute(
        "CREATE TABLE people (id int PRIMARY KEY, name text); ALTER TABLE people REPLICA IDENTITY FULL;"
        "INSERT INTO people VALUES (1, 'Canary-One')"
    )
    monkeypatch.setenv("PENSTOCK_KEY", "k" * 43 + "=")
    reading = "personal={'name': 'mask'}"
    folder = project(
        tmp_path,
        database,
        f"sources.postgres_changes('db', table='people', name='log', {reading}),"
        f"sources.postgres_changes('db', table='people', name='state', key='id', write='merge', slot='two', {reading})",
    )
    streamed(folder)
    database.execute("UPDATE people SET name = 'Canary-Two'; INSERT INTO people VALUES (2, 'Canary-Three')")
    database.execute("DELETE FROM people WHERE id = 2")
    streamed(folder)
    assert served(folder, "SELECT id, name FROM raw_state") == [(1, "Xxxxxx-Xxx")]
    assert served(folder, "SELECT _before FROM raw_log WHERE _op = 'update'") == [({"id": 1},)]
    found = [path for path in folder.rglob("*") if path.is_file() and b"Canary" in path.read_bytes()]
    assert found == []
