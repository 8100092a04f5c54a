"""Rows with very long values are Parquet files like any other, and Arrow, DuckDB and Delta read them alike."""

from __future__ import annotations

import random
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock.schema import LONG
from penstock.stores import thrift
from penstock.stores.long_values import long_rows, write_row

TEXT = random.Random(7).randbytes(LONG // 2 + 3).hex() + "ü😀"


def footer(path: Path) -> bytes:
    data = path.read_bytes()
    size = int.from_bytes(data[-8:-4], "little")
    return data[-8 - size : -8]


@pytest.mark.parametrize("type_", [pa.string(), pa.large_string(), pa.binary(), pa.large_binary()])
def test_a_row_reads_back_as_it_was(tmp_path: Path, type_: pa.DataType) -> None:
    path = tmp_path / "row.parquet"
    row = pa.table(
        {
            "id": pa.array([7]),
            "long": pa.array([TEXT.encode()], pa.binary()).cast(type_),
            "nested": pa.array([{"a": [1, None, 3], "b": "x"}]),
            "none": pa.array([None], pa.int32()),
            "also": pa.array([TEXT[::-1]]),
            "short": pa.array(["y"]),
        }
    )
    write_row(row, str(path))
    found = pq.read_table(path)
    assert found.cast(row.schema).equals(row)
    with duckdb.connect() as connection:
        ((id_, long, nested, none, also, short),) = connection.execute(f"FROM read_parquet('{path}')").fetchall()
    assert (id_, nested, none, short) == (7, {"a": [1, None, 3], "b": "x"}, None, "y")
    assert also == TEXT[::-1]
    assert long == (TEXT.encode() if "binary" in str(type_) else TEXT)


def test_the_footer_tells_nulls_and_no_bounds_of_a_long_value(tmp_path: Path) -> None:
    path = tmp_path / "row.parquet"
    write_row(pa.table({"long": [TEXT], "id": [3]}), str(path))
    group = pq.read_metadata(path).row_group(0)
    long, id_ = group.column(0), group.column(1)
    assert (long.statistics.null_count, long.statistics.has_min_max) == (0, False)
    assert (id_.statistics.min, id_.statistics.max) == (3, 3)
    assert group.total_byte_size > len(TEXT.encode()) > long.total_compressed_size > LONG // 2
    assert path.stat().st_size > long.total_compressed_size


def test_a_slice_and_a_column_that_may_hold_no_nulls(tmp_path: Path) -> None:
    path = tmp_path / "row.parquet"
    schema = pa.schema([pa.field("long", pa.string(), nullable=False)])
    row = pa.table({"long": ["before", TEXT, "after"]}, schema=schema).slice(1, 1)
    write_row(row, str(path))
    assert pq.read_table(path)["long"].to_pylist() == [TEXT]


def test_which_rows_are_long() -> None:
    batch = pa.record_batch({"a": ["x", TEXT, None, "y"], "b": [TEXT.encode(), b"", None, b"z"], "c": [1, 2, 3, 4]})
    assert long_rows(batch) == [0, 1]
    assert long_rows(batch.slice(2)) == []


def test_what_is_read_of_a_footer_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "wide.parquet"
    columns = {f"c{place}": [place, None, -place] for place in range(40)}
    columns |= {"text": ["a", "b", "c"], "list": [[1], [], None]}
    pq.write_table(pa.table(columns), path, row_group_size=1)
    read = thrift.read(footer(path))
    assert thrift.read(thrift.write(read)) == read
    assert len(thrift.write(read)) == len(footer(path))
