"""A live stream into PostgreSQL that is killed at any of its writes: readers see each row once, before and after."""

from __future__ import annotations

import signal
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from children import Children, Kept
from live_postgres import LIVE, asked, database, live_project, numbers, relations
from stream_project import append

from servers.postgres import PostgresServer

pytestmark = pytest.mark.postgres
PARTS = 4
MERGED = LIVE.replace('table="clicks",', 'table="clicks", write="merge", key="n", cursor="size",', 1)


def event(n: int, size: float) -> dict[str, object]:
    return {"user": "ada", "n": n, "size": size}


@dataclass(frozen=True)
class Stand:
    """A project with its database, and a copy of both."""

    folder: Path
    url: str
    kept: Kept

    def back(self) -> None:
        """Put lake, warehouses and catalog back to where they were."""
        self.kept.back()
        name = self.url.rpartition("/")[2]
        with psycopg.connect(f"{self.url.rpartition('/')[0]}/postgres", autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{name}_kept"'.encode())


@pytest.fixture(params=["appended", "merged", "widened"])
def stand(request: pytest.FixtureRequest, tmp_path: Path, postgres: PostgresServer, children: Children) -> Stand:
    """A project with fifteen micro-batches, the next of which is appended, merged, or widens a column."""
    database(postgres.url(), "killed_kept")
    url = database(postgres.url(), "killed")
    folder = live_project(tmp_path / "begun", url, MERGED if request.param == "merged" else LIVE)
    for n in range(15):
        append(folder / "logs/clicks.jsonl", [event(n, 1)])
        if n % 5 == 4:
            assert children.stream(folder)["status"] == 0
    append(folder / "logs/clicks.jsonl", [event(15, 1.5 if request.param == "widened" else 2)])
    alone(url)
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        connection.execute(b'DROP DATABASE "killed_kept"')
        connection.execute(b'CREATE DATABASE "killed_kept" TEMPLATE "killed"')
    return Stand(folder, url, Kept(folder))


def alone(url: str) -> None:
    """Wait until the server has noticed that the sessions of processes that are gone have ended."""
    end = time.monotonic() + 30
    while asked(url, "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"):
        assert time.monotonic() < end, "a session stays"
        time.sleep(0.02)


def killed_and_gone_on(stand: Stand, children: Children, kill_at: int, *, before: bool) -> None:
    where = f"{'before' if before else 'after'} write {kill_at}"
    stand.back()
    assert children.stream(stand.folder, kill_at, before=before, postgres=True)["status"] in (0, signal.SIGKILL), where
    assert numbers(stand.url) in (Counter(range(15)), Counter(range(16))), where
    append(stand.folder / "logs/clicks.jsonl", [event(16, 3), event(17, 0.5)])
    assert children.stream(stand.folder)["status"] == 0, where
    assert numbers(stand.url) == Counter(range(18)), where
    alone(stand.url)
    assert len(relations(stand.url)) == 1, where


def writes_of(stand: Stand, children: Children) -> list[str]:
    names = children.stream(stand.folder, postgres=True)["writes"]
    assert {"DeltaLog.append", "Copy.write", "Transaction.__exit__", "postgres UPDATE"} <= set(names)
    return names


def test_killed_at_some_writes(stand: Stand, children: Children) -> None:
    names = writes_of(stand, children)
    own = [place for place, name in enumerate(names, 1) if name.startswith(("postgres", "Copy", "Transaction"))]
    for kill_at in own[:: max(1, len(own) // 6)]:
        killed_and_gone_on(stand, children, kill_at, before=kill_at % 2 == 0)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_killed_at_each_write(part: int, stand: Stand, children: Children) -> None:
    for kill_at in range(1 + part, len(writes_of(stand, children)) + 1, PARTS):
        for before in (True, False):
            killed_and_gone_on(stand, children, kill_at, before=before)
