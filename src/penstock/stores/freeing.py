"""Giving memory back to the system: allocators keep what was freed, and the next step's memory would come on top."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import pyarrow as pa


def give_back() -> None:
    """Return freed pages of Arrow's pool and of the C library to the system; takes milliseconds."""
    pa.default_memory_pool().release_unused()
    trim = _trim()
    if trim is not None:
        trim(0)


@cache
def _trim() -> Any:
    """Return glibc's ``malloc_trim``; other C libraries have none, and mostly need none."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return None
