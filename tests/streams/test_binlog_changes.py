"""Tables of a MariaDB or MySQL that are kept up by their changes, from the first reading to the staging warehouse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from penstock import Project
from servers.mariadb import MariaServer
from streams.bank import agreed
from streams.capturing import SERVERS, cleared, project
from streams.stream_project import served, streamed
from typed import typed

_ORDERS = "sources.mysql_changes('db', table='orders', key='id', write='merge', stream={'every': '300ms'})"
_MADE = (
    "CREATE TABLE orders (id int PRIMARY KEY, note text, amount decimal(10, 2))",
    "INSERT INTO orders SELECT seq, concat('note ', seq), seq FROM seq_1_to_100",
)


@pytest.fixture(params=SERVERS)
def database(request: pytest.FixtureRequest) -> MariaServer:
    return cleared(request.getfixturevalue(request.param))


def same(folder: Path, database: MariaServer, table: str = "orders") -> list[tuple[Any, ...]]:
    """Return the rows of a table, which are the same at the source and in the warehouse."""
    ((columns,),) = database.execute(
        "SELECT group_concat(column_name ORDER BY ordinal_position) FROM information_schema.columns "
        f"WHERE table_schema = 'shop' AND table_name = '{table}'"
    )
    return agreed(folder, database, table, str(columns))


def test_every_kind_of_change_reaches_the_table(database: MariaServer, tmp_path: Path) -> None:
    database.execute(*_MADE)
    folder = project(tmp_path, database, _ORDERS)
    streamed(folder)
    assert len(same(folder, database)) == 100
    database.execute(
        "INSERT INTO orders VALUES (101, NULL, NULL)", "UPDATE orders SET amount = amount + 1 WHERE id < 9"
    )
    database.execute("DELETE FROM orders WHERE id = 50", "INSERT INTO orders VALUES (50, 'again', 0)")
    database.execute("DELETE FROM orders WHERE id = 51", "UPDATE orders SET id = 500 WHERE id = 52")
    database.execute("UPDATE orders SET id = id + 1000 WHERE id BETWEEN 60 AND 70")
    database.execute("REPLACE INTO orders VALUES (1, 'replaced', 7)")
    database.execute("INSERT INTO orders VALUES (2, '', 0) ON DUPLICATE KEY UPDATE note = 'updated'")
    streamed(folder)
    assert len(same(folder, database)) == 100
    database.execute("INSERT INTO orders VALUES (7777, 'gone', 0)")
    database.execute("TRUNCATE orders", "INSERT INTO orders VALUES (1, 'one', 1)")
    database.execute("UPDATE orders SET note = 'changed'")
    streamed(folder)
    assert same(folder, database) == [(1, "changed", 1)]
    database.execute("TRUNCATE TABLE `shop` . `orders`")
    streamed(folder)
    assert same(folder, database) == []
    database.execute("TRUNCATE TABLE orders")
    streamed(folder)
    (folder / "data/staging/warehouse.duckdb").unlink()
    assert typed(folder, "run", "shop").returncode == 0
    assert same(folder, database) == []


def test_columns_that_come_and_go_amid_the_changes(database: MariaServer, tmp_path: Path) -> None:
    database.execute(*_MADE)
    folder = project(tmp_path, database, _ORDERS)
    streamed(folder)
    database.execute("UPDATE orders SET note = 'x' WHERE id = 1", "ALTER TABLE orders ADD COLUMN extra int AFTER id")
    database.execute("UPDATE orders SET extra = id WHERE id < 5", "ALTER TABLE orders MODIFY amount decimal(12, 4)")
    database.execute("INSERT INTO orders VALUES (200, 7, 'y', 1.2345)")
    # Two columns of one type change their names: only who is told the names notices.
    database.execute("ALTER TABLE orders ADD one int, ADD two int", "UPDATE orders SET one = 1, two = 2 WHERE id = 3")
    database.execute("ALTER TABLE orders CHANGE one two int, CHANGE two one int")
    database.execute("UPDATE orders SET one = 10, two = 20 WHERE id = 4")
    streamed(folder)
    assert served(folder, "SELECT one, two FROM raw_orders WHERE id IN (3, 4) ORDER BY id") == [(1, 2), (10, 20)]
    database.execute("ALTER TABLE orders DROP COLUMN note, DROP one, DROP two", "UPDATE orders SET extra = 9")
    database.execute("ALTER TABLE orders RENAME COLUMN extra TO more", "INSERT INTO orders VALUES (201, 2, 1)")
    streamed(folder)
    assert served(folder, "SELECT note, amount, more FROM raw_orders WHERE id = 201") == [(None, 1, 2)]
    assert served(folder, "SELECT count(*) FROM raw_orders") == [(102,)]


def test_tables_of_one_transaction_become_visible_together(database: MariaServer, tmp_path: Path) -> None:
    database.execute(*_MADE, "CREATE TABLE `lines` (id int, n int, PRIMARY KEY (id, n))")
    lines = "sources.mysql_changes('db', table='lines', key=['id', 'n'], write='merge')"
    folder = project(tmp_path, database, f"{_ORDERS}, {lines}")
    streamed(folder)
    database.execute("INSERT INTO orders VALUES (300, '', 0)", "INSERT INTO `lines` VALUES (300, 1), (300, 2)")
    assert "lines" in streamed(folder, "--table", "orders")
    assert served(folder, "SELECT id, n FROM raw_lines ORDER BY n") == [(300, 1), (300, 2)]
    commits = served(
        folder,
        "SELECT _lsn, _committed_at FROM raw_orders WHERE id = 300 UNION SELECT _lsn, _committed_at FROM raw_lines",
    )
    assert len(commits) == 1
    with Project(folder) as opened:
        lags = {lag.table: lag for lag in opened.lags()}
    assert lags["orders"].lag is not None


def test_whole_schemas_are_followed_and_what_is_added_joins_them(database: MariaServer, tmp_path: Path) -> None:
    database.execute(*_MADE, "CREATE TABLE parts (id int PRIMARY KEY)", "CREATE VIEW seen AS SELECT 1 AS one")
    own = "overrides={'parts': {'write': 'scd2'}}"
    folder = project(
        tmp_path, database, f"sources.database('db', tables='*', changes={{'stream': {{'every': '1s'}}}}, {own})"
    )
    streamed(folder)
    database.execute("CREATE TABLE later (id int PRIMARY KEY)", "INSERT INTO later VALUES (1)")
    database.execute("DELETE FROM orders WHERE id < 9", "INSERT INTO parts VALUES (5)")
    streamed(folder)
    database.execute("INSERT INTO later VALUES (2)")
    streamed(folder)
    assert len(same(folder, database)) == 92
    assert same(folder, database, "later") == [(1,), (2,)]
    assert served(folder, "SELECT id, _valid_to FROM raw_parts") == [(5, None)]


def test_a_log_tells_what_was_before(database: MariaServer, tmp_path: Path) -> None:
    database.execute(*_MADE)
    folder = project(tmp_path, database, "sources.mysql_changes('db', table='orders')")
    streamed(folder)
    database.execute("UPDATE orders SET id = 400, amount = 0 WHERE id = 1", "DELETE FROM orders WHERE id = 2")
    database.execute("TRUNCATE orders")
    streamed(folder)
    told = served(
        folder, "SELECT _op, id, _before.id, _before.amount FROM raw_orders WHERE _op <> 'snapshot' ORDER BY _lsn, _op"
    )
    assert sorted(told, key=str) == sorted(
        [("update", 400, 1, 1), ("delete", 2, 2, 2), ("truncate", None, None, None)], key=str
    )
    assert served(folder, "SELECT count(*) FROM raw_orders") == [(103,)]


def test_a_history_has_every_state_also_of_one_second(database: MariaServer, tmp_path: Path) -> None:
    database.execute("CREATE TABLE orders (id int PRIMARY KEY, amount int)")
    database.execute("INSERT INTO orders VALUES (1, 1), (2, 2), (3, 3)")
    folder = project(tmp_path, database, _ORDERS.replace("merge", "scd2"))
    streamed(folder)
    for amount in (10, 11, 11, 12):
        database.execute(f"UPDATE orders SET amount = {amount} WHERE id = 1")
    database.execute("DELETE FROM orders WHERE id = 2")
    streamed(folder)
    states = "SELECT id, amount, _valid_to IS NULL FROM raw_orders ORDER BY id, _valid_from"
    assert served(folder, states) == [
        *[(1, 1, False), (1, 10, False), (1, 11, False), (1, 12, True)],
        *[(2, 2, False), (3, 3, True)],
    ]
    database.execute("INSERT INTO orders VALUES (2, 5)")
    database.execute("TRUNCATE orders")
    database.execute("INSERT INTO orders VALUES (1, 7)")
    streamed(folder)
    assert served(folder, states) == [
        *[(1, 1, False), (1, 10, False), (1, 11, False), (1, 12, False), (1, 7, True)],
        *[(2, 2, False), (2, 5, False), (3, 3, False)],
    ]


def test_personal_values_reach_no_disk_readable(
    database: MariaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.execute(
        "CREATE TABLE people (id int PRIMARY KEY, name text)", "INSERT INTO people VALUES (1, 'Canary-One')"
    )
    monkeypatch.setenv("PENSTOCK_KEY", "k" * 43 + "=")
    reading = "personal={'name': 'mask'}"
    folder = project(
        tmp_path,
        database,
        f"sources.mysql_changes('db', table='people', name='log', {reading}),"
        f"sources.mysql_changes('db', table='people', name='state', key='id', write='merge', {reading})",
    )
    streamed(folder)
    database.execute("UPDATE people SET name = 'Canary-Two'", "INSERT INTO people VALUES (2, 'Canary-Three')")
    database.execute("DELETE FROM people WHERE id = 2")
    streamed(folder)
    assert served(folder, "SELECT id, name FROM raw_state") == [(1, "Xxxxxx-Xxx")]
    assert served(folder, "SELECT _before FROM raw_log WHERE _op = 'update'") == [({"id": 1},)]
    found = [path for path in folder.rglob("*") if path.is_file() and b"Canary" in path.read_bytes()]
    assert found == []
