"""Live progress on a terminal, with rich: what goes on stays at the bottom, what ended scrolls away above it."""

from __future__ import annotations

import time
from threading import Lock
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.table import Table
from rich.text import Text

from penstock.cli.figures import count, duration, rate
from penstock.cli.scoreboard import Scoreboard
from penstock.cli.terminal import STYLES
from penstock.model.events import Event, Observer

_PER_SECOND = 4
_MOST_STEPS = 8


class LiveProgress:
    """A display that is redrawn four times a second.

    Args:
        stream: The terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream, highlight=False, emoji=False, markup=False)
        self._lock = Lock()
        self._board = Scoreboard(self._say)
        self._live = Live(self, console=self._console, refresh_per_second=_PER_SECOND, transient=True)

    def __enter__(self) -> Observer:
        self._live.start()
        return self

    def __exit__(self, *_: Any) -> None:
        with self._lock:
            self._board.end_phase(time.monotonic())
            self._board.running.clear()
        self._live.stop()

    def __call__(self, event: Event, /) -> None:
        """Take in one event."""
        with self._lock:
            self._board.take(event)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the steps at work and the sums; called by rich from its own thread."""
        now = time.monotonic()
        running = list(self._board.running.values())
        grid = Table.grid(padding=(0, 2))
        grid.add_column(no_wrap=True)
        grid.add_column(no_wrap=True, overflow="ellipsis")
        for step in sorted(running, key=lambda each: each.begun)[:_MOST_STEPS]:
            grid.add_row(Text(f"  {step.name}", style="cyan"), Text(step.line(now)))
        yield grid
        yield Text(self._sums(now), style="bold", overflow="ellipsis", no_wrap=True)

    def _sums(self, now: float) -> str:
        seconds = now - self._board.begun
        phase, rows = self._board.phase, self._board.whole.rows
        place = (
            f"{phase.title}  {phase.done + 1}/{phase.total}"
            if phase and phase.interval
            else phase.title
            if phase
            else ""
        )
        left = ""
        if phase and phase.interval and phase.done > 2:
            left = f"about {duration(seconds / phase.done * (phase.total - phase.done))} left"
        parts = [place, f"{count(rows)} rows" if rows else "", rate(rows, seconds), duration(seconds), left]
        return "  ".join(filter(None, parts))

    def _say(self, text: str, style: str) -> None:
        self._console.print(Text(text, style=STYLES[style]))
