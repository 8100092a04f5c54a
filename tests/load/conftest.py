from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from landed_folder import FolderTable

from penstock.stores.engine import LocalEngine
from penstock.stores.warehouse import DuckDBWarehouse


@pytest.fixture(scope="session")
def engine() -> Iterator[LocalEngine]:
    found = LocalEngine(memory=256 * 2**20, threads=2)
    yield found
    found.close()


@pytest.fixture
def warehouse(tmp_path: Path, engine: LocalEngine) -> DuckDBWarehouse:
    return DuckDBWarehouse(str(tmp_path / "warehouse.duckdb"), engine, patience=10)


@pytest.fixture
def lake(tmp_path: Path) -> FolderTable:
    return FolderTable(tmp_path / "lake")
