# ruff: noqa: DTZ001 - moments without a zone are among what is profiled
"""The sketches that the engine takes, against the values themselves."""

from __future__ import annotations

import math
import random
import statistics
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from penstock import checks
from penstock.model.entries import Column
from penstock.profiles.distinct import DistinctSketch
from penstock.profiles.profile import TableProfile
from penstock.validate.binding import bind
from penstock.validate.gathering import Gathering
from penstock.validate.glancing import looking
from penstock.validate.measuring import measure, profiled
from penstock.validate.rows import Scope, opened
from penstock.validate.texts import Texts


def profile(bench: Any, rows: pa.Table, sizes: list[int] | None = None, personal: tuple[str, ...] = ()) -> TableProfile:
    bench.land(rows, sizes)
    looked = opened(bench.connection, "raw_flights", bench.relation, bench.columns, bench.files, ())
    return profiled(looked, personal)


def table(rows: int, seed: int) -> pa.Table:
    draw = random.Random(seed)
    start = datetime(2024, 1, 1)
    return pa.table(
        {
            "x": [None if draw.random() < 0.1 else draw.gauss(100, 15) for _ in range(rows)],
            "heavy": [draw.paretovariate(1.1) * draw.choice([-1, 1]) for _ in range(rows)],
            "n": pa.array([draw.randrange(3000) for _ in range(rows)], pa.int32()),
            "s": [draw.choice(["a", "bb", "ccc", "é"]) for _ in range(rows)],
            "many": [f"text {draw.randrange(10**9)}" if draw.random() < 0.9 else "unknown" for _ in range(rows)],
            "at": [start + timedelta(seconds=draw.randrange(86_400)) for _ in range(rows)],
            "b": [draw.random() < 0.25 for _ in range(rows)],
        }
    )


def test_sketches_say_what_the_values_are(bench: Any) -> None:
    rows = table(20_000, 1)
    found = profile(bench, rows, [12_000, 8_000]).columns
    for name in ("x", "heavy", "n"):
        values = sorted(value for value in rows[name].to_pylist() if value is not None)
        column = found[name]
        assert column.values == len(values)
        assert column.moments is not None
        assert column.histogram is not None
        assert column.distinct is not None
        assert column.moments.mean == pytest.approx(statistics.fmean(values), rel=1e-9)
        assert column.moments.deviation == pytest.approx(statistics.pstdev(values), rel=1e-9)
        assert (column.moments.least, column.moments.greatest) == (values[0], values[-1])
        assert column.histogram.total == len(values)
        for low, high, count in column.histogram.intervals():
            assert count == sum(low <= value < high for value in values)
        assert column.distinct.estimate() == pytest.approx(len(set(values)), rel=0.13)
        width = (values[-200] - values[199]) / 40
        for share in (0.05, 0.5, 0.95):
            assert abs(column.histogram.quantile(share) - values[int(share * len(values))]) <= width, name
    exact = {text: rows["s"].to_pylist().count(text) for text in ("a", "bb", "ccc", "é")}
    assert found["s"].frequent is not None
    assert dict(found["s"].frequent.counts) == exact
    assert found["s"].frequent.complete
    assert found["many"].frequent is not None
    assert dict(found["many"].frequent.counts) == {"unknown": rows["many"].to_pylist().count("unknown")}
    assert found["b"].frequent is not None
    assert found["b"].frequent.counts["true"] == sum(rows["b"].to_pylist())
    assert found["at"].histogram is not None
    assert len(found["at"].histogram.bins) > 64


def registers(bench: Any, values: str) -> DistinctSketch:
    """Return the sketch of all hashes, one by one."""
    query = f"SELECT h & 1023, min(h >> 10) FROM (SELECT hash(v) AS h FROM ({values}) WHERE v IS NOT NULL) GROUP BY 1"
    ((known,),) = bench.connection.execute("SELECT hash('penstock') & 4294967295").fetchall()
    return DistinctSketch.of_minima(dict(bench.connection.execute(query).fetchall()), f"duckdb {known:08x}")


@pytest.mark.parametrize(
    "value",
    ["i", "i % 60000", "i // 3", "i % 700", "CASE WHEN i % 2 = 0 THEN i % 90 ELSE i END", "hash(i) % 20000"],
)
def test_distinct_values_of_many_rows_are_those_of_all_hashes(bench: Any, value: str) -> None:
    """Only some rows and some hashes are looked at; what a glance makes believe must not change the sketch."""
    values = f"SELECT CAST({value} AS BIGINT) AS v FROM range(200000) t(i)"
    found = profile(bench, bench.connection.sql(values).to_arrow_table(), [150_000, 50_000]).columns["v"]
    assert found.distinct == registers(bench, values)
    assert found.moments is not None
    assert found.histogram is not None
    ((mean, count),) = bench.connection.execute(f"SELECT avg(v), count(v) FROM ({values})").fetchall()
    assert found.moments.mean == pytest.approx(mean, rel=1e-9)
    assert found.histogram.total == count


def test_the_profile_of_parts_is_that_of_the_whole(bench: Any, fresh_bench: Any) -> None:
    rows = table(6_000, 2)
    whole = profile(bench, rows)
    parts = [profile(fresh_bench(), rows.slice(start, 2_000)) for start in (0, 2_000, 4_000)]
    both = parts[0].merge(parts[1]).merge(parts[2])
    assert both.rows == whole.rows
    for name, column in whole.columns.items():
        merged = both.columns[name]
        assert (merged.nulls, merged.distinct) == (column.nulls, column.distinct)
        if column.moments is not None:
            assert merged.moments is not None
            assert merged.moments.m4 == pytest.approx(column.moments.m4, rel=1e-6)
        if column.histogram is not None:
            assert merged.histogram is not None
            assert merged.histogram.total == column.histogram.total


