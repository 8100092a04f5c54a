"""Commands of schedules: serve, schedule."""

from __future__ import annotations

import json
import os
import select
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from types import FrameType
from typing import TYPE_CHECKING

import click

from penstock.cli.command import Session, command, group
from penstock.cli.groups import CommandEntry

if TYPE_CHECKING:
    from penstock.model.firings import ServeEvent
    from penstock.project import Project

_LOUD = ("failed", "retried", "trouble", "clock")


@command(
    example="""
    penstock serve
    penstock serve --parallel 2 --listen 127.0.0.1:8710
    penstock serve --once
    """
)
@click.option("--once", is_flag=True, help="Begin what is due now, wait for it, and end: for a timer of the system.")
@click.option(
    "--parallel", type=click.IntRange(1, 64), help="So many runs at once; default: as penstock.toml says, or 1."
)
@click.option("--listen", metavar="HOST:PORT", help="Take webhooks there; default: as penstock.toml says.")
def serve(session: Session, once: bool, parallel: int | None, listen: str | None) -> int:
    """Carry out the schedules of all pipelines, and take webhooks, until told to stop.

    Each run is a process of its own. Of several schedulers on one catalog one is at work, and the others stand by.
    Ctrl-C or SIGTERM: nothing more is begun, and what runs gets the time that [serve] stopping says; a second one ends
    all at once. SIGHUP reads the pipelines anew.

    Ends with 0, with --once with the code of what failed, with 143 if runs had to be stopped.
    """
    from penstock.project import Project

    with told() as signals, Project(session.folder) as project:
        say = _say_json if session.as_json else _say
        with nullcontext() if once else _webhooks(project, listen, say):
            return project.schedules.serve(say, signals, once=once, parallel=parallel)


@contextmanager
def _webhooks(project: Project, listen: str | None, say: Callable[[ServeEvent], None]) -> Iterator[None]:
    """Take webhooks beside the schedules, where a stream wants any."""
    from penstock.model.firings import ServeEvent

    inboxes, address = project.inboxes(), listen or project.config.serve.listen
    if not inboxes or not address:
        for path in inboxes:
            sentence = f"Webhooks for {path} are not taken: nobody said where to listen (--listen, or [serve] listen)."
            say(ServeEvent(at=datetime.now(UTC), event="trouble", sentence=sentence))
        yield
        return
    from penstock.web.hooks import listening

    with listening(inboxes, address) as url:
        for path, inbox in inboxes.items():
            sentence = f"Webhooks for {inbox.spec.table} are taken at {url}{path}."
            say(ServeEvent(at=datetime.now(UTC), event="listening", sentence=sentence))
        yield


@group(
    entries=(
        CommandEntry("show", "penstock.cli.serving:schedule_show", "Say what is due when, and why something waits."),
        CommandEntry("pause", "penstock.cli.serving:schedule_pause", "Have nothing of a pipeline begun."),
        CommandEntry("resume", "penstock.cli.serving:schedule_resume", "Have a pipeline begun again."),
        CommandEntry("run", "penstock.cli.serving:schedule_run", "Ask the scheduler for a run now."),
    ),
    example="""
    penstock schedule
    penstock schedule pause flights
    """,
    default="show",
    alone=True,
)
def schedule() -> None:
    """Look at schedules, pause and resume them; without a command: show."""


@command(name="show", example="penstock schedule show flights --limit 5")
@click.argument("pipeline", required=False)
@click.option("--limit", type=click.IntRange(min=0), default=10, show_default=True, help="Firings, newest first.")
def schedule_show(session: Session, pipeline: str | None, limit: int) -> None:
    """Say when each pipeline is due next, why something waits, and what became of what was due."""
    with session.project() as project:
        session.output.show(project.schedules.report(pipeline, limit))


@command(name="pause", example="penstock schedule pause flights")
@click.argument("pipeline")
@click.option("--by", help="Who; default: PENSTOCK_USER or the account's name.")
def schedule_pause(session: Session, pipeline: str, by: str | None) -> None:
    """Have nothing of PIPELINE begun until it is resumed; a run that is at work goes on."""
    with session.project() as project:
        project.schedules.pause(pipeline, by)
        session.output.show(project.schedules.report(pipeline, 0))


@command(name="resume", example="penstock schedule resume flights")
@click.argument("pipeline")
def schedule_resume(session: Session, pipeline: str) -> None:
    """Have PIPELINE begun again; what was due meanwhile follows its catch_up."""
    with session.project() as project:
        project.schedules.resume(pipeline)
        session.output.show(project.schedules.report(pipeline, 0))


@command(name="run", example="penstock schedule run flights")
@click.argument("pipeline")
def schedule_run(session: Session, pipeline: str) -> None:
    """Ask the scheduler to run PIPELINE now, over all that is due; what failed before is made good by it.

    The pipelines that run after it go on once it has succeeded. Without a scheduler it waits for one.
    """
    with session.project() as project:
        project.schedules.ask(pipeline)
        session.output.show(project.schedules.report(pipeline, 1))


class Signals:
    """What a command was told by signals while it waits.

    Attributes:
        asked: How often it was told to stop.
        reload: Whether it was told to read its configuration anew.
    """

    def __init__(self) -> None:
        self.asked = 0
        self.reload = False
        self.heard, self._told = os.pipe()
        os.set_blocking(self._told, False)
        os.set_blocking(self.heard, False)

    def __call__(self, number: int, _: FrameType | None) -> None:
        """Handle a signal: remember it, and wake whoever waits."""
        if number == signal.SIGHUP:
            self.reload = True
        else:
            self.asked += 1
        try:
            os.write(self._told, b"!")
        except BlockingIOError:
            # Whoever waits will be woken by what is in there.
            return

    def wait(self, seconds: float) -> None:
        """Wait so long, or until told something."""
        if select.select([self.heard], [], [], max(0.0, seconds))[0]:
            os.read(self.heard, 4096)

    def close(self) -> None:
        """Close the pipe."""
        os.close(self.heard)
        os.close(self._told)


@contextmanager
def told() -> Iterator[Signals]:
    """Take the signals of this process; those that whoever began it had it ignore stay ignored."""
    signals = Signals()
    if threading.current_thread() is not threading.main_thread():
        yield signals
        return
    wanted = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    heeded = [number for number in wanted if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, signals) for number in heeded}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signals.close()


def _say(event: ServeEvent) -> None:
    click.echo(f"{event.at:%Y-%m-%d %H:%M:%S} {event.sentence}", err=event.event in _LOUD)


def _say_json(event: ServeEvent) -> None:
    from penstock.cli.output import data_of

    click.echo(json.dumps(data_of(event)))
