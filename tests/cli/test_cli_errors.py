"""Whatever goes wrong is one sentence on standard error, with the exit code of its class."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from penstock import errors
from penstock.cli import main as cli
from penstock.cli.main import described

Type = Any
EVERYWHERE = [
    ("plan",), ("run",), ("retry",), ("status",), ("runs",), ("versions", "t"), ("check", "t"), ("quarantine", "list"),
    ("quarantine", "show", "t"), ("diff",), ("approve",), ("reject", "--reason", "r"), ("promote",),
    ("rollback", "--reason", "r"), ("accept", "t", "1", "--reason", "r"), ("discard", "t", "1", "--reason", "r"),
    ("dataset", "build"), ("dataset", "verify", "d"), ("dataset", "list"), ("doctor",),
    ("backfill", "--from", "2013-01-01", "--to", "2013-01-02"),
]  # fmt: skip


@pytest.mark.parametrize("line", EVERYWHERE, ids=" ".join)
def test_every_command_says_where_a_project_is_missing(
    typed: Type, line: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = typed(*line)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("Error: There is no penstock.toml in ")
    assert said.err.count("\n") == 1
    as_json = typed(*line, "--json")
    assert as_json.code == 2
    error = json.loads(as_json.err)["error"]
    assert error["kind"] == "ConfigurationError"
    assert error["exit_code"] == 2
    assert error["remedy"].startswith("penstock init")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (("plna",), "no command 'plna' (penstock)"),
        (("quarantine", "lst"), "Did you mean 'list'?\n"),
        (("plan", "--sumary"), "--summary"),
        (("plan", "a", "b"), "unexpected extra argument"),
        (("versions",), "Missing argument 'TABLE'"),
        (("versions", "t", "--limit", "0"), "--limit"),
        (("versions", "t", "--limit", "many"), "--limit"),
        (("reject",), "Missing option '--reason'"),
        (("accept", "t", "x", "--reason", "r"), "'x'"),
        (("plan", "--interval", "yesterday"), "not a date or time. Got: yesterday"),
        (("plan", "--interval", "2013-02-01/2013-01-01"), "must end after it starts"),
        (("plan", "--from", "2013-01-01"), "--to is missing"),
        (("plan", "--to", "2013-01-01"), "--from is missing"),
        (("plan", "--interval", "2013-01-01", "--from", "2013-01-01"), "say the same twice"),
        (("backfill",), "A backfill needs a range"),
        (("run", "--plan", "nowhere.json"), "The plan nowhere.json cannot be read: No such file"),
        (("run", "--plan", "pipeline.py"), "The plan pipeline.py is not a valid plan"),
        (("init", "x", "--template", "flihgts"), "no template 'flihgts'"),
        (("init", "."), "is not empty. Got: "),
        (("init", "penstock.toml"), "cannot be made in"),
        (("ingest", "x.csv"), "Missing option '--to'"),
        (("plan", "--project", "nowhere"), "There is no such folder"),
        (("plan", "nightly"), "no pipeline 'nightly'"),
    ],
)
def test_a_bad_line_gets_one_sentence_and_exit_code_two(
    typed: Type, project: Path, line: tuple[str, ...], said: str
) -> None:
    answer = typed(*line)
    assert answer.code == 2
    assert answer.out == ""
    assert answer.err.startswith("Error: ")
    assert answer.err.count("\n") == 1
    assert said in answer.err
    assert json.loads(typed(*line, "--json").err)["error"]["message"] in answer.err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.PenstockError("x"), 1),
        (errors.ConfigurationError("x"), 2),
        (errors.MissingExtraError("x", "postgres"), 2),
        (errors.DataError("x"), 3),
        (errors.TransientError("x"), 4),
        (errors.LeaseHeldError("x"), 5),
        (errors.NotFoundError("x"), 6),
        (errors.BugError("x"), 70),
        (ZeroDivisionError("a\nb" * 500), 70),
        (KeyboardInterrupt(), 130),
    ],
)
def test_each_class_of_error_has_its_exit_code(
    typed: Type, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    """Raised where commands are run, so that no command needs to be broken for it."""

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(cli.penstock, "invoke", fail)
    said = typed("status")
    assert said.code == code
    assert said.err.count("\n") == 1
    assert len(said.err) < 600
    assert "Traceback" not in said.err
    if code != 130:
        assert "Traceback" in typed("status", "--debug").err


def test_a_described_error_is_json_and_bounded() -> None:
    error = errors.ConfigurationError("what", value={"a": object()}, valid=["x", "y"], remedy="do")
    data = json.loads(json.dumps(described(error)))
    assert (data["what"], data["valid"], data["remedy"], data["kind"]) == ("what", "x, y", "do", "ConfigurationError")
    assert len(str(described(errors.DataError("what", value="v" * 5000))["value"])) == 200


def test_a_reader_that_goes_away_is_no_error(project: Path) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-m", "penstock", "status"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert writer.stdout is not None
    assert writer.stderr is not None
    writer.stdout.close()
    said = writer.stderr.read().decode()
    writer.stderr.close()
    assert writer.wait() == cli.BROKEN_PIPE
    assert said == ""


def test_interrupting_ends_with_130_and_no_traceback(project: Path) -> None:
    (project / "pipeline.py").write_text("import time\nprint('importing', flush=True)\ntime.sleep(60)\n")
    child = subprocess.Popen(
        [sys.executable, "-m", "penstock", "run"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "importing\n"
    time.sleep(0.1)
    os.kill(child.pid, signal.SIGINT)
    _, said = child.communicate(timeout=30)
    assert child.returncode == 130
    assert said.splitlines()[-1] == "Interrupted."
    assert "Traceback" not in said
