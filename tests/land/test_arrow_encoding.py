"""How Arrow tables are written as Parquet: dictionaries where values repeat, and bounds in the log."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock.land.bounds import footer_statistics
from penstock.land.encoding import repeating, short
from penstock.land.parts import ArrowFile
from penstock.model.entries import Column

ROWS = 3000
ORIGIN = ("somewhere", {}, ROWS)


def written(folder: Path, table: pa.Table, columns: tuple[Column, ...] = ()) -> str:
    place = str(folder / "part.parquet")
    file = ArrowFile("part.parquet", place, columns)
    file.write(table, [ORIGIN])
    file.close()
    return place


def with_dictionary(place: str) -> set[str]:
    group = pq.read_metadata(place).row_group(0)
    leaves = [group.column(number) for number in range(group.num_columns)]
    return {leaf.path_in_schema for leaf in leaves if leaf.has_dictionary_page}


def test_values_that_repeat_get_a_dictionary_and_others_none(tmp_path: Path) -> None:
    table = pa.table(
        {
            "id": pa.array(range(ROWS), pa.int64()),
            "text": [f"text {number}" for number in range(ROWS)],
            "kind": [f"kind {number % 7}" for number in range(ROWS)],
            "seldom": [None if number % 3 else f"word {number % 5}" for number in range(ROWS)],
            "few": [None if number % 3 else f"text {number}" for number in range(ROWS)],
            "nothing": pa.nulls(ROWS, pa.string()),
        }
    )
    place = written(tmp_path, table)
    assert with_dictionary(place) == {"kind", "seldom"}
    assert pq.read_table(place).equals(table)


def test_what_lies_deeper_is_found_by_its_path(tmp_path: Path) -> None:
    inner = pa.struct([("name", pa.string()), ("of.it", pa.list_(pa.int32()))])
    table = pa.table(
        {
            "a": pa.array([{"name": "x", "of.it": [1, 2]}] * ROWS, inner),
            "m": pa.array([[("k", {"name": "y", "of.it": [3]})]] * ROWS, pa.map_(pa.string(), inner)),
            "l": pa.array([[1.5]] * ROWS, pa.large_list(pa.float64())),
            "f": pa.array([[1, 2]] * ROWS, pa.list_(pa.int16(), 2)),
        }
    )
    leaves = {
        *("a.name", "a.of.it.list.element", "l.list.element", "f.list.element"),
        *("m.key_value.key", "m.key_value.value.name", "m.key_value.value.of.it.list.element"),
    }
    assert set(repeating(table, short(table))) == leaves
    assert with_dictionary(written(tmp_path, table)) == leaves


def test_long_values_have_neither_dictionary_nor_bounds(tmp_path: Path) -> None:
    table = pa.table({"long": ["x" * 5000] * 10, "n": [1] * 10})
    place = written(tmp_path, table)
    group = pq.read_metadata(place).row_group(0)
    assert with_dictionary(place) == {"n"}
    assert [group.column(number).is_stats_set for number in (0, 1)] == [False, True]


TYPES = {
    "bool": ([True, False], pa.bool_()),
    "date": ([datetime(2026, 1, 1).date()] * 2, pa.date32()),  # noqa: DTZ001
    "time": ([1, 2], pa.time64("us")),
    "binary": ([b"a", b"b"], pa.binary()),
    "large": (["a", "b"], pa.large_string()),
    "fixed": ([b"ab", b"cd"], pa.binary(2)),
    "double": ([1.0, float("nan")], pa.float64()),
    "decimal": ([Decimal("1.5"), None], pa.decimal128(38, 3)),
    "duration": ([1, 2], pa.duration("us")),
}


@pytest.mark.parametrize("name", TYPES)
def test_each_type_can_be_judged(name: str) -> None:
    values, type_ = TYPES[name]
    table = pa.table({"v": pa.array(values * 50, type_)})
    assert repeating(table, ["v"]) == ["v"]


def test_decimals_of_18_digits_are_integers_to_every_reader(tmp_path: Path) -> None:
    values = [Decimal("-1.25"), None, Decimal("9999999999999999.99")]
    table = pa.table({"d": pa.array(values, pa.decimal128(18, 2)), "w": pa.array(values, pa.decimal128(19, 2))})
    column = Column(name="d", type="DECIMAL(18,2)")
    place = written(tmp_path, table, (column,))
    kinds = [pq.read_metadata(place).schema.column(number).physical_type for number in (0, 1)]
    assert kinds == ["INT64", "FIXED_LEN_BYTE_ARRAY"]
    assert duckdb.sql(f"SELECT d, w FROM '{place}'").fetchall() == [(value, value) for value in values]
    # The greater bound has more digits than a JSON number keeps.
    assert footer_statistics(place, [column]) == {"d": (-1.25, None, 1)}


def test_bounds_of_moments_are_those_of_the_rows(tmp_path: Path) -> None:
    first = datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
    moments = [first + timedelta(days=number) for number in range(ROWS)]
    table = pa.table(
        {
            "zoned": pa.array(moments, pa.timestamp("us", "UTC")),
            "plain": pa.array([moment.replace(tzinfo=None) for moment in moments], pa.timestamp("us")),
            "never": pa.array([2**63 - 1, *([0] * (ROWS - 1))], pa.timestamp("us")),
        }
    )
    columns = (
        Column(name="zoned", type="TIMESTAMP WITH TIME ZONE"),
        Column(name="plain", type="TIMESTAMP"),
        Column(name="never", type="TIMESTAMP"),
    )
    found = footer_statistics(written(tmp_path, table, columns), columns)
    last = f"{moments[-1]:%Y-%m-%dT%H:%M:%S.%f}"
    assert found["zoned"] == ("1969-12-31T23:59:59.999999Z", f"{last}Z", 0)
    assert found["plain"] == ("1969-12-31T23:59:59.999999", last, 0)
    assert found["never"] == (None, None, 0)


def test_landing_arrow_batches_loads_no_pandas(tmp_path: Path) -> None:
    (tmp_path / "moments.py").write_text(
        "import sys, pyarrow as pa, penstock\n"
        "at = pa.Array.from_buffers(pa.timestamp('us', 'UTC'), 3, [None, pa.py_buffer(bytes(24))])\n"
        "made = pa.Table.from_arrays([at], ['at'])\n"
        f"penstock.ingest(made, to={str(tmp_path / 't.duckdb')!r}, table='t')\n"
        "print('pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, str(tmp_path / "moments.py")], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
