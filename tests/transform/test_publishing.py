from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from penstock.errors import ConfigurationError, ConflictError, StaleWriterError, TransientError
from penstock.model.entries import CheckReport, Entry, EntryKind, InputVersion
from penstock.model.interval import Interval
from penstock.model.receipts import CheckReceipt
from penstock.model.specs import TransformSpec
from penstock.stores.lake import DeltaLake
from penstock.stores.port import LakeTable
from penstock.stores.sealing import Sealing, sealing
from penstock.transform.computing import Transforming, TransformPorts, compute
from penstock.transform.publishing import Publishing, PublishPorts, publish

AT = datetime(2026, 11, 21, 2, 30, tzinfo=UTC)
DAYS = list(Interval.parse("2013-01-05/2013-01-08").split(timedelta(days=1)))
BOUNDED = "select {columns} from flights where time_hour >= :interval_start and time_hour < :interval_end {more}"


def made(
    bench: Any,
    sql: str,
    interval: Interval | None = None,
    table: LakeTable | None = None,
    sealing: Sealing | None = None,
    **fields: Any,
) -> Entry:
    transform = TransformSpec(table="delays", sql=sql, interval="time_hour" if interval else None, origin="delays.sql")
    with bench.writing() as transaction:
        spec = Transforming(transform=transform, names={"flights": "raw_flights"}, interval=interval)
        computed = compute(spec, TransformPorts(transaction))
        return publish(
            Publishing(transform=transform, computed=computed, interval=interval, created_at=AT, **fields),
            PublishPorts(transaction, table or bench.lake.table("delays"), bench.lake.objects, sealing=sealing),
        )


def rows(lake: DeltaLake) -> list[tuple[Any, ...]]:
    table = lake.table("delays")
    files = [table.uri(file.path) for file in table.live()]
    if not files:
        return []
    return duckdb.execute(f"select * from read_parquet({files}, hive_partitioning=false) order by all").fetchall()


def test_a_version_replaces_the_whole_table_and_keeps_the_order(bench: Any) -> None:
    first = made(
        bench,
        "select flight_id, origin from flights order by flight_id desc",
        run="r1",
        fingerprint="f1",
        inputs=(InputVersion(table="raw_flights", number=3),),
    )
    assert (first.kind, first.number, first.rows, first.fingerprint) == (EntryKind.VERSION, 1, 48, "f1")
    assert first.inputs == (InputVersion(table="raw_flights", number=3),)
    stored = pq.read_table(bench.lake.table("delays").uri(first.files[0].path))
    assert stored["flight_id"].to_pylist() == list(range(47, -1, -1))
    assert first.files[0].statistics["flight_id"] == (0, 47, 0)
    second = made(bench, "select flight_id from flights where dep_delay > 15", run="r2")
    assert second.removed == (first.files[0].path,)
    assert (second.rows, len(rows(bench.lake))) == (22, 22)
    assert bench.lake.table("delays").head() == second.number
    delta = DeltaTable(str(Path(bench.lake.objects.root) / "delays"))
    assert delta.to_pyarrow_table().num_rows == 22


def test_what_cannot_be_made_durable_beside_makes_no_version(bench: Any) -> None:
    def full() -> None:
        raise TransientError("The disk is full")

    folder = Path(bench.lake.objects.root) / "delays"
    with sealing() as beside:
        beside.begin(full)
        with pytest.raises(TransientError, match="disk is full"):
            made(bench, "select flight_id from flights", sealing=beside)
        assert bench.lake.table("delays").head() == 0
        assert not list((folder / "_manifests").iterdir())
        entry = made(bench, "select flight_id from flights", sealing=beside, run="r2")
    assert (entry.number, len(rows(bench.lake))) == (1, 48)


def test_an_empty_result_is_a_version_with_its_columns(bench: Any) -> None:
    made(bench, "select flight_id from flights")
    entry = made(bench, "select flight_id from flights where false", run="r2")
    assert (entry.rows, [column.name for column in entry.schema]) == (0, ["flight_id"])
    assert rows(bench.lake) == []


def test_types_that_delta_lacks_are_stored_in_their_written_form(bench: Any) -> None:
    entry = made(
        bench,
        "select uuid '11111111-1111-1111-1111-111111111111' u, 18446744073709551615::ubigint b, time '01:02:03' t",
    )
    assert rows(bench.lake) == [("11111111-1111-1111-1111-111111111111", 18446744073709551615, 3723000000)]
    assert [column.type for column in entry.schema] == ["UUID", "UBIGINT", "TIME"]


