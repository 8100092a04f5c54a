"""Folders and files whose names hold what is a pattern elsewhere: each name means the file of that name alone."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import duckdb
import pytest

import penstock
from penstock import Project
from penstock.errors import ConfigurationError, PenstockError
from penstock.model.receipts import State
from streams.stream_project import SETTINGS
from typed import typed

PIPELINE = """
from penstock import Pipeline, checks, sources, sql

odd = Pipeline(
    name="odd",
    sources=[
        sources.files("in[[]2]/*.parquet", table="parquet"),
        sources.files("in[[]2]/*.csv", table="csv"),
        sources.files("in[[]2]/a[*].json", table="json", nested="tables"),
        sources.files("in[[]2]/a[[]b].parquet", table="one", write="merge", key="id"),
        sources.tail("log*.jsonl", table="log", stream={"every": "1s", "live": True}),
    ],
    checks={"csv": [checks.between("v", 0, 1000, severity="quarantine")]},
    transforms=[
        sql("total", table="total", text="SELECT count(*) AS n FROM parquet"),
        sql("kept", table="kept", text="SELECT id, v FROM csv", key="id"),
    ],
    promote=["total", "kept"],
)
"""
ROWS = {"raw_parquet": 30, "raw_csv": 30, "raw_json": 10, "raw_one": 10, "raw_log": 2, "total": 1, "kept": 30}


def filled(folder: Path, number: int) -> Path:
    """Make files with ten rows each, of every format."""
    folder.mkdir(parents=True)
    numbered = f"SELECT range + {number} AS id, CASE WHEN range = 5 THEN -1 ELSE range END AS v FROM range(10)"
    for name in ("a*", "ab", "a[b]"):
        for ending, query in (
            ("parquet", numbered),
            ("csv", numbered),
            ("json", f"SELECT *, [id, v] AS both FROM ({numbered})"),
        ):
            duckdb.execute(f"COPY ({query}) TO '{folder / name}.{ending}'")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    # The names of the first, as patterns, name the second as well.
    made, other = tmp_path / "p[1]*x", tmp_path / "p1yx"
    filled(made / "in[2]", 0)
    filled(other / "in2", 1000)
    for place in (made, other):
        (place / "log.jsonl").write_text('{"n": 1}\n{"n": 2}\n')
    (made / "penstock.toml").write_text(SETTINGS.replace("pipeline:clicks", "pipeline:odd"))
    (made / "pipeline.py").write_text(PIPELINE)
    return made


def test_the_whole_way_in_a_folder_whose_name_is_a_pattern(folder: Path) -> None:
    with Project(folder) as project:
        assert project.run().state is State.DONE
        assert typed(folder, "stream", "odd", "--until-end").returncode == 0
        project.quarantine.replay("csv", sets=["v = 7"])
        project.run()
        shutil.copytree(folder / "data", folder.parent / "p1yx" / "data")
        project.rebuild()
        found = project.diff()
        project.approve(found.id, "as it is to be", by="tester")
        project.promote(found.id, by="tester")
        project.compact(open_too=True)
        project.vacuum("0s")
        assert project.examine().orphans == ()
        with penstock.connect(folder) as production:
            assert production.sql("SELECT (SELECT n FROM total), (SELECT count(*) FROM kept)").fetchall() == [(30, 30)]
            assert production.sql("SELECT sum(n) FROM log").fetchall() == [(3,)]
        project.rebuild()
    with duckdb.connect(str(folder / "data/staging/warehouse.duckdb"), read_only=True) as staging:
        counted = {table: staging.execute(f'SELECT count(*) FROM "{table}"').fetchall()[0][0] for table in ROWS}
        assert staging.execute("SELECT max(id) FROM raw_parquet").fetchall() == [(9,)]
    assert counted == ROWS


@pytest.mark.parametrize("name", ["a*.csv", "a[b].csv", "a*.parquet", "a[b].json"])
def test_one_file_is_that_file(tmp_path: Path, name: str) -> None:
    folder = filled(tmp_path / "in", 0)
    for other in folder.glob(f"ab.{name.rpartition('.')[2]}"):
        other.write_bytes(b"nothing that could be read")
    # A name that is there is no pattern.
    receipt = penstock.ingest(str(folder / name), to=str(tmp_path / "t.duckdb"), table="t")
    assert receipt.rows == 10


def test_a_name_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"bad\xff.csv")).write_text("id\n1\n")
    with pytest.raises(PenstockError, match=r"not UTF-8.*bad\\xff"):
        penstock.ingest(str(tmp_path), to=str(tmp_path / "t.duckdb"), table="t")


def test_a_question_mark_in_the_path_of_a_warehouse_is_refused(folder: Path) -> None:
    other = folder.rename(folder.parent / "why?")
    with pytest.raises(ConfigurationError, match="question mark"):
        Project(other).run()
    toml = (other / "penstock.toml").read_text().replace("data/staging/warehouse", str(folder.parent / "warehouse"))
    (other / "penstock.toml").write_text(toml)
    with pytest.raises(ConfigurationError, match=r"question mark.*production"):
        Project(other).run()
