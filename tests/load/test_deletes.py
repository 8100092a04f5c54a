from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from landed_folder import START, FolderTable, apply, source

from penstock.errors import ConfigurationError
from penstock.model.reading import read_as
from penstock.model.specs import Deletes, SourceSpec, WriteMode
from penstock.stores.warehouse import DuckDBWarehouse

MERGE = source(WriteMode.MERGE, ("id",), "updated", Deletes(column="deleted_at"))
SNAPSHOT = source(WriteMode.MERGE, ("id",), None, Deletes())
HISTORY = source(WriteMode.SCD2, ("id",), "updated", Deletes(column="deleted_at"))
HISTORY_OF_SNAPSHOTS = source(WriteMode.SCD2, ("id",), None, Deletes())


def rows(*values: tuple[int, int, str, bool]) -> str:
    """Rows of (id, day of updated, value, deleted)."""
    listed = ", ".join(
        f"({id_}, TIMESTAMP '2026-01-{day:02d}', '{value}', {'now()' if deleted else 'NULL'}::TIMESTAMPTZ)"
        for id_, day, value, deleted in values
    )
    return f"SELECT * FROM (VALUES {listed}) v(id, updated, value, deleted_at)"


def day(number: int) -> datetime:
    return datetime(2026, 1, number, tzinfo=UTC)


def put(warehouse: DuckDBWarehouse, lake: FolderTable, spec: SourceSpec, loads, live=None, **more):
    with warehouse.writing() as transaction:
        return apply(transaction, lake, spec, loads, live, **more)


def table(warehouse: DuckDBWarehouse, columns: str) -> list[tuple[object, ...]]:
    with warehouse.reading() as transaction:
        return transaction.execute(f"SELECT {columns} FROM raw_t ORDER BY ALL")


def tombstones(warehouse: DuckDBWarehouse) -> int:
    with warehouse.reading() as transaction:
        return int(transaction.execute('SELECT count(*) FROM _penstock."tombstones raw_t"')[0][0])


def test_a_deleted_key_leaves_and_an_older_row_does_not_bring_it_back(
    warehouse: DuckDBWarehouse, lake: FolderTable
) -> None:
    put(warehouse, lake, MERGE, [lake.load(1, rows((1, 1, "a", False), (2, 1, "b", False)))])
    gone = put(warehouse, lake, MERGE, [lake.load(2, rows((1, 3, "a", True), (9, 3, "never seen", True)))])
    assert (gone.deletions, gone.inserted, gone.deleted, gone.rows) == (1, 0, 1, 1)
    late = put(warehouse, lake, MERGE, [lake.load(3, rows((1, 2, "late", False)))])
    assert (late.inserted, late.deleted, late.rows) == (0, 0, 1)
    again = put(warehouse, lake, MERGE, [lake.load(4, rows((1, 4, "back", False)))])
    assert (again.inserted, again.deleted, again.deletions) == (1, 0, 0)
    assert table(warehouse, "id, value, _created_at") == [
        (1, "back", START + timedelta(hours=1)),
        (2, "b", START + timedelta(hours=1)),
    ]
    assert tombstones(warehouse) == 1
    with warehouse.reading() as transaction:
        assert transaction.tables() == ("raw_t",)


def test_a_key_deleted_and_inserted_again_in_one_batch_is_there(warehouse: DuckDBWarehouse, lake: FolderTable) -> None:
    put(warehouse, lake, MERGE, [lake.load(1, rows((1, 1, "a", False), (2, 1, "b", False)))])
    batch = rows((1, 2, "a", True), (1, 3, "again", False), (2, 3, "b", False), (2, 4, "b", True))
    receipt = put(warehouse, lake, MERGE, [lake.load(2, batch)])
    assert table(warehouse, "id, value") == [(1, "again")]
    assert (receipt.deletions, receipt.rows) == (1, 1)


def test_superseding_the_load_that_deleted_undoes_it(warehouse: DuckDBWarehouse, lake: FolderTable) -> None:
    one, two = lake.load(1, rows((1, 1, "a", False))), lake.load(2, rows((1, 2, "a", True)))
    put(warehouse, lake, MERGE, [one, two])
    assert table(warehouse, "id") == []
    three = lake.load(3, rows((2, 2, "b", False)), supersedes=[2])
    put(warehouse, lake, MERGE, [three], [one, three])
    assert table(warehouse, "id, value") == [(1, "a"), (2, "b")]
    assert tombstones(warehouse) == 0


@pytest.mark.parametrize(
    ("type_", "deletes", "gone"),
    [
        ("BOOLEAN", Deletes(column="gone"), {"true"}),
        ("VARCHAR", Deletes(column="gone", values=("D", "T")), {"D"}),
        ("INTEGER", Deletes(column="gone", values=(1,)), {"1"}),
        ("INTEGER", Deletes(column="gone", any_value=True), {"0", "1"}),
        ("VARCHAR", Deletes(column="gone"), {"D", "U", ""}),
    ],
)
def test_what_means_deletion(warehouse: DuckDBWarehouse, lake: FolderTable, type_, deletes, gone) -> None:
    values = {"BOOLEAN": ["true", "false"], "VARCHAR": ["D", "U", ""], "INTEGER": ["0", "1"]}[type_]
    listed = ", ".join(f"('{value}', '{value}'::{type_})" for value in values)
    query = f"SELECT * FROM (VALUES {listed}, ('null', NULL)) v(id, gone)"
    put(warehouse, lake, source(WriteMode.MERGE, ("id",), None, deletes), [lake.load(1, query)])
    assert {row[0] for row in table(warehouse, "id")} == {*values, "null"} - gone


