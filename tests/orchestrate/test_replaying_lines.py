"""Lines of files that were no rows: filled in, brought in as rows, or ended."""

from __future__ import annotations

import base64
import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from shop_runs import SETTINGS, served

from penstock.errors import ConfigurationError, DataError, NotFoundError
from penstock.model.receipts import State
from penstock.project import Project

PIPELINE = """
from penstock import Pipeline, checks, sources, sql
shop = Pipeline(
    name="shop",
    sources=[
        sources.files("in/*.csv", table="orders", key="id", write="merge"),
        sources.files("clients.csv", table="clients", write="replace", personal={"email": "tokenise"}),
    ],
    checks={
        "orders": [checks.between("id", 0, 500, severity="quarantine")],
        "clients": [checks.between("points", 0, 18, severity="quarantine")],
    },
    transforms=[sql("total", table="total", text="SELECT count(*) AS n, sum(id) AS ids FROM orders")],
)
"""
BODY = "id,name,day\n" + "".join(f"{number},n{number},2020-01-{number:02d}\n" for number in range(1, 21))
LINES = ("99,x", "98,a,b,2020-02-02", "900,y", "The end")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    monkeypatch.setenv("PENSTOCK__PRIVACY__KEY", base64.b64encode(bytes(range(32))).decode())
    (tmp_path / "penstock.toml").write_text(SETTINGS)
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_text(BODY + "".join(line + "\n" for line in LINES))
    emails = "".join(f"{n},c{n}@example.org,{n}\n" for n in range(20))
    (tmp_path / "clients.csv").write_text("id,email,points\n" + emails + "21,c21@example.org\n")
    with Project(tmp_path) as opened:
        assert opened.run().state is State.DONE
        yield opened


def standing(project: Project, table: str = "orders") -> list[tuple[int, int, int, int]]:
    found = [(item.rows, item.open, item.replayed, item.discarded) for item in project.quarantine.summaries(table)]
    assert all(rows == left + replayed + discarded for rows, left, replayed, discarded in found)
    return found


def filled(project: Project, path: Path, values: dict[str, dict[str, str]]) -> None:
    """Fill in the values of some lines of an export, found by their text, and drop the others."""
    raw = path.with_name("raw.csv")
    project.quarantine.export("orders", str(raw), lines=True)
    with raw.open(newline="") as file:
        rows = [row | values[row["_line"]] for row in csv.DictReader(file) if row["_line"] in values]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


MENDED = {"99,x": {"id": "99", "name": "x"}, "98,a,b,2020-02-02": {"id": "98", "name": "a,b", "day": "2020-02-02"}}


