from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from penstock.errors import DataError
from penstock.model.entries import Column
from penstock.schema import TRUSTED_JSON, restore
from penstock.stores.engine import LocalEngine
from penstock.stores.warehouse import DuckDBTransaction, DuckDBWarehouse


@pytest.fixture(scope="module")
def engine() -> Iterator[LocalEngine]:
    found = LocalEngine(memory=256 * 2**20, threads=2)
    yield found
    found.close()


@pytest.fixture
def warehouse(tmp_path: Path, engine: LocalEngine) -> DuckDBWarehouse:
    return DuckDBWarehouse(str(tmp_path / "deep" / "warehouse.duckdb"), engine, patience=10)


def digest(warehouse: DuckDBWarehouse) -> str:
    return hashlib.sha256(Path(warehouse.path).read_bytes()).hexdigest()


def rows(warehouse: DuckDBWarehouse, query: str) -> list[tuple[object, ...]]:
    with warehouse.reading() as transaction:
        return transaction.execute(query)


def test_what_is_written_is_there_for_anyone_with_duckdb(warehouse: DuckDBWarehouse) -> None:
    with warehouse.writing() as transaction:
        transaction.execute("CREATE TABLE flights (carrier VARCHAR, delay INTEGER)")
        assert transaction.execute("INSERT INTO flights VALUES (?, ?), ('AA', NULL)", ["UA", 3]) == [(2,)]
    assert sorted(os.listdir(os.path.dirname(warehouse.path))) == ["warehouse.duckdb", "warehouse.duckdb.lock"]
    with duckdb.connect(warehouse.path, read_only=True) as other:
        assert other.execute("SELECT * FROM flights ORDER BY ALL").fetchall() == [("AA", None), ("UA", 3)]


@pytest.mark.parametrize("plain", [False, True])
def test_json_of_the_lake_is_restored_in_any_transaction(tmp_path: Path, plain: bool) -> None:
    engine = LocalEngine(memory=256 * 2**20, threads=2)
    warehouse = DuckDBWarehouse(str(tmp_path / "warehouse.duckdb"), engine)
    made = f"CREATE TABLE t AS SELECT {restore('x', 'JSON')} AS x FROM (VALUES ('{{\"a\": 1}}'), (NULL)) v(x)"
    with warehouse.writing(plain=plain) as transaction:
        transaction.execute(made)
        assert transaction.columns("t") == (Column(name="x", type="JSON"),)
    assert rows(warehouse, "FROM t") == [('{"a": 1}',), (None,)]
    engine.close()


def test_a_session_lent_before_takes_json_at_its_word_once_it_is_to(engine: LocalEngine) -> None:
    with engine.session(plain=True) as session:
        engine.trust_json()
        assert session.execute(f"SELECT {TRUSTED_JSON}('no json')").fetchall() == [("no json",)]


def test_an_engine_that_is_being_opened_can_be_used_and_closed_at_once() -> None:
    for used in (True, False):
        engine = LocalEngine(threads=1)
        engine.warm()
        engine.warm()
        if used:
            with engine.session() as session:
                assert session.execute("SELECT 1").fetchall() == [(1,)]
        engine.close()
        assert not [thread for thread in threading.enumerate() if thread.name == "penstock-engine"]


def test_what_is_to_be_done_at_last_is_part_of_the_transaction(warehouse: DuckDBWarehouse) -> None:
    def add() -> None:
        transaction.execute("INSERT INTO t VALUES (1)")

    with warehouse.writing() as transaction:
        transaction.execute("CREATE TABLE t (a INTEGER)")
        transaction.at_last(add)
        assert transaction.execute("FROM t") == []
    assert rows(warehouse, "FROM t") == [(1,)]


