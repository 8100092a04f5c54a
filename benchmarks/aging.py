"""A table that gets micro-batch after micro-batch: ``python -m benchmarks.aging FOLDER [COUNT SPAN]``.

A stream reads a file of events, five at a time, into lake and warehouse, each once and as fast as it can; when each
micro-batch was accepted stands in the catalog. The first micro-batches are compared with the last ones, and with the
first ones of a new table right after, since a machine that others share is not the same an hour later. SIGTERM ends
it early: what is told then is of as many micro-batches as there are. Called again in the same folder, also after a
kill, it goes on to a greater count, and the first micro-batches are still those of the first sitting.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from benchmarks.measuring import tree_memory

EACH = 5
"""Events of a micro-batch."""
_WIDTH = 120
_SPAN = 2000
"""Micro-batches that are compared where nobody says how many."""
_WARM = 100
"""Micro-batches at the beginning that are not measured: tables are made, code is loaded."""
_EVERY = 0.5
"""Seconds between two looks at memory and processor time."""
_PATIENCE = 120.0
"""Seconds in which a stream that is told to end does so."""
_PARENT_DEATH_SIGNAL = 1
"""Of Linux's ``prctl``."""
_TICK = os.sysconf("SC_CLK_TCK")
_SETTINGS = """
[project]
name = "aging"
pipelines = ["pipeline:clicks"]
[environments.staging]
lake = "lake"
warehouse = "t.duckdb"
"""
_PIPELINE = f"""
from penstock import Pipeline, checks, sources
clicks = Pipeline(
    name="clicks",
    sources=[sources.tail("events.jsonl", table="t", stream={{"every": "10s", "bytes": {EACH * _WIDTH}}})],
    checks={{"t": [checks.not_null("user"), checks.between("seconds", 0, 600, severity="quarantine")]}},
)
"""


@dataclass
class Watched:
    """What was seen of a table's processes while they ran, one sitting after another.

    Attributes:
        kept: The file that has it from look to look; None: nothing is kept.
        at: Moments, in seconds since 1970.
        cpu: Processor seconds by then, those of the sittings before included.
        memory: Bytes of the process tree.
        begun: When each sitting began.
    """

    kept: Path | None = None
    at: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    begun: list[float] = field(default_factory=list)
    _before: float = 0.0

    @classmethod
    def of(cls, folder: Path) -> Watched:
        """Return what was seen in a folder by the sittings before."""
        found = cls(folder / "watched.jsonl")
        lines = found.kept.read_text().splitlines() if found.kept and found.kept.exists() else []
        for line in lines:
            # A kill may have torn the last one.
            with suppress(ValueError):
                found._take(json.loads(line))
        return found

    def begin(self) -> None:
        """Begin a sitting: a new process counts its processor time from zero."""
        self._keep([time.time()])
        self._before = self.cpu[-1] if self.cpu else 0.0

    def look(self, pid: int) -> None:
        """Look once; quiet about a process that has ended."""
        try:
            used = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[11:13]
        except OSError:
            return
        self._keep([time.time(), self._before + sum(map(int, used)) / _TICK, tree_memory(pid)])

    def _keep(self, seen: list[float]) -> None:
        self._take(seen)
        if self.kept is not None:
            with open(self.kept, "a") as kept:
                kept.write(json.dumps(seen) + "\n")

    def _take(self, seen: list[float]) -> None:
        if len(seen) == 1:
            self.begun.append(seen[0])
            return
        at, cpu, memory = seen
        self.at.append(at)
        self.cpu.append(cpu)
        self.memory.append(int(memory))


def main() -> None:
    """Stream, and leave what was measured in ``aging.json``; without a number, tell how far it has come."""
    folder = Path(sys.argv[1])
    if len(sys.argv) == 2:
        print(json.dumps(measured(folder / "old", _SPAN), indent=1))
        return
    count, span = int(sys.argv[2]), int(sys.argv[3])
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    old, new = folder / "old", folder / "new"
    stream(old, count, stop)
    found = {**measured(old, span), "there": there(old), "again": again(old)}
    if not stop.is_set():
        shutil.rmtree(new, ignore_errors=True)
        stream(new, span + _WARM + 1, stop)
        found["new"] = measured(new, span)["first"]
    (folder / "aging.json").write_text(json.dumps(found))


