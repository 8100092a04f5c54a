"""The system library that Microsoft's driver of SQL Server needs and its package does not hold."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from servers.debian import CACHE, provided

_WANTED = re.compile(r"libltdl7")
_LIBRARY = "libltdl.so.7"


@contextmanager
def running() -> Iterator[None]:
    """Let the driver find its library; where it was only unpacked, this process holds it.

    Raises:
        NoServerError: It cannot be had.
    """
    ctypes.CDLL(str(provided(["libltdl7"], _WANTED, _found)), mode=ctypes.RTLD_GLOBAL)
    yield


def _found() -> Path | None:
    with suppress(OSError):
        ctypes.CDLL(_LIBRARY)
        return Path(_LIBRARY)
    return next((CACHE / "root").glob(f"usr/lib/*-linux-gnu*/{_LIBRARY}"), None)
