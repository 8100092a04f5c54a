# ruff: noqa: DTZ001 - moments without a zone are among what is checked
"""The kinds of checks that look at lengths, types, outliers, orders, figures, history and other tables."""

from __future__ import annotations

import statistics
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock import checks
from penstock.errors import ConfigurationError
from penstock.model.interval import Interval
from penstock.validate.kinds.whole import PastLoad

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def positions(bench: Any, spec: Any, **changes: Any) -> list[int]:
    """Return the places of the rows that a quarantine check sets aside."""
    return list(bench.set_aside(bench.check(spec, **changes)))


def test_lengths(bench: Any) -> None:
    rows = pa.table(
        {"s": ["", "a", "ünï", None], "l": [[1], [], None, [1, 2, 3]], "b": [b"", b"\xc3\xbc", b"abc", None]}
    )
    bench.land(rows)
    assert positions(bench, checks.length("s", max=2, severity="quarantine")) == [2]
    assert positions(bench, checks.length("s", min=1, max=1, severity="quarantine")) == [0, 2]
    assert positions(bench, checks.length("l", min=1, severity="quarantine")) == [1]
    assert positions(bench, checks.length("b", max=1, severity="quarantine")) == [1, 2]
    assert bench.failure(checks.length("s", max=2)).message == "s has not at most 2 characters in 1 of 4 rows (25.0 %)"


def test_types_that_texts_should_have(bench: Any) -> None:
    bench.land(pa.table({"s": ["1", "x", None, "2.5", "2024-02-30", "31.12.2024"], "n": [1, 2, 3, 4, 5, 300]}))
    assert positions(bench, checks.parses("s", "DOUBLE", severity="quarantine")) == [1, 4, 5]
    assert positions(bench, checks.parses("s", "date", format="%d.%m.%Y", severity="quarantine")) == [0, 1, 3, 4]
    assert positions(bench, checks.parses("n", "TINYINT", severity="quarantine")) == [5]
    assert "s is no DATE" in bench.failure(checks.parses("s", "DATE")).message


@pytest.mark.parametrize("method", ["iqr", "zscore", "mad"])
def test_outliers(bench: Any, method: str) -> None:
    values = [10.0 + (number % 7) / 10 for number in range(70)]
    bench.land(pa.table({"x": [*values, 500.0, None, float("nan"), float("inf"), -400.0]}))
    assert positions(bench, checks.no_outliers("x", method, severity="quarantine")) == [70, 72, 73, 74]
    calm = checks.no_outliers("x", method, 1e6, severity="quarantine", where="isfinite(x)")
    assert bench.check(calm).report.failures == ()
    assert "is far from the others, outside" in bench.failure(checks.no_outliers("x", method)).message


def test_equal_values_have_no_outliers(bench: Any) -> None:
    bench.land(pa.table({"x": [5] * 50 + [6]}))
    assert bench.check(checks.no_outliers("x", "mad")).report.failures == ()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from("ab"), st.none() | st.integers(-3, 3)), max_size=30), st.booleans())
def test_increasing_is_what_python_says(fresh_bench: Any, rows: list[tuple[str, int | None]], strictly: bool) -> None:
    bench = fresh_bench().land(pa.table({"k": [k for k, _ in rows], "v": pa.array([v for _, v in rows], pa.int64())}))
    greatest: dict[str, int] = {}
    expected = []
    for place, (key, value) in enumerate(rows):
        if value is None:
            continue
        before = greatest.get(key)
        if before is not None and (value <= before if strictly else value < before):
            expected.append(place)
        greatest[key] = value if before is None else max(before, value)
    spec = checks.increasing("v", per="k", strictly=strictly, severity="quarantine")
    assert positions(bench, spec) == expected


def test_an_order_can_be_said(bench: Any) -> None:
    bench.land(pa.table({"at": [3, 1, 2], "v": [3.0, 1.0, float("nan")]}), [2, 1])
    assert positions(bench, checks.increasing("v", severity="quarantine")) == [1, 2]
    assert positions(bench, checks.increasing("v", order_by="at", severity="quarantine")) == [2]
    failure = bench.failure(checks.increasing("v"))
    assert failure.examples[0] == {"v": "1.0", "_origin": "flights.csv, row 2", "before": "3.0"}


