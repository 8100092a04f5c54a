"""Avro messages: what each type arrives as, natively and not, and what bytes that are no record do to others."""

from __future__ import annotations

import io
import json
import uuid
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import fastavro
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.extract.streams.avro_messages import AvroForm
from penstock.extract.streams.registry import Registered
from penstock.extract.streams.wire import UndecodableError

POINT = {"type": "record", "name": "Point", "fields": [{"name": "x", "type": "int"}, {"name": "y", "type": "double"}]}
MOMENT = datetime(2026, 11, 22, 5, 0, 0, 123456, tzinfo=UTC)


def form(*types: Any, **references: str) -> AvroForm:
    """Return the form of a record with the fields f0, f1, …"""
    fields = [{"name": f"f{at}", "type": type_} for at, type_ in enumerate(types)]
    return AvroForm(
        Registered(1, "AVRO", json.dumps({"type": "record", "name": "E", "fields": fields}), references or {})
    )


def written(types: list[Any], rows: list[list[Any]]) -> pa.BinaryArray:
    fields = [{"name": f"f{at}", "type": type_} for at, type_ in enumerate(types)]
    schema = fastavro.parse_schema(json.loads(json.dumps({"type": "record", "name": "E", "fields": fields})))
    found = []
    for row in rows:
        file = io.BytesIO()
        fastavro.schemaless_writer(file, schema, {f"f{at}": value for at, value in enumerate(row)})
        found.append(file.getvalue())
    return pa.array(found, pa.binary())


