from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from promote_world import World, small_engine

from penstock.stores.engine import LocalEngine


@pytest.fixture(scope="session")
def engine() -> Iterator[LocalEngine]:
    with small_engine() as found:
        yield found


@pytest.fixture
def world(tmp_path: Path, engine: LocalEngine) -> World:
    return World(tmp_path, engine)
