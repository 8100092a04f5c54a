from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from landed_folder import START, Counted, FolderTable, counted, landing

from penstock.errors import DataError
from penstock.load.spec import LoadPorts, VersionLoading
from penstock.load.versions import apply_version
from penstock.model.entries import Column, DataFile, Entry, EntryKind
from penstock.model.interval import Interval
from penstock.names import stored_names
from penstock.queries.text import identifier
from penstock.schema import store
from penstock.stores.warehouse import DuckDBWarehouse


def day(number: int) -> Interval:
    start = datetime(2013, 1, number, tzinfo=UTC)
    return Interval(start, start + timedelta(days=1))


class Versions(FolderTable):
    """A table of versions; the folder's live files follow what is committed to it."""

    def version(self, number: int, query: str, interval: Interval | None = None) -> Entry:
        connection = landing()
        described = connection.execute(f"DESCRIBE {query}").fetchall()
        names = stored_names([row[0] for row in described])
        schema = tuple(
            Column(name=names[name], type=type_, source_name=None if names[name] == name else name)
            for name, type_, *_ in described
        )
        partition = {} if interval is None else {"_interval": interval.path}
        path = f"{interval.path if interval else 'whole'}/part-{number}.parquet"
        stored = ", ".join(
            f"{store('q.' + identifier(c.source_name or c.name), c.type)} AS {identifier(c.name)}" for c in schema
        )
        target = self.uri(path)
        rows = connection.execute(f"COPY (SELECT {stored} FROM ({query}) q) TO '{target}' (FORMAT parquet)").fetchone()[
            0
        ]
        file = DataFile(path=path, rows=rows, bytes=Path(target).stat().st_size, partition=partition)
        files = (file,) if rows else ()
        kept = [] if interval is None else [old for old in self.files if old.partition != partition]
        self.files = [*kept, *files]
        return Entry(
            table=self.name,
            number=number,
            previous=None,
            kind=EntryKind.VERSION,
            created_at=START,
            files=files,
            schema=schema,
            rows=sum(old.rows for old in self.files),
            interval=interval,
        )


@pytest.fixture
def versions(tmp_path: Path) -> Versions:
    return Versions(tmp_path / "lake", "delays")


def put(warehouse: DuckDBWarehouse, lake: Versions, entry: Entry, relation: str | None = None) -> Counted:
    with warehouse.writing() as transaction:
        if relation is not None:
            transaction.execute(f"CREATE TEMP TABLE result AS {relation}")
        spec = VersionLoading(table="delays", entry=entry, relation=None if relation is None else "result")
        return counted(apply_version(spec, LoadPorts(transaction=transaction, lake_table=lake)), transaction)


def table(warehouse: DuckDBWarehouse, columns: str = "*") -> list[tuple[object, ...]]:
    with warehouse.reading() as transaction:
        return transaction.execute(f"SELECT {columns} FROM delays ORDER BY ALL")


def test_a_whole_version_replaces_the_table_once(warehouse: DuckDBWarehouse, versions: Versions) -> None:
    receipt = put(warehouse, versions, versions.version(1, "SELECT 1 AS a, TIME '01:02:03' AS created_at"))
    assert (receipt.loads, receipt.inserted, receipt.deleted, receipt.rows) == ((1,), 1, 0, 1)
    second = versions.version(3, "SELECT 'x' AS b FROM range(3)")
    assert put(warehouse, versions, second).deleted == 1
    again = put(warehouse, versions, second)
    assert (again.loads, again.inserted, again.rows) == ((), 0, 3)
    assert table(warehouse) == [("x",)] * 3
    with warehouse.reading() as transaction:
        assert transaction.applied("delays") == 3
        assert [column.name for column in transaction.columns("delays") or ()] == ["b"]


def test_original_names_and_types_are_served(warehouse: DuckDBWarehouse, versions: Versions) -> None:
    query = "SELECT TIME '01:02:03' AS created_at, 7 AS _load, 9::UBIGINT AS \"Big\", 8 AS _interval"
    put(warehouse, versions, versions.version(1, query))
    assert table(warehouse, "created_at::VARCHAR, _load, big, _interval__source") == [("01:02:03", 7, 9, 8)]
    with warehouse.reading() as transaction:
        assert [column.type for column in transaction.columns("delays") or ()] == [
            "TIME",
            "INTEGER",
            "UBIGINT",
            "INTEGER",
        ]


