"""Landing: real Parquet and Delta, read back by others; what comes in is what stands in the lake, or nothing is."""

import gc
import os
import threading
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

import duckdb
import psutil
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from penstock.errors import ConflictError, DataError, StaleWriterError, TransientError
from penstock.extract.port import ArrowBatch, Scan
from penstock.land.landing import Landing, LandPorts, land
from penstock.model.entries import Column, Work
from penstock.model.interval import Interval
from penstock.model.specs import OnEmpty, SourceSpec, WriteMode
from penstock.queries.text import identifier
from penstock.schema import restore
from penstock.stores.engine import LocalEngine
from penstock.stores.lake import DeltaLake

AT = datetime(2026, 11, 20, 15, 4, 5, 123000, tzinfo=UTC)
DAY = Interval.parse("2013-01-05")


class Batches:
    """An extraction that gives what it was told to."""

    def __init__(self, batches, position=None, schema=None):
        self._batches = batches
        self._position = position
        self.schema = schema
        self.committed = self.closed = 0

    def batches(self):
        yield from self._batches() if callable(self._batches) else self._batches

    def position(self) -> Mapping | None:
        return self._position

    def notes(self):
        return ("from the source",)

    def commit(self):
        self.committed += 1

    def close(self):
        self.closed += 1


class Place:
    """A lake and an engine, and short ways to land and to read back."""

    def __init__(self, root):
        self.lake = DeltaLake(root)
        self.engine = LocalEngine()
        self.passed = [0, 0]
        self._times = 0

    def land(self, batches, *, table="t", position=None, schema=None, extraction=None, **more):
        self._times += 1
        spec = {name: more.pop(name) for name in ("write", "key", "cursor", "on_empty") if name in more}
        work = Work(interval=more.pop("interval", None), since=more.pop("since", None))
        landing = Landing(
            source=SourceSpec(table=table, kind="python", **spec),
            work=work,
            run="run",
            fence=more.pop("fence", 1),
            created_at=AT + timedelta(seconds=self._times),
            **more,
        )
        self.extraction = extraction or Batches(batches, position, schema)
        return land(landing, LandPorts(self.lake, self.engine, self.extraction, self.advance))

    def advance(self, rows, size):
        self.passed[0] += rows
        self.passed[1] += size

    def table(self, name="t"):
        return self.lake.table(f"raw_{name}")

    def rows(self, entry, what="*", name="t"):
        """Read an entry's rows in their order, original types restored."""
        table = self.table(name)
        uris = [table.uri(file.path) for file in entry.files]
        if not uris:
            return []
        restored = ", ".join(
            f"{restore(identifier(column.name), column.type)} AS {identifier(column.name)}" for column in entry.schema
        )
        return duckdb.sql(
            f"SELECT {what} FROM (SELECT {restored} FROM read_parquet({uris}, union_by_name=true, "
            "hive_partitioning=false))"
        ).fetchall()

    def files(self):
        """Return every Parquet file below the root, committed or not."""
        return sorted(info.path for info in self.lake.objects.list() if info.path.endswith(".parquet"))


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path / "lake")
    yield made
    made.engine.close()


def batch(values, origin="source", **detail):
    data = values if isinstance(values, pa.RecordBatch) else pa.RecordBatch.from_pydict(values)
    return ArrowBatch(data, (origin, detail))


def types(entry):
    return {column.name: column.type for column in entry.schema}


