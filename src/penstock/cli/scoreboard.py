"""What is known of a run from its events, for the displays."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import field

from penstock.cli.figures import count, duration, plural, rate, size
from penstock.model.events import (
    Event,
    Phase,
    StepAdvanced,
    StepRetried,
    StepStarted,
    Streamed,
    Waiting,
)
from penstock.model.interval import Interval
from penstock.model.receipts import State, StepReceipt
from penstock.values import dataclass

Say = Callable[[str, str], None]
"""Prints a line with a style."""


@dataclass(slots=True)
class RunningStep:
    """A step that goes on."""

    name: str
    begun: float
    rows: int = 0
    bytes: int = 0

    def line(self, now: float) -> str:
        """Return what is known of it: rows, rate, bytes, time."""
        seconds = now - self.begun
        parts = [f"{count(self.rows)} rows" if self.rows else "", rate(self.rows, seconds)]
        parts += [size(self.bytes) if self.bytes else "", duration(seconds)]
        return "  ".join(filter(None, parts))


@dataclass(slots=True)
class Tally:
    """Sums over finished steps."""

    rows: int = 0
    bytes: int = 0
    quarantined: int = 0
    passed: int = 0
    failed: int = 0
    changed: bool = False
    rejected: bool = False

    def add(self, receipt: StepReceipt) -> None:
        """Take in a step; rows count where they come in, else they would count at each step."""
        if receipt.step.startswith("extract"):
            self.rows += receipt.rows
        self.bytes += receipt.bytes
        self.quarantined += receipt.quarantined
        if receipt.report is not None:
            self.passed += len(receipt.report.passed)
            self.failed += len(receipt.report.failures)
        self.changed |= receipt.state is not State.UNCHANGED and receipt.state is not State.SKIPPED
        self.rejected |= receipt.state in (State.REJECTED, State.FAILED)

    def line(self, seconds: float) -> str:
        """Return the sums."""
        if not self.changed:
            return "unchanged"
        parts = [
            f"{count(self.rows)} rows",
            size(self.bytes),
            rate(self.rows, seconds),
            _checks(self.passed, self.failed),
        ]
        parts += [f"{count(self.quarantined)} set aside" if self.quarantined else "", duration(seconds)]
        parts.append("rejected" if self.rejected else "")
        return "  ".join(filter(None, parts))


@dataclass(slots=True)
class Scoreboard:
    """What is known of a run from its events; the displays print what it tells them to.

    Attributes:
        say: Prints a line that stays.
        phase: The interval at work, or None.
        running: The steps at work.
        whole: Sums over the run.
    """

    say: Say
    phase: Phase | None = None
    phase_begun: float = 0.0
    begun: float = field(default_factory=time.monotonic)
    running: dict[str, RunningStep] = field(default_factory=dict)
    whole: Tally = field(default_factory=Tally)
    _intervals: dict[Interval, Tally] = field(default_factory=dict)

    def take(self, event: Event) -> None:
        """Take in one event."""
        now = time.monotonic()
        if isinstance(event, Phase):
            self.end_phase(now)
            self.phase, self.phase_begun = event, now
        elif isinstance(event, StepStarted):
            self.running[event.step] = RunningStep(event.step, now)
        elif isinstance(event, StepAdvanced):
            step = self.running.setdefault(event.step, RunningStep(event.step, now))
            step.rows += event.rows
            step.bytes += event.bytes
        elif isinstance(event, StepRetried):
            self.say(
                f"{event.step}: {event.error} Trying again in {duration(event.wait)} (attempt {event.attempt}).", "warn"
            )
        elif isinstance(event, Waiting):
            self.say(event.sentence, "warn")
        elif isinstance(event, Streamed):
            self.say(_streamed(event), "warn" if event.quarantined else "plain")
        else:
            self._finish(event.receipt)

    def end_phase(self, now: float) -> None:
        """Print the line of the interval that ends."""
        phase, self.phase = self.phase, None
        if phase is None or phase.interval is None:
            return
        tally = self._intervals.pop(phase.interval, Tally())
        place = f"{phase.done + 1:>{len(str(phase.total))}}/{phase.total}"
        style = "bad" if tally.rejected else "warn" if tally.quarantined else "plain" if tally.changed else "faint"
        self.say(f"{phase.interval.label}  {place}  {tally.line(now - self.phase_begun)}", style)

    def _finish(self, receipt: StepReceipt) -> None:
        self.running.pop(receipt.step, None)
        self.whole.add(receipt)
        if receipt.interval is not None and (self.phase is None or self.phase.total > 0):
            self._intervals.setdefault(receipt.interval, Tally()).add(receipt)
        elif receipt.state is not State.UNCHANGED and receipt.state is not State.SKIPPED:
            self.say(f"{receipt.step}  {_receipt(receipt)}", "plain" if receipt.state is State.DONE else "bad")
        for failure in receipt.report.failures if receipt.report else ():
            if failure.severity == "error":
                where = f" {receipt.interval.label}" if receipt.interval else ""
                self.say(f"rejected: {receipt.table}{where}: {failure.check}: {failure.message}", "bad")


def _receipt(receipt: StepReceipt) -> str:
    report = receipt.report
    parts = [
        f"{count(receipt.rows)} rows",
        size(receipt.bytes) if receipt.bytes else "",
        rate(receipt.rows, receipt.seconds),
        _checks(len(report.passed), len(report.failures)) if report else "",
        f"{count(receipt.quarantined)} set aside" if receipt.quarantined else "",
        duration(receipt.seconds),
        "" if receipt.state is State.DONE else receipt.state.value,
    ]
    return "  ".join(filter(None, parts))


def _streamed(event: Streamed) -> str:
    parts = [
        f"stream {event.table}",
        f"{count(event.rows)} rows",
        plural(event.batches, "micro-batch", "micro-batches"),
        size(event.bytes),
        rate(event.rows, event.seconds),
        f"{count(event.quarantined)} set aside" if event.quarantined else "",
        "" if event.behind is None else f"{count(event.behind)} behind",
        "" if event.lag is None else f"lag {duration(event.lag)}",
    ]
    return "  ".join(filter(None, parts))


def _checks(passed: int, failed: int) -> str:
    if not passed and not failed:
        return ""
    return f"{passed} of {plural(passed + failed, 'check')} passed" if failed else f"{plural(passed, 'check')} passed"
