"""Landing: types and names come back as they were, or are refused; none changes in silence."""

import os
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

import duckdb
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from landing_place import batch, types

from penstock.errors import DataError
from penstock.extract.port import Scan
from penstock.model.entries import Column
from penstock.queries.text import identifier

VALUES = {
    "ubigint": ("UBIGINT", 2**64 - 1),
    "uinteger": ("UINTEGER", 2**32 - 1),
    "tinyint": ("TINYINT", -128),
    "hugeint": ("HUGEINT", 2**127 - 1),
    "uhugeint": ("UHUGEINT", 2**128 - 1),
    "dec": ("DECIMAL(38,10)", Decimal("1234567890123456789012345678.0123456789")),
    "uid": ("UUID", UUID("12345678-1234-5678-1234-567812345678")),
    "tim": ("TIME", time(23, 59, 59, 999999)),
    "dat": ("DATE", date(1, 1, 1)),
    "ts": ("TIMESTAMP", datetime(9999, 12, 31, 23, 59, 59, 999999)),  # noqa: DTZ001
    "tz": ("TIMESTAMP WITH TIME ZONE", datetime(1969, 12, 31, 23, 59, 59, 1, tzinfo=UTC)),
    "text": ("VARCHAR", "né 🐟\u202eab\0c"),
    "blob": ("BLOB", b"\x00\xff"),
    "flag": ("BOOLEAN", True),
    "list": ("UINTEGER[]", [1, 2, None]),
    "deep": ('STRUCT("a b" UBIGINT, l STRUCT(x TIME)[])', {"a b": 2**64 - 1, "l": [{"x": time(1, 2, 3)}]}),
    "map": ("MAP(VARCHAR, UBIGINT)", {"k": 2**63}),
    "arr": ("INTEGER[2]", (1, 2)),
    "bits": ("BIT", "0101"),
    "ivl": ("INTERVAL", timedelta(days=400, microseconds=5)),
}


@pytest.mark.parametrize("by", ["scan", "arrow"])
def test_every_type_comes_back_as_it_was(place, by):
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE v ({', '.join(f'{identifier(n)} {t}' for n, (t, _) in VALUES.items())})")
        connection.execute(f"INSERT INTO v VALUES ({', '.join('?' * len(VALUES))})", [v for _, v in VALUES.values()])
        connection.execute("INSERT INTO v (flag) VALUES (NULL)")
        expected = connection.execute("SELECT * FROM v").fetchall()
        if by == "arrow":
            connection.execute("SET arrow_lossless_conversion = true")
            batches = [batch(connection.sql("SELECT * EXCLUDE (bits) FROM v").to_arrow_table().to_batches()[0])]
            expected = [row[:-2] + row[-1:] for row in expected]
        else:
            values = ", ".join(f"CAST(? AS {type_}) AS {identifier(name)}" for name, (type_, _) in VALUES.items())
            nulls = ", ".join("NULL" for _ in VALUES)
            batches = [Scan(f"SELECT {values} UNION ALL SELECT {nulls}", tuple(value for _, value in VALUES.values()))]
    entry = place.land(batches).entry
    for name, type_ in types(entry).items():
        assert type_ == VALUES[name][0], name
    assert place.rows(entry) == expected
    # What was stored can be read by one who knows only Delta.
    delta = DeltaTable(os.path.join(place.lake.objects.root, "raw_t")).to_pyarrow_table()
    assert delta.num_rows == 2
    again = place.land(batches)
    assert again.entry.schema == entry.schema
    assert place.rows(again.entry) == expected


