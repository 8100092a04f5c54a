"""Runs whole processes in alternating order, and takes their time, memory and answers."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

_PAGE = os.sysconf("SC_PAGE_SIZE")
_EVERY = 0.02
"""Seconds between two looks at the memory."""


def cpu_of_children() -> float:
    """Return the processor seconds of all children that have ended, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


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
        peer: Runs in the first round only, and may give another answer, which is told.
    """

    name: str
    command: Sequence[str]
    answer: Callable[[Path], Any]
    base: Path | None = None
    peer: bool = False


@dataclass(frozen=True)
class Sample:
    """One run: wall and processor seconds, greatest memory of the process tree in bytes, and what came out."""

    seconds: float
    cpu: float
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
        differs: What a peer gave otherwise.
    """

    name: str
    samples: Sequence[Sample]
    ratios: Sequence[float] = ()
    rows: int | None = None
    differs: str = ""

    @property
    def seconds(self) -> float:
        """Median of the wall seconds."""
        return median(sample.seconds for sample in self.samples)

    @property
    def cpu(self) -> float:
        """Median of the processor seconds of the process and its children; a server's are not among them."""
        return median(sample.cpu for sample in self.samples)

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
            if number == 0 or not one.peer:
                samples[one.name].append(once(one))
    yardstick = samples[contestants[0].name]
    expected = yardstick[0].answer
    lines = []
    for one in contestants:
        taken = samples[one.name]
        wrong = [sample.answer for sample in taken if sample.answer != expected]
        if wrong and not one.peer:
            raise ContestantFailedError(f"{one.name} gives {wrong[0]}, the yardstick {expected}")
        ratios = [mine.seconds / theirs.seconds for mine, theirs in zip(taken, yardstick, strict=False)]
        lines.append(Line(one.name, taken, ratios, differs=_difference(wrong[0], expected) if wrong else ""))
    return lines


def _difference(answer: Any, expected: Any) -> str:
    if not isinstance(answer, tuple) or len(answer) != len(expected):
        return f"gives {answer} instead of {expected}"
    pairs = [pair for pair in zip(answer, expected, strict=True) if pair[0] != pair[1]]
    if len(pairs) == 1 and isinstance(pairs[0][0], tuple):
        return _difference(*pairs[0])
    return "gives " + ", ".join(f"{mine} instead of {theirs}" for mine, theirs in pairs)


def once(one: Contestant) -> Sample:
    """Run one contestant in a fresh folder."""
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
        out = Path(folder) / "out"
        if one.base is None:
            out.mkdir()
        else:
            shutil.copytree(one.base, out)
        os.sync()
        before = cpu_of_children()
        seconds, peak = _watched([part.replace("{out}", str(out)) for part in one.command], one)
        return Sample(seconds, cpu_of_children() - before, peak, one.answer(out))


def _watched(command: Sequence[str], one: Contestant) -> tuple[float, int]:
    peak = 0
    with tempfile.TemporaryFile("w+") as said:
        begun = time.monotonic()
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)
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
