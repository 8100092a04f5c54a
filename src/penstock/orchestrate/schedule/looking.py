"""Having alerts looked for in a process of its own: a look opens more than a scheduler should hold."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from penstock.errors import TransientError
from penstock.orchestrate.schedule.children import LOGS

LONGEST = 300.0
"""Seconds after which a look that hangs is ended, so that the next one can look."""


class Look:
    """Begins ``penstock alerts check`` at each call, unless the one before is still at it.

    Args:
        root: The project's folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._process: subprocess.Popen[bytes] | None = None
        self._begun = 0.0

    def __call__(self) -> None:
        """Begin a look; raises TransientError if the one before had to be ended."""
        if self._process is not None and self._process.poll() is None:
            if time.monotonic() - self._begun < LONGEST:
                return
            self.end()
            raise TransientError(f"A look at alerts took longer than {LONGEST:.0f} seconds")
        log = self._root / LOGS / "(alerts).log"
        log.parent.mkdir(parents=True, exist_ok=True)
        opened = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "penstock", "alerts", "check", "--project", str(self._root)],
                stdin=subprocess.DEVNULL,
                stdout=opened,
                stderr=subprocess.STDOUT,
                cwd=self._root,
                start_new_session=True,
            )
        finally:
            os.close(opened)
        self._begun = time.monotonic()

    def end(self) -> None:
        """End a look that is at work; the next one sends what this one did not."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