def test_nanoseconds_are_kept_or_refused_never_cut(place):
    stamps = pa.array([1_700_000_000_123_456_789, None], pa.timestamp("ns"))
    entry = place.land([batch({"at": stamps})]).entry
    assert types(entry) == {"at": "TIMESTAMP_NS"}
    assert place.rows(entry, 'epoch_ns("at")') == [(1_700_000_000_123_456_789,), (None,)]
    whole = pa.array([1_700_000_000_123_456_000], pa.timestamp("ns", "Europe/Berlin"))
    entry = place.land([batch({"at": whole})], table="zoned").entry
    assert types(entry) == {"at": "TIMESTAMP WITH TIME ZONE"}
    assert place.rows(entry, 'epoch_us("at")', "zoned") == [(1_700_000_000_123_456,)]
    parts = stamps.cast(pa.timestamp("ns", "UTC"))
    with pytest.raises(DataError, match=r"'at' of raw_zoned changed its type: it was TIMESTAMP WITH TIME ZONE"):
        place.land([batch({"at": parts})], table="zoned")
    entry = place.land([batch({"at": parts})], table="fine").entry
    assert types(entry) == {"at": "TIMESTAMPTZ_NS"}
    assert place.rows(entry, 'epoch_ns("at")', "fine") == [(1_700_000_000_123_456_789,), (None,)]


@pytest.mark.parametrize(
    ("values", "type_", "expected"),
    [
        (pa.array(["x", "y", "x"]).dictionary_encode(), "VARCHAR", ["x", "y", "x"]),
        (pa.array([1, 2], pa.float16()), "FLOAT", [1.0, 2.0]),
        (pa.array(["x"], pa.string_view()), "VARCHAR", ["x"]),
        (pa.array([b"ab"], pa.binary(2)), "BLOB", [b"ab"]),
        (pa.array([1], pa.timestamp("s")), "TIMESTAMP_S", [datetime(1970, 1, 1, 0, 0, 1)]),  # noqa: DTZ001
        (pa.array([Decimal(2**200)], pa.decimal256(76, 0)), "VARCHAR", [str(2**200)]),
        (pa.array([float("nan"), float("inf"), -0.0]), "DOUBLE", ["nan", "inf", "-0.0"]),
        (pa.array([86400000], pa.date64()), "DATE", [date(1970, 1, 2)]),
    ],
)
def test_arrow_types_of_every_kind(place, values, type_, expected):
    entry = place.land([batch({"x": values})]).entry
    assert types(entry) == {"x": type_}
    found = [row[0] for row in place.rows(entry)]
    assert [str(value) if type_ == "DOUBLE" else value for value in found] == expected
    assert DeltaTable(os.path.join(place.lake.objects.root, "raw_t")).to_pyarrow_table().num_rows == len(expected)


def test_types_widen_within_a_load_without_loss(place):
    big = place.land([batch({"x": [1] * 130_000, "n": [None] * 130_000}), batch({"x": [1.5], "n": ["a"]})]).entry
    assert types(big) == {"x": "DOUBLE", "n": "VARCHAR"}
    assert place.rows(big, "count(*), sum(x), max(n)") == [(130_001, 130_001.5, "a")]
    assert place.rows(big, "typeof(x)")[0] == ("DOUBLE",)
    with pytest.raises(DataError, match="'x'"):
        place.land([batch({"x": [2**53 + 1] * 130_000}), batch({"x": [1.5]})], table="u")
    with pytest.raises(DataError, match=r"'x' of raw_w came as BIGINT and then as VARCHAR"):
        place.land([batch({"x": [1]}), batch({"x": ["a"]})], table="w")


def test_a_scan_widens_what_batches_began(place):
    entry = place.land(
        [batch({"x": [1, 2], "n": [None, None]}), Scan("SELECT 1.5::DOUBLE AS x, 7 AS n, 'new' AS y")]
    ).entry
    assert types(entry) == {"x": "DOUBLE", "n": "INTEGER", "y": "VARCHAR"}
    assert place.rows(entry) == [(1.0, None, None), (2.0, None, None), (1.5, 7, "new")]
    assert place.files() == sorted("raw_t/" + file.path for file in entry.files)
    with pytest.raises(DataError, match=r"'x' of raw_v came as BIGINT and then as VARCHAR"):
        place.land([batch({"x": [1]}), Scan("SELECT 'a' AS x")], table="v")


def test_new_columns_in_later_batches_are_null_before(place):
    entry = place.land([batch({"a": [1]}), batch({"a": [2], "b": ["x"]}), batch({"b": ["y"]})]).entry
    assert place.rows(entry) == [(1, None), (2, "x"), (None, "y")]


