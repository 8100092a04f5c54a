"""Runs whole processes in alternating order, and takes their time, memory and answers."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

_PAGE = os.sysconf("SC_PAGE_SIZE")
_EVERY = 0.02
"""Seconds between two looks at the memory."""


class ContestantFailedError(Exception):
    """A contestant ended with an error, or with another answer than it should."""


@dataclass(frozen=True)
class Contestant:
    """One way to do the work.

    Attributes:
        name: As it stands in the table.
        command: The process; ``{out}`` is replaced by a fresh folder.
        answer: Looks at what stands in that folder afterwards; not measured.
        base: A folder that is copied to the fresh one before; not measured.
        environment: Variables beside those of this process.
    """

    name: str
    command: Sequence[str]
    answer: Callable[[Path], Any]
    base: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Sample:
    """One run: wall seconds, greatest memory of the process tree in bytes, and what came out."""

    seconds: float
    peak: int
    answer: Any


@dataclass(frozen=True)
class Line:
    """All runs of one contestant.

    Attributes:
        name: Of the contestant.
        samples: By round.
        ratios: To the yardstick, round by round, so that the drift of a shared machine cancels; empty without one.
        rows: Where they are not those of the table.
    """

    name: str
    samples: Sequence[Sample]
    ratios: Sequence[float] = ()
    rows: int | None = None

    @property
    def seconds(self) -> float:
        """Median of the wall seconds."""
        return median(sample.seconds for sample in self.samples)

    @property
    def ratio(self) -> float | None:
        """Median of the ratios; None without a yardstick."""
        return median(self.ratios) if self.ratios else None

    @property
    def peak(self) -> int:
        """Greatest memory of the process tree in any round, bytes."""
        return max(sample.peak for sample in self.samples)


def compete(contestants: Sequence[Contestant], rounds: int) -> list[Line]:
    """Run all contestants in turn (A B C, C B A, …); the first is the yardstick.

    Raises:
        ContestantFailedError: If one fails, or if their answers differ.
    """
    samples: dict[str, list[Sample]] = {one.name: [] for one in contestants}
    for number in range(rounds):
        for one in contestants if number % 2 == 0 else reversed(contestants):
            samples[one.name].append(once(one))
    yardstick = samples[contestants[0].name]
    expected = yardstick[0].answer
    for name, taken in samples.items():
        for sample in taken:
            if sample.answer != expected:
                raise ContestantFailedError(f"{name} gives {sample.answer}, the yardstick {expected}")
    return [
        Line(name, taken, [mine.seconds / theirs.seconds for mine, theirs in zip(taken, yardstick, strict=True)])
        for name, taken in samples.items()
    ]


def once(one: Contestant) -> Sample:
    """Run one contestant in a fresh folder."""
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
        out = Path(folder) / "out"
        if one.base is None:
            out.mkdir()
        else:
            shutil.copytree(one.base, out)
        os.sync()
        seconds, peak = _watched([part.replace("{out}", str(out)) for part in one.command], one)
        return Sample(seconds, peak, one.answer(out))


def _watched(command: Sequence[str], one: Contestant) -> tuple[float, int]:
    peak = 0
    with tempfile.TemporaryFile("w+") as said:
        begun = time.monotonic()
        environment = {**os.environ, **one.environment}
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, env=environment)
        while True:
            peak = max(peak, tree_memory(process.pid))
            try:
                process.wait(_EVERY)
                break
            except subprocess.TimeoutExpired:
                continue
        seconds = time.monotonic() - begun
        if process.returncode:
            said.seek(0)
            raise ContestantFailedError(f"{one.name} ended with {process.returncode}: {said.read()[-1500:]}")
    return seconds, peak


def tree_memory(root: int) -> int:
    """Return the resident bytes of a process and all below it."""
    total, waiting = 0, [root]
    while waiting:
        pid = waiting.pop()
        try:
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
            for thread in os.listdir(f"/proc/{pid}/task"):
                waiting += map(int, Path(f"/proc/{pid}/task/{thread}/children").read_text().split())
        except (OSError, ValueError, IndexError):
            continue
    return total
