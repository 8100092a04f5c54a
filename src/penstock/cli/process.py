"""The command line as a process of its own: how it begins and ends."""

from __future__ import annotations

import atexit
import gc
import os
import sys
import threading
from contextlib import suppress

from penstock.cli.main import main as answer

# A command that brings rows makes some 45,000 objects that stay by its imports alone.
STAYING = 60_000
_USUAL = gc.get_threshold()


def main() -> None:
    """Run the command line that the process was given, and end the process."""
    _let_imports_stay()
    try:
        answer()
    except SystemExit as ended:
        _leave(ended.code)
        raise


def _let_imports_stay() -> None:
    """Have the first collection of garbage come when imports are done, and look at what it leaves never again.

    In between Python would look through the growing heap of modules some 130 times, and find nothing.
    """
    gc.set_threshold(STAYING, *_USUAL[1:])
    gc.callbacks.append(_after_the_first)


def _after_the_first(phase: str, _: object) -> None:
    if phase == "stop":
        gc.callbacks.remove(_after_the_first)
        gc.freeze()
        if gc.get_threshold()[0] == STAYING:
            gc.set_threshold(*_USUAL)


def _leave(code: object) -> None:
    """End the process as it is: to take apart all that a command imported and made takes up to a tenth of a second.

    What asked to be called at the end is called. A thread that should be waited for, or a message in place of a code,
    is left to Python's own end.
    """
    waited = [each for each in threading.enumerate() if not each.daemon and each is not threading.main_thread()]
    if waited or not isinstance(code, int):
        # What is frozen would outlive the libraries that made it, and some of them complain.
        if _after_the_first in gc.callbacks:
            gc.callbacks.remove(_after_the_first)
        gc.unfreeze()
        return
    # The public way to these calls is the slow end.
    atexit._run_exitfuncs()  # noqa: SLF001
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)
