"""The commands on a real project: from a CSV file to a release, its rollback, and a mended catalog."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from penstock.cli.templates import copy_template, templates
from penstock.errors import ConfigurationError

Type = Any
ORDERS = "data_in/orders.csv"


def add(project: Path, *rows: str) -> None:
    with (project / ORDERS).open("a") as file:
        file.writelines(f"{row}\n" for row in rows)


def test_the_empty_template_goes_the_whole_way(typed: Type, project: Path) -> None:
    planned = typed("plan")
    assert (planned.code, planned.err) == (0, "")
    assert "extract  orders" in planned.out
    assert not (project / "data").exists() or not list((project / "data").rglob("*.parquet"))

    ran = typed("run")
    assert (ran.code, ran.err) == (0, "")
    assert "5 rows extracted, 1 set aside" in ran.out
    assert typed("run").out.strip().splitlines()[-1].startswith("example run: everything is up to date")

    assert typed("quarantine", "list", "--json").data[0]["rows"] == 1
    shown = typed("quarantine", "show", "orders")
    assert "1 row set aside" in shown.out
    assert "order_id=4" in shown.out
    assert ORDERS in shown.out

    assert [each["kind"] for each in typed("versions", "orders", "--json").data] == ["verdict", "load"]

    found = typed("diff", "--json").data
    assert found["changes"][0]["rows_after"] == 3
    approved = typed("approve", found["id"][:6], "--reason", "it is right", "--json").data
    assert (approved["subject"], approved["by"], approved["reason"]) == (found["id"], "ada", "it is right")
    assert typed("promote", "--json").data["number"] == 1
    assert typed("status", "--json").data["release"] == 1

    add(project, "6,PE,2026-01-06,10.00")
    assert typed("run").code == 0
    typed("approve", typed("diff", "--json").data["id"], "--by", "bob")
    assert typed("promote", "--by", "bob").code == 0
    back = typed("rollback", "--reason", "wrong", "--json").data
    assert (back["number"], back["rollback_to"], back["reason"]) == (3, 1, "wrong")
    assert "release 3" in typed("status").out

    runs = typed("runs", "--json").data
    assert len(runs) == 2
    assert typed("runs", "--id", runs[0]["id"][:24], "--json").data == runs[0]
    assert typed("doctor").out.strip().endswith("all is well.")


def test_a_rejected_load_ends_with_three_and_is_retried(typed: Type, project: Path) -> None:
    assert typed("run").code == 0
    good = (project / ORDERS).read_text()
    add(project, "5,NZ,2026-01-07,1.00")
    said = typed("run")
    assert said.code == 3
    assert "rejected: raw_orders: unique(order_id)" in said.out
    assert "penstock retry" in said.out
    assert typed("status", "--json").data["pipelines"][0]["tables"][0]["rejected"]
    (project / ORDERS).write_text(good + "6,NZ,2026-01-07,1.00\n")
    assert typed("retry").code == 0
    assert typed("status", "--json").data["pipelines"][0]["tables"][0]["rejected"] == []
    nothing = typed("retry")
    assert nothing.code != 0
    assert "no rejected load to retry" in nothing.out + nothing.err


@pytest.mark.parametrize(("word", "rows"), [("accept", 5), ("discard", 4)])
def test_a_rejected_load_is_accepted_or_discarded(typed: Type, project: Path, word: str, rows: int) -> None:
    typed("run")
    good = (project / ORDERS).read_text()
    add(project, "5,NZ,2026-01-07,1.00")
    assert typed("run").code == 3
    load = typed("status", "--json").data["pipelines"][0]["tables"][0]["rejected"][0]
    ended = typed(word, "orders", str(load), "--reason", "the shop says so", "--json").data
    assert (ended["load"], ended["verdict"], ended["reason"]) == (load, f"{word}ed", "the shop says so")
    if word == "discard":
        (project / ORDERS).write_text(good)
    assert typed("run").code == 0
    assert typed("status", "--json").data["pipelines"][0]["tables"][0]["rows"] == rows


def test_checks_are_run_over_all_rows_without_writing(typed: Type, project: Path) -> None:
    pipeline = project / "pipeline.py"
    pipeline.write_text(pipeline.read_text().replace('severity="quarantine"', 'severity="warn"'))
    assert typed("run").code == 0
    files = sorted((project / "data").rglob("*.*"))
    said = typed("check", "orders")
    assert said.code == 0, said.err
    assert "5 rows looked at" in said.out
    assert "passed  unique(order_id)" in said.out
    pipeline.write_text(pipeline.read_text().replace('"warn"', '"error"'))
    rejecting = typed("check", "orders", "--json")
    assert rejecting.code == 3
    assert rejecting.data["report"]["failures"][0]["count"] == 1
    assert sorted((project / "data").rglob("*.*")) == files


def test_a_plan_that_is_kept_is_run_only_while_it_is_true(typed: Type, project: Path) -> None:
    plan = project / "plan.json"
    plan.write_text(typed("plan", "--json").out)
    assert typed("run", "--plan", str(plan)).code == 0
    moved = typed("run", "--plan", str(plan))
    assert moved.code == 5
    assert "has moved since the plan was made" in moved.err


def test_progress_goes_beside_json(typed: Type, project: Path) -> None:
    said = typed("run", "--json")
    assert said.data["state"] == "done"
    assert "extract orders  5 rows" in said.err


def test_a_damaged_catalog_is_named_and_made_anew(typed: Type, project: Path) -> None:
    typed("run")
    before = {command: typed(*command.split(), "--json").data for command in ("status", "runs", "versions orders")}
    catalog = project / ".penstock" / "catalog.db"
    assert catalog.is_file()
    catalog.write_bytes(catalog.read_bytes()[:5000])
    for leftover in ("catalog.db-wal", "catalog.db-shm"):
        catalog.with_name(leftover).unlink(missing_ok=True)
    said = typed("status")
    assert said.code == 3
    assert "penstock doctor --rebuild-catalog" in said.err
    mended = typed("doctor", "--rebuild-catalog")
    assert mended.code == 0
    assert "The damaged catalog is kept as" in mended.out
    after = {command: typed(*command.split(), "--json").data for command in before}
    assert after == before


def test_a_sound_catalog_is_rebuilt_in_place(typed: Type, project: Path) -> None:
    typed("run")
    assert typed("doctor", "--rebuild-catalog", "--json").data["indexed"] > 0
    assert [path.name for path in (project / ".penstock").glob("*damaged*")] == []


def test_the_project_is_named_before_or_after_the_command(
    typed: Type, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert typed("plan", "--project", str(project)).code == 0
    assert typed("--project", str(project), "plan").code == 0
    assert typed("plan").code == 2


def test_ingest_needs_no_project(typed: Type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(sqlite3.connect("ops.db")) as connection, connection:
        connection.execute("CREATE TABLE flights (id INTEGER PRIMARY KEY, origin TEXT)")
        connection.executemany("INSERT INTO flights VALUES (?, ?)", [(1, "JFK"), (2, "EWR")])
    connection.close()
    said = typed("ingest", "sqlite:///ops.db?table=flights", "--to", "w.duckdb")
    assert said.code == 0, said.err
    assert "holds 2 rows" in said.out
    again = typed("ingest", "sqlite:///ops.db?table=flights", "--to", "w.duckdb", "--json")
    assert again.data["rows"] == 2
    assert (tmp_path / "w.lake").is_dir()


def test_scope_needs_no_project(typed: Type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("planes.csv").write_text("tailnum,seats\nN1,100\nN2,200\n")
    said = typed("scope", "planes.csv", "--json")
    assert said.code == 0, said.err
    assert list(said.data[0]["columns"]) == ["tailnum", "seats"]
    assert "seats" in typed("scope", "planes.csv").out


def test_init_leaves_nothing_where_it_fails(typed: Type, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "mine.txt").write_text("mine")
    assert typed("init", str(taken)).code == 2
    assert [path.name for path in tmp_path.rglob("*")] == ["taken", "mine.txt"]
    with pytest.raises(ConfigurationError, match="no template 'full'"):
        copy_template("full", str(tmp_path / "new"))
    assert not (tmp_path / "new").exists()


def test_init_fills_an_empty_folder_and_says_what_comes_next(
    typed: Type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in templates():
        folder = tmp_path / f"a {name}"
        folder.mkdir()
        said = typed("init", f"a {name}", "--template", name, "--json")
        assert said.code == 0, said.err
        assert (folder / "penstock.toml").is_file()
        assert not list(folder.rglob("NEXT"))
        assert f"cd 'a {name}'" in said.data["next"]
        assert said.data["files"] == sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    assert {"empty", "flights"} <= set(templates())
    assert json.loads(typed("init", "deep/er/new", "--json").out)["template"] == "empty"
