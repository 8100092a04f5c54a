"""Profiles kept by loads and versions: merged, shown and compared, in a small project on a real database."""

from __future__ import annotations

import base64
import json
import random
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from shop_runs import SETTINGS

from penstock.errors import ConfigurationError, NotFoundError
from penstock.model.receipts import State
from penstock.project import Project
from typed import typed

PIPELINE = """
from penstock import Pipeline, sources, sql
shop = Pipeline(
    name="shop", schedule="@daily", start="2024-01-01", end="2024-01-13",
    sources=[sources.sql("ops", table="orders", interval="placed", key="id", write="merge", personal=["email"]),
             sources.sql("ops", table="goods", write="replace")],
    transforms=[sql("total", table="total", text="SELECT amount, kind FROM orders WHERE id % 2 = 0")],
    profiled=["orders", "total"],
)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that has read twelve days; the last day's amounts are in another unit."""
    folder = tmp_path_factory.mktemp("shop")
    draw = random.Random(1)
    ops = sqlite3.connect(folder / "ops.db")
    ops.execute("CREATE TABLE orders (id INTEGER, placed TIMESTAMP, amount REAL, kind TEXT, email TEXT)")
    ops.execute("CREATE TABLE goods (id INTEGER, price REAL)")
    ops.execute("INSERT INTO goods VALUES (1, 1.5), (2, NULL)")
    for day in range(1, 13):
        for number in range(300):
            amount = draw.lognormvariate(3, 0.5) * (100 if day == 12 else 1)
            at = f"2024-01-{day:02}T{number % 24:02}:00:00Z"
            row = (day * 1000 + number, at, amount, draw.choice("abc"), f"p{number}@x.y")
            ops.execute("INSERT INTO orders VALUES (?, ?, ?, ?, ?)", row)
    ops.commit()
    ops.close()
    key = base64.b64encode(bytes(range(32))).decode()
    (folder / ".env").write_text(f"KEY={key}\n")
    (folder / "penstock.toml").write_text(SETTINGS + '[privacy]\nkey = "${KEY}"\n')
    (folder / "pipeline.py").write_text(PIPELINE)
    with Project(folder) as project:
        assert project.run().state is State.DONE
    return folder


def test_the_profile_of_a_table_is_merged_from_its_loads(folder: Path) -> None:
    with Project(folder) as project:
        report = project.profile("orders")
        assert (report.rows, report.origin) == (3_600, "merged from 12 kept profiles")
        kinds = {each.column: each.kind for each in report.columns}
        assert kinds["amount"] == "continuous"
        assert (kinds["id"], kinds["kind"], kinds["placed"]) == ("identifier", "nominal", "time series")
        (kind,) = [each for each in report.columns if each.column == "kind"]
        assert (kind.distinct, sum(kind.top.values())) == (3, 3_600)
        goods = project.profile("goods")
        assert (goods.rows, goods.origin) == (2, "read from the lake now")
        assert [each.nulls for each in goods.columns if each.column == "price"] == [1]


def test_nothing_of_a_personal_column_is_kept(folder: Path) -> None:
    with Project(folder) as project:
        (email,) = [each for each in project.profile("orders").columns if each.column == "email"]
    assert (email.kind, email.top, email.distinct) == ("personal", {}, None)


def test_drift_finds_the_day_in_another_unit(folder: Path) -> None:
    with Project(folder) as project:
        report = project.drift("orders")
        assert [each.column for each in report.columns if each.drifted] == ["amount"]
        assert report.rows == (3_300, 300)
        assert "2024-01-12" in report.current
        weekday = project.drift("orders", against="weekday")
        assert weekday.rows == (300, 300)
        assert "2024-01-05" in weekday.reference
        first = project.versions("orders", 100)[-1].number
        assert project.drift("orders", against=str(first)).rows == (300, 300)
        assert not project.drift("orders", stability=99.0, distance=1.0).drifted
        together = project.drift("orders", classifier=True).together
        assert together is not None
        assert (together.drifted, together.rows, together.columns[0][0]) == (True, (3_300, 300), "amount")
        with pytest.raises(NotFoundError, match="keeps a profile"):
            project.drift("goods")
        with pytest.raises(NotFoundError, match="no profile of total to compare with"):
            project.drift("total")
        with pytest.raises(ConfigurationError, match="cannot be compared with that"):
            project.drift("orders", against="yesterday")


