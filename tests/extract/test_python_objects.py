from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from draining import Read, read

from penstock.errors import ConfigurationError, DataError
from penstock.extract.port import Request
from penstock.extract.python.source import PythonSource
from penstock.model.interval import Interval
from penstock.model.specs import SourceSpec, WriteMode


def take(data: Any, *, span: Interval | None = None, position: Any = None, **fields: Any) -> Read:
    mine = {name: fields.pop(name) for name in ("batch_bytes",) if name in fields}
    source = SourceSpec(table="t", kind="python", data=data, **fields)
    return read(PythonSource(), Request(source=source, interval=span, position=position, **mine))


def test_dictionaries_widen_and_gain_columns_from_batch_to_batch() -> None:
    def rows() -> Iterator[dict[str, Any]]:
        for number in range(2000):
            row: dict[str, Any] = {"id": number, "value": number if number < 600 else number + 0.5}
            if number > 1500:
                row["late"] = "x"
            yield row

    found = take(rows)
    assert found.batches > 1
    assert found.types == {"id": "int64", "value": "double", "late": "string"}
    assert len(found.rows or []) == 2000
    assert (found.rows or [])[1000] == {"id": 1000, "value": 1000.5, "late": None}


def test_values_of_all_kinds_stay_what_they_are() -> None:
    row = {
        "whole": 2**63,
        "exact": Decimal("1.50"),
        "at": datetime(2013, 1, 5, 10, tzinfo=UTC),
        "day": date(1, 1, 1),
        "nan": float("nan"),
        "raw": b"\0\xff",
        "list": [1, None],
        "object": {"a": {"b": [1]}},
        "none": None,
        "text": "nul\0 😀 \u200f",
    }
    found = take([row])
    assert found.types["whole"] == "decimal128(38, 0)"
    assert found.types["at"] == "timestamp[us, tz=UTC]"
    assert found.types["none"] == "null"
    (back,) = found.rows or []
    assert back.pop("nan") != row.pop("nan")
    assert back == row
    assert found.notes == ()


@pytest.mark.parametrize(
    "values",
    [
        [1, "a"],
        [True, 1],
        [[1], ["a"]],
        [{"a": 1}, [1]],
        [datetime(2013, 1, 5, tzinfo=UTC), datetime(2013, 1, 5)],  # noqa: DTZ001
        [date(2013, 1, 5), datetime(2013, 1, 5, 10, tzinfo=UTC)],
        [2**60 + 1, 0.5],
        [2**256],
        [{}, []],
        [b"a", "a"],
    ],
)
def test_columns_of_mixed_kinds_become_json_text_and_no_value_is_changed(values: list[Any]) -> None:
    found = take([{"x": value} for value in values])
    assert found.types == {"x": "extension<arrow.json>"}
    assert "kept as JSON text" in found.notes[0]
    for value, row in zip(values, found.rows or [], strict=True):
        expected = value.isoformat() if isinstance(value, date) else value.hex() if isinstance(value, bytes) else value
        assert json.loads(row["x"]) == expected


def test_a_column_that_became_text_stays_text() -> None:
    found = take(lambda: ({"x": "a" if number == 5 else number} for number in range(2000)))
    assert found.batches > 1
    assert found.types == {"x": "extension<arrow.json>"}
    assert (found.rows or [])[-1] == {"x": "1999"}


def test_what_readers_of_json_refuse_stays_a_text() -> None:
    found = take([{"x": {"a": "\ud800"}}, {"x": 1}])
    assert found.types == {"x": "string"}
    assert found.rows == [{"x": '{"a": "\\ud800"}'}, {"x": "1"}]


def test_lone_surrogates_are_replaced_and_said_so() -> None:
    found = take([{"x": "a\ud800"}, {"x": None}])
    assert found.rows == [{"x": "a?"}, {"x": None}]
    assert "no valid Unicode" in found.notes[0]


_TABLE = pa.table({"a": [1, 2], "b": ["x", None]})


@pytest.mark.parametrize(
    "data",
    [
        _TABLE,
        _TABLE.to_batches()[0],
        _TABLE.to_reader,
        pd.DataFrame({"a": [1, 2], "b": ["x", None]}),
        pl.DataFrame({"a": [1, 2], "b": ["x", None]}),
        lambda: duckdb.sql("SELECT * FROM (VALUES (1::BIGINT, 'x'), (2, NULL)) v(a, b)"),
        [{"a": 1, "b": "x"}, {"a": 2}],
        lambda: iter([{"a": 1, "b": "x"}, {"a": 2}]),
        [_TABLE.slice(0, 1), pl.DataFrame({"a": [2], "b": [None]}, schema={"a": pl.Int64, "b": pl.String})],
    ],
    ids=["table", "batch", "reader", "pandas", "polars", "duckdb", "list", "iterator", "tables"],
)
def test_every_kind_of_table_gives_the_same_rows(data: Any) -> None:
    found = take(data)
    assert found.rows == [{"a": 1, "b": "x"}, {"a": 2, "b": None}]
    assert found.types["a"] == "int64"


def test_pandas_missing_values_objects_and_index() -> None:
    frame = pd.DataFrame({"n": [1.5, None], "o": [{"a": 1}, "x"], "t": pd.to_datetime(["2013-01-05", None])})
    frame.index = pd.Index(["k1", "k2"], name="key")
    found = take(frame)
    assert [row["key"] for row in found.rows or []] == ["k1", "k2"]
    assert [row["n"] for row in found.rows or []] == [1.5, None]
    assert [row["o"] for row in found.rows or []] == ['{"a": 1}', '"x"']
    assert (found.rows or [])[1]["t"] is None


