"""Figures outside of their own range: what lies in a gap between values is told from what has never been."""

from __future__ import annotations

import random

import duckdb
import pyarrow as pa

from penstock.model.entries import Column
from penstock.monitor.usual import unusual
from penstock.profiles.profile import TableProfile
from penstock.validate.measuring import profiled
from penstock.validate.rows import opened

ROWS = 200


def blades(seed: int, turned: float, *, by: float = 45.0) -> TableProfile:
    """Return the profile of a load in which a share of the values lies far from the others."""
    dice = random.Random(seed)
    values = [(by if place < turned * ROWS else 0.0) + dice.gauss(0, 0.5) for place in range(ROWS)]
    with duckdb.connect() as connection:
        connection.register("looked", pa.table({"blade": values}))
        return profiled(opened(connection, "t", "looked", (Column(name="blade", type="DOUBLE"),), (), ()), ())


def test_a_quantile_that_leaps_over_a_gap_is_not_unusual_where_its_neighbour_did() -> None:
    before = [blades(load, 0.07 * (load % 11)) for load in range(40)]
    # Up to 70 % have been turned; now a few more are, and a quarter lies on the other side of the gap.
    calm = unusual(before, blades(77, 0.78))
    assert "quantile 0.25" not in {found.figure for found in calm}
    beyond = unusual(before, blades(78, 0.78, by=120.0))
    assert "quantile 0.25" in {found.figure for found in beyond}
