"""Checks in Python: what they get, what their answers mean, and what their failures do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from penstock import checks
from penstock.errors import ConfigurationError

if TYPE_CHECKING:
    import pandas as later  # noqa: ICN001 - a name that the module has not got when it runs

ROWS = pa.table({"i": [1, 2, 3, None, 5], "s": ["a", "b", "c", "d", "e"]})


@pytest.fixture
def flights(bench: Any) -> Any:
    return bench.land(ROWS, [2, 3])


def test_each_annotation_gets_its_frame(flights: Any) -> None:
    seen: list[type] = []

    def plain(rows: Any) -> bool:
        seen.append(type(rows))
        return True

    def bare(rows):  # type: ignore[no-untyped-def]
        return plain(rows)

    def table(rows: pa.Table) -> bool:
        return plain(rows) and rows.column_names == ["i", "s"]

    def batch(rows: pa.RecordBatch) -> bool:
        return plain(rows) and rows.schema.names == ["i", "s"]

    def relation(rows: duckdb.DuckDBPyRelation) -> bool:
        return plain(rows) and rows.filter("i > 4").fetchall() == [(5, "e")]

    def pandas(rows: pd.DataFrame) -> bool:
        return plain(rows) and list(rows["s"]) == ["a", "b", "c", "d", "e"]

    def polars(rows: pl.DataFrame) -> bool:
        return plain(rows) and rows["i"].null_count() == 1

    def unseen(rows: later.DataFrame) -> bool:
        return plain(rows)

    unseen.__annotations__["rows"] = "pandas.DataFrame"
    found = [bare, table, batch, relation, pandas, polars, unseen]
    report = flights.check(*found).report
    assert report.failures == ()
    assert report.passed == tuple(call.__name__ for call in found)
    assert list(dict.fromkeys(seen)) == [pa.Table, pa.RecordBatch, duckdb.DuckDBPyRelation, pd.DataFrame, pl.DataFrame]
    assert seen[-1] is pd.DataFrame


def test_a_frame_that_is_not_known_is_refused_before_any_work(flights: Any) -> None:
    def wrong(rows: list) -> bool:  # type: ignore[type-arg]
        raise AssertionError

    def unclear(rows: DataFrame) -> bool:  # type: ignore[name-defined]  # noqa: F821
        raise AssertionError

    for call in (wrong, unclear):
        with pytest.raises(ConfigurationError, match=r"form that is not known.*pyarrow.Table"):
            flights.check(call)


@pytest.mark.parametrize(
    "answer",
    [
        lambda rows: pc.less(rows["i"], 3),
        lambda rows: pc.less(rows["i"], 3).combine_chunks(),
        lambda _: [True, True, False, None, False],
        lambda _: np.array([True, True, False, True, False]),
        lambda _: pd.Series([True, True, False, True, False], index=[9, 8, 7, 6, 5]),
        lambda _: pl.Series([True, True, False, None, False]),
    ],
)
def test_a_mask_names_the_rows(flights: Any, answer: Any) -> None:
    receipt = flights.check(checks.function(answer, name="small", severity="quarantine"))
    (failure,) = receipt.report.failures
    assert (failure.count, failure.severity) == (2, "quarantine")
    assert failure.message == "small fails in 2 of 5 rows (40.0 %)"
    assert failure.examples[1] == {"i": "5", "s": "e", "_origin": "flights.csv, row 5"}
    assert flights.set_aside(receipt) == {2: ["small"], 4: ["small"]}


def test_masks_batch_by_batch(bench: Any) -> None:
    count = 150_000
    flights = bench.land(pa.table({"i": range(count)}), [100_000, 50_000])
    sizes = []

    def rare(rows: pa.RecordBatch) -> pa.BooleanArray:
        sizes.append(rows.num_rows)
        return pc.not_equal(pc.bit_wise_and(rows.column("i"), 0xFFF), 7)

    receipt = flights.check(checks.function(rare, severity="quarantine"))
    bad = [number for number in range(count) if number & 0xFFF == 7]
    assert sum(sizes) == count
    assert len(sizes) > 1
    assert flights.set_aside(receipt) == {number: ["rare"] for number in bad}


def test_a_relation_may_answer_with_a_mask_and_leave_results_unread(flights: Any) -> None:
    def odd(rows: duckdb.DuckDBPyRelation) -> pa.ChunkedArray:
        rows.to_arrow_reader(1).read_next_batch()
        return rows.project("i % 2 = 1 AS good").to_arrow_table()["good"]

    receipt = flights.check(checks.function(odd, severity="quarantine"), checks.row_count(min=1))
    assert flights.set_aside(receipt) == {1: ["odd"]}


def test_where_and_columns_choose_what_is_given(flights: Any) -> None:
    def seen(rows: pa.Table) -> pa.BooleanArray:
        assert rows.to_pydict() == {"i": [3, 5]}
        return pa.array([True, False])

    receipt = flights.check(checks.function(seen, "i", where="i > 2", severity="quarantine"))
    assert receipt.report.failures[0].message == "seen fails in 1 of 2 rows (50.0 %)"
    assert flights.set_aside(receipt) == {4: ["seen"]}


def test_a_plain_false_is_about_all_rows(flights: Any) -> None:
    failure = flights.failure(checks.function(lambda _: np.bool_(False), name="no", severity="warn"))
    assert (failure.severity, failure.count, failure.message) == ("warn", 1, "no returned False")
    receipt = flights.check(checks.function(lambda _: False, name="no", severity="quarantine"))
    assert receipt.report.rejects
    assert "names no rows" in receipt.report.failures[0].message
    assert flights.set_aside(receipt) == {}


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda _: None, "it returned NoneType; return True or False, or one bool per row"),
        (lambda _: 1, "it returned 1"),
        (lambda _: "yes", "it returned 'yes'"),
        (lambda rows: rows, "no mask|mask of"),
        (lambda _: [True], "a mask of 1 for 5 rows"),
        (lambda _: [1, 2, 3, 4, 5], "a mask of int64"),
        (lambda _: object(), "object, which is no mask"),
        (lambda _: {}["missing"], "KeyError: 'missing'"),
        (lambda _: 1 / 0, "ZeroDivisionError: division by zero"),
    ],
)
def test_a_check_that_fails_itself_is_a_finding(flights: Any, answer: Any, why: str) -> None:
    failure = flights.failure(checks.function(answer, name="mine", severity="warn"))
    assert failure.severity == "error"
    assert failure.message.startswith("the check itself failed: ")
    assert pytest.importorskip("re").search(why, failure.message)


def test_texts_of_exceptions_are_bounded_and_hide_what_is_personal(flights: Any) -> None:
    def quoting(rows: pa.Table) -> bool:
        raise ValueError(f"bad {rows['s'].to_pylist()}" + "x" * 10_000)

    assert 200 < len(flights.failure(quoting).message) < 260
    assert flights.failure(quoting, personal=("S",)).message == "the check itself failed: ValueError"
    assert flights.failure(checks.function(quoting, "s"), personal=("s",)).message.endswith("ValueError")


def test_validators(flights: Any) -> None:
    class Contract:
        """Rows have a text."""

        def __init__(self, limit: int) -> None:
            self.limit = limit

        def validate(self, data: pd.DataFrame) -> bool:
            assert isinstance(data, pd.DataFrame)
            return len(data) <= self.limit

    assert flights.check(Contract(5)).report.passed == ("Contract",)
    failure = flights.failure(Contract(4))
    assert (failure.check, failure.message) == ("Contract", "Contract returned False")


def test_functions_are_not_asked_about_no_rows(bench: Any) -> None:
    def never(rows: pa.Table) -> bool:
        raise AssertionError

    assert bench.land(ROWS.slice(0, 0)).check(never).report.passed == ("never",)


def test_schemas_of_pandera_name_the_rows(bench: Any) -> None:
    polars_schemas = pytest.importorskip("pandera.polars")
    pytest.importorskip("pandas")
    import pandera.pandas as pandas_schemas

    bench.land(pa.table({"month": [1, 13, 3, 0], "origin": ["JFK", "LGA", None, "EWR"]}))

    class Months(polars_schemas.DataFrameModel):
        month: int = polars_schemas.Field(ge=1, le=12)

    wide = pandas_schemas.DataFrameSchema(
        {"month": pandas_schemas.Column(int, pandas_schemas.Check.lt(13)), "origin": pandas_schemas.Column(str)}
    )
    receipt = bench.check(
        checks.pandera(Months, severity="quarantine"), checks.pandera(wide, name="wide", severity="quarantine")
    )
    assert bench.set_aside(receipt) == {1: ["Months", "wide"], 2: ["wide"], 3: ["Months"]}
    assert checks.as_check(Months).name == "Months"
    bench.land(pa.table({"month": [1, 2]}))
    assert bench.check(Months).report.passed == ("Months",)
    (failure,) = bench.check(checks.pandera(wide)).report.failures
    assert (failure.severity, "origin" in failure.message) == ("error", True)
    with pytest.raises(ConfigurationError, match="over pandas or polars"):
        checks.pandera(object())