def test_the_files_of_profiles_belong_to_the_lake(folder: Path) -> None:
    lake = folder / "data/staging/lake"
    kept = sorted(path.relative_to(lake).as_posix() for path in (lake / "_profiles").rglob("*.gz"))
    assert len(kept) == 13
    with Project(folder) as project:
        assert project.examine().orphans == ()
    (lake / "_profiles/raw_orders/99.json.gz").write_bytes(b"torn")
    with Project(folder) as project:
        assert [Path(each[0]).name for each in project.examine().orphans] == ["99.json.gz"]
    (lake / "_profiles/raw_orders/99.json.gz").unlink()


def test_on_the_command_line(folder: Path) -> None:
    def penstock(*arguments: str) -> subprocess.CompletedProcess[str]:
        return typed(folder, *arguments)

    shown = penstock("profile", "orders")
    assert shown.returncode == 0, shown.stderr
    assert "3,600 rows, merged from 12 kept profiles" in shown.stdout
    assert "█" in shown.stdout
    found = penstock("drift", "orders")
    assert (found.returncode, "amount: its values are distributed otherwise" in found.stdout) == (3, True)
    said = json.loads(penstock("drift", "orders", "--json").stdout)
    assert [each["column"] for each in said["columns"] if each.get("drifted")] == ["amount"]
    assert penstock("drift", "orders", "--html", "drift.html").returncode == 3
    drawn = (folder / "drift.html").read_text()
    assert drawn.index("<h3>amount</h3>") < drawn.index("<h3>kind</h3>")
    assert "<script" not in drawn
    refused = penstock("drift", "orders", "--html", "nowhere/drift.html")
    assert (refused.returncode, "nowhere/drift.html cannot be written" in refused.stderr) == (2, True)


REPLACED = """
from penstock import Pipeline, sources, sql, training_set
shop = Pipeline(
    name="shop",
    sources=[sources.sql("ops", table="orders", write="replace")],
    transforms=[sql("total", table="total", text="SELECT id, amount FROM orders")],
    profiled=["orders", "total"], promote=["total"],
    datasets=[training_set("spending", from_="total", label="amount > 20")],
)
"""


def test_a_table_that_is_replaced_is_compared_with_what_it_was(tmp_path: Path) -> None:
    (tmp_path / "penstock.toml").write_text(SETTINGS)
    (tmp_path / "pipeline.py").write_text(REPLACED)

    def filled(mean: float, seed: int) -> None:
        draw = random.Random(seed)
        with closing(sqlite3.connect(tmp_path / "ops.db")) as ops, ops:
            ops.execute("CREATE TABLE IF NOT EXISTS orders (id INTEGER, amount REAL)")
            ops.execute("DELETE FROM orders")
            ops.executemany("INSERT INTO orders VALUES (?, ?)", ((i, draw.gauss(mean, 5)) for i in range(2_000)))

    with Project(tmp_path) as project:
        filled(20, 1)
        assert project.run().state is State.DONE
        candidate = project.diff()
        project.approve(candidate.id, "it is right")
        project.promote(candidate.id)
        project.build_dataset("spending")
        for table in ("orders", "total"):
            with pytest.raises(NotFoundError, match="to compare with"):
                project.drift(table)
        filled(21.5, 2)
        assert project.run().state is State.DONE
        filled(21.5, 3)
        assert project.run().state is State.DONE
        assert not project.drift("total", against="2").drifted
        for against in ("1", "release", "dataset:spending"):
            report = project.drift("total", against=against)
            assert (report.reference, report.rows) == ("total 1", (2_000, 2_000))
            (amount,) = [each for each in report.columns if each.drifted]
            assert (amount.column, "of its values lie elsewhere" in amount.reasons[0]) == ("amount", True)
        assert project.drift("total").rows == (4_000, 2_000)
        together = project.drift("total", classifier=True, against="2").together
        assert together is not None
        assert (together.drifted, together.rows) == (False, (2_000, 2_000))
        assert project.drift("orders").rows == (4_000, 2_000)
        with pytest.raises(ConfigurationError, match="spendings"):
            project.drift("total", against="dataset:spendings")
        with pytest.raises(ConfigurationError, match="training set 'spending'"):
            project.drift("orders", against="dataset:spending")
