"""Figures outside of their own range: what lies in a gap between values is told from what has never been."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from functools import cache

import duckdb
import pyarrow as pa
import pytest

from penstock.model.entries import Column
from penstock.monitor.usual import unusual
from penstock.profiles.profile import TableProfile
from penstock.profiles.ranges import reach
from penstock.validate.measuring import profiled
from penstock.validate.rows import opened

ROWS = 200
HOURS = 24
SOME_HIGH = (0, 0, 0.1, 0, 0.05, 0, 0.2, 0, 0.1, 0.45, 0, 0.05, 0.3, 0, 0.1, 0.2)
QUANTILES = {"quantile 0.25", "quantile 0.5", "quantile 0.75"}


@cache
def session() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"threads": 1})


def load(values: Sequence[float]) -> TableProfile:
    """Return the profile of a load of one column."""
    connection = session()
    connection.register("looked", pa.table({"value": values}))
    return profiled(opened(connection, "t", "looked", (Column(name="value", type="DOUBLE"),), (), ()), ())


def figures(before: Sequence[TableProfile], newest: TableProfile) -> set[str]:
    return {found.figure for found in unusual(before, newest)}


def blades(seed: int, turned: float, *, by: float = 45.0) -> TableProfile:
    """Return the profile of a load in which a share of the values lies far from the others."""
    dice = random.Random(seed)
    return load([(by if place < turned * ROWS else 0.0) + dice.gauss(0, 0.5) for place in range(ROWS)])


def clouds(seed: int, high: float, *, times: float = 1.0) -> TableProfile:
    """Return the profile of a day with low clouds and a share of high ones, above zero and with a long tail."""
    dice = random.Random(seed)
    heights = [(14_000, 0.3) if hour < high * HOURS else (700, 0.5) for hour in range(HOURS)]
    return load([times * height * math.exp(dice.gauss(0, spread)) for height, spread in heights])


def test_a_quantile_that_leaps_over_a_gap_is_not_unusual_where_its_neighbour_did() -> None:
    before = [blades(load, 0.07 * (load % 11)) for load in range(40)]
    # Up to 70 % have been turned; now a few more are, and a quarter lies on the other side of the gap.
    assert "quantile 0.25" not in figures(before, blades(77, 0.78))
    assert "quantile 0.25" in figures(before, blades(78, 0.78, by=120.0))


def test_a_quantile_follows_a_share_of_values_that_comes_in_dribs_and_may_come_whole() -> None:
    before = [clouds(day, SOME_HIGH[day % len(SOME_HIGH)]) for day in range(48)]
    # No day had more than 45 % of high clouds, but the share of them comes from nothing in ever longer steps.
    assert not figures(before, clouds(77, 1.0)) & QUANTILES
    # Nothing was ever as high as these, whatever the share.
    assert figures(before, clouds(78, 1.0, times=3.3)) & QUANTILES
    assert figures(before, clouds(79, 0.0, times=20.0)) & QUANTILES


def test_a_share_that_ends_at_a_wall_does_not_lie_far_beyond_it() -> None:
    before = [clouds(day, 0.4 + 0.05 * (day % 3)) for day in range(48)]
    # Half of the values were always low ones, as the nights are dark: none of them is not reached by any tail.
    assert "quantile 0.25" in figures(before, clouds(80, 1.0))


def test_a_tail_reaches_further_than_a_wall_of_the_same_place() -> None:
    dribs = reach([0.0] * 30 + [-0.1, -0.2, -0.3, -0.4, -0.5, -0.6, -0.7, -0.8, -0.9, -1.0], chance=0.001)
    wall = reach([0.0] * 20 + [-1.0] * 20, chance=0.001, step=0.1)
    # The mean excess is 0.55, and a quarter of the figures lies in the tail.
    assert dribs.low == pytest.approx(-0.55 * math.log(0.25 / 0.001))
    assert dribs.high == 0.0
    assert (wall.low, wall.high) == (-1.1, 0.1)


def test_numbers_that_name_a_row_are_not_judged_by_how_large_they_are() -> None:
    def numbered(start: int, step: int, few: int = 10**9) -> TableProfile:
        connection = session()
        numbers = pa.array([(start + step * place) % few for place in range(20)], pa.int64())
        connection.register("looked", pa.table({"value": numbers}))
        return profiled(opened(connection, "t", "looked", (Column(name="value", type="BIGINT"),), (), ()), ())

    before = [numbered(1_000 * load + load % 7, 3 + load % 2) for load in range(40)]
    assert not figures(before, numbered(40_000, 47))
    assert "different" in figures(before, numbered(40_000, 0))
    # Of a count, whose values come again, the mean is one of its figures.
    counted = [numbered(load % 7, 3 + load % 2, 100) for load in range(40)]
    assert "mean" in figures(counted, numbered(3, 47, 1_000))


def test_the_mean_of_what_never_is_below_zero_grows_by_factors() -> None:
    def shared(day: int, times: float = 1.0, less: float = 0.0) -> TableProfile:
        dice = random.Random(day)
        scale = times * 10 ** ((day * 7 % 11) / 10)
        return load([scale * dice.uniform(1, 2) - less for _ in range(ROWS)])

    before = [shared(day) for day in range(40)]
    assert "mean" not in figures(before, shared(41, times=60.0))
    assert "mean" in figures(before, shared(41, times=3_000.0))
    assert "mean" in figures([shared(day, less=1_000.0) for day in range(40)], shared(41, times=60.0, less=1_000.0))
