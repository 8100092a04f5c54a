"""What differs between two versions, told apart by the key of the table."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from promote_world import World

from penstock.promote.proposing import Proposing, candidate

Rows = list[tuple[int | None, str]]


def query(rows: Rows) -> str:
    listed = ", ".join(f"({'NULL' if key is None else key}, '{value}')" for key, value in rows)
    return f"SELECT CAST(id AS INTEGER) AS id, value FROM (VALUES {listed}) t(id, value)"


def by_hand(before: Rows, after: Rows) -> tuple[int, int, int]:
    """Count added, removed and changed rows, key by key."""
    more, less = Counter(after) - Counter(before), Counter(before) - Counter(after)
    added = removed = changed = 0
    for key in {key for key, _ in (*more, *less)}:
        new = sum(count for (other, _), count in more.items() if other == key)
        old = sum(count for (other, _), count in less.items() if other == key)
        changed += min(new, old)
        added += new - min(new, old)
        removed += old - min(new, old)
    return added, removed, changed


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_rows_are_told_apart_by_the_key_as_python_tells_them(world: World, seed: int) -> None:
    chance = random.Random(seed)
    keys: list[int | None] = [None, *range(60)]
    before, after = ([(chance.choice(keys), chance.choice("ab")) for _ in range(80)] for _ in range(2))
    world.version("delays", query(before))
    world.promote("delays")
    world.version("delays", query(after))
    asked = Proposing(pipeline="flights", tables=("delays",), created_at=world.clock(), keys={"delays": ("ID",)})
    (change,) = candidate(asked, world.ports()).changes
    assert (change.added, change.removed, change.changed) == by_hand(before, after)
    assert min(change.added, change.removed, change.changed or 0) > 0
    assert change.key == ("id",)


def test_a_key_that_one_side_lacks_is_no_key(world: World) -> None:
    world.version("delays", "SELECT 1 AS id, 2 AS a")
    world.promote("delays")
    world.version("delays", "SELECT 1 AS number, 2 AS a")
    asked = Proposing(pipeline="flights", tables=("delays",), created_at=world.clock(), keys={"delays": ("id",)})
    (change,) = candidate(asked, world.ports()).changes
    assert (change.key, change.changed) == ((), None)
    assert (change.added, change.removed) == (0, 0)
    assert "column id vanishes (was INTEGER)" in change.columns