def test_the_tables_types_win_where_nothing_is_lost(place):
    place.land([batch({"x": [1.5], "t": ["a"], "n": pa.array([1], pa.int64())})])
    receipt = place.land([batch({"x": [2], "t": [7], "n": ["12"]})])
    assert place.rows(receipt.entry) == [(2.0, "7", 12)]
    assert types(receipt.entry) == {"x": "DOUBLE", "t": "VARCHAR", "n": "BIGINT"}
    assert any("'t' came as BIGINT and is kept as text" in note for note in receipt.notes)
    before = place.table().head()
    for values in ({"n": ["secret"]}, {"n": ["012"]}, {"x": [2**53 + 1]}):
        with pytest.raises(DataError, match=r"of raw_t holds a value that is no (BIGINT|DOUBLE)") as caught:
            place.land([batch(values)])
        assert "secret" not in str(caught.value)
    with pytest.raises(DataError, match=r"'n' of raw_t changed its type: it was BIGINT and now comes as BOOLEAN"):
        place.land([batch({"n": [True]})])
    assert place.table().head() == before
    wider = place.land([Scan("SELECT 1.5::DOUBLE AS n")]).entry
    assert types(wider) == {"x": "DOUBLE", "t": "VARCHAR", "n": "DOUBLE"}


def test_columns_that_appear_and_vanish_are_told(place):
    place.land([batch({"a": [1], "b": [2]})])
    receipt = place.land([batch({"a": [1], "c": ["x"]})])
    assert place.rows(receipt.entry) == [(1, None, "x")]
    assert "raw_t: the source no longer gives column 'b'; null in the new rows" in receipt.notes
    assert "raw_t: new column 'c'" in receipt.notes
    third = place.land([batch({"b": [3]})]).entry
    assert types(third) == {"a": "BIGINT", "b": "BIGINT", "c": "VARCHAR"}


def test_reserved_colliding_and_empty_names(place):
    names = ["created_at", "_load", "Id", "ID", "id", "", "a b", 'q"t', "a-b", "a_b"]
    data = pa.RecordBatch.from_arrays([pa.array([place_]) for place_ in range(len(names))], names=names)
    entry = place.land([batch(data)]).entry
    assert [(column.source_name, column.name) for column in entry.schema][:6] == [
        ("created_at", "created_at__source"),
        ("_load", "_load__source"),
        (None, "Id"),
        ("ID", "ID__2"),
        ("id", "id__3"),
        ("", "column6"),
    ]
    assert place.rows(entry) == [tuple(range(len(names)))]
    again = place.land([batch(data)]).entry
    assert again.schema == entry.schema
    twice = pa.RecordBatch.from_arrays([pa.array([1]), pa.array([2])], names=["x", "x"])
    assert place.rows(place.land([batch(twice)], table="u").entry, name="u") == [(1, 2)]


def test_case_alone_makes_no_new_column(place):
    place.land([batch({"Name": ["a"]})])
    entry = place.land([batch({"NAME": ["b"]})]).entry
    assert [column.name for column in entry.schema] == ["Name"]
    assert place.rows(entry) == [("b",)]


def test_lists_of_nothing_get_their_type_later(place):
    nothing = pa.array([[], None], pa.list_(pa.null()))
    entry = place.land([batch({"l": nothing}), Scan("SELECT [1::BIGINT, 2] AS l")]).entry
    assert types(entry) == {"l": "BIGINT[]"}
    assert place.rows(entry) == [([],), (None,), ([1, 2],)]
    alone = place.land([batch({"l": nothing})], table="u").entry
    assert alone.schema == (Column(name="l", type='"NULL"[]', stored="VARCHAR[]"),)
    typed = place.land([batch({"l": [[3]]})], table="u").entry
    assert types(typed) == {"l": "BIGINT[]"}
    assert DeltaTable(os.path.join(place.lake.objects.root, "raw_u")).to_pyarrow_table().column("l").to_pylist() == [
        [3],
        [],
        None,
    ]
