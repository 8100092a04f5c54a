"""Alerts from end to end: real runs, real servers, a clock that the test sets."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from alerted import DAY, DOWN, HOUR, MONDAY, SHELF, SHOP, SILENT, Clock, place, send, silent, text, told

from penstock import sources
from penstock.errors import ConfigurationError, NotFoundError
from penstock.model.alerts import Missed
from penstock.model.receipts import State
from penstock.orchestrate import alerting
from penstock.project import Project
from servers.postgres import PostgresServer

pytestmark = [pytest.mark.filterwarnings("ignore::DeprecationWarning:apprise"), pytest.mark.usefixtures("patience")]


def test_a_failed_run_is_told_once_and_a_run_that_finds_nothing_new_resolves_it(tmp_path: Path, clock: Clock) -> None:
    place(tmp_path, SHELF, DOWN)
    with Project(tmp_path) as project:
        assert project.run().state is State.DONE
        clock.at += HOUR
        (tmp_path / "down").touch()
        for _ in range(2):
            assert project.run().state is State.FAILED
            clock.at += HOUR
        assert told(tmp_path) == [("opened", "failed:shop")]
        (tmp_path / "down").unlink()
        assert project.run().state is State.UNCHANGED
        assert told(tmp_path)[1:] == [("resolved", "failed:shop")]
        # The catalog knows no later run than the failed one, and yet it is over.
        assert project.alerts.check().open == ()
    assert len(told(tmp_path)) == 2
    assert "The run of pipeline shop failed on Mon 2026-11-16 03:00 UTC at extract orders" in text(tmp_path)
    assert "penstock runs --id" in text(tmp_path)
    assert "Lovelace" not in text(tmp_path)


def test_rejected_loads_and_rows_set_aside_are_told_without_their_values(tmp_path: Path, clock: Clock) -> None:
    place(tmp_path, "\n[alerts]\nquarantine = 0.2\n" + SHELF)
    send(tmp_path, "orders", MONDAY, "1,10", "2,20", "3,777123")
    with Project(tmp_path) as project:
        project.run()
        clock.at += DAY
        send(tmp_path, "orders", clock.at, ",555321")
        assert project.run().state is State.REJECTED
        assert told(tmp_path) == [("opened", "quarantine:orders"), ("opened", "rejected:orders")]
        (aside,) = [alert for alert in project.alerts.report().open if alert.id == "quarantine:orders"]
        assert aside.finding.owners == ("ada",)
        clock.at += HOUR
        project.discard("orders", 3, "a test file", "ada")
        report = project.alerts.check()
        assert [alert.id for alert in report.open] == ["quarantine:orders"]
        assert told(tmp_path)[2:] == [("resolved", "rejected:orders")]
        clock.at += DAY
        send(tmp_path, "orders", clock.at)
        project.run()
        assert told(tmp_path)[3:] == [("resolved", "quarantine:orders")]
    said = text(tmp_path)
    assert "Load 1 of orders set 1 of 3 rows aside by between(price)." in said
    assert "Load 3 of orders was rejected by not_null(id), and waits for a decision." in said
    assert "penstock discard orders 3" in said
    for value in ("777123", "555321"):
        assert value not in "".join(file.read_text() for file in (tmp_path / "told").iterdir())


def test_a_declared_limit_wins_and_what_is_not_new_is_no_news(tmp_path: Path, clock: Clock) -> None:
    place(tmp_path, SHELF, SILENT)
    send(tmp_path, "orders", MONDAY)
    with Project(tmp_path) as project:
        project.run()
        clock.at += 30 * HOUR
        (tmp_path / "orders/empty.csv").write_text("id,price\n")
        project.run()
        assert told(tmp_path) == []
        clock.at += 7 * HOUR
        project.run()
        assert told(tmp_path) == [("opened", "silent:orders")]
        (alert,) = project.alerts.report().open
        assert alert.finding.since == MONDAY
        assert alert.finding.owners == ("ada",)
        assert "It may be silent for 1d12h, as silent_after says." in text(tmp_path)


def test_the_newest_moment_of_a_table_may_be_as_old_as_its_check_says_in_production_too(
    tmp_path: Path, clock: Clock
) -> None:
    paid = """
