from __future__ import annotations

import io
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock.errors import ConfigurationError, DataError
from penstock.extract.rest.columns import Columns


def convert(*groups: list[Any], times: bool = True, **declared: str) -> tuple[list[pa.Array], list[str]]:
    """Convert groups of values of one column ``a``; returns a column per group, and what was told."""
    told: list[str] = []
    columns = Columns(declared, times, told.append)
    found = []
    for group in groups:
        records = json.loads(json.dumps([{"a": value, "n": 1} for value in group]))
        table = columns.table(records, where="the page")
        pq.write_table(table, io.BytesIO())
        table.validate(full=True)
        found.append(table.column("a").combine_chunks())
    return found, told


def one(values: list[Any], **options: Any) -> tuple[str, list[Any], list[str]]:
    (column,), told = convert(values, **options)
    return str(column.type), column.to_pylist(), told


BIG = 2**63
MORNING = datetime(2013, 1, 1, 6, tzinfo=UTC)
HUGE = 10**38


@pytest.mark.parametrize(
    ("values", "type_", "kept"),
    [
        ([1, None, 3], "int64", [1, None, 3]),
        ([1, 2.5], "double", [1.0, 2.5]),
        ([2**63 - 1, -(2**63)], "int64", [2**63 - 1, -(2**63)]),
        ([BIG, 1, None], "decimal128(38, 0)", [Decimal(BIG), Decimal(1), None]),
        ([2**53 + 1, 2], "int64", [2**53 + 1, 2]),
        ([True, None], "bool", [True, None]),
        ([None, None], "null", [None, None]),
        (["a", "", "\u0000", "🦆"], "string", ["a", "", "\u0000", "🦆"]),
        ([{"x": 1}, {"y": {"z": "s"}}], "struct<x: int64, y: struct<z: string>>", None),
        ([[1, 2], [], None], "list<item: int64>", [[1, 2], [], None]),
        ([[], []], "list<item: null>", [[], []]),
        ([{"x": None}], "struct<x: null>", [{"x": None}]),
    ],
)
def test_values_keep_their_type(values: list[Any], type_: str, kept: list[Any] | None) -> None:
    found, back, told = one(values)
    assert found == type_
    if kept is not None:
        assert back == kept
    assert told == []


@pytest.mark.parametrize(
    ("values", "kept", "said"),
    [
        ([HUGE, 1], [str(HUGE), "1"], "more than 38 digits"),
        ([2**53 + 1, 1.5], [str(2**53 + 1), "1.5"], "several types (number)"),
        ([1, "x", None, True], ["1", "x", None, "true"], "several types (number, text, truth value)"),
        ([{"x": 1}, 3], ['{"x":1}', "3"], "several types (number, object)"),
        ([[1], ["é"]], ["[1]", '["é"]'], "several types (list)"),
        (["ok", "half \ud83e"], ["ok", "half \ufffd"], "lone surrogates"),
        ([{"x": "\ud83e"}], ['{"x":"\ufffd"}'], "lone surrogates"),
    ],
)
def test_what_fits_no_type_is_kept_as_text_and_told(values: list[Any], kept: list[Any], said: str) -> None:
    found, back, told = one(values)
    assert (found, back) == ("string", kept)
    assert said in " ".join(told)


@pytest.mark.parametrize(
    ("values", "type_", "first"),
    [
        (["2013-01-01T06:00:00Z", None], "timestamp[us, tz=UTC]", datetime(2013, 1, 1, 6, tzinfo=UTC)),
        (["2013-01-01T06:00:00.123456+05:30"], "timestamp[us, tz=UTC]", datetime(2013, 1, 1, 0, 30, 0, 123456, UTC)),
        (
            ["2013-01-01T06:00Z", "2013-01-01 06:00:00,5+01"],
            "timestamp[us, tz=UTC]",
            datetime(2013, 1, 1, 6, tzinfo=UTC),
        ),
        (["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"], "timestamp[us, tz=UTC]", datetime(1, 1, 1, tzinfo=UTC)),
        (["2013-01-01 06:00:00"], "timestamp[us]", datetime(2013, 1, 1, 6)),  # noqa: DTZ001
        (["2013-01-01", "1677-09-20"], "date32[day]", date(2013, 1, 1)),
        (["2013-01-01", "soon"], "string", "2013-01-01"),
        (["2013-01-01T00:00:00Z", "2013-01-01T00:00:00"], "string", "2013-01-01T00:00:00Z"),
        (["2013-02-30T00:00:00Z"], "string", "2013-02-30T00:00:00Z"),
        (["2013-01-01T24:00:00Z"], "string", "2013-01-01T24:00:00Z"),
        (["2016-12-31T23:59:60Z"], "string", "2016-12-31T23:59:60Z"),
        (["2013-01-01T06:00:00.123456789Z"], "string", "2013-01-01T06:00:00.123456789Z"),
        (["2013"], "string", "2013"),
    ],
)
def test_times_are_recognised_where_all_are_and_exact(values: list[Any], type_: str, first: Any) -> None:
    found, back, _ = one(values)
    assert (found, back[0]) == (type_, first)
    if type_ != "string":
        assert one(values, times=False)[0] == "string"


