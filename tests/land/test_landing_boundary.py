"""Landing: rows at the boundary of a cursor are read again and land once."""

import pyarrow as pa
import pytest
from landing_place import batch

from penstock.errors import ConfigurationError


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
    with pytest.raises(ConfigurationError, match=r"no column 'att' .* Did you mean 'at'"):
        place.land([batch({"at": later})], cursor="att", boundary=(first,))