from penstock import Pipeline, checks, sources, sql
fresh = checks.fresh("day", within="26h", severity="warn", owner="ada")
shop = Pipeline(
    name="shop", approve="automatic", promote=["paid"],
    sources=[sources.files("orders/*.csv", table="orders", write="replace")],
    transforms=[sql("paid", text="SELECT id, day FROM orders")],
    checks={"orders": [fresh], "paid": [fresh]},
)
"""
    place(tmp_path, SHELF, paid)
    file = tmp_path / "orders/1.csv"
    file.write_text("id,day\n1,2026-11-16T01:00:00Z\n")
    with Project(tmp_path) as project:
        project.run()
        project.diff()
        project.approve(reason="first")
        project.promote()
        clock.at += 20 * HOUR
        assert project.alerts.check().open == ()
        file.write_text("id,day\n1,2026-11-16T01:00:00Z\n2,2026-11-16T23:00:00Z\n3,2099-01-01T00:00:00Z\n")
        clock.at += 2 * HOUR
        project.run()
        # Production is still the first release; the row of 2099 counts as of now.
        clock.at += 20 * HOUR
        report = project.alerts.check()
        assert [alert.id for alert in report.open] == ["late:paid:production"]
        assert report.open[0].finding.owners == ("ada",)
        assert "The newest day of paid in production is Mon 2026-11-16 01:00 UTC: 1d19h old." in text(tmp_path)
        clock.at += 10 * HOUR
        assert {alert.id for alert in project.alerts.check().open} == {
            "late:orders",
            "late:paid",
            "late:paid:production",
        }


def test_loads_that_bring_nothing_newer_are_told_though_something_comes(tmp_path: Path, clock: Clock) -> None:
    dated = """
