# ruff: noqa: DTZ001 - moments without a zone are among what is profiled
"""Profiles taken by a real Spark in many portions: those that DuckDB takes of all rows at once."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from edge_values import TYPES, table
from profile_pairs import FEW_BYTES, alike, both_profiles, same_moments

from penstock.errors import ConfigurationError
from penstock.model.entries import Column
from penstock.queries.relations import FileSet, Moved, accepted
from penstock.stores import spark_portions
from penstock.stores.spark import Spark
from penstock.validate.measuring import profiled
from penstock.validate.rows import opened
from penstock.validate.spreading import spread_profile


@pytest.fixture(scope="session")
def portions(spark: Spark) -> Spark:
    """The same Spark, which reads in very small portions."""
    return Spark("local[2]", portion=FEW_BYTES)


def test_every_type_with_the_values_at_its_edges(bench: Any, portions: Spark) -> None:
    chosen = random.Random(3)
    bench.land(table(700, lambda pool, _: chosen.choice(pool)), [100, 7, 593], TYPES)
    found = both_profiles(bench, portions, personal=("origin", "day")).columns
    assert (found["x"].nans > 0, found["x"].endless > 0) == (True, True)
    assert found["origin"].personal
    assert found["key"].distinct is not None
    assert found["l"].nulls > 0


def test_the_ends_of_what_types_can_hold(bench: Any, portions: Spark) -> None:
    bench.connection.execute("SET TimeZone = 'UTC'")
    rows = bench.connection.sql(
        """SELECT * FROM (VALUES
        (TIMESTAMP 'infinity', DATE '-infinity', '170141183460469231731687303715884105727', 1e308, uuid()::VARCHAR,
         TIMESTAMPTZ 'infinity', '{"a": 1}', DATE '12000-01-01', 1::BIGINT, 'a'),
        (TIMESTAMP '0001-01-01', DATE '9999-12-31', '-170141183460469231731687303715884105727', -1e308, NULL,
         TIMESTAMPTZ '1900-01-01 00:00:00+00', '[]', DATE '0044-03-15 (BC)', 1700000000000000001, ''),
        (NULL, NULL, '0', -0.0, NULL, NULL, NULL, NULL, NULL, 'é')) v("at", "a""b", "select", x, u, tz, j, d, ns, "c.d")
        """
    ).to_arrow_table()
    types = {"select": "HUGEINT", "u": "UUID", "j": "JSON", "ns": "TIMESTAMP_NS"}
    bench.land(rows, [1, 2], types)
    found = both_profiles(bench, portions).columns
    assert found["select"].moments is not None
    assert found["select"].moments.greatest == 2**127


def many(rows: int, seed: int) -> pa.Table:
    """Return rows whose columns are each sketched in another way."""
    draw = random.Random(seed)
    start = datetime(2024, 1, 1)
    return pa.table(
        {
            "x": [None if draw.random() < 0.1 else draw.gauss(100, 15) for _ in range(rows)],
            "heavy": [draw.paretovariate(0.3) * draw.choice([-1, 1]) for _ in range(rows)],
            "far": [float(place) if place != rows - 50 else -1e300 for place in range(rows)],
            "ordered": pa.array(range(rows), pa.int64()),
            "late": pa.array([place % 7 if place < rows - 4_000 else place for place in range(rows)], pa.int32()),
            "zero": [draw.choice([0.0, -0.0, 1.5, math.nan, math.inf]) for _ in range(rows)],
            "few": [draw.choice(["a", "bb", "ccc", "é"]) for _ in range(rows)],
            "many": [f"text {draw.randrange(10**9)}" if draw.random() < 0.9 else "unknown" for _ in range(rows)],
            "long": [f"{place:08}" * (200 if place % 5_000 == 77 else 1) for place in range(rows)],
            "at": [start + timedelta(seconds=draw.randrange(86_400)) for _ in range(rows)],
            "rare": pa.array([place if place % 40_000 == 39_111 else None for place in range(rows)], pa.int64()),
            "rare_text": [f"só {place % 3}" if place % 40_000 == 39_111 else None for place in range(rows)],
            "none": pa.nulls(rows, pa.float64()),
            "b": [draw.random() < 0.25 for _ in range(rows)],
            "key": [f"6b1a3f0e-0000-0000-0000-{draw.randrange(10**9):012}" for _ in range(rows)],
            "secret": [f"{draw.randrange(rows)}" for _ in range(rows)],
            "d": [date(2000, 1, 1) + timedelta(days=draw.randrange(9_000)) for _ in range(rows)],
            "tz": [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=draw.randrange(9_000)) for _ in range(rows)],
        }
    )


def write_in_groups(path: Path, rows: pa.Table) -> None:
    pq.write_table(rows, path, row_group_size=10_000)


def test_many_rows_in_portions_of_files(bench: Any, portions: Spark) -> None:
    """More rows than a glance sees, in one file of several row groups and some small ones."""
    rows = many(120_000, 5)
    bench.land(rows, [100_000, 19_990, 10], {"key": "UUID"})
    large = bench.root / "raw_flights" / bench.files[0].path
    write_in_groups(large, rows.slice(0, 100_000))
    found = both_profiles(bench, portions, personal=("secret",)).columns
    assert found["many"].frequent is not None
    assert dict(found["many"].frequent.counts) == {"unknown": rows["many"].to_pylist().count("unknown")}
    assert found["rare"].moments is not None
    assert found["rare"].moments.count == 3
    assert found["far"].moments is not None
    assert found["far"].moments.least == -1e300


def test_portions_hold_each_row_once(bench: Any) -> None:
    rows = pa.table({"id": pa.array(range(50_000), pa.int64())})
    bench.land(rows, [40_000, 0, 1, 9_999])
    write_in_groups(bench.root / "raw_flights" / bench.files[0].path, rows.slice(0, 40_000))
    dealt = spark_portions.portions(bench.relation, bench.connection, FEW_BYTES)
    assert len(dealt) > 3
    seen: list[int] = []
    for statements in dealt:
        for statement in statements:
            bench.connection.execute(statement)
        found = bench.connection.execute("SELECT id, _penstock_row FROM _penstock_portion").fetchall()
        seen += [value for value, _ in found]
        assert all(row == value % 40_000 % 1 or row <= value for value, row in found)
    assert sorted(seen) == list(range(50_000))
    assert len(spark_portions.portions("(SELECT DISTINCT id FROM " + bench.relation + ")", bench.connection, 9)) == 1


def test_no_rows_at_all(bench: Any, portions: Spark) -> None:
    bench.land(table(0, None), None, TYPES)
    assert both_profiles(bench, portions, personal=("origin",)).rows == 0


def test_columns_that_some_files_lack_and_rows_set_aside(bench: Any, portions: Spark) -> None:
    """The accepted rows of a table: several loads, compacted ones too, which do not say where they stand."""
    folder = bench.root / "raw_flights" / "created_at=1"
    folder.mkdir(parents=True)
    draw = random.Random(11)
    pq.write_table(pa.table({"id": pa.array(range(9_000), pa.int32())}), folder / "one.parquet")
    wide = pa.table({"id": pa.array(range(9_000, 70_000), pa.int64()), "s": [draw.choice("ab") for _ in range(61_000)]})
    write_in_groups(folder / "two.parquet", wide)
    loads = [3] * 500 + [4] * 500
    whole = pa.table({"id": pa.array(range(-1_000, 0), pa.int64()), "s": ["c"] * 1_000, "_load": pa.array(loads)})
    pq.write_table(whole, folder / "whole.parquet")
    aside = bench.root / "aside.parquet"
    out = [("created_at=1/one.parquet", 8_999), ("created_at=1/was4.parquet", 0)]
    pq.write_table(pa.table({"_file": [file for file, _ in out], "_row": [row for _, row in out]}), aside)
    was = [
        Moved(str(folder / "whole.parquet"), 500 * n, 500, 3 + n, str(folder / f"was{3 + n}.parquet")) for n in (0, 1)
    ]
    sets = [
        FileSet((str(folder / "one.parquet"),), str(aside)),
        FileSet((str(folder / "two.parquet"),), None, (was[0],)),
        FileSet((), str(aside), (was[1],)),
    ]
    columns = [Column(name="id", type="BIGINT"), Column(name="s", type="VARCHAR")]
    rows = opened(bench.connection, "raw_flights", accepted(sets), columns, (), ())
    mine = profiled(rows, ())
    with portions.asked(bench.connection) as asked:
        theirs = profiled(rows, (), asked)
        assert len(spark_portions.portions(rows.relation, bench.connection, FEW_BYTES)) > 3
    assert theirs.rows == mine.rows == 70_998
    for name in ("id", "s"):
        left, right = mine.columns[name], theirs.columns[name]
        assert (right.nulls, right.distinct, right.type) == (left.nulls, left.distinct, left.type)
        assert left.moments is not None
        assert right.moments is not None
        same_moments(left.moments, right.moments)
        # Some rows of all portions are looked at, not the same ones, so bins may differ; the median lies in one.
        assert left.histogram is not None
        assert right.histogram is not None
        assert right.histogram.total == left.histogram.total
    alike(mine.columns["s"], theirs.columns["s"])
    left, right = mine.columns["id"], theirs.columns["id"]
    assert left.histogram is not None
    assert right.histogram is not None
    assert right.histogram.quantile(0.5) == pytest.approx(left.histogram.quantile(0.5), abs=600)


def test_workers_whose_hashes_are_others_are_refused(
    bench: Any, portions: Spark, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.land(pa.table({"id": [1, 2]}))
    # A DuckDB of another version makes another number of the same text.
    monkeypatch.setattr("penstock.stores.spark.PROBE", "SELECT 7")
    with pytest.raises(ConfigurationError, match="makes other hashes than the one here"):
        bench.check(scale_out=portions)


def test_what_cannot_be_read_fails_with_a_sentence(bench: Any, portions: Spark) -> None:
    bench.land(pa.table({"key": ["6b1a3f0e-0000-0000-0000-000000000001", "no key"]}), None, {"key": "UUID"})
    rows = opened(bench.connection, "raw_flights", bench.relation, bench.columns, bench.files, ())
    with portions.asked(bench.connection) as asked, pytest.raises(duckdb.ConversionException, match="no key"):
        spread_profile(replace(rows, asked=asked), ())
