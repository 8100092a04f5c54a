"""A look asks the catalog a few questions, however many tables there are and however long their histories."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from penstock.catalog.opening import open_catalog
from penstock.model.alerts import AlertsSpec, ChannelSpec
from penstock.model.entries import Entry, EntryKind, Verdict
from penstock.model.specs import EnvironmentSpec, PipelineSpec, SourceSpec
from penstock.orchestrate import alerting
from penstock.orchestrate.workspace import Workspace

FIRST = datetime(2026, 9, 1, 2, tzinfo=UTC)
DAY = timedelta(days=1)
TABLES, DAYS = 1000, 20


def history(table: int) -> list[Entry]:
    found = []
    for day in range(DAYS):
        at = FIRST + day * DAY
        about = {"table": f"raw_t{table}", "created_at": at}
        found.append(Entry(number=2 * day + 1, previous=2 * day or None, kind=EntryKind.LOAD, rows=5, **about))
        found.append(
            Entry(
                number=2 * day + 2,
                previous=2 * day + 1,
                kind=EntryKind.VERDICT,
                load=2 * day + 1,
                verdict=Verdict.ACCEPTED,
                **about,
            )
        )
    return found


@contextmanager
def counted(workspace: Workspace) -> Iterator[list[str]]:
    """Give the statements that this thread's connection runs."""
    database: Any = workspace.catalog.alerts._database
    connection: sqlite3.Connection = database._connection()
    said: list[str] = []
    connection.set_trace_callback(said.append)
    try:
        yield said
    finally:
        connection.set_trace_callback(None)


def test_a_thousand_tables_cost_a_few_statements_and_one_message(tmp_path: Path) -> None:
    catalog = open_catalog(f"sqlite:///{tmp_path}/catalog.db")
    # Two thousand small transactions would wait for the disk; one for each twenty tables does as well.
    for first in range(0, TABLES, 20):
        catalog.index([entry for table in range(first, first + 20) for entry in history(table)])
    places = [
        EnvironmentSpec(name=name, lake=str(tmp_path / name / "lake"), warehouse=str(tmp_path / name / "w.duckdb"))
        for name in ("staging", "production")
    ]
    workspace = Workspace(
        name="shop",
        root=str(tmp_path),
        staging=places[0],
        production=places[1],
        catalog=catalog,
        alerts=AlertsSpec(channels=(ChannelSpec(name="shelf", folder=str(tmp_path / "told")),)),
    )
    specs = [PipelineSpec(name="shop", sources=tuple(SourceSpec(table=f"t{n}", kind="files") for n in range(TABLES)))]
    last = FIRST + (DAYS - 1) * DAY
    try:
        with counted(workspace) as first_look:
            assert alerting.look(workspace, specs, last + timedelta(hours=3)).open == ()
        with counted(workspace) as next_look:
            assert alerting.look(workspace, specs, last + timedelta(hours=4)).open == ()
        assert len(first_look) > TABLES
        assert len(next_look) < 30
        assert not any("FROM entries" in said and "max(" not in said for said in next_look)
        # One table goes on; it alone is read, and only what is new of it.
        catalog.index(
            [
                Entry(
                    table="raw_t7",
                    number=2 * DAYS + 1,
                    previous=2 * DAYS,
                    kind=EntryKind.LOAD,
                    rows=1,
                    created_at=last + DAY,
                )
            ]
        )
        with counted(workspace) as third_look:
            report = alerting.look(workspace, specs, last + DAY + timedelta(hours=6), wait=60)
        assert [said.count("'raw_t7'") for said in third_look if "number > " in said and "FROM entries" in said] == [1]
        assert len(report.open) == TABLES - 1
        assert "silent:t7" not in {alert.id for alert in report.open}
        assert len(list((tmp_path / "told").iterdir())) == 1
        # The lake was never opened: it is not there.
        assert not (tmp_path / "staging").exists()
    finally:
        workspace.close()
