"""Drift between profiles of real rows: what shifted is found, what did not is not."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from penstock.model.entries import Column
from penstock.monitor.drift import DriftReport, Limits, compare
from penstock.profiles.profile import TableProfile
from penstock.validate.measuring import profiled
from penstock.validate.rows import opened

Draw = Callable[[random.Random], object]
COLUMNS: dict[str, Draw] = {
    "gauss": lambda draw: draw.gauss(10, 2),
    "heavy": lambda draw: draw.paretovariate(1.5),
    "count": lambda draw: draw.randrange(7),
    "kind": lambda draw: draw.choices(["a", "b", "c", "d"], [70, 20, 9, 1])[0],
    "rare": lambda draw: f"v{min(int(draw.expovariate(0.1)), 90)}",
    "text": lambda draw: "x" * draw.randrange(3, 30) + str(draw.random()),
    "flag": lambda draw: draw.random() < 0.3,
    "some": lambda draw: None if draw.random() < 0.2 else draw.random(),
}


def profile(rows: int, seed: int, columns: dict[str, Draw] = COLUMNS) -> TableProfile:
    draw = random.Random(seed)
    table = pa.table({name: [one(draw) for _ in range(rows)] for name, one in columns.items()})
    with duckdb.connect() as connection:
        connection.register("looked", table)
        types = connection.execute("DESCRIBE looked").fetchall()
        listed = tuple(Column(name=name, type=type_) for name, type_, *_ in types)
        return profiled(opened(connection, "t", "looked", listed, (), ()), ())


def drift(before: TableProfile, now: TableProfile, limits: Limits | None = None) -> DriftReport:
    return compare(before, now, limits or Limits(), table="t", names=("before", "now"))


def found(report: DriftReport) -> set[str]:
    return {column.column for column in report.columns if column.drifted}


@pytest.mark.parametrize("size", [30, 300, 5_000])
def test_samples_of_one_distribution_do_not_drift(size: int) -> None:
    reference = profile(6_000, 0)
    alarms = [found(drift(reference, profile(size, seed))) for seed in range(1, 16)]
    assert alarms == [set()] * 15


SHIFTS: dict[str, tuple[str, Draw]] = {
    "mean": ("gauss", lambda draw: draw.gauss(11.5, 2)),
    "spread": ("gauss", lambda draw: draw.gauss(10, 4)),
    "unit": ("heavy", lambda draw: 2.54 * draw.paretovariate(1.5)),
    "stuck": ("heavy", lambda _: 1.25),
    "shares": ("kind", lambda draw: draw.choices(["a", "b", "c", "d"], [45, 45, 9, 1])[0]),
    "renamed": ("kind", lambda draw: draw.choices(["a", "B", "c", "d"], [70, 20, 9, 1])[0]),
    "nulls": ("some", lambda draw: None if draw.random() < 0.4 else draw.random()),
    "filled": ("some", lambda draw: 0.0 if draw.random() < 0.2 else draw.random()),
    "length": ("text", lambda draw: str(draw.random())),
    "flipped": ("flag", lambda draw: draw.random() < 0.7),
}


@pytest.mark.parametrize("shift", SHIFTS)
def test_a_shift_is_found_and_nothing_else(shift: str) -> None:
    column, shifted = SHIFTS[shift]
    report = drift(profile(6_000, 0), profile(2_000, 1, {**COLUMNS, column: shifted}))
    assert found(report) == {column}
    assert report.drifted


def test_what_came_and_went_is_told() -> None:
    before = profile(100, 0, {"a": lambda draw: draw.random(), "b": lambda draw: draw.random(), "c": lambda _: 1})
    now = profile(400, 1, {"a": lambda draw: draw.random(), "c": lambda _: "1", "d": lambda _: 1})
    report = drift(before, now, Limits(growth=2))
    assert report.schema == ("b is gone", "c is VARCHAR, it was BIGINT", "d is new")
    assert report.volume == "400 rows, where the reference has 100"


def test_names_of_rows_and_moments_are_not_compared() -> None:
    numbers = iter(range(10**6))
    columns: dict[str, Draw] = {"id": lambda _: next(numbers)}
    assert not drift(profile(1_000, 0, columns), profile(1_000, 0, columns)).drifted


def test_a_profile_without_rows_has_nothing_to_compare(tmp_path: Path) -> None:
    assert not drift(profile(100, 0), TableProfile(0, {})).columns
    assert not drift(TableProfile(), TableProfile()).drifted
