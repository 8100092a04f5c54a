"""The profile of the same rows, taken by both engines."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import pytest

from penstock.profiles.moments import Moments
from penstock.profiles.profile import ColumnProfile, TableProfile
from penstock.stores.spark import Spark

FEW_BYTES = 30_000
"""A very small portion of files, of which small tables have several."""


def alike(mine: ColumnProfile, theirs: ColumnProfile) -> None:
    """See to it that two profiles of a column are the same, but for the last digits of sums."""
    for field in fields(ColumnProfile):
        left, right = getattr(mine, field.name), getattr(theirs, field.name)
        if field.name == "moments" and left is not None:
            same_moments(left, right)
        else:
            assert right == left, field.name


def same_moments(mine: Moments, theirs: Moments) -> None:
    assert (theirs.count, theirs.least, theirs.greatest) == (mine.count, mine.least, mine.greatest)
    left, right = asdict(mine), asdict(theirs)
    # Of values that lie alike to both sides the third one is what rounding leaves of large sums.
    limit = 1e-9 * math.sqrt(mine.m2) * math.sqrt(mine.m4)
    assert right.pop("m3") == pytest.approx(left.pop("m3"), abs=limit, nan_ok=True)
    assert right == pytest.approx(left, rel=1e-9, nan_ok=True)


def both_profiles(bench: Any, spark: Spark, **changes: Any) -> TableProfile:
    """Return the profile that DuckDB takes, after seeing to it that Spark takes the same."""
    here = bench.check(sketch_path="_profiles/here.gz", **changes)
    there = bench.check(sketch_path="_profiles/there.gz", **changes, scale_out=spark)
    mine, theirs = (
        TableProfile.decode(bench.objects.get(f"_profiles/{where}.gz"), where=where) for where in ("here", "there")
    )
    assert (theirs.rows, list(theirs.columns)) == (mine.rows, list(mine.columns))
    for name, column in mine.columns.items():
        alike(column, theirs.columns[name])
        same_figures(here.profile[name], there.profile[name], personal=column.personal)
    merged = mine.merge(theirs)
    assert [column.distinct for column in merged.columns.values()] == [each.distinct for each in mine.columns.values()]
    return mine


def same_figures(mine: Mapping[str, Any], theirs: Mapping[str, Any], *, personal: bool) -> None:
    assert mine.keys() == theirs.keys()
    for figure, value in mine.items():
        if personal and figure == "distinct":
            assert theirs[figure] == pytest.approx(value, rel=0.2)
        elif figure in ("mean", "deviation") and not isinstance(value, str):
            assert theirs[figure] == pytest.approx(value, rel=1e-9)
        else:
            assert theirs[figure] == value, figure
