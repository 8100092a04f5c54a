from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import duckdb
import narwhals as nw
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from penstock.errors import ConfigurationError, DataError, MissingExtraError
from penstock.model.interval import Interval
from penstock.model.specs import TransformSpec
from penstock.transform.computing import Computed

Compute = Callable[..., tuple[Computed, list[tuple[Any, ...]]]]
DAY = Interval.parse("2013-01-05")


def spec(function: Callable[..., Any], **fields: Any) -> TransformSpec:
    return TransformSpec(table="late", function=function, origin="steps.py:7", **fields)


def relation(flights):  # type: ignore[no-untyped-def]
    assert isinstance(flights, duckdb.DuckDBPyRelation)
    return flights.filter("dep_delay > 15")


def annotated_relation(flights: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    return flights.filter("dep_delay > 15").order("flight_id desc")


def arrow(flights: pa.Table) -> pa.Table:
    return flights.filter(pa.compute.greater(flights["dep_delay"], 15))


def stream(flights: pa.RecordBatchReader) -> pa.RecordBatchReader:
    def late() -> Iterator[pa.RecordBatch]:
        for batch in flights:
            yield batch.filter(pa.compute.greater(batch["dep_delay"], 15))

    return pa.RecordBatchReader.from_batches(flights.schema, late())


def pandas_frame(flights: pd.DataFrame) -> pd.DataFrame:
    return flights[flights["dep_delay"] > 15]


def polars_frame(flights: pl.DataFrame) -> pl.DataFrame:
    return flights.filter(pl.col("dep_delay") > 15)


def polars_lazy(flights: pl.LazyFrame) -> pl.LazyFrame:
    return flights.filter(pl.col("dep_delay") > 15)


def narwhals_frame(flights: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    return flights.filter(nw.col("dep_delay") > 15)


def narwhals_lazy(flights: nw.LazyFrame[Any]) -> nw.LazyFrame[Any]:
    return flights.filter(nw.col("dep_delay") > 15)


def native(flights: pl.DataFrame) -> pa.RecordBatch:
    return flights.filter(pl.col("dep_delay") > 15).to_arrow().combine_chunks().to_batches()[0]


ALL = [
    relation,
    annotated_relation,
    arrow,
    stream,
    pandas_frame,
    polars_frame,
    polars_lazy,
    narwhals_frame,
    narwhals_lazy,
    native,
]


@pytest.mark.parametrize("function", ALL, ids=lambda function: function.__name__)
def test_every_kind_of_frame_gives_the_same_rows(computed: Compute, function: Callable[..., Any]) -> None:
    expected, _ = computed(TransformSpec(table="late", sql="select * from flights where dep_delay > 15"))
    found, _ = computed(spec(function))
    assert found.rows == 22
    assert (found.columns, found.content) == (expected.columns, expected.content)


def test_unannotated_annotations_are_real_objects_too(computed: Compute) -> None:
    def late(flights):  # type: ignore[no-untyped-def]
        return flights.slice(0, 3)

    late.__annotations__ = {"flights": pa.Table}
    assert computed(spec(late))[0].rows == 3
    late.__annotations__ = {"flights": pl.DataFrame}
    assert computed(spec(late))[0].rows == 3
    late.__annotations__ = {"flights": nw.DataFrame[Any]}
    with pytest.raises(DataError, match="AttributeError"):
        computed(spec(late))


def test_annotations_imported_for_type_checking_alone_are_read_by_their_names(computed: Compute) -> None:
    def first(flights):  # type: ignore[no-untyped-def]
        return flights.head(3)

    for text in ("polars.LazyFrame", "'pd.DataFrame'", "nw.DataFrame[Any]", "IntoDataFrameT"):
        first.__annotations__ = {"flights": text}
        assert computed(spec(first))[0].rows == 3
    first.__annotations__ = {"flights": "LazyFrame"}
    with pytest.raises(ConfigurationError, match="with the name of its package"):
        computed(spec(first))


def test_whole_numbers_with_nulls_stay_whole_in_pandas(computed: Compute) -> None:
    def widened(flights: pd.DataFrame) -> pd.DataFrame:
        flights["big"] = 2**60 + flights["flight_id"]
        flights.loc[0, "big"] = None
        return flights[["big"]]

    found, rows = computed(spec(widened))
    assert found.columns[0].type == "BIGINT"
    assert rows[:3] == [(None,), (2**60 + 1,), (2**60 + 2,)]


def test_a_named_index_of_pandas_is_a_column(computed: Compute) -> None:
    def counted(flights: pd.DataFrame) -> pd.DataFrame:
        return flights.groupby("origin").agg(n=("flight_id", "count"))

    found, rows = computed(spec(counted))
    assert [column.name for column in found.columns] == ["origin", "n"]
    assert rows == [("EWR", 16), ("JFK", 16)]


def test_nanoseconds_of_pandas_must_fit_microseconds(computed: Compute) -> None:
    def fine(flights: pa.Table) -> pd.DataFrame:
        return pd.DataFrame({"at": pd.array(["2013-01-05T01:02:03.000001"], dtype="datetime64[ns]")})

    def too_fine(flights: pa.Table) -> pd.DataFrame:
        return pd.DataFrame({"at": pd.array(["2013-01-05T01:02:03.000000001"], dtype="datetime64[ns]")})

    assert computed(spec(fine))[0].columns[0].type == "TIMESTAMP"
    with pytest.raises(DataError, match="would lose data"):
        computed(spec(too_fine))


def test_the_interval_is_handed_over(computed: Compute) -> None:
    def of_day(flights, interval, interval_start, interval_end):  # type: ignore[no-untyped-def]
        assert interval == Interval(interval_start, interval_end)
        return flights.filter(f"time_hour >= '{interval_start:%Y-%m-%d}' and time_hour < '{interval_end:%Y-%m-%d}'")

    assert computed(spec(of_day, interval="time_hour"), DAY)[0].rows == 24
    with pytest.raises(ConfigurationError, match="asks for 'interval', but is not made by interval"):
        computed(spec(of_day))


def failing(flights: pa.Table) -> pa.Table:
    return _deeper(flights)


def _deeper(flights: pa.Table) -> pa.Table:
    raise KeyError("no such column: dep_dely")


def test_a_function_that_raises_is_named_with_its_line(computed: Compute) -> None:
    line = _deeper.__code__.co_firstlineno + 1
    with pytest.raises(
        DataError, match=rf"'late' \(steps\.py:7\) raised KeyError at test_transform_functions\.py:{line}"
    ) as caught:
        computed(spec(failing))
    assert "no such column: dep_dely" in str(caught.value)
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_stream_that_raises_on_the_way_is_a_data_error(computed: Compute) -> None:
    def breaking(flights: pa.RecordBatchReader) -> pa.RecordBatchReader:
        def batches() -> Iterator[pa.RecordBatch]:
            yield next(iter(flights))
            raise ValueError("row 48 is torn")

        return pa.RecordBatchReader.from_batches(flights.schema, batches())

    with pytest.raises(DataError, match="row 48 is torn"):
        computed(spec(breaking))


def test_a_mistake_in_a_relation_names_the_users_line(computed: Compute) -> None:
    def wrong(flights):  # type: ignore[no-untyped-def]
        return flights.filter("dep_dely > 15")

    line = wrong.__code__.co_firstlineno + 1
    with pytest.raises(DataError, match=rf"raised BinderException at test_transform_functions\.py:{line}"):
        computed(spec(wrong))


def test_what_is_no_table_is_refused(computed: Compute) -> None:
    def number(flights):  # type: ignore[no-untyped-def]
        return 3

    def nothing(flights):  # type: ignore[no-untyped-def]
        pass

    def elsewhere(flights):  # type: ignore[no-untyped-def]
        return duckdb.connect().sql("select 1 as x")

    def odd(flights: dict[str, int]) -> pa.Table: ...

    def unknown(fligths: pa.Table) -> pa.Table: ...

    with pytest.raises(ConfigurationError, match=r"returned something that is no table. Got: builtins\.int"):
        computed(spec(number))
    with pytest.raises(ConfigurationError, match="NoneType"):
        computed(spec(nothing))
    with pytest.raises(DataError, match=r"on a connection to an"):
        computed(spec(elsewhere))
    with pytest.raises(ConfigurationError, match=r"annotates parameter 'flights' with something that is no table"):
        computed(spec(odd))
    with pytest.raises(ConfigurationError, match=r"no table 'fligths'.*Did you mean 'flights'"):
        computed(spec(unknown))


def test_a_missing_package_says_what_to_install(computed: Compute, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(
        MissingExtraError, match=r"parameter 'flights': pandas\.DataFrame.*pip install 'penstock\[pandas\]'"
    ):
        computed(spec(pandas_frame))


def test_results_lose_internal_columns(computed: Compute) -> None:
    def with_load(flights: pa.Table) -> pa.Table:
        assert "_load" not in flights.column_names
        return flights.append_column("_load", pa.array(range(48)))

    assert "_load" not in [column.name for column in computed(spec(with_load))[0].columns]
