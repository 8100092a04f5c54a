"""The same checks and profiles through a real Spark Connect, whose server is another process."""

from __future__ import annotations

import random
from typing import Any

import pyarrow as pa
import pytest
from edge_values import TYPES, table
from profile_pairs import FEW_BYTES, both_profiles
from spark_bench import Both
from test_checks_on_spark import (
    BY_ROW,
    CONDITIONS,
    FIGURES,
    STOPPING,
    TOGETHER,
    Q,
    airports,
    named,
    some_text_of_a_batch,
)

from penstock import checks
from penstock.errors import TransientError
from penstock.stores.spark import Spark
from servers.debian import free_port

__all__ = ["airports"]


@pytest.fixture(scope="module")
def remote(spark_connect: str) -> Any:
    spark = Spark(spark_connect, portion=FEW_BYTES)
    yield spark
    spark.close()


@pytest.fixture
def pair(bench: Any, remote: Spark) -> Both:
    return Both(bench, remote)


def test_some_of_each_kind_finds_the_same(pair: Both, airports: dict[str, str]) -> None:
    pair.land(table(40, lambda pool, row: pool[row % len(pool)]), [17, 3, 20], TYPES)
    conditions = [checks.expression(sql, severity=Q) for sql in CONDITIONS[4:8]]
    calls = [checks.function(some_text_of_a_batch, "s", severity=Q)]
    chosen = [*BY_ROW[:2], *BY_ROW[12:16], *conditions, *FIGURES[:4], *TOGETHER[:2], TOGETHER[-1], *calls]
    found = pair.check(*named(chosen), tables=airports, profiled=False)
    assert len(found.report.failures) > 10
    assert pair.bench.set_aside(found)[3]


def test_the_profile_is_that_of_duckdb(bench: Any, remote: Spark) -> None:
    chosen = random.Random(3)
    bench.land(table(300, lambda pool, _: chosen.choice(pool)), [100, 200], TYPES)
    assert both_profiles(bench, remote, personal=("origin",)).rows == 300


def test_a_server_that_is_not_there_is_told_soon(bench: Any) -> None:
    bench.land(pa.table({"id": [1]}))
    nobody = Spark(f"sc://127.0.0.1:{free_port()}/;user_id=hidden")
    with pytest.raises(TransientError, match=r"Spark at sc://127\.0\.0\.1:\d+ cannot be reached") as caught:
        bench.check(checks.not_null("id"), scale_out=nobody)
    assert "hidden" not in str(caught.value)
    nobody.close()


@pytest.mark.slow
def test_every_check_finds_the_same(pair: Both, airports: dict[str, str]) -> None:
    chosen = random.Random(7)
    known = table(40, lambda pool, row: pool[row % len(pool)])
    rows = pa.concat_tables([known, table(300, lambda pool, _: chosen.choice(pool))])
    pair.land(rows, [17, 3, 320], TYPES)
    conditions = [checks.expression(sql, severity=Q) for sql in CONDITIONS]
    found = pair.check(*named([*BY_ROW, *conditions]), tables=airports, profiled=False)
    assert len(found.report.failures) > 80
    pair.land(known, [17, 3, 20], TYPES)
    pair.check(*named(FIGURES), tables=airports, profiled=False)
    pair.check(*named(TOGETHER), tables={**airports, "flights": pair.bench.relation}, profiled=False)
    pair.land(known, None, TYPES)
    found = pair.check(*[checks.expression(sql) for sql in STOPPING], profiled=False)
    assert all("the check itself failed" in failure.message for failure in found.report.failures)
