"""DeltaLake: the order of a commit, crashes between its steps, fences, schemas, and readers that know only Delta."""

import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import duckdb
import pytest
from deltalake import DeltaTable, Schema

from penstock.errors import ConflictError, DataError, NotFoundError, StaleWriterError
from penstock.model.entries import Column, DataFile, Entry, EntryKind, Slice
from penstock.stores.lake import DeltaLake
from penstock.stores.parquet import write

AT = datetime(2026, 11, 20, 15, 4, 5, 123000, tzinfo=UTC)
A = Column(name="a", type="BIGINT")


def entry(table, number, rows=2, columns=(A,), kind=EntryKind.LOAD, **more):
    """Write a data file of ``rows`` rows and return the entry that names it."""
    files = ()
    if rows:
        path = f"created_at=x/{number}-{uuid4()}.parquet" if table.name.startswith("raw_") else f"{number}.parquet"
        select = ", ".join(f"CAST(range AS {column.stored or column.type}) AS {column.name}" for column in columns)
        load = f", {number}::BIGINT AS _load" if table.name.startswith("raw_") else ""
        written = write(
            duckdb.connect(),
            f"SELECT {select}{load} FROM range({rows})",
            table.uri(path),
            {column.name: column.stored or column.type for column in columns},
        )
        partition = {"created_at": "x"} if table.name.startswith("raw_") else {}
        files = (
            DataFile(path=path, rows=rows, bytes=written.bytes, partition=partition, statistics=written.statistics),
        )
    return Entry(
        table=table.name,
        number=number,
        previous=None,
        kind=kind,
        created_at=AT,
        files=files,
        schema=columns,
        rows=rows,
        **more,
    )


@pytest.fixture
def lake(tmp_path):
    return DeltaLake(tmp_path / "lake")


@pytest.fixture
def table(lake):
    return lake.table("raw_t")


def land(table, **more):
    return table.commit(entry(table, table.next_number(), **more), ("created_at",))


def test_an_absent_table_is_empty(lake, table):
    assert (table.head(), table.next_number(), table.live(), list(table.entries())) == (0, 1, (), [])
    assert lake.tables() == ()
    with pytest.raises(NotFoundError, match="no entry 1"):
        table.entry(1)


def test_entries_follow_each_other_and_delta_readers_see_the_rows(lake, table):
    first, second = land(table), land(table, rows=3)
    assert (first.number, first.previous, second.number, second.previous) == (1, None, 2, 1)
    assert list(table.entries()) == [first, second]
    assert list(table.entries(after=1)) == [second]
    assert lake.tables() == ("raw_t",)
    delta = DeltaTable(os.path.join(lake.objects.root, "raw_t"))
    assert delta.transaction_version("penstock") == 2
    assert delta.metadata().configuration == {
        "delta.appendOnly": "true",
        "delta.dataSkippingStatsColumns": "a",
    }
    assert delta.metadata().partition_columns == ["created_at"]
    assert delta.to_pyarrow_table().num_rows == 5
    assert sorted(delta.to_pyarrow_table()["_load"].to_pylist()) == [1, 1, 2, 2, 2]
    assert [(file.rows, file.partition) for file in table.live()] == [
        (2, {"created_at": "x"}),
        (3, {"created_at": "x"}),
    ]
    assert duckdb.sql(f"SELECT sum(a) FROM read_parquet({delta.file_uris()})").fetchall() == [(4,)]


def test_statistics_reach_the_log(table, lake):
    columns = (A, Column(name="s", type="VARCHAR"), Column(name="d", type="DATE", stored="VARCHAR"))
    land(table, columns=columns[:2], rows=3)
    actions = duckdb.sql(
        f"SELECT add.stats FROM read_json('{lake.objects.root}/raw_t/_delta_log/*.json') WHERE add IS NOT NULL"
    ).fetchall()
    stats = json.loads(actions[0][0])
    assert stats["numRecords"] == 3
    assert stats["maxValues"] == {"a": 2, "s": "2"}
    assert stats["nullCount"] == {"a": 0, "s": 0}


def test_a_manifest_without_commit_is_skipped(table):
    first = land(table)
    orphan = entry(table, 2)
    table._manifests.write(replace(orphan, previous=1))
    assert table.head() == 1
    assert table.next_number() == 3
    with pytest.raises(ConflictError, match="taken"):
        table.commit(orphan)
    third = land(table)
    assert (third.number, third.previous) == (3, 1)
    assert list(table.entries()) == [first, third]
    assert DeltaLake(os.path.dirname(table.objects.root) + "/lake").table("raw_t").next_number() == 4


