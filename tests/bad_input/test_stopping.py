"""Told to stop: once, a command ends in order; twice, at once. Either way the next run goes on."""

from __future__ import annotations

import signal
import subprocess
import time

import pytest
from spoiled import Shop

from penstock.cli import stopping

ENDLESS = """
import pathlib, time

def rows():
    if pathlib.Path("whole").exists():
        yield {"order_id": 7, "country": "PE", "amount": 2.5}
        return
    number = 0
    while True:
        number += 1
        yield {"order_id": number, "country": "PE", "amount": 2.5}
        if number == 50_000:
            pathlib.Path("begun").touch()
"""
HANGING = """
import pathlib, time

def rows():
    yield {"order_id": 1, "country": "PE", "amount": 2.5}
    pathlib.Path("begun").touch()
    if not pathlib.Path("whole").exists():
        time.sleep(600)
"""
SOURCE = 'sources.python(rows, table="orders", write="replace")'


def begun(shop: Shop) -> subprocess.Popen[str]:
    """Start a run, and wait until its source gives rows."""
    run = shop.spawn("run")
    until = time.monotonic() + 60
    while not (shop.folder / "begun").exists():
        assert time.monotonic() < until
        assert run.poll() is None
        time.sleep(0.02)
    return run


def goes_on(shop: Shop, orders: int) -> None:
    """Assert that the run was marked, and that another one takes its place at once."""
    (shop.folder / "whole").touch()
    assert shop.type("run").code == 0
    ended = {run["state"]: run["error"] for run in shop.type("runs", "--json").data}
    assert ended == {"failed": "interrupted", "done": ""}
    assert len(shop.rows("raw_orders")) == orders
    shop.whole()


@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGINT, 130, "Interrupted."), (signal.SIGTERM, 143, "Terminated.")]
)
def test_a_source_without_end_is_left_at_its_next_rows(
    shop: Shop, number: signal.Signals, code: int, word: str
) -> None:
    shop.declare(sources=SOURCE, code=ENDLESS)
    run = begun(shop)
    run.send_signal(number)
    out, err = run.communicate(timeout=60)
    assert run.returncode == code, (out, err)
    assert err.splitlines()[-1] == word
    assert not list((shop.folder / "data").rglob("*.parquet"))
    goes_on(shop, 1)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_second_ctrl_c_ends_a_source_that_hangs(shop: Shop, number: signal.Signals, code: int) -> None:
    shop.declare(sources=SOURCE, code=HANGING)
    run = begun(shop)
    run.send_signal(number)
    with pytest.raises(subprocess.TimeoutExpired):
        run.wait(stopping.PATIENCE + 1)
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=30)
    assert run.returncode == code
    assert err.splitlines() == [stopping.ENDING.strip(), stopping.AT_ONCE.strip()]
    goes_on(shop, 1)


def test_a_signal_that_was_to_be_ignored_stays_ignored(shop: Shop) -> None:
    """Whoever begins a command with nohup, or in the background of a script, means it."""
    shop.declare(sources=SOURCE, code=HANGING.replace("600", "2"))
    run = shop.spawn("run", preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    until = time.monotonic() + 60
    while not (shop.folder / "begun").exists():
        assert time.monotonic() < until
        time.sleep(0.02)
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=60)
    assert run.returncode == 0, err
    assert len(shop.rows("raw_orders")) == 1


def test_told_while_python_makes_classes_it_ends_with_the_same_code(shop: Shop) -> None:
    """Dataclasses are text that Python runs; an interrupt in there is remembered by Python itself."""
    told = 'exec("import os, signal; os.kill(os.getpid(), signal.SIGTERM)")\n\ndef rows():\n    yield {"order_id": 1}\n'
    shop.declare(sources=SOURCE, code=told)
    run = shop.spawn("plan")
    _, err = run.communicate(timeout=60)
    assert run.returncode == 143, err
    assert err.splitlines()[-1] == "Terminated."
