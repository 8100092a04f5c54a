"""Arrow's types, the whole way: a table, a stream of batches, raw zone, warehouse."""

from __future__ import annotations

import pyarrow as pa
import pytest
from arrow_cases import CASES, table
from types_way import Arrived, Case, bring

import penstock
from penstock.errors import DataError


@pytest.fixture(scope="module", params=["table", "stream"])
def arrived(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Arrived:
    """One table that holds every case."""
    whole = table()
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "table":
        return bring(whole, folder)
    return bring(pa.RecordBatchReader.from_batches(whole.schema, whole.to_batches()), folder)


@pytest.mark.parametrize(("number", "case"), list(enumerate(CASES)), ids=[case.name for case in CASES])
def test_a_type_of_arrow_arrives_as_it_is(arrived: Arrived, number: int, case: Case) -> None:
    arrived.check(number, case)


def test_slices_of_arrays_are_not_taken_for_the_whole(tmp_path) -> None:
    """Offsets into shared buffers: each odd type, cut at both ends."""
    spans = pa.array([(9, 9, 9), (1, 2, 3001), None, (4, 5, 6000), (9, 9, 9)], pa.month_day_nano_interval())
    halves = pa.array([[9.0], [1.5, None], None, [], [9.0]], pa.list_(pa.float16()))
    maps = pa.array([[("z", 9)], [("a", 1), ("a", 2)], None, [("b", 3)], [("z", 9)]], pa.map_(pa.string(), pa.int64()))
    structs = pa.array([{"a": 9}, {"a": 1}, None, {"a": None}, {"a": 9}], pa.struct([("a", pa.float16())]))
    whole = pa.table({"place": range(5), "spans": spans, "halves": halves, "maps": maps, "structs": structs})
    found = bring(whole.slice(1, 3), tmp_path).plain
    assert found.column("spans").to_pylist() == [
        {"months": 1, "days": 2, "nanoseconds": 3001},
        None,
        {"months": 4, "days": 5, "nanoseconds": 6000},
    ]
    assert found.column("halves").to_pylist() == [[1.5, None], None, []]
    assert found.column("maps").to_pylist() == [
        [{"key": "a", "value": 1}, {"key": "a", "value": 2}],
        None,
        [{"key": "b", "value": 3}],
    ]
    assert found.column("structs").to_pylist() == [{"a": 1.0}, None, {"a": None}]


def test_nanoseconds_that_come_late_in_a_stream_are_refused_and_not_cut(tmp_path) -> None:
    type_ = pa.duration("ns")
    batches = [pa.record_batch({"x": pa.array([value], type_)}) for value in (1000, 1001)]
    reader = pa.RecordBatchReader.from_batches(batches[0].schema, batches)
    with pytest.raises(DataError, match=r"'x' of raw_t came as INTERVAL and then as BIGINT in one load"):
        penstock.ingest(reader, to=str(tmp_path / "w.duckdb"), table="t")


def test_a_table_without_rows_keeps_its_types(tmp_path) -> None:
    whole = table()
    found = bring(whole.slice(0, 0), tmp_path)
    assert found.plain.num_rows == 0
    typed = {field.name for field in whole.schema if not pa.types.is_null(field.type)}
    assert typed < set(found.delta)
    assert set(whole.column_names) - typed == {"c15"}
