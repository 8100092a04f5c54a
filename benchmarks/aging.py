"""A table that gets micro-batch after micro-batch: ``python -m benchmarks.aging FOLDER COUNT SPAN``.

A stream reads a file of events, five at a time, into lake and warehouse, each once and as fast as it can; when each
micro-batch was accepted stands in the catalog. The first micro-batches are compared with the last ones, and with the
first ones of a new table right after, since a machine that others share is not the same an hour later. SIGTERM ends
it early: what is told then is of as many micro-batches as there are.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from benchmarks.measuring import tree_memory

EACH = 5
"""Events of a micro-batch."""
_WIDTH = 120
_WARM = 100
"""Micro-batches at the beginning that are not measured: tables are made, code is loaded."""
_EVERY = 0.5
"""Seconds between two looks at memory and processor time."""
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
    """What was seen of a process while it ran: moments, processor seconds, and bytes of its tree."""

    at: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)

    def look(self, pid: int) -> None:
        """Look once; quiet about a process that has ended."""
        try:
            used = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[11:13]
        except OSError:
            return
        self.at.append(time.time())
        self.cpu.append(sum(map(int, used)) / _TICK)
        self.memory.append(tree_memory(pid))


def main() -> None:
    """Stream, and leave what was measured in ``aging.json``."""
    folder, count, span = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    old, new = folder / "old", folder / "new"
    watched = stream(old, count, stop)
    accepted = moments(old)
    found = {
        "count": len(accepted),
        "first": window(accepted, watched, _WARM, _WARM + span),
        "last": window(accepted, watched, len(accepted) - span - 1, len(accepted) - 1),
        "tenths": tenths(accepted),
        "peak": max(watched.memory),
        "there": there(old),
        "again": again(old),
    }
    watched = stream(new, span + _WARM + 1, threading.Event())
    found["new"] = window(moments(new), watched, _WARM, _WARM + span)
    (folder / "aging.json").write_text(json.dumps(found))


def stream(folder: Path, count: int, stop: threading.Event) -> Watched:
    """Let a stream read ``count`` micro-batches, or until told to stop."""
    folder.mkdir()
    (folder / "penstock.toml").write_text(_SETTINGS)
    (folder / "pipeline.py").write_text(_PIPELINE)
    with open(folder / "events.jsonl", "w") as events:
        for number in range(count * EACH):
            event = '{"id": %d, "user": "user-%d", "seconds": %d, "share": %.3f, "at": "2026-11-22T05:00Z", "more": "'
            begun = event % (number, number % 5000, number % 600, number % 1000 / 1000)
            events.write(begun.ljust(_WIDTH - 3, "x") + '"}\n')
    watched = Watched()
    with open(folder / "said.txt", "w") as said:
        process = subprocess.Popen(_command(), cwd=folder, stdout=said, stderr=said)
        while process.poll() is None:
            watched.look(process.pid)
            if stop.wait(_EVERY):
                process.send_signal(signal.SIGTERM)
                process.wait(120)
    if process.returncode and not stop.is_set():
        raise SystemExit((folder / "said.txt").read_text()[-1500:])
    return watched


def _command() -> list[str]:
    return [sys.executable, "-m", "penstock", "stream", "--until-end"]


def moments(folder: Path) -> np.ndarray:
    """Return when each micro-batch was accepted, in seconds since 1970."""
    (catalog,) = folder.glob(".penstock/catalog.db")
    asked = "SELECT created_at FROM entries WHERE kind = 'verdict' AND table_name = 'raw_t' ORDER BY number"
    with sqlite3.connect(catalog) as connection:
        return np.array([at for (at,) in connection.execute(asked)]) / 1e6


def window(accepted: np.ndarray, watched: Watched, first: int, last: int) -> dict[str, float]:
    """Return what the micro-batches took from the one numbered ``first`` to the one numbered ``last``."""
    first, last = max(0, first), min(last, len(accepted) - 1)
    took = np.diff(accepted[first : last + 1]) * 1000
    begin, end = float(accepted[first]), float(accepted[last])
    inside = [size for at, size in zip(watched.at, watched.memory, strict=True) if begin <= at <= end]
    used = np.interp([begin, end], watched.at, watched.cpu)
    return {
        "batches": last - first,
        "seconds": end - begin,
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
    first, last, new, found = (told[each] for each in ("first", "last", "new", "there"))
    shown = "; ".join(
        f"{name}: p50 {each['p50']:.0f} ms, p99 {each['p99']:.0f} ms, most {each['most']:.0f} ms, "
        f"{1000 * each['cpu'] / each['batches']:.0f} ms of processor time"
        for name, each in (("first", first), ("last", last), ("new", new))
    )
    return (
        f"A micro-batch of {EACH} events, landed, checked and loaded: {shown}. Median by tenths of all: "
        f"{', '.join(f'{each:.0f}' for each in told['tenths'])} ms. Memory at most {told['peak'] / 1e6:,.0f} MB. After "
        f"{told['count']:,} micro-batches there are {found['rows']:,} rows, {found['live files']:,} live files of "
        f"{found['files']:,}, {found['manifests']:,} manifests, {found['log']:,} files of the Delta log, a checkpoint "
        f"of {found['checkpoint'] / 1e6:.1f} MB, {found['loads']:,} loads in the warehouse's ledger, and a catalog of "
        f"{found['catalog'] / 1e6:,.0f} MB; beginning again takes {told['again']['seconds']:.1f} s and "
        f"{told['again']['peak'] / 1e6:,.0f} MB."
    )


if __name__ == "__main__":
    main()