def test_numbers_that_nobody_explained_and_values_of_another_type_are_refused(
    warehouse: DuckDBWarehouse, lake: FolderTable
) -> None:
    load = lake.load(1, "SELECT 1 AS id, 0 AS gone")
    with pytest.raises(ConfigurationError, match=r"holds numbers.*INTEGER.*values"):
        put(warehouse, lake, source(WriteMode.MERGE, ("id",), None, Deletes(column="gone")), [load])
    with pytest.raises(ConfigurationError, match=r"holds INTEGER.*'D'|holds INTEGER.*D"):
        put(warehouse, lake, source(WriteMode.MERGE, ("id",), None, Deletes(column="gone", values=("D",))), [load])


def test_a_tombstone_goes_when_no_older_row_can_come(warehouse: DuckDBWarehouse, lake: FolderTable) -> None:
    spec = source(WriteMode.MERGE, ("id",), None, Deletes(column="deleted_at"), timedelta(hours=5))
    put(warehouse, lake, spec, [lake.load(1, rows((1, 1, "a", True)))], settled=True)
    put(warehouse, lake, spec, [lake.load(5, rows((2, 1, "b", False)))], settled=True)
    assert tombstones(warehouse) == 1
    put(warehouse, lake, spec, [lake.load(7, rows((3, 1, "c", False)))], settled=False)
    assert tombstones(warehouse) == 1, "a load that waits for a decision may bring an older row"
    put(warehouse, lake, spec, [lake.load(8, rows((3, 1, "c", False)))], settled=True)
    assert tombstones(warehouse) == 0


def test_with_a_cursor_a_tombstone_stays_unless_it_is_promised(warehouse: DuckDBWarehouse, lake: FolderTable) -> None:
    put(warehouse, lake, MERGE, [lake.load(1, rows((1, 1, "a", True)))], settled=True)
    years = lake.load(2, rows((2, 1, "b", False)), at=START + timedelta(days=4000))
    put(warehouse, lake, MERGE, [years], settled=True)
    assert tombstones(warehouse) == 1


@pytest.mark.parametrize("spec", [SNAPSHOT, HISTORY_OF_SNAPSHOTS])
def test_keys_that_a_snapshot_lacks_are_deleted_but_not_those_set_aside(
    warehouse: DuckDBWarehouse, lake: FolderTable, spec
) -> None:
    query = "SELECT range AS id, 'v' AS value FROM range({})"
    one = lake.load(1, query.format(4), snapshot=True)
    two = lake.load(2, query.format(3), snapshot=True, quarantined=[(0, 1)])
    put(warehouse, lake, spec, [one])
    receipt = put(warehouse, lake, spec, [two])
    current = "id" if spec is SNAPSHOT else "id FILTER (_valid_to IS NULL)"
    found = table(warehouse, "id" if spec is SNAPSHOT else "CASE WHEN _valid_to IS NULL THEN id END")
    assert [row for row in found if row[0] is not None] == [(0,), (1,), (2,)], current
    assert receipt.deletions == 1
    assert receipt.notes == ("1 key has a row set aside in snapshot 2 of raw_t; what the table had of them stays",)
    empty = put(warehouse, lake, spec, [lake.load(3, query.format(0), snapshot=True)])
    assert empty.deletions == 3


def test_loads_from_before_snapshots_were_compared_delete_nothing(
    warehouse: DuckDBWarehouse, lake: FolderTable
) -> None:
    parts = [lake.load(1, "SELECT 1 AS id"), lake.load(2, "SELECT 2 AS id")]
    put(warehouse, lake, SNAPSHOT, parts)
    assert table(warehouse, "id") == [(1,), (2,)]
    put(warehouse, lake, SNAPSHOT, [lake.load(3, "SELECT 2 AS id", snapshot=True)])
    assert table(warehouse, "id") == [(2,)]


VERSIONS = "value, _valid_from, _valid_to"


def test_a_history_with_a_value_that_comes_back_a_gap_and_a_late_row(
    warehouse: DuckDBWarehouse, lake: FolderTable
) -> None:
    one = lake.load(1, rows((1, 1, "a", False), (2, 1, "other", False)))
    two = lake.load(2, rows((1, 5, "b", False), (1, 7, "a", False)))
    three = lake.load(3, rows((1, 9, "a", True), (1, 11, "a", False)))
    put(warehouse, lake, HISTORY, [one, two])
    receipt = put(warehouse, lake, HISTORY, [three])
    expected = [("a", day(1), day(5)), ("a", day(7), day(9)), ("a", day(11), None), ("b", day(5), day(7))]
    assert [row for row in table(warehouse, VERSIONS) if row[0] != "other"] == expected
    assert receipt.deletions == 0
    late = lake.load(4, rows((1, 3, "c", False), (1, 6, "b", False)))
    put(warehouse, lake, HISTORY, [late], [one, two, three, late])
    expected = [("a", day(1), day(3)), *expected[1:], ("c", day(3), day(5))]
    assert [row for row in table(warehouse, VERSIONS) if row[0] != "other"] == expected


