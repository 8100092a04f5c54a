"""The doctor on a real project: what it lists, what it removes, what it never touches; the catalog made anew."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from penstock.errors import ConfigurationError, DataError, LeaseHeldError
from penstock.model.codec import plain
from penstock.model.events import ignore
from penstock.model.receipts import State
from penstock.orchestrate.context import PRODUCTION, leased
from penstock.orchestrate.workspace import open_workspace
from penstock.project import Project

TOML = """
[project]
name = "goods"
pipelines = ["goods_pipeline:goods"]
datasets = "data/datasets"
catalog = "sqlite:///data/catalog.db"
[environments.staging]
lake = "data/staging/lake"
warehouse = "data/staging/warehouse.duckdb"
[environments.production]
lake = "data/production/lake"
warehouse = "data/production/warehouse.duckdb"
keep_releases = 2
"""

PIPELINE = """
from penstock import Pipeline, checks, sources, split_by, sql, training_set
goods = Pipeline(
    name="goods",
    sources=[sources.files("prices.csv", table="prices", write="replace")],
    checks={"prices": [checks.unique("product"), checks.between("price", 0, 100, severity="quarantine")]},
    transforms=[sql("cheap", table="cheap", text="SELECT product, price FROM prices WHERE price < 10")],
    datasets=[training_set("cheapness", from_="cheap", label="price < 5", label_name="very",
                           split=split_by("product", train=0.5, test=0.5))],
    promote=["cheap"],
)
"""

FIRST = ["apple,1", "bread,3.5", "cheese,8", "diamond,1000"]
SECOND = [*FIRST, "egg,0.5"]
TWICE = [*FIRST, "apple,2"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "penstock.toml").write_text(TOML)
    (tmp_path / "goods_pipeline.py").write_text(textwrap.dedent(PIPELINE))
    prices(tmp_path, FIRST)
    return tmp_path


@pytest.fixture
def opened(folder: Path) -> Iterator[Callable[[], Project]]:
    projects: list[Project] = []

    def make() -> Project:
        projects.append(Project(folder))
        return projects[-1]

    yield make
    for project in projects:
        project.close()


@pytest.fixture
def whole(folder: Path, opened: Callable[[], Project]) -> Project:
    """A project with two releases, a rollback, a rejected load that was read again, and a training set."""
    project = opened()
    project.run()
    release(project)
    prices(folder, TWICE)
    assert project.run().state is State.REJECTED
    prices(folder, SECOND)
    project.retry()
    release(project)
    project.rollback(reason="an egg too many")
    project.build_dataset()
    return project


def prices(folder: Path, rows: list[str]) -> None:
    (folder / "prices.csv").write_text("product,price\n" + "\n".join(rows) + "\n")


def release(project: Project) -> None:
    found = project.diff()
    project.approve(found.id, "it is right", by="ada")
    project.promote(found.id, by="ada")


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in (folder / "data").rglob("*") if path.is_file()}


def answers(project: Project) -> str:
    """Return what the catalog answers, as JSON; the moment of asking stands in none of it."""
    catalog = project._workspace.catalog
    tables = catalog.tables()
    found = {
        "status": project.status(),
        "runs": project.runs(limit=100),
        "versions": {table: project.versions(table, 100) for table in tables},
        "loads": {table: catalog.loads(table) for table in tables},
        "pending": {table: catalog.pending(table) for table in tables},
        "accepted": {table: catalog.newest_accepted(table) for table in tables},
        "intervals": {table: catalog.intervals_done(table) for table in tables},
        "unchanged": {table: catalog.unchanged(table) for table in tables},
        "decisions": catalog.decisions(),
        "candidates": catalog.candidates(),
        "releases": project.releases(),
        "quarantine": project.quarantine.summaries(),
        "datasets": project.datasets(),
    }
    return json.dumps(plain(found), indent=1, sort_keys=True, default=str)


STRAYS = (
    "data/staging/lake/raw_prices/created_at=2026-01-01T00-00-00.000Z/part-00000-9-aaaaaaaa.parquet",
    "data/staging/lake/raw_prices/_manifests/99.json",
    "data/staging/lake/raw_prices/_manifests/.penstock-temporary-0123456789abcdef",
    "data/staging/lake/raw_prices/_delta_log/_commit_5e5d.json.tmp",
    "data/staging/lake/raw_prices/_delta_log/00000000000000000099.json#1",
    "data/staging/lake/never_committed/part-x.parquet",
    "data/staging/lake/_quarantine/raw_prices/99.parquet",
    "data/staging/lake/_runs/.penstock-temporary-0123456789abcdef",
    "data/staging/warehouse.duckdb.new",
    "data/staging/warehouse.duckdb.new.wal",
    "data/production/lake/cheap/r9-part-x.parquet",
    "data/production/lake/releases/.penstock-temporary-0123456789abcdef",
    "data/production/warehouse.releases/notes.txt",
    "data/datasets/cheapness/0123456789abcdef/train-00000-of-00001.parquet",
)


def test_a_sound_project_has_nothing_left_over(whole: Project, folder: Path) -> None:
    before = files(folder)
    report = whole.examine(clean=True)
    assert (report.orphans, report.removed, report.finished) == ((), 0, ())
    assert report.checked > 30
    assert files(folder) == before


def test_what_nothing_names_is_listed_and_then_removed(whole: Project, folder: Path) -> None:
    before = files(folder)
    for stray in STRAYS:
        path = folder / stray
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"12345")
    listed = whole.examine()
    assert {str(Path(path).relative_to(folder)) for path, _ in listed.orphans} == set(STRAYS)
    assert {size for _, size in listed.orphans} == {5}
    assert listed.removed == 0
    assert files(folder) == before | set(STRAYS)
    assert whole.examine(clean=True).removed == len(STRAYS)
    assert files(folder) == before
    assert not (folder / "data/staging/lake/never_committed").exists()
    assert whole.examine().orphans == ()


def test_cleaning_leaves_everything_readable(whole: Project, folder: Path) -> None:
    before = answers(whole)
    whole.examine(clean=True)
    assert answers(whole) == before
    assert whole.verify_dataset("cheapness").rows == 3
    whole.rollback(to=2, reason="the egg is welcome")
    assert whole.status().release == 4


@pytest.mark.parametrize("name", ["goods", PRODUCTION, "(training set cheapness)"])
def test_cleaning_waits_for_nobody(whole: Project, opened: Callable[[], Project], name: str) -> None:
    other = open_workspace(whole.config, ignore)
    with leased(other, name):
        with pytest.raises(LeaseHeldError, match="at work"):
            whole.examine(clean=True)
        assert whole.examine().orphans == ()
    other.close()
    assert whole.examine(clean=True).removed == 0


def test_places_inside_one_another_are_told_apart(folder: Path) -> None:
    toml = TOML.replace("data/staging/warehouse", "data/staging/lake/warehouse")
    toml = toml.replace("data/production/warehouse", "data/production/lake/warehouse")
    toml = toml.replace('"data/datasets"', '"data"').replace("data/catalog.db", "data/staging/lake/catalog.db")
    (folder / "penstock.toml").write_text(toml)
    with Project(folder) as project:
        project.run()
        release(project)
        project.build_dataset()
        before = files(folder)
        assert project.examine(clean=True).orphans == ()
        assert files(folder) == before


def test_a_lake_among_the_project_s_own_files_is_not_cleaned(folder: Path) -> None:
    (folder / "penstock.toml").write_text(TOML.replace('"data/datasets"', '"."'))
    with Project(folder) as project:
        project.run()
        with pytest.raises(ConfigurationError, match="cannot be told from the project's own"):
            project.examine(clean=True)
    assert (folder / "goods_pipeline.py").exists()


def test_shards_beside_a_damaged_manifest_are_kept(whole: Project, folder: Path) -> None:
    manifest = next((folder / "data/datasets").rglob("manifest.json"))
    manifest.write_text(manifest.read_text().replace('"rows":3', '"rows":4'))
    assert whole.examine(clean=True).orphans == ()
    assert list(manifest.parent.glob("*.parquet"))


@pytest.mark.parametrize("harm", ["deleted", "cut off", "kept"])
def test_a_catalog_made_anew_gives_the_same_answers(
    whole: Project, folder: Path, opened: Callable[[], Project], harm: str
) -> None:
    before = answers(whole)
    whole.close()
    catalog = folder / "data/catalog.db"
    if harm == "deleted":
        for path in folder.glob("data/catalog.db*"):
            path.unlink()
    elif harm == "cut off":
        catalog.write_bytes(catalog.read_bytes()[: catalog.stat().st_size // 2 - 100])
        with pytest.raises(DataError, match="rebuild-catalog"):
            answers(opened())
    project = opened()
    report = project.rebuild_catalog()
    assert report.indexed > 20
    assert len(list(folder.glob("data/catalog.db.damaged-*"))) == len(report.finished) == (harm == "cut off")
    assert answers(project) == before
    prices(folder, [*SECOND, "flour,2"])
    assert project.run().state is State.DONE
    release(project)
    assert project.status().release == 4


def test_a_run_that_was_killed_is_marked_by_the_next(whole: Project, opened: Callable[[], Project]) -> None:
    last = whole.runs(limit=1)[0]
    killed = replace(last, id="2026-01-01T00-00-00.000Z-dead", state=State.RUNNING, finished=None, steps=())
    whole._workspace.catalog.put_run(killed)
    assert whole.run().state is State.UNCHANGED
    found = whole.run_details(killed.id)
    assert (found.state, found.error) == (State.FAILED, "interrupted")
    before = answers(whole)
    whole.rebuild_catalog()
    assert answers(whole) == before


def test_the_doctor_marks_a_run_that_was_killed(whole: Project) -> None:
    last = whole.runs(limit=1)[0]
    killed = replace(last, id="2026-01-01T00-00-00.000Z-dead", state=State.RUNNING, finished=None, steps=())
    whole._workspace.catalog.put_run(killed)
    other = open_workspace(whole.config, ignore)
    with leased(other, "goods"):
        # Somebody holds the lease: it may be that very run.
        assert whole.examine().finished == ()
    other.close()
    assert whole.examine().finished == ("1 interrupted run was marked so",)
    assert whole.run_details(killed.id).state is State.FAILED


def test_a_run_that_ended_but_was_not_indexed_gets_its_own_end(whole: Project) -> None:
    last = whole.runs(limit=1)[0]
    whole._workspace.catalog.put_run(replace(last, state=State.RUNNING, finished=None, steps=()))
    whole.run()
    assert whole.run_details(last.id) == last


def test_a_decision_that_was_not_indexed_counts(whole: Project, opened: Callable[[], Project]) -> None:
    prices(Path(whole.config.root), [*SECOND, "flour,2"])
    whole.run()
    found = whole.diff()
    whole.approve(found.id, "it is right", by="ada")
    with whole._workspace.catalog._database.writing() as statements:  # type: ignore[attr-defined]
        statements.rows("DELETE FROM decisions WHERE subject = ?", (found.id,))
    assert whole.promote(found.id, by="ada").number == 4


def test_who_made_a_release_is_kept_even_if_a_crash_came_first(whole: Project, folder: Path) -> None:
    before = whole._workspace.catalog.decisions()
    last = next(decision for decision in before if decision.kind == "rollback")
    (folder / f"data/staging/lake/_decisions/{last.id}.json").unlink()
    with whole._workspace.catalog._database.writing() as statements:  # type: ignore[attr-defined]
        statements.rows("DELETE FROM decisions WHERE id = ?", (last.id,))
    whole.diff()
    assert whole._workspace.catalog.decisions() == before
    assert (last.reason, last.detail) == ("an egg too many", {"to": 1, "from": 2})


def test_a_table_that_is_mended_back_ends_its_rejected_load(folder: Path, opened: Callable[[], Project]) -> None:
    project = opened()
    project.run()
    prices(folder, TWICE)
    assert project.run().state is State.REJECTED
    prices(folder, FIRST)
    project.retry()
    status = project.status()
    assert status.pipelines[0].tables[0].rejected == ()
    assert next(entry.verdict for entry in project.versions("prices")) == "retried"
    assert project.run().state is State.UNCHANGED


def test_a_retry_that_was_killed_before_its_end_is_ended_by_the_next_run(
    folder: Path, opened: Callable[[], Project]
) -> None:
    project = opened()
    project.run()
    prices(folder, TWICE)
    project.run()
    rejected = project.status().pipelines[0].tables[0].rejected
    prices(folder, SECOND)
    project.retry()
    entries = project.versions("prices", 100)
    ended = next(entry for entry in entries if entry.verdict == "retried")
    assert ended.number == entries[0].number
    # As a kill just before that verdict would have left it.
    project.close()
    log = folder / "data/staging/lake/raw_prices/_delta_log"
    max(log.glob("*.json")).unlink()
    (folder / f"data/staging/lake/raw_prices/_manifests/{ended.number}.json").unlink()
    for path in folder.glob("data/catalog.db*"):
        path.unlink()
    again = opened()
    again.rebuild_catalog()
    assert again.status().pipelines[0].tables[0].rejected == ()
    again.run()
    verdicts = [(entry.load, entry.verdict) for entry in again.versions("prices", 100) if entry.load]
    assert verdicts.count((rejected[0], "retried")) == 1
    assert again.status().pipelines[0].tables[0].rows == 4
