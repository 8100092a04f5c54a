"""Files of lines that grow: where the last whole line ends, at which byte each begins, and waiting for the next."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from penstock.extract.streams.port import Polled

_BLOCK = 2**16


def whole(path: str | Path) -> int:
    """Return how many bytes of a file are whole lines."""
    with open(path, "rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end > 0:
            begin = max(0, end - _BLOCK)
            found = os.pread(file.fileno(), end - begin, begin).rfind(b"\n")
            if found >= 0:
                return begin + found + 1
            end = begin
    return 0


def offsets(lines: pa.BinaryArray, first: int) -> pa.Int64Array:
    """Return at which byte each line begins; ``first`` is that of the first, and breaks are not among the lines."""
    lengths = pc.add(pc.binary_length(lines).cast(pa.int64()), 1)
    return pc.subtract(pc.add(pc.cumulative_sum(lengths), first), lengths)


def polled(look: Callable[[], Polled], wait: float, pause: float) -> Polled:
    """Look until something is there, ``wait`` seconds at most, with pauses between."""
    deadline = time.monotonic() + wait
    while True:
        found = look()
        if found or time.monotonic() >= deadline:
            return found
        time.sleep(max(0.0, min(pause, deadline - time.monotonic())))
