"""Telling the story in a child, killing it, telling it again; and the states between chapters, made once."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import story

HERE = Path(__file__).parent
NAMES = tuple(chapter.__name__ for chapter in story.CHAPTERS)
KILLED = signal.SIGKILL.value


@dataclass
class Telling:
    """How a child ended: ``status`` as waitpid gives it, and what it printed."""

    status: int
    said: str
    seconds: float


class Nursery:
    """Forks children that tell chapters of the story."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "nursery.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )

    def begin(self, folder: Path, chapters=NAMES, *, kill_at=None, before=True, with_signal=signal.SIGKILL) -> int:
        """Begin to tell chapters in a child; returns its process number.

        Args:
            folder: The project.
            chapters: Their names.
            kill_at: The number of the write at which the child kills itself; 0 only counts; None installs no hook.
            before: Whether before that write, or after it.
            with_signal: What the child sends itself; SIGSTOP lets it sleep.
        """
        asked = {"folder": str(folder), "chapters": list(chapters), "log": str(self._log)}
        if kill_at is not None:
            asked |= {"kill_at": kill_at, "before": before, "signal": int(with_signal)}
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        self._begun = time.monotonic()
        return json.loads(self._process.stdout.readline())["pid"]

    def end(self) -> Telling:
        """Wait for the child."""
        status = json.loads(self._process.stdout.readline())["status"]
        return Telling(status, self._log.read_text(errors="replace"), time.monotonic() - self._begun)

    def tell(self, folder: Path, chapters=NAMES, *, after_seconds=None, **killing) -> Telling:
        """Tell chapters to their end; see ``begin``.

        Args:
            folder: The project.
            chapters: Their names.
            after_seconds: Kill the child from outside after this time.
            **killing: As in ``begin``.
        """
        pid = self.begin(folder, chapters, **killing)
        if after_seconds is not None:
            time.sleep(after_seconds)
            # The nursery may have waited for it by now.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return self.end()

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()


@dataclass
class Reference:
    """The story without a kill: the state before each chapter and after the last, and what each chapter wrote.

    ``writes`` and ``seconds`` are per chapter; ``states`` holds one folder more than there are chapters.
    """

    states: list[Path]
    writes: list[list[str]]
    seconds: list[float]


def reference(folder: Path, nursery: Nursery) -> Reference:
    """Tell the story chapter by chapter, or read what another worker of the same session has told."""
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / "reference.json"
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            found = _told(folder, nursery)
            made.write_text(json.dumps({"writes": found.writes, "seconds": found.seconds}))
    facts = json.loads(made.read_text())
    return Reference([folder / f"state-{n}" for n in range(len(NAMES) + 1)], facts["writes"], facts["seconds"])


def _told(folder: Path, nursery: Nursery) -> Reference:
    first = folder / "state-0"
    shutil.copytree(HERE / "project", first, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run([sys.executable, "-c", "import shop_data; shop_data.make()"], cwd=first, check=True)
    states, writes, seconds = [first], [], []
    for number, name in enumerate(NAMES, 1):
        state = copy(states[-1], folder / f"state-{number}")
        counted = nursery.tell(state, [name], kill_at=0)
        assert counted.status == 0, counted.said
        states.append(state)
        writes.append([line for line in counted.said.splitlines() if line.startswith("write ")])
        seconds.append(counted.seconds)
    return Reference(states, writes, seconds)


def copy(source: Path, target: Path) -> Path:
    """Copy a project with its hard links."""
    shutil.rmtree(target, ignore_errors=True)
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)
    return target


def drawn(count: int, salt: str) -> list[random.Random]:
    """Return generators of chance for so many kills; ``PENSTOCK_CRASH_SEED`` chooses others."""
    seed = os.environ.get("PENSTOCK_CRASH_SEED", "1")
    return [random.Random(f"{seed} {salt} {number}") for number in range(count)]


def tally(line: str) -> None:
    """Note something for the summary of ``.ci/soak``."""
    if "PENSTOCK_CRASH_TALLY" in os.environ:
        with open(os.environ["PENSTOCK_CRASH_TALLY"], "a") as file:
            file.write(line + "\n")
