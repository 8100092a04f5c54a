"""A small project whose source is a stream, and what lies in its lake and its warehouse."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import duckdb

from penstock import Project
from penstock.errors import ConflictError
from penstock.model.receipts import RunReceipt
from typed import typed

_LONGEST = 120
"""Seconds within which a command of a test ends."""
SETTINGS = """
[project]
name = "video"
pipelines = ["pipeline:clicks"]
[environments.staging]
lake = "data/staging/lake"
warehouse = "data/staging/warehouse.duckdb"
[environments.production]
lake = "data/production/lake"
warehouse = "data/production/warehouse.duckdb"
"""
PIPELINE = """
from penstock import Pipeline, checks, sources, sql
clicks = Pipeline(
    name="clicks",
    sources=[
        sources.tail("logs/clicks*", table="clicks", stream={"every": "200ms"}),
        sources.files("videos.csv", table="videos", write="replace"),
    ],
    checks={"clicks": [checks.not_null("user"), checks.between("n", 0, 1_000_000, severity="quarantine")]},
    transforms=[sql("per_user", table="per_user", text="SELECT user, count(*) AS clicks FROM clicks GROUP BY user")],
)
"""


def made(folder: Path, pipeline: str = PIPELINE, settings: str = SETTINGS) -> Path:
    """Make the project."""
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    (folder / "penstock.toml").write_text(settings)
    (folder / "pipeline.py").write_text(pipeline)
    (folder / "videos.csv").write_text("video,title\nv1,one\nv2,two\n")
    return folder


def events(first: int, count: int) -> list[dict[str, Any]]:
    """Return events; ``n`` names one."""
    return [{"user": f"u{n % 7}", "n": n, "video": f"v{n % 3}"} for n in range(first, first + count)]


def append(path: Path, rows: Iterable[dict[str, Any] | str]) -> None:
    """Append events, or lines as they are, to a log."""
    with path.open("a") as file:
        for row in rows:
            file.write((row if isinstance(row, str) else json.dumps(row)) + "\n")


def live(folder: Path, query: str = "SELECT n FROM clicks", table: str = "clicks") -> list[tuple[Any, ...]]:
    """Return what a reader gets who has DuckDB and nothing else."""
    path = folder / f"data/production/warehouse.live/{table}.duckdb"
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(query).fetchall()


def served(folder: Path, query: str) -> list[tuple[Any, ...]]:
    """Return what a reader of the staging warehouse gets, who waits while a stream writes the file."""
    end = time.monotonic() + _LONGEST
    while True:
        try:
            with duckdb.connect(str(folder / "data/staging/warehouse.duckdb"), read_only=True) as connection:
                return connection.execute(query).fetchall()
        except duckdb.IOException as error:
            if "lock" not in str(error) or time.monotonic() > end:
                raise
            time.sleep(0.02)


def in_warehouse(folder: Path, column: str = "n") -> Counter[Any]:
    """Return the values of a column of the warehouse's table, with how often each is there."""
    return Counter(value for (value,) in served(folder, f"SELECT {column} FROM raw_clicks"))


def in_lake(folder: Path, column: str = "n") -> Counter[Any]:
    """Return the same of what a Delta reader of the lake sees; nothing before a table is committed."""
    from deltalake import DeltaTable

    place = str(folder / "data/staging/lake/raw_clicks")
    files = DeltaTable(place).file_uris() if DeltaTable.is_deltatable(place) else []
    if not files:
        return Counter()
    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT {column} FROM read_parquet(?, union_by_name=true)", [files]).fetchall()
    return Counter(value for (value,) in found)


def landed(folder: Path) -> int:
    """Return how many rows a Delta reader of the lake sees."""
    return in_lake(folder).total()


