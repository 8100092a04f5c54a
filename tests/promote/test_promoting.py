from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
from deltalake import DeltaTable
from promote_world import World, day, faces, quoted

from penstock.errors import (
    BugError,
    ConfigurationError,
    ConflictError,
    DataError,
    NotFoundError,
    StaleWriterError,
    TransientError,
)
from penstock.model.entries import DataFile
from penstock.promote.finishing import finish
from penstock.promote.promoting import Promoting, promote
from penstock.promote.proposing import unchanged
from penstock.stores.lake import DeltaLake
from penstock.stores.releases import ReleaseFolder


def test_readers_see_a_release_and_then_the_next(world: World) -> None:
    world.version("delays", "SELECT 1 AS release, 'EWR' AS origin")
    world.version("planes", "SELECT 1 AS release, 7 AS seats")
    first = world.promote("delays", "planes")
    assert (first.number, first.previous, first.warehouse) == (1, 0, "1.duckdb")
    assert world.served("SELECT origin, seats FROM delays, planes") == [("EWR", 7)]
    world.version("delays", "SELECT 2 AS release, 'JFK' AS origin UNION ALL SELECT 2, NULL")
    second = world.promote("delays", "planes")
    assert (second.number, second.previous) == (2, 1)
    seen = faces(world.root)
    rows = {"delays": ["(2, 'JFK')", "(2, None)"], "planes": ["(1, 7)"]}
    assert seen == {"warehouse": rows, "parquet": rows, "delta": rows, "kept": ["1.duckdb", "2.duckdb"]}


def test_a_commit_carries_the_number_of_its_release(world: World) -> None:
    world.version("delays", "SELECT 1 AS id")
    world.version("planes", "SELECT 1 AS id")
    world.promote("delays", "planes")
    for number in (2, 3):
        world.version("delays", f"SELECT {number} AS id")
        world.promote("delays", "planes")
    assert DeltaTable(str(world.lake / "delays")).transaction_version("penstock") == 3
    # A table that a release leaves as it was gets no commit.
    assert DeltaTable(str(world.lake / "planes")).transaction_version("penstock") == 1
    head = DeltaLake(world.lake).table("delays").entry(3)
    assert (head.reason, head.inputs[0].number) == ("release 3", 3)


def test_the_file_is_one_that_older_duckdb_reads_and_nobody_writes_into(world: World) -> None:
    world.version("delays", "SELECT 1 AS id")
    world.promote("delays")
    with duckdb.connect(str(world.warehouse), read_only=True) as connection:
        tags = connection.execute("SELECT tags FROM duckdb_databases() WHERE database_name = 'warehouse'").fetchone()
    assert tags is not None
    assert tags[0]["storage_version"].startswith("v1.5.0")
    assert world.warehouse.stat().st_mode & 0o222 == 0
    assert not list(world.warehouse.parent.rglob("*.wal"))


