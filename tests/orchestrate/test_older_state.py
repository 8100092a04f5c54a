"""A project that an earlier Penstock ran and promoted is taken over as it stands.

``project_of_0_1_0_early.tar.gz`` was written by the code as it was before reconciliation, deletes, compaction, replays,
nested tables and positions of files: a lake, its catalog, a warehouse, a release, a training set and the sources.
"""

from __future__ import annotations

import sqlite3
import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from penstock.model.interval import Interval
from penstock.model.receipts import State
from penstock.project import Project


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    with tarfile.open(Path(__file__).with_name("project_of_0_1_0_early.tar.gz")) as packed:
        packed.extractall(tmp_path, filter="data")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENSTOCK_USER", "ada")
    return tmp_path


@pytest.fixture(params=["catalog kept", "catalog lost"])
def project(folder: Path, request: pytest.FixtureRequest) -> Iterator[Project]:
    if request.param == "catalog lost":
        (folder / ".penstock" / "catalog.db").unlink()
    with Project(folder) as project:
        if request.param == "catalog lost":
            project.rebuild_catalog()
        yield project


def served(folder: Path, query: str, environment: str = "staging") -> list[tuple[object, ...]]:
    with duckdb.connect(folder / f"data/{environment}/warehouse.duckdb", read_only=True) as connection:
        return connection.execute(query).fetchall()


def test_nothing_is_read_again_and_everything_is_known(project: Project, folder: Path) -> None:
    assert project.run().state is State.UNCHANGED
    assert [(item.rows, item.reasons) for item in project.quarantine.summaries("orders")] == [
        (1, {"between(amount)": 1})
    ]
    assert [release.number for release in project.releases()] == [1]
    assert len(project.runs()) == 1
    assert project.examine().orphans == ()
    assert project.verify_dataset("large").sound
    assert served(folder, "SELECT * FROM total", "production") == [(7, 315.0)]


def test_work_goes_on_from_where_it_stood(project: Project, folder: Path) -> None:
    with closing(sqlite3.connect(folder / "ops.db")) as ops, ops:
        ops.execute("INSERT INTO events VALUES (9, 'new')")
        ops.execute("UPDATE orders SET amount = 3 WHERE id = 1")
    ops.close()
    run = project.run()
    assert (run.state, run.error) == (State.DONE, "")
    assert served(folder, "SELECT count(*), count(DISTINCT id) FROM raw_events") == [(6, 6)]
    project.backfill(None, Interval.parse("2024-01-02"), again=True)
    assert served(folder, "SELECT * FROM total") == [(7, 303.0)]
    candidate = project.diff()
    project.approve(candidate.id, "it is right")
    project.promote(candidate.id)
    assert served(folder, "SELECT * FROM total", "production") == [(7, 303.0)]
    project.rollback(reason="it was not")
    assert served(folder, "SELECT * FROM total", "production") == [(7, 315.0)]


def test_the_warehouse_is_made_anew_from_the_older_lake(project: Project, folder: Path) -> None:
    tables = ("raw_orders", "raw_events", "raw_goods", "sales", "total")
    queries = [f"SELECT COLUMNS('^[^_]') FROM {table} ORDER BY ALL" for table in tables]
    before = [served(folder, query) for query in queries]
    assert project.rebuild().replaced
    assert [served(folder, query) for query in queries] == before