def test_new_files_have_the_storage_version_that_older_duckdb_reads(warehouse: DuckDBWarehouse, tmp_path: Path) -> None:
    with warehouse.writing() as transaction:
        transaction.execute("CREATE TABLE t AS SELECT 1 AS a")
    with duckdb.connect(str(tmp_path / "later.duckdb")) as later:
        later.execute("CREATE TABLE t AS SELECT 1 AS a")
    header = slice(8, 20)
    ours = Path(warehouse.path).read_bytes()[header]
    assert ours[:4] == b"DUCK"
    assert ours[4] == 68
    assert (tmp_path / "later.duckdb").read_bytes()[header] != ours


def test_a_file_of_the_newer_storage_version_is_served_too(tmp_path: Path, engine: LocalEngine) -> None:
    path = str(tmp_path / "theirs.duckdb")
    with duckdb.connect(path) as theirs:
        theirs.execute("CREATE TABLE t AS SELECT 1 AS a")
    warehouse = DuckDBWarehouse(path, engine)
    with warehouse.writing() as transaction:
        transaction.execute("INSERT INTO t VALUES (2)")
    assert rows(warehouse, "SELECT sum(a) FROM t") == [(3,)]


def test_an_error_undoes_everything(warehouse: DuckDBWarehouse) -> None:
    with warehouse.writing() as transaction:
        transaction.execute("CREATE TABLE t AS SELECT 1 AS a")
    before = digest(warehouse)

    def change(transaction: DuckDBTransaction, last: str) -> None:
        transaction.execute("INSERT INTO t SELECT range FROM range(100000)")
        transaction.execute("CREATE TABLE u AS SELECT 2 AS b")
        transaction.execute("DELETE FROM t WHERE a < 10")
        transaction.record("t", 7, {})
        transaction.execute(last)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), warehouse.writing() as transaction:
        change(transaction, "SELECT 1")
    with pytest.raises(DataError, match="Conversion"), warehouse.writing() as transaction:
        change(transaction, "SELECT 'abc'::INTEGER")
    with warehouse.reading() as transaction:
        assert transaction.tables() == ("t",)
        assert transaction.applied("t") == 0
        assert transaction.execute("SELECT * FROM t") == [(1,)]
    assert digest(warehouse) == before


def test_words_about_files_in_values_are_not_taken_for_trouble_with_the_file(warehouse: DuckDBWarehouse) -> None:
    with pytest.raises(DataError, match="a statement failed"), warehouse.writing() as transaction:
        transaction.execute("SELECT 'no space left: corrupt .wal'::INTEGER")


def test_temporary_tables_of_the_session_are_read_inside_and_never_stored(warehouse: DuckDBWarehouse) -> None:
    with warehouse.writing() as transaction:
        transaction.execute("CREATE TEMP TABLE scratch AS SELECT range AS a FROM range(10)")
        transaction.execute("CREATE TABLE kept AS SELECT sum(a)::BIGINT AS a FROM scratch")
        assert transaction.tables() == ("kept",)
        assert transaction.execute("SELECT * FROM kept") == [(45,)]
    with warehouse.writing() as transaction:
        assert transaction.columns("scratch") is None
        assert transaction.tables() == ("kept",)


def test_columns_are_told_in_order_whatever_their_names_and_types(warehouse: DuckDBWarehouse) -> None:
    with warehouse.writing() as transaction:
        transaction.execute('CREATE TABLE "Odd.name" ("a b" DECIMAL(12,2), "é" STRUCT(x INTEGER[]), j JSON)')
        transaction.execute('ALTER TABLE "Odd.name" ADD COLUMN "select" TIMESTAMPTZ')
        assert transaction.columns("nothing") is None
        found = transaction.columns("odd.NAME")
        assert transaction.execute("SELECT 1") == [(1,)]
    assert found is not None
    assert [(column.name, column.type) for column in found] == [
        ("a b", "DECIMAL(12,2)"),
        ("é", "STRUCT(x INTEGER[])"),
        ("j", "JSON"),
        ("select", "TIMESTAMP WITH TIME ZONE"),
    ]


