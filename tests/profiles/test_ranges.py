"""Where a figure is expected after the loads before: what the range holds, and when there is none."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.profiles.ranges import FEWEST, Amounts, Shares, heavy_tailed, usual_most, usual_range

FIGURES = st.lists(st.floats(-1e6, 1e6), min_size=FEWEST, max_size=60)


@settings(deadline=None)
@given(FIGURES)
def test_no_figure_of_the_past_is_outside(figures: list[float]) -> None:
    usual = usual_range(figures)
    assert usual is None or all(figure in usual for figure in figures)


@settings(deadline=None)
@given(FIGURES)
def test_each_figure_would_have_passed_by_the_others(figures: list[float]) -> None:
    """A figure far outside of all others makes the range wide, or is a reason to have none."""
    usual = usual_range(figures)
    if usual is not None:
        ordered = sorted(figures)
        assert usual.high >= ordered[-1] + 0.79 * (ordered[-1] - ordered[0])
        assert usual.low <= ordered[0] - 0.79 * (ordered[-1] - ordered[0])


def test_a_steady_figure_lets_the_next_ones_pass_and_tells_a_shift() -> None:
    draw = random.Random(1)
    for _ in range(50):
        usual = usual_range([draw.gauss(10, 1) for _ in range(40)])
        assert usual is not None
        assert all(draw.gauss(10, 1) in usual for _ in range(30))
        assert 60 not in usual
        assert -40 not in usual


def test_what_runs_away_or_jumps_is_no_steady_figure() -> None:
    assert usual_range([10.0**day for day in range(30)]) is None
    assert usual_range([1.0] * 20 + [2.0] * 20) is None
    assert usual_range([1.0] * 39 + [2.0]) is None


def test_a_constant_figure_is_expected_as_it_was() -> None:
    usual = usual_range([5.0] * 20)
    assert usual is not None
    assert 5.0 in usual
    assert 5.001 not in usual
    roomy = usual_range([5.0] * 20, step=0.5)
    assert roomy is not None
    assert 5.4 in roomy


def test_natural_bounds_hold_and_a_long_tail_gets_room() -> None:
    share = usual_range([0.02 + (day % 7) / 100 for day in range(40)], least=0, greatest=1)
    assert share is not None
    assert (share.low, share.high <= 1) == (0, True)
    tail = usual_range([10 + (day % 5) + (20 if day % 9 == 0 else 0) for day in range(45)])
    assert tail is not None
    assert tail.high - 34 > 10 - tail.low


def test_where_the_line_leaves_what_can_be_the_scale_says_the_limit() -> None:
    shares = [0.3 + (day % 9) / 20 for day in range(40)]
    line, odds = usual_range(shares, least=0, greatest=1), usual_range(shares, least=0, greatest=1, scale=Shares(900))
    assert line is not None
    assert odds is not None
    assert (line.low, line.high) == (0, 1)
    assert 0 < odds.low < 0.1
    assert 0.9 < odds.high < 1
    rows = usual_range([100.0 + 40 * (day % 7) for day in range(40)], least=0, scale=Amounts())
    assert rows is not None
    assert 0 < rows.low < 40


def test_a_tail_is_heavy_if_it_grows_by_factors() -> None:
    draw = random.Random(3)
    light = sum(heavy_tailed([draw.gauss(10, 1) for _ in range(40)]) for _ in range(100))
    heavy = sum(heavy_tailed([draw.paretovariate(0.8) for _ in range(40)]) for _ in range(100))
    assert light <= 10
    assert heavy >= 70
    assert not heavy_tailed([1.0] * 40)
    assert not heavy_tailed([None, 3.0])


def test_too_few_figures_tell_nothing() -> None:
    assert usual_range([1.0] * (FEWEST - 1)) is None
    assert usual_range([1.0] * 20 + [None] * 5) is None
    assert usual_range([float("nan")] * 20) is None
    assert usual_range([1.0] * 10 + [1.5, 1.2] * 8, varied=True) is None


@pytest.mark.parametrize(
    ("shares", "expected"),
    [([], None), ([None], None), ([0.0] * 9, 0.02), ([0.0, 0.03], 0.11), ([0.3], None)],
)
def test_what_is_nearly_nothing_may_triple(shares: list[float | None], expected: float | None) -> None:
    assert usual_most(shares, step=0.02, limit=0.25) == (expected if expected is None else pytest.approx(expected))


def test_a_range_that_is_to_stand_goes_on_with_what_moves() -> None:
    falling = [20 - load / 4 + load % 3 for load in range(40)]
    now, later = usual_range(falling), usual_range(falling, ahead=40)
    assert now is not None
    assert later is not None
    # The middle fell by about 5 in 20 loads.
    assert later.low == pytest.approx(now.low - 10, abs=1)
    assert later.high == pytest.approx(now.high)
