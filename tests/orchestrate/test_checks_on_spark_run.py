"""A run whose rows are judged by a real Spark, as penstock.toml says."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from shop_runs import SETTINGS

from penstock.errors import ConfigurationError
from penstock.model.receipts import State
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


def test_a_run_and_a_check_on_spark(tmp_path: Path, spark: Spark) -> None:
    with sqlite3.connect(tmp_path / "ops.db") as ops:
        ops.execute("CREATE TABLE orders (id INTEGER, amount REAL)")
        ops.executemany("INSERT INTO orders VALUES (?, ?)", [(n, 10.0 * n) for n in range(12)])
    ops.close()
    (tmp_path / "penstock.toml").write_text(f'{SETTINGS}\n[checks]\nengine = "spark"\nurl = "local[2]"\n')
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
