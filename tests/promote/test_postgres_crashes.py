"""Whatever write a promotion into PostgreSQL is killed at: readers see one release, and the next command mends it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from crash_driver import TABLES, act
from postgres_crash_driver import case_url
from postgres_world import PostgresWorld, database, faces_there, opened
from promote_world import day, faces

from penstock.promote.finishing import finish
from penstock.promote.ports import newest_number
from penstock.stores.engine import LocalEngine
from servers.postgres import PostgresServer

pytestmark = pytest.mark.postgres
_HERE = Path(__file__).parent


@pytest.fixture
def base(tmp_path: Path, engine: LocalEngine, postgres: PostgresServer) -> PostgresWorld:
    """Production serves release 2; staging holds what release 3 would be."""
    world = opened(tmp_path / "base", engine, database(postgres.url(), "crash"), lock_timeout=0.5, lock_wait=60)
    for number in (0, 1, 2):
        world.version("delays", f"SELECT 1 AS release, DATE '2013-01-01' + {number} AS day", interval=day(number))
    world.version("airports", "SELECT 'EWR' AS faa")
    world.version("planes", "SELECT 1 AS release, 7 AS seats")
    world.promote("airports", "delays", "planes", keep=2)
    world.version("delays", "SELECT 2 AS release, DATE '2013-01-03' AS day", interval=day(2))
    world.promote("airports", "delays", "planes", keep=2)
    world.version("delays", "SELECT 3 AS release, DATE '2013-01-02' AS day, 'new' AS word", interval=day(1))
    world.version("fresh", "SELECT 3 AS release")
    world.propose(*TABLES)
    return world


@pytest.mark.parametrize(
    ("action", "step"),
    [
        ("promote", 9),
        ("rollback", 4),
        pytest.param("promote", 1, marks=pytest.mark.slow),
        pytest.param("rollback", 1, marks=pytest.mark.slow),
    ],
)
def test_killed_at_the_writes_of_a_promotion_into_postgresql(
    base: PostgresWorld, tmp_path: Path, engine: LocalEngine, action: str, step: int
) -> None:
    folder, url = tmp_path / "cases", base.spec.connection.url
    folder.mkdir()
    command = [
        sys.executable,
        str(_HERE / "postgres_crash_driver.py"),
        str(base.root),
        str(folder),
        url,
        action,
        str(step),
    ]
    environment = {**os.environ, "PYTHONPATH": f"{_HERE}{os.pathsep}{_HERE.parent}"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    cases = [
        opened(path, engine, case_url(url, int(path.name)), lock_timeout=0.5, lock_wait=60)
        for path in sorted(folder.iterdir())
    ]
    before, whole = _ended(base), _ended(cases[-1])
    assert before["warehouse"] != whole["warehouse"]
    outcomes = [_examine(case, action, before, whole) for case in cases[:-1]]
    # The writes lie on both sides of the commit point.
    assert set(outcomes) == {"undone", "finished"}
    assert len(outcomes) > (20 if step == 1 else 4)


def _examine(case: PostgresWorld, action: str, before: dict[str, Any], whole: dict[str, Any]) -> str:
    """Look as readers do right after the kill, mend, look again, and do it once more where it was undone."""
    where = case.root.name
    seen = faces_there(case.spec.connection.url)
    assert seen in (before["warehouse"], whole["warehouse"]), f"{where}: a mixture"
    committed = newest_number(case.ports().production)
    finish(case.ports())
    assert finish(case.ports()) is None
    assert case.keeping().leftovers(newest_number(case.ports().production)) == (), where
    if committed == before["number"]:
        assert _ended(case) == before, where
        act(action, case.ports(), case)
        assert _ended(case) == whole, where
        return "undone"
    ended = _ended(case)
    # Versions of a release that is to be retired may stay until the next promotion.
    assert {**ended, "versions": 0} == {**whole, "versions": 0}, where
    assert ended["versions"] >= whole["versions"], where
    return "finished"


def _ended(world: PostgresWorld) -> dict[str, Any]:
    """Return what readers see, which releases there are, and how many versions of tables are kept."""
    seen = faces(world.root)
    return {
        "warehouse": faces_there(world.spec.connection.url),
        "parquet": seen["parquet"],
        "delta": seen["delta"],
        "number": newest_number(world.ports().production),
        "current": (world.lake / "releases" / "current").read_bytes(),
        "versions": len(world.versions()),
    }
