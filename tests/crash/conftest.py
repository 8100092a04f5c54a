"""Fixtures of the crash harness."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from telling import Nursery, Reference, reference


@pytest.fixture(scope="session")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    made = Nursery(tmp_path_factory.mktemp("nursery") / "log")
    yield made
    made.close()


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory, worker_id: str, nursery: Nursery) -> Reference:
    base = tmp_path_factory.getbasetemp()
    shared: Path = base if worker_id == "master" else base.parent
    return reference(shared / "told", nursery)
