"""Many pipelines in one process: one after the other and side by side, nothing mixed up, nothing left open."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pytest

from penstock.errors import ConfigurationError
from penstock.model.receipts import State
from penstock.project import Project

CODE = """
from penstock import Pipeline, checks, sources, sql

def rows(number):
    return [{"id": n, "of": number} for n in range(10)]

def made(number):
    return Pipeline(
        name=f"p{number}",
        sources=[sources.python(lambda: rows(number), table=f"t{number}", write="replace")],
        checks={f"t{number}": [checks.not_null("id"), checks.in_set("of", [number])]},
        transforms=[sql(f"s{number}", text=f"SELECT count(*) AS n, min(of) AS of FROM t{number}")],
    )

"""


@pytest.fixture(params=[16, pytest.param(50, marks=pytest.mark.slow)])
def count(request: pytest.FixtureRequest) -> int:
    """How many there are: twice as many as run side by side."""
    return int(request.param)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> Iterator[Project]:
    names = [f"p{number}" for number in range(count)]
    listed = [f"pipeline:{name}" for name in names]
    (tmp_path / "penstock.toml").write_text(f'[project]\nname = "many"\npipelines = {listed}\n')
    (tmp_path / "pipeline.py").write_text(CODE + "".join(f"{name} = made({name[1:]})\n" for name in names))
    monkeypatch.chdir(tmp_path)
    with Project(tmp_path) as project:
        yield project


def held() -> tuple[int, int]:
    """Return how many files this process holds open, and how many threads it has."""
    gc.collect()
    return len(os.listdir("/proc/self/fd")), threading.active_count()


def served(folder: Path, count: int) -> list[tuple[object, ...]]:
    each = " UNION ALL ".join(f"SELECT {n} AS pipeline, * FROM s{n}" for n in range(count))
    with duckdb.connect(folder / "data/staging/warehouse.duckdb", read_only=True) as connection:
        return connection.execute(f"SELECT * FROM ({each}) ORDER BY pipeline").fetchall()


def test_pipelines_one_after_the_other_leave_nothing_open(project: Project, tmp_path: Path, count: int) -> None:
    names = list(project.pipelines())
    assert len(names) == count
    assert all(project.run(name).state is State.DONE for name in names)
    assert served(tmp_path, count) == [(n, 10, n) for n in range(count)]
    files, threads = held()
    assert all(project.run(name).state is State.UNCHANGED for name in names)
    after = held()
    assert after[0] <= files + 5, "open files"
    assert after[1] <= threads + 1, "threads"


def test_pipelines_side_by_side_share_catalog_lake_and_warehouse(project: Project, tmp_path: Path, count: int) -> None:
    names = list(project.pipelines())
    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(project.run, names))
    assert [run.error for run in runs if run.error] == []
    assert {run.state for run in runs} == {State.DONE}
    assert served(tmp_path, count) == [(n, 10, n) for n in range(count)]
    assert {run.pipeline for run in project.runs(limit=count)} == set(names)
    assert project.examine().orphans == ()


def test_a_table_that_one_pipeline_declares_needs_no_pipeline_named(project: Project) -> None:
    assert project.run("p7").state is State.DONE
    assert project.check("t7").report.passed == ("not_null(id)", "in_set(of)")
    with pytest.raises(ConfigurationError, match="several pipelines"):
        project.check("nowhere")