def test_tables_are_cut_into_batches_bounded_in_bytes() -> None:
    found = take(pa.table({"x": ["y" * 1000] * 5000}), batch_bytes=2**20)
    assert len(found.rows or []) == 5000
    assert found.largest <= 2**20
    rows = take(lambda: ({"x": "y" * 1000} for _ in range(5000)), batch_bytes=2**20)
    assert len(rows.rows or []) == 5000
    assert rows.largest <= 2**21


def test_an_exception_is_raised_as_a_data_error_with_its_row_and_its_cause() -> None:
    def rows() -> Iterator[dict[str, int]]:
        for number in range(700):
            yield {"a": number}
        raise KeyError("tailnum")

    with pytest.raises(DataError, match="t raised KeyError at row 701") as met:
        take(rows)
    assert isinstance(met.value.__cause__, KeyError)

    def broken() -> Any:
        raise RuntimeError("no")

    with pytest.raises(DataError, match="raised RuntimeError before its first row"):
        take(broken)


def test_an_iterator_that_was_read_is_refused_instead_of_giving_nothing() -> None:
    generator = ({"a": number} for number in range(3))
    assert len(take(generator).rows or []) == 3
    with pytest.raises(DataError, match="can be read only once"):
        take(generator)
    iterator = iter([{"a": 1}])
    take(iterator)
    with pytest.raises(DataError, match="can be read only once"):
        take(iterator)
    reader = _TABLE.to_reader()
    take(reader)
    with pytest.raises(DataError, match="can be read only once"):
        take(reader)
    assert take([]).rows == []
    assert take(lambda: iter(())).rows == []


@pytest.mark.parametrize("data", [None, "text", {"a": [1]}, 5])
def test_what_is_no_source_of_rows_is_refused_with_what_is(data: Any) -> None:
    with pytest.raises(ConfigurationError, match="an iterable of dictionaries"):
        take(data)


def test_an_item_that_is_no_dictionary_is_named_by_its_row() -> None:
    with pytest.raises(DataError, match="Row 3 of t is a tuple"):
        take([{"a": 1}, {"a": 2}, (1, 2)])
    with pytest.raises(DataError, match="Row 1 of t is a int"):
        take([1])


_DAYS = [{"at": datetime(2013, 1, day, tzinfo=UTC), "n": day} for day in range(1, 9)]


def test_a_cursor_leaves_out_what_lies_before_the_position_less_the_lag() -> None:
    first = take(_DAYS[:5], cursor="at")
    assert first.position == {"column": "at", "cursor": "2013-01-05T00:00:00+00:00", "cursor_type": "timestamptz"}
    again = take(_DAYS, cursor="at", lag=timedelta(days=1), position=first.position)
    assert [row["n"] for row in again.rows or []] == [4, 5, 6, 7, 8]
    whole = take(_DAYS, cursor="at", write=WriteMode.REPLACE, position=first.position)
    assert len(whole.rows or []) == 8
    with pytest.raises(ConfigurationError, match="changed its type"):
        take([{"at": 5}], cursor="at", position=first.position)
    with pytest.raises(ConfigurationError, match=r"no column 'att' .*Did you mean 'at'"):
        take(_DAYS, cursor="att")
    with pytest.raises(ConfigurationError, match="no useful order"):
        take([{"at": [1]}], cursor="at")


def test_an_interval_is_half_open_and_a_function_may_take_it() -> None:
    span = Interval.parse("2013-01-03/2013-01-05")
    assert [row["n"] for row in take(_DAYS, span=span, interval="at").rows or []] == [3, 4]
    frame = pl.DataFrame({"day": [date(2013, 1, day) for day in range(1, 9)]})
    assert take(frame, span=span, interval="day").rows == [{"day": date(2013, 1, 3)}, {"day": date(2013, 1, 4)}]
    asked: list[Any] = []

    def window(interval: Interval | None = None, position: Any = None) -> list[dict[str, str]]:
        asked.append((interval, position))
        return [{"start": interval.start.isoformat() if interval else ""}]

    assert take(window, span=span).rows == [{"start": "2013-01-03T00:00:00+00:00"}]
    take(window, position={"cursor": 1})
    assert asked == [(span, None), (None, {"cursor": 1})]
    with pytest.raises(ConfigurationError, match="names no column of it"):
        take(_DAYS, span=span)
    with pytest.raises(ConfigurationError, match="holds no moments"):
        take(_DAYS, span=span, interval="n")


def test_describe_looks_at_tables_and_leaves_functions_and_iterators_alone() -> None:
    (table,) = PythonSource().describe(
        Request(source=SourceSpec(table="t", kind="python", data=pa.table({"email": ["a@example.org"], "n": [1]})))
    )
    assert (table.rows, table.columns) == (1, {"email": "string", "n": "int64"})
    assert table.remarks == ("email looks personal: an e-mail address",)
    generator = ({"a": number} for number in range(3))
    (unknown,) = PythonSource().describe(Request(source=SourceSpec(table="t", kind="python", data=generator)))
    assert unknown.columns == {}
    assert len(take(generator).rows or []) == 3
