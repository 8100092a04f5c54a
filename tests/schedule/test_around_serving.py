"""What stands around the scheduler: alerts, clocks that are set, what people are shown."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from yard import Yard, utc

from penstock import Pipeline
from penstock.catalog.holders import this_process
from penstock.catalog.opening import open_catalog
from penstock.catalog.port import Catalog
from penstock.catalog.schedules import SCHEDULER
from penstock.errors import ConfigurationError, NotFoundError
from penstock.model.firings import Firing, FiringState, ServeSpec, Standing
from penstock.orchestrate.schedule import missing, serving, showing
from penstock.orchestrate.schedule.looking import Look
from penstock.orchestrate.schedule.outcomes import of_process
from penstock.orchestrate.schedule.working import place_of

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
SERVE = ServeSpec()
SPECS = {
    "p": Pipeline(name="p", schedule="@hourly", delay="5m").spec,
    "q": Pipeline(name="q", after="p").spec,
    "loose": Pipeline(name="loose").spec,
}


@pytest.fixture
def catalog(tmp_path: Any) -> Any:
    opened = open_catalog(f"sqlite:///{tmp_path}/catalog.db")
    yield opened
    opened.close()


def watched(catalog: Catalog, settled: datetime) -> None:
    """Leave the state of a scheduler that looked at the moment and is gone."""
    lease = catalog.acquire(SCHEDULER, this_process(), 60)
    for name in ("p", "q"):
        catalog.schedules.register(lease, Standing(pipeline=name, settled=settled))
    catalog.schedules.watch(lease, ["p", "q"], settled)
    catalog.release(lease)


def test_what_is_due_for_longer_than_the_grace_and_has_not_begun_is_missed(catalog: Catalog) -> None:
    assert missing.missed(catalog, SPECS, SERVE, AT) is None
    watched(catalog, AT)
    assert missing.missed(catalog, SPECS, SERVE, AT + timedelta(hours=1, minutes=14)) == ()
    found = missing.missed(catalog, SPECS, SERVE, AT + timedelta(hours=1, minutes=16))
    assert found is not None
    assert [(each.pipeline, each.due) for each in found] == [
        (name, AT + timedelta(hours=1, minutes=5)) for name in ("p", "q")
    ]
    assert found[0].reason == "no scheduler is at work: penstock serve"
    assert "whose run of that time has not begun" in found[1].reason
    showing.pause(catalog, SPECS, "p", "ann")
    later = missing.missed(catalog, SPECS, SERVE, AT + timedelta(hours=3))
    assert later is not None
    assert [each.pipeline for each in later] == ["q"]


def test_what_is_shown_and_asked_for_without_a_scheduler(catalog: Catalog) -> None:
    report = showing.report(catalog, SPECS, SERVE)
    assert [(each.pipeline, each.state) for each in report.pipelines] == [
        ("p", "waiting"),
        ("q", "waiting"),
        ("loose", "unscheduled"),
    ]
    assert report.scheduler == ""
    assert report.pipelines[0].next is not None
    assert report.pipelines[0].next.minute == 5
    assert catalog.schedules.standings() == {}
    asked = showing.ask(catalog, SPECS, "p")
    assert showing.ask(catalog, SPECS, "p") == asked
    showing.resume(catalog, SPECS, "p")
    with pytest.raises(ConfigurationError, match="'loose' has no schedule"):
        showing.pause(catalog, SPECS, "loose", "ann")
    with pytest.raises(ConfigurationError, match="lose"):
        showing.ask(catalog, SPECS, "lose")
    with pytest.raises(ConfigurationError, match="lose"):
        showing.report(catalog, SPECS, SERVE, "lose")


def test_a_clock_that_is_set_is_looked_at_for_a_while_and_a_sleep_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    wall, true = AT, 1000.0
    monkeypatch.setattr(serving, "now", lambda: wall)
    monkeypatch.setattr(serving, "_true", lambda: true)
    clock = serving._Clock()
    assert clock.look() is None
    assert clock.steady
    wall, true = wall + timedelta(hours=9), true + 9 * 3600
    assert clock.look() is None
    assert clock.steady
    for hours in (400 * 24, -400 * 24):
        wall, true = wall + timedelta(hours=hours), true + 1
        jump = clock.look()
        assert jump is not None
        assert round(jump / timedelta(hours=1)) == hours
        assert not clock.steady
    wall, true = wall + timedelta(seconds=61), true + 61
    assert clock.look() is None
    assert clock.steady


def test_a_look_at_alerts_is_a_process_that_tells(yard: Yard) -> None:
    """What was due and did not begin reaches the channel."""
    yard.declare('p = Pipeline(name="p", schedule="@hourly")\n', "p")
    with (yard.folder / "penstock.toml").open("a") as file:
        file.write('[alerts.channels.shelf]\nfolder = "told"\n')
    catalog = open_catalog(f"sqlite:///{yard.folder}/.penstock/catalog.db")
    watched(catalog, utc(time.time() - 3 * 3600))
    catalog.close()
    look = Look(yard.folder)
    look()
    look()
    yard.until(lambda: list((yard.folder / "told").glob("*")), "the alert was told")
    told = "".join(path.read_text() for path in (yard.folder / "told").iterdir())
    assert "missed" in told
    assert "p" in json.loads(told.splitlines()[0]) or "penstock serve" in told
    assert look._process is not None
    look._process.wait(60)
    look.end()


def test_a_firing_that_was_overtaken_or_is_not_there_is_refused(yard: Yard, capsys: Any) -> None:
    from penstock.project import Project

    yard.declare('p = Pipeline(name="p", schedule="@hourly")\n', "p")
    with Project(yard.folder) as project:
        with pytest.raises(NotFoundError, match="no firing"):
            project.fire("2026:1")
        with pytest.raises(ConfigurationError, match="no firing"):
            project.fire("2026")
        catalog = open_catalog(project.config.catalog)
        lease = catalog.acquire(SCHEDULER, this_process(), 60)
        catalog.schedules.register(lease, Standing(pipeline="p", settled=AT))
        firing = Firing(id="1", pipeline="p", after=AT, due=AT, state=FiringState.RUNNING, created_at=AT, attempt=2)
        catalog.schedules.fire(lease, [firing])
        with pytest.raises(Exception, match="overtaken"):
            project.fire("1:1")
        assert project.fire("1:2").pipeline == "p"
        assert catalog.schedules.firing("1").state is FiringState.DONE
        with pytest.raises(Exception, match="overtaken"):
            project.fire("1:2")
        catalog.release(lease)
        catalog.close()


@pytest.mark.parametrize(("code", "exit_code"), [(-9, 137), (-11, 139), (0, 137), (1, 1), (-250, 378), (124, 124)])
def test_how_a_process_ended_that_said_nothing(code: int, exit_code: int) -> None:
    assert of_process(code, "p.log").exit_code == exit_code


def test_a_place_is_an_id_and_an_attempt() -> None:
    assert place_of("2026-11-22T02-43-13.671Z-0835:3") == ("2026-11-22T02-43-13.671Z-0835", 3)
    for text in ("", "x", "x:", ":3", "x:y"):
        with pytest.raises(ConfigurationError):
            place_of(text)