def test_rows_land_in_order_with_their_number_origin_and_position(place):
    receipt = place.land(
        [batch({"id": [1, 2]}, "p", page=1), batch({"id": [3]}, "p", page=1), batch({"id": [4]}, "p", page=2)],
        position={"cursor": 4},
    )
    entry = receipt.entry
    assert (entry.number, entry.previous, entry.rows, receipt.rows) == (1, None, 4, 4)
    assert place.rows(entry) == [(1,), (2,), (3,), (4,)]
    assert [(o.uri, o.first, o.rows, o.detail) for o in entry.origins] == [
        ("p", 0, 3, {"page": 1}),
        ("p", 3, 1, {"page": 2}),
    ]
    assert entry.work.position == {"cursor": 4}
    assert receipt.notes == ("from the source",)
    assert entry.files[0].path.startswith("created_at=2026-11-20T15-04-06.123Z/part-00000-")
    delta = DeltaTable(os.path.join(place.lake.objects.root, "raw_t")).to_pyarrow_table().to_pylist()
    assert delta == [{"id": i, "_load": 1, "created_at": "2026-11-20T15-04-06.123Z"} for i in (1, 2, 3, 4)]
    assert entry.files[0].statistics == {"id": (1, 4, 0)}
    assert (place.extraction.committed, place.extraction.closed) == (1, 1)
    assert place.passed[0] == 4
    assert receipt.bytes == entry.files[0].bytes == os.path.getsize(place.table().uri(entry.files[0].path))


def test_a_scan_and_batches_mix_in_order(place):
    receipt = place.land(
        [
            batch({"id": [1]}, "a"),
            Scan("SELECT range + ? AS id FROM range(3)", (10,), (("b", {"bytes": 5}),)),
            batch({"id": [2]}, "c"),
        ]
    )
    assert place.rows(receipt.entry) == [(1,), (10,), (11,), (12,), (2,)]
    assert [(o.uri, o.first, o.rows) for o in receipt.entry.origins] == [("a", 0, 1), ("b", 1, 3), ("c", 4, 1)]
    assert len(receipt.entry.files) == 3


def test_a_scan_of_many_files_counts_the_rows_of_each(place, tmp_path):
    names, expected = [], []
    for number, rows in enumerate((3, 0, 200_000, 1)):
        path = tmp_path / "in" / f"{number}.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text("id,name\n" + "".join(f"{number * 1_000_000 + row},x{row}\n" for row in range(rows)))
        names.append(str(path))
        expected += [number * 1_000_000 + row for row in range(rows)]
    scan = Scan(
        f"SELECT * FROM read_csv({names}, columns={{'id': 'BIGINT', 'name': 'VARCHAR'}}, filename='_file')",
        origins=tuple((f"in/{number}.csv", {"n": number}) for number in range(4)),
        file_column="_file",
    )
    entry = place.land([scan]).entry
    assert types(entry) == {"id": "BIGINT", "name": "VARCHAR"}
    assert [(o.uri, o.first, o.rows, o.detail) for o in entry.origins] == [
        ("in/0.csv", 0, 3, {"n": 0}),
        ("in/2.csv", 3, 200_000, {"n": 2}),
        ("in/3.csv", 200_003, 1, {"n": 3}),
    ]
    assert [row[0] for row in place.rows(entry, "id")] == expected


def test_a_scan_of_one_file_keeps_its_order(place, tmp_path):
    path = tmp_path / "one.csv"
    path.write_text("id,name\n" + "".join(f"{row},x{row}\n" for row in range(500_000)))
    sql = f"SELECT * FROM read_csv('{path}', filename='f')"
    entry = place.land([Scan(sql, origins=(("one.csv", {}),), file_column="f")]).entry
    assert [row[0] for row in place.rows(entry, "id")] == list(range(500_000))
    assert [(o.uri, o.first, o.rows) for o in entry.origins] == [("one.csv", 0, 500_000)]
    assert types(entry) == {"id": "BIGINT", "name": "VARCHAR"}