def test_every_type_comes_back_as_it_was(world: World) -> None:
    query = """
        SELECT 1::UTINYINT a, 255::USMALLINT b, 4294967295::UINTEGER c, 18446744073709551615::UBIGINT d,
        170141183460469231731687303715884105727::HUGEINT e, '0e984725-c51c-4bf4-9960-e1c80e27aba0'::UUID f,
        TIME '23:59:59.999999' g, TIMESTAMP_NS '2013-01-01 00:00:00.123456789' h, INTERVAL '14 months -3 days' i,
        TIMESTAMPTZ '2013-01-01 05:00:00+05' j, [1, NULL]::INTEGER[] k, {'x': 1.5::DECIMAL(9,3), 'y': 'z'} l,
        MAP {'k': 1} m, 1.25::DECIMAL(38,2) n, DATE '0044-03-15' o, 'NaN'::DOUBLE p, 'a\\x00b'::BLOB q,
        'b'::ENUM('a', 'b') r, TIMESTAMP_S '2013-01-01' s, true t, NULL::VARCHAR u
    """
    world.version("wide", query)
    world.promote("wide")
    with world.engine.session() as connection:
        expected = connection.execute(query.replace("'b'::ENUM('a', 'b')", "'b'")).fetchall()
        types = connection.execute(f"DESCRIBE {query}").fetchall()
    assert world.served("SET TimeZone = 'UTC'") == []
    with duckdb.connect(str(world.warehouse), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        assert str(connection.execute("FROM wide").fetchall()) == str(expected)
        found = connection.execute("DESCRIBE wide").fetchall()
    assert [(name, kind) for name, kind, *_ in found] == [(name, kind) for name, kind, *_ in types]


def test_a_table_of_no_rows_is_there_all_the_same(world: World) -> None:
    world.version("delays", "SELECT 1 AS id")
    world.version("delays")
    world.promote("delays")
    assert world.served("SELECT count(*) FROM delays") == [(0,)]
    assert DeltaTable(str(world.lake / "delays")).file_uris() == []


def test_an_interval_is_exchanged_without_writing_the_table_anew(world: World) -> None:
    def rows(number: int, word: str) -> str:
        hour = f"TIMESTAMP '2013-01-01' + to_days({number}) + to_hours(i::INTEGER)"
        return f"SELECT {hour} AS hour, i % 3 AS id, '{word}' AS word FROM range(24) t(i)"

    for number in range(6):
        world.version("delays", rows(number, "old"), interval=day(number))
    world.promote("delays")
    world.version("delays", rows(2, "new"), interval=day(2))
    world.version("delays", rows(6, "next"), interval=day(6))
    found = world.propose("delays")
    assert (found.changes[0].added, found.changes[0].removed) == (48, 24)
    world.promote("delays")
    assert world.served("SELECT word, count(*), min(hour)::DATE::VARCHAR FROM delays GROUP BY 1 ORDER BY 1") == [
        ("new", 24, "2013-01-03"),
        ("next", 24, "2013-01-07"),
        ("old", 120, "2013-01-01"),
    ]
    # The rows of the other days keep their places: what is written anew stands in the order of the days.
    assert world.served("SELECT max(rowid) FILTER (word = 'old') < min(rowid) FILTER (word <> 'old') FROM delays") == [
        (True,)
    ]
    assert len(DeltaTable(str(world.lake / "delays")).file_uris()) == 7


def test_a_column_may_come_go_and_change_its_type(world: World) -> None:
    world.version("delays", "SELECT 1::INTEGER AS id, 'x' AS gone, 5::INTEGER AS wide")
    world.promote("delays")
    world.version("delays", "SELECT 1::INTEGER AS id, 5::BIGINT AS wide, true AS fresh")
    found = world.propose("delays")
    assert found.changes[0].columns == (
        "column fresh appears (BOOLEAN)",
        "column gone vanishes (was VARCHAR)",
        "column wide changes its type from INTEGER to BIGINT",
        "rows are compared over the columns that stay as they are",
    )
    assert (found.changes[0].added, found.changes[0].removed) == (0, 0)
    world.promote("delays")
    assert [name for name, *_ in world.served("DESCRIBE delays")] == ["id", "wide", "fresh"]
    fields = {field.name for field in DeltaTable(str(world.lake / "delays")).schema().fields}
    assert fields == {"id", "wide", "fresh"}


def test_a_table_that_is_no_longer_promoted_leaves_every_face(world: World) -> None:
    world.version("delays", "SELECT 1 AS id")
    world.version("planes", "SELECT 1 AS id")
    world.promote("delays", "planes")
    found = world.propose("delays")
    assert [(change.table, change.after, change.removed) for change in found.changes] == [
        ("delays", 1, 0),
        ("planes", 0, 1),
    ]
    assert not unchanged(found)
    world.promote("delays")
    assert world.served("SELECT table_name FROM duckdb_tables()") == [("delays",)]
    assert faces(world.root)["delta"] == {"delays": ["(1,)"], "planes": []}
    world.rollback()
    assert faces(world.root)["delta"] == {"delays": ["(1,)"], "planes": ["(1,)"]}


def test_a_release_carries_the_tables_of_other_pipelines_on(world: World) -> None:
    world.version("delays", "SELECT 1 AS id")
    world.promote("delays")
    world.version("orders", "SELECT 2 AS id")
    release = world.promote("orders", pipeline="shop")
    assert [(table.table, table.pipeline) for table in release.tables] == [("delays", "flights"), ("orders", "shop")]
    world.version("delays", "SELECT 3 AS id")
    world.promote("delays")
    assert world.served("SELECT d.id, o.id FROM delays d, orders o") == [(3, 2)]
    gate = world.propose("delays", pipeline="shop").gate
    assert gate == ("Table delays of production belongs to pipeline flights; give the table another name",)


def test_promotion_is_refused_once_production_has_moved(world: World) -> None:
    world.version("delays", "SELECT 1 AS id")
    stale = world.propose("delays")
    world.promote("delays")
    with pytest.raises(ConflictError, match=r"moved to release 1 .* penstock diff"):
        promote(Promoting(candidate=stale, by="ada", at=world.clock()), world.ports())


def test_a_holder_whose_successor_promoted_is_refused(world: World) -> None:
    world.version("delays", "SELECT 1 AS id")
    world.promote("delays", fence=7)
    world.version("delays", "SELECT 2 AS id")
    with pytest.raises(StaleWriterError, match="release 1"):
        world.promote("delays", fence=6)
    with pytest.raises(StaleWriterError):
        world.rollback(fence=6)
    assert world.served("FROM delays") == [(1,)]


def test_a_warehouse_that_somebody_wrote_into_is_not_replaced(world: World) -> None:
    world.version("delays", "SELECT 1 AS id")
    world.promote("delays")
    world.version("delays", "SELECT 2 AS id")
    log = world.warehouse.with_name("warehouse.duckdb.wal")
    log.write_bytes(b"")
    with pytest.raises(ConflictError, match=r"write-ahead log beside it \(warehouse.duckdb.wal\)"):
        world.promote("delays")
    assert not (world.lake / "releases" / "2.json").exists()
    log.unlink()
    assert world.promote("delays").number == 2


def test_a_file_that_no_release_made_is_not_overwritten(world: World) -> None:
    world.warehouse.parent.mkdir(parents=True)
    with duckdb.connect(str(world.warehouse)) as connection:
        connection.execute("CREATE TABLE precious AS SELECT 1 AS id")
    world.version("delays", "SELECT 1 AS id")
    with pytest.raises(ConfigurationError, match="is there already, and no release made it"):
        world.promote("delays")
    assert world.served("FROM precious") == [(1,)]


def test_rows_that_are_not_there_publish_nothing(world: World) -> None:
    world.version("delays", "SELECT 1 AS id")
    world.promote("delays")
    world.version("delays", "SELECT i AS id FROM range(10) t(i)")
    found = world.propose("delays")
    table = found.tables[0]
    lying = replace(found, tables=(replace(table, rows=11),))
    with pytest.raises(BugError, match=r"'delays' .* should have 11 rows, but has 10 rows; nothing was published"):
        promote(Promoting(candidate=lying, by="ada", at=world.clock()), world.ports())
    assert faces(world.root)["warehouse"] == {"delays": ["(1,)"]}
    assert sorted(path.name for path in world.folder.iterdir()) == ["1.duckdb"]


def test_a_damaged_former_file_is_not_built_upon(world: World) -> None:
    world.version("planes", "SELECT 7 AS seats")
    for number in (1, 2):
        world.version("delays", f"SELECT {number} AS id")
        world.promote("delays", "planes")
    damaged = world.folder / "2.duckdb"
    damaged.chmod(0o644)
    with duckdb.connect(str(damaged)) as connection:
        connection.execute("DELETE FROM planes")
    for number in (3, 4):
        world.version("delays", f"SELECT {number} AS id")
        world.promote("delays", "planes")
        assert world.served("FROM delays, planes") == [(number, 7)]
        (world.folder / "3.duckdb").chmod(0o644)
        (world.folder / "3.duckdb").write_bytes(b"not a database")


def test_a_full_disk_publishes_nothing(world: World) -> None:
    world.version("delays", "SELECT 1 AS id")
    world.promote("delays")
    world.version("delays", "SELECT i AS id, md5(i::VARCHAR) AS word FROM range(200000) t(i)")
    found = world.propose("delays")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, hard))
    try:
        with pytest.raises(TransientError, match=r"Building the DuckDB file .*: the disk is full"):
            promote(Promoting(candidate=found, by="ada", at=world.clock()), world.ports())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert sorted(path.name for path in world.folder.iterdir()) == ["1.duckdb"]
    assert world.served("FROM delays") == [(1,)]
    promote(Promoting(candidate=found, by="ada", at=world.clock()), world.ports())
    assert world.served("SELECT count(*) FROM delays") == [(200000,)]


