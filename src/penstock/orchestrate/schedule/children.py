"""The processes in which firings are worked on: one each, so that a crash or a leak of one takes nobody else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from penstock.model.firings import Firing

LOGS = ".penstock/serve"
"""Folder below the project's root with what the newest process of each pipeline said."""


class Children:
    """The processes that this scheduler has begun.

    Args:
        root: The project's folder.
        memory: Bytes that each of them may hold.
    """

    def __init__(self, root: Path, memory: int) -> None:
        self._root = root
        self._memory = memory
        self._running: dict[tuple[str, int], subprocess.Popen[bytes]] = {}

    def __len__(self) -> int:
        return len(self._running)

    def __contains__(self, firing: Firing) -> bool:
        return (firing.id, firing.attempt) in self._running

    def log(self, pipeline: str) -> str:
        """Return the file that holds what the newest process of a pipeline said."""
        return f"{LOGS}/{pipeline}.log"

    def begin(self, firing: Firing) -> None:
        """Begin the process of a firing, in a session of its own: what is typed at the scheduler does not reach it.

        Raises:
            OSError: The machine has no room for another process, or the log cannot be written.
        """
        log = self._root / self.log(firing.pipeline)
        log.parent.mkdir(parents=True, exist_ok=True)
        place = f"{firing.id}:{firing.attempt}"
        command = [sys.executable, "-m", "penstock", "run", firing.pipeline, "--project", str(self._root)]
        opened = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            self._running[firing.id, firing.attempt] = subprocess.Popen(
                [*command, "--firing", place],
                stdin=subprocess.DEVNULL,
                stdout=opened,
                stderr=subprocess.STDOUT,
                cwd=self._root,
                env={**os.environ, "PENSTOCK__PROJECT__MEMORY": str(self._memory)},
                start_new_session=True,
            )
        finally:
            os.close(opened)

    def ended(self) -> Iterator[tuple[str, int, int]]:
        """Yield firing, attempt and return code of the processes that have ended since the last look."""
        for (firing, attempt), process in list(self._running.items()):
            code = process.poll()
            if code is not None:
                del self._running[firing, attempt]
                yield firing, attempt, code

    def tell(self, number: signal.Signals) -> None:
        """Send a signal to all of them; at ``SIGKILL`` also to what they have begun themselves."""
        for process in self._running.values():
            with suppress(ProcessLookupError, PermissionError):
                if number is signal.SIGKILL:
                    os.killpg(process.pid, number)
                else:
                    process.send_signal(number)
