"""A crew: processes of Penstock that are kept at work, whatever ends them; how they end by themselves is remembered."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from enum import Enum
from pathlib import Path
from random import Random

from benchmarks.measuring import tree_memory
from trouble import Wait

from penstock.orchestrate.context import LEASE_SECONDS

_AGAIN = 1.0
"""Seconds after which one that ended by itself is begun again, as a supervisor would."""
_ORDERLY = 300.0
"""Seconds within which one that is told to end must have ended."""


class Company(Enum):
    """Whether another can work while one sleeps: never, when its lease is over, or at once."""

    NONE = "none"
    AFTER = "after"
    BESIDE = "beside"


class Crew:
    """Processes of one command, of which as many are kept at work as are wanted.

    Args:
        folder: The project.
        said: The folder for what they say; on another disk than the project, which is filled.
        arguments: The command.
        size: How many are wanted.
        company: Whether another is begun while one sleeps.

    Attributes:
        endings: How those ended that ended by themselves: the exit code, and how often.
        begun: How many were begun.
        peak: The greatest resident memory of one of them and all below it, bytes.
    """

    def __init__(
        self, folder: Path, said: Path, arguments: tuple[str, ...], size: int = 1, company: Company = Company.NONE
    ) -> None:
        self.size = size
        self._company = company
        self.endings: Counter[int] = Counter()
        self.begun = 0
        self.peak = 0
        self._folder = folder
        self._said = said
        said.mkdir(exist_ok=True)
        self._arguments = arguments
        self._members: list[subprocess.Popen[bytes]] = []
        self._asleep: set[int] = set()
        self._killed: set[int] = set()
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._due = 0.0
        self._tending = threading.Thread(target=self._tend, daemon=True)

    def __enter__(self) -> Crew:
        self._tending.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end_tending()
        for member in self._members:
            member.kill()
            member.wait()

    def kill(self, chance: Random, wait: Wait) -> str:
        """Kill one of them a moment later, be it asleep or awake; another is begun at once."""
        wait(chance.uniform(0, 0.2))
        with self._lock:
            if not self._members:
                return "nobody"
            chosen = chance.choice(self._members)
            self._killed.add(chosen.pid)
            chosen.kill()
            return f"{self._arguments[0]} {chosen.pid}"

    def sleep(self, longest: float, chance: Random, wait: Wait) -> str:
        """Stop one of them wherever it is, and let it go on after a while; another may be begun meanwhile.

        Where naps may be long, some outlast the leases that the sleeper holds.
        """
        outlasts = chance.random() < longest / 100
        seconds = LEASE_SECONDS * chance.uniform(1.1, 1.3) if outlasts else chance.uniform(0.3, longest)
        alone = {Company.BESIDE: 0.0, Company.AFTER: min(seconds, LEASE_SECONDS), Company.NONE: seconds}[self._company]
        with self._lock:
            awake = [member for member in self._members if member.pid not in self._asleep and member.poll() is None]
            if not awake:
                return "nobody"
            chosen = chance.choice(awake)
            self._asleep.add(chosen.pid)
            chosen.send_signal(signal.SIGSTOP)
        wait(alone)
        if alone < seconds:
            self.size += 1
            wait(seconds - alone)
            self.size -= 1
        with self._lock:
            self._asleep.discard(chosen.pid)
            if chosen in self._members:
                chosen.send_signal(signal.SIGCONT)
        return f"{self._arguments[0]} {chosen.pid} for {seconds:.1f} s"

    def end(self) -> list[int]:
        """Tell all to end, and wait for it; returns how they ended, but for those that were killed a moment ago."""
        self._end_tending()
        for member in self._members:
            member.terminate()
        ended = [self._ended(member) for member in self._members]
        killed = [member.pid in self._killed for member in self._members]
        self._members.clear()
        return [code for code, was_killed in zip(ended, killed, strict=True) if not was_killed]

    def words(self) -> str:
        """Return what all have said."""
        return "\n".join(path.read_text(errors="replace") for path in sorted(self._said.glob(self._named("*"))))

    def tracebacks(self) -> list[str]:
        """Return what was said that nobody should hear."""
        lines = self.words().splitlines()
        return ["\n".join(lines[at : at + 40]) for at, line in enumerate(lines) if line.startswith("Traceback")]

    def _ended(self, member: subprocess.Popen[bytes]) -> int:
        try:
            return member.wait(_ORDERLY)
        except subprocess.TimeoutExpired:
            # It says what each of its threads is doing.
            member.send_signal(signal.SIGABRT)
            return member.wait()

    def _named(self, number: object) -> str:
        return f"{self._arguments[0]}-{number}.txt"

    def _end_tending(self) -> None:
        self._over.set()
        self._tending.join()
        for member in self._members:
            with contextlib.suppress(ProcessLookupError):
                member.send_signal(signal.SIGCONT)

    def _tend(self) -> None:
        while not self._over.wait(0.2):
            with self._lock:
                self._reap()
                if len(self._members) < self.size and time.monotonic() >= self._due:
                    self._members.append(self._begin())
                for member in list(self._members):
                    self.peak = max(self.peak, tree_memory(member.pid))

    def _reap(self) -> None:
        for member in list(self._members):
            code = member.poll()
            if code is None:
                continue
            self._members.remove(member)
            self._asleep.discard(member.pid)
            if member.pid not in self._killed:
                self.endings[code] += 1
                self._due = time.monotonic() + _AGAIN

    def _begin(self) -> subprocess.Popen[bytes]:
        self.begun += 1
        with open(self._said / self._named(f"{self.begun:05}"), "wb") as said:
            return subprocess.Popen(
                [sys.executable, "-X", "faulthandler", "-m", "penstock", *self._arguments],
                cwd=self._folder,
                stdout=said,
                stderr=said,
            )
