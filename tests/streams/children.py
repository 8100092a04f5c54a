"""Streams in children of one process that has imported everything; see ``kills``."""

from __future__ import annotations

import json
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

    def stream(self, folder: Path, kill_at: int = 0, *, before: bool = True) -> dict[str, Any]:
        """Stream to the end in a child, which is killed at a write; return its status and its writes."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"folder": str(folder), "kill_at": kill_at, "before": before}) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()
