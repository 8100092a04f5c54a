"""Objects in columns that are named as the shortest names of tables: a field of them is never taken for a key."""

from __future__ import annotations

from pathlib import Path

import pytest
from landed_folder import FolderTable, apply, source

from penstock.model.specs import Deletes, WriteMode
from penstock.stores.engine import LocalEngine
from penstock.stores.warehouse import DuckDBWarehouse

NAMES = ("a", "c", "e", "g", "k", "n", "o", "p", "r", "s", "t", "x")


def query(*rows: tuple[int, int]) -> str:
    """Rows of a key and a value; each other column is an object with a field of the key's name and another value."""
    objects = ", ".join(f"{{'id': 900 + v, 'other': v}} AS {name}" for name in NAMES)
    return f"SELECT id, v, {objects} FROM (VALUES {', '.join(map(str, rows))}) given(id, v)"


@pytest.mark.parametrize("mode", [WriteMode.MERGE, WriteMode.SCD2])
@pytest.mark.parametrize("deletes", [None, Deletes()])
def test_keys_stay_keys(tmp_path: Path, engine: LocalEngine, mode: WriteMode, deletes: Deletes | None) -> None:
    lake = FolderTable(tmp_path / "lake")
    spec = source(mode, ("id",), None, deletes)
    contents = [query((1, 1), (2, 2)), query((1, 1), (2, 5), (3, 3)), query((1, 7), (2, 5))]
    loads = [lake.load(number, text, snapshot=spec.by_snapshot) for number, text in enumerate(contents, start=1)]
    with DuckDBWarehouse(str(tmp_path / "w.duckdb"), engine).writing() as transaction:
        for place, load in enumerate(loads):
            apply(transaction, lake, spec, [load], loads[: place + 1])
        current = "_valid_to IS NULL" if mode is WriteMode.SCD2 else "true"
        found = transaction.execute(f"SELECT id, v, t.id FROM raw_t WHERE {current} ORDER BY id")
        versions = transaction.execute("SELECT count(*) FROM raw_t")
    kept = [] if deletes else [(3, 3, 903)]
    assert found == [(1, 7, 907), (2, 5, 905), *kept]
    assert versions == [(5 if mode is WriteMode.SCD2 else len(found),)]
