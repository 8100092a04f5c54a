"""Channels of alerts: who gets what, and what a dead, a slow or a killed sender does."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from alerted import DAY, HOUR, MONDAY, SILENT, Clock, hearing, place, send, silent

from penstock.model.receipts import State
from penstock.orchestrate import alerting
from penstock.project import Project
from servers import mail
from servers.hooks import hook

pytestmark = [pytest.mark.filterwarnings("ignore::DeprecationWarning:apprise"), pytest.mark.usefixtures("patience")]


def test_channels_get_what_they_ask_for(tmp_path: Path, clock: Clock) -> None:
    channels = """
[alerts.channels.shelf]
folder = "told"
kinds = ["quarantine"]
[alerts.channels.mine]
folder = "mine"
owners = ["ada"]
[alerts.channels.bad]
folder = "bad"
urgency = "error"
[alerts.channels.other]
folder = "other"
pipelines = ["billing"]
"""
    place(tmp_path, channels, SILENT)
    send(tmp_path, "orders", MONDAY, "1,10", "2,777")
    with Project(tmp_path) as project:
        project.run()
        clock.at += 2 * DAY
        project.alerts.check()
    got = {
        name: {alert["id"] for file in (tmp_path / name).glob("*") for alert in json.loads(file.read_text())["alerts"]}
        for name in ("told", "mine", "bad", "other")
    }
    assert got == {
        "told": {"quarantine:orders"},
        "mine": {"quarantine:orders", "silent:orders"},
        "bad": {"silent:orders"},
        "other": set(),
    }


def test_a_webhook_gets_the_document_with_its_token_and_key(tmp_path: Path, clock: Clock) -> None:
    with hook() as server:
        channel = f'\n[alerts.channels.hook]\nwebhook = "{server.url}"\ntoken = "${{TOKEN}}"\n'
        (tmp_path / ".env").write_text("TOKEN=t0p-s3cret\n")
        with silent(tmp_path, clock, channel) as project:
            server.status = 503
            report = project.alerts.check()
            assert (report.channels[0].unsent, report.channels[0].problem) == (
                1,
                "webhook to 127.0.0.1: it answered 503",
            )
            assert any("did not go out by hook" in sentence for sentence in project.status().waiting)
            server.status = 200
            clock.at += timedelta(seconds=30)
            assert project.alerts.check().channels[0].unsent == 1
            clock.at += timedelta(minutes=1)
            assert project.alerts.check().channels[0].unsent == 0
            assert project.alerts.check().channels[0].problem == ""
    (refused, first), (taken, second) = server.got
    assert refused["Authorization"] == "Bearer t0p-s3cret"
    # It is the same message, whose key lets a receiver see so.
    assert refused["Idempotency-Key"] == taken["Idempotency-Key"] == second["key"]
    assert first["alerts"][0]["key"] == second["alerts"][0]["key"]
    (alert,) = second["alerts"]
    assert set(alert) == {
        *("event", "key", "id", "kind", "urgency", "subject", "pipeline", "environment", "since", "opened"),
        *("resolved", "said", "usual", "remedy", "owners"),
    }
    assert (alert["event"], alert["id"], second["title"]) == ("opened", "silent:orders", "[shop] silent:orders")


def test_apprise_posts_json_and_its_url_stays_secret(
    tmp_path: Path, clock: Clock, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    with hook() as server:
        (tmp_path / ".env").write_text(
            f"CHAT=json://penstock:pa55w0rd@{server.url.partition('://')[2]}/t0kenOfTheChat\n"
        )
        with silent(tmp_path, clock, '\n[alerts.channels.chat]\nurl = "${CHAT}"\n') as project:
            assert project.alerts.check().channels[0].unsent == 0
            server.status = 500
            (state,) = project.alerts.test("chat")
            assert state.problem == "json: apprise could not deliver it"
            assert "pa55w0rd" not in repr(project.config) + repr(project._workspace)
    assert server.got[0][1]["title"] == "[shop] silent:orders"
    seen = (
        caplog.text + "".join(capsys.readouterr()) + (tmp_path / ".penstock/catalog.db").read_bytes().decode("latin-1")
    )
    assert "pa55w0rd" not in seen
    assert "t0kenOfTheChat" not in seen


def test_a_mail_server_that_is_down_holds_up_no_run_and_gets_its_mail_later(tmp_path: Path, clock: Clock) -> None:
    said: list[str] = []
    with mail.running() as server:
        (tmp_path / ".env").write_text(f"MAIL={server.url}\n")
    # Nobody listens there any more.
    place(tmp_path, '\n[alerts.channels.oncall]\nurl = "${MAIL}"\n', SILENT)
    send(tmp_path, "orders", MONDAY)
    with Project(tmp_path, observer=hearing(said)) as project:
        project.run()
        clock.at += 2 * DAY
        send(tmp_path, "goods", clock.at)
        assert project.run().state is State.DONE
        assert said == ["Channel oncall: mailto: apprise could not deliver it"]
        with mail.running() as server:
            (tmp_path / ".env").write_text(f"MAIL={server.url}\n")
            clock.at += HOUR
            with Project(tmp_path) as again:
                assert again.alerts.check().channels[0].unsent == 0
                send(tmp_path, "orders", clock.at)
                again.run()
        assert [each["Subject"] for each in server.mails] == ["[shop] silent:orders", "[shop] silent:orders (resolved)"]


def test_what_is_over_before_it_could_be_sent_is_told_all_the_same(tmp_path: Path, clock: Clock) -> None:
    with hook() as server:
        server.status = 500
        with silent(tmp_path, clock, f'\n[alerts.channels.hook]\nwebhook = "{server.url}"\n') as project:
            project.alerts.check()
            clock.at += HOUR
            send(tmp_path, "orders", clock.at)
            project.run()
            server.status = 200
            clock.at += HOUR
            project.alerts.check()
    document = server.got[-1][1]
    assert [alert["event"] for alert in document["alerts"]] == ["resolved"]
    assert "could not be sent before" in document["text"]


def test_a_channel_that_never_answers_holds_up_no_run(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PENSTOCK__ALERTS__WAIT")
    with hook() as server:
        server.hold.clear()
        channel = f'\n[alerts]\nwait = 0.2\n[alerts.channels.hook]\nwebhook = "{server.url}"\n'
        with silent(tmp_path, clock, channel) as project:
            send(tmp_path, "goods", clock.at)
            ended = threading.Event()

            def run() -> None:
                assert project.run().state is State.DONE
                ended.set()

            threading.Thread(target=run, daemon=True).start()
            # The server holds its answer until this test lets it go, so the run ended without it.
            assert ended.wait(60)
            assert server.got == []
            assert project.alerts.report().channels[0].unsent == 1
            # Who looks meanwhile does not send it as well.
            clock.at += HOUR
            alerting.look(project._workspace, tuple(project.pipelines().values()), wait=0.2)
            server.hold.set()
            deadline = time.monotonic() + 60
            while project.alerts.report().channels[0].unsent:
                assert time.monotonic() < deadline
                time.sleep(0.02)
        assert len(server.got) == 1


LOOKING = """
import sys, time
from penstock.project import Project
with Project(sys.argv[1]) as project:
    project.pipelines()
    project.alerts.report()
    print("ready", flush=True)
    sys.stdin.readline()
    project.alerts.check()
