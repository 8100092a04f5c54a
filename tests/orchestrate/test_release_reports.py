"""The report on a candidate, automatic approval inside limits, and the announcement of releases."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from shop_runs import SETTINGS

from penstock.errors import ConfigurationError, ConflictError
from penstock.model.events import Event, Waiting
from penstock.project import Project
from servers.scripted_http import Answer, Call, scripted

PIPELINE = """
from penstock import Pipeline, checks, sources, sql
shop = Pipeline("shop",
    sources=[sources.files("orders.csv", table="orders", write="replace")],
    transforms=[sql("revenue.sql")],
    checks={"revenue": [checks.unique("country"), checks.between("amount", 0, 1000, severity="warn")]},
    profiled=["revenue"], approve="automatic", promote=["revenue"])
"""
HEADER = "country,amount\n"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "penstock.toml").write_text(SETTINGS)
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    (tmp_path / "revenue.sql").write_text("SELECT country, amount FROM orders")
    return tmp_path


def settings(shop: Path, more: str) -> None:
    (shop / "penstock.toml").write_text(SETTINGS + more)


def run(shop: Path, rows: dict[str, int]) -> Project:
    (shop / "orders.csv").write_text(HEADER + "".join(f"{name},{amount}\n" for name, amount in rows.items()))
    project = Project(shop)
    assert project.run("shop").state.value == "done"
    return project


def many(rows: int = 100, **other: int) -> dict[str, int]:
    return {**{f"c{i}": i % 20 for i in range(rows)}, **other}


def test_the_report_names_keys_checks_drift_cost_and_lineage(shop: Path) -> None:
    with run(shop, many()) as project:
        (first,) = project.diff().changes
        assert (first.passed, first.warned, first.drift) == (2, (), ())
        project.promote()
    changed = {f"c{i}": 5000 + i % 20 for i in range(90)} | {"c99": 19, "new": 7}
    with run(shop, changed) as project:
        (change,) = project.diff().changes
    assert (change.added, change.changed, change.removed) == (1, 90, 9)
    assert change.key == ("country",)
    assert change.passed == 1
    assert [sentence.partition("'")[2].partition("'")[0] for sentence in change.warned] == ["between(amount)"]
    assert change.drift[0].startswith("amount drifted: ")
    assert change.bytes > 0
    assert change.seconds is not None
    assert change.seconds > 0
    assert [(made.table, made.number) for made in change.inputs] == [("raw_orders", 3)]


@pytest.mark.parametrize(
    ("limit", "rows", "said"),
    [
        ("added = 0.05", many(110), "10 of 100 rows of revenue would be added, and the limit is 5.0%"),
        ("removed = 0.05", many(90), "10 of 100 rows of revenue would be removed, and the limit is 5.0%"),
        ("changed = 0.01", many(c1=2, c2=7), "2 of 100 rows of revenue would be changed, and the limit is 1.0%"),
        ("figures = 0.1", many(c99=999), "amount of revenue goes from 9.5 to 19.3, and the limit is 10.0%"),
        ("warnings = false", many(c99=9999), "warned in version 2 of revenue"),
        ("drift = false", {f"c{i}": 500 + i % 20 for i in range(100)}, "revenue: amount drifted"),
    ],
)
def test_a_candidate_beyond_a_limit_waits_for_a_person(shop: Path, limit: str, rows: dict[str, int], said: str) -> None:
    settings(shop, f"[automatic]\n{limit}\n")
    with run(shop, many()) as project:
        assert project.promote(project.diff().id).number == 1
    with run(shop, rows) as project:
        found = project.diff()
        with pytest.raises(ConflictError, match="is not approved") as refused:
            project.promote(found.id)
        assert said in str(refused.value)
        project.approve(found.id, by="ada")
        assert project.promote(found.id).number == 2


def test_columns_beyond_the_limits(shop: Path) -> None:
    settings(shop, "[automatic]\ncolumns = false\n")
    with run(shop, many()) as project, pytest.raises(ConflictError, match="is new, with 2 columns"):
        project.promote(project.diff().id)


def test_inside_the_limits_nobody_is_asked(shop: Path) -> None:
    settings(shop, "[automatic]\nadded = 0.05\nremoved = 0\nchanged = 0.01\nfigures = 0.1\ndrift = false\n")
    with run(shop, many()) as project:
        project.promote(project.diff().id)
    with run(shop, many(104, c1=2)) as project:
        assert project.promote(project.diff().id).number == 2


def announced(shop: Path) -> dict[str, Any]:
    return {path.name: json.loads(path.read_text()) for path in sorted((shop / "told").glob("*"))}


def test_a_release_is_announced_by_a_file_and_a_webhook_once(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Call] = []
    monkeypatch.setenv("DEPLOY_TOKEN", "open-sesame")

    def script(call: Call) -> Answer:
        calls.append(call)
        return Answer(status=202)

    with scripted(script) as server:
        server.RequestHandlerClass.do_POST = server.RequestHandlerClass.do_GET  # type: ignore[attr-defined]
        url = f'webhook = "{server.url}/hook?key=secret"\ntoken = "${{DEPLOY_TOKEN}}"\n'
        settings(shop, f'[announce]\nfolder = "told"\n{url}')
        with run(shop, many()) as project:
            made = project.promote(project.diff().id)
            project.diff()
            assert "open-sesame" not in repr(project._workspace)
            assert "key=secret" not in repr(project._workspace)
        with run(shop, many(101)) as project:
            project.promote(project.diff().id)
            project.rollback(reason="wrong")
            assert not project.examine().orphans
    assert list(announced(shop)) == ["release-1.json", "release-2.json", "release-3.json"]
    told = announced(shop)["release-1.json"]
    assert told["tables"] == [{"rows": 100, "table": "revenue", "version": 1}]
    assert (told["key"], told["candidate"], told["by"]) == ("shop-release-1", made.candidate, made.by)
    assert announced(shop)["release-3.json"]["rollback_to"] == 1
    assert [call.headers["idempotency-key"] for call in calls] == [f"shop-release-{number}" for number in (1, 2, 3)]
    assert {call.headers["authorization"] for call in calls} == {"Bearer open-sesame"}


def test_a_webhook_that_fails_or_hangs_hinders_no_promotion_and_is_told_later(shop: Path) -> None:
    wanted: list[str] = []
    stop = threading.Event()

    def script(call: Call) -> Answer:
        wanted.append(call.headers["idempotency-key"])
        if len(wanted) == 1:
            return Answer(status=503)
        if len(wanted) == 2:

            def drops() -> Any:
                while not stop.wait(0.05):
                    yield b"H"

            return Answer(pieces=drops())
        return Answer()

    events: list[Event] = []
    with scripted(script) as server:
        server.RequestHandlerClass.do_POST = server.RequestHandlerClass.do_GET  # type: ignore[attr-defined]
        settings(shop, f'[announce]\nwebhook = "{server.url}/hook"\ntimeout = 0.3\n')
        with run(shop, many()) as project:
            project.promote(project.diff().id)
        with run(shop, many(101)) as project:
            begun = time.monotonic()
            project.diff()
            assert time.monotonic() - begun < 30
            project.promote(project.candidate().id)
        stop.set()
        assert Project(shop, observer=events.append).diff().against == 2
    # The first was refused, then it hung, and was told with the next promotion.
    assert wanted == ["shop-release-1", "shop-release-1", "shop-release-1", "shop-release-2"]
    assert not [event for event in events if isinstance(event, Waiting)]


def test_a_crash_after_the_commit_point_is_announced_by_the_next_command(shop: Path) -> None:
    settings(shop, '[announce]\nfolder = "told"\n')
    with run(shop, many()) as project:
        project.promote(project.diff().id)
    # As a kill between the release and its announcement leaves it.
    (shop / "told/release-1.json").unlink()
    for mark in (shop / "data/staging/lake/_announced").iterdir():
        mark.unlink()
    with Project(shop) as project:
        project.diff()
    assert list(announced(shop)) == ["release-1.json"]


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ('webhook = "deploy.example.com/hook"', "no URL that can be posted to"),
        ('webhook = "file:///etc/passwd"', "no URL that can be posted to"),
        ('webhook = "https://ada:pw@example.com/hook"', "holds a user or a password"),
        ('webhook = "http://example.com/hook"\ntoken = "${DEPLOY_TOKEN}"', "in the clear"),
        ('webhook = "https://example.com/hook"\ntoken = "open-sesame"', "no reference to a variable"),
        ('webhook = "https://example.com/hook"\ntimeout = 0', "announce.timeout"),
        ('hook = "https://example.com/hook"', "webhook"),
    ],
)
def test_what_is_no_announcement_is_told(shop: Path, section: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPLOY_TOKEN", "open-sesame")
    settings(shop, f"[announce]\n{section}\n")
    with pytest.raises(ConfigurationError) as refused:
        Project(shop)
    assert said in str(refused.value)
    assert "open-sesame" not in str(refused.value)
    assert ":pw@" not in str(refused.value)


def test_an_approval_stages_the_candidate_and_a_rejection_takes_it_away(shop: Path) -> None:
    (shop / "pipeline.py").write_text(PIPELINE.replace('approve="automatic", ', ""))
    releases = shop / "data/production/warehouse.releases"
    with run(shop, many()) as project:
        found = project.diff()
        project.approve(found.id)
        assert [path.name for path in releases.iterdir()] == [f"staged-{found.id}.duckdb"]
        assert not (shop / "data/production/warehouse.duckdb").exists()
        project.reject(found.id, "not yet")
        assert not list(releases.iterdir())
        project.approve(found.id)
        assert project.promote(found.id).number == 1
        assert [path.name for path in releases.iterdir()] == ["1.duckdb"]
