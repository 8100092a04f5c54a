"""A project whose clock is set by the test: the one place that asks the clock is told what to say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import pytest

from penstock.model.events import Event, Waiting
from penstock.orchestrate import clock as clocks
from penstock.project import Project

SETTINGS = """
[project]
name = "shop"
pipelines = ["pipeline:shop"]
"""
SHOP = """
from penstock import Pipeline, checks, sources, sql
shop = Pipeline(
    name="shop",
    sources=[sources.files("orders/*.csv", table="orders"), sources.files("goods/*.csv", table="goods")],
    checks={"orders": [checks.not_null("id"), checks.between("price", 0, 100, severity="quarantine", owner="ada")]},
)
"""
SILENT = SHOP.replace('table="orders")', 'table="orders", silent_after="36h")')
SHELF = '\n[alerts.channels.shelf]\nfolder = "told"\n'
MONDAY = datetime(2026, 11, 16, 2, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
DOWN = """
from pathlib import Path
from penstock import Pipeline, sources
def orders():
    if (Path(__file__).parent / "down").exists():
        raise RuntimeError("Ada Lovelace could not be read")
    yield {"id": 1}
shop = Pipeline(name="shop", sources=[sources.python(orders, table="orders", write="replace")])
"""


class Clock:
    """What ``now`` says; the rest of a moment stays as it is."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: datetime) -> None:
        self.at = at
        clock = self

        class Set(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
                return clock.at.astimezone(tz or UTC)

        monkeypatch.setattr(clocks, "datetime", Set)


def place(folder: Path, alerts: str, pipeline: str = SHOP) -> None:
    """Write the project's files; ``alerts`` is what ``penstock.toml`` says after ``[project]``."""
    (folder / "penstock.toml").write_text(SETTINGS + alerts)
    (folder / "pipeline.py").write_text(pipeline)
    for name in ("orders", "goods"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "goods/first.csv").write_text("id,price\n1,1\n")


def send(folder: Path, table: str, at: datetime, *rows: str) -> None:
    """Bring a file, as a source does."""
    listed = rows or (f"{at:%Y%m%d%H},10",)
    (folder / table / f"{at:%Y%m%d%H%M}.csv").write_text("\n".join(["id,price", *listed]) + "\n")


def told(folder: Path) -> list[tuple[str, str]]:
    """Return (event, alert) of everything that the folder channel got, in order."""
    files = sorted((folder / "told").iterdir()) if (folder / "told").exists() else []
    return [(each["event"], each["id"]) for file in files for each in json.loads(file.read_text())["alerts"]]


def text(folder: Path) -> str:
    return "\n".join(json.loads(file.read_text())["text"] for file in sorted((folder / "told").iterdir()))


def hearing(said: list[str]) -> Any:
    def hear(event: Event) -> None:
        if isinstance(event, Waiting):
            said.append(event.sentence)

    return hear


@contextmanager
def silent(folder: Path, clock: Clock, alerts: str) -> Iterator[Project]:
    """A project whose source orders has been silent for two days."""
    place(folder, alerts, SILENT)
    send(folder, "orders", MONDAY)
    with Project(folder) as project:
        project.run()
        clock.at += timedelta(days=2)
        yield project