def test_only_late_rows_ask_for_older_loads(warehouse: DuckDBWarehouse, lake: FolderTable) -> None:
    def never() -> list:
        raise AssertionError("the other loads were asked for")

    from penstock.load.loading import apply_loads
    from penstock.load.spec import Loading, LoadPorts

    loads = [lake.load(n, rows((1, n, "a" * n, False), (2, n, "same", False))) for n in (1, 2, 3)]
    for load in loads:
        with warehouse.writing() as transaction:
            ports = LoadPorts(transaction=transaction, lake_table=lake, live=never)
            apply_loads(Loading(source=HISTORY, table="raw_t", loads=(load,)), ports)
    assert [row[0] for row in table(warehouse, VERSIONS)] == ["a", "aa", "aaa", "same"]


def test_versions_of_no_length_duplicates_and_two_runs_in_one_moment(
    warehouse: DuckDBWarehouse, lake: FolderTable
) -> None:
    spec = source(WriteMode.SCD2, ("id",))
    query = "SELECT * FROM (VALUES {}) v(id, value)"
    put(warehouse, lake, spec, [lake.load(1, query.format("(1, 'a'), (1, 'b'), (1, 'b')"), at=START)])
    assert table(warehouse, VERSIONS) == [("b", START, None)]
    put(warehouse, lake, spec, [lake.load(2, query.format("(1, 'c')"), at=START)])
    assert table(warehouse, VERSIONS) == [("c", START, None)]
    put(warehouse, lake, spec, [lake.load(3, query.format("(1, 'c')"), at=START + timedelta(hours=1))])
    assert table(warehouse, f"{VERSIONS}, _load") == [("c", START, None, 2)]


def test_names_of_the_validity_in_the_data_and_a_column_that_comes_later(
    warehouse: DuckDBWarehouse, lake: FolderTable
) -> None:
    spec = source(WriteMode.SCD2, ("id",))
    put(warehouse, lake, spec, [lake.load(1, "SELECT 1 AS id, 'mine' AS _valid_from, 'too' AS _Valid_To")])
    put(warehouse, lake, spec, [lake.load(2, "SELECT 1 AS id, 'mine' AS _valid_from, 'too' AS _Valid_To, NULL AS n")])
    put(warehouse, lake, spec, [lake.load(3, "SELECT 1 AS id, 'mine' AS _valid_from, 'too' AS _Valid_To, 5 AS n")])
    assert table(warehouse, "_valid_from__source, _Valid_To__source, n, _valid_from, _valid_to") == [
        ("mine", "too", 5, START + timedelta(hours=3), None),
        ("mine", "too", None, START + timedelta(hours=1), START + timedelta(hours=3)),
    ]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"write": "append", "deletes": "gone"}, "its write mode cannot carry out.*append.*merge, scd2"),
        ({"write": "merge", "deletes": "gone"}, "merges but has no key"),
        ({"write": "scd2"}, "keeps a history but has no key"),
        ({"write": "merge", "key": "id", "deletes": "snapshot", "cursor": "at"}, "read whole.*cursor 'at'"),
        ({"write": "merge", "key": "id", "deletes": "snapshot", "interval": "at"}, "read whole.*interval 'at'"),
        ({"write": "merge", "key": "id", "deletes": {"colum": "op"}}, "not understood"),
        ({"write": "merge", "key": "id", "deletes": {"column": "op", "values": "D"}}, "not understood"),
        ({"write": "merge", "key": "id", "deletes": "id"}, "in a column of its key"),
        ({"write": "merge", "key": "id", "forget_after": "9d"}, "has forget_after but no deletes"),
        ({"write": "merge", "key": "id", "deletes": "snapshot", "forget_after": "9d"}, "nothing that it could forget"),
    ],
)
def test_what_does_not_go_together_is_refused(arguments: dict, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        read_as(SourceSpec(table="t", kind="python"), arguments)


def test_a_history_is_made_anew_when_its_table_was_dropped(
    warehouse: DuckDBWarehouse, lake: FolderTable, tmp_path: Path
) -> None:
    loads = [lake.load(n, rows((1, n, "a" * n, n == 2))) for n in (1, 2, 3)]
    put(warehouse, lake, HISTORY, loads[:2])
    with warehouse.writing() as transaction:
        transaction.execute("DROP TABLE raw_t")
    put(warehouse, lake, HISTORY, loads[2:], loads)
    assert table(warehouse, VERSIONS) == [("a", day(1), day(2)), ("aaa", day(3), None)]
