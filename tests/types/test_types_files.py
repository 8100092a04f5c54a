"""Types of Parquet and CSV files, the whole way; with them DuckDB's own types, which Parquet carries."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from file_cases import CASES, WIDE
from types_way import Arrived, Case, bring, spelled


@pytest.fixture(scope="module")
def arrived(tmp_path_factory: pytest.TempPathFactory) -> Arrived:
    """One Parquet file that holds every case, written by DuckDB."""
    folder = tmp_path_factory.mktemp("parquet")
    file = folder / "t.parquet"
    longest = max(len(case.values) for case in CASES)
    listed = []
    for place in range(longest + 1):
        values = [f"{place}::INTEGER AS place"]
        for number, case in enumerate(CASES):
            value = case.values[place] if place < len(case.values) else "NULL"
            values.append(f"CAST({value} AS {case.type}) AS c{number}")
        listed.append(f"SELECT {', '.join(values)}")
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"COPY ({' UNION ALL '.join(listed)}) TO '{file}' (FORMAT parquet)")
    return bring(str(file), folder)


@pytest.mark.parametrize(("number", "case"), list(enumerate(CASES)), ids=[case.name for case in CASES])
def test_a_type_of_a_parquet_file_arrives_as_it_is(arrived: Arrived, number: int, case: Case) -> None:
    arrived.check(number, case)


def test_decimals_of_parquet_past_38_digits_do_not_sink_the_file(tmp_path: Path) -> None:
    file = tmp_path / "t.parquet"
    pq.write_table(pa.table({"place": pa.array([0, 1], pa.int32()), "x": WIDE}), file)
    found = bring(str(file), tmp_path)
    assert found.plain.column("x").to_pylist() == [str(2**200), None]
    assert found.delta["x"].metadata == {"penstock.source_type": "decimal256(76, 0)"}


def test_a_map_of_parquet_keeps_a_key_that_stands_twice(tmp_path: Path) -> None:
    file = tmp_path / "t.parquet"
    twice = pa.array([[("k", 1), ("k", 2)]], pa.map_(pa.string(), pa.int64()))
    pq.write_table(pa.table({"place": pa.array([0], pa.int32()), "x": twice}), file)
    assert bring(str(file), tmp_path).plain.column("x").to_pylist() == [[("k", 1), ("k", 2)]]


def test_texts_of_a_csv_file_become_types_only_where_no_value_changes(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text(
        "place,code,whole,far,amount,day,at,zoned,clock,flag,empty,big\n"
        "0,007,9223372036854775807,0001-01-01,1.50,2013-01-05,2013-01-05 10:00:00.000001,"
        '2013-01-05T10:00:00+05:30,23:59:59.999999,true,"",18446744073709551616\n'
        "1,010,-1,9999-12-31,0.1,1969-12-31,1677-09-21 00:12:43,2013-11-03T01:30:00-04:00,00:00:00,false,,1\n",
        encoding="utf-8",
    )
    found = bring(str(file), tmp_path)
    with duckdb.connect(str(found.warehouse), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        types = dict(connection.execute("SELECT column_name, column_type FROM (DESCRIBE t)").fetchall())
        got = connection.execute(
            "SELECT code, whole::VARCHAR, far::VARCHAR, big::VARCHAR FROM t ORDER BY place"
        ).fetchall()
    assert types["code"] == "VARCHAR"
    assert got == [
        ("007", "9223372036854775807", "0001-01-01", "18446744073709551616"),
        ("010", "-1", "9999-12-31", "1"),
    ]
    assert found.plain.column("whole").to_pylist() == [2**63 - 1, -1]
    assert spelled(found.plain.column("clock").to_pylist()) == spelled([86_399_999_999, 0])
