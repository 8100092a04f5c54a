"""Runs over files that come, change and go: what a load keeps of them, and that the next run knows them all."""

from __future__ import annotations

import textwrap
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from shop_runs import SETTINGS, served

from penstock.model.receipts import State
from penstock.project import Project

PIPELINE = """
from penstock import Pipeline, checks, sources
shop = Pipeline(
    name="shop",
    sources=[
        sources.files("in", table="sales"),
        sources.files("in/*", table="state", write="replace"),
    ],
    checks={"sales": [checks.between("amount", 0, 100, severity="error")]},
)
"""


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[[], Project]]:
    opened: list[Project] = []
    (tmp_path / "penstock.toml").write_text(SETTINGS)
    (tmp_path / "pipeline.py").write_text(textwrap.dedent(PIPELINE))
    (tmp_path / "in").mkdir()

    def build() -> Project:
        opened.append(Project(tmp_path))
        return opened[-1]

    yield build
    for project in opened:
        project.close()


@pytest.fixture
def put(tmp_path: Path) -> Callable[..., None]:
    def run(name: str, *amounts: int) -> None:
        data = "amount\n" + "".join(f"{amount}\n" for amount in amounts)
        if name.endswith(".zip"):
            with zipfile.ZipFile(tmp_path / "in" / name, "w") as archive:
                archive.writestr("x.csv", data)
        else:
            (tmp_path / "in" / name).write_text(data)

    return run


def amounts(folder: Path, table: str) -> list[int]:
    return [row[0] for row in served(folder, f"SELECT amount FROM raw_{table} ORDER BY ALL")]


def positions(project: Project, table: str) -> list[Any]:
    found = [entry.work.position for entry in project.versions(table) if entry.work is not None]
    return sorted(found, key=lambda position: position.get("follows", 0))


def test_each_load_keeps_the_files_it_read_and_the_next_run_knows_all(
    make: Callable[[], Project], put: Callable[..., None], tmp_path: Path
) -> None:
    put("1.csv", 1)
    put("2.zip", 2, 22)
    project = make()
    assert project.run().state is State.DONE
    put("3.csv", 3)
    assert project.run().state is State.DONE
    assert project.run().state is State.UNCHANGED
    (tmp_path / "in" / "1.csv").unlink()
    put("3.csv", 33)
    assert project.run().state is State.DONE
    assert amounts(tmp_path, "sales") == [1, 2, 3, 22, 33]
    assert amounts(tmp_path, "state") == [2, 22, 33]
    kept = positions(project, "raw_sales")
    assert [sorted(position["files"]) for position in kept] == [["in/1.csv", "in/2.zip"], ["in/3.csv"], ["in/3.csv"]]
    assert [position.get("gone") for position in kept] == [None, None, ["in/1.csv"]]
    assert project.run().state is State.UNCHANGED
    project.close()
    again = make()
    again.rebuild_catalog()
    assert again.run().state is State.UNCHANGED


def test_files_of_a_discarded_load_are_not_read_again_and_those_of_a_retried_one_are(
    make: Callable[[], Project], put: Callable[..., None], tmp_path: Path
) -> None:
    put("1.csv", 1)
    project = make()
    project.run()
    put("2.csv", 2000)
    assert project.run().state is State.REJECTED
    put("3.csv", 3)
    put("2.csv", 2)
    assert project.retry().state is State.DONE
    assert amounts(tmp_path, "sales") == [1, 2, 3]
    put("4.csv", 4000)
    assert project.run().state is State.REJECTED
    loads = [entry for entry in project.versions("raw_sales") if entry.work is not None]
    assert list(loads[0].work.position["files"]) == ["in/4.csv"]
    project.discard("raw_sales", loads[0].number, "wrong")
    put("5.csv", 5)
    assert project.run().state is State.DONE
    assert amounts(tmp_path, "sales") == [1, 2, 3, 5]
    assert project.run().state is State.UNCHANGED