def penstock(folder: Path, *arguments: str, **settings: Any) -> subprocess.CompletedProcess[str]:
    """Run a command of the project to its end; where that does not come, what it was doing is in the failure."""
    settings["env"] = {**settings.get("env", os.environ), "PYTHONFAULTHANDLER": "1"}
    command = [sys.executable, "-m", "penstock", *arguments]
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **settings
    ) as process:
        try:
            out, err = process.communicate(timeout=_LONGEST)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)
            out, err = process.communicate()
            raise AssertionError(f"{arguments} did not end in {_LONGEST} s:\n{out}\n{err}") from None
        return subprocess.CompletedProcess(command, process.returncode, out, err)


def begun(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Begin a command of the project in a process of its own."""
    with open(folder / f"said-{os.urandom(3).hex()}.txt", "w") as said:
        return subprocess.Popen(
            [sys.executable, "-m", "penstock", *arguments],
            cwd=folder,
            stdout=said,
            stderr=said,
            text=True,
            env={**os.environ, "PYTHONFAULTHANDLER": "1"},
        )


def killed_while_events_come(folder: Path, count: int, seconds: float, lives: tuple[float, float], seed: int) -> int:
    """Kill the stream again and again while events come, after some seconds of life; returns how many there are."""
    chance, end = random.Random(seed), time.monotonic() + seconds
    while time.monotonic() < end:
        process = begun(folder, "stream")
        stop = time.monotonic() + chance.uniform(*lives)
        while time.monotonic() < stop:
            append(folder / "logs/clicks.jsonl", events(count, 7))
            count += 7
            time.sleep(0.02)
        process.kill()
        process.wait()
    return count


def said(folder: Path) -> str:
    """Return what the processes that were begun have said."""
    return "\n".join(path.read_text() for path in sorted(folder.glob("said-*.txt")))


def put_to_sleep(folder: Path, process: subprocess.Popen[str]) -> None:
    """Stop a process where it holds neither the warehouse nor the catalog; a lock that sleeps would stop everybody."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.05)
        if _free(folder):
            return
        process.send_signal(signal.SIGCONT)
        time.sleep(0.05)
    raise AssertionError("it never let go")


@contextlib.contextmanager
def overtaken(folder: Path, there: Callable[[], bool]) -> Iterator[None]:
    """Let a stream sleep while the body takes its place: awake, it ends as one that is refused.

    Args:
        folder: The project.
        there: Says whether the stream has come so far that it may fall asleep.
    """
    process = begun(folder, "stream")
    try:
        until(there)
        put_to_sleep(folder, process)
        yield
        process.send_signal(signal.SIGCONT)
        assert process.wait(60) == ConflictError.exit_code, said(folder)
    finally:
        process.kill()
        process.wait()


def _free(folder: Path) -> bool:
    with open(folder / "data/staging/warehouse.duckdb.lock", "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    if not (folder / ".penstock/catalog.db").exists():
        return False
    with contextlib.closing(sqlite3.connect(folder / ".penstock/catalog.db", timeout=0)) as catalog:
        try:
            catalog.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        catalog.rollback()
    return True


def has_leases(folder: Path) -> bool:
    """Say whether a process of the project has come so far that leases can be taken."""
    if not (folder / ".penstock/catalog.db").exists():
        return False
    with contextlib.closing(sqlite3.connect(folder / ".penstock/catalog.db")) as catalog:
        return catalog.execute("SELECT count(*) FROM sqlite_master WHERE name = 'leases'").fetchone() == (1,)


def end_leases(folder: Path) -> None:
    """Let all leases run out, for which a successor would have to wait a minute; nobody may have taken one yet."""
    if not has_leases(folder):
        return
    with contextlib.closing(sqlite3.connect(folder / ".penstock/catalog.db")) as catalog:
        catalog.execute("UPDATE leases SET expires = 0")
        catalog.commit()


def streamed(folder: Path, *arguments: str, code: int = 0) -> str:
    """Read the pipeline ``shop`` to where its streams end; returns what was said."""
    done = typed(folder, "stream", "shop", "--until-end", *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def drained(folder: Path, **asked: bool) -> RunReceipt:
    """Read the streams to where they end."""
    with Project(folder) as project:
        return project.stream("clicks", until_end=True, **asked)


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for something to come true."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.05)
