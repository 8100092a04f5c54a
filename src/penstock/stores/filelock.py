"""A lock on a file, held by one thread of one process of the machine; the system frees it when its holder dies."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from penstock.errors import ConfigurationError, TransientError

Tell = Callable[[str], None]
"""Called with one sentence when a wait has lasted a second."""

_QUIET = 1.0
_SHORTEST = 0.002
_LONGEST = 0.05


class Wait:
    """A bounded wait: says once what it waits for, gives up in the end.

    Args:
        what: What is waited for, for the sentence: ``The warehouse x.duckdb``.
        patience: Seconds after which it gives up.
        tell: Called once, after a second.
    """

    def __init__(self, what: str, patience: float, tell: Tell | None) -> None:
        self._what = what
        self._patience = patience
        self._tell = tell
        self._began = time.monotonic()
        self._pause = _SHORTEST

    def pause(self, holder: str) -> None:
        """Sleep a little.

        Raises:
            TransientError: The patience is at an end.
        """
        waited = time.monotonic() - self._began
        if waited >= self._patience:
            raise TransientError(
                f"{self._what} is held by {holder}, and did not become free within {self._patience:g} s",
                remedy="Let it end or close it, then try again",
            )
        if waited >= _QUIET and self._tell is not None:
            self._tell(f"{self._what} is held by {holder}; waiting for it, {self._patience:g} s at most.")
            self._tell = None
        time.sleep(min(self._pause, max(self._patience - waited, 0.0)))
        self._pause = min(self._pause * 2, _LONGEST)


@contextmanager
def locked(path: str, wait: Wait) -> Iterator[None]:
    """Hold the lock file ``path``; it stays behind, empty.

    Raises:
        ConfigurationError: The file cannot be made.
        TransientError: It did not become free in time.
    """
    descriptor = _opened(path)
    try:
        while not _taken(descriptor):
            wait.pause(_holder(path))
        # Who waits reads the process id from the file; it is emptied again, so that an idle file never differs.
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        with suppress(OSError):
            if _taken(descriptor):
                os.ftruncate(descriptor, 0)
        os.close(descriptor)


def _opened(path: str) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise ConfigurationError(
            f"The lock file {path} cannot be made: {os.strerror(error.errno or errno.EIO)}",
            remedy="Choose a folder that can be written to",
        ) from error


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES, errno.EINTR):
            return False
        raise ConfigurationError(
            f"Files cannot be locked there: {os.strerror(error.errno or errno.EIO)}",
            remedy="Keep the warehouse on a local disk",
        ) from error
    return True


def _holder(path: str) -> str:
    try:
        with open(path, "rb") as file:
            text = file.read(20).decode("ascii", errors="replace").strip()
    except OSError:
        text = ""
    if text == str(os.getpid()):
        return f"another step of this process (pid {text})"
    return f"another Penstock process (pid {text})" if text.isdigit() else "another Penstock process"