@pytest.mark.parametrize(
    ("groups", "types"),
    [
        ([[1], [2.5], [3]], ["int64", "double", "double"]),
        ([[None], [1.5], [None], [2]], ["null", "double", "double", "double"]),
        ([["a"], ["2013-01-01"]], ["string", "string"]),
        ([["2013-01-01"], [None], ["2013-01-02"]], ["date32[day]", "date32[day]", "date32[day]"]),
        ([[1], [BIG], [2]], ["int64", "decimal128(38, 0)", "decimal128(38, 0)"]),
        ([[{"x": 1}], [{"y": "s"}], [{"x": 2}]], ["struct<x: int64>", *["struct<x: int64, y: string>"] * 2]),
    ],
)
def test_types_only_widen_from_group_to_group(groups: list[list[Any]], types: list[str]) -> None:
    columns, told = convert(*groups)
    assert [str(column.type) for column in columns] == types
    assert told == []


@pytest.mark.parametrize(
    "groups",
    [
        [[1], ["x"]],
        [["2013-01-01"], ["soon"]],
        [[{"x": 1}], ["s"]],
        [[True], [3]],
        [[1.5], [2**53 + 1]],
        [[1.5], [BIG]],
        [[BIG], [1.5]],
    ],
)
def test_a_change_that_no_type_holds_is_refused_with_its_remedy(groups: list[list[Any]]) -> None:
    with pytest.raises(DataError, match=r"Column 'a' came as .* types = \{"):
        convert(*groups)
    columns, _ = convert(*groups, a="VARCHAR")
    assert [str(column.type) for column in columns] == ["string", "string"]


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ([{}, None], [None, None]),
        ([{"x": {}, "y": 1}, None], [{"x": None, "y": 1}, None]),
        ([[{}], [], None], [[None], [], None]),
        ([{"x": [{"y": {}}, None]}], [{"x": [{"y": None}, None]}]),
    ],
)
def test_objects_without_fields_are_null_and_told(values: list[Any], kept: list[Any]) -> None:
    _, back, told = one(values)
    assert back == kept
    assert "without any field" in told[0]


def test_objects_that_get_fields_later_have_them() -> None:
    columns, _ = convert([{"x": {}}], [{"x": {"z": 1}}], [{}])
    assert [str(column.type) for column in columns[1:]] == ["struct<x: struct<z: int64>>"] * 2


def test_fields_that_come_and_go_are_columns_in_order() -> None:
    columns = Columns({"z": "DATE"}, True, lambda _: None)
    table = columns.table([{"b": 1}, {"a": 2, "b": None}, {}], where="x")
    assert table.schema.names == ["b", "a", "z"]
    assert table.to_pylist() == [
        {"b": 1, "a": None, "z": None},
        {"b": None, "a": 2, "z": None},
        {"b": None, "a": None, "z": None},
    ]


@pytest.mark.parametrize(
    ("values", "type_", "kept"),
    [
        ([1, None], "DOUBLE", [1.0, None]),
        ([None], "BIGINT", [None]),
        (["12.50", None], "DECIMAL(10,2)", [Decimal("12.50"), None]),
        ([0.1, 19.99], "DECIMAL(10, 2)", [Decimal("0.10"), Decimal("19.99")]),
        (["7", "12"], "BIGINT", [7, 12]),
        ([7], "VARCHAR", ["7"]),
        ([{"x": 1}], "VARCHAR", ['{"x":1}']),
        (["2013-01-01 06:00:00", None], "TIMESTAMPTZ", [datetime(2013, 1, 1, 6, tzinfo=UTC), None]),
        (["2013-01-01T06:00:00+01:00"], "timestamp with time zone", [datetime(2013, 1, 1, 5, tzinfo=UTC)]),
        ([2**64 - 1], "UBIGINT", [2**64 - 1]),
    ],
)
def test_declared_types_hold(values: list[Any], type_: str, kept: list[Any]) -> None:
    assert one(values, a=type_)[1] == kept


@pytest.mark.parametrize(
    ("values", "type_"),
    [(["x"], "BIGINT"), ([1.5], "BIGINT"), ([0.123], "DECIMAL(10,2)"), ([300], "TINYINT"), ([[1]], "BIGINT")],
)
def test_values_that_are_not_of_their_declared_type(values: list[Any], type_: str) -> None:
    with pytest.raises(DataError, match="Column 'a' of the page holds values that are not"):
        one(values, a=type_)


@pytest.mark.parametrize("type_", ["DECIMAL(39,1)", "DECIMAL(3,4)", "JSONB", ""])
def test_declared_types_that_are_not_known(type_: str) -> None:
    with pytest.raises(ConfigurationError, match="types of column 'a'"):
        one([1], a=type_)


def test_fifty_levels_are_kept() -> None:
    value: Any = 1
    for _ in range(50):
        value = {"x": [value]}
    assert one([value])[1] == [value]