@pytest.mark.parametrize(
    ("type_", "values", "arrow"),
    [
        ("boolean", [True, False], pa.bool_()),
        ("int", [-(2**31), 2**31 - 1], pa.int32()),
        ("long", [-(2**63), 2**63 - 1], pa.int64()),
        ("float", [1.5], pa.float32()),
        ("double", [float("inf"), 1e300], pa.float64()),
        ("string", ["", "é𝄞"], pa.string()),
        ("bytes", [b"", b"\xff\x00"], pa.binary()),
        (["null", "string"], [None, "x"], pa.string()),
        (["long", "null"], [5, None], pa.int64()),
        (["null", "long", "string"], [None, 5, "x"], pa.json_(pa.string())),
        ({"type": "enum", "name": "N", "symbols": ["A", "B"]}, ["B", "A"], pa.string()),
        ({"type": "fixed", "name": "F", "size": 2}, [b"ab"], pa.binary(2)),
        ({"type": "array", "items": ["null", "long"]}, [[], [1, None]], pa.list_(pa.int64())),
        ({"type": "map", "values": "long"}, [{}, {"a": 1}], pa.map_(pa.string(), pa.int64())),
        (POINT, [{"x": 1, "y": 2.5}], pa.struct([("x", pa.int32()), ("y", pa.float64())])),
        (["null", POINT], [None, {"x": 1, "y": 2.5}], pa.struct([("x", pa.int32()), ("y", pa.float64())])),
        ({"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 2}, [Decimal("-1.23")], None),
        ({"type": "fixed", "name": "D", "size": 8, "logicalType": "decimal", "precision": 9}, [Decimal(7)], None),
        ({"type": "int", "logicalType": "date"}, [date(1, 1, 1)], pa.date32()),
        ({"type": "int", "logicalType": "time-millis"}, [time(1, 2, 3)], pa.time32("ms")),
        ({"type": "long", "logicalType": "time-micros"}, [time(1, 2, 3, 4)], pa.time64("us")),
        ({"type": "long", "logicalType": "timestamp-micros"}, [MOMENT], pa.timestamp("us", "UTC")),
        ({"type": "long", "logicalType": "timestamp-millis"}, [MOMENT.replace(microsecond=5000)], None),
        ({"type": "long", "logicalType": "local-timestamp-micros"}, [MOMENT.replace(tzinfo=None)], pa.timestamp("us")),
        ({"type": "string", "logicalType": "uuid"}, [uuid.UUID(int=5)], pa.uuid()),
        ({"type": "array", "items": {"type": "long", "logicalType": "timestamp-micros"}}, [[MOMENT]], None),
    ],
    ids=str,
)
def test_a_type_arrives_as_it_is(type_: Any, values: list[Any], arrow: pa.DataType | None) -> None:
    # Beside bytes, a record is beyond the native reader: both ways must give the same.
    for beside in ([], ["bytes"]):
        made = form(type_, *beside)
        found = made.decode(written([type_, *beside], [[value, *(b"\x00" for _ in beside)] for value in values]))
        assert not found.misfits
        column = found.pieces[0].rows.column("f0")
        if arrow is not None:
            assert column.type == arrow
        expected = [list(value.items()) if isinstance(value, dict) and type_ != POINT else value for value in values]
        if isinstance(type_, list) and len(type_) == 3:
            expected = [None if value is None else json.dumps(value) for value in values]
        if isinstance(type_, list) and POINT in type_:
            expected = values
        assert column.to_pylist() == expected


TYPES = st.recursive(
    st.sampled_from(["boolean", "int", "long", "double", "string"]),
    lambda inner: st.one_of(
        inner.map(lambda type_: ["null", type_] if not isinstance(type_, list) else type_),
        inner.map(lambda type_: {"type": "array", "items": type_}),
        inner.map(lambda type_: {"type": "map", "values": type_}),
    ),
    max_leaves=4,
)
SCALARS = {
    "boolean": st.booleans(),
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "double": st.floats(allow_nan=False),
    "string": st.text(),
}


def value_of(type_: Any) -> st.SearchStrategy[Any]:
    if isinstance(type_, str):
        return SCALARS[type_]
    if isinstance(type_, list):
        return st.none() | value_of(type_[1])
    if type_["type"] == "array":
        return st.lists(value_of(type_["items"]), max_size=3)
    return st.dictionaries(st.text(), value_of(type_["values"]), max_size=3)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_both_readers_agree_whatever_comes(data: st.DataObject) -> None:
    types = data.draw(st.lists(TYPES, min_size=1, max_size=3))
    rows = data.draw(st.lists(st.tuples(*(value_of(type_) for type_ in types)).map(list), min_size=1, max_size=5))
    native = form(*types).decode(written(types, rows))
    whole = form(*types, "bytes").decode(written([*types, "bytes"], [[*row, b""] for row in rows]))
    assert not native.misfits
    assert not whole.misfits
    assert native.pieces[0].rows.equals(whole.pieces[0].rows.drop_columns([f"f{len(types)}"]))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.text()).map(list), min_size=1, max_size=12),
    st.dictionaries(st.integers(0, 11), st.binary(max_size=12), max_size=4),
    st.sampled_from([[], ["bytes"]]),
)
def test_bytes_that_are_no_record_harm_none_of_the_others(
    rows: list[list[Any]], broken: dict[int, bytes], beside: list[str]
) -> None:
    types = ["long", "string", *beside]
    values = written(types, [[*row, *(b"" for _ in beside)] for row in rows]).to_pylist()
    values = [broken.get(at, value) for at, value in enumerate(values)]
    made = form(*types)
    found = made.decode(pa.array(values, pa.binary()))
    kept = {
        place: row
        for piece in found.pieces
        for place, row in zip(piece.places.to_pylist(), piece.rows.to_pylist(), strict=True)
    }
    assert set(kept) | set(found.misfits) == set(range(len(rows)))
    assert not set(kept) & set(found.misfits)
    for at, row in enumerate(rows):
        if at not in broken:
            assert (kept[at]["f0"], kept[at]["f1"]) == tuple(row)
        elif at in kept:
            alone = made.decode(pa.array([values[at]], pa.binary()))
            assert alone.pieces[0].rows.to_pylist() == [kept[at]], "it is a record by itself"


def test_more_bytes_than_the_record_has_are_told() -> None:
    for types, row in ((["long"], [5]), (["long", "bytes"], [5, b""])):
        good = written(types, [row])[0].as_py()
        found = form(*types).decode(pa.array([good, good + b"\x00", good[:-1], good], pa.binary()))
        assert found.misfits == {1: "undecodable", 2: "undecodable"}
        assert found.pieces[0].places.to_pylist() == [0, 3]


def test_a_schema_that_refers_to_another_is_read_with_it() -> None:
    found = form("Point", point=json.dumps(POINT)).decode(written([POINT], [[{"x": 1, "y": 2.0}]]))
    assert found.pieces[0].rows.column("f0").to_pylist() == [{"x": 1, "y": 2.0}]
    with pytest.raises(UndecodableError, match="schema 1 is no Avro schema"):
        form("Point")


def test_a_schema_that_is_no_record_gives_a_column() -> None:
    found = AvroForm(Registered(2, "AVRO", '"string"', {})).decode(pa.array([b"\x04hi"], pa.binary()))
    assert found.pieces[0].rows.to_pylist() == [{"value": "hi"}]
