"""Arrow's types and their edge values, as Python objects and Parquet files bring them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa
from types_way import AS_TEXT, Case

_WIDE = "arithmetic: over 38 digits are text"
_COUNT = "the type: the column is the count of units while a value has no equal"
_ZONE = "the name of the zone; the moment is kept"
_STRUCT = "struct<months: integer, days: integer, micros: long>"
_NS = 1_700_000_000_123_456_789
_ONE = UUID(int=1)
_UUIDS = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([_ONE.bytes, None], pa.binary(16)))
_JSON = pa.ExtensionArray.from_storage(pa.json_(pa.string()), pa.array(['{"n": 1e400}', None]))


def _naive(*parts: int) -> datetime:
    return datetime(*parts)  # noqa: DTZ001


def _case(array: pa.Array, expected: Sequence[Any], warehouse: str, stored: str, **fields: Any) -> Case:
    """Return the case of an array; Arrow's spelling is told where the type is not landed as it is."""
    told = fields.pop("told", str(array.type))
    return Case(str(array.type), array, expected, warehouse, stored, str(array.type), told=told, **fields)


def _of(values: Any, type_: pa.DataType, warehouse: str, stored: str, **fields: Any) -> Case:
    return _case(pa.array(values, type_), fields.pop("expected", values), warehouse, stored, **fields)


def _span(months: int, days: int, micros: int) -> dict[str, int]:
    return {"months": months, "days": days, "micros": micros}


PLAIN = [
    _of([True, None], pa.bool_(), "BOOLEAN", "boolean", told=""),
    _of([-(2**63), 2**63 - 1], pa.int64(), "BIGINT", "long", told=""),
    _of([255, None], pa.uint8(), "UTINYINT", "short"),
    _of([65535], pa.uint16(), "USMALLINT", "integer"),
    _of([2**32 - 1], pa.uint32(), "UINTEGER", "long"),
    _of([2**64 - 1, None], pa.uint64(), "UBIGINT", "decimal(20,0)", plain=[Decimal(2**64 - 1), None]),
    _of([1.5, float("nan"), float("-inf")], pa.float16(), "FLOAT", "float"),
    _of([1.401298464324817e-45, -0.0], pa.float32(), "FLOAT", "float", told=""),
    _of([5e-324, float("nan"), float("inf")], pa.float64(), "DOUBLE", "double", told=""),
    _of(["", "a\0b", "🐟"], pa.string(), "VARCHAR", "string", told=""),
    _of(["x", None], pa.large_string(), "VARCHAR", "string", told=""),
    _of(["x", "", None], pa.string_view(), "VARCHAR", "string"),
    _of([b"", b"\0\xff", None], pa.binary(), "BLOB", "binary", told=""),
    _of([b"\0x"], pa.binary_view(), "BLOB", "binary"),
    _of([b"abcd", None], pa.binary(4), "BLOB", "binary"),
    _of([None, None], pa.null(), "VARCHAR", "none", told="", lost="nothing; in no file until a value comes"),
]

DECIMALS = [
    _of([Decimal("1.25"), None], pa.decimal32(5, 2), "DECIMAL(5,2)", "decimal(5,2)"),
    _of([Decimal("0." + "9" * 38)], pa.decimal128(38, 38), "DECIMAL(38,38)", "decimal(38,38)", told=""),
    _of([Decimal(12300), None], pa.decimal128(3, -2), "DECIMAL(5,0)", "decimal(5,0)"),
    _of([Decimal("1.25")], pa.decimal256(30, 2), "DECIMAL(30,2)", "decimal(30,2)"),
    _of([Decimal(2**200), Decimal(-1), None], pa.decimal256(76, 0), "VARCHAR", "string", lost=_WIDE,
        expected=[str(2**200), "-1", None]),
]  # fmt: skip

