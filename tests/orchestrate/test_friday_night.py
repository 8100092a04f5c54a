"""The story of alerts: a source stops sending on Friday night, and somebody knows before Saturday's training."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alerted import Clock, place, send

from penstock.cli.main import main
from servers import mail

pytestmark = [pytest.mark.filterwarnings("ignore::DeprecationWarning:apprise"), pytest.mark.usefixtures("patience")]
CHANNEL = """
[alerts.channels.oncall]
url = "${ONCALL}"
"""
FIRST = datetime(2026, 10, 19, 1, 30, tzinfo=UTC)
"""A Monday."""
FRIDAY = datetime(2026, 11, 13, 1, 30, tzinfo=UTC)


def penstock(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return int(ended.value.code or 0)


def test_a_source_stops_on_friday_night_and_somebody_knows_before_saturday_s_training(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    with mail.running() as server:
        monkeypatch.setenv("ONCALL", server.url)
        monkeypatch.chdir(tmp_path)
        place(tmp_path, CHANNEL)
        clock = Clock(monkeypatch, FIRST)
        # Nearly four weeks in which orders come each night and goods on weekdays only, a few minutes later or earlier.
        while clock.at < FRIDAY + timedelta(hours=12):
            send(tmp_path, "orders", clock.at)
            if clock.at.weekday() < 5:
                send(tmp_path, "goods", clock.at)
            assert penstock("run") == 0
            assert penstock("alerts", "check") == 0
            clock.at += timedelta(days=1, minutes=(clock.at.day * 7) % 11 - 5)
        assert server.mails == []

        # In Saturday's night nothing comes. The run finds nothing new, and ends well.
        saturday = clock.at
        assert saturday.strftime("%a %H") in ("Sat 01", "Sat 02")
        assert penstock("run") == 0
        assert server.mails == []
        clock.at = saturday.replace(hour=5, minute=0)
        assert penstock("alerts", "check") == 3
        assert penstock("alerts", "check") == 3
        assert penstock("alerts") == 0
        assert len(server.mails) == 1
        assert server.mails[0]["Subject"] == "[shop] silent:orders"
        (told,) = server.texts()
        assert "Source orders of pipeline shop has brought nothing new since Fri 2026-11-13" in told
        assert "Usually something new comes after 23h55m, at this time of the week" in told
        assert "penstock run shop" in told
        assert "goods" not in told

        # On Sunday somebody is told nothing again; on Monday the source is back, and goods come as they do.
        clock.at += timedelta(days=1)
        assert penstock("alerts", "check") == 3
        clock.at = datetime(2026, 11, 16, 1, 31, tzinfo=UTC)
        send(tmp_path, "orders", clock.at)
        send(tmp_path, "goods", clock.at)
        assert penstock("run") == 0
        assert len(server.mails) == 2
        assert server.mails[1]["Subject"] == "[shop] silent:orders (resolved)"
        assert "after 1d20h31m" in server.texts()[1]
        capsys.readouterr()
        assert penstock("alerts", "--json") == 0
        report = json.loads(capsys.readouterr().out)
        assert report["open"] == []
        assert [alert["id"] for alert in report["resolved"]] == ["silent:orders"]
        assert penstock("alerts", "check") == 0
        assert len(server.mails) == 2
    assert mail.PASSWORD not in caplog.text + capsys.readouterr().out
