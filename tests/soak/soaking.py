"""A soak from beginning to end: a load, crews at work, trouble for a while, then peace until everything is there."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from crew import Crew
from trouble import Hurt, Trouble
from verdict import Asked, Verdict

from streams.stream_project import until

_FINISHED = 900.0
"""Seconds within which a load must be over after the trouble, and again everything must be there."""

_ENDED = frozenset({0, 143, -signal.SIGTERM, -signal.SIGINT})
"""How those end that are told to: in order; just begun, by the signal, or by SIGINT where it meets an import."""


class Load(Protocol):
    """What is produced, changed or sent."""

    def wait(self, timeout: float) -> int:
        """Wait until all of it is; 0 if it is."""
        ...

    def kill(self) -> None:
        """End it now, if it is not over."""
        ...


@dataclass(frozen=True)
class Soak:
    """What is soaked.

    Attributes:
        name: As the verdict calls it.
        asked: How long and how much.
        folder: For diary and verdict.
        project: The project.
        crews: Its processes.
        ready: Says whether load and trouble may begin.
        begin: Begins the load.
        hurts: The kinds of trouble.
        fine: Exit codes of processes that are no finding: what they depend on was away.
        compare: Compares every place with what was produced.
    """

    name: str
    asked: Asked
    folder: Path
    project: Path
    crews: Sequence[Crew]
    ready: Callable[[], bool]
    begin: Callable[[], Load]
    hurts: Mapping[str, Hurt]
    fine: frozenset[int]
    compare: Callable[[Verdict], None]


def soaked(soak: Soak) -> Verdict:
    """Soak; afterwards everything that was produced is there, once.

    Raises:
        AssertionError: Something is lost or doubled, or a process ended as it should not.
    """
    asked, diary = soak.asked, soak.folder / "diary.jsonl"
    print(f"{soak.name}: seed {asked.seed}, {asked.events} events, {asked.seconds} s, diary {diary}", flush=True)
    verdict = Verdict(soak.name, asked)
    until(soak.ready)
    load = soak.begin()
    try:
        with Trouble(soak.hurts, asked.seed, diary) as trouble:
            threading.Event().wait(asked.seconds)
        healed = time.monotonic()
        assert load.wait(_FINISHED) == 0, "not all of the load could be brought"
    finally:
        load.kill()
    for crew in soak.crews:
        ended = crew.end()
        assert set(ended) <= _ENDED | soak.fine, f"{ended}\n{crew.words()[-4000:]}"
    drained = subprocess.run(
        [sys.executable, "-m", "penstock", "stream", "--until-end"],
        cwd=soak.project,
        capture_output=True,
        text=True,
        timeout=_FINISHED,
        check=False,
    )
    assert drained.returncode == 0, drained.stdout + drained.stderr
    verdict.drained = round(time.monotonic() - healed, 1)
    verdict.hurts = dict(trouble.counts)
    verdict.crews(soak.crews)
    soak.compare(verdict)
    verdict.tell(soak.folder)
    for crew in soak.crews:
        assert set(crew.endings) <= soak.fine, f"{crew.endings}\n{crew.words()[-8000:]}"
        assert not crew.tracebacks(), crew.tracebacks()[:3]
    assert verdict.equal, verdict
    return verdict
