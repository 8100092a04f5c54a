"""Giving memory back to the system: allocators keep what was freed, and the next step's memory would come on top."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from functools import cache
from typing import Any

from penstock.arrow import at_hand

_LITTLE = {-8: 2, -3: 2**20, -1: 8 * 2**20}
"""Arenas, bytes from which on a block is the system's, and bytes that a heap may keep at its end.

The numbers of the settings are those of glibc's malloc.h; other C libraries have no such call, or refuse them.
"""
_POOL = "ARROW_DEFAULT_MEMORY_POOL"


def give_back() -> None:
    """Return freed pages of Arrow's pool and of the C library to the system; takes milliseconds."""
    if at_hand():
        import pyarrow as pa

        pa.default_memory_pool().release_unused()
    trim = _trim()
    if trim is not None:
        trim(0)


def take_from_the_system() -> None:
    """Let Arrow take its memory from the C library, which gives freed pages back; its own pool keeps them.

    It holds for the whole process, unless ``ARROW_DEFAULT_MEMORY_POOL`` names a pool. (Measured over 3 million rows: a
    peak of 409 MiB instead of 443, and no slower.)
    """
    if _POOL in os.environ:
        return
    if at_hand():
        _take_from_the_system()
    else:
        # Arrow reads it when it is imported, which may never be.
        os.environ[_POOL] = "system"


@cache
def _take_from_the_system() -> None:
    import pyarrow as pa

    pa.set_memory_pool(pa.system_memory_pool())


@cache
def hold_little() -> None:
    """Let the C library keep little of what was freed: all threads share two arenas, and large blocks are the system's.

    It holds for the whole process, for arenas that are not made yet, unless ``MALLOC_ARENA_MAX`` says how many.
    (Measured on streams of Kafka into lake and warehouse: peaks of 543 to 556 MB, 553 to 579 by the arenas alone, 593
    without; and no slower.)
    """
    if "MALLOC_ARENA_MAX" not in os.environ:
        with suppress(AttributeError, OSError, TypeError):
            library = ctypes.CDLL(None)
            for setting, value in _LITTLE.items():
                library.mallopt(setting, value)


@cache
def _trim() -> Any:
    """Return glibc's ``malloc_trim``; other C libraries have none, and mostly need none."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return None
