"""Runs of small projects through the facade, on real files."""

from __future__ import annotations

import hashlib
import sqlite3
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from shop_runs import SETTINGS, served

from penstock.catalog.opening import open_catalog
from penstock.errors import ConflictError, NotFoundError
from penstock.model.interval import Interval
from penstock.model.receipts import State
from penstock.project import Project

DAILY = """
from penstock import Pipeline, checks, sources, sql
shop = Pipeline(
    name="shop", schedule="@daily", start="2024-01-01", end="2024-01-05",
    sources=[sources.sql("ops", table="orders", interval="placed", key="id", write="merge")],
    checks={"orders": [checks.not_null("id"), checks.between("amount", 0, 100, severity="quarantine")]},
    transforms=[
        sql("sales", table="sales", interval="placed", text="SELECT id, placed, amount FROM orders "
            "WHERE placed >= :interval_start AND placed < :interval_end"),
        sql("total", table="total", text="SELECT count(*) AS orders, sum(amount) AS amount FROM sales"),
    ],
    promote=["sales", "total"],
)
"""


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[[str], Project]]:
    opened: list[Project] = []

    def build(pipeline: str) -> Project:
        (tmp_path / "penstock.toml").write_text(SETTINGS)
        (tmp_path / "pipeline.py").write_text(textwrap.dedent(pipeline))
        opened.append(Project(tmp_path))
        return opened[-1]

    yield build
    for project in opened:
        project.close()


@pytest.fixture
def ops(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(tmp_path / "ops.db")
    connection.execute("CREATE TABLE orders (id INTEGER, placed TIMESTAMP, amount REAL, name TEXT)")
    rows = [(n, f"2024-01-0{1 + n % 4}T0{n % 10}:00:00Z", 10.0 * n, f"o{n}") for n in range(12)]
    connection.executemany("INSERT INTO orders VALUES (?, ?, ?, ?)", rows)
    connection.commit()
    yield connection
    connection.close()


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((folder / "data").rglob("*"))
        if path.is_file()
    }


def states(run: object, table: str) -> list[State]:
    return [step.state for step in run.steps if step.table == table]  # type: ignore[attr-defined]


def test_rows_reach_the_warehouse_and_bad_ones_the_quarantine(
    make: Callable[[str], Project], ops: sqlite3.Connection, tmp_path: Path
) -> None:
    project = make(DAILY)
    run = project.run()
    assert (run.state, run.error) == (State.DONE, "")
    assert served(tmp_path, "SELECT count(*), sum(amount) FROM raw_orders") == [(11, 550.0)]
    assert served(tmp_path, "SELECT orders, amount FROM total") == [(11, 550.0)]
    assert [(item.rows, item.reasons) for item in project.quarantine.summaries()] == [(1, {"between(amount)": 1})]


def test_a_second_run_changes_no_file(make: Callable[[str], Project], ops: sqlite3.Connection, tmp_path: Path) -> None:
    project = make(DAILY)
    project.run()
    before = hashes(tmp_path)
    assert project.run().state is State.UNCHANGED
    assert hashes(tmp_path) == before


def test_an_interval_that_is_read_again_replaces_just_its_rows(
    make: Callable[[str], Project], ops: sqlite3.Connection, tmp_path: Path
) -> None:
    project = make(DAILY)
    project.run()
    ops.execute("DELETE FROM orders WHERE id = 1")
    ops.execute("UPDATE orders SET amount = 1 WHERE id = 5")
    ops.execute("UPDATE orders SET amount = 2 WHERE id = 2")  # of another day, which is not asked for
    ops.commit()
    project.backfill(None, Interval.parse("2024-01-02"), again=True)
    rows = dict(served(tmp_path, "SELECT id, amount FROM raw_orders"))  # type: ignore[arg-type]
    assert 1 not in rows
    assert (rows[5], rows[2]) == (1.0, 20.0)
    assert served(tmp_path, "SELECT orders, amount FROM total") == [(10, sum(rows.values()))]  # type: ignore[arg-type]


