"""Servers that are fetched once into ``.cache/servers``, started on a free port, and waited for."""

from __future__ import annotations

import fcntl
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from servers.debian import CACHE, NoServerError, free_port

_LONGEST = 60.0


@contextmanager
def fetching(name: str) -> Iterator[Path]:
    """Give the folder of a server, to no other process of the tests at the same time."""
    home = CACHE / name
    home.mkdir(parents=True, exist_ok=True)
    with open(CACHE / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield home


@contextmanager
def served(command: Sequence[str], probe: str, environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """Run a server as long as the context lasts; gives its address.

    Args:
        command: The command; ``{port}`` and ``{folder}`` are filled in.
        probe: A path that it answers, with whatever status, when it is ready.
        environment: Variables besides those of this process.

    Raises:
        NoServerError: It ended, or did not answer within a minute.
    """
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        filled = [part.replace("{port}", str(port)).replace("{folder}", folder) for part in command]
        with tempfile.TemporaryFile() as log:
            process = subprocess.Popen(filled, stdout=log, stderr=log, env={**os.environ, **(environment or {})})
            try:
                _wait(process, f"http://127.0.0.1:{port}{probe}", filled[0])
                yield f"http://127.0.0.1:{port}"
            finally:
                process.terminate()
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _wait(process: subprocess.Popen[bytes], url: str, name: str) -> None:
    ends = time.monotonic() + _LONGEST
    while time.monotonic() < ends:
        if process.poll() is not None:
            raise NoServerError(f"{name} ended with status {process.returncode}")
        try:
            httpx.get(url, timeout=2)
        except httpx.HTTPError:
            time.sleep(0.1)
        else:
            return
    raise NoServerError(f"{name} did not answer within a minute")