def test_a_gap_of_orphans_is_seen_by_a_fresh_process(lake, table):
    land(table)
    table._manifests.write(entry(table, 7))
    assert DeltaLake(lake.objects.root).table("raw_t").next_number() == 8


def test_a_table_made_without_a_commit_does_not_count(lake, table):
    DeltaTable.create(os.path.join(lake.objects.root, "raw_t"), _bare(), partition_by=["created_at"])
    assert (table.head(), lake.tables()) == (0, ())
    first = land(table, columns=(Column(name="a", type="VARCHAR"),))
    assert list(table.entries()) == [first]
    assert DeltaTable(os.path.join(lake.objects.root, "raw_t")).to_pyarrow_table()["a"].to_pylist() == ["0", "1"]


def _bare():
    from deltalake import Field
    from deltalake.schema import PrimitiveType

    return Schema([Field("a", PrimitiveType("long")), Field("created_at", PrimitiveType("string"))])


def test_numbers_go_up_only(table):
    land(table)
    with pytest.raises(ConflictError, match="come to entry 1"):
        table.commit(entry(table, 1))


def test_a_stale_log_is_a_conflict_and_commits_nothing(lake, table, monkeypatch):
    land(table)
    other = DeltaLake(lake.objects.root).table("raw_t")
    other.head()
    mine = entry(table, 3)
    # The other process commits after this one has read the log for the last time.
    arrange = table._arrange

    def late(*arguments):
        found = arrange(*arguments)
        land(other)
        return found

    monkeypatch.setattr(table, "_arrange", late)
    with pytest.raises(ConflictError, match="first"):
        table.commit(mine)
    assert [found.number for found in table.entries()] == [1, 2]
    # Its manifest went with it: nothing that nobody names is left.
    assert table.next_number() == 3


def test_a_commit_that_failed_after_it_counted_has_counted(table, monkeypatch):
    land(table)
    append = table._log.append

    def torn(commit):
        append(commit)
        raise ConflictError("the answer was lost")

    monkeypatch.setattr(table._log, "append", torn)
    assert land(table).number == 2
    assert table.head() == 2


def test_a_stale_holder_is_refused_once_its_successor_has_committed(table):
    land(table, fence=3)
    with pytest.raises(StaleWriterError, match="taken over"):
        land(table, fence=2)
    assert land(table, fence=3).number == 2
    assert land(table, fence=4).number == 3


def test_a_new_column_is_added_and_null_before(lake, table):
    land(table)
    land(
        table,
        columns=(A, Column(name="s", type="VARCHAR"), Column(name="u", type="UBIGINT", stored="DECIMAL(20,0)")),
    )
    delta = DeltaTable(os.path.join(lake.objects.root, "raw_t"))
    rows = duckdb.sql(
        f"SELECT a, u FROM read_parquet({delta.file_uris()}, union_by_name=true) ORDER BY _load, a"
    ).fetchall()
    assert rows == [(0, None), (1, None), (0, 0), (1, 1)]
    field = next(field for field in delta.schema().fields if field.name == "u")
    assert field.metadata == {"penstock.type": "UBIGINT"}
    assert field.type.type == "decimal(20,0)"


@pytest.mark.parametrize("number", [1, 2])
def test_a_changed_type_is_refused_while_old_files_stay(table, number):
    land(table)
    with pytest.raises(DataError, match=r"'a' of the table raw_t .* from long to string"):
        land(table, columns=(Column(name="a", type="VARCHAR"),))
    assert table.head() == 1
    assert land(table).number == 2


def test_a_version_that_replaces_every_file_may_change_the_schema(lake):
    table = lake.table("delays")
    first = table.commit(
        entry(table, 1, kind=EntryKind.VERSION, columns=(A, Column(name="b", type="TIME", stored="BIGINT")))
    )
    changed = (Column(name="a", type="VARCHAR"), Column(name="c", type="DOUBLE"))
    removed = tuple(file.path for file in first.files)
    table.commit(entry(table, 2, kind=EntryKind.VERSION, columns=changed, rows=3, removed=removed))
    delta = DeltaTable(os.path.join(lake.objects.root, "delays"))
    assert [field.name for field in delta.schema().fields] == ["a", "c"]
    assert [(file.path, file.rows) for file in table.live()] == [("2.parquet", 3)]
    assert delta.to_pyarrow_table()["a"].to_pylist() == ["0", "1", "2"]