def test_a_transform_that_breaks_on_a_value_leaves_the_others_alone(
    make: Callable[[str], Project], ops: sqlite3.Connection, tmp_path: Path
) -> None:
    broken = DAILY.replace(
        'sql("total"',
        'sql("broken", table="broken", text="SELECT CAST(name AS INTEGER) AS n FROM orders"), sql("total"',
    )
    run = make(broken).run()
    assert run.state is State.FAILED
    assert "broken" in run.error
    assert states(run, "broken") == [State.FAILED]
    assert states(run, "total") == [State.DONE]
    assert served(tmp_path, "SELECT orders FROM total") == [(11,)]
    assert states(run, "raw_orders").count(State.DONE) == 8  # four extractions, four loads, none counted twice


def test_a_rejected_load_stops_what_is_below_and_retry_reads_it_alone(
    make: Callable[[str], Project], ops: sqlite3.Connection, tmp_path: Path
) -> None:
    ops.execute("UPDATE orders SET id = NULL WHERE id = 1")
    ops.commit()
    project = make(DAILY)
    run = project.run()
    assert run.state is State.REJECTED
    assert served(tmp_path, "SELECT count(*) FROM raw_orders WHERE placed::DATE = '2024-01-02'") == [(0,)]
    assert project.status().pipelines[0].tables[0].rejected == (3,)
    ops.execute("UPDATE orders SET id = 1 WHERE id IS NULL")
    ops.commit()
    again = project.retry()
    assert [step.interval.label for step in again.steps if step.step == "extract orders"] == ["2024-01-02"]  # type: ignore[union-attr]
    assert served(tmp_path, "SELECT orders FROM total") == [(11,)]
    with pytest.raises(NotFoundError, match="no rejected load"):
        project.retry()


def test_a_discarded_load_is_not_read_again(
    make: Callable[[str], Project], ops: sqlite3.Connection, tmp_path: Path
) -> None:
    ops.execute("UPDATE orders SET id = NULL WHERE id = 1")
    ops.commit()
    project = make(DAILY)
    project.run()
    project.discard("orders", 3, "a test order")
    again = project.run()
    assert states(again, "raw_orders") == []
    assert again.state is State.UNCHANGED
    assert project.status().pipelines[0].tables[0].rejected == ()


def test_an_accepted_load_flows_on(make: Callable[[str], Project], ops: sqlite3.Connection, tmp_path: Path) -> None:
    ops.execute("UPDATE orders SET id = NULL WHERE id = 1")
    ops.commit()
    project = make(DAILY)
    project.run()
    project.accept("orders", 3, "known to be so")
    assert project.run().state is State.DONE
    assert served(tmp_path, "SELECT orders FROM total") == [(11,)]


def test_a_plan_that_is_no_longer_true_is_refused(make: Callable[[str], Project], ops: sqlite3.Connection) -> None:
    project = make(DAILY)
    plan = project.plan()
    project.run(interval=Interval.parse("2024-01-01"))
    with pytest.raises(ConflictError, match="moved since the plan"):
        project.run(plan=plan)


def test_changed_code_remakes_and_a_comment_does_not(
    make: Callable[[str], Project], ops: sqlite3.Connection, tmp_path: Path
) -> None:
    make(DAILY).run()
    commented = DAILY.replace("SELECT count(*)", "/* all of them */ SELECT  count(*)")
    assert make(commented).run().state is State.UNCHANGED
    run = make(DAILY.replace("count(*) AS orders", "count(*) + 1 AS orders")).run()
    assert states(run, "total") == [State.DONE]
    assert states(run, "sales") == []
    assert served(tmp_path, "SELECT orders FROM total") == [(12,)]


