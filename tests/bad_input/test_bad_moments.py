"""Two at once, and stopped in the middle."""

from __future__ import annotations

import json
import signal
import time

import pytest
from spoiled import ORDERS, Said, Shop

SLOW = """
import pathlib, time

def rows():
    yield {"order_id": 1, "country": "PE", "amount": 2.5}
    pathlib.Path("begun").touch()
    while not pathlib.Path("go").exists():
        time.sleep(0.02)
    yield {"order_id": 2, "country": "NZ", "amount": 2.5}
"""
SLOW_SOURCE = 'sources.python(rows, table="orders", write="replace")'
SLOW_TRANSFORM = """
import pathlib, time

def revenue(orders):
    pathlib.Path("begun").touch()
    while not pathlib.Path("go").exists():
        time.sleep(0.02)
    return orders
"""


def wait_for(shop: Shop, name: str) -> None:
    until = time.monotonic() + 60
    while not (shop.folder / name).exists():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_second_run_is_refused_and_the_first_goes_on(shop: Shop) -> None:
    shop.declare(sources=SLOW_SOURCE, code=SLOW)
    first = shop.spawn("run")
    wait_for(shop, "begun")
    before = shop.tree()
    shop.refused(shop.type("run"), 5, "shop", str(first.pid))
    shop.unchanged(before)
    (shop.folder / "go").touch()
    _, err = first.communicate(timeout=60)
    assert first.returncode == 0, err
    assert shop.type("run").code == 0
    shop.whole()


@pytest.mark.parametrize("where", ["source", "transform"])
def test_an_interrupted_run_leaves_nothing_half_and_is_taken_up(shop: Shop, where: str) -> None:
    if where == "source":
        shop.declare(sources=SLOW_SOURCE, code=SLOW)
    else:
        shop.declare(transforms="revenue", code=SLOW_TRANSFORM)
    run = shop.spawn("run")
    wait_for(shop, "begun")
    run.send_signal(signal.SIGINT)
    time.sleep(0.3)
    if where == "source":
        # The reader of a source is asked for nothing more once it gives the row that it is at.
        (shop.folder / "go").touch()
    out, err = run.communicate(timeout=60)
    shop.kept.append(("refusal", f"{run.returncode}: {err.strip()}"))
    assert run.returncode == 130, (out, err)
    assert err.splitlines()[-1] == "Interrupted."
    assert "Traceback" not in out
    shop.whole()
    (shop.folder / "go").touch()
    last = shop.type("runs", "--json").data[0]
    assert (last["state"], last["error"]) == ("failed", "interrupted")
    assert shop.type("run").code == 0
    assert len(shop.rows("revenue")) >= 2
    shop.whole()


def test_debug_shows_the_traceback_and_the_sentence(shop: Shop) -> None:
    shop.declare(code="1 / 0")
    said = shop.type("run", "--debug")
    assert said.code == 2
    assert "Traceback" in said.err
    assert said.err.strip().splitlines()[-1].startswith("Error: The module pipeline cannot be imported")


def test_a_failed_run_is_told_the_same_way_to_people_and_programs(shop: Shop) -> None:
    shop.write("orders.csv", ORDERS + "4,PE\n" * 9)
    said = shop.type("run", "--json")
    assert said.data["state"] == "failed"
    error = json.loads(said.err.splitlines()[-1])["error"]
    assert error["exit_code"] == said.code == said.data["exit_code"] == 3
    assert error["message"].startswith("extract orders: Line 5 of orders.csv")


def test_two_sources_that_fail_are_both_told_in_one_line(shop: Shop) -> None:
    shop.declare(sources='sources.files("a.csv", table="orders"), sources.files("b.csv", table="people")')
    said: Said = shop.type("run")
    sentence = shop.refused(said, 2, "extract orders", "a.csv", "extract people", "b.csv")
    assert sentence.count("names no file") == 2
