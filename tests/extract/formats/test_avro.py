from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import fastavro
import pytest

import penstock
from penstock.errors import DataError

Take = Callable[..., Any]
_UUID = UUID("550e8400-e29b-41d4-a716-446655440000")


def put(path: Path, fields: list[dict[str, Any]] | dict[str, Any], records: list[Any], **how: Any) -> Path:
    schema = {"type": "record", "name": "row", "fields": fields} if isinstance(fields, list) else fields
    with open(path, "wb") as file:
        fastavro.writer(file, schema, records, **how)
    return path


def logical(type_: str, name: str, **more: Any) -> dict[str, Any]:
    return {"type": type_, "logicalType": name, **more}


TYPES: list[tuple[Any, list[Any], str, list[Any] | None]] = [
    ("boolean", [True, False], "bool", None),
    ("int", [-(2**31), 2**31 - 1], "int32", None),
    ("long", [-(2**63), 2**63 - 1], "int64", None),
    ("float", [1.5, float("-inf")], "float", None),
    ("double", [1e300, -0.0], "double", None),
    ("bytes", [b"", b"\0\xff"], "binary", None),
    ("string", ["", "a\0b 🐟"], "string", None),
    (["null", "long"], [None, 7], "int64", None),
    (["long", "null"], [None, 7], "int64", None),
    (["int", "long"], [2**62, 7], "int64", None),
    (["null", "float", "double"], [1.5, None], "double", None),
    ({"type": "fixed", "name": "f", "size": 3}, [b"abc", b"\0\1\2"], "fixed_size_binary[3]", None),
    ({"type": "enum", "name": "e", "symbols": ["A", "B"]}, ["B", "A"], "string", None),
    (logical("bytes", "decimal", precision=38, scale=10),
     [Decimal("1.50"), Decimal("-12345678901234567890.0000000001")],
     "decimal128(38, 10)", None),
    (logical("bytes", "decimal", precision=60, scale=0), [Decimal(10**59), Decimal(-1)], "decimal256(60, 0)", None),
    ({"type": "fixed", "name": "d", "size": 4, "logicalType": "decimal", "precision": 9, "scale": 2},
     [Decimal("-0.01"), Decimal("1234567.89")], "decimal128(9, 2)", None),
    (logical("string", "uuid"), [_UUID, _UUID], "extension<arrow.uuid>", None),
    ({"type": "fixed", "name": "u", "size": 16, "logicalType": "uuid"}, [_UUID.bytes, _UUID.bytes],
     "extension<arrow.uuid>", [_UUID, _UUID]),
    (logical("int", "date"), [date(1, 1, 1), date(9999, 12, 31)], "date32[day]", None),
    (logical("int", "time-millis"), [time(23, 59, 59, 999000), time(0)], "time32[ms]", None),
    (logical("long", "time-micros"), [time(23, 59, 59, 999999), time(0)], "time64[us]", None),
    (logical("long", "timestamp-millis"), [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)],
     "timestamp[ms, tz=UTC]", None),
    (logical("long", "timestamp-micros"), [datetime(1969, 12, 31, 23, 59, 59, 999999, UTC)] * 2,
     "timestamp[us, tz=UTC]", None),
    (logical("long", "local-timestamp-millis"), [datetime(2013, 1, 5, 10)] * 2, "timestamp[ms]", None),  # noqa: DTZ001
    (logical("long", "local-timestamp-micros"), [datetime(2013, 1, 5, 10, 0, 0, 1)] * 2,  # noqa: DTZ001
     "timestamp[us]", None),
    ({"type": "array", "items": ["null", "long"]}, [[1, None], []], "list<item: int64>", None),
    ({"type": "map", "values": "double"}, [{"k": 1.5}, {}], "map<string, double>", [[("k", 1.5)], []]),
    ({"type": "record", "name": "inner", "fields": [{"name": "a", "type": "long"}, {"name": "b", "type": "string"}]},
     [{"a": 1, "b": "x"}, {"a": 2, "b": ""}], "struct<a: int64, b: string>", None),
    ({"type": "array", "items": logical("string", "uuid")}, [[str(_UUID)], []], "list<item: string>", None),
    (["null", "string", "long"], ["x", 2**63 - 1], "extension<arrow.json>", ['"x"', str(2**63 - 1)]),
    (["null", "string", {"type": "array", "items": "long"}], [None, [1]], "extension<arrow.json>", [None, "[1]"]),
]  # fmt: skip


