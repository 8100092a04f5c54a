"""Writing data files: bounds that every Delta reader can parse and that never hide a row; nothing is overwritten."""

import gc
import os
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from test_lake import AT

import penstock
from penstock.errors import AlreadyExistsError, DataError, TransientError
from penstock.land.bounds import footer_statistics
from penstock.model.entries import Column, DataFile, Entry, EntryKind
from penstock.stores.lake import DeltaLake
from penstock.stores.measures import footers
from penstock.stores.parquet import bound, write

EXTREMES = {
    "TINYINT": ["-128", "127"],
    "BIGINT": ["-9223372036854775808", "9223372036854775807"],
    "FLOAT": ["-3.4028235e38", "3.4028235e38", "'nan'"],
    "DOUBLE": ["-1.7976931348623157e308", "5e-324", "'inf'"],
    "DECIMAL(38,10)": ["0.0000001", "1234567890123456789012345678.5"],
    "DECIMAL(10,2)": ["-99999999.99", "99999999.99"],
    "DECIMAL(18,12)": ["0.000000000001", "0.000000000002"],
    "DATE": ["'0001-01-01'", "'9999-12-31'"],
    "TIMESTAMP": ["'0001-01-01'", "'9999-12-31 23:59:59.999999'"],
    "TIMESTAMP WITH TIME ZONE": ["'1677-01-01 00:00:00.000001+00'", "'9999-12-31 23:59:59.999999+00'"],
    "VARCHAR": ["chr(0) || '\"\\🐟'", "repeat(chr(1114111), 100)"],
    "BLOB": ["'\\x00'::BLOB", "'\\xFF'::BLOB"],
    "BOOLEAN": ["true", "false"],
    "STRUCT(a INTEGER)": ["{'a': 1}", "{'a': 2}"],
    "INTEGER[]": ["[1]", "[NULL]"],
    "MAP(VARCHAR, INTEGER)": ["MAP {'a': 1}", "MAP {'a': NULL}"],
}
ODD = {
    "DATE": ["'infinity'", "'-infinity'", "'0044-03-15 (BC)'", "'12345-01-01'"],
    "TIMESTAMP": ["'infinity'", "'0044-03-15 (BC) 12:00:00'", "'12345-01-01 00:00:00'"],
    "TIMESTAMP WITH TIME ZONE": ["'-infinity'", "'12345-01-01 00:00:00+00'"],
}


@pytest.fixture(scope="module")
def connection():
    with duckdb.connect() as made:
        made.execute("SET TimeZone = 'UTC'")
        yield made


def landed(connection, root, type_, values):
    """Write the values as a table of one column, with the bounds of both writers; return the Delta table."""
    lake = DeltaLake(root)
    table = lake.table("t")
    query = " UNION ALL ".join(f"SELECT CAST({value} AS {type_}) AS x" for value in [*values, "NULL"])
    written = write(connection, query, table.uri("a.parquet"), {"x": type_})
    column = Column(name="x", type=type_)
    for number, statistics in enumerate((written.statistics, footer_statistics(table.uri("a.parquet"), [column])), 1):
        path = f"{number}.parquet"
        os.link(table.uri("a.parquet"), table.uri(path))
        file = DataFile(path=path, rows=written.rows, bytes=written.bytes, statistics=statistics)
        table.commit(
            Entry(
                table="t",
                number=number,
                previous=None,
                kind=EntryKind.VERSION,
                created_at=AT,
                files=(file,),
                schema=(column,),
                rows=written.rows,
            )
        )
    return DeltaTable(os.path.join(lake.objects.root, "t"))


@pytest.mark.parametrize("type_", EXTREMES)
def test_extreme_values_are_found_through_their_bounds(connection, tmp_path, type_):
    values = EXTREMES[type_]
    delta = landed(connection, tmp_path, type_, values)
    table = delta.to_pyarrow_table()
    assert table.num_rows == 2 * (len(values) + 1)
    if table.schema.field("x").type.num_fields:
        return
    # Ask for each value by itself: a bound too narrow would skip its file.
    for value in table["x"].drop_null().unique():
        if str(value) != "nan":
            assert delta.to_pyarrow_table(filters=pc.field("x") == value).num_rows == 2, value


@pytest.mark.parametrize("value", ["repeat('z', 33)", "repeat('z', 300)", "repeat('é', 200)", "repeat('z', 5000)"])
def test_long_texts_are_found_through_shortened_bounds(connection, tmp_path, value):
    delta = landed(connection, tmp_path, "VARCHAR", [value, "'a'"])
    text = connection.execute(f"SELECT {value}").fetchone()[0]
    assert delta.to_pyarrow_table(filters=pc.field("x") == text).num_rows == 2
    assert delta.to_pyarrow_table(filters=pc.field("x") > text).num_rows == 0
    assert delta.to_pyarrow_table(filters=pc.field("x") == "a").num_rows == 2


