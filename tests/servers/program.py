"""A server that is one program: begun with what is on its disk, waited for, killed by its process id."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeVar

from servers.debian import CACHE, NoServerError, environment, free_port

_Server = TypeVar("_Server", bound="Program")


@dataclass
class Program(ABC):
    """A running server."""

    program: ClassVar[str]

    binary: Path
    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> list[str]:
        """Write its settings; returns what begins it."""

    @abstractmethod
    def answers(self) -> bool:
        """Say whether it answers; an OSError means that it does not."""

    def start(self) -> None:
        """Start it with what is on its disk, and wait until it answers."""
        command = self.command()
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command, executable=self.binary, env=environment(self.binary), stdout=log, stderr=log
            )
        ends = time.monotonic() + 20
        while True:
            if self.process.poll() is not None or time.monotonic() > ends:
                raise NoServerError(f"{self.program} does not answer: {(self.folder / 'log').read_text()[-300:]}")
            with contextlib.suppress(OSError):
                if self.answers():
                    return
            time.sleep(0.05)

    def kill(self) -> None:
        """Kill it as if its machine had failed."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@contextlib.contextmanager
def run(kind: Callable[[Path, Path, int], _Server], binary: Path) -> Iterator[_Server]:
    """Run a server upon a disk of its own.

    Raises:
        NoServerError: It does not come up.
    """
    with tempfile.TemporaryDirectory(prefix=f"penstock-{binary.name}-") as folder:
        server = kind(binary, Path(folder), free_port())
        try:
            server.start()
            yield server
        finally:
            if server.process is not None:
                server.kill()


def installed(name: str, place: str) -> Path | None:
    """Return a program of this machine, or one that was unpacked to ``place`` below the root of the cache."""
    on_path = shutil.which(name)
    unpacked = CACHE / "root" / place / name
    if on_path:
        return Path(on_path).resolve()
    return unpacked if unpacked.exists() else None