def test_every_type_comes_with_its_edge_values(tmp_path: Path, take: Take) -> None:
    fields = [{"name": f"c{place}", "type": type_} for place, (type_, *_) in enumerate(TYPES)]
    records = [{f"c{place}": values[row] for place, (_, values, *_) in enumerate(TYPES)} for row in (0, 1)]
    put(tmp_path / "t.avro", fields, records)
    found = take("t.avro")
    assert found.types == {f"c{place}": arrow for place, (_, _, arrow, _) in enumerate(TYPES)}
    for place, (type_, values, _, expected) in enumerate(TYPES):
        assert [row[f"c{place}"] for row in found.rows] == (expected or values), type_


def test_moments_that_python_has_no_type_for_keep_their_numbers(tmp_path: Path, take: Take) -> None:
    """Nanoseconds, the year 12000, and a duration, written as the plain numbers that they are."""
    put(tmp_path / "t.avro", [
        {"name": "nanos", "type": "long"}, {"name": "far", "type": "long"}, {"name": "span", "type": _FIXED_12},
    ], [{"nanos": 1_357_380_000_123_456_789, "far": 316_516_032_000_000_000,
         "span": (1).to_bytes(4, "little") + (2).to_bytes(4, "little") + (3).to_bytes(4, "little")}])  # fmt: skip
    plain = (tmp_path / "t.avro").read_bytes()
    for name, type_ in (("nanos", "timestamp-nanos"), ("far", "timestamp-micros")):
        old = json.dumps({"name": name, "type": "long"}).encode()
        assert old in plain
        new = json.dumps({"name": name, "type": {"type": "long", "logicalType": type_}}).encode()
        plain = _resized(plain, old, new)
    old = json.dumps(_FIXED_12).encode()[1:-1]
    plain = _resized(plain, old, old + b', "logicalType": "duration"')
    (tmp_path / "u.avro").write_bytes(plain)
    penstock.ingest(str(tmp_path / "u.avro"), to=str(tmp_path / "w.duckdb"), table="t")
    with duckdb.connect(str(tmp_path / "w.duckdb"), read_only=True) as warehouse:
        rows = warehouse.sql("SELECT epoch_ns(nanos), epoch_us(far), span::VARCHAR FROM t").fetchall()
        named = warehouse.sql("SELECT typeof(nanos), typeof(far), typeof(span) FROM t").fetchall()
    assert named == [("TIMESTAMPTZ_NS", "TIMESTAMP WITH TIME ZONE", "INTERVAL")]
    assert rows == [(1_357_380_000_123_456_789, 316_516_032_000_000_000, "1 month 2 days 00:00:00.003")]


_FIXED_12 = {"type": "fixed", "name": "d", "size": 12}


def _resized(data: bytes, old: bytes, new: bytes) -> bytes:
    """Change the schema in a file's header; its length stands before it as a zigzag varint of two bytes."""
    start = data.index(b"{")
    end = _end(data, start)
    schema = data[start:end].replace(old, new)
    length = (end - start) * 2
    before = bytes([length & 0x7F | 0x80, length >> 7])
    assert data[start - 2 : start] == before
    length = len(schema) * 2
    return data[: start - 2] + bytes([length & 0x7F | 0x80, length >> 7]) + schema + data[end:]


def _end(data: bytes, start: int) -> int:
    depth = 0
    for place in range(start, len(data)):
        depth += {ord("{"): 1, ord("}"): -1}.get(data[place], 0)
        if depth == 0:
            return place + 1
    raise AssertionError


def test_a_recursive_type_is_json_from_where_it_repeats(tmp_path: Path, take: Take) -> None:
    schema = {"type": "record", "name": "a.b.node", "fields": [
        {"name": "v", "type": "long"}, {"name": "next", "type": ["null", "node"]},
        {"name": "kids", "type": {"type": "array", "items": "a.b.node"}},
    ]}  # fmt: skip
    put(tmp_path / "t.avro", schema, [{"v": 1, "next": {"v": 2, "next": None, "kids": []}, "kids": []}])
    found = take("t.avro")
    assert found.types == {"v": "int64", "next": "extension<arrow.json>", "kids": "list<item: string>"}
    assert json.loads(found.rows[0]["next"]) == {"v": 2, "next": None, "kids": []}
    assert found.notes == (
        "next holds values that only JSON has a type for; it is read as JSON",
        "kids[] holds values that only JSON has a type for; it is read as JSON",
    )