@pytest.mark.parametrize("type_", ODD)
def test_values_beyond_the_calendar_do_not_break_the_log(connection, tmp_path, type_):
    delta = landed(connection, tmp_path, type_, ODD[type_])
    assert delta.transaction_version("penstock") == 2
    assert [action["num_records"] for action in _actions(delta)] == [len(ODD[type_]) + 1] * 2


def _actions(delta):
    import pyarrow as pa

    return pa.table(delta.get_add_actions(flatten=True)).to_pylist()


LONG = ("x" * 33, "\U0010ffff" * 40, "a" + "\U0010ffff" * 40, "\ud7ff" * 40)


@pytest.mark.parametrize("text", ["", "a", "x" * 32, *LONG], ids=range(7))
def test_bounds_of_texts_hold(text):
    low, high = bound(text, upper=False), bound(text, upper=True)
    assert low <= text
    assert len(low) <= 32
    if high is not None:
        assert high >= text
        assert len(high) <= 32
        high.encode()
    else:
        assert set(text) == {"\U0010ffff"}


def test_a_data_file_is_never_overwritten(connection, tmp_path):
    target = str(tmp_path / "f.parquet")
    write(connection, "SELECT 1 AS x", target, {"x": "INTEGER"})
    with pytest.raises(AlreadyExistsError, match="never overwritten"):
        write(connection, "SELECT 2 AS x", target, {"x": "INTEGER"})
    assert connection.execute("SELECT x FROM read_parquet(?)", [target]).fetchall() == [(1,)]


def test_a_failed_write_leaves_no_file_and_a_sentence(connection, tmp_path):
    target = str(tmp_path / "f.parquet")
    with pytest.raises(DataError, match="cannot be read or converted"):
        write(connection, "SELECT CAST('x' || range AS INTEGER) AS x FROM range(5)", target, {})
    with pytest.raises(TransientError, match="could not be written"):
        write(connection, "SELECT 1 AS x", str(tmp_path / "absent" / "f.parquet"), {})
    assert os.listdir(tmp_path) == []


def test_bound_values_and_statistics(connection, tmp_path):
    written = write(
        connection,
        'SELECT range AS i, \'v\' || range AS "a ""b" FROM range(?) UNION ALL SELECT NULL, NULL',
        str(tmp_path / "f.parquet"),
        {"i": "BIGINT", 'a "b': "VARCHAR"},
        (10,),
    )
    assert (written.rows, written.bytes) == (11, os.path.getsize(tmp_path / "f.parquet"))
    assert written.statistics == {"i": (0, 9, 1), 'a "b': ("v0", "v9", 1)}


def test_columns_are_told_from_fields_of_the_same_path_and_the_footer_is_let_go(tmp_path: Path) -> None:
    """What Arrow's own schema of a footer holds stays until a search for cycles, which streams rarely make."""
    place = str(tmp_path / "t.parquet")
    nested = [{"b": 1, "c": [{"d": "x", "e": 2.5}]}, None]
    pairs = pa.array([[("k", 1)], []], pa.map_(pa.string(), pa.int32()))
    pq.write_table(pa.table({"a": nested, "m": pairs, "a.b": [None, 7], "l": [[1, 2], []], "x": [3, 4]}), place)
    gc.collect()
    gc.disable()
    try:
        columns = [Column(name="a.b", type="BIGINT"), Column(name="x", type="BIGINT")]
        assert footer_statistics(place, columns) == {"a.b": (7, 7, 1), "x": (3, 4, 0)}
        found = footers([place], ["a.b", "x"])
        assert (found.rows, found.columns) == (2, {"a.b": {"values": "1"}, "x": {"values": "2"}})
        assert gc.collect() == 0
    finally:
        gc.enable()


@pytest.mark.parametrize(("rows", "groups"), [(20_000, 1), (100_000, 2), (116_736, 2), (130_000, 2), (250_000, 3)])
def test_a_file_of_known_size_that_would_be_one_group_is_two(connection, tmp_path, rows, groups):
    place = str(tmp_path / "a.parquet")
    write(connection, f"SELECT range AS x FROM range({rows})", place, {"x": "BIGINT"}, rows=rows)
    assert (pq.read_metadata(place).num_row_groups, pq.read_metadata(place).num_rows) == (groups, rows)


def test_a_parquet_file_lands_in_groups_that_two_threads_can_read(tmp_path):
    duckdb.sql("SELECT range AS x FROM range(100_000)").write_parquet(str(tmp_path / "t.parquet"))
    penstock.ingest(str(tmp_path / "t.parquet"), to=str(tmp_path / "w.duckdb"))
    (file,) = (tmp_path / "w.lake").glob("raw_t/**/*.parquet")
    assert pq.read_metadata(file).num_row_groups == 2
