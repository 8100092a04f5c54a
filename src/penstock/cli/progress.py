"""Progress of runs: live on a terminal, plain lines into a file.

Both show one line per finished interval, or per finished step where there are no intervals, and say at once what was
rejected, retried or waited for. What goes on is shown live, or by a line every five seconds.
"""

from __future__ import annotations

import sys
import time
from contextlib import AbstractContextManager
from threading import Event as Signal
from threading import Lock, Thread
from typing import Any, Literal, TextIO

from penstock.cli.figures import plural
from penstock.cli.scoreboard import Scoreboard
from penstock.model.events import (
    Event,
    Observer,
)

QUIET_SECONDS = 5.0


def progress_to(stream: Literal["stdout", "stderr"]) -> AbstractContextManager[Observer]:
    """Return the display for a stream: live if it is a terminal."""
    target = sys.stdout if stream == "stdout" else sys.stderr
    if target.isatty():
        from penstock.cli.live import LiveProgress

        return LiveProgress(target)
    return PlainProgress(target)


class PlainProgress:
    """Lines for a file or a pipe: no colours, nothing overwritten.

    Args:
        stream: Where the lines go.
        quiet: Seconds after which a step that goes on gets a line.
    """

    def __init__(self, stream: TextIO, quiet: float = QUIET_SECONDS) -> None:
        self._stream = stream
        self._quiet = quiet
        self._lock = Lock()
        self._board = Scoreboard(self._say)
        self._said = time.monotonic()
        self._stop = Signal()
        self._clock = Thread(target=self._tick, daemon=True, name="progress")

    def __enter__(self) -> Observer:
        self._clock.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._stop.set()
        self._clock.join()
        with self._lock:
            self._board.end_phase(time.monotonic())

    def __call__(self, event: Event, /) -> None:
        """Take in one event."""
        with self._lock:
            self._board.take(event)

    def _say(self, text: str, style: str) -> None:  # noqa: ARG002 - a file has no styles
        self._said = time.monotonic()
        # Whoever reads our output may have gone; a display never ends a run.
        try:
            self._stream.write(text + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            self._stop.set()

    def _tick(self) -> None:
        while not self._stop.wait(self._quiet / 5):
            with self._lock:
                now = time.monotonic()
                running = [step for step in self._board.running.values() if now - step.begun >= self._quiet]
                if running and now - self._said >= self._quiet:
                    longest = min(running, key=lambda step: step.begun)
                    others = f"  (and {plural(len(running) - 1, 'other step')})" if len(running) > 1 else ""
                    self._say(f"… {longest.name}  {longest.line(now)}{others}", "faint")