def test_a_scan_that_breaks_is_explained_by_its_reader_and_leaves_nothing(place, tmp_path):
    (tmp_path / "bad.csv").write_text("id\n1\n2\nx\n")
    sql = f"SELECT * FROM read_csv('{tmp_path}/bad.csv', columns={{'id': 'BIGINT'}}, filename='f')"
    with pytest.raises(DataError, match="cannot be read or converted"):
        place.land([Scan(sql, file_column="f")])
    for origins in ((("a", {}),), (("a", {}), ("b", {}))):
        with pytest.raises(DataError, match="line 4 is bad"):
            place.land([Scan(sql, (), origins, "f", explain=lambda _: DataError("line 4 is bad"))])
    assert (place.files(), place.table().head()) == ([], 0)
    assert place.extraction.closed == 1


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
    with pytest.raises(DataError, match=r"'at' of raw_zoned holds a value that cannot be kept"):
        place.land([batch({"at": stamps.cast(pa.timestamp("ns", "UTC"))})], table="zoned")


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
    with pytest.raises(DataError, match=r"'x' of raw_w came as int64 and then as string"):
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
    for values in ({"n": ["secret"]}, {"n": ["012"]}, {"n": [1.5]}, {"x": [2**53 + 1]}):
        with pytest.raises(DataError, match=r"of raw_t holds a value that is no (BIGINT|DOUBLE)") as caught:
            place.land([batch(values)])
        assert "secret" not in str(caught.value)
    with pytest.raises(DataError, match=r"'n' of raw_t changed its type: it was BIGINT and now comes as BOOLEAN"):
        place.land([batch({"n": [True]})])
    with pytest.raises(DataError, match=r"'n' of raw_t holds a value"):
        place.land([Scan("SELECT 1.5::DOUBLE AS n")])
    assert place.table().head() == before


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


def test_nothing_new_makes_no_entry(place):
    assert place.land([]).entry is None
    first = place.land([], schema=pa.schema([("a", pa.int64())])).entry
    assert (first.rows, types(first)) == (0, {"a": "BIGINT"})
    assert place.land([], schema=pa.schema([("a", pa.int64())])).entry is None
    assert place.land([batch({"a": []})], position={"c": 1}, since={"c": 1}).entry is None
    moved = place.land([], position={"c": 2}, since={"c": 1}).entry
    assert (moved.rows, moved.work.position, types(moved)) == (0, {"c": 2}, {"a": "BIGINT"})
    assert place.files() == []


def test_an_empty_interval_is_known_to_be_empty(place):
    entry = place.land([], schema=pa.schema([("a", pa.int64())]), interval=DAY).entry
    assert (entry.rows, entry.work.interval) == (0, DAY)
    other = place.land([], interval=Interval.parse("2013-01-06"), current=entry).entry
    assert other.number == 2
    assert place.land([], interval=DAY, current=entry, supersedes=(1,)).entry is None


def test_an_empty_source_empties_or_is_refused(place):
    place.land([batch({"a": [1]})], write=WriteMode.REPLACE)
    with pytest.raises(DataError, match="is empty, and its table would be emptied"):
        place.land([], write=WriteMode.REPLACE, on_empty=OnEmpty.REFUSE)
    emptied = place.land([], write=WriteMode.REPLACE).entry
    assert (emptied.rows, types(emptied)) == (0, {"a": "BIGINT"})
    assert place.land([], write=WriteMode.REPLACE, current=emptied).entry is None


def test_equal_content_in_another_order_is_unchanged(place):
    values = [(1, "a"), (2, None), (2, None), (3, "c")]

    def given(rows):
        return [batch({"x": [row[0] for row in rows], "y": [row[1] for row in rows]})]

    first = place.land(given(values), write=WriteMode.REPLACE).entry
    files = place.files()
    same = place.land(given(values[::-1]), write=WriteMode.REPLACE, current=first)
    assert (same.entry, same.rows) == (None, 4)
    assert place.files() == files
    # Without one of two equal rows, or with a value changed, it is another content.
    for rows in (values[:2] + values[3:], [*values[:3], (3, "d")], [*values, values[0], values[0]]):
        assert place.land(given(rows), write=WriteMode.REPLACE, current=first).entry is not None


