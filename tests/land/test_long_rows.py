"""Rows with very long values are landed one by one, in their place among the others, and hold up no memory."""

import random

import deltalake
import pyarrow as pa
from landing_place import batch

from penstock.land.chunks import Chunks
from penstock.model.specs import WriteMode
from penstock.schema import LONG

TEXT = random.Random(3).randbytes(LONG // 2).hex()


def test_long_rows_stand_in_their_place(place):
    rows = {"id": list(range(7)), "note": ["a", TEXT, None, "b", TEXT[::-1], TEXT, "c"]}
    entry = place.land([batch(rows, "first", file=1), batch({"id": [7], "note": ["d"]}, "second")]).entry
    assert place.rows(entry) == [*zip(*rows.values(), strict=True), (7, "d")]
    assert [file.rows for file in entry.files] == [1, 1, 2, 1, 1, 2]
    # Of a long value the log tells that it is not null, and nothing else.
    assert [file.statistics["note"] for file in entry.files if file.rows == 1][1:] == [(None, None, 0)] * 3
    assert [(origin.uri, origin.first, origin.rows) for origin in entry.origins] == [("first", 0, 7), ("second", 7, 1)]
    read = deltalake.QueryBuilder().register("t", deltalake.DeltaTable(place.lake.objects.root + "/raw_t"))
    found = pa.table(read.execute("SELECT id, note FROM t ORDER BY id").read_all()).to_pydict()
    assert found == {"id": list(range(8)), "note": [*rows["note"], "d"]}


def test_equal_content_with_long_rows_lands_nothing(place):
    rows = [batch({"id": [1, 2], "note": ["a", TEXT]})]
    entry = place.land(rows, write=WriteMode.REPLACE).entry
    assert place.land(rows, write=WriteMode.REPLACE, current=entry).entry is None


def test_rows_beside_a_long_one_do_not_hold_its_memory():
    chunks = Chunks(32 * 2**20)
    rows = pa.RecordBatch.from_pydict({"note": ["a", TEXT, "b", "c"]})
    (before, long) = list(chunks.add(rows, ("source", {})))
    after = chunks.rest()
    assert [[each.to_pydict()["note"] for each, _ in held] for held in (before, after)] == [[["a"]], [["b", "c"]]]
    assert long[0][0].to_pydict() == {"note": [TEXT]}
    assert sum(each.get_total_buffer_size() for held in (before, after) for each, _ in held) < 4096