def test_rows_without_a_place_need_an_order(bench: Any) -> None:
    bench.relation, bench.columns = "(SELECT 1 AS v)", ()
    bench.land(pa.table({"v": [1]}))
    with pytest.raises(ConfigurationError, match="needs an order"):
        bench.check(checks.increasing("v"), relation="(SELECT 1 AS v)", quarantine_path=None)


def test_gaps(bench: Any) -> None:
    start = datetime(2024, 1, 1)
    hours = [0, 1, 2, 5, 6, 6, 20]
    rows = {"at": [start + timedelta(hours=hour) for hour in hours] + [None], "k": ["a"] * 7 + ["b"]}
    bench.land(pa.table(rows))
    failure = bench.failure(checks.no_gaps("at", "1h"))
    assert failure.message == "at has 2 gaps over 1h, the longest 14h"
    assert failure.examples[0] == {"after": "2024-01-01 06:00:00", "before": "2024-01-01 20:00:00", "gap": "14h"}
    assert bench.check(checks.no_gaps("at", "14h", per="k")).report.failures == ()


def test_figures_equal_those_of_python(bench: Any) -> None:
    values = [1.5, 2.0, 2.0, 9.0, -3.0]
    y = [float(number) for number in range(8)]
    bench.land(pa.table({"x": [*values, None, float("nan"), float("inf")], "y": y, "z": [-each for each in y]}))
    expected = {
        "min": -3.0,
        "max": 9.0,
        "sum": sum(values),
        "mean": statistics.mean(values),
        "median": 2.0,
        "deviation": statistics.pstdev(values),
        "nulls": 1,
        "null_share": 1 / 8,
    }
    for figure, value in expected.items():
        near = {"min": value - 1e-9, "max": value + 1e-9}
        assert bench.check(checks.statistic("x", figure, **near)).report.failures == (), figure
        failure = bench.failure(checks.statistic("x", figure, min=value + 1))
        assert failure.message.startswith(f"the {figure.replace('_', ' ')} of x is {value:.6g}, not at least"), figure
    assert bench.check(checks.statistic("x", "quantile", 1.9, 2.1, quantile=0.5)).report.failures == ()
    assert bench.check(checks.statistic("y", "entropy", 2.99, 3.01)).report.failures == ()
    assert bench.check(checks.correlation("y", "z", max=-0.999)).report.failures == ()
    assert "correlation of x and y is" in bench.failure(checks.correlation("x", "y", 0.9)).message


def test_a_figure_of_nothing_is_a_failure(bench: Any) -> None:
    bench.land(pa.table({"x": pa.array([None, None], pa.float64())}))
    assert "too few values" in bench.failure(checks.statistic("x", "mean", 0)).message


def test_texts_that_are_nearly_the_same(bench: Any) -> None:
    names = ["ACME Inc", "Globex", "Acme, Inc.", "Initech", "ACME Inc", "Globe X Corp", None, "Initech GmbH", "Initéch"]
    bench.land(pa.table({"name": names}))
    assert positions(bench, checks.no_near_duplicates("name", severity="quarantine")) == [2, 8]
    failure = bench.failure(checks.no_near_duplicates("name", 0.99))
    assert failure.count == 2
    assert failure.examples[0] == {"name": "Acme, Inc.", "like": "ACME Inc"}


def test_too_many_texts_are_not_compared(bench: Any) -> None:
    bench.land(pa.table({"name": [f"same start {number} same end" for number in range(11_000)]}))
    failure = bench.failure(checks.no_near_duplicates("name", severity="warn"))
    assert (failure.severity, "pairs of texts to compare" in failure.message) == ("error", True)


def test_an_approximate_count_sees_many_repetitions(bench: Any) -> None:
    bench.land(pa.table({"a": list(range(20_000)), "b": [number % 15_000 for number in range(20_000)]}))
    assert bench.check(checks.unique("a", approximate=True)).report.failures == ()
    assert "different values in 20,000 rows" in bench.failure(checks.unique("b", approximate=True)).message


def test_schemas(bench: Any) -> None:
    bench.land(pa.table({"id": [1], "name": ["x"]}))
    held = [checks.schema({"ID": "bigint", "name": "varchar"}, extra=False), checks.schema(["id"], name="names")]
    assert bench.check(*held).report.failures == ()
    wrong = checks.schema({"id": "INTEGER", "gone": "DATE"}, extra=False)
    assert bench.failure(wrong).message == "gone is missing; id is BIGINT, not INTEGER; name was not expected"