TIMES = [
    _of([date(1, 1, 1), date(9999, 12, 31)], pa.date32(), "DATE", "date", told=""),
    _of([date(1970, 1, 2)], pa.date64(), "DATE", "date"),
    _of([time(23, 59, 59)], pa.time32("s"), "TIME", "long", plain=[86_399_000_000]),
    _of([time(23, 59, 59, 999000)], pa.time32("ms"), "TIME", "long", plain=[86_399_999_000]),
    _of([time(0), time(23, 59, 59, 999999), None], pa.time64("us"), "TIME", "long", plain=[0, 86_399_999_999, None]),
    _of([86_399_999_999_999, None], pa.time64("ns"), "TIME_NS", "string", read=AS_TEXT,
        expected=["23:59:59.999999999", None], plain=["23:59:59.999999999", None]),
    _of([_naive(1, 1, 1), _naive(1677, 9, 21), _naive(9999, 12, 31, 23, 59, 59, 999999)], pa.timestamp("us"),
        "TIMESTAMP", "timestamp_ntz", told=""),
    _of([_naive(1, 1, 1), None], pa.timestamp("s"), "TIMESTAMP_S", "timestamp_ntz"),
    _of([_naive(9999, 12, 31, 23, 59, 59, 999000)], pa.timestamp("ms"), "TIMESTAMP_MS", "timestamp_ntz"),
    _of([10**17, None], pa.timestamp("ms"), "BIGINT", "long", lost=_COUNT, label="past the year 290000"),
    _of([_NS, -1, None], pa.timestamp("ns"), "TIMESTAMP_NS", "long", read="epoch_ns({})", plain=[_NS, -1, None]),
    _of([datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)],
        pa.timestamp("us", "UTC"), "TIMESTAMP WITH TIME ZONE", "timestamp", told=""),
    *[_of([datetime(2013, 11, 3, 5, 30, tzinfo=UTC), None], pa.timestamp(unit, zone), "TIMESTAMP WITH TIME ZONE",
          "timestamp", lost=_ZONE)
      for unit, zone in (("s", "America/New_York"), ("ms", "+05:45"), ("us", "Mars/Phobos"),
                         ("ns", "Australia/Lord_Howe"))],
    _of([_NS, None], pa.timestamp("ns", "Asia/Kathmandu"), "TIMESTAMPTZ_NS", "long", read="epoch_ns({})",
        plain=[_NS, None], lost=_ZONE, label="with parts of a microsecond"),
    *[_of([5, -5, None], pa.duration(unit), "INTERVAL", _STRUCT, read=AS_TEXT,
          expected=[text, f"-{text}", None], plain=[_span(0, 0, micros), _span(0, 0, -micros), None])
      for unit, text, micros in (("s", "00:00:05", 5_000_000), ("ms", "00:00:00.005", 5000),
                                 ("us", "00:00:00.000005", 5))],
    _of([5000, None], pa.duration("ns"), "INTERVAL", _STRUCT, read=AS_TEXT, expected=["00:00:00.000005", None],
        plain=[_span(0, 0, 5), None]),
    _of([1500, None], pa.duration("ns"), "BIGINT", "long", lost=_COUNT, label="with parts of a microsecond"),
    _of([2**62], pa.duration("s"), "BIGINT", "long", lost=_COUNT, label="past 292,000 years"),
    _of([(1, -2, 3000), (-13, 0, -1000), None], pa.month_day_nano_interval(), "INTERVAL", _STRUCT, read=AS_TEXT,
        expected=["1 month -2 days 00:00:00.000003", "-1 year -1 month -00:00:00.000001", None],
        plain=[_span(1, -2, 3), _span(-13, 0, -1), None]),
    _of([(1, -2, 3001), None], pa.month_day_nano_interval(),
        'STRUCT("months" INTEGER, "days" INTEGER, nanoseconds BIGINT)',
        "struct<months: integer, days: integer, nanoseconds: long>", label="with parts of a microsecond",
        expected=[{"months": 1, "days": -2, "nanoseconds": 3001}, None],
        lost="the type: the column is its members while a value has no equal"),
]  # fmt: skip

NESTED = [
    _of([[1, None], [], None], pa.list_(pa.int64()), "BIGINT[]", "array<long>", told=""),
    _of([[[1], []], [None]], pa.list_(pa.list_(pa.int64())), "BIGINT[][]", "array<array<long>>", told=""),
    _of([[1], None], pa.list_view(pa.int64()), "BIGINT[]", "array<long>"),
    _of([[1, None], None], pa.list_(pa.int64(), 2), "BIGINT[2]", "array<long>", expected=[(1, None), None],
        plain=[[1, None], None]),
    _of([{"a": 1, "b": "x"}, None], pa.struct([("a", pa.int64()), ("b", pa.string())]),
        "STRUCT(a BIGINT, b VARCHAR)", "struct<a: long, b: string>", told=""),
    _of([{}, None], pa.struct([]), "JSON", "string", expected=["{}", None],
        lost="the type: a struct without fields is text"),
    _case(pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], names=["a", "A"]), [{"a": 1, "A__2": 2}],
          "STRUCT(a BIGINT, A__2 BIGINT)", "struct<a: long, A__2: long>",
          lost="names that differ only by case get numbers"),
    _of([[("a", 1), ("b", None)], None], pa.map_(pa.string(), pa.int64()), "MAP(VARCHAR, BIGINT)",
        "map<string, long>", expected=[{"a": 1, "b": None}, None], plain=[[("a", 1), ("b", None)], None]),
    _of([[("a", 1), ("a", 2)]], pa.map_(pa.string(), pa.int64()), 'STRUCT("key" VARCHAR, "value" BIGINT)[]',
        "array<struct<key: string, value: long>>", label="with a key twice",
        expected=[[{"key": "a", "value": 1}, {"key": "a", "value": 2}]],
        lost="the type: the column is a list of entries while a key stands twice"),
    _of([[2**64 - 1, None]], pa.list_(pa.uint64()), "UBIGINT[]", "array<decimal(20,0)>",
        plain=[[Decimal(2**64 - 1), None]]),
    _of([[1.5, None], None], pa.list_(pa.float16()), "FLOAT[]", "array<float>"),
    _of([[Decimal(2**200), None]], pa.list_(pa.decimal256(76, 0)), "VARCHAR[]", "array<string>", lost=_WIDE,
        expected=[[str(2**200), None]]),
    _of([[time(1, 2, 3, 4), None], None], pa.list_(pa.time64("us")), "TIME[]", "array<string>",
        plain=[["01:02:03.000004", None], None]),
    _of([[_NS, None]], pa.list_(pa.timestamp("ns")), "TIMESTAMP_NS[]", "array<string>", read=AS_TEXT,
        expected=["['2023-11-14 22:13:20.123456789', NULL]"], plain=[["2023-11-14 22:13:20.123456789", None]]),
    _of([[_NS, None]], pa.list_(pa.timestamp("ns", "UTC")), "TIMESTAMPTZ_NS[]", "array<string>", read=AS_TEXT,
        expected=["['2023-11-14 22:13:20.123456789+00', NULL]"], plain=[["2023-11-14 22:13:20.123456789+00", None]]),
    _of([[(1, -2, 3000), None]], pa.list_(pa.month_day_nano_interval()), "INTERVAL[]", "array<string>", read=AS_TEXT,
        expected=["['1 month -2 days 00:00:00.000003', NULL]"], plain=[["1 month -2 days 00:00:00.000003", None]]),
    _of([{"t": time(1), "u": 2**64 - 1, "h": 1.5}, None],
        pa.struct([("t", pa.time64("us")), ("u", pa.uint64()), ("h", pa.float16())]),
        "STRUCT(t TIME, u UBIGINT, h FLOAT)", "struct<t: string, u: decimal(20,0), h: float>",
        plain=[{"t": "01:00:00", "u": Decimal(2**64 - 1), "h": 1.5}, None]),
]  # fmt: skip

