"""A run whose rows are judged by a real Spark, as penstock.toml says."""

from __future__ import annotations

import base64
import random
import shutil
import sqlite3
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from shop_runs import SETTINGS

from penstock.errors import ConfigurationError
from penstock.model.receipts import State
from penstock.profiles.profile import TableProfile
from penstock.project import Project
from penstock.stores.spark import Spark

PIPELINE = """
from penstock import Pipeline, checks, sources
shop = Pipeline(
    name="shop",
    sources=[sources.sql("ops", table="orders", key="id")],
    checks={"orders": [checks.between("amount", 0, 100, severity="quarantine"), checks.MORE]},
)
"""


@pytest.fixture(params=["local", "connect"])
def url(request: pytest.FixtureRequest) -> str:
    """The URL of each way to a real Spark."""
    if request.param == "connect":
        return str(request.getfixturevalue("spark_connect"))
    request.getfixturevalue("spark")
    return "local[2]"


def test_a_run_and_a_check_on_spark(tmp_path: Path, url: str) -> None:
    with closing(sqlite3.connect(tmp_path / "ops.db")) as ops, ops:
        ops.execute("CREATE TABLE orders (id INTEGER, amount REAL)")
        ops.executemany("INSERT INTO orders VALUES (?, ?)", [(n, 10.0 * n) for n in range(12)])
    ops.close()
    (tmp_path / "penstock.toml").write_text(f'{SETTINGS}\n[checks]\nengine = "spark"\nurl = "{url}"\n')
    (tmp_path / "pipeline.py").write_text(PIPELINE.replace("MORE", 'not_null("id")'))
    with Project(tmp_path) as project:
        run = project.run()
        assert not run.error, run.error
        assert run.state is State.DONE
        found = project.check("orders").report
        assert (found.rows, found.failures) == (11, ())
    (tmp_path / "pipeline.py").write_text(PIPELINE.replace("MORE", 'aggregate("length(string_agg(id))", min=1)'))
    with Project(tmp_path) as project, pytest.raises(ConfigurationError, match="cannot be judged on Spark"):
        project.check("orders")


DAILY = """
from penstock import Pipeline, checks, sources
shop = Pipeline(
    name="shop", schedule="@daily", start="2024-01-01", end="2024-01-0END",
    sources=[sources.sql("ops", table="orders", interval="placed", key="id", write="merge", personal=["email"]),
             sources.sql("ops", table="goods", write="replace")],
    checks={"orders": [checks.between("amount", 0, 1e6)]},
    profiled=["orders"],
)
"""
ENGINES = ("duckdb", "spark")


def test_profiles_of_both_engines_are_merged_and_compared_alike(tmp_path: Path, spark: Spark) -> None:
    """Two days are profiled by DuckDB; two more, the last in another unit, by DuckDB in one copy, by Spark in one."""
    draw = random.Random(1)
    folder = tmp_path / "duckdb"
    folder.mkdir()
    with closing(sqlite3.connect(folder / "ops.db")) as ops, ops:
        ops.execute("CREATE TABLE orders (id INTEGER, placed TIMESTAMP, amount REAL, kind TEXT, email TEXT)")
        ops.execute("CREATE TABLE goods (id INTEGER, price REAL)")
        ops.execute("INSERT INTO goods VALUES (1, 1.5), (2, NULL)")
        for day in range(1, 5):
            for number in range(300):
                amount = draw.lognormvariate(3, 0.5) * (100 if day == 4 else 1)
                at = f"2024-01-{day:02}T{number % 24:02}:00:00Z"
                row = (day * 1000 + number, at, amount, draw.choice("abc"), f"p{number}@x.y")
                ops.execute("INSERT INTO orders VALUES (?, ?, ?, ?, ?)", row)
    ops.close()
    key = base64.b64encode(bytes(range(32))).decode()
    (folder / ".env").write_text(f"KEY={key}\n")
    (folder / "penstock.toml").write_text(SETTINGS + '[privacy]\nkey = "${KEY}"\n')
    (folder / "pipeline.py").write_text(DAILY.replace("END", "3"))
    with Project(folder) as project:
        assert project.run().state is State.DONE
    shutil.copytree(folder, tmp_path / "spark")
    settings = tmp_path / "spark" / "penstock.toml"
    settings.write_text(settings.read_text() + '[checks]\nengine = "spark"\nurl = "local[2]"\n')
    profiles, drifts, merged, read = [], [], [], []
    for engine in ENGINES:
        (tmp_path / engine / "pipeline.py").write_text(DAILY.replace("END", "5"))
        with Project(tmp_path / engine) as project:
            run = project.run()
            assert run.state is State.DONE, run.error
            drifts.append(project.drift("orders"))
            merged.append(project.profile("orders"))
            read.append(project.profile("goods"))
        files = sorted((tmp_path / engine / "data/staging/lake/_profiles/raw_orders").glob("*.gz"))
        assert len(files) == 4
        profiles.append([TableProfile.decode(file.read_bytes(), where=file.name) for file in files])
    for left, right in zip(*profiles, strict=True):
        assert (right.rows, list(right.columns)) == (left.rows, list(left.columns))
        for name, column in left.columns.items():
            other = right.columns[name]
            assert replace(other, moments=None) == replace(column, moments=None), name
            if column.moments is not None and other.moments is not None:
                assert asdict(other.moments) == pytest.approx(asdict(column.moments), rel=1e-9, abs=1e-3)
    here, there = drifts
    assert [each.column for each in there.columns if each.drifted] == ["amount"]
    assert there.rows == here.rows == (900, 300)
    for mine, theirs in zip(here.columns, there.columns, strict=True):
        assert (theirs.column, theirs.drifted, theirs.reasons) == (mine.column, mine.drifted, mine.reasons)
        assert (theirs.stability, theirs.chi_squared_p) == (mine.stability, mine.chi_squared_p)
    assert merged[1].origin == "merged from 4 kept profiles"
    assert [(each.column, each.distinct, each.top) for each in merged[1].columns] == [
        (each.column, each.distinct, each.top) for each in merged[0].columns
    ]
    assert read[0] == read[1]
