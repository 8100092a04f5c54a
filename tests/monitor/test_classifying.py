"""Whether a classifier tells rows apart, where each column by itself looks the same."""

from __future__ import annotations

import random
from collections.abc import Callable

import pyarrow as pa
import pytest

from penstock.monitor.classifying import classify

Row = Callable[[random.Random], dict[str, object]]


def rows(row: Row, many: int, seed: int) -> pa.Table:
    draw = random.Random(seed)
    return pa.Table.from_pylist([row(draw) for _ in range(many)])


def tied(draw: random.Random) -> dict[str, object]:
    x = draw.gauss(0, 1)
    kind = draw.choice("abc")
    return {"x": x, "y": x + draw.gauss(0, 0.3), "kind": kind, "of": kind.upper(), "id": f"row {draw.random()}"}


def untied(draw: random.Random) -> dict[str, object]:
    return {**tied(draw), "y": draw.gauss(0, 1.044)}


def swapped(draw: random.Random) -> dict[str, object]:
    return {**tied(draw), "of": draw.choice("ABC")}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("sizes", [(400, 400), (3_000, 300)])
def test_rows_of_one_kind_cannot_be_told_apart(seed: int, sizes: tuple[int, int]) -> None:
    found = classify(rows(tied, sizes[0], 2 * seed), rows(tied, sizes[1], 2 * seed + 1))
    assert found is not None
    assert (found.drifted, found.rows, found.columns) == (False, sizes, ())


@pytest.mark.parametrize(("row", "columns"), [(untied, {"x", "y"}), (swapped, {"kind", "of"})])
def test_a_tie_that_is_lost_is_found_and_named(row: Row, columns: set[str]) -> None:
    found = classify(rows(tied, 2_000, 1), rows(row, 1_000, 2))
    assert found is not None
    assert found.drifted
    assert {name for name, _ in found.columns[:2]} == columns


def test_nulls_and_new_values_tell_rows_apart() -> None:
    def emptied(draw: random.Random) -> dict[str, object]:
        made = tied(draw)
        return {**made, "x": None if draw.random() < 0.4 else made["x"]}

    def renamed(draw: random.Random) -> dict[str, object]:
        made = tied(draw)
        return {**made, "kind": "d" if made["kind"] == "a" else made["kind"]}

    for row, column in ((emptied, "x"), (renamed, "kind")):
        found = classify(rows(tied, 2_000, 1), rows(row, 2_000, 2))
        assert found is not None
        assert found.drifted
        assert column in dict(found.columns)


def test_nothing_to_tell_by() -> None:
    one, other = (
        pa.table({"id": [f"row {n}" for n in numbers], "at": pa.array(numbers, pa.timestamp("us"))})
        for numbers in (range(100), range(100, 200))
    )
    assert classify(one, other) is None
    assert classify(rows(tied, 20, 1), rows(tied, 2_000, 2)) is None
