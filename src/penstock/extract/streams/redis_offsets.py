"""Ids of Redis's entries as offsets: 64 bits that keep their order, and lose nothing.

An id is a number of milliseconds and a number within the millisecond. 42 bits hold milliseconds until the year 2109,
21 bits two million entries of each. An id that fits in neither is refused.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from penstock.errors import DataError

_BITS = 21
_MOST_MILLISECONDS = 2**42 - 1
# One less than the bits hold: the offset that follows must still be one of the same millisecond.
_MOST_WITHIN = 2**_BITS - 2


def offset_of(id_: bytes, stream: str) -> int:
    """Return the offset of an id.

    Raises:
        DataError: It does not fit.
    """
    milliseconds, _, within = id_.partition(b"-")
    _fit(int(milliseconds), int(within), stream)
    return int(milliseconds) << _BITS | int(within)


def offsets_of(ids: Sequence[bytes], stream: str) -> tuple[pa.Int64Array, pa.Int64Array]:
    """Return the offsets of ids, and their milliseconds.

    Raises:
        DataError: One does not fit.
    """
    texts = pa.array(ids, pa.binary()).cast(pa.string())
    parts = pc.split_pattern(texts, "-", max_splits=1)
    milliseconds = pc.list_element(parts, 0).cast(pa.uint64())
    within = pc.list_element(parts, 1).cast(pa.uint64())
    for part, most in ((milliseconds, _MOST_MILLISECONDS), (within, _MOST_WITHIN)):
        place = pc.index(pc.greater(part, pa.scalar(most, pa.uint64())), True).as_py()
        if place >= 0:
            _fit(milliseconds[place].as_py(), within[place].as_py(), stream)
    milliseconds, within = milliseconds.cast(pa.int64()), within.cast(pa.int64())
    return pc.bit_wise_or(pc.shift_left(milliseconds, _BITS), within), milliseconds


def id_of(offset: int) -> str:
    """Return the id of an offset."""
    return f"{offset >> _BITS}-{offset & (1 << _BITS) - 1}"


def id_before(offset: int) -> str:
    """Return the greatest id that is less than that of an offset."""
    if not offset:
        return "0-0"
    milliseconds, within = offset >> _BITS, offset & (1 << _BITS) - 1
    return f"{milliseconds}-{within - 1}" if within else f"{milliseconds - 1}-{2**64 - 1}"


def _fit(milliseconds: int, within: int, stream: str) -> None:
    if milliseconds > _MOST_MILLISECONDS or within > _MOST_WITHIN:
        raise DataError(
            f"An entry of the stream {stream!r} has an id that cannot be an offset",
            value=f"{milliseconds}-{within}",
            valid=f"milliseconds up to {_MOST_MILLISECONDS}, and numbers within one up to {_MOST_WITHIN}, "
            "as the ids that Redis itself gives",
        )
