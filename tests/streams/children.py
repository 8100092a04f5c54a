"""Streams in children of a process that has imported everything, to be killed at their writes; and states put back."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any


class Children:
    """Streams in children of one process that has imported everything."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("kills.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def stream(
        self, folder: Path, kill_at: int = 0, *, before: bool = True, share: bool = False, postgres: bool = False
    ) -> dict[str, Any]:
        """Stream to the end in a child, which is killed at a write; return its status and its writes.

        Args:
            folder: The project.
            kill_at: The number of the write; 0 for none.
            before: It dies before the write, and not after it.
            share: Others read too.
            postgres: What is written to a PostgreSQL counts.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(
            json.dumps(
                {"folder": str(folder), "kill_at": kill_at, "before": before, "share": share, "postgres": postgres}
            )
            + "\n"
        )
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()


class Kept:
    """The state of a project's lake, warehouse and catalog at a moment, and its logs, to which it can be put back.

    Args:
        folder: The project.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._logs = {path: path.read_bytes() for path in (folder / "logs").iterdir()}
        for state in ("data", ".penstock"):
            subprocess.run(["cp", "-a", str(folder / state), f"{folder / state}-kept"], check=True)

    def back(self) -> None:
        """Put everything back; logs keep their inodes, by which they are known."""
        for state in ("data", ".penstock"):
            shutil.rmtree(self.folder / state)
            subprocess.run(["cp", "-a", f"{self.folder / state}-kept", str(self.folder / state)], check=True)
        for path, data in self._logs.items():
            path.write_bytes(data)
