"""Plans: why each step, what it replaces, what it takes; a run carries out just what its plan says."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from shop_runs import SETTINGS, served

from penstock.cli.main import main
from penstock.cli.output import data_of
from penstock.errors import ConfigurationError, ConflictError
from penstock.model.codec import decode
from penstock.model.interval import Interval
from penstock.model.plan import Action, Cause, Plan, PlannedStep
from penstock.model.receipts import State
from penstock.project import Project

SHOP = '''
from penstock import Pipeline, checks, sources, sql, transform

RATE = 2.0
SECRET = "hunter2-a-password"

def worth(amount):
    """A description changes nothing."""
    return amount * RATE

@transform()
def value(total):
    return total.project(f"orders, {worth(1)} * amount AS amount, '{SECRET[:0]}' AS note")

shop = Pipeline(
    name="shop", schedule="@daily", start="2024-01-01", end="2024-01-05",
    sources=[sources.sql("ops", table="orders", interval="placed", key="id", write="merge")],
    checks={"orders": [checks.not_null("id", description="it names an order")]},
    transforms=[
        sql("sales", interval="placed", text="""
            SELECT id, placed, amount  -- one row an order
            FROM orders
            WHERE placed >= :interval_start AND placed < :interval_end
        """),
        sql("total", text="SELECT count(*) AS orders, sum(amount) AS amount FROM sales"),
        value,
    ],
    promote=["sales", "total"],
)
'''


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Project]]:
    with closing(sqlite3.connect(tmp_path / "ops.db")) as ops, ops:
        ops.execute("CREATE TABLE orders (id INTEGER, placed TIMESTAMP, amount REAL)")
        rows = [(n, f"2024-01-0{1 + n % 4}T0{n % 10}:00:00Z", 10.0 * n) for n in range(12)]
        ops.executemany("INSERT INTO orders VALUES (?, ?, ?)", rows)
    opened: list[Project] = []

    def build(*changes: tuple[str, str]) -> Project:
        text = textwrap.dedent(SHOP)
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "penstock.toml").write_text(SETTINGS)
        (tmp_path / "pipeline.py").write_text(text)
        opened.append(Project(tmp_path))
        return opened[-1]

    yield build
    for project in opened:
        project.close()


def steps(plan: Plan, table: str, action: Action = Action.TRANSFORM) -> list[PlannedStep]:
    return [step for step in plan.steps if step.table == table and step.action is action]


def test_a_plan_says_why_and_what_it_would_replace(make: Callable[..., Project]) -> None:
    first = make().plan()
    assert {step.cause for step in steps(first, "orders", Action.EXTRACT)} == {Cause.MISSING}
    project = make()
    project.run()
    again = project.plan(interval=Interval.parse("2024-01-02"), again=True)
    (read,) = steps(again, "orders", Action.EXTRACT)
    assert (read.cause, read.why, len(read.replaces), read.replaced_rows) == (
        Cause.FORCED,
        "asked to read it again",
        1,
        3,
    )
    (sales,) = steps(again, "sales")
    assert (sales.cause, sales.why, sales.if_new) == (Cause.NEW_DATA, "new data in orders", True)
    assert (len(sales.replaces), sales.replaced_rows) == (1, 3)
    (total,) = steps(again, "total")
    assert (total.cause, total.why, total.if_new) == (Cause.UPSTREAM, "upstream changes: sales", True)
    assert (total.replaces, total.replaced_rows) == ((1,), 1)


def test_rows_and_time_are_estimated_from_history(make: Callable[..., Project]) -> None:
    project = make()
    assert all(step.seconds is None for step in project.plan().steps)
    run = project.run()
    planned = project.plan(interval=Interval.parse("2024-01-02"), again=True)
    (sales,) = steps(planned, "sales")
    took = sorted(step.seconds for step in run.steps if step.step == "transform sales")
    assert sales.rows == 3
    assert sales.seconds is not None
    assert took[0] <= sales.seconds <= took[-1]


def test_changed_code_is_shown_by_its_lines(make: Callable[..., Project]) -> None:
    make().run()
    planned = make(("id, placed, amount  --", "id, placed, 2 * amount AS amount  --")).plan()
    sales = steps(planned, "sales")
    assert {step.cause for step in sales} == {Cause.CODE}
    assert [line[0] + line[1:].strip() for line in sales[0].changed] == [
        "-SELECT id, placed, amount  -- one row an order",
        "+SELECT id, placed, 2 * amount AS amount  -- one row an order",
    ]
    assert {step.cause for step in steps(planned, "total")} == {Cause.UPSTREAM}


def test_the_code_of_a_function_is_that_of_all_that_it_names_without_texts(
    make: Callable[..., Project], tmp_path: Path
) -> None:
    make().run()
    (changed,) = steps(make(("amount * RATE", "amount * RATE + 1")).plan(), "value")
    assert changed.cause is Cause.CODE
    assert [line for line in changed.changed if "return" in line] == [
        "-    return amount * RATE",
        "+    return amount * RATE + 1",
    ]
    (changed,) = steps(make(("RATE = 2.0", "RATE = 3.5")).plan(), "value")
    assert changed.changed == ("-names RATE = 2.0", "+names RATE = 3.5")
    kept = "".join(path.read_text() for path in (tmp_path / "data/staging/lake/_code").iterdir())
    assert "return amount * RATE" in kept
    assert "hunter2" not in kept


@pytest.mark.parametrize(
    "change",
    [
        ("-- one row an order", "-- each order has one row\n"),
        ("it names an order", "an order without a number is no order"),
        ("A description changes nothing.", "Words for people."),
        ("SELECT count(*) AS orders, sum(amount)", "select  count(*) as orders, SUM(amount)"),
    ],
)
def test_words_for_people_make_nothing_anew(make: Callable[..., Project], change: tuple[str, str]) -> None:
    before = make().plan()
    make().run()
    project = make(change)
    planned = project.plan()
    assert [step for step in planned.steps if step.action is not Action.LOAD] == []
    assert project.run().state is State.UNCHANGED
    assert before.state != planned.state


def test_a_run_does_just_what_its_plan_says(make: Callable[..., Project], tmp_path: Path) -> None:
    project = make()
    planned = project.plan(interval=Interval.parse("2024-01-02"))
    kept = decode(Plan, json.dumps(data_of(planned)).encode(), where="the plan")
    assert kept == planned
    run = project.run(plan=kept)
    assert {step.interval.label for step in run.steps if step.interval} == {"2024-01-02"}
    assert served(tmp_path, "SELECT count(*) FROM sales") == [(3,)]
    with pytest.raises(ConflictError, match="moved since the plan was made"):
        project.run(plan=kept)


@pytest.mark.parametrize(
    "change",
    [
        ("sum(amount) AS amount FROM sales", "max(amount) AS amount FROM sales"),
        ('checks.not_null("id"', 'checks.not_null("amount"'),
        ('key="id", write="merge"', 'write="append"'),
    ],
)
def test_a_plan_is_refused_once_the_pipeline_is_another(make: Callable[..., Project], change: tuple[str, str]) -> None:
    planned = make().plan()
    with pytest.raises(ConflictError, match="moved since the plan was made"):
        make(change).run(plan=planned)
    assert make().run(plan=planned).state is State.DONE


def test_a_plan_is_refused_once_the_code_of_a_check_is_another(make: Callable[..., Project]) -> None:
    def judging(limit: str) -> tuple[str, str]:
        return (
            "shop = Pipeline(",
            f"LIMIT = {limit}\n\ndef few(total):\n    return total.filter(f'orders > {{LIMIT}}')\n\nshop = Pipeline(",
        )

    given = ('checks={"orders": [', 'checks={"total": [few], "orders": [')
    planned = make(judging("99"), given).plan()
    assert make(judging("99  # rows"), given).plan().state == planned.state
    with pytest.raises(ConflictError, match="moved since the plan was made"):
        make(judging("0"), given).run(plan=planned)


def test_a_plan_holds_in_another_process(make: Callable[..., Project], tmp_path: Path) -> None:
    """Functions among checks and sources are other objects there."""
    guarded = (
        'checks={"orders": [',
        'checks={"total": [lambda total: total.filter("orders < 0")], "sales": [checks.expression("amount >= 0")], '
        '"orders": [',
    )
    planned = make(guarded).plan()
    make(guarded)
    out = subprocess.run(
        [sys.executable, "-m", "penstock", "plan", "--json", "--project", str(tmp_path)],
        capture_output=True,
        check=True,
        text=True,
    )
    told = decode(Plan, out.stdout.encode(), where="the plan")
    assert told.state == planned.state
    assert make(guarded).run(plan=told).state is not State.FAILED


def test_a_table_is_made_anew_when_it_is_asked_for(make: Callable[..., Project], tmp_path: Path) -> None:
    project = make()
    project.run()
    planned = project.plan(refresh=["sales"])
    assert [(step.cause, step.why) for step in steps(planned, "sales")] == [
        (Cause.FORCED, "asked to compute it again")
    ] * 4
    run = project.run(plan=planned)
    assert [step.state for step in run.steps if step.step == "transform sales"] == [State.UNCHANGED] * 4
    assert project.run().state is State.UNCHANGED
    with pytest.raises(ConfigurationError, match=r"saless.*sales"):
        project.plan(refresh=["saless"])


def test_the_intervals_of_each_table_are_told(make: Callable[..., Project]) -> None:
    project = make()
    project.run(interval=Interval.parse("2024-01-01"))
    project.run(interval=Interval.parse("2024-01-04"))
    orders, sales = project.intervals()
    assert [state.state for state in orders.intervals] == ["done", "missing", "missing", "done"]
    assert [gap.label for gap in orders.gaps] == ["2024-01-02/2024-01-04"]
    assert [state.state for state in sales.intervals] == ["done", "missing", "missing", "done"]
    changed = make(("id, placed, amount  --", "id, placed, 2 * amount AS amount  --"))
    _, sales = changed.intervals()
    assert [(state.state, state.why) for state in sales.intervals][::3] == [("stale", "its code changed")] * 2
    broken = make(("amount  --", "error('no')::DOUBLE AS amount  --"))
    assert broken.backfill(None, Interval.parse("2024-01-01/2024-01-03")).state is State.FAILED
    orders, sales = broken.intervals()
    assert [state.state for state in orders.intervals] == ["done", "done", "missing", "done"]
    assert [state.state for state in sales.intervals] == ["failed", "failed", "missing", "stale"]
    assert "no" in sales.intervals[0].why


def test_a_backfill_reads_several_intervals_at_once_and_goes_on_where_it_ended(
    make: Callable[..., Project], tmp_path: Path
) -> None:
    days = Interval.parse("2024-01-01/2024-01-05")
    refused = make().backfill(None, days, parallel=3)
    assert "it has no cursor. Got: --parallel 3" in refused.error
    project = make(('key="id", write="merge"', 'write="append"'))
    project.run(interval=Interval.parse("2024-01-02"))
    run = project.backfill(None, days, parallel=3)
    assert run.state is State.DONE
    assert sorted(step.interval.label for step in run.steps if step.step == "extract orders" and step.interval) == [
        "2024-01-01",
        "2024-01-03",
        "2024-01-04",
    ]
    assert served(tmp_path, "SELECT count(*), sum(amount) FROM sales") == [(12, 660.0)]


def test_the_command_line_plans_and_carries_out(
    make: Callable[..., Project], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make().run()
    make(("sum(amount) AS amount FROM sales", "max(amount) AS amount FROM sales"))

    def said(*arguments: str, code: int = 0) -> str:
        with pytest.raises(SystemExit) as ended:
            main([*arguments, "--project", str(tmp_path)])
        out = capsys.readouterr()
        assert ended.value.code == code, out.err
        return out.out + out.err

    shown = said("plan")
    assert "The code of total changed:" in shown
    assert "+SELECT count(*) AS orders, max(amount) AS amount FROM sales" in shown
    assert "version 1 (1 row)" in shown
    file = tmp_path / "plan.json"
    file.write_text(said("plan", "--json"))
    assert "says already" in said("run", "--plan", str(file), "--interval", "2024-01-01", code=2)
    said("run", "--plan", str(file))
    assert "moved since" in said("run", "--plan", str(file), code=5)
    assert "nothing is due" in said("plan")
    dry = said("backfill", "--from", "2024-01-01", "--to", "2024-01-03", "--again", "--dry-run")
    assert "2 intervals" in dry
    assert "If new data arrives" in dry
    assert "orders  source        4       0        0      0" in said("intervals")
