"""Sketches: merged ones equal those of all values at once, and both stay within their stated errors."""

from __future__ import annotations

import hashlib
import math
import statistics
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import DataError
from penstock.profiles.distinct import BITS, BUCKETS, DistinctSketch
from penstock.profiles.frequent import FrequentValues
from penstock.profiles.histogram import Histogram, common_edges
from penstock.profiles.moments import Moments
from penstock.profiles.profile import ColumnProfile, TableProfile, merged

finite = st.floats(-1e6, 1e6, allow_nan=False)


def moments(values: list[float]) -> Moments:
    mean = statistics.fmean(values)
    powers = [sum((value - mean) ** power for value in values) for power in (2, 3, 4)]
    return Moments(len(values), mean, *powers, min(values), max(values))


def sketch(values: list[int], name: str = "sha") -> DistinctSketch:
    minima: dict[int, int] = {}
    for value in values:
        hashed = int.from_bytes(hashlib.sha256(str(value).encode()).digest()[:8], "little")
        bucket, rest = hashed & (BUCKETS - 1), hashed >> BITS
        minima[bucket] = min(minima.get(bucket, rest), rest)
    return DistinctSketch.of_minima(minima, name)


def histogram(values: list[float], k: int) -> Histogram:
    return Histogram.of((k, int(value // math.ldexp(1.0, k)), 1) for value in values)


@given(st.lists(finite, min_size=1, max_size=40), st.lists(finite, min_size=1, max_size=40))
def test_moments_merge(left: list[float], right: list[float]) -> None:
    both, whole = moments(left).merge(moments(right)), moments(left + right)
    scale = max(1.0, *map(abs, left + right))
    assert (both.count, both.least, both.greatest) == (whole.count, whole.least, whole.greatest)
    for name, power in (("mean", 1), ("m2", 2), ("m3", 3), ("m4", 4)):
        near = 1e-9 * scale**power * whole.count
        assert getattr(both, name) == pytest.approx(getattr(whole, name), rel=1e-9, abs=near)


@pytest.mark.parametrize("many", [0, 1, 50, 1_000, 5_000, 60_000])
def test_distinct_values_are_counted_within_four_errors(many: int) -> None:
    found = sketch(list(range(many))).estimate()
    assert abs(found - many) <= 4 * 1.04 / math.sqrt(BUCKETS) * many


def test_distinct_sketches_merge_exactly() -> None:
    assert sketch([*range(500)]).merge(sketch([*range(300, 900)])) == sketch([*range(900)])
    assert sketch([1]).merge(sketch([1], "another")) is None


@given(st.lists(finite, max_size=60), st.lists(finite, max_size=60), st.integers(-3, 12), st.integers(-3, 12))
def test_histograms_merge_to_the_coarser_bins(left: list[float], right: list[float], one: int, two: int) -> None:
    both = histogram(left, one).merge(histogram(right, two))
    assert both.total == len(left) + len(right)
    intervals = both.intervals()
    assert all(high <= low for (_, high, _), (low, _, _) in pairwise(intervals))
    for low, high, count in intervals:
        assert count == sum(low <= value < high for value in left + right)
    assert both == histogram(right, two).merge(histogram(left, one))


@settings(max_examples=30)
@given(st.lists(st.floats(0, 1000), min_size=1, max_size=200), st.floats(0, 1))
def test_quantiles_lie_within_their_bin(values: list[float], share: float) -> None:
    found = histogram(values, 2)
    at = found.quantile(share)
    assert sum(value < at - 4 for value in values) <= share * len(values) + 1e-6
    assert sum(value <= at + 4 for value in values) >= share * len(values) - 1e-6
    edges = [100.0, 250.0, 900.0]
    assert sum(found.onto(edges)) == pytest.approx(len(values))


def test_many_bins_become_fewer_and_wider() -> None:
    found = histogram([float(value) for value in range(5_000)], 0)
    assert len(found.bins) <= 512
    assert found.total == 5_000
    assert common_edges([found])[:2] == [0.0, 16.0]


def test_frequent_values_stay_complete_as_long_as_they_are_few() -> None:
    few = FrequentValues({"a": 2, "b": 1}).merge(FrequentValues({"b": 5}))
    assert few == FrequentValues({"b": 6, "a": 2})
    assert few.entropy() == pytest.approx(0.811278, abs=1e-6)
    many = FrequentValues({str(number): 1 for number in range(200)})
    more = many.merge(FrequentValues({str(number): 2 for number in range(150, 400)}))
    assert (more.complete, len(more.counts), more.counts["150"]) == (False, 32, 3)
    assert math.isnan(more.entropy())


def column(values: list[float], type_: str = "DOUBLE") -> ColumnProfile:
    return ColumnProfile(
        type=type_, rows=len(values) + 1, nulls=1, moments=moments(values), histogram=histogram(values, 0)
    )


def test_days_make_a_month() -> None:
    days = [[float(day), day + 0.5] for day in range(30)]
    month = merged(TableProfile(3, {"x": column(day)}) for day in days)
    assert month.rows == 90
    assert month.columns["x"].nulls == 30
    assert month.columns["x"].histogram == histogram([value for day in days for value in day], 0)
    assert month.columns["x"].moments is not None
    assert month.columns["x"].moments.mean == pytest.approx(14.75)


def test_a_column_that_comes_later_was_null_before() -> None:
    both = TableProfile(3, {"x": column([1.0, 2.0])}).merge(TableProfile(3, {"y": column([3.0, 4.0])}))
    assert (both.columns["x"].nulls, both.columns["y"].nulls, both.columns["y"].null_share) == (4, 4, 4 / 6)
    other = TableProfile(3, {"x": column([1.0, 2.0])}).merge(TableProfile(3, {"x": column([1.0, 2.0], "DATE")}))
    assert other.columns["x"].histogram is None, "values of two types are not compared"


def test_a_profile_is_kept_as_bytes() -> None:
    profile = TableProfile(
        3,
        {
            "x": ColumnProfile(
                type="DOUBLE",
                rows=3,
                nulls=1,
                nans=1,
                distinct=sketch([1, 2]),
                moments=moments([1.0, 2.0]),
                histogram=histogram([1.0, 2.0], -3),
                frequent=FrequentValues({"1.0": 1, "2.0": 1}),
            ),
            "p": ColumnProfile(type="VARCHAR", rows=3, nulls=0, personal=True),
        },
    )
    data = profile.encode()
    assert data == profile.encode()
    assert TableProfile.decode(data, where="a file") == profile
    for broken in (b"", data[:-3], b"{}"):
        with pytest.raises(DataError, match="a file is no profile"):
            TableProfile.decode(broken, where="a file")
