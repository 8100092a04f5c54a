"""Distances and their chances, against scipy on the same bins."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import spatial, stats

from penstock.monitor import distances

counts = st.lists(st.integers(0, 500), min_size=2, max_size=30)


@st.composite
def two(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    left = draw(counts.filter(any))
    right = draw(st.lists(st.integers(0, 500), min_size=len(left), max_size=len(left)).filter(any))
    return left, right


@given(two())
def test_jensen_shannon(pair: tuple[list[int], list[int]]) -> None:
    expected = spatial.distance.jensenshannon(*pair, base=2)
    assert distances.jensen_shannon(*pair) == pytest.approx(0 if math.isnan(expected) else expected, abs=1e-7)


@given(two())
def test_chi_squared(pair: tuple[list[int], list[int]]) -> None:
    table = [[p, q] for p, q in zip(*pair, strict=True) if p or q]
    statistic, freedom, chance = distances.chi_squared(*pair)
    if len(table) < 2:
        assert (statistic, chance) == (0, 1)
        return
    expected = stats.chi2_contingency(list(zip(*table, strict=True)), correction=False)
    assert statistic == pytest.approx(expected.statistic, rel=1e-9, abs=1e-9)
    assert freedom == expected.dof
    assert chance == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-300)


@given(two())
def test_kolmogorov_smirnov(pair: tuple[list[int], list[int]]) -> None:
    left, right = ([place for place, count in enumerate(each) for _ in range(count)] for each in pair)
    statistic, chance = distances.kolmogorov_smirnov(*pair)
    assert statistic == pytest.approx(stats.ks_2samp(left, right, method="asymp").statistic, abs=1e-12)
    n, m = len(left), len(right)
    assert chance == pytest.approx(stats.kstwobign.sf(math.sqrt(n * m / (n + m)) * statistic), rel=1e-6, abs=1e-12)


@given(two())
def test_wasserstein(pair: tuple[list[int], list[int]]) -> None:
    centres = [1.5 * place - 3 for place in range(len(pair[0]))]
    expected = stats.wasserstein_distance(centres, centres, *pair)
    assert distances.wasserstein(*pair, centres) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(st.floats(0.01, 900), st.integers(1, 400))
def test_the_tail_of_chi_squared(statistic: float, freedom: int) -> None:
    assert distances.chi_squared_tail(statistic, freedom) == pytest.approx(stats.chi2.sf(statistic, freedom), rel=1e-6)


@given(st.sampled_from([0.05, 1e-3, 1e-6]), st.integers(1, 200))
def test_the_limit_of_chi_squared(chance: float, freedom: int) -> None:
    assert distances.chi_squared_limit(chance, freedom) == pytest.approx(stats.chi2.isf(chance, freedom), rel=1e-6)


def test_two_shares() -> None:
    # 1.96 standard errors apart: a chance of one in twenty.
    error = math.sqrt(2 * 0.5 * 0.5 / 10_000)
    away = 1.959964 * error / 2
    chance = distances.proportions(5_000 + away * 10_000, 10_000, 5_000 - away * 10_000, 10_000)
    assert chance == pytest.approx(0.05, rel=1e-3)
    assert distances.proportions(0, 10, 0, 10) == 1


def test_the_stability_index_is_that_of_its_definition() -> None:
    assert distances.stability_index([50, 50], [60, 40]) == pytest.approx(0.1 * math.log(1.2) - 0.1 * math.log(0.8))
    assert distances.stability_index([100, 0], [90, 10]) > 0.6
