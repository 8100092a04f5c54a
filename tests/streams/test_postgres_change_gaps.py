"""Changes that are gone, slots that nobody reads, and servers that cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock import Project
from penstock.errors import ConfigurationError
from servers.postgres import GUARDED, PASSWORD, PostgresServer
from streams.capturing import capturing, emptied, project, source
from streams.stream_project import served, streamed
from typed import typed

pytestmark = pytest.mark.postgres

_SOURCE = "sources.postgres_changes('db', table='orders', key='id', write='merge'{})"
_RECORD = ", stream={'on_gap': 'record'}"
_SLOT = "penstock_shop_db"


@pytest.fixture
def database(postgres: PostgresServer) -> PostgresServer:
    emptied(postgres).execute(
        "CREATE TABLE orders (id int PRIMARY KEY, amount int); INSERT INTO orders VALUES (1, 1), (2, 2)"
    )
    return postgres


def rows(folder: Path) -> list[tuple[object, ...]]:
    return served(folder, "SELECT id, amount FROM raw_orders ORDER BY id")


@pytest.mark.parametrize("how", ["dropped", "read by another"])
def test_changes_that_are_gone_stop_the_stream_or_the_table_is_read_again(
    database: PostgresServer, tmp_path: Path, how: str
) -> None:
    folder = project(tmp_path, database, _SOURCE.format(""))
    streamed(folder)
    database.execute("INSERT INTO orders VALUES (3, 3); DELETE FROM orders WHERE id = 1")
    if how == "dropped":
        database.execute(f"SELECT pg_drop_replication_slot('{_SLOT}')")
    else:
        # A slot moves no further than what the server has on its disk.
        database.execute("CHECKPOINT")
        database.execute(f"SELECT pg_replication_slot_advance('{_SLOT}', pg_current_wal_insert_lsn())")
    why = "is gone" if how == "dropped" else "somebody else has read"
    said = streamed(folder, code=3)
    assert why in said
    assert "on_gap" in said
    assert rows(folder) == [(1, 1), (2, 2)]
    pipeline = folder / "pipeline.py"
    pipeline.write_text(pipeline.read_text().replace("write='merge'", "write='merge'" + _RECORD))
    assert "read whole again" in streamed(folder)
    assert rows(folder) == [(2, 2), (3, 3)]
    database.execute("INSERT INTO orders VALUES (4, 4)")
    assert "whole again" not in streamed(folder)
    assert rows(folder) == [(2, 2), (3, 3), (4, 4)]


def test_a_table_that_was_left_out_for_a_while_has_a_gap_and_the_others_have_not(
    database: PostgresServer, tmp_path: Path
) -> None:
    database.execute("CREATE TABLE lines (id int PRIMARY KEY); INSERT INTO lines VALUES (1)")
    lines = "sources.postgres_changes('db', table='lines', key='id', write='merge')"
    folder = project(tmp_path, database, f"{_SOURCE.format('')}, {lines}")
    streamed(folder)
    alone = project(tmp_path, database, _SOURCE.format(""))
    database.execute("INSERT INTO lines VALUES (2); INSERT INTO orders VALUES (3, 3)")
    streamed(alone)
    project(tmp_path, database, f"{_SOURCE.format('')}, {lines}")
    assert "'lines' cannot go on" in streamed(folder, code=3)
    project(tmp_path, database, f"{_SOURCE.format(_RECORD)}, {lines[:-1] + _RECORD})")
    database.execute("INSERT INTO orders VALUES (4, 4)")
    assert "public.lines" in streamed(folder)
    assert served(folder, "SELECT id FROM raw_lines ORDER BY id") == [(1,), (2,)]
    assert rows(folder) == [(1, 1), (2, 2), (3, 3), (4, 4)]


def test_slots_are_named_by_the_doctor_and_dropped_by_forget(database: PostgresServer, tmp_path: Path) -> None:
    folder = project(tmp_path, database, _SOURCE.format(""))
    streamed(folder)
    database.execute("SELECT pg_create_logical_replication_slot('penstock_old_one', 'pgoutput')")
    said = typed(folder, "doctor").stdout
    assert "'penstock_old_one'" in said
    assert _SLOT not in said
    database.execute("SELECT pg_drop_replication_slot('penstock_old_one')")
    assert "all is well" in typed(folder, "doctor").stdout
    forgotten = typed(folder, "stream", "shop", "--forget")
    assert forgotten.returncode == 0, forgotten.stderr
    assert f"The replication slot '{_SLOT}' was dropped" in forgotten.stdout
    assert database.execute("SELECT count(*) FROM pg_replication_slots") == [(0,)]
    assert database.execute("SELECT count(*) FROM pg_publication") == [(0,)]
    assert "Nothing of Penstock" in typed(folder, "stream", "shop", "--forget").stdout


def test_a_log_that_grows_opens_an_alert_until_it_is_let_go(database: PostgresServer, tmp_path: Path) -> None:
    folder = project(tmp_path, database, _SOURCE.format(", max_lag='100KiB'"))
    streamed(folder)
    database.execute("INSERT INTO orders SELECT i, i FROM generate_series(10, 5000) i")
    with Project(folder) as opened:
        (alert,) = opened.alerts.check().open
        assert alert.id == f"lagging:db, {_SLOT}"
        assert "its disk may fill up" in alert.finding.said
    assert typed(folder, "stream", "shop", "--forget").returncode == 0
    with Project(folder) as opened:
        assert opened.alerts.check().open == ()


@pytest.mark.parametrize(
    ("made", "reading", "said"),
    [
        ("CREATE TABLE t (id int)", {"write": "merge", "key": "id"}, "REPLICA IDENTITY FULL"),
        ("CREATE VIEW t AS SELECT 1 AS id", {"write": "merge", "key": "id"}, "is no table"),
        ("CREATE TABLE t (id int PRIMARY KEY, n int)", {"write": "merge", "key": "n"}, "a delete of public.t does not"),
        ("CREATE TABLE other (id int)", {}, "Did you mean|is not known|no table"),
        ("CREATE TABLE t (id int PRIMARY KEY)", {"publication": "theirs"}, "CREATE PUBLICATION"),
    ],
)
def test_what_cannot_be_captured_is_said_before_anything_is_made(
    database: PostgresServer, made: str, reading: dict[str, object], said: str
) -> None:
    database.execute(made)
    with pytest.raises(ConfigurationError, match=said), capturing(database, [source("t", **reading)]):
        pass
    assert database.execute("SELECT count(*) FROM pg_replication_slots") == [(0,)]


def test_a_user_who_may_not_publish_is_told_what_to_ask_for(database: PostgresServer) -> None:
    from penstock.extract.streams.changes.port import CaptureOpening
    from penstock.extract.streams.changes.postgres.source import PostgresChanges
    from penstock.model.specs import ConnectionSpec

    connection = ConnectionSpec(name="db", kind="postgres", url=database.url(GUARDED, PASSWORD))
    orders = source("orders", write="merge", key="id")
    asked = CaptureOpening(sources=(orders,), connection=connection, pipeline="shop", positions={"orders": None})
    with pytest.raises(ConfigurationError) as refused:
        PostgresChanges().capture(asked)
    assert "CREATE PUBLICATION" in refused.value.sentence()
    assert PASSWORD not in refused.value.sentence()
