"""Lines that are no rows, of formats that DuckDB does not read, from the file to the quarantine of a run."""

from __future__ import annotations

import json
from pathlib import Path

import openpyxl
import pyarrow.parquet as pq
import pytest

from penstock.project import Project

PIPELINE = """
from penstock import Pipeline, sources
shop = Pipeline(
    name="shop",
    sources=[
        sources.files("in/t.fwf", table="fixed", write="append", options={"widths": {"n": 3, "t": 4}}),
        sources.files("in/t.log", table="log", write="append",
                      options={"pattern": r"(?P<n>\\d+) (?P<t>\\w+)", "unmatched": "quarantine"}),
        sources.files("in/t.xlsx", table="sheet", write="replace", options={"errors": "quarantine"}),
    ],
)
"""
TOML = """
[project]
name = "shop"
pipelines = ["pipeline:shop"]
"""


@pytest.mark.parametrize(("table", "reason", "line", "text"), [
    ("fixed", "line_too_short", 5, "  5"), ("log", "no_match", 5, "broken"),
    ("sheet", "error_cell", 6, '{"A": "5", "B": "#N/A"}'),
])  # fmt: skip
def test_a_run_keeps_them_and_counts_them(tmp_path: Path, table: str, reason: str, line: int, text: str) -> None:
    (tmp_path / "penstock.toml").write_text(TOML)
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    (tmp_path / "in").mkdir()
    lines = [f"{number:3}text" for number in range(1, 21)]
    (tmp_path / "in" / "t.fwf").write_text("\n".join([*lines[:4], "  5", *lines[5:]]))
    logged = [f"{number} text" for number in range(1, 21)]
    (tmp_path / "in" / "t.log").write_text("\n".join([*logged[:4], "broken", *logged[5:]]))
    book = openpyxl.Workbook()
    book.active.append(["n", "t"])
    for number in range(1, 21):
        book.active.append([number, "#N/A" if number == 5 else "text"])
    book.save(tmp_path / "in" / "t.xlsx")
    with Project(tmp_path) as project:
        receipt = project.run("shop")
        step = next(step for step in receipt.steps if step.step.endswith(table))
        assert (step.rows, step.quarantined) == (20, 1)
        found = project.quarantine.summaries(table)
        assert [(item.rows, dict(item.reasons)) for item in found] == [(1, {reason: 1})]
        kept = pq.read_table(found[0].path.removeprefix("file://")).to_pylist()
        assert [(row["_line"], row["_origin"]) for row in kept] == [(text, f"in/t.{_ENDINGS[table]}")]
        assert json.loads(kept[0]["_origin_detail"])["line"] == line
        assert project.run("shop").state.value in ("succeeded", "unchanged")
        assert len(project.quarantine.summaries(table)) == 1


_ENDINGS = {"fixed": "fwf", "log": "log", "sheet": "xlsx"}