def test_rows_at_the_boundary_come_once(place):
    first = place.land([batch({"c": [1, 2, 2, 3, 3], "v": ["a", None, None, "x", "x"]})], cursor="c").entry
    again = place.land(
        [batch({"c": [2, 2, 2], "v": [None, None, None]}, "p1"), batch({"c": [3, 3, 4], "v": ["x", "y", "x"]}, "p2")],
        cursor="c",
        boundary=(first,),
    )
    # Of three equal rows two were there; x was there once more than it came.
    assert place.rows(again.entry) == [(2, None), (3, "y"), (4, "x")]
    assert [(o.uri, o.first, o.rows) for o in again.entry.origins] == [("p1", 0, 1), ("p2", 1, 2)]
    assert again.rows == 6
    assert any("3 rows were landed before" in note for note in again.notes)
    assert len(place.files()) == 2
    third = place.land(
        [batch({"c": [4], "v": ["x"]})], cursor="c", boundary=(first, again.entry), since={}, position={}
    )
    assert third.entry is None
    assert len(place.files()) == 2


def test_a_hundred_thousand_rows_with_one_cursor_value_are_told_apart(place):
    first = place.land([batch({"c": [7] * 100_000, "id": pa.arange(0, 100_000)})], cursor="c").entry
    again = batch({"c": [7] * 100_001, "id": pa.arange(0, 100_001)})
    entry = place.land([again], cursor="c", boundary=(first,)).entry
    assert place.rows(entry) == [(7, 100_000)]


def test_null_cursors_at_the_boundary_come_once_too(place):
    first = place.land([batch({"c": [1, None], "v": [1, 2]})], cursor="c").entry
    entry = place.land([batch({"c": [None, None, 2], "v": [2, 3, 4]})], cursor="c", boundary=(first,)).entry
    assert place.rows(entry) == [(None, 3), (2, 4)]


def test_with_a_key_a_repeated_row_is_one(place):
    first = place.land([batch({"k": [1, 2], "c": [5, 6]})], cursor="c", key=("k",)).entry
    entry = place.land(
        [batch({"k": [2, 2, 3, 3, 4, 4], "c": [6, 6, 6, 6, 7, 7]})], cursor="c", key=("k",), boundary=(first,)
    ).entry
    # Past the boundary nothing is compared.
    assert place.rows(entry) == [(3, 6), (4, 7), (4, 7)]


def test_boundary_with_types_that_are_stored_otherwise(place):
    stamps = pa.array([10**9 + 1, 10**9 + 2], pa.timestamp("ns"))
    first = place.land([batch({"at": stamps, "u": pa.array([1, None], pa.uint64())})], cursor="at").entry
    later = pa.array([10**9 + 2, 10**9 + 3], pa.timestamp("ns"))
    entry = place.land(
        [batch({"at": later, "u": pa.array([None, 3], pa.uint64()), "new": [None, "n"]})],
        cursor="at",
        boundary=(first,),
    ).entry
    assert place.rows(entry, "u, new") == [(3, "n")]
    with pytest.raises(DataError, match="cursor column 'att' is not among"):
        place.land([batch({"at": later})], cursor="att", boundary=(first,))


def test_a_taken_number_is_renumbered_in_the_rows_too(place):
    place.land([batch({"a": [1]})])

    def meanwhile():
        yield batch({"a": [2, 3]})
        other = Place(place.lake.objects.root)
        other.land([batch({"a": [9]})])
        other.engine.close()

    entry = place.land(meanwhile).entry
    assert (entry.number, entry.previous) == (3, 2)
    uris = [place.table().uri(file.path) for file in entry.files]
    assert duckdb.sql(f"SELECT a, _load FROM read_parquet({uris}, hive_partitioning=false)").fetchall() == [
        (2, 3),
        (3, 3),
    ]
    assert len(place.files()) == 3


def test_after_four_conflicts_it_gives_up_and_leaves_no_file(place, monkeypatch):
    place.land([batch({"a": [1]})])
    tried = []

    def refuse(entry, partition_by=()):
        tried.append(entry.number)
        raise ConflictError("taken")

    monkeypatch.setattr(place.table(), "commit", refuse)
    with pytest.raises(ConflictError):
        place.land([batch({"a": [2]})])
    assert len(tried) == 4
    assert len(place.files()) == 1


def test_a_stale_writer_is_refused_and_leaves_no_file(place):
    place.land([batch({"a": [1]})], fence=5)
    with pytest.raises(StaleWriterError):
        place.land([batch({"a": [2]})], fence=4)
    assert len(place.files()) == 1
    assert place.extraction.committed == 0


