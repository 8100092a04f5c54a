"""Compaction and vacuum on a real project: every reader sees the same, and what is pinned stays."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from penstock.errors import ConfigurationError, DataError, LeaseHeldError, NotFoundError
from penstock.model.entries import EntryKind
from penstock.model.receipts import State
from penstock.orchestrate.context import CARE, leased
from penstock.orchestrate.vacuuming import PINNED, RELEASE, YOUNG
from penstock.project import Project
from penstock.stores.engine import OWNER, SPILL

TOML = """
[project]
name = "shop"
pipelines = ["shop_pipeline:shop"]
datasets = "data/datasets"
catalog = "sqlite:///data/catalog.db"
[environments.production]
keep_releases = 1
"""

PIPELINE = """
from penstock import Pipeline, checks, sources, split_by, sql, training_set
shop = Pipeline(
    name="shop",
    sources=[
        sources.files("in/*.csv", table="orders", write="merge", key=["id"], cursor="at"),
        sources.files("log/*.csv", table="log"),
    ],
    checks={"orders": [checks.between("price", 0, 100, severity="quarantine")]},
    transforms=[sql("totals", table="totals", text="SELECT id, price, price > 5 AS dear FROM orders")],
    datasets=[training_set("dearness", from_="totals", label="dear", label_name="is_dear",
                           split=split_by("id", train=0.5, test=0.5))],
    promote=["totals"],
)
"""


def order(folder: Path, day: int) -> None:
    """Put a new file in: two new orders, one that is set aside, and one that changes an older one."""
    for name in ("in", "log"):
        (folder / name).mkdir(exist_ok=True)
    rows = [(day * 10, day), (day * 10 + 1, 2 * day), (day * 10 + 2, 1000), (1, day)]
    lines = [f"{id_},{price},2026-01-{day:02}" for id_, price in rows]
    (folder / f"in/{day:03}.csv").write_text("id,price,at\n" + "\n".join(lines) + "\n")
    (folder / f"log/{day:03}.csv").write_text(f"line\n{day}\n")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "penstock.toml").write_text(TOML)
    (tmp_path / "shop_pipeline.py").write_text(textwrap.dedent(PIPELINE))
    return tmp_path


@pytest.fixture
def shop(folder: Path) -> Iterator[Project]:
    with Project(folder) as project:
        for day in range(1, 5):
            order(folder, day)
            assert project.run().state is State.DONE
        yield project


def release(project: Project) -> None:
    found = project.diff()
    project.approve(found.id, "it is right", by="ada")
    project.promote(found.id, by="ada")


def warehouse(folder: Path) -> dict[str, list[tuple]]:
    with duckdb.connect(folder / "data/staging/warehouse.duckdb", read_only=True) as connection:
        return {
            table: connection.execute(f"SELECT * FROM {table} ORDER BY ALL").fetchall()
            for table in ("raw_orders", "raw_log", "totals")
        }


def parquet(folder: Path, below: str) -> list[str]:
    found = (path.relative_to(folder) for path in (folder / below).rglob("*.parquet"))
    return sorted(str(path) for path in found if "_delta_log" not in path.parts)


def test_a_warehouse_made_anew_from_compacted_and_vacuumed_files_is_the_same(folder: Path, shop: Project) -> None:
    before = warehouse(folder)
    assert len(before["raw_orders"]) == 9
    reports = {report.table: report for report in shop.compact(open_too=True)}
    assert (reports["raw_orders"].replaced, reports["raw_orders"].written, reports["raw_orders"].rows) == (4, 1, 16)
    assert reports["raw_log"].files == 1
    dry = shop.vacuum("0s", dry_run=True)
    assert len([path for path, _ in dry.removed if "/raw_" in path]) == 8
    assert len(parquet(folder, "data/staging/lake/raw_orders")) == 5
    done = shop.vacuum("0s")
    assert (done.removed, done.freed) == (dry.removed, dry.freed)
    assert done.freed == sum(size for _, size in done.removed) > 0
    assert len(parquet(folder, "data/staging/lake/raw_orders")) == 1
    assert not [path for path in (folder / "data/staging/lake/raw_orders").iterdir() if not any(path.iterdir())]
    shop.rebuild()
    again = warehouse(folder)
    assert (again["raw_log"], again["totals"]) == (before["raw_log"], before["totals"])
    assert [row[:4] for row in again["raw_orders"]] == [row[:4] for row in before["raw_orders"]]
    (folder / "data/staging/warehouse.duckdb").unlink()
    order(folder, 9)
    assert shop.run().state is State.DONE
    now = warehouse(folder)
    assert [row for row in now["raw_log"] if row[0] != 9] == before["raw_log"]
    assert {row[0] for row in now["raw_orders"]} == {row[0] for row in before["raw_orders"]} | {90, 91}
    assert not [row for row in now["raw_orders"] if row[1] == 1000]
    kept = [row for row in before["raw_orders"] if row[0] != 1]
    assert [row for row in now["raw_orders"] if row[0] not in (1, 90, 91)] == kept
    assert shop.check("orders").report.rows == 15
    report = shop.examine(clean=True)
    assert report.orphans == ()
    shop.rebuild_catalog()
    assert shop.run().state is State.UNCHANGED


def test_what_nobody_compacts_and_what_is_young_stays(folder: Path, shop: Project) -> None:
    assert all(report.entries == () for report in shop.compact())
    shop.compact("orders", "hour", open_too=True)
    files = parquet(folder, "data")
    report = shop.vacuum()
    assert report.removed == ()
    assert report.kept[YOUNG] >= 4
    assert parquet(folder, "data") == files
    kinds = [entry.kind for entry in shop.versions("orders", 1)]
    assert kinds == [EntryKind.COMPACTION]


def test_pinned_and_kept_releases_outlive_vacuum(folder: Path, shop: Project) -> None:
    release(shop)
    shop.build_dataset()
    pinned = parquet(folder, "data/production/lake")
    for day in (5, 6, 7):
        order(folder, day)
        shop.run()
        release(shop)
    dataset = {path: (folder / path).read_bytes() for path in parquet(folder, "data/datasets")}
    report = shop.vacuum("0s")
    left = parquet(folder, "data/production/lake")
    assert set(pinned) <= set(left)
    assert report.kept[PINNED] == len(pinned)
    served = {f"data/production/lake/totals/{file.path}" for file in shop.releases()[0].tables[0].files}
    assert set(left) == set(pinned) | served
    assert {path: (folder / path).read_bytes() for path in parquet(folder, "data/datasets")} == dataset
    assert shop.verify_dataset("dearness").failures == ()
    assert shop.examine().orphans == ()
    assert RELEASE not in report.kept
    assert shop.rollback(reason="as it was", to=1).number == 5
    with pytest.raises(NotFoundError, match="are gone"):
        shop.rollback(reason="as it was", to=2)


def test_a_candidate_that_waits_can_be_promoted_after_vacuum(folder: Path, shop: Project) -> None:
    waiting = shop.diff()
    order(folder, 9)
    shop.run()
    shop.vacuum("0s")
    shop.approve(waiting.id, "it is right", by="ada")
    assert shop.promote(waiting.id, by="ada").tables[0].rows == 9


def test_a_run_keeps_its_tables_below_the_limit(folder: Path) -> None:
    (folder / "penstock.toml").write_text(TOML + '[compaction]\nfiles = 3\ntarget = "1MiB"\n')
    with Project(folder) as project:
        for day in range(1, 9):
            order(folder, day)
            done = project.run()
            assert done.state is State.DONE
            assert len(project._workspace.lake.table("raw_orders").live()) <= 3
        assert len(warehouse(folder)["raw_log"]) == 8
        numbers = [entry for entry in project.versions("log", 100) if entry.kind is EntryKind.COMPACTION]
        assert len(numbers) == 2


def test_what_is_missing_or_held_is_said(folder: Path, shop: Project) -> None:
    with leased(shop._workspace, CARE):
        with pytest.raises(LeaseHeldError):
            shop.compact(open_too=True)
        with pytest.raises(LeaseHeldError):
            shop.vacuum()
    with pytest.raises(ConfigurationError, match="not a duration"):
        shop.vacuum("soon")
    shop.compact(open_too=True)
    victim = next((folder / "data/staging/lake/raw_orders").rglob("compacted-*.parquet"))
    victim.unlink()
    files = parquet(folder, "data")
    with pytest.raises(DataError, match="missing, so nothing was removed"):
        shop.vacuum("0s")
    assert parquet(folder, "data") == files


def test_folders_of_dead_processes_go_and_those_of_living_ones_stay(
    shop: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spills = tmp_path / "spills"
    spills.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(spills))
    script = "from penstock.stores.engine import LocalEngine; import os\nwith LocalEngine().session(): os._exit(9)"
    subprocess.run([sys.executable, "-c", script], env={**os.environ, "TMPDIR": str(spills)}, check=False)
    (left,) = spills.glob(f"{SPILL}*")
    foreign = spills / f"{SPILL}foreign"
    foreign.mkdir()
    from penstock.stores.engine import LocalEngine

    living = LocalEngine()
    with living.session():
        assert len(list(spills.glob(f"{SPILL}*/{OWNER}"))) == 2
        report = shop.vacuum(timedelta(days=7))
    assert report.spills == (str(left),)
    assert not left.exists()
    assert foreign.exists()
    living.close()