def test_part_of_the_files_can_be_replaced(lake):
    table = lake.table("delays")
    first = table.commit(entry(table, 1, kind=EntryKind.VERSION))
    table.commit(entry(table, 2, kind=EntryKind.VERSION))
    table.commit(entry(table, 3, kind=EntryKind.VERSION, rows=5, removed=(first.files[0].path,)))
    assert [file.path for file in table.live()] == ["2.parquet", "3.parquet"]
    with pytest.raises(ConflictError, match="is gone"):
        table.commit(entry(table, 4, kind=EntryKind.VERSION, removed=("1.parquet",)))
    with pytest.raises(DataError, match="from long to string"):
        table.commit(
            entry(table, 5, kind=EntryKind.VERSION, removed=("2.parquet",), columns=(Column(name="a", type="VARCHAR"),))
        )


def test_entries_without_files(lake, table):
    land(table, rows=0)
    verdict = replace(entry(table, 2, rows=0), kind=EntryKind.VERDICT, schema=(), load=1)
    table.commit(verdict)
    assert [found.kind for found in table.entries()] == [EntryKind.LOAD, EntryKind.VERDICT]
    assert DeltaTable(os.path.join(lake.objects.root, "raw_t")).to_pyarrow_table().num_rows == 0


def test_interval_partitions(lake):
    table = lake.table("daily")
    path = "_interval=2013-01-01/1.parquet"
    written = write(duckdb.connect(), "SELECT 1::BIGINT AS a", table.uri(path), {"a": "BIGINT"})
    file = DataFile(path=path, rows=1, bytes=written.bytes, partition={"_interval": "2013-01-01"})
    made = replace(entry(table, 1, rows=0, kind=EntryKind.VERSION), files=(file,))
    table.commit(made, ("_interval",))
    delta = DeltaTable(os.path.join(lake.objects.root, "daily"))
    assert delta.to_pyarrow_table().to_pylist() == [{"a": 1, "_interval": "2013-01-01"}]
    assert table.live()[0].partition == {"_interval": "2013-01-01"}


def test_a_checkpoint_comes_and_head_stays_cheap(lake, table):
    land(table)
    for _ in range(105):
        table.commit(entry(table, table.next_number(), rows=0))
    names = os.listdir(os.path.join(lake.objects.root, "raw_t", "_delta_log"))
    assert any(name.endswith(".checkpoint.parquet") for name in names)
    fresh = DeltaLake(lake.objects.root).table("raw_t")
    assert (fresh.head(), fresh.next_number()) == (106, 107)
    begun = time.perf_counter()
    for _ in range(50):
        fresh.head()
    assert (time.perf_counter() - begun) / 50 < 0.02
    assert len(list(fresh.entries())) == 106


def test_checkpoints_of_a_long_log_come_apart_so_that_they_cost_no_more_a_commit(lake, table, monkeypatch):
    monkeypatch.setattr("penstock.stores.delta._SHARE", 2)
    land(table)
    for _ in range(430):
        table.commit(entry(table, table.next_number(), rows=0))
    names = os.listdir(os.path.join(lake.objects.root, "raw_t", "_delta_log"))
    assert sorted(int(name[:20]) for name in names if ".checkpoint." in name) == [100, 200, 400]
    assert DeltaTable(os.path.join(lake.objects.root, "raw_t")).version() == 430
    assert DeltaLake(lake.objects.root).table("raw_t").head() == 431


def test_a_second_handle_sees_commits_of_the_first(lake, table):
    other = DeltaLake(lake.objects.root).table("raw_t")
    assert other.head() == 0
    land(table)
    assert other.head() == 1
    land(table)
    assert [file.rows for file in other.live()] == [2, 2]


def test_eight_threads_on_eight_tables(lake):
    failed = []

    def work(name):
        try:
            table = lake.table(name)
            for _ in range(5):
                land(table)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(f"raw_{place}",)) for place in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert lake.tables() == tuple(f"raw_{place}" for place in range(8))
    assert all(lake.table(name).head() == 5 for name in lake.tables())


def _race(root, done):
    table = DeltaLake(root).table("raw_t")
    won = 0
    while won < 5:
        try:
            land(table)
            won += 1
        except ConflictError:
            continue
    done.put(won)


