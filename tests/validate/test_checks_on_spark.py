"""Every kind of check, judged by DuckDB and by a real Spark: the same verdicts, counts, examples, reasons and rows."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from edge_values import TYPES, table
from lake_bench import Bench
from spark_bench import Both

from penstock import checks
from penstock.errors import ConfigurationError
from penstock.model.specs import CheckSpec
from penstock.queries.relations import FileSet, Moved, accepted, parquet
from penstock.stores.engine import LocalEngine
from penstock.stores.spark import Spark

Q = "quarantine"
BY_ROW = [
    *[checks.not_null("month"), checks.not_null("month", "origin", severity=Q), checks.not_null("st", where="b")],
    *[checks.between("month", 1, 12, severity=Q), checks.between("x", 0, 5), checks.between("x", low=-1.5)],
    *[checks.between("f", 0.1, 2), checks.between("d", 0.15, 100), checks.between("big", 1, 10**19)],
    *[checks.between("at", "2000-01-01"), checks.between("tz", "1582-10-10", "2026-11-20T10:00:00Z")],
    *[checks.between("day", "1900-01-01", "2026-01-05", severity=Q), checks.between("s", 1, 5)],
    *[checks.between("clock", "09:00", "18:00"), checks.between("small", -5, 300)],
    *[checks.in_set("origin", ["JFK"], severity=Q), checks.in_set("month", range(1, 9)), checks.in_set("x", [0, 1.5])],
    *[checks.in_set("s", ["a", 7]), checks.in_set("b", [True]), checks.in_set("day", ["2026-01-03"])],
    *[checks.in_set("s", ["it's \\ $x ${y} %d", "a\0b", ""]), checks.in_set("f", [0.1, 3])],
    *[checks.matches("origin", "[A-Z]{3}"), checks.matches("month", r"\d"), checks.matches("s", r".*")],
    *[checks.matches("s", r"(?i)a+\p{L}*", severity=Q), checks.matches("s", r"(?:a|[0-9]+|\d.)?")],
    *[checks.length("s", 1, 2), checks.length("l", 1), checks.length("raw", max=2)],
    *[checks.parses("s", "DOUBLE"), checks.parses("s", "INTEGER", severity=Q), checks.parses("s", "DATE")],
    *[checks.parses("s", "DATE", format="%Y-%m-%d"), checks.parses("origin", "BOOLEAN")],
    *[checks.references("origin", "airports.faa", severity=Q), checks.references("id", "airports.k")],
    *[checks.references("month", "airports.faa"), checks.references(["origin", "id"], ["airports.faa", "airports.k"])],
    checks.no_outliers("month", method="zscore", factor=1, severity=Q),
    *[checks.no_outliers("month"), checks.no_outliers("month", method="mad", factor=1), checks.no_outliers("small")],
]
CONDITIONS = [
    *["month > id", "x / 2 > 1", "month / 7 > 1", "small / small = 1", "lower(origin) = 'jfk'", "upper(s) = 'É\n'"],
    *["st.a = 1 OR l[1] = 1", "date_trunc('month', \"at\") > TIMESTAMP '2000-01-01'", '"at" < :now', "tz <= :now"],
    *['day + INTERVAL 1 MONTH > "at"', "datediff('day', day, DATE '2026-01-01') < 9", "day = '2024-02-29'"],
    *["b IS NOT DISTINCT FROM (month > 3)", "origin IS DISTINCT FROM 'JFK'", "length(s) < 3 AND s LIKE '%a%'"],
    *["s LIKE 'it''s \\%'", "s ILIKE 'A%'", "CAST(s AS VARCHAR) || origin <> ''", "x > 1.5", "x = 'nan'::DOUBLE"],
    *["f > 0.1", "f = CAST(0.1 AS FLOAT)", "d * 2 + 1 > month", "d / 3 > 0.05", "d > 0.15", "d = 0.2", "-d < 5"],
    *["id % 2 = 0 OR id // 2 > 1", "list_filter(l, lambda v: v > 1) = [2, 3, 4]", "len(l) > 1", "l = [1, 2]"],
    *[
        "key = '6b1a3f0e-0000-0000-0000-000000000001'",
        "key IS NULL OR key < uuid '6b1a3f0e-0000-0000-0000-000000000003'",
    ],
    *["big > 7", "big = id", "clock < TIME '10:00'", "raw = '\\xFF\\x00'::BLOB", "octet_length(raw) = 3", "st IS NULL"],
    *["CASE WHEN month > 3 THEN b ELSE x > 1 END", "coalesce(month, 0) > 0", "month BETWEEN id AND 12", "NOT b"],
    *["abs(x) < 8", "round(x, 1) = 0.1", "isnan(x) OR isinf(x)", "strftime(day, '%d') = '29'", "b = (1 = 1)"],
    *["origin IN (SELECT faa FROM airports)", "id NOT IN (SELECT k FROM airports WHERE k IS NOT NULL)"],
    *[
        "month > (SELECT max(k) FROM airports)",
        "b OR EXISTS (SELECT 1 FROM airports WHERE k > 2)",
        "TRY_CAST(s AS INT) > 3",
    ],
    *["(month + 0.5) > 3", "CAST(month AS BIGINT) + 2147483640 > 0", "origin || s = 'JFK'", "x IN (0, 1.5)"],
]
STOPPING = ["CAST(s AS INTEGER) > 3", "CAST(id AS SMALLINT) > 1"]
FIGURES = [
    *[
        checks.row_count(min=1000),
        checks.row_count(max=1, where="id > 1"),
        checks.fresh("at", "26h", where="month < 9"),
    ],
    *[
        checks.fresh("tz", "1h"),
        checks.fresh("day", "26h"),
        checks.fresh("s", "1h"),
        checks.correlation("id", "month", min=2),
    ],
    *[checks.aggregate("sum(month)", max=-(2**60)), checks.aggregate("count(DISTINCT origin) / count(*)", max=0)],
    *[checks.aggregate("max(d) - min(d)", max=0), checks.aggregate("bool_or(b)::INT", max=0)],
    *[checks.aggregate("count(*) FILTER (WHERE lower(s) = 'a') + sum(id % 7)", max=-100)],
    *[checks.not_null("id", when="count(*) > 5"), checks.not_null("month", when="min(small) > 5")],
    *[checks.statistic("small", figure, max=-1e9) for figure in ("min", "max", "sum", "mean", "median", "deviation")],
    *[checks.statistic("month", figure, max=-1e12) for figure in ("nulls", "null_share", "skewness", "kurtosis")],
    *[checks.statistic("origin", figure, max=-1) for figure in ("distinct", "distinct_share", "entropy")],
    *[checks.statistic("d", "entropy", max=-1, where="month > 1"), checks.statistic("key", "distinct", max=-1)],
    *[checks.statistic("f", "quantile", quantile=0.3, max=-100), checks.statistic("b", "mean", max=-1)],
    *[checks.schema({"id": "BIGINT", "nope": "VARCHAR"}), checks.volume(), checks.arrives(within="1h")],
    checks.reconciles("count(*)", "airports", "count(*)"),
]
TOGETHER = [
    *[checks.unique("id", severity=Q), checks.unique("s", "month"), checks.unique("origin", where="month > 1")],
    *[checks.unique("key", severity=Q), checks.unique("x"), checks.unique("origin", approximate=True)],
    *[checks.increasing("id", severity=Q), checks.increasing("month", per="origin")],
    *[
        checks.increasing("at", order_by="id", strictly=True),
        checks.no_gaps("at", "1h"),
        checks.no_gaps("day", "1d", per="b"),
    ],
    *[checks.no_near_duplicates("s"), checks.no_near_duplicates("key", severity=Q)],
    checks.query(
        "SELECT origin, count(*) AS n FROM flights GROUP BY origin HAVING count(*) > 1 ORDER BY n DESC, origin"
    ),
    checks.query(
        "WITH known AS (SELECT faa, k FROM airports WHERE k > 1) SELECT f.month, a.faa FROM flights f JOIN known a "
        "ON f.origin = a.faa WHERE f.x > 1 OR lower(f.s) = 'a' ORDER BY 1 DESC, 2"
    ),
    checks.query(
        "SELECT month, n FROM (SELECT month, row_number() OVER (PARTITION BY origin ORDER BY month DESC, id, s) AS n "
        "FROM flights) AS numbered WHERE n > 3 ORDER BY month, n"
    ),
]


def some_text(rows: pa.Table) -> list[bool]:
    return [value is not None for value in rows["s"].to_pylist()]


def some_text_of_a_batch(rows: pa.RecordBatch) -> list[bool]:
    return [value is not None for value in rows["s"].to_pylist()]


def named(found: Sequence[CheckSpec]) -> list[CheckSpec]:
    return [replace(spec, name=f"{place} {spec.name}") for place, spec in enumerate(found)]


@pytest.fixture
def both(bench: Any, spark: Spark) -> Both:
    return Both(bench, spark)


@pytest.fixture
def airports(tmp_path: Path) -> dict[str, str]:
    known = pa.table({"faa": ["JFK", "LGA", "EWR", None], "k": pa.array([1, 2, 3, None], pa.int64())})
    pq.write_table(known, tmp_path / "airports.parquet")
    return {"airports": parquet([str(tmp_path / "airports.parquet")])}


def test_rows_that_fail_are_the_same(both: Both, airports: dict[str, str]) -> None:
    """Forty rows with each value at known places, and hundreds at random."""
    chosen = random.Random(7)
    known = table(40, lambda pool, row: pool[row % len(pool)])
    rows = pa.concat_tables([known, table(300, lambda pool, _: chosen.choice(pool))])
    both.land(rows, [17, 3, 320], TYPES)
    conditions = [
        checks.expression(sql, severity=Q if place % 3 == 0 else "error") for place, sql in enumerate(CONDITIONS)
    ]
    found = both.check(*named([*BY_ROW, *conditions]), tables=airports, profiled=False)
    # None of them passes but what cannot fail, or the comparison would compare nothing.
    assert len(found.report.failures) > 80
    assert both.bench.set_aside(found)[3]


def test_figures_are_the_same(both: Both, airports: dict[str, str]) -> None:
    both.land(table(40, lambda pool, row: pool[row % len(pool)]), [17, 3, 20], TYPES)
    found = both.check(*named(FIGURES), tables=airports, profiled=False)
    assert len(found.report.failures) > 25
    assert len(found.report.skipped) == 1


def test_what_looks_at_several_rows_finds_the_same(both: Both, airports: dict[str, str]) -> None:
    both.land(table(40, lambda pool, row: pool[row % len(pool)]), [17, 3, 20], TYPES)
    calls = [checks.function(some_text, severity=Q), checks.function(some_text_of_a_batch, "s")]
    known = {**airports, "flights": f"(SELECT * FROM {both.bench.relation} WHERE month = 3)"}
    against = [checks.unique("month", against="table", severity=Q)]
    found = both.check(*named([*TOGETHER, *calls, *against]), tables=known, profiled=False)
    assert len(found.report.failures) > 14


def test_what_stops_on_the_data_stops_with_the_same_words(both: Both) -> None:
    both.land(table(40, lambda pool, row: pool[row % len(pool)]), None, TYPES)
    found = both.check(*[checks.expression(sql) for sql in STOPPING], checks.not_null("id"), profiled=False)
    assert sum("the check itself failed" in failure.message for failure in found.report.failures) > 1


def test_no_rows_at_all(both: Both, airports: dict[str, str]) -> None:
    both.land(table(0, None), None, TYPES)
    both.check(*named([*BY_ROW[:4], *FIGURES[:6]]), tables=airports, profiled=False)


def test_names_and_folders_that_mean_something_elsewhere(spark: Spark, engine: LocalEngine, tmp_path: Path) -> None:
    folder = tmp_path / "a [b]*{c}?+% é"
    folder.mkdir()
    rows = pa.table({"se`lect": [1, None, 3], 'a"b': ["x", None, "z"], "a.b": [1.0, 2.0, None], "_metadata": [1, 2, 2]})
    with engine.session() as connection:
        both = Both(Bench(folder, connection), spark).land(rows, [2, 1])
        names = ["se`lect", 'a"b', "a.b", "_metadata"]
        found = both.check(
            *[checks.not_null(name, severity=Q) for name in names],
            *[checks.unique(name) for name in names],
            profiled=False,
        )
    assert [failure.count for failure in found.report.failures] == [1, 1, 1, 1]


def test_rows_of_compacted_files_without_those_set_aside(both: Both, tmp_path: Path) -> None:
    folder = tmp_path / "raw_flights" / "created_at=1"
    folder.mkdir(parents=True)
    pq.write_table(pa.table({"id": [1, 2, 3], "_load": pa.array([1, 1, 1], pa.int64())}), folder / "one.parquet")
    pq.write_table(pa.table({"id": [4, 5], "s": ["a", "b"]}), folder / "two.parquet")
    whole = pa.table({"id": [6, 7, 8, 9], "_load": pa.array([3, 3, 4, 4], pa.int64())})
    pq.write_table(whole, folder / "whole.parquet")
    aside = tmp_path / "aside.parquet"
    pq.write_table(
        pa.table({"_file": ["created_at=1/one.parquet", "created_at=1/was4.parquet"], "_row": [1, 0]}), aside
    )
    moved = [Moved(str(folder / "whole.parquet"), 2 * n, 2, 3 + n, str(folder / f"was{3 + n}.parquet")) for n in (0, 1)]
    sets = [
        FileSet((str(folder / "one.parquet"),), str(aside)),
        FileSet((str(folder / "two.parquet"),), None, (moved[0],)),
        FileSet((), str(aside), (moved[1],)),
    ]
    both.bench.land(pa.table({"id": [1], "s": ["a"]}))
    spec = [checks.expression("id = 0"), checks.expression("id > 100 OR s = 'a'")]
    for relation in (accepted(sets), f"(SELECT id, s FROM {accepted(sets, located=True)})"):
        # Which of such rows are shown is up to the engine.
        kwargs = {"relation": relation, "files": (), "quarantine_path": None, "profiled": False, "examples": 1}
        here, there = (both.bench.check(*spec, **kwargs, **where) for where in ({}, {"scale_out": both.spark}))
        assert here.report.rows == there.report.rows == 7
        assert [each.message for each in here.report.failures] == [each.message for each in there.report.failures]
    tables = {"known": accepted(sets)}
    both.bench.land(pa.table({"id": [1, 2, 8, 9]}))
    found = both.check(checks.references("id", "known.id"), tables=tables, profiled=False)
    assert found.report.failures[0].count == 2


def test_what_spark_cannot_do_alike_is_refused_by_name(both: Both) -> None:
    both.land(pa.table({"id": [1, 2], "s": ["a", "b"]}))
    refused = checks.aggregate("string_agg(s, ',') = 'a,b'", name="in order", min=1)
    with pytest.raises(ConfigurationError) as caught:
        both.bench.check(refused, scale_out=both.spark)
    assert "Check 'in order' of raw_flights cannot be judged on Spark" in str(caught.value)
    assert "LISTAGG(s, ',')" in str(caught.value)
    with pytest.raises(ConfigurationError, match="'sampled'"):
        both.bench.check(checks.query("FROM flights USING SAMPLE 1 ROWS", name="sampled"), scale_out=both.spark)