def test_a_type_named_once_and_used_twice(tmp_path: Path, take: Take) -> None:
    color = {"type": "enum", "name": "color", "symbols": ["RED"]}
    point = {"type": "record", "name": "point", "fields": [{"name": "x", "type": "int"}, {"name": "c", "type": color}]}
    value = {"x": 1, "c": "RED"}
    put(tmp_path / "t.avro", [{"name": "a", "type": point}, {"name": "b", "type": "point"},
                              {"name": "c", "type": ["string", "point"]}, {"name": "d", "type": ["point", "int"]}],
        [{"a": value, "b": value, "c": value, "d": value}])  # fmt: skip
    row = take("t.avro").rows[0]
    assert (row["a"], row["b"], json.loads(row["c"]), json.loads(row["d"])) == (value, value, value, value)


@pytest.mark.parametrize("codec", ["null", "deflate", "bzip2", "xz", "snappy", "zstandard", "lz4"])
def test_codecs_and_many_blocks_keep_every_row_in_order(tmp_path: Path, take: Take, codec: str) -> None:
    put(tmp_path / "t.avro", [{"name": "n", "type": "long"}], [{"n": n} for n in range(20_000)],
        codec=codec, sync_interval=500)  # fmt: skip
    found = take("t.avro", batch_bytes=20_000)
    assert [row["n"] for row in found.rows] == list(range(20_000))
    assert found.batches > 5


def test_an_unknown_codec_is_named(tmp_path: Path, take: Take) -> None:
    whole = put(tmp_path / "t.avro", [{"name": "n", "type": "long"}], [{"n": 1}], codec="deflate").read_bytes()
    assert whole.count(b"deflate") == 1
    (tmp_path / "t.avro").write_bytes(whole.replace(b"deflate", b"inflate"))
    with pytest.raises(DataError, match=r"t\.avro is packed by a codec that is not known\. Got: inflate\. Valid: null"):
        take("t.avro")


def test_files_of_one_glob_with_other_schemas_are_united(tmp_path: Path) -> None:
    put(tmp_path / "1.avro", [{"name": "a", "type": "int"}], [{"a": 1}])
    put(tmp_path / "2.avro", [{"name": "b", "type": "string"}, {"name": "a", "type": "long"}], [{"a": 2**40, "b": "x"}])
    put(tmp_path / "3.avro", [{"name": "a", "type": "int"}], [])
    penstock.ingest(str(tmp_path / "*.avro"), to=str(tmp_path / "w.duckdb"), table="t")
    with duckdb.connect(str(tmp_path / "w.duckdb"), read_only=True) as warehouse:
        assert warehouse.sql("SELECT a, b FROM t ORDER BY a").fetchall() == [(1, None), (2**40, "x")]


def test_values_that_are_no_records_are_one_column(tmp_path: Path, take: Take) -> None:
    put(tmp_path / "t.avro", {"type": "array", "items": "long"}, [[1, 2], []])
    assert take("t.avro").rows == [{"value": [1, 2]}, {"value": []}]


def test_a_cut_or_foreign_file_is_refused_by_name_and_without_its_data(tmp_path: Path, take: Take) -> None:
    whole = put(tmp_path / "t.avro", [{"name": "s", "type": "string"}], [{"s": "secret" * 50}] * 500).read_bytes()
    for name, content in (("cut", whole[:-40]), ("text", b"a,b\n1,secret\n"), ("head", whole[:60]),
                          ("sync", whole[:-16] + b"x" * 16)):  # fmt: skip
        (tmp_path / f"{name}.avro").write_bytes(content)
        with pytest.raises(DataError, match=f"{name}.avro") as met:
            take(f"{name}.avro")
        assert "secret" not in str(met.value)


def test_a_file_without_a_byte_is_told(tmp_path: Path, take: Take) -> None:
    (tmp_path / "t.avro").write_bytes(b"")
    assert take("t.avro").notes == ("t.avro is empty",)
