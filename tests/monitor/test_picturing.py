"""Distributions side by side: the shares add up, lie where the values lie, and far values hide nothing."""

from __future__ import annotations

from html import escape

import pytest
from test_drift import Draw, profile

from penstock.cli.pages.drift import page
from penstock.monitor.drift import Limits, compare
from penstock.monitor.picturing import MOST_PARTS, Part, parts
from penstock.profiles.profile import TableProfile

DRAWS: dict[str, Draw] = {
    "moved": lambda draw: draw.gauss(10, 2),
    "far": lambda draw: 1e12 if draw.random() < 0.0005 else draw.gauss(0, 1),
    "many": lambda draw: f"kind {min(int(draw.expovariate(0.1)), 60)}",
    "markup": lambda draw: draw.choice(["<script>alert(1)</script>", "b"]),
    "one": lambda draw: 7.0 if draw else 0.0,
    "endless": lambda draw: draw.choice([float("nan"), float("inf")]),
}


Pictures = tuple[TableProfile, TableProfile, dict[str, tuple[Part, ...]]]


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    before, now = profile(4_000, 1, DRAWS), profile(2_000, 2, DRAWS | {"moved": lambda draw: draw.gauss(18, 2)})
    return before, now, {name: parts(before.columns[name], now.columns[name]) for name in DRAWS}


def test_shares_add_up_and_lie_where_the_values_lie(pictures: Pictures) -> None:
    drawn = pictures[2]
    for name in ("moved", "far", "many", "markup", "one", "endless"):
        for side in ("before", "now"):
            assert sum(getattr(part, side) for part in drawn[name]) == pytest.approx(1.0)
    half = MOST_PARTS // 2
    assert sum(part.before for part in drawn["moved"][:half]) > 0.9
    assert sum(part.now for part in drawn["moved"][:half]) < 0.1
    # One value in two thousand is a thousand million times as great; the others still have parts of their own.
    assert sum(part.now > 0.01 for part in drawn["far"]) > 8
    assert (len(drawn["many"]), drawn["many"][-1].label.endswith(" others")) == (12, True)
    assert [part.before for part in drawn["many"][:-1]] == pytest.approx(
        sorted((part.before for part in drawn["many"][:-1]), reverse=True), abs=0.03
    )


def test_the_page_shows_values_as_text(pictures: Pictures) -> None:
    report = compare(pictures[0], pictures[1], Limits(), table="t", names=("t 1", "t 2"))
    shown = page(report)
    assert "<script" not in shown
    assert escape("<script>alert(1)</script>") in shown
    assert shown.count("<svg") == len(DRAWS)
    assert shown.index("<h3>moved</h3>") < min(shown.index(f"<h3>{name}</h3>") for name in ("far", "many", "one"))
