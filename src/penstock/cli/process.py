"""The command line as a process of its own: how it ends."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from contextlib import suppress

from penstock.cli.main import main as answer


def main() -> None:
    """Run the command line that the process was given, and end the process."""
    try:
        answer()
    except SystemExit as ended:
        _leave(ended.code)
        raise


def _leave(code: object) -> None:
    """End the process as it is: to take apart all that a command imported and made takes up to a tenth of a second.

    What asked to be called at the end is called. A thread that should be waited for, or a message in place of a code,
    is left to Python's own end.
    """
    waited = [each for each in threading.enumerate() if not each.daemon and each is not threading.main_thread()]
    if waited or not isinstance(code, int):
        return
    # The public way to these calls is the slow end.
    atexit._run_exitfuncs()  # noqa: SLF001
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)