def test_an_interval_replaces_its_own_rows_only_and_knows_its_name(
    warehouse: DuckDBWarehouse, versions: Versions
) -> None:
    first = versions.version(1, "SELECT 'one' AS v FROM range(2)", day(1))
    second = versions.version(2, "SELECT 'two' AS v", day(2))
    for entry in (second, first):
        put(warehouse, versions, entry)
    assert table(warehouse) == [("one", day(1).path), ("one", day(1).path), ("two", day(2).path)]
    again = put(warehouse, versions, versions.version(3, "SELECT 'eins' AS v", day(1)))
    assert (again.inserted, again.deleted, again.rows) == (1, 2, 2)
    late = put(warehouse, versions, first)
    assert (late.loads, late.rows) == ((), 2)
    emptied = put(warehouse, versions, versions.version(4, "SELECT 'eins' AS v WHERE false", day(2)))
    assert (emptied.inserted, emptied.deleted) == (0, 1)
    assert table(warehouse) == [("eins", day(1).path)]
    with warehouse.reading() as transaction:
        assert transaction.applied("delays") == 4


def test_a_relation_of_the_session_spares_the_files(warehouse: DuckDBWarehouse, versions: Versions) -> None:
    query = "SELECT 1 AS created_at, 'a'::ENUM('a') AS \"E\""
    entry = versions.version(1, query, day(1))
    for file in entry.files:
        Path(versions.uri(file.path)).unlink()
    put(warehouse, versions, entry, relation=query)
    other = versions.version(2, query, day(2))
    Path(versions.uri(other.files[0].path)).unlink()
    put(warehouse, versions, other, relation=query)
    assert table(warehouse, "created_at, e, _interval") == [(1, "a", day(1).path), (1, "a", day(2).path)]
    whole = versions.version(3, query)
    Path(versions.uri(whole.files[0].path)).unlink()
    put(warehouse, versions, whole, relation=query)
    assert table(warehouse) == [(1, "a")]


def test_a_lost_warehouse_gets_all_intervals_back_with_the_next(warehouse: DuckDBWarehouse, versions: Versions) -> None:
    for number in (1, 2):
        put(warehouse, versions, versions.version(number, f"SELECT {number} AS v", day(number)))
    Path(warehouse.path).unlink()
    third = versions.version(3, "SELECT 3 AS v, 'new' AS w", day(3))
    put(warehouse, versions, third)
    assert table(warehouse) == [(1, None, day(1).path), (2, None, day(2).path), (3, "new", day(3).path)]


def test_columns_that_no_older_file_has_are_null(warehouse: DuckDBWarehouse, versions: Versions) -> None:
    put(warehouse, versions, versions.version(1, "SELECT 1 AS v", day(1)))
    put(warehouse, versions, versions.version(2, "SELECT 2::BIGINT AS v, 'w' AS w", day(2)))
    assert table(warehouse, "v, w") == [(1, None), (2, "w")]
    Path(warehouse.path).unlink()
    put(
        warehouse,
        versions,
        versions.version(3, "SELECT 2::BIGINT AS v, 'w' AS w, DATE '2026-01-01' AS x WHERE false", day(2)),
    )
    assert table(warehouse, "v, w, x") == [(1, None, None)]


def test_an_older_whole_version_does_not_undo_newer_intervals(warehouse: DuckDBWarehouse, versions: Versions) -> None:
    put(warehouse, versions, versions.version(1, "SELECT 1 AS v", day(1)))
    whole = versions.version(2, "SELECT 2 AS v")
    newer = versions.version(3, "SELECT 3 AS v", day(3))
    put(warehouse, versions, newer)
    put(warehouse, versions, whole)
    assert table(warehouse, "v, _interval") == [(2, None), (3, day(3).path)]
    assert put(warehouse, versions, newer).loads == ()


def test_a_table_once_whole_is_kept_by_intervals_from_then_on(warehouse: DuckDBWarehouse, versions: Versions) -> None:
    put(warehouse, versions, versions.version(1, "SELECT 1 AS v"))
    versions.files.clear()
    put(warehouse, versions, versions.version(2, "SELECT 2 AS v", day(1)))
    assert table(warehouse) == [(2, day(1).path)]


def test_types_that_do_not_fit_an_interval_table_are_refused(warehouse: DuckDBWarehouse, versions: Versions) -> None:
    put(warehouse, versions, versions.version(1, "SELECT 1 AS v", day(1)))
    with pytest.raises(DataError, match="Column 'v' of delays has the type INTEGER in the warehouse; version 2 brings"):
        put(warehouse, versions, versions.version(2, "SELECT 'x' AS v", day(2)))
    assert table(warehouse) == [(1, day(1).path)]


def test_a_table_of_somebody_else_is_left_alone(warehouse: DuckDBWarehouse, versions: Versions) -> None:
    with warehouse.writing() as transaction:
        transaction.execute("CREATE TABLE delays AS SELECT 'mine' AS a")
    with pytest.raises(DataError, match="Penstock did not make"):
        put(warehouse, versions, versions.version(1, "SELECT 1 AS v"))
    assert table(warehouse) == [("mine",)]