def past(rows: list[int], step: timedelta = timedelta(days=1)) -> dict[str, Any]:
    days = [NOW - step * (number + 1) for number in range(len(rows))]
    return {
        "history": tuple(PastLoad(at, count, Interval(at, at + step)) for at, count in zip(days, rows, strict=True))
    }


def test_volume_is_compared_with_the_loads_before(bench: Any) -> None:
    bench.land(pa.table({"x": list(range(100))}))
    assert bench.check(checks.volume(), **past([98, 103, 101])).report.failures == ()
    assert bench.check(checks.volume(), **past([500, 500])).report.failures == (), "two are too few"
    failure = bench.failure(checks.volume(), **past([500, 510, 505]))
    assert failure.message == "100 rows, expected 454 to 556: the 3 loads before had 505 in the middle"
    assert bench.check(checks.volume(low=0.1), **past([500, 510, 505])).report.failures == ()
    assert "expected at least 252" in bench.failure(checks.volume(low=0.5), **past([500, 510, 505])).message
    assert "expected at most 60" in bench.failure(checks.volume(high=2), **past([30, 30, 30])).message


def test_volume_knows_weekdays(bench: Any) -> None:
    bench.land(pa.table({"x": list(range(100))}))
    today = Interval(NOW, NOW + timedelta(days=1))
    weeks = [100 if number % 7 == 6 else 1000 for number in range(28)]
    assert bench.check(checks.volume(), interval=today, **past(weeks)).report.failures == ()
    assert bench.failure(checks.volume(), **past(weeks)).count == 1
    quiet = [1000 if number % 7 == 6 else 100 for number in range(28)]
    message = bench.failure(checks.volume(), interval=today, **past(quiet)).message
    assert "the 4 loads of Saturdays before had 1,000 in the middle" in message


def test_arrival(bench: Any) -> None:
    bench.land(pa.table({"x": [1]}))
    assert bench.check(checks.arrives("26h")).report.failures == (), "the first load"
    assert bench.check(checks.arrives("26h"), **past([1])).report.failures == ()
    late = past([1], timedelta(hours=40))
    assert (
        bench.failure(checks.arrives("26h"), **late).message
        == "it came 1d16h after the load before, expected at most 1d2h"
    )


def test_figures_of_two_tables(bench: Any) -> None:
    bench.land(pa.table({"amount": [10, 20, 30]}))
    tables = {"payments": "(SELECT unnest([25, 36]) AS paid)"}
    spec = checks.reconciles("sum(amount)", "payments", "sum(paid)", tolerance=0.05)
    assert bench.check(spec, tables=tables).report.failures == ()
    failure = bench.failure(checks.reconciles("sum(amount)", "payments", "sum(paid)"), tables=tables)
    assert failure.message == "sum(amount) is 60, sum(paid) of payments is 61"
    with pytest.raises(ConfigurationError, match="payments"):
        bench.check(checks.reconciles("sum(amount)", "payment", "sum(paid)"), tables=tables)
    with pytest.raises(ConfigurationError, match="one SQL aggregate"):
        bench.check(checks.reconciles("amount", "payments", "sum(paid)"), tables=tables)


def test_a_query_shows_what_is_wrong(bench: Any) -> None:
    bench.land(pa.table({"k": ["a", "a", "b"], "amount": [10, 20, 5], "email": ["x@y.z"] * 3}))
    sql = "SELECT k, sum(amount) AS total FROM flights JOIN limits USING (k) GROUP BY k, most HAVING sum(amount) > most"
    tables = {"limits": "(SELECT unnest(['a', 'b']) AS k, 25 AS most)"}
    failure = bench.failure(checks.query(sql), tables=tables)
    assert (failure.count, failure.message, failure.examples) == (
        1,
        "the query gives 1 row",
        ({"k": "a", "total": "30"},),
    )
    hidden = bench.failure(checks.query(sql), tables=tables, personal=("email",))
    assert hidden.examples == ({"k": "a", "total": "•••"},)
    assert bench.check(checks.query(sql, at_most=1), tables=tables).report.tolerated == {sql[:79] + "…": 1}
    with pytest.raises(ConfigurationError, match="clock or chance"):
        bench.check(checks.query("SELECT * FROM flights WHERE random() > 1"))
    with pytest.raises(ConfigurationError, match="There is no table 'limit'"):
        bench.check(checks.query("SELECT * FROM flights, limit"), tables=tables)