from penstock import Pipeline, sources
shop = Pipeline(name="shop", sources=[sources.files("orders/*.csv", table="orders", event_time="price")])
"""
    place(tmp_path, SHELF, dated)
    with Project(tmp_path) as project:
        for day in range(26):
            send(tmp_path, "orders", clock.at, f"{day},{clock.at - HOUR if day < 22 else MONDAY:%Y-%m-%d %H:%M:%S}")
            clock.at += DAY
            project.run()
            clock.at += timedelta(minutes=1)
        assert told(tmp_path) == [("opened", "late:orders")]
        assert "no newer one has come since" in text(tmp_path)


def test_a_run_that_was_killed_is_told(tmp_path: Path) -> None:
    place(
        tmp_path,
        SHELF,
        "import os, signal\nfrom penstock import Pipeline, sources\n"
        "def die():\n    yield {'id': 1}\n    os.kill(os.getpid(), signal.SIGKILL)\n"
        "shop = Pipeline(name='shop', sources=[sources.python(die, table='orders')])\n",
    )
    done = subprocess.run(
        [sys.executable, "-m", "penstock", "run"], cwd=tmp_path, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == -signal.SIGKILL
    with Project(tmp_path) as project:
        (alert,) = project.alerts.check().open
        assert alert.id == "failed:shop"
        assert "was killed" in alert.finding.said
        (tmp_path / "pipeline.py").write_text(
            "from penstock import Pipeline, sources\n"
            "shop = Pipeline(name='shop', sources=[sources.python([{'id': 1}], table='orders')])\n"
        )
    with Project(tmp_path) as project:
        project.run()
    assert told(tmp_path) == [("opened", "failed:shop"), ("resolved", "failed:shop")]


def test_a_run_at_work_is_not_taken_for_a_killed_one(tmp_path: Path) -> None:
    place(
        tmp_path,
        SHELF,
        "import pathlib, time\nfrom penstock import Pipeline, sources\n"
        "def wait():\n    yield {'id': 1}\n    pathlib.Path('begun').touch()\n"
        "    while not pathlib.Path('go').exists():\n        time.sleep(0.02)\n"
        "shop = Pipeline(name='shop', sources=[sources.python(wait, table='orders')])\n",
    )
    running = subprocess.Popen([sys.executable, "-m", "penstock", "run"], cwd=tmp_path, stdout=subprocess.DEVNULL)
    try:
        while not (tmp_path / "begun").exists():
            assert running.poll() is None
            time.sleep(0.02)
        with Project(tmp_path) as project:
            assert project.alerts.check().open == ()
    finally:
        (tmp_path / "go").touch()
        assert running.wait(60) == 0


def test_a_schedule_tells_what_it_missed_and_a_run_ends_that(tmp_path: Path, clock: Clock) -> None:
    place(tmp_path, SHELF)
    send(tmp_path, "orders", MONDAY)
    with Project(tmp_path) as project:
        specs = tuple(project.pipelines().values())
        missed = Missed(pipeline="shop", due=MONDAY - HOUR, reason="Another run was at work.")
        alerting.look(project._workspace, specs, missed=[missed])
        assert told(tmp_path) == [("opened", "missed:shop")]
        # Whoever looks and knows of no schedule leaves that alone.
        clock.at += HOUR
        assert [alert.id for alert in project.alerts.check().open] == ["missed:shop"]
        project.run()
        assert told(tmp_path)[1:] == [("resolved", "missed:shop")]
        # What was missed before that run is over, whatever the schedule says.
        clock.at += HOUR
        alerting.look(project._workspace, specs, missed=[missed])
    assert len(told(tmp_path)) == 2
    assert "was due on Mon 2026-11-16 01:00 UTC did not begin: Another run was at work." in text(tmp_path)


def test_an_open_alert_is_repeated_after_the_time_that_was_set_and_never_by_default(
    tmp_path: Path, clock: Clock
) -> None:
    with silent(tmp_path, clock, '\n[alerts]\nrepeat = "1d"\n' + SHELF) as project:
        for _ in range(60):
            project.alerts.check()
            clock.at += HOUR
        assert [event for event, _ in told(tmp_path)] == ["opened", "repeated", "repeated"]
        assert "Still open, since Wed 2026-11-18 02:00 UTC:" in text(tmp_path)


def test_what_is_muted_is_listed_and_not_sent(tmp_path: Path, clock: Clock) -> None:
    with silent(tmp_path, clock, '\n[alerts]\nrepeat = "1h"\n' + SHELF) as project:
        project.alerts.check()
        with pytest.raises(NotFoundError, match=r"No alert of this name.*silent:orders"):
            project.alerts.mute("silent:goods", "4h", "no")
        project.alerts.mute("silent:orders", "4h", "they told us", "ada")
        for _ in range(4):
            report = project.alerts.check()
            clock.at += HOUR
        assert len(report.open) == 1
        assert report.loud == ()
        assert told(tmp_path) == [("opened", "silent:orders")]
        project.alerts.check()
        assert told(tmp_path)[1:] == [("repeated", "silent:orders")]
        project.alerts.mute("silent:orders", "1d", "they told us", "ada")
        clock.at += timedelta(minutes=1)
        send(tmp_path, "orders", clock.at)
        project.run()
        # Whoever was told that it began is told that it is over, muted or not.
        assert told(tmp_path)[2:] == [("resolved", "silent:orders")]


def test_with_a_lost_catalog_what_is_open_is_told_once_more(tmp_path: Path, clock: Clock) -> None:
    with silent(tmp_path, clock, SHELF) as project:
        project.alerts.check()
    for file in (tmp_path / ".penstock").glob("catalog.db*"):
        file.unlink()
    clock.at += HOUR
    with Project(tmp_path) as project:
        project.rebuild_catalog()
        for _ in range(3):
            project.alerts.check()
    assert told(tmp_path) == [("opened", "silent:orders")] * 2


@pytest.mark.postgres
def test_alerts_are_kept_in_postgresql_as_well(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, postgres: PostgresServer
) -> None:
    monkeypatch.setenv("PENSTOCK__PROJECT__CATALOG", f"{postgres.url()}?schema=alerted")
    with silent(tmp_path, clock, SHELF) as project:
        assert [alert.id for alert in project.alerts.check().open] == ["silent:orders"]
        project.alerts.mute("silent:orders", "1h", "they told us", "ada")
        assert project.alerts.report().loud == ()
        clock.at += 2 * HOUR
        send(tmp_path, "orders", clock.at)
        project.run()
        assert project.alerts.report().open == ()
    assert told(tmp_path) == [("opened", "silent:orders"), ("resolved", "silent:orders")]


def test_alerts_of_what_is_declared_no_more_are_over(tmp_path: Path, clock: Clock) -> None:
    with silent(tmp_path, clock, SHELF) as project:
        assert len(project.alerts.check().open) == 1
    (tmp_path / "pipeline.py").write_text(SHOP.replace('name="shop"', 'name="other"'))
    clock.at += HOUR
    with Project(tmp_path) as project:
        assert project.alerts.check().open == ()
    assert told(tmp_path)[1:] == [("resolved", "silent:orders")]


def test_the_lake_is_asked_before_a_source_is_said_to_be_silent(tmp_path: Path, clock: Clock) -> None:
    """A load that was committed, and whose run was killed before it was indexed, is news."""
    with silent(tmp_path, clock, SHELF) as project:
        send(tmp_path, "orders", clock.at)
        project.run()
        catalog = project._workspace.catalog
        newest = catalog.entries("raw_orders", limit=1)[0].number
        database: Any = catalog.alerts._database
        with database.writing() as statements:
            statements.rows("DELETE FROM entries WHERE table_name = 'raw_orders' AND number > ?", (newest - 2,))
            statements.rows("DELETE FROM arrivals")
        assert project.alerts.check().open == ()


def test_without_channels_a_run_leaves_alerts_alone_and_a_look_still_finds(tmp_path: Path, clock: Clock) -> None:
    with silent(tmp_path, clock, "") as project:
        project.run()
        assert project.alerts.report().looked == {}
        assert [alert.id for alert in project.alerts.check().open] == ["silent:orders"]
        with pytest.raises(ConfigurationError, match="no channel"):
            project.alerts.test()


def test_a_channel_that_is_not_there_is_named_with_the_nearest(tmp_path: Path, clock: Clock) -> None:
    with silent(tmp_path, clock, SHELF) as project:
        with pytest.raises(ConfigurationError, match=r"shelve.*shelf"):
            project.alerts.test("shelve")
        (state,) = project.alerts.test()
        assert (state.name, state.sent, state.problem) == ("shelf", 1, "")
    assert told(tmp_path) == [("test", "test")]


def test_a_folder_that_cannot_be_written_is_a_problem_and_no_more(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "file").write_text("in the way")
    with silent(tmp_path, clock, '\n[alerts.channels.shelf]\nfolder = "file/told"\n') as project:
        send(tmp_path, "goods", clock.at)
        assert project.run().state is State.DONE
        assert project.alerts.report().channels[0].problem


def test_without_apprise_a_channel_says_what_to_install(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    (tmp_path / ".env").write_text("CHAT=json://127.0.0.1:1/x\n")
    with silent(tmp_path, clock, '\n[alerts.channels.chat]\nurl = "${CHAT}"\n') as project:
        assert "pip install 'penstock[alerts]'" in project.alerts.test()[0].problem


@pytest.mark.parametrize(
    ("limit", "said"),
    [("soon", "silent_after of source 'orders' is no duration. Got: soon"), ("0s", "is zero"), (36, "is no duration")],
)
def test_a_limit_that_is_none_is_told_with_its_source(limit: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        sources.files("orders/*.csv", table="orders", silent_after=limit)
