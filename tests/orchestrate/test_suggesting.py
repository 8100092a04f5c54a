"""Checks suggested by the recent loads, and the report on what checks found: a small project on a real database."""

from __future__ import annotations

import base64
import json
import random
import sqlite3
import subprocess
import sys
from contextlib import closing
from html.parser import HTMLParser
from pathlib import Path

import duckdb
import pytest
from shop_runs import SETTINGS

from penstock.errors import NotFoundError
from penstock.model.receipts import State
from penstock.project import Project
from typed import typed

PIPELINE = """
from penstock import Pipeline, checks, sources
from suggested import CHECKS
shop = Pipeline(
    name="shop", schedule="@daily", start="2024-01-01", end="{end}",
    sources=[sources.sql("ops", table="orders", interval="placed", key="id", write="merge", personal=["email"]),
             sources.sql("ops", table="kinds", write="replace")],
    checks=CHECKS, profiled=["orders"],
)
"""
EMPTY = "from penstock import checks\nCHECKS = {}\n"
HURT = "<script>alert(1)</script>"


def day(ops: sqlite3.Connection, number: int, *, kind: str | None = None, factor: float = 1) -> None:
    """Write the orders of a day."""
    draw = random.Random(number)
    for place in range(120):
        price, pieces = round(draw.lognormvariate(3, 0.4), 2), draw.randint(1, 4)
        at = f"2024-01-{number:02}T{place // 5:02}:00:00Z"
        said = kind if kind and place % 4 == 0 else draw.choice("abc")
        row = (number * 1000 + place, at, price, pieces, round(price * pieces * factor, 2), said, f"p{place}@x.y")
        ops.execute("INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    ops.commit()


def ended(folder: Path, end: str) -> None:
    (folder / "pipeline.py").write_text(PIPELINE.format(end=end))
    # Modules are imported once in a process.
    for name in ("pipeline", "suggested"):
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that read fourteen days without checks, then one with those that were suggested, then a bad one."""
    folder = tmp_path_factory.mktemp("shop")
    ops = sqlite3.connect(folder / "ops.db")
    ops.execute(
        "CREATE TABLE orders (id INTEGER, placed TIMESTAMP, price REAL, pieces INTEGER, amount REAL, kind TEXT, "
        "email TEXT)"
    )
    ops.execute("CREATE TABLE kinds (kind TEXT, label TEXT)")
    ops.executemany("INSERT INTO kinds VALUES (?, ?)", [(kind, f"kind {kind}") for kind in "abc"])
    for number in range(1, 15):
        day(ops, number)
    key = base64.b64encode(bytes(range(32))).decode()
    (folder / ".env").write_text(f"KEY={key}\n")
    (folder / "penstock.toml").write_text(SETTINGS + '[privacy]\nkey = "${KEY}"\n')
    (folder / "suggested.py").write_text(EMPTY)
    ended(folder, "2024-01-15")
    with Project(folder) as project:
        assert project.run().state is State.DONE
        found = project.suggest("orders")
    (folder / "suggested.py").write_text(found.code)
    day(ops, 15)
    ended(folder, "2024-01-16")
    with Project(folder) as project:
        assert project.run().state is State.DONE
    day(ops, 16, kind=HURT, factor=2)
    ops.close()
    ended(folder, "2024-01-17")
    with Project(folder) as project:
        project.run()
    return folder


def test_what_is_suggested_is_code_with_reasons(folder: Path) -> None:
    with Project(folder) as project:
        found = project.suggest("orders")
    codes = {each.code for each in found.checks}
    assert found.loads == 15
    assert found.rows == 15 * 120
    assert 'checks.unique("id")' in codes
    assert 'checks.increasing("id", at_most=2)' in codes
    assert 'checks.references("kind", "kinds.kind")' in codes
    # The other table is the list of what there may be.
    assert not any(code.startswith('checks.in_set("kind"') for code in codes)
    assert any(code.startswith('checks.expression(\'abs("amount" - ("price" * "pieces"))') for code in codes)
    assert any(":interval_start" in code for code in codes)
    assert all(each.reason for each in found.checks)
    assert all("email" not in each.code for each in found.checks), "a personal column is not looked at"
    # An identifier goes on counting: no limit is suggested that tomorrow would break.
    assert not any(code.startswith('checks.between("id"') for code in codes)


def test_a_day_like_the_others_passes_and_a_bad_one_does_not(folder: Path) -> None:
    with Project(folder) as project:
        report = project.report("orders")
        assert (report.verdict, report.label) == ("rejected", "2024-01-16")
        failed = {line.check for line in report.checks if line.result != "passed"}
        assert {"references(kind)", "length(kind)"} <= failed
        clean = project.report("orders", number=report.number - 2)
        assert {line.result for line in clean.checks if line.result != "passed"} == set()
        assert clean.verdict == "accepted"
        assert len(clean.checks) > 25


def test_the_report_has_a_line_a_trend_rows_and_a_query_that_runs(folder: Path) -> None:
    with Project(folder) as project:
        report = project.report("orders")
    (line,) = [line for line in report.checks if line.check == "length(kind)"]
    assert (line.rows, line.share, len(line.examples)) == (30, 0.25, 5)
    # Fourteen loads without the check, one that passed it, and this one.
    assert line.trend == (None,) * 14 + (0.0, 0.25)
    assert len(report.before) == 16
    assert line.examples[0]["kind"] == HURT
    for each in report.checks:
        if each.result != "passed" and each.query and "kinds" not in each.query:
            connection = duckdb.connect()
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute(each.query)
    assert len(duckdb.connect().execute(line.query).fetchall()) == 30
    assert report.profile is not None
    assert {each.column: each.kind for each in report.profile.columns}["email"] == "personal"


class Tags(HTMLParser):
    """Collects the tags of a page, and how often each is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: dict[str, int] = {}
        self.closed: dict[str, int] = {}
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.opened[tag] = self.opened.get(tag, 0) + 1
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        self.closed[tag] = self.closed.get(tag, 0) + 1


def test_the_page_is_whole_and_runs_nothing(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "orders.html"
    done = subprocess.run(
        [sys.executable, "-m", "penstock", "report", "orders", "--html", str(file)],
        cwd=folder, capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert "orders, load" in done.stdout
    assert "▁█" in done.stdout
    text = file.read_text(encoding="utf-8")
    tags = Tags()
    tags.feed(text)
    assert "script" not in tags.opened
    assert tags.addresses == []
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    for tag in ("article", "table", "tr", "td", "svg", "section", "details", "h2"):
        assert tags.opened[tag] == tags.closed[tag] > 0, tag
    assert "p1@x.y" not in text
    assert "prefers-color-scheme: dark" in text


def test_commands_suggest_as_code_as_json_and_into_a_file(folder: Path, tmp_path: Path) -> None:
    def said(*words: str) -> subprocess.CompletedProcess[str]:
        return typed(folder, "check", *words)

    file = tmp_path / "found.py"
    assert "written to" in said("suggest", "orders", "--out", str(file)).stdout
    space: dict[str, dict[str, list[object]]] = {}
    exec(file.read_text(encoding="utf-8"), space)
    listed = json.loads(said("suggest", "orders", "--json").stdout)
    assert len(space["CHECKS"]["orders"]) == len(listed["checks"])
    assert said("suggest", "orders", "--out", str(file)).returncode == 2, "a file is never overwritten"
    assert said("suggest", "order").returncode == 2
    # The command of old: without a word before the table.
    assert "looked at" in said("orders").stdout
    assert said("table", "orders").stdout == said("orders").stdout


def test_what_was_never_loaded_or_checked_is_told(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "ops.db")) as ops:
        ops.executescript("CREATE TABLE orders (id INTEGER)")
    (tmp_path / "penstock.toml").write_text(SETTINGS)
    (tmp_path / "pipeline.py").write_text(
        "from penstock import Pipeline, sources\n"
        'shop = Pipeline(name="shop", sources=[sources.sql("ops", table="orders", write="replace")])\n'
    )
    sys.modules.pop("pipeline", None)
    with Project(tmp_path) as project:
        with pytest.raises(NotFoundError, match="orders has no accepted rows yet"):
            project.suggest("orders")
        with pytest.raises(NotFoundError, match="No load or version of orders was checked yet"):
            project.report("orders")


def test_drift_against_what_is_usual_names_the_figures(folder: Path) -> None:
    with Project(folder) as project:
        report = project.drift("orders", against="usual")
    # The newest load that stands is the clean one: the bad one was rejected.
    assert report.unusual == ()
    assert not report.drifted
