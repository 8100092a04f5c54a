"""The seeded mistakes in short: some of each family in two tables, and some clean days, by what a user has."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from benchmarks.mistakes.batches import Batches
from benchmarks.mistakes.catalogue import MISTAKES
from benchmarks.mistakes.suggested import checks_and_drift
from benchmarks.mistakes.tables import FLEET, WEATHER

SEED = 1
CLEAN_DAYS = (0, 29)
EACH = 9
"""Of the mistakes that a table has a place for, one in so many is made."""


@pytest.fixture(scope="module")
def batches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Batches]:
    made = Batches(tmp_path_factory.mktemp("batches"), (WEATHER, FLEET))
    yield made
    made.close()


@pytest.mark.parametrize("table", [WEATHER.name, pytest.param(FLEET.name, marks=pytest.mark.slow)])
def test_clean_days_pass_and_mistakes_do_not(batches: Batches, table: str) -> None:
    for place in CLEAN_DAYS:
        day = batches.judged(table)[place]
        assert checks_and_drift(batches.before(day), day) == [], f"false alarm on {day.day}"
    day = batches.drawn(table, SEED)
    clean = set(checks_and_drift(batches.before(day), day))
    made = [mistake for mistake in MISTAKES if batches.applies(mistake, day)][::EACH]
    missed = []
    for mistake in made:
        hurt = batches.hurt(day, mistake, SEED)
        if not set(checks_and_drift(batches.before(day), hurt)) - clean:
            missed.append(mistake.name)
        hurt.file.unlink()
    assert len(made) >= 8
    assert len(missed) <= len(made) // 10, missed