def test_a_torn_data_file_publishes_nothing(world: World) -> None:
    world.version("delays", "SELECT i AS id, 'text ' || i AS word FROM range(10000) t(i)")
    found = world.propose("delays")
    path = Path(world.staging.table("delays").uri(found.tables[0].files[0].path))
    data = path.read_bytes()
    path.write_bytes(data[:-200] + bytes(200))
    with pytest.raises((DataError, TransientError), match="Building the DuckDB file"):
        promote(Promoting(candidate=found, by="ada", at=world.clock()), world.ports())
    assert not world.warehouse.exists()
    assert list(world.folder.iterdir()) == []


def test_a_data_file_that_is_gone_is_named(world: World) -> None:
    world.version("delays", "SELECT 1 AS id")
    found = world.propose("delays")
    os.unlink(world.staging.table("delays").uri(found.tables[0].files[0].path))
    with pytest.raises(NotFoundError, match=r"version 1 of delays is gone .* penstock run"):
        promote(Promoting(candidate=found, by="ada", at=world.clock()), world.ports())


def test_a_different_file_of_the_same_name_keeps_its_place(world: World, tmp_path: Path) -> None:
    world.version("delays", "SELECT 1 AS id")
    first = world.promote("delays")
    # Staging is made anew, so that its numbers and file names begin again.
    again = World(tmp_path / "again", world.engine)
    again.staging = DeltaLake(tmp_path / "again" / "staging")
    again.version("delays", "SELECT 2 AS id, 'wider' AS word")
    ports = replace(world.ports(), staging=again.staging)
    found = again.propose("delays", ports=ports)
    second = promote(Promoting(candidate=found, by="ada", at=world.clock()), ports)
    assert first.tables[0].files[0].path == "part-1-0.parquet"
    assert second.tables[0].files[0].path == "r2-part-1-0.parquet"
    assert world.served("FROM delays") == [(2, "wider")]
    world.rollback()
    assert world.served("FROM delays") == [(1,)]