def test_an_export_of_lines_holds_their_text_and_empty_columns(project: Project, tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"
    assert project.quarantine.export("orders", str(file), lines=True).rows == 4
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [row["_line"] for row in rows] == list(LINES)
    assert [row["_position"] for row in rows] == [20, 21, 22, 23]
    assert [(row["id"], row["name"], row["day"], row["_reasons"]) for row in rows[:1]] == [
        (None, None, None, ["too_few_fields"])
    ]


def test_lines_that_are_filled_in_become_rows_and_those_left_out_stay_open(project: Project, tmp_path: Path) -> None:
    filled(project, tmp_path / "mended.csv", MENDED)
    seen = project.quarantine.preview("orders", file=str(tmp_path / "mended.csv"))
    assert (seen.rows, seen.failures) == (2, ())
    receipt = project.quarantine.replay("orders", file=str(tmp_path / "mended.csv"))
    assert receipt.state is State.DONE
    rows = served(tmp_path, "SELECT id, name, day::VARCHAR FROM raw_orders WHERE id > 90 ORDER BY id")
    assert rows == [(98, "a,b", "2020-02-02"), (99, "x", None)]
    assert served(tmp_path, "SELECT * FROM total") == [(22, 210 + 98 + 99)]
    assert standing(project) == [(4, 2, 2, 0)]
    with pytest.raises(NotFoundError, match="No line of raw_orders is meant: 2 lines"):
        project.quarantine.replay("orders", file=str(tmp_path / "mended.csv"))


def test_lines_are_read_by_an_expression_over_their_text(project: Project, tmp_path: Path) -> None:
    sets = ["id = CAST(split_part(_line, ',', 1) AS BIGINT)", "name = split_part(_line, ',', 2)"]
    where = "'too_few_fields' IN _reasons AND _line LIKE '%,%'"
    receipt = project.quarantine.replay("orders", sets=sets, where=where, lines=True)
    # 900 is beyond what the check allows: it is set aside again, as a row.
    assert sum(step.quarantined for step in receipt.steps) == 1
    assert served(tmp_path, "SELECT id, name FROM raw_orders WHERE id > 90") == [(99, "x")]
    assert standing(project) == [(1, 1, 0, 0), (4, 2, 2, 0)]
    shown = project.quarantine.rows("orders").rows[0]
    assert (shown["_origin"], json.loads(shown["_origin_detail"])["line"]) == ("in/a.csv", 24)
    # As a row it has a place in the quarantine like any other.
    project.quarantine.replay("orders", sets=["id = 90"])
    assert served(tmp_path, "SELECT id, name FROM raw_orders WHERE id = 90") == [(90, "y")]


def test_lines_are_ended_with_a_reason(project: Project) -> None:
    (entry,) = project.quarantine.discard("orders", "a footnote", where="_line = 'The end'", lines=True)
    assert entry.taken is not None
    assert (entry.taken.rows, entry.taken.lines) == (1, 1)
    assert standing(project) == [(4, 3, 0, 1)]
    project.quarantine.discard("orders", "no use", lines=True)
    assert standing(project) == [(4, 0, 0, 4)]


def test_a_rebuild_finds_the_lines_that_were_filled_in(project: Project, tmp_path: Path) -> None:
    filled(project, tmp_path / "mended.csv", MENDED)
    project.quarantine.replay("orders", file=str(tmp_path / "mended.csv"))
    query = "SELECT id, name, day, _load, _order FROM raw_orders ORDER BY ALL"
    before = served(tmp_path, query)
    project.rebuild()
    assert served(tmp_path, query) == before
    project.rebuild_catalog()
    assert standing(project) == [(4, 2, 2, 0)]


def test_the_first_place_of_a_line_decides_against_later_rows_of_its_key(project: Project, tmp_path: Path) -> None:
    (tmp_path / "in" / "b.csv").write_text("id,name,day\n99,newer,2020-03-03\n97,z,2020-03-03\n")
    project.run()
    filled(project, tmp_path / "mended.csv", MENDED)
    project.quarantine.replay("orders", file=str(tmp_path / "mended.csv"))
    assert served(tmp_path, "SELECT name FROM raw_orders WHERE id = 99") == [("newer",)]


def test_what_cannot_be_a_row_is_told(project: Project, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"A line that was no row holds no values yet\. .*--lines"):
        project.quarantine.replay("orders", lines=True)
    with pytest.raises(NotFoundError, match=r"No row of raw_orders is meant.*--lines"):
        project.quarantine.replay("orders")
    filled(project, tmp_path / "wrong.csv", {"99,x": {"id": "ninety-nine"}})
    with pytest.raises(DataError, match="holds a value of 'id' that is no BIGINT"):
        project.quarantine.replay("orders", file=str(tmp_path / "wrong.csv"))
    strange = (tmp_path / "wrong.csv").read_text().replace(",20,", ",77,")
    (tmp_path / "strange.csv").write_text(strange)
    with pytest.raises(DataError, match="rows that are not in the quarantine"):
        project.quarantine.replay("orders", file=str(tmp_path / "strange.csv"))
    assert standing(project) == [(4, 4, 0, 0)]


def test_a_personal_column_of_a_line_cannot_be_filled_in(project: Project, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="Column 'email' is personal"):
        project.quarantine.replay("clients", lines=True, sets=["email = 'c21@example.org'"])
    project.quarantine.replay("clients", lines=True, sets=["id = 21", "points = 3"])
    assert standing(project, "clients") == [(1, 1, 0, 0), (1, 0, 1, 0)]
    assert served(tmp_path, "SELECT email, points FROM raw_clients WHERE id = 21") == [(None, 3)]


def test_rows_with_tokens_are_replayed_as_they_were_protected(project: Project, tmp_path: Path) -> None:
    project.quarantine.replay("clients", sets=["points = 5"])
    assert served(tmp_path, "SELECT count(*), count(DISTINCT email) FROM raw_clients") == [(20, 20)]
    (row,) = served(tmp_path, "SELECT email, points FROM raw_clients WHERE id = 19")
    assert row == (project.token("c19@example.org"), 5)
    marks = [{c.name: c.personal for c in entry.schema}["email"] for entry in project.versions("clients")]
    assert len(set(marks)) == 1
    assert str(marks[0]).startswith("tokenise")
