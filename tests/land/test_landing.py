"""Landing: real Parquet and Delta, read back by others; what comes in is what stands in the lake."""

import os

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from landing_place import DAY, batch, types

from penstock.errors import DataError
from penstock.extract.port import Scan
from penstock.model.interval import Interval
from penstock.model.specs import OnEmpty, WriteMode


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


def test_a_first_replace_of_nothing_makes_an_empty_table(place):
    entry = place.land([], write=WriteMode.REPLACE).entry
    assert (entry.rows, entry.schema) == (0, ())
    assert place.land([batch({"a": [1]})], write=WriteMode.REPLACE, current=entry).entry.rows == 1


def test_errors_quote_no_values(place):
    with pytest.raises(DataError, match="cannot be read or converted") as caught:
        place.land([Scan("SELECT CAST(x AS INTEGER) AS x FROM (VALUES ('se''cret'), ('1')) t(x)")])
    assert "cret" not in str(caught.value)