ENCODED = [
    _case(pa.array(["a", "b", None]).dictionary_encode(), ["a", "b", None], "VARCHAR", "string",
          lost="the list of values"),
    _case(pa.array([2**64 - 1, None], pa.uint64()).dictionary_encode(), [2**64 - 1, None], "UBIGINT",
          "decimal(20,0)", plain=[Decimal(2**64 - 1), None], lost="the list of values"),
    _case(pa.ListArray.from_arrays([0, 2], pa.array(["a", "b"]).dictionary_encode()), [["a", "b"]], "VARCHAR[]",
          "array<string>", lost="the list of values"),
    _case(pa.RunEndEncodedArray.from_arrays([2, 3], ["a", "b"]), ["a", "a", "b"], "VARCHAR", "string"),
    _case(_UUIDS, [_ONE, None], "UUID", "string", plain=[str(_ONE), None]),
    _case(pa.ListArray.from_arrays([0, 2], _UUIDS), [[_ONE, None]], "UUID[]", "array<string>",
          plain=[[str(_ONE), None]]),
    _case(_JSON, ['{"n": 1e400}', None], "JSON", "string"),
    _case(pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, 0, None], pa.int8())), [True, False, None],
          "BOOLEAN", "boolean"),
    _case(pa.FixedShapeTensorArray.from_storage(pa.fixed_shape_tensor(pa.int32(), [2, 2]),
                                                pa.array([[1, 2, 3, 4]], pa.list_(pa.int32(), 4))),
          [(1, 2, 3, 4)], "INTEGER[4]", "array<integer>", plain=[[1, 2, 3, 4]], lost="the shape"),
]  # fmt: skip

UNIONS = [
    _case(pa.UnionArray.from_sparse(pa.array([0, 1, 1], pa.int8()), [pa.array([1, 2, 3]), pa.array(["a", "b", "c"])]),
          ['{"0":1}', '{"1":"b"}', '{"1":"c"}'], "JSON", "string", lost="the types of the members, which JSON lacks"),
    _case(pa.UnionArray.from_dense(pa.array([0, 1, 0], pa.int8()), pa.array([0, 0, 1], pa.int32()),
                                   [pa.array([1, 2]), pa.array(["b"])], ["n", "s"]),
          ['{"n":1}', '{"s":"b"}', '{"n":2}'], "JSON", "string", lost="the types of the members, which JSON lacks"),
]  # fmt: skip
"""Unions have no null of their own; each has a value for every row."""

CASES = [*PLAIN, *DECIMALS, *TIMES, *NESTED, *ENCODED, *UNIONS]
ROWS = 3


def table() -> pa.Table:
    """Return all cases side by side, shorter ones filled with null."""
    columns = {"place": pa.array(range(ROWS), pa.int32())}
    for number, case in enumerate(CASES):
        missing = pa.nulls(ROWS - len(case.values), case.values.type)
        columns[f"c{number}"] = pa.concat_arrays([case.values, missing]) if len(missing) else case.values
    return pa.table(columns)