"""


def test_processes_that_look_at_the_same_time_send_one_message(tmp_path: Path, clock: Clock) -> None:
    with hook() as server:
        with silent(tmp_path, clock, f'\n[alerts.channels.hook]\nwebhook = "{server.url}"\n') as project:
            # They go by the real clock, by which orders came long ago or never; the limit is said anew.
            (tmp_path / "pipeline.py").write_text(SILENT.replace("36h", "1ms"))
            del project
        command = [sys.executable, "-c", LOOKING, str(tmp_path)]
        looking = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)
        ]
        for process in looking:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in looking:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        assert [process.wait(60) for process in looking] == [0] * 4
        for process in looking:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.close()
            process.stdout.close()
    assert [alert["id"] for _, document in server.got for alert in document["alerts"]] == ["silent:orders"]


KILLED = """
import os, signal, sys
from penstock.catalog.alerts import AlertBook
from penstock.project import Project
def die(*arguments, **named):
    os.kill(os.getpid(), signal.SIGKILL)
setattr(AlertBook, sys.argv[2], die)
with Project(sys.argv[1]) as project:
    project.alerts.check()
"""


@pytest.mark.parametrize(("step", "copies"), [("settle", 1), ("claim", 1), ("finish", 2)])
def test_a_kill_loses_no_message_and_doubles_it_only_between_sending_and_noting(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, step: str, copies: int
) -> None:
    with hook() as server:
        with silent(tmp_path, clock, f'\n[alerts.channels.hook]\nwebhook = "{server.url}"\n') as project:
            (tmp_path / "pipeline.py").write_text(SILENT.replace("36h", "1ms"))
            del project
        done = subprocess.run(
            [sys.executable, "-c", KILLED, str(tmp_path), step], capture_output=True, timeout=60, check=False
        )
        assert done.returncode == -signal.SIGKILL, done.stderr
        monkeypatch.undo()
        monkeypatch.setenv("PENSTOCK__ALERTS__WAIT", "60")
        with Project(tmp_path) as project:
            project.alerts.check()
            if step == "finish":
                # As long as its sender may be at work, nobody else sends it.
                assert len(server.got) == 1
                database: Any = project._workspace.catalog.alerts._database
                later = database.now() + round(alerting.CLAIM_SECONDS * 1e6) + 1
                monkeypatch.setattr(database, "now", lambda: later)
                project.alerts.check()
            project.alerts.check()
    assert len(server.got) == copies
    keys = {document["alerts"][0]["key"] for _, document in server.got}
    assert len(keys) == 1
