"""Readers in processes of their own, and how long their reads took in each phase of a test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent
_ENOUGH = 20
"""Reads of a phase of which a percentile is told."""


@dataclass
class Readers:
    """Processes that read until told to stop.

    Attributes:
        target: What they read, for the figures.
        summaries: What each printed, by its name, once they have stopped.
        phases: When each phase began and ended.
    """

    target: str
    summaries: dict[str, dict[str, Any]] = field(default_factory=dict)
    phases: dict[str, tuple[float, float]] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        began = time.time()
        yield
        self.phases[name] = (began, time.time())

    def figures(self, what: str) -> Iterator[str]:
        """Yield one line per kind of reader: the 99th percentile and the longest read of each phase."""
        for mode in dict.fromkeys(name.partition(" ")[0] for name in self.summaries):
            took = [
                (ended, seconds)
                for name, summary in self.summaries.items()
                if name.partition(" ")[0] == mode
                for ended, seconds in summary["took"]
            ]
            parts = []
            for phase, (began, until) in self.phases.items():
                found = sorted(seconds for ended, seconds in took if began <= ended - seconds and ended <= until)
                if len(found) >= _ENOUGH:
                    p50, p99 = (found[min(int(len(found) * share), len(found) - 1)] for share in (0.5, 0.99))
                    parts.append(
                        f"{phase} {len(found)} reads, p50 {p50 * 1e3:.1f} ms, p99 {p99 * 1e3:.1f} ms, "
                        f"longest {found[-1] * 1e3:.0f} ms"
                    )
            yield f"readers {self.target}, {mode}, {what}: {'; '.join(parts)}"


@contextmanager
def reading(target: str, script: str, commands: Sequence[Sequence[str]], stop: Path) -> Iterator[Readers]:
    """Start readers; at the end all must have stopped without an error.

    Args:
        target: What they read, for the figures.
        script: The program beside this file.
        commands: Its arguments, of each reader; the first one is the mode.
        stop: The file that tells them to stop.
    """
    readers = Readers(target)
    processes = []
    try:
        for command in commands:
            arguments = [sys.executable, str(_HERE / script), *command]
            processes.append(subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "reading\n", process.communicate()
        yield readers
        stop.touch()
        for number, (command, process) in enumerate(zip(commands, processes, strict=True)):
            out, error = process.communicate(timeout=120)
            assert process.returncode == 0, error
            readers.summaries[f"{command[0]} {number}"] = json.loads(out)
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def tally(lines: Iterator[str]) -> None:
    """Keep figures for the line that the soak prints, and show them."""
    for line in lines:
        print(line)
        if path := os.environ.get("PENSTOCK_CRASH_TALLY"):
            with Path(path).open("a", encoding="utf-8") as file:
                file.write(f"{line}\n")
