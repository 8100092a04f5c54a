"""Messages of JSON: types, and what is no row."""

from __future__ import annotations

import json
import random

import pyarrow as pa
import pytest

from penstock.extract.streams.decoding import Decoded, decoder
from penstock.extract.streams.json_decoding import JsonDecoder, type_of


def decoded(*values: bytes, known: dict[str, pa.DataType] | None = None) -> Decoded:
    return JsonDecoder(known).decode(pa.array(values, pa.binary()))


def rows(found: Decoded) -> dict[int, dict[str, object]]:
    """Return place to row, of all pieces."""
    listed = [
        (place, row)
        for piece in found.pieces
        for place, row in zip(piece.places.to_pylist(), piece.rows.to_pylist(), strict=True)
    ]
    assert len(dict(listed)) == len(listed)
    return dict(listed)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (b'{"a":', "no_json"),
        (b"", "no_json"),
        (b"  ", "no_json"),
        (b'{"a":1}{"a":2}', "no_json"),
        (b'1}{"i":1,"v":{"a":1}', "no_json"),
        (b'{"a":1}}\n{"i":1,"v":{"a":1}', "no_json"),
        (b'{"a":"x\ny"}', "no_json"),
        (b'{"a":1e400}', "no_json"),
        (b'{"b":"\\ud800"}', "wrong_type"),
        (b"null", "no_object"),
        (b"[1]", "no_object"),
        (b"5", "no_object"),
        (b'{"a":1,"a":2}', "repeated_key"),
        (b'{"b":"\xff"}', "wrong_encoding"),
        (b'{"a":"text"}', "wrong_type"),
        (b'{"a":{"b":1}}', "wrong_type"),
    ],
)
def test_a_message_that_is_no_row_is_named_and_its_neighbours_are_rows(value: bytes, why: str) -> None:
    for at in (0, 3, 7):
        values = [b'{"a":%d,"b":"t"}' % n for n in range(7)]
        values.insert(at, value)
        found = decoded(*values, known={"a": pa.int64()})
        assert found.misfits == {at: why}
        kept = rows(found)
        assert list(kept) == [place for place in range(8) if place != at]
        assert [row["a"] for row in kept.values()] == list(range(7))


def test_broken_messages_among_many_are_all_found() -> None:
    chance = random.Random(5)
    bad = set(chance.sample(range(5000), 37))
    values = [b"{oops" if n in bad else json.dumps({"n": n, "x": n / 3}).encode() for n in range(5000)]
    found = decoded(*values)
    assert set(found.misfits) == bad
    assert {place: row["n"] for place, row in rows(found).items()} == {n: n for n in range(5000) if n not in bad}


def test_texts_stay_texts_and_numbers_keep_their_digits() -> None:
    found = decoded(
        b'{"at":"2026-11-22T05:00:00Z","day":"2026-11-22","n":1,"wide":12345678901234567890,"x":0.12345678901234567}',
        b'{"at":"soon","n":9007199254740993,"x":2}',
    )
    assert not found.misfits
    kept = rows(found)
    assert kept[0]["at"] == "2026-11-22T05:00:00Z"
    assert kept[0]["day"] == "2026-11-22"
    assert str(kept[0]["wide"]) == "12345678901234567890"
    assert kept[0]["x"] == 0.12345678901234567
    assert kept[1]["n"] == 9007199254740993


@pytest.mark.parametrize("name", ["x", 'x "\\u00e4', "x.[1]+"])
def test_long_digits_beside_a_fraction_keep_the_others_together_and_their_digits(name: str) -> None:
    long, key = 2**62 + 1, json.dumps(name)
    texts = [
        f'{{"id": {long + n}, {key}: {n}.5, "page": "/1234567890123456789012, {long}"}}'.encode() for n in range(9)
    ]
    found = decoded(*texts)
    assert len(found.pieces) == 1
    assert rows(found) == {n: json.loads(text) for n, text in enumerate(texts)}
    # Where the field itself has such a number first, DOUBLE would round it.
    mixed = rows(decoded(f'{{"id": 1, {key} :  {long}}}'.encode(), *texts))
    assert (mixed[0][name], mixed[4][name]) == (long, 3.5)


def test_a_number_that_is_no_longer_whole_is_a_row_of_another_shape() -> None:
    decoder = JsonDecoder()
    first = decoder.decode(pa.array([b'{"a":1}'], pa.binary()))
    second = decoder.decode(pa.array([b'{"a":2}', b'{"a":2.5}', b'{"a":3}'], pa.binary()))
    assert rows(first)[0] == {"a": 1}
    assert {place: row["a"] for place, row in rows(second).items()} == {0: 2, 1: 2.5, 2: 3}
    assert not second.misfits


def test_objects_that_are_empty_or_broken_over_lines_are_rows() -> None:
    found = decoded(b'{\n  "a": 1\n}', b"{}", b'{"a": null}')
    assert {place: row.get("a") for place, row in rows(found).items()} == {0: 1, 1: None, 2: None}
    assert len(rows(decoded(b"{}"))) == 1


def test_a_message_longer_than_a_block_is_a_row() -> None:
    long = b"x" * (6 * 2**20)
    found = decoded(b'{"a":"%s"}' % long, b'{"a":"y"}')
    assert [len(str(row["a"])) for row in rows(found).values()] == [len(long), 1]


def test_what_a_table_has_so_far_is_known() -> None:
    assert type_of("STRUCT(os VARCHAR, v BIGINT)[]") == pa.list_(pa.struct([("os", pa.string()), ("v", pa.int64())]))
    assert type_of("TIMESTAMP WITH TIME ZONE") == pa.string()
    assert type_of("DECIMAL(10,2)") is None
    assert type_of("nonsense(") is None


def test_lines_of_text_and_bytes() -> None:
    values = pa.array([b"one", b"\xff", b""], pa.binary())
    text = decoder("text").decode(values)
    assert text.misfits == {1: "wrong_encoding"}
    assert rows(text) == {0: {"line": "one"}, 2: {"line": ""}}
    assert rows(decoder("bytes").decode(values))[1] == {"value": b"\xff"}