def test_what_may_fail(bench: Any) -> None:
    bench.land(pa.table({"x": [None, *range(99)]}))
    within = checks.not_null("x", at_most=0.02)
    assert bench.check(within).report.tolerated == {"not_null(x)": 1}
    assert bench.check(within).report.passed == ("not_null(x)",)
    over = bench.failure(checks.between("x", 0, 90, at_most=3))
    assert over.message == "x is outside 0 to 90 in 8 of 100 rows (8.0 %), expected at most 3 rows"
    receipt = bench.check(checks.not_null("x", at_most=1, severity="quarantine"))
    assert (receipt.report.rejects, list(bench.set_aside(receipt))) == (False, [0])
    (stopped,) = bench.check(checks.between("x", 0, 90, at_most=0.05, severity="quarantine")).report.failures
    assert (stopped.severity, "more than the 5 % that may fail" in stopped.message) == ("error", True)


def test_all_checks_together_may_set_few_rows_aside(bench: Any) -> None:
    bench.land(pa.table({"x": list(range(100))}))
    asked = [
        checks.between("x", 5, None, severity="quarantine"),
        checks.between("x", None, 94, severity="quarantine", name="b"),
    ]
    assert not bench.check(*asked, checks.quarantined(at_most=0.1)).report.rejects
    report = bench.check(checks.quarantined(at_most=9), *asked).report
    assert (report.rejects, report.quarantined) == (True, 10)
    assert report.failures[0].message == "10 of 100 rows were set aside, expected at most 9 rows"


def test_a_check_may_depend_on_the_rows(bench: Any) -> None:
    bench.land(pa.table({"x": [1.0, 2.0]}))
    spec = checks.statistic("x", "mean", 100, when="count(*) >= 30")
    report = bench.check(spec).report
    assert (report.skipped, report.passed, report.failures) == (("mean(x)",), (), ())
    assert bench.failure(checks.statistic("x", "mean", 100, when="count(*) >= 2")).count == 1
    with pytest.raises(ConfigurationError, match="one SQL aggregate"):
        bench.check(checks.not_null("x", when="x > 1"))


def test_owner_and_description_stand_in_the_finding(bench: Any) -> None:
    bench.land(pa.table({"x": [None]}))
    failure = bench.failure(checks.not_null("x", owner="data@example.org", description="needed by the model"))
    assert (failure.owner, failure.description) == ("data@example.org", "needed by the model")


def test_any_aggregate_in_a_range(bench: Any) -> None:
    bench.land(pa.table({"g": ["a", "a", "b"], "x": [1.0, 3.0, 10.0]}))
    held = checks.aggregate("avg(x) FILTER (WHERE g = 'a') - avg(x)", -3, -2)
    assert bench.check(held).report.failures == ()
    failed = bench.failure(checks.aggregate("sum(x) / count(DISTINCT g)", max=5))
    assert failed.message == "the aggregate sum(x) / count(DISTINCT g) is 7, not at most 5"
    assert "cannot be told" in bench.failure(checks.aggregate("avg(x) FILTER (WHERE g = 'c')", 0, 1)).message
    with pytest.raises(ConfigurationError, match="one SQL aggregate"):
        bench.check(checks.aggregate("x + 1", 0, 1))
    with pytest.raises(ConfigurationError, match="needs min, max or both"):
        checks.aggregate("sum(x)")
    with pytest.raises(ConfigurationError, match="FILTER"):
        checks.aggregate("sum(x)", 0, 1, where="x > 1")


def test_a_check_may_name_the_interval_of_its_rows(bench: Any) -> None:
    bench.land(pa.table({"moment": [datetime(2024, 1, 1, 5), datetime(2024, 1, 2), None]}))
    inside = checks.expression("moment >= :interval_start AND moment < :interval_end", name="inside")
    day = Interval(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC))
    assert bench.check(inside, interval=day).report.failures[0].count == 1
    first = checks.aggregate("epoch(min(moment)) - epoch(CAST(:interval_start AS TIMESTAMP))", 0, 3600, name="first")
    assert bench.check(first, interval=day).report.failures[0].check == "first"
    # Rows of no interval: there is nothing to compare with.
    assert bench.check(inside).report.skipped == ("inside",)
