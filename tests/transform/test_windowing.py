"""Windows by themselves: declarations are checked at once; what is read grows with what came, not with the table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock import Pipeline, checks, sources, windows
from penstock.errors import ConfigurationError
from penstock.model.windows import WindowedSpec, WindowSpec
from penstock.stores.engine import LocalEngine
from penstock.stores.port import WarehouseTransaction
from penstock.stores.warehouse import DuckDBWarehouse
from penstock.transform.windowing.port import Came, Keeping, Kept
from penstock.transform.windowing.upkeep import DuckDBWindows

COUNTS = "count(*) AS views"
EACH = 400
"""Events of a load: one of each of 10 users in each of 40 seconds."""


def pipeline(*declared: WindowSpec, **more: Any) -> Pipeline:
    stream = more.pop("stream", {"lateness": "10s"})
    return Pipeline(
        "clicks",
        sources=[
            sources.tail("clicks*", table="clicks", event_time="at", stream=stream),
            sources.tail("orders*", table="orders", stream={}),
            sources.files("plans.csv", table="plans", write="scd2", key="user"),
            sources.files("rates.csv", table="rates"),
        ],
        transforms=declared,
        **more,
    )


def windowed(declared: WindowSpec) -> WindowedSpec:
    (made,) = pipeline(declared).spec.transforms
    assert isinstance(made, WindowedSpec)
    return made


@pytest.fixture
def transaction(tmp_path: Path) -> Iterator[WarehouseTransaction]:
    engine = LocalEngine(memory=256 * 2**20)
    with DuckDBWarehouse(str(tmp_path / "w.duckdb"), engine).writing() as open_:
        yield open_
    engine.close()


def load(transaction: WarehouseTransaction, number: int) -> None:
    """Bring a load, whose events follow those of the load before."""
    transaction.execute('CREATE TABLE IF NOT EXISTS raw_clicks ("user" BIGINT, "at" VARCHAR, ms BIGINT, _load BIGINT)')
    transaction.execute(
        "INSERT INTO raw_clicks SELECT i % 10, strftime(make_timestamp((? * 40 + i // 10) * 1000000), "
        f"'%Y-%m-%dT%H:%M:%SZ'), i, ? FROM range({EACH}) t(i)",
        [number, number],
    )


def keep_up(spec: WindowedSpec, transaction: WarehouseTransaction, *loads: int) -> Kept:
    came = {"clicks": Came(loads=loads)} if loads else None
    return DuckDBWindows().keep_up(Keeping(spec=spec, names={"clicks": "raw_clicks"}, came=came), transaction)


@pytest.mark.parametrize(
    ("declared", "most"),
    [
        (windows.tumbling("w", of="clicks", key="user", size="1m", sql=COUNTS), 3),
        (windows.hopping("w", of="clicks", size="1m", every="10s", sql=COUNTS), 5),
        (windows.session("w", of="clicks", key="user", gap="500ms", sql=COUNTS), 1),
        (windows.running("w", of="clicks", key="user", over="1m", sql="sum(ms) AS ms"), 5),
    ],
)
def test_what_is_read_grows_with_what_came(transaction: WarehouseTransaction, declared: WindowSpec, most: int) -> None:
    spec = windowed(declared)
    load(transaction, 1)
    assert keep_up(spec, transaction).whole
    scanned = []
    for number in range(2, 30):
        load(transaction, number)
        kept = keep_up(spec, transaction, number)
        assert not kept.whole
        scanned.append(kept.scanned)
    # A micro-batch looks at the loads in whose time its windows lie, however many others there are.
    assert max(scanned[5:]) == max(scanned[20:]) <= most * EACH
    assert kept.read <= kept.scanned
    streamed = transaction.execute("SELECT * FROM w ORDER BY ALL")
    keep_up(spec, transaction)
    assert transaction.execute("SELECT * FROM w ORDER BY ALL") == streamed


def test_an_event_of_long_ago_reads_its_own_time(transaction: WarehouseTransaction) -> None:
    spec = windowed(windows.tumbling("w", of="clicks", key="user", size="1m", sql=COUNTS))
    for number in range(1, 40):
        load(transaction, number)
    keep_up(spec, transaction)
    transaction.execute(
        "INSERT INTO raw_clicks VALUES (7, '1970-01-01T00:05:00Z', 1, 40), (7, '1970-01-01T00:18:00Z', 1, 40)"
    )
    kept = keep_up(spec, transaction, 40)
    assert (kept.rows, kept.deleted) == (2, 2)
    assert kept.scanned <= 7 * EACH
    assert kept.read == 2 * 60 + 2


def test_columns_that_come_and_widen_compute_all(transaction: WarehouseTransaction) -> None:
    spec = windowed(windows.tumbling("w", of="clicks", size="1h", sql="max(ms) AS most, count(*) AS views"))
    load(transaction, 1)
    keep_up(spec, transaction)
    transaction.execute("ALTER TABLE raw_clicks ALTER ms TYPE DOUBLE")
    transaction.execute("INSERT INTO raw_clicks VALUES (7, '1970-01-01T00:00:50Z', 99999.5, 2)")
    assert keep_up(spec, transaction, 2).whole
    assert transaction.execute("SELECT most, views FROM w") == [(99999.5, EACH + 1)]


def test_a_column_that_is_not_there_is_told(transaction: WarehouseTransaction) -> None:
    load(transaction, 1)
    with pytest.raises(ConfigurationError, match=r"Window 'w' cannot be run.*\"mss\" not found"):
        keep_up(windowed(windows.tumbling("w", of="clicks", size="1m", sql="sum(mss) AS ms")), transaction)


@pytest.mark.parametrize(
    ("declare", "what"),
    [
        (lambda: windows.tumbling("w", of="click", size="1m", sql=COUNTS), "'click'"),
        (lambda: windows.tumbling("w", of="orders", size="1m", sql=COUNTS), "has no event time"),
        (lambda: windows.tumbling("w", of="clicks", size="1m", sql="count(*)"), "a column without a name"),
        (lambda: windows.tumbling("w", of="clicks", size="1m", sql="*"), "a column without a name"),
        (lambda: windows.tumbling("w", of="clicks", size="1m", sql="ms AS ms"), "none of all the events of a window"),
        (lambda: windows.tumbling("w", of="clicks", size="1m", sql="count(* AS n"), "cannot be read as SQL"),
        (
            lambda: windows.tumbling("w", of="clicks", size="1m", sql="count(*) AS n FROM x"),
            "more than a list of columns",
        ),
        (lambda: windows.tumbling("w", of="clicks", size="1m", sql="max(now()) AS n"), "depends on the clock"),
        (
            lambda: windows.tumbling("w", of="clicks", size="1m", sql="max((SELECT 1)) AS n"),
            "a query or a window",
        ),
        (lambda: windows.tumbling("w", of="clicks", size="1m", sql="sum(:x) AS n"), "has a parameter"),
        (lambda: windows.tumbling("w", of="clicks", size="1m", key="user", sql="max(ms) AS user"), "has already"),
        (lambda: windows.tumbling("w", of="clicks", size="0s", sql=COUNTS), "have no length"),
        (lambda: windows.tumbling("w", of="clicks", size="1m", sql=COUNTS, emit="final"), "is not known"),
        (
            lambda: windows.tumbling("w", of="clicks", size="1m", sql=COUNTS, emit="closed"),
            "would change it afterwards",
        ),
        (lambda: windows.hopping("w", of="clicks", size="1m", every="2m", sql=COUNTS), "cannot begin so far apart"),
        (lambda: windows.hopping("w", of="clicks", size="30d", every="1s", sql=COUNTS), "cannot begin so far apart"),
        (lambda: windows.tumbling("w", of="plans", size="1m", sql=COUNTS), "has no event time"),
        (lambda: windows.join("w", of="clicks", to="plan", on="user", sql="tier"), "'plan'"),
        (lambda: windows.join("w", of="clicks", to="rates", on="user", sql="tier"), "nobody says from when on"),
        (lambda: windows.join("w", of="clicks", to="plans", on="user", sql="max(tier) AS tier"), "holds an aggregate"),
        (lambda: windows.join("w", of="clicks", to="plans", on=[], sql="tier"), "no column that both tables have"),
    ],
)
def test_what_cannot_be_is_told_at_once(declare: Any, what: str) -> None:
    with pytest.raises(ConfigurationError, match=what):
        pipeline(declare())


def test_windows_that_nobody_can_close_and_checks_that_would_set_windows_aside(tmp_path: Path) -> None:
    closed = windows.tumbling("w", of="clicks", size="1m", sql=COUNTS, emit="closed")
    with pytest.raises(ConfigurationError, match="has no watermark that could close it"):
        pipeline(closed, stream={})
    growing = windows.tumbling("w", of="clicks", size="1m", sql=COUNTS)
    with pytest.raises(ConfigurationError, match="would set windows of 'w' aside"):
        pipeline(growing, checks={"w": [checks.between("views", 0, 5, severity="quarantine")]})
    assert pipeline(growing, checks={"w": [checks.between("views", 0, 5)]}).spec.checks["w"]


def test_a_join_takes_the_state_of_its_time(transaction: WarehouseTransaction) -> None:
    spec = windowed(windows.join("w", of="clicks", to="plans", on="user", sql="plan, upper(plan) AS loud"))
    load(transaction, 1)
    transaction.execute(
        "CREATE TABLE raw_plans AS SELECT * FROM (VALUES "
        "(7, 'free', TIMESTAMPTZ '1970-01-01 00:00:45Z', TIMESTAMPTZ '1970-01-01 00:00:50Z', 1), "
        "(7, 'paid', TIMESTAMPTZ '1970-01-01 00:00:55Z', NULL, 1)) t(\"user\", plan, _valid_from, _valid_to, _load)"
    )
    keeping = Keeping(spec=spec, names={"clicks": "raw_clicks", "plans": "raw_plans"}, came=None)
    assert DuckDBWindows().keep_up(keeping, transaction).rows == EACH
    found = transaction.execute(
        'SELECT second("at"), plan, loud FROM w WHERE "user" = 7 AND second("at") BETWEEN 44 AND 56 ORDER BY 1'
    )
    plans = [None, *["free"] * 5, *[None] * 5, *["paid"] * 2]
    assert found == [(44 + n, plan, plan and plan.upper()) for n, plan in enumerate(plans)]
