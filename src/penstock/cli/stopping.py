"""Being told to stop: Ctrl-C and SIGTERM end a command in order, a second one ends it at once.

In order: what is being read is given up at the next rows, files of the attempt are deleted, the run is marked as
interrupted. At once: as if the machine had failed, which loses and doubles nothing; the next command goes on.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType

PATIENCE = 5.0
"""Seconds after which whoever waits for the orderly end is told how to have it at once."""

_ASKED = {signal.SIGINT: (130, "Interrupted."), signal.SIGTERM: (143, "Terminated.")}
ENDING = "Ending what was begun; press Ctrl-C again to stop at once.\n"
_COMMAND: ContextVar[Stopping | None] = ContextVar("command", default=None)
AT_ONCE = "Stopped at once; nothing is lost, the next run goes on from here.\n"


class ToldToStopError(KeyboardInterrupt):
    """A command was told to stop.

    A class of its own, since Python ends by SIGINT, whatever is returned, once a plain KeyboardInterrupt has passed
    through text that it ran (``exec``), as the making of dataclasses does.
    """


class Stopping:
    """What a command was told while it ran.

    Attributes:
        code: The exit code of a command that was told to stop: 128 and the signal's number.
        word: What is said then.
        told: It was told to stop.
    """

    def __init__(self) -> None:
        self.code, self.word = _ASKED[signal.SIGINT]
        self.told = False
        self.hint = threading.Timer(PATIENCE, _say, (ENDING,))
        self.hint.daemon = True

    def __call__(self, number: int, _: FrameType | None) -> None:
        """Handle a signal; the first raises ToldToStopError where the main thread is."""
        if self.told:
            _say(AT_ONCE)
            # Threads that hang in a source would be waited for by any other end.
            os._exit(self.code)
        self.told = True
        self.code, self.word = _ASKED[signal.Signals(number)]
        self.hint.start()
        raise ToldToStopError


@contextmanager
def told_to_stop() -> Iterator[Stopping]:
    """Take the signals of this process while a command runs.

    Outside the main thread they stay as they are, and so does one that whoever began the process had it ignore.
    """
    stopping = Stopping()
    if threading.current_thread() is not threading.main_thread():
        yield stopping
        return
    heeded = [number for number in _ASKED if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, stopping) for number in heeded}
    command = _COMMAND.set(stopping)
    try:
        yield stopping
    finally:
        _COMMAND.reset(command)
        stopping.hint.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)


def was_told() -> bool:
    """Say whether the command at work was told to stop: what is raised then may get lost on its way.

    Code of others, in C above all, may take an error for the answer no.
    """
    command = _COMMAND.get()
    return command is not None and command.told


def _say(text: str) -> None:
    # Not through Python's streams, whose lock the interrupted thread may hold.
    os.write(2, text.encode())