def test_only_the_last_releases_keep_their_files(world: World) -> None:
    for number in range(1, 6):
        world.version("delays", f"SELECT {number} AS id")
        world.promote("delays", keep=2)
    assert sorted(path.name for path in world.folder.iterdir()) == ["4.duckdb", "5.duckdb"]
    assert len(list((world.lake / "delays").glob("*.parquet"))) == 5


def test_finishing_a_finished_production_writes_nothing(world: World) -> None:
    assert finish(world.ports()) is None
    assert not world.warehouse.parent.exists()
    world.version("delays", "SELECT 1 AS id")
    world.promote("delays")
    before = _stamps(world.root / "production")
    assert finish(world.ports()) is None
    assert _stamps(world.root / "production") == before


def _stamps(root: Path) -> dict[str, tuple[int, int, int]]:
    found = {}
    for path in sorted(root.rglob("*")):
        status = path.stat()
        found[str(path)] = (status.st_ino, status.st_size, status.st_mtime_ns)
    return found


def test_a_lost_warehouse_and_a_torn_pointer_are_remade(world: World) -> None:
    for number in (1, 2):
        world.version("delays", f"SELECT {number} AS id")
        world.promote("delays")
    world.warehouse.unlink()
    assert finish(world.ports()) is None
    assert world.served("FROM delays") == [(2,)]
    (world.lake / "releases" / "current").write_bytes(b'{"rele')
    (world.folder / "2.duckdb").unlink()
    done = finish(world.ports())
    assert done is not None
    assert done.number == 2
    assert json.loads((world.lake / "releases" / "current").read_text()) == {"release": 2}
    assert faces(world.root)["kept"] == ["1.duckdb", "2.duckdb"]
    assert world.served("FROM delays") == [(2,)]


def test_a_pointer_to_a_release_that_is_gone_is_named(world: World) -> None:
    world.version("delays", "SELECT 1 AS id")
    world.promote("delays")
    (world.lake / "releases" / "1.json").unlink()
    with pytest.raises(DataError, match=r"names release 1, but releases/1.json is gone"):
        finish(world.ports())