def test_an_interval_replaces_its_own_files_alone(bench: Any) -> None:
    sql = BOUNDED.format(columns="time_hour, flight_id", more="")
    one, two = (made(bench, sql, day, run="r1") for day in DAYS[:2])
    assert [column.name for column in two.schema] == ["time_hour", "flight_id"]
    assert one.files[0].path.startswith(f"_interval={DAYS[0].path}/")
    assert (one.rows, two.rows) == (24, 48)
    again = made(bench, BOUNDED.format(columns="time_hour, flight_id", more="and dep_delay > 15"), DAYS[0], run="r2")
    assert again.removed == (one.files[0].path,)
    left = {file.path for file in bench.lake.table("delays").live()}
    assert left == {two.files[0].path, again.files[0].path}
    assert again.rows == 24 + again.files[0].rows
    partitions = DeltaTable(str(Path(bench.lake.objects.root) / "delays")).partitions()
    assert sorted(item["_interval"] for item in partitions) == [DAYS[0].path, DAYS[1].path]


def test_an_interval_without_rows_takes_its_old_rows_out(bench: Any) -> None:
    sql = BOUNDED.format(columns="time_hour, flight_id", more="")
    made(bench, sql, DAYS[0])
    made(bench, sql, DAYS[1])
    entry = made(bench, sql + " and false", DAYS[1], run="r2")
    assert (entry.files, entry.rows, len(rows(bench.lake))) == ((), 24, 24)
    assert made(bench, sql, DAYS[2], run="r2").files == ()


def test_whole_and_by_interval_do_not_mix_silently(bench: Any) -> None:
    sql = BOUNDED.format(columns="time_hour, flight_id", more="")
    made(bench, sql, DAYS[0])
    whole = made(bench, "select time_hour, flight_id from flights", run="r2")
    assert (whole.rows, len(whole.removed), len(rows(bench.lake))) == (48, 1, 48)
    back = made(bench, sql, DAYS[0], run="r3")
    assert (back.rows, back.removed) == (24, (whole.files[0].path,))


def test_a_whole_table_cannot_become_one_by_interval(bench: Any) -> None:
    made(bench, "select time_hour from flights")
    with pytest.raises(ConfigurationError, match="was made as a whole before"):
        made(bench, BOUNDED.format(columns="time_hour", more=""), DAYS[0])
    assert len(rows(bench.lake)) == 48


def test_quarantined_rows_are_left_out(bench: Any) -> None:
    target = bench.lake.objects.uri("_quarantine/delays/1.parquet")
    duckdb.execute(f"copy (select unnest([0, 5, 47]) as _row, 'delays' as _file) to '{target}' (format parquet)")
    checked = CheckReceipt(
        table="delays", report=CheckReport(rows=48, quarantined=3), quarantine="_quarantine/delays/1.parquet"
    )
    entry = made(bench, "select flight_id from flights order by flight_id desc", checked=checked)
    stored = pq.read_table(bench.lake.table("delays").uri(entry.files[0].path))["flight_id"].to_pylist()
    assert stored == [i for i in range(47, -1, -1) if i not in (47, 42, 0)]
    assert (entry.rows, entry.report, entry.quarantine) == (45, checked.report, checked.quarantine)


def test_who_comes_second_takes_the_next_number(bench: Any) -> None:
    table = Racing(bench.lake.table("delays"), DeltaLake(bench.lake.objects.root).table("delays"))
    entry = made(bench, "select flight_id from flights", table=table, run="mine")
    assert table.raced
    assert (entry.number, entry.previous) == (2, 1)
    assert len(bench.lake.table("delays").live()) == 1


def test_a_stale_writer_stops_at_once(bench: Any) -> None:
    made(bench, "select flight_id from flights", fence=7)
    with pytest.raises(StaleWriterError):
        made(bench, "select 1 as flight_id", fence=6, run="stale")
    assert len(rows(bench.lake)) == 48


def test_a_commit_that_always_conflicts_is_given_up(bench: Any) -> None:
    table = Racing(bench.lake.table("delays"), DeltaLake(bench.lake.objects.root).table("delays"), times=99)
    with pytest.raises(ConflictError):
        made(bench, "select flight_id from flights", table=table, run="mine")


def test_the_same_result_is_the_same_file(bench: Any) -> None:
    sql = "select f.flight_id * 1000 + r as id, origin, time_hour from flights f, range(1000) t(r) order by id"
    digests = set()
    for run in ("r1", "r2"):
        entry = made(bench, sql, run=run)
        digests.add(hashlib.sha256(Path(bench.lake.table("delays").uri(entry.files[0].path)).read_bytes()).hexdigest())
    assert len(digests) == 1


class Racing:
    """A lake table on which somebody else commits between our number and our commit."""

    def __init__(self, table: LakeTable, rival: LakeTable, times: int = 1) -> None:
        self._table, self._rival, self._times = table, rival, times
        self.raced = 0
        self.name = table.name

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    def commit(self, entry: Entry, partition_by: tuple[str, ...] = (), ready: Any = None) -> Entry:
        if self.raced < self._times:
            self.raced += 1
            other = Entry(
                table="delays",
                number=self._rival.next_number(),
                previous=None,
                kind=EntryKind.VERSION,
                created_at=AT,
                schema=entry.schema,
            )
            self._rival.commit(other, partition_by)
        return self._table.commit(entry, partition_by, ready)