@pytest.mark.parametrize(
    ("raised", "expected", "match"),
    [
        (TransientError("the server is down"), TransientError, "server is down"),
        (ValueError("boom"), DataError, "stopped after 2 rows: ValueError: boom"),
        (KeyboardInterrupt("stop"), KeyboardInterrupt, "stop"),
    ],
)
def test_a_source_that_fails_leaves_nothing(place, raised, expected, match):
    def failing():
        yield batch({"a": [1, 2]})
        raise raised

    with pytest.raises(expected, match=match):
        place.land(failing)
    assert (place.files(), place.table().head()) == ([], 0)
    assert (place.extraction.committed, place.extraction.closed) == (0, 1)


def test_a_source_that_cannot_be_told_is_a_note(place):
    class Deaf(Batches):
        def commit(self):
            raise TransientError("the broker is gone")

        def close(self):
            raise TransientError("still gone")

    receipt = place.land([], extraction=Deaf([batch({"a": [1]})]))
    assert receipt.entry.number == 1
    assert "The rows are safe, but the source could not be told so: the broker is gone." in receipt.notes


def test_memory_stays_flat_over_a_million_rows(place):
    text, ones = pa.array(["x" * 90] * 10_000), pa.array([1] * 10_000, pa.uint64())

    def many():
        for start in range(0, 1_000_000, 10_000):
            yield batch({"id": pa.arange(start, start + 10_000), "text": text, "u": ones})

    gc.collect()
    process = psutil.Process()
    before, most, over = process.memory_info().rss, [0], threading.Event()

    def watch():
        while not over.wait(0.01):
            most[0] = max(most[0], process.memory_info().rss - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        entry = place.land(many).entry
    finally:
        over.set()
        watcher.join()
    assert entry.rows == 1_000_000
    assert place.rows(entry, "min(id), max(id), count(DISTINCT id)") == [(0, 999_999, 1_000_000)]
    assert most[0] < 250 * 2**20


def test_files_roll_over_at_their_size(place, monkeypatch):
    monkeypatch.setattr("penstock.land.parts.LARGEST", 200_000)
    monkeypatch.setattr("penstock.land.intake.CHUNK_BYTES", 500_000)

    def many():
        for start in range(0, 400_000, 20_000):
            yield batch({"id": pa.arange(start, start + 20_000), "r": pa.array(os.urandom(8) for _ in range(20_000))})

    entry = place.land(many).entry
    assert len(entry.files) > 3
    assert [row[0] for row in place.rows(entry, "id")] == list(range(400_000))
    assert sum(file.rows for file in entry.files) == 400_000


def test_eight_tables_land_at_the_same_time(place):
    failed = []

    def work(name):
        try:
            for turn in range(3):
                data = {"a": list(range(1000)), "u": pa.array([turn] * 1000, pa.uint64())}
                place_batch = [batch(data), Scan("SELECT 5 AS a")]
                landing = Landing(
                    source=SourceSpec(table=name, kind="python"),
                    work=Work(),
                    run="run",
                    fence=1,
                    created_at=AT + timedelta(seconds=turn),
                )
                land(landing, LandPorts(place.lake, place.engine, Batches(place_batch), lambda *_: None))
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(f"t{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    for number in range(8):
        table = place.table(f"t{number}")
        assert [entry.rows for entry in table.entries()] == [1001] * 3
        assert sum(file.rows for file in table.live()) == 3003


def test_lists_of_nothing_get_their_type_later(place):
    nothing = pa.array([[], None], pa.list_(pa.null()))
    entry = place.land([batch({"l": nothing}), Scan("SELECT [1::BIGINT, 2] AS l")]).entry
    assert types(entry) == {"l": "BIGINT[]"}
    assert place.rows(entry) == [([],), (None,), ([1, 2],)]
    alone = place.land([batch({"l": nothing})], table="u").entry
    assert alone.schema == (Column(name="l", type="VARCHAR[]"),)