def test_what_never_committed_is_undone(world: World) -> None:
    world.version("delays", "SELECT 1 AS id")
    world.promote("delays")
    rubbish = [
        world.folder / "2.duckdb",
        world.folder / ".2.duckdb.building",
        world.folder / ".2.duckdb.building.wal",
        world.warehouse.parent / ".warehouse.duckdb.next",
    ]
    for path in rubbish:
        path.write_bytes(b"half")
    assert finish(world.ports()) is None
    assert not [path for path in rubbish if path.exists()]
    assert (world.folder / "1.duckdb").exists()


def test_a_release_of_that_number_by_somebody_else_wins(world: World) -> None:
    """Two machines over one disk without locks: creating the release's object fences."""
    world.version("delays", "SELECT 1 AS id")
    found = world.propose("delays")

    class Slow(ReleaseFolder):
        def build(self, *arguments: object) -> None:
            super().build(*arguments)  # type: ignore[arg-type]
            (world.lake / "releases").mkdir(exist_ok=True)
            (world.lake / "releases" / "1.json").write_bytes(b"{}")

    slow = Slow(world.warehouse, world.engine)
    with pytest.raises(ConflictError, match="Somebody else made release 1"):
        promote(Promoting(candidate=found, by="ada", at=world.clock()), world.ports(files=slow))
    assert list(world.folder.iterdir()) == []
    assert not world.warehouse.exists()


def test_another_process_that_promotes_is_waited_for(world: World) -> None:
    world.version("delays", "SELECT 1 AS id")
    world.folder.mkdir(parents=True)
    code = (
        "import sys, time; from penstock.stores.releases import ReleaseFolder\n"
        "with ReleaseFolder(sys.argv[1], None).holding():\n"
        "    print('held', flush=True); time.sleep(60)\n"
    )
    other = subprocess.Popen([sys.executable, "-c", code, str(world.warehouse)], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    try:
        assert other.stdout.readline() == "held\n"
        impatient = ReleaseFolder(world.warehouse, world.engine, patience=0.2)
        found = world.propose("delays")
        with pytest.raises(TransientError, match=rf"Production .* \(pid {other.pid}\)"):
            promote(Promoting(candidate=found, by="ada", at=world.clock()), world.ports(files=impatient))
        # A question that is asked meanwhile neither waits nor takes its half-built file away.
        building = world.folder / ".1.duckdb.building"
        building.write_bytes(b"half")
        began = time.monotonic()
        assert finish(world.ports()) is None
        assert time.monotonic() - began < 5
        assert building.exists()
    finally:
        other.kill()
        other.wait()
        other.stdout.close()
    # The lock of a dead process is free at once.
    began = time.monotonic()
    promote(Promoting(candidate=found, by="ada", at=world.clock()), world.ports())
    assert time.monotonic() - began < 10


def test_a_folder_that_cannot_be_written_is_named(world: World) -> None:
    world.version("delays", "SELECT 1 AS id")
    world.root.joinpath("production").write_text("a file, not a folder")
    with pytest.raises(ConfigurationError, match="production"):
        world.promote("delays")


def test_odd_names_are_quoted(world: World) -> None:
    name = "odd \"' name"
    world.version("delays", f"SELECT 1 AS {quoted(name)}, DATE '2013-01-01' AS \"select\"")
    world.promote("delays")
    assert [row[0] for row in world.served("DESCRIBE delays")] == [name, "select"]


def test_the_many_files_of_a_first_release_are_all_staged(world: World) -> None:
    queries = [f"SELECT {number} AS id" for number in range(40)]
    world.version("delays", *queries)
    release = world.promote("delays")
    assert world.served("SELECT count(*), sum(id) FROM delays") == [(40, 780)]
    file: DataFile
    for file in release.tables[0].files:
        assert (world.lake / "delays" / file.path).stat().st_size == file.bytes


def test_statistics_are_kept_where_they_are_needed_and_nowhere_else(world: World) -> None:
    world.version("delays", "SELECT 1 AS id", interval=day(0), statistics={"id": (1, 1, 0)})
    first = world.promote("delays")
    assert first.tables[0].files[0].statistics == {"id": (1, 1, 0)}
    log = DeltaTable(str(world.lake / "delays")).get_add_actions(flatten=True)
    assert "max.id" in log.schema.names
    world.version("delays", "SELECT 2 AS id", interval=day(1))
    assert world.propose("delays").tables[0].files[0].statistics == {}
    assert [file.statistics for file in world.promote("delays").tables[0].files] == [{}, {}]