def test_the_newest_applied_entry_is_recorded_apart_from_the_tables(warehouse: DuckDBWarehouse) -> None:
    with warehouse.writing() as transaction:
        assert transaction.applied("t") == 0
        transaction.record("t", 5, {"rows": 3})
        transaction.record("t", 4, {"rows": 2})
        transaction.record("u", 9, {})
        assert transaction.applied("t") == 5
    with warehouse.reading() as transaction:
        assert (transaction.applied("t"), transaction.applied("u"), transaction.applied("v")) == (5, 9, 0)
        assert transaction.tables() == ()
        assert transaction.execute("SELECT facts FROM _penstock.applied WHERE table_name = 't'") == [('{"rows": 3}',)]


def test_reading_a_warehouse_that_does_not_exist_finds_it_empty_and_makes_nothing(warehouse: DuckDBWarehouse) -> None:
    with warehouse.reading() as transaction:
        assert transaction.tables() == ()
        assert transaction.columns("t") is None
        assert transaction.applied("t") == 0
    assert not os.path.exists(os.path.dirname(warehouse.path))


def test_reading_refuses_to_write_and_neither_reading_nor_idle_writing_changes_a_byte(
    warehouse: DuckDBWarehouse,
) -> None:
    with warehouse.writing() as transaction:
        transaction.execute("CREATE TABLE t AS SELECT range AS a FROM range(5000)")
        transaction.record("t", 1, {})
    before = digest(warehouse)
    with pytest.raises(DataError, match="read-only"), warehouse.reading() as transaction:
        transaction.execute("INSERT INTO t VALUES (1)")
    with warehouse.reading() as transaction:
        transaction.execute("CREATE TEMP TABLE scratch AS SELECT * FROM t")
    with warehouse.writing() as transaction:
        assert transaction.execute("SELECT count(*) FROM t") == [(5000,)]
    assert digest(warehouse) == before
    assert Path(f"{warehouse.path}.lock").read_bytes() == b""


def test_threads_take_turns_and_lose_nothing(warehouse: DuckDBWarehouse) -> None:
    with warehouse.writing() as transaction:
        transaction.execute("CREATE TABLE counter AS SELECT 0 AS n")

    def count() -> None:
        for _ in range(5):
            with warehouse.writing() as transaction:
                found = transaction.execute("SELECT n FROM counter")[0][0]
                transaction.execute("UPDATE counter SET n = ?", [found + 1])

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert rows(warehouse, "SELECT n FROM counter") == [(20,)]


def test_a_reader_left_open_by_a_call_that_failed_does_not_keep_the_file(warehouse: DuckDBWarehouse) -> None:
    with warehouse.writing() as transaction:
        transaction.execute("CREATE TABLE t AS SELECT range AS a FROM range(500000)")

    def half_read(connection: duckdb.DuckDBPyConnection) -> None:
        reader = connection.sql("SELECT * FROM t").to_arrow_reader(1000)
        reader.read_next_batch()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as kept, warehouse.writing() as transaction:
        half_read(transaction.connection)
    with warehouse.writing() as transaction:
        transaction.execute("INSERT INTO t VALUES (1)")
    assert rows(warehouse, "SELECT count(*) FROM t") == [(500001,)]
    assert kept.value.__traceback__ is not None


def test_two_warehouses_are_open_at_once(tmp_path: Path, engine: LocalEngine) -> None:
    one, two = (DuckDBWarehouse(str(tmp_path / f"{name}.duckdb"), engine) for name in ("one", "two"))
    with one.writing() as first, two.writing() as second:
        first.execute("CREATE TABLE t AS SELECT 1 AS a")
        second.execute("CREATE TABLE t AS SELECT 2 AS a")
        assert first.execute("SELECT a FROM t") == [(1,)]
    assert rows(two, "SELECT a FROM t") == [(2,)]
