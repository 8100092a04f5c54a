"""A project whose runs are short and leave a trace, and the real scheduler over it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from penstock.catalog.opening import open_catalog
from penstock.model.firings import Firing, FiringState, ScheduleReport
from penstock.project import Project
from typed import typed

PATIENCE = 90.0
"""Seconds after which a test gives up waiting; nothing here takes a tenth of it on a quiet machine."""

CODE = '''
import os, pathlib, time
from datetime import timedelta

from penstock import Pipeline, sources

TRACE = pathlib.Path(__file__).with_name("trace.txt")


def trace(word, name):
    with open(TRACE, "ab", buffering=0) as file:
        file.write(f"{word} {name} {os.getpid()} {time.time()}\\n".encode())


def waited(name):
    """Wait until the test lets a run of this name go on, where it holds it."""
    while TRACE.with_name(f"hold-{name}").exists():
        time.sleep(0.02)


def each(name):
    def rows(interval=None):
        trace("begin", name)
        waited(name)
        if TRACE.with_name(f"fail-{name}").exists():
            raise RuntimeError("told to fail")
        if interval is not None:
            yield {"at": interval.start, "number": 1}
        else:
            yield {"at": time.time_ns(), "number": 1}
        trace("end", name)
    return rows
'''


@dataclass
class Yard:
    """A project in a folder.

    Attributes:
        folder: Where it is.
        catalog: URL of its catalog; empty: the usual file.
        processes: The schedulers that were begun.
    """

    folder: Path
    catalog: str = ""
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def declare(self, pipelines: str, names: str, serve: str = "") -> None:
        """Write the project: pipelines as Python, their names, and the section ``[serve]``."""
        catalog = f'catalog = "{self.catalog}"\n' if self.catalog else ""
        listed = ", ".join(f'"pipeline:{name}"' for name in names.split())
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "penstock.toml").write_text(
            f'[project]\nname = "yard"\nmemory = "4GiB"\npipelines = [{listed}]\n{catalog}\n[serve]\n{serve}\n'
        )
        (self.folder / "pipeline.py").write_text(CODE + pipelines)

    def serve(self, *options: str, **given: Any) -> subprocess.Popen[str]:
        """Begin a scheduler; its log goes to a file of its own."""
        log = self.folder / f"serve-{len(self.processes)}.log"
        with log.open("w") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "penstock", "serve", "--json", *options],
                stdout=out,
                stderr=subprocess.STDOUT,
                text=True,
                cwd=self.folder,
                env={**os.environ, **given.pop("variables", {})},
                **given,
            )
        self.processes.append(process)
        return process

    def type(self, *arguments: str) -> Any:
        """Type a command and return its JSON."""
        done = typed(self.folder, *arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def events(self, number: int = -1) -> list[tuple[str, str]]:
        """Return what a scheduler said: kind and sentence."""
        place = number % len(self.processes)
        lines = (self.folder / f"serve-{place}.log").read_text().splitlines()
        return [(event["event"], event["sentence"]) for event in map(json.loads, lines)]

    def said(self) -> str:
        """Return everything that was logged, for a test that fails."""
        logs = sorted([*self.folder.glob("serve-*.log"), *self.folder.glob(".penstock/serve/*.log")])
        return "\n".join(f"--- {log.name}\n{log.read_text()}" for log in logs)

    def last_words(self, name: str) -> str:
        """Return what the newest run of a pipeline said."""
        return (self.folder / f".penstock/serve/{name}.log").read_text()

    def hold(self, name: str) -> None:
        """Have the runs of a pipeline wait in their source."""
        (self.folder / f"hold-{name}").touch()

    def let_go(self, name: str) -> None:
        """Have them go on."""
        (self.folder / f"hold-{name}").unlink()

    def trace(self) -> list[tuple[str, str, int]]:
        """Return what runs left: ``begin`` or ``end``, pipeline, process."""
        path = self.folder / "trace.txt"
        lines = path.read_text().split("\n")[:-1] if path.exists() else []
        return [(word, name, int(pid)) for word, name, pid, _ in map(str.split, lines)]

    def begun(self, name: str) -> int:
        """Return how many runs of a pipeline came to their source."""
        return sum(word == "begin" and of == name for word, of, _ in self.trace())

    def report(self) -> ScheduleReport:
        """Return how schedules stand."""
        with Project(self.folder) as project:
            return project.schedules.report(limit=10_000)

    def firings(self, name: str) -> list[Firing]:
        """Return the firings of a pipeline, oldest first."""
        return [each for each in reversed(self.report().firings) if each.pipeline == name]

    def states(self, name: str) -> list[FiringState]:
        """Return the states of the firings of a pipeline, oldest first."""
        return [each.state for each in self.firings(name)]

    def expire(self) -> None:
        """Let all leases run out, as an hour of sleep would."""
        with Project(self.folder) as project:
            catalog = open_catalog(project.config.catalog)
            with catalog._database.writing() as statements:  # type: ignore[attr-defined]
                statements.rows("UPDATE leases SET expires = 1 WHERE holder IS NOT NULL")
            catalog.close()

    def rows(self, table: str) -> list[tuple[Any, ...]]:
        """Return the column ``at`` of a raw table of the warehouse, sorted."""
        import duckdb

        with duckdb.connect(self.folder / "data/staging/warehouse.duckdb", read_only=True) as connection:
            return sorted(connection.execute(f'SELECT "at" FROM raw_{table}').fetchall())

    def until(self, true: Callable[[], object], what: str) -> None:
        """Wait until something is so."""
        end = time.monotonic() + PATIENCE
        while not true():
            assert time.monotonic() < end, f"waited in vain until {what}\n{self.said()}"
            time.sleep(0.05)

    def end(self) -> None:
        """End what a test left: the schedulers and the processes of their runs, by their numbers."""
        for process in self.processes:
            for child in living_children(process.pid):
                child.kill()
            if process.poll() is None:
                process.kill()
            process.wait()
        for firing in self.report().firings if (self.folder / "penstock.toml").exists() else ():
            pid = int(firing.holder.split(":")[1]) if firing.holder else 0
            if firing.state is FiringState.RUNNING and pid and psutil.pid_exists(pid):
                os.kill(pid, signal.SIGKILL)


def living_children(pid: int) -> list[psutil.Process]:
    """Return the processes that a process has begun."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def alive(process: psutil.Process) -> bool:
    """Whether a process still runs; one that nobody has waited for yet does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def overlapping(trace: list[tuple[str, str, int]]) -> list[str]:
    """Return the pipelines of which two runs were at work at once: one began before another ended that did end."""
    ended = {(name, pid) for word, name, pid in trace if word == "end"}
    open_now: dict[str, int] = {}
    found = []
    for word, name, pid in trace:
        if word == "end":
            open_now.pop(name, None)
            continue
        if name in open_now and open_now[name] != pid:
            found.append(name)
        if (name, pid) in ended:
            open_now[name] = pid
    return found


def utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
