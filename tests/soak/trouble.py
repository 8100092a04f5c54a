"""Trouble: hurts of several kinds at drawn moments, one or two at a time, each of which is over after a while."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from random import Random

from servers.forwarder import Forwarder

Wait = Callable[[float], None]
Hurt = Callable[[Random, Wait], str]
"""Hurts something, waits, heals it, and returns what it was; what is drawn is drawn from the first argument."""


class Trouble:
    """Makes trouble until told to stop.

    Args:
        hurts: The kinds, by name.
        seed: Of what is drawn; the order of the kinds, what they choose and how long they last follow from it.
        diary: The file that says what was hurt when, a line of JSON each.
        rest: The longest time between two hurts, seconds.
        hands: How many hurts there are at a time, each of another kind.
    """

    def __init__(self, hurts: Mapping[str, Hurt], seed: str, diary: Path, *, rest: float = 1.0, hands: int = 2) -> None:
        self.counts: Counter[str] = Counter()
        self._hurts = hurts
        self._diary = diary
        self._rest = rest
        self._over = threading.Event()
        self._begun = time.monotonic()
        self._busy = {name: threading.Lock() for name in hurts}
        self._writing = threading.Lock()
        self._errors: list[BaseException] = []
        self._hands = [
            threading.Thread(target=self._make, args=(Random(f"{seed} {hand}"),), daemon=True) for hand in range(hands)
        ]

    def __enter__(self) -> Trouble:
        for hand in self._hands:
            hand.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for hand in self._hands:
            hand.join()
        if self._errors:
            raise self._errors[0]

    def _make(self, chance: Random) -> None:
        try:
            # Each hand brings every kind of trouble once before it draws.
            waiting = chance.sample(sorted(self._hurts), len(self._hurts))
            while not self._over.is_set():
                name = waiting.pop() if waiting else chance.choice(sorted(self._hurts))
                if self._busy[name].acquire(blocking=False):
                    try:
                        self._hurt(name, chance)
                    finally:
                        self._busy[name].release()
                self._over.wait(chance.uniform(0, self._rest))
        except BaseException as error:
            self._errors.append(error)
            raise

    def _hurt(self, name: str, chance: Random) -> None:
        begun = time.monotonic()
        what = self._hurts[name](chance, self._wait)
        ended = time.monotonic()
        with self._writing, self._diary.open("a") as diary:
            self.counts[name] += 1
            line = {"at": round(begun - self._begun, 2), "seconds": round(ended - begun, 2), "hurt": name, "what": what}
            diary.write(json.dumps(line) + "\n")

    def _wait(self, seconds: float) -> None:
        self._over.wait(seconds)


def line_hurts(line: Forwarder, longest: float) -> dict[str, Hurt]:
    """Return what can be done to a line: cut, and taken up again; or open, and nothing comes through."""

    def cut(chance: Random, wait: Wait) -> str:
        line.cut()
        wait(chance.uniform(0, longest / 2))
        line.start()
        return "all connections"

    def stall(chance: Random, wait: Wait) -> str:
        line.stall()
        wait(chance.uniform(0.2, longest))
        line.flow()
        return "all connections"

    return {"cut": cut, "stall": stall}


class Disk:
    """A disk of its own for a folder, that can be full.

    Attributes:
        folder: Where it is mounted.
    """

    def __init__(self, folder: Path, size: str) -> None:
        self.folder = folder
        self._size = size

    def full(self, longest: float, chance: Random, wait: Wait) -> str:
        """Let it be full, or nearly so, for a while."""
        room = chance.choice([0, 20_000, 200_000, 2_000_000])
        self._resized(room)
        wait(chance.uniform(longest / 3, longest))
        subprocess.run(["mount", "-o", f"remount,size={self._size}", self.folder], check=True)
        return f"{room} bytes left"

    def _resized(self, room: int) -> None:
        for _ in range(20):
            there = os.statvfs(self.folder)
            size = (there.f_blocks - there.f_bfree) * there.f_frsize + room
            # The kernel refuses a size below what is used, which grows meanwhile.
            done = subprocess.run(
                ["mount", "-o", f"remount,size={max(size, 4096)}", self.folder], capture_output=True, check=False
            )
            if not done.returncode:
                return
        raise OSError(f"{self.folder} could not be made full")


@contextmanager
def disk(folder: Path, size: str) -> Iterator[Disk | None]:
    """Give a folder a disk of its own; None where none can be mounted."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        yield None
        return
    try:
        yield Disk(folder, size)
    finally:
        subprocess.run(["umount", folder], check=True)
