"""Real lake files in a real folder, checked by a real engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lake_bench import Bench

from penstock.stores.engine import LocalEngine


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEngine]:
    engine = LocalEngine(threads=2, spill=str(tmp_path_factory.mktemp("spill")))
    yield engine
    engine.close()


@pytest.fixture
def bench(tmp_path: Path, engine: LocalEngine) -> Iterator[Bench]:
    with engine.session() as connection:
        yield Bench(tmp_path, connection)


@pytest.fixture
def fresh_bench(tmp_path_factory: pytest.TempPathFactory, engine: LocalEngine) -> Iterator[Callable[[], Bench]]:
    """Return a maker of benches, for tests that need many."""
    with engine.session() as connection:
        yield lambda: Bench(tmp_path_factory.mktemp("bench"), connection)
