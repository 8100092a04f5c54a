"""Filters of readers that know only Delta find every row, whichever bounds a file has."""

from datetime import UTC, datetime

import duckdb
import pyarrow.dataset as ds
import pytest
from deltalake import DeltaTable

from penstock.model.entries import Column, DataFile, Entry, EntryKind
from penstock.stores.lake import DeltaLake
from penstock.stores.parquet import write

A = Column(name="a", type="BIGINT")


def versioned(table, number, select, columns, bounded):
    """Commit four rows as a version of a table; its file has bounds of some columns."""
    types = {column.name: column.type for column in columns if column.name in bounded}
    written = write(duckdb.connect(), f"{select} FROM range(4)", table.uri(f"{number}.parquet"), types)
    file = DataFile(path=f"{number}.parquet", rows=4, bytes=written.bytes, statistics=written.statistics)
    table.commit(
        Entry(
            table=table.name,
            number=number,
            previous=None,
            kind=EntryKind.VERSION,
            created_at=datetime(2026, 11, 20, tzinfo=UTC),
            files=(file,),
            schema=columns,
            rows=4,
        )
    )


def test_a_filter_on_truth_values_finds_its_rows(tmp_path):
    # The reader of deltalake takes a missing bound beside others for one that no value meets.
    table, columns = DeltaLake(tmp_path / "lake").table("told"), (A, Column(name="b", type="BOOLEAN"))
    for number, value in enumerate(("true", "false", "NULL", "range % 2 = 0"), start=1):
        versioned(table, number, f"SELECT range AS a, CAST({value} AS BOOLEAN) AS b", columns, ("a", "b"))
    read = DeltaTable(tmp_path / "lake" / "told").to_pyarrow_table
    assert [read(filters=[("b", "=", value)]).num_rows for value in (True, False)] == [6, 6]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT range AS a, range + 0.5 AS x, CASE WHEN range = 2 THEN 'NaN'::DOUBLE ELSE range END AS y, 'long' AS s",
        "SELECT NULL::BIGINT AS a, range + 0.5 AS x, range::DOUBLE AS y, repeat('s', 300) AS s",
        "SELECT range AS a, NULL::DOUBLE AS x, range::DOUBLE AS y, NULL::VARCHAR AS s",
    ],
)
def test_a_filter_on_any_column_finds_its_rows(tmp_path, query):
    """deltalake takes a bound that is missing for one that no value meets, where the table says that there is one."""
    types = (("x", "DOUBLE"), ("y", "DOUBLE"), ("s", "VARCHAR"))
    columns = (A, *(Column(name=name, type=type_) for name, type_ in types))
    table = DeltaLake(tmp_path / "lake").table("told")
    for number, bounded in enumerate((("a",), ("a", "x", "y", "s"), ("a", "x"), ()), start=1):
        versioned(table, number, query, columns, bounded)
    read = DeltaTable(tmp_path / "lake" / "told").to_pyarrow_dataset().to_table
    everything = read()
    for kept in (
        *(ds.field(name).is_null() for name in "axys"),
        *(ds.field(name) >= 2 for name in "axy"),
        ds.field("s") == "long",
        ds.field("s") > "sss",
    ):
        assert read(filter=kept).num_rows == everything.filter(kept).num_rows