def test_a_query_that_reads_another_table_now_is_made_after_it(
    make: Callable[[str], Project], ops: sqlite3.Connection, tmp_path: Path
) -> None:
    chain = """
from penstock import Pipeline, sources, sql
shop = Pipeline(
    name="shop",
    sources=[sources.sql("ops", table="orders", cursor="placed", write="append")],
    transforms=[
        sql("a", table="a", text="SELECT {a}"),
        sql("b", table="b", text="SELECT {b}"),
    ],
)
"""
    make(chain.format(a="1 AS x", b="x + 1 AS x FROM a")).run()
    turned = make(chain.format(a="x + 1 AS x FROM b", b="3 AS x"))
    assert [step.table for step in turned.plan().steps if step.table in ("a", "b")] == ["b", "a"]
    assert turned.run().state is State.DONE
    catalog = open_catalog(f"sqlite:///{tmp_path}/.penstock/catalog.db")
    assert sorted(query.tables for query in catalog.queries("shop").values()) == [(), ("b",)]
    catalog.close()


INCREMENTAL = """
from penstock import Pipeline, sources, sql
shop = Pipeline(
    name="shop",
    sources=[sources.sql("ops", table="orders", cursor="placed", write="append", lag="6h")],
    transforms=[sql("total", table="total", text="SELECT count(*) AS n FROM orders")],
)
"""


def test_a_cursor_with_lag_brings_late_rows_once(
    make: Callable[[str], Project], ops: sqlite3.Connection, tmp_path: Path
) -> None:
    project = make(INCREMENTAL)
    assert project.run().state is State.DONE
    assert project.run().state is State.UNCHANGED
    newest = ops.execute("SELECT max(placed) FROM orders").fetchone()[0]
    late = newest.replace("T07", "T03")  # within the lag
    ops.executemany("INSERT INTO orders VALUES (?, ?, 1, 'x')", [(100, newest), (101, late)])
    ops.commit()
    assert project.run().state is State.DONE
    assert served(tmp_path, "SELECT count(*), count(DISTINCT id) FROM raw_orders") == [(14, 14)]
    assert served(tmp_path, "SELECT n FROM total") == [(14,)]
    assert project.run().state is State.UNCHANGED


def test_the_catalog_is_rebuilt_with_the_same_answers(
    make: Callable[[str], Project], ops: sqlite3.Connection, tmp_path: Path
) -> None:
    project = make(DAILY)
    project.run()
    project.diff()
    project.approve(reason="all is well")
    project.promote()
    before = (
        project.status(),
        project.runs(),
        project.versions("orders"),
        project.versions("sales"),
        project.releases(),
    )
    project.close()
    for leftover in (tmp_path / ".penstock").glob("catalog.db*"):
        leftover.unlink()
    with Project(tmp_path) as fresh:
        fresh.rebuild_catalog()
        after = (fresh.status(), fresh.runs(), fresh.versions("orders"), fresh.versions("sales"), fresh.releases())
        assert after == before
        assert fresh.run().state is State.UNCHANGED
        ops.execute("INSERT INTO orders VALUES (50, '2024-01-01T01:00:00Z', 5, 'late')")
        ops.commit()
        assert fresh.backfill(None, Interval.parse("2024-01-01"), again=True).state is State.DONE


@pytest.mark.postgres
def test_a_catalog_in_postgresql_serves_a_project_as_well(
    make: Callable[[str], Project], ops: sqlite3.Connection, tmp_path: Path, postgres: Any
) -> None:
    make(DAILY).close()
    toml = (tmp_path / "penstock.toml").read_text()
    address = f"{postgres.url()}?schema=catalog_of_a_project"
    (tmp_path / "penstock.toml").write_text(toml.replace('name = "shop"', f'name = "shop"\ncatalog = "{address}"'))
    with Project(tmp_path) as project:
        assert project.run().state is State.DONE
        assert project.run().state is State.UNCHANGED
        before = (project.runs(), project.versions("orders"))
        project.rebuild_catalog()
        assert (project.runs(), project.versions("orders")) == before
    assert not (tmp_path / ".penstock").exists()