def test_processes_on_one_table_lose_and_double_nothing(lake, table):
    land(table)
    context = multiprocessing.get_context("spawn")
    done = context.Queue()
    processes = [context.Process(target=_race, args=(lake.objects.root, done)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    entries = list(table.entries())
    assert len(entries) == 11
    assert [after.previous for after in entries[1:]] == [before.number for before in entries[:-1]]
    assert len(table.live()) == 11


_CHILD = """
import sys
sys.path.insert(0, sys.argv[2])
from test_lake import land
from penstock.stores.lake import DeltaLake
table = DeltaLake(sys.argv[1]).table("raw_t")
print("go", flush=True)
while True:
    made = land(table)
    print(made.number, flush=True)
"""


def test_a_killed_process_leaves_nothing_that_counts_by_half(lake, table):
    """What was acknowledged is there; what is there is whole; the next process goes on."""
    acknowledged = 0
    for pause in (0.0, 0.01, 0.03, 0.06):
        child = subprocess.Popen(
            [sys.executable, "-c", _CHILD, lake.objects.root, os.path.dirname(__file__)],
            stdout=subprocess.PIPE,
            text=True,
        )
        with child:
            said = [child.stdout.readline() for _ in range(int(pause * 100) + 1)][1:]
            time.sleep(pause)
            child.kill()
            said += child.stdout.read().split()
        acknowledged = int(said[-1]) if said else acknowledged
        fresh = DeltaLake(lake.objects.root).table("raw_t")
        entries = list(fresh.entries())
        head = entries[-1].number if entries else 0
        assert head >= acknowledged
        assert [after.previous for after in entries[1:]] == [before.number for before in entries[:-1]]
        assert {file.path for file in fresh.live()} == {file.path for one in entries for file in one.files}
        if entries:
            uris = [fresh.uri(file.path) for file in fresh.live()]
            assert duckdb.sql(f"SELECT count(*) FROM read_parquet({uris})").fetchall() == [(2 * len(entries),)]
    assert land(table).number > acknowledged


def test_a_torn_manifest_and_a_torn_log_are_sentences(lake, table):
    land(table)
    root = os.path.join(lake.objects.root, "raw_t")
    with open(os.path.join(root, "_manifests", "1.json"), "r+b") as file:
        file.truncate(50)
    with pytest.raises(DataError, match=r"_manifests/1.json is not a valid entry"):
        list(table.entries())
    with open(os.path.join(root, "_delta_log", "00000000000000000000.json"), "r+b") as file:
        file.truncate(50)
    with pytest.raises(DataError, match="The Delta log of raw_t cannot be used"):
        DeltaLake(lake.objects.root).table("raw_t").head()


def test_a_deleted_table_begins_anew(lake, table):
    land(table)
    shutil.rmtree(os.path.join(lake.objects.root, "raw_t"))
    assert (table.head(), lake.tables()) == (0, ())


def test_the_head_is_found_without_reading_the_state_of_the_table(lake, table, monkeypatch):
    for _ in range(3):
        land(table)

    def refused(*_given, **_named):
        raise AssertionError("the table was opened")

    fresh = DeltaLake(lake.objects.root).table("raw_t")
    with monkeypatch.context() as patch:
        patch.setattr("penstock.stores.delta.DeltaTable", refused)
        assert fresh.head() == 3
        assert [entry.number for entry in fresh.entries(1)] == [2, 3]
    assert land(fresh).number == 4
    assert (fresh.head(), table.head(), len(fresh.live())) == (4, 4, 4)


def test_the_head_is_found_below_commits_of_others(lake, table):
    land(table)
    land(table)
    others = DeltaTable(os.path.join(lake.objects.root, "raw_t"))
    others.alter.set_table_properties({"delta.logRetentionDuration": "interval 60 days"})
    assert DeltaLake(lake.objects.root).table("raw_t").head() == 2


def compacted(table, *loads):
    """Write the files of loads together."""
    number = table.next_number()
    whole = entry(table, number, rows=2 * len(loads), kind=EntryKind.COMPACTION)
    slices = tuple(
        Slice(file=load.files[0].path, into=0, first=2 * place, rows=2, load=load.number)
        for place, load in enumerate(loads)
    )
    removed = tuple(load.files[0].path for load in loads)
    return table.commit(replace(whole, removed=removed, slices=slices, schema=(), rows=0))


def test_a_fresh_process_looks_no_further_back_than_it_must_for_files_that_were_moved(lake, table):
    loads = [land(table), land(table)]
    older = compacted(table, *loads)
    loads += [land(table), land(table)]
    compacted(table, *loads[2:])
    loads.append(land(table))
    # Nobody needs the older compaction for files that the newer one moved, or that stand where they were.
    os.remove(os.path.join(lake.objects.root, "raw_t", "_manifests", f"{older.number}.json"))
    found = DeltaLake(lake.objects.root).table("raw_t").reading((*loads[2].files, *loads[4].files))
    assert [moved.load for moved in found.moved] == [loads[2].number]
