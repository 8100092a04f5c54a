"""Values that stand in a buffer as an Arrow array, taken out of it in one call."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_SMALL = 2**31 - 1


def sliced(
    buffer: bytes, starts: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64], there: npt.NDArray[np.bool_]
) -> pa.Array:
    """Return the bytes of values; null where there is none.

    Args:
        buffer: What they stand in.
        starts: Where each begins.
        lengths: How long it is.
        there: Whether there is one.
    """
    count = len(starts)
    if not count:
        return pa.array([], pa.binary())
    placed = np.empty(2 * count, np.int64)
    placed[0::2] = np.where(there, starts, 0)
    placed[1::2] = np.where(there, starts + lengths, 0)
    # What is no value has no place of its own: it gets that of the one before.
    bounds = np.maximum.accumulate(placed)
    if np.any(np.repeat(there, 2) & (bounds != placed)):
        # A value that stands in two rows: seldom, and those are few.
        pieces = zip(starts.tolist(), lengths.tolist(), there.tolist(), strict=True)
        return pa.array([buffer[at : at + size] if is_ else None for at, size, is_ in pieces], pa.binary())
    # The values and what lies between them, as one array over the buffer itself: every other one is taken.
    wide = len(buffer) > _SMALL
    offsets = bounds.astype(np.int64 if wide else np.int32)
    kind = pa.large_binary() if wide else pa.binary()
    both = pa.Array.from_buffers(kind, 2 * count - 1, [None, pa.py_buffer(offsets), pa.py_buffer(buffer)])
    wanted = pa.array(np.arange(0, 2 * count, 2), mask=None if there.all() else ~there)
    return both.take(wanted).cast(pa.binary())