def test_odd_columns(bench: Any) -> None:
    rows = pa.table(
        {
            "nan": [math.nan, math.inf, -math.inf, 1.0],
            "null": pa.array([None] * 4, pa.float64()),
            "same": [7] * 4,
            "tiny": [5e-324, 0.0, -1e-300, 1e300],
            "big": pa.array([2**64 - 1, 0, 1, 2], pa.uint64()),
            "list": [[1], [], None, [2]],
            "empty": ["", "", "", ""],
            "secret": ["ann", "bob", "cy", None],
        }
    )
    found = profile(bench, rows, personal=("secret",)).columns
    assert (found["nan"].nans, found["nan"].endless, found["nan"].values) == (1, 2, 4)
    assert found["null"].histogram is None
    assert found["same"].histogram is not None
    assert found["same"].histogram.intervals() == [(7.0, 8.0, 4)]
    assert found["tiny"].histogram is not None
    assert found["tiny"].histogram.total == 4
    assert found["list"].nulls == 1
    secret = found["secret"]
    assert (secret.nulls, secret.personal, secret.distinct, secret.frequent, secret.histogram) == (
        1,
        True,
        None,
        None,
        None,
    )


def test_the_ends_of_what_types_can_hold(bench: Any) -> None:
    bench.connection.execute(
        """CREATE OR REPLACE TEMP TABLE ends AS SELECT * FROM (VALUES
        (TIMESTAMP 'infinity', DATE '-infinity', 170141183460469231731687303715884105727::HUGEINT, 1e308, uuid()),
        (TIMESTAMP '0001-01-01', DATE '9999-12-31', -170141183460469231731687303715884105727::HUGEINT, -1e308, NULL),
        (NULL, NULL, 0, 5e-324, NULL)) v("at", "a""b", "select", x, u)"""
    )
    types = bench.connection.execute("DESCRIBE ends").fetchall()
    columns = [Column(name=name, type=type_) for name, type_, *_ in types]
    rows = opened(bench.connection, "raw_flights", "ends", columns, (), ())
    found = profiled(rows, ())
    assert TableProfile.decode(found.encode(), where="a file").columns.keys() == found.columns.keys()
    assert (found.columns["at"].endless, found.columns['a"b'].endless) == (0, 0)
    for name, many in (("at", 1), ('a"b', 1), ("select", 3), ("x", 3)):
        shape = found.columns[name].histogram
        assert shape is not None
        assert shape.total == many, name


def test_no_rows(bench: Any) -> None:
    found = profile(bench, pa.table({"x": pa.array([], pa.int64())}))
    assert (found.rows, found.columns["x"].distinct) == (0, None)


def test_columns_of_one_value_whatever_its_last_digit(bench: Any) -> None:
    """Quantiles of equal values are interpolated, and may differ from each other by rounding."""
    draw = random.Random(3)
    values = {f"x{place}": draw.uniform(0, 2000) for place in range(200)}
    found = profile(bench, pa.table({name: [value] * 20 for name, value in values.items()})).columns
    for name, value in values.items():
        histogram = found[name].histogram
        assert histogram is not None
        assert [(low <= value < high, count) for low, high, count in histogram.intervals()] == [(True, 20)]


TEXTS = {
    "keys": "'T' || lpad(i::VARCHAR, 10, '0')",
    "seldom": "CASE WHEN i % 3 = 0 THEN md5(i::VARCHAR) END",
    "surprising": "CASE WHEN i % 30011 = 7 THEN repeat('é', 40) ELSE 'user' || i % 20000 END",
    "long": "repeat('x', (i % 200)::INTEGER) || i",
    "few": "['a', 'é', NULL][1 + i % 3]",
    "once": "CASE WHEN i = 77777 THEN 'here' END",
    "never": "NULL::VARCHAR",
}


def test_texts_that_are_taken_along_with_checks_are_sketched_as_alone(bench: Any) -> None:
    listed = ", ".join(f"{sql} AS {name}" for name, sql in TEXTS.items())
    rows = bench.connection.sql(f"SELECT {listed} FROM range(120000) t(i)").to_arrow_table()
    alone = profile(bench, rows, [70_000, 50_000]).columns
    looked = opened(bench.connection, "raw_flights", bench.relation, bench.columns, bench.files, ())
    source = Gathering(looked)
    with looking(source, looked.columns, 120_000):
        along = {name for name, _, _ in Texts(source, looked.columns, TEXTS, 120_000).aggregates()}
    assert along == {"keys", "seldom", "surprising"}
    scope = Scope(looked, {}, datetime(2026, 1, 1, tzinfo=UTC), bench.connection)
    checked = [bind(checks.matches(name, "[^z]*"), scope, sets_aside=False) for name in TEXTS]
    measured = measure(looked, checked, (), sketched=True)
    assert not any(measured.failed.values())
    assert measured.sketches is not None
    for name, column in measured.sketches.columns.items():
        other = alone[name]
        assert (column.distinct, column.histogram, column.frequent) == (other.distinct, other.histogram, other.frequent)
        assert (column.values, column.nulls) == (other.values, other.nulls)
        if other.moments is not None:
            assert column.moments is not None
            assert column.moments.mean == pytest.approx(other.moments.mean)
            assert column.moments.deviation == pytest.approx(other.moments.deviation)
            assert (column.moments.least, column.moments.greatest) == (other.moments.least, other.moments.greatest)
