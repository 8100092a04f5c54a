"""What made a table: read off the versions, through a release, by column, and as of a run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from shop_runs import SETTINGS

from penstock.cli.main import main
from penstock.errors import ConfigurationError, NotFoundError
from penstock.project import Project

SHOP = """
from penstock import Pipeline, checks, sources, sql, transform

@transform()
def best(euros):
    return euros.aggregate("max(euro) AS best, any_value(customer) AS customer")

shop = Pipeline(
    name="shop",
    sources=[
        sources.files("orders/*.csv", table="orders"),
        sources.files("rates.csv", table="rates", write="replace"),
    ],
    checks={"orders": [checks.between("price", 0, 100)], "euros": [checks.between("euro", 0, 5, severity="warn")]},
    transforms=[
        sql("euros", text="SELECT o.Id, o.customer, o.price * r.rate AS euro FROM orders o JOIN rates r USING (day)"),
        sql("total", text="SELECT sum(euro) AS total, count(*) AS n FROM euros"),
        best,
    ],
    promote=["total"],
)
"""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    (tmp_path / "penstock.toml").write_text(SETTINGS)
    (tmp_path / "pipeline.py").write_text(SHOP)
    (tmp_path / "orders").mkdir()
    (tmp_path / "orders/1.csv").write_text("Id,customer,day,price\n1,a,2024-01-01,10\n2,b,2024-01-01,20\n")
    (tmp_path / "rates.csv").write_text("day,rate\n2024-01-01,0.5\n")
    with Project(tmp_path) as opened:
        yield opened


def test_a_table_names_its_files_code_checks_and_approvals(project: Project, tmp_path: Path) -> None:
    first = project.run()
    project.diff()
    project.approve(reason="looks right", by="ada")
    project.promote(by="bob")
    (tmp_path / "orders/2.csv").write_text("Id,customer,day,price\n3,c,2024-01-01,400\n")
    project.run()
    project.accept("orders", project.versions("orders")[0].load or 0, "they really paid that", by="eve")
    second = project.run()
    now = project.lineage("total")
    steps = {step.table: [each for each in now.steps if each.table == step.table] for step in now.steps}
    assert list(steps) == ["total", "euros", "raw_orders", "raw_rates"]
    assert [Path(step.read[0]).name for step in steps["raw_orders"]] == ["1.csv", "2.csv"]
    assert (steps["raw_orders"][1].verdict, steps["raw_orders"][1].accepted_by) == (
        "accepted",
        "eve: they really paid that",
    )
    assert "o.price * r.rate" in steps["euros"][0].code
    assert "euro" in steps["euros"][0].failed[0]
    assert steps["raw_orders"][0].passed == ("between(price)",)
    assert now.releases == ()
    assert (now.number, now.steps[0].run) == (2, second.id)
    then = project.lineage("total", as_of=first.id)
    assert [(step.table, step.number) for step in then.steps if step.kind == "version"] == [("total", 1), ("euros", 1)]
    assert [Path(file).name for step in then.steps for file in step.read] == ["1.csv", "rates.csv"]
    (release,) = then.releases
    assert (release.number, release.by, release.approved_by, release.reason) == (1, "bob", "ada", "looks right")


def test_a_column_is_followed_to_what_it_comes_from(project: Project) -> None:
    project.run()
    euro = project.lineage("total", "total")
    assert [step.table for step in euro.steps] == ["total", "euros", "raw_orders", "raw_rates"]
    assert euro.steps[1].columns == {"euro": ("orders.price", "rates.rate")}
    assert [step.columns for step in euro.steps[2:]] == [{"price": ("price",)}, {"rate": ("rate",)}]
    customer = project.lineage("euros", "customer")
    assert [step.table for step in customer.steps] == ["euros", "raw_orders"]
    counted = project.lineage("total", "n")
    assert [step.table for step in counted.steps] == ["total"]
    # A function may use any column of what it reads.
    best = project.lineage("best", "customer")
    assert [step.table for step in best.steps] == ["best", "euros", "raw_orders", "raw_rates"]
    assert "aggregate" in best.steps[0].code


def test_what_is_not_there_is_said(project: Project) -> None:
    first = project.run()
    with pytest.raises(ConfigurationError, match=r"totl.*total"):
        project.lineage("total", "totl")
    with pytest.raises(NotFoundError, match="no such run"):
        project.lineage("total", as_of="1999")
    assert project.lineage("raw_orders", as_of=first.id).steps[0].kind == "load"


def test_the_command_line_says_it(project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project.run()
    with pytest.raises(SystemExit):
        main(["lineage", "total", "--column", "total", "--project", str(tmp_path)])
    text = capsys.readouterr().out
    for said in ("total.total stood at 1", "orders.price, rates.rate", "1.csv", "o.price * r.rate", "No release has"):
        assert said in text
    with pytest.raises(SystemExit):
        main(["lineage", "total", "--json", "--project", str(tmp_path)])
    assert json.loads(capsys.readouterr().out)["steps"][0]["columns"] == {"total": ["euros.euro"], "n": []}