def measured(folder: Path, span: int) -> dict[str, Any]:
    """Return what the first micro-batches of a table took, and the last; a sitting may be at work there."""
    accepted, watched = moments(folder), Watched.of(folder)
    if len(accepted) < _WARM + 2:
        raise SystemExit(f"There are {len(accepted)} micro-batches, of which the first {_WARM} are not measured")
    return {
        "count": len(accepted),
        "sittings": len(watched.begun),
        "first": window(accepted, watched, _WARM, _WARM + span),
        "last": window(accepted, watched, len(accepted) - span - 1, len(accepted) - 1),
        "tenths": tenths(accepted),
        "peak": max(watched.memory),
    }


def stream(folder: Path, count: int, stop: threading.Event) -> None:
    """Let a stream read until there are ``count`` micro-batches, or until told to stop; it goes on where one ended."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "penstock.toml").write_text(_SETTINGS)
    (folder / "pipeline.py").write_text(_PIPELINE)
    _write_events(folder / "events.jsonl", count * EACH)
    _wait_for_the_end_before(folder / "pid")
    watched = Watched.of(folder)
    watched.begin()
    with open(folder / "said.txt", "a") as said:
        begun = said.tell()
        process = subprocess.Popen(_command(), cwd=folder, stdout=said, stderr=said, preexec_fn=_end_with_its_parent)  # noqa: PLW1509 - it has no threads
        (folder / "pid").write_text(str(process.pid))
        while process.poll() is None:
            watched.look(process.pid)
            if stop.wait(_EVERY):
                process.send_signal(signal.SIGTERM)
                process.wait(_PATIENCE)
    if process.returncode and not stop.is_set():
        raise SystemExit((folder / "said.txt").read_text()[begun:][-1500:])


def _write_events(path: Path, count: int) -> None:
    """Write events behind those that are there, up to ``count``; each is as wide as the others."""
    with open(path, "ab") as events:
        there = events.tell() // _WIDTH
        # What a kill tore off is written anew: its bytes are the same.
        events.truncate(there * _WIDTH)
        for number in range(there, count):
            event = '{"id": %d, "user": "user-%d", "seconds": %d, "share": %.3f, "at": "2026-11-22T05:00Z", "more": "'
            begun = event % (number, number % 5000, number % 600, number % 1000 / 1000)
            events.write(f'{begun.ljust(_WIDTH - 3, "x")}"}}\n'.encode())


def _end_with_its_parent() -> None:
    """Let the stream be told to end if this process is killed, so that the next sitting finds the table free."""
    ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGTERM)


def _wait_for_the_end_before(noted: Path) -> None:
    """Wait for the stream of a sitting that was killed: told to end, it lands what it holds."""
    end = time.monotonic() + _PATIENCE
    while noted.exists() and time.monotonic() < end:
        try:
            command = Path(f"/proc/{noted.read_text()}/cmdline").read_bytes()
        except OSError:
            return
        if b"penstock" not in command:
            return
        time.sleep(_EVERY)


def _command() -> list[str]:
    return [sys.executable, "-m", "penstock", "stream", "--until-end"]


def moments(folder: Path) -> np.ndarray:
    """Return when each micro-batch was accepted, in seconds since 1970."""
    (catalog,) = folder.glob(".penstock/catalog.db")
    asked = "SELECT created_at FROM entries WHERE kind = 'verdict' AND table_name = 'raw_t' ORDER BY number"
    with closing(sqlite3.connect(catalog)) as connection:
        return np.array([at for (at,) in connection.execute(asked)]) / 1e6


def window(accepted: np.ndarray, watched: Watched, first: int, last: int) -> dict[str, float]:
    """Return what the micro-batches took from the one numbered ``first`` to the one numbered ``last``.

    The time between two sittings is nobody's.
    """
    first, last = max(0, first), min(last, len(accepted) - 1)
    took = np.diff(accepted[first : last + 1]) * 1000
    waited = np.searchsorted(watched.begun, accepted[first:last]) != np.searchsorted(
        watched.begun, accepted[first + 1 : last + 1]
    )
    took = took[~waited]
    begin, end = float(accepted[first]), float(accepted[last])
    inside = [size for at, size in zip(watched.at, watched.memory, strict=True) if begin <= at <= end]
    used = np.interp([begin, end], watched.at, watched.cpu)
    return {
        "batches": len(took),
        "seconds": float(took.sum()) / 1000,
        "cpu": float(used[1] - used[0]),
        "peak": max(inside, default=max(watched.memory)),
        "p50": float(np.percentile(took, 50)),
        "p99": float(np.percentile(took, 99)),
        "most": float(took.max()),
    }


def tenths(accepted: np.ndarray) -> list[float]:
    """Return the median milliseconds of a micro-batch in each tenth of all."""
    return [float(np.median(part)) * 1000 for part in np.array_split(np.diff(accepted[_WARM:]), 10) if len(part)]


def there(folder: Path) -> dict[str, int]:
    """Return how much of everything there is by now, and see to it that each event is there once."""
    raw = folder / "lake/raw_t"
    with duckdb.connect(str(folder / "t.duckdb"), read_only=True) as connection:
        ((rows, ids, last),) = connection.execute("SELECT count(*), count(DISTINCT id), max(id) FROM raw_t").fetchall()
        ((loads,),) = connection.execute("SELECT count(*) FROM _penstock.loads").fetchall()
    if not rows == ids == last + 1:
        raise SystemExit(f"The warehouse has {rows} rows, {ids} ids, the last of them {last}")
    log = os.listdir(raw / "_delta_log")
    checkpoints = [name for name in log if ".checkpoint." in name]
    return {
        "rows": rows,
        "loads": loads,
        "manifests": len(os.listdir(raw / "_manifests")),
        "live files": len(_live(raw)),
        "files": sum(len(files) for at, _, files in os.walk(raw) if "/_" not in at.removeprefix(str(folder))),
        "log": len(log),
        "checkpoint": (raw / "_delta_log" / max(checkpoints)).stat().st_size if checkpoints else 0,
        "catalog": sum(path.stat().st_size for path in folder.glob(".penstock/*")),
        "warehouse": (folder / "t.duckdb").stat().st_size,
    }


def _live(raw: Path) -> Sequence[str]:
    from deltalake import DeltaTable

    return DeltaTable(str(raw)).file_uris()


def again(folder: Path) -> dict[str, float]:
    """Return what it takes to begin again where there is nothing new, and the memory of that."""
    watched, begun = Watched(), time.monotonic()
    process = subprocess.Popen(_command(), cwd=folder, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        watched.look(process.pid)
        time.sleep(0.02)
    return {"seconds": time.monotonic() - begun, "peak": max(watched.memory)}


def note(told: dict[str, Any]) -> str:
    """Return what was found in sentences."""
    found = told["there"]
    shown = "; ".join(
        f"{name}: p50 {each['p50']:.0f} ms, p99 {each['p99']:.0f} ms, most {each['most']:.0f} ms, "
        f"{1000 * each['cpu'] / each['batches']:.0f} ms of processor time"
        for name in ("first", "last", "new")
        if (each := told.get(name))
    )
    return (
        f"A micro-batch of {EACH} events, landed, checked and loaded: {shown}. Median by tenths of all: "
        f"{', '.join(f'{each:.0f}' for each in told['tenths'])} ms. Memory at most {told['peak'] / 1e6:,.0f} MB. After "
        f"{told['count']:,} micro-batches in {told['sittings']:,} sitting(s) there are {found['rows']:,} rows, "
        f"{found['live files']:,} live files of {found['files']:,}, {found['manifests']:,} manifests, "
        f"{found['log']:,} files of the Delta log, a checkpoint of {found['checkpoint'] / 1e6:.1f} MB, "
        f"{found['loads']:,} loads in the warehouse's ledger, and a catalog of {found['catalog'] / 1e6:,.0f} MB; "
        f"beginning again takes {told['again']['seconds']:.1f} s and "
        f"{told['again']['peak'] / 1e6:,.0f} MB."
    )


if __name__ == "__main__":
    main()
