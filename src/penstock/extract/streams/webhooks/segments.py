"""Segments: the files of an inbox. One follows the other; a name is the offset of its first byte.

A line is an event: microseconds since 1970, its id and its body, with tabs between. In a body a line break is written
as ESC n and ESC as ESC e, so that a line is a line whatever was sent. What comes after the last line break was never
answered for.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from penstock.extract.streams.port import MOMENT
from penstock.values import dataclass

_SUFFIX = ".events"
_COMMITTED = "committed"


@dataclass(frozen=True, slots=True)
class Segment:
    """A file of events.

    Attributes:
        path: Where it is.
        start: The offset of its first byte.
        size: Its bytes; the last line may not be whole.
    """

    path: Path
    start: int
    size: int

    @property
    def end(self) -> int:
        """Return the offset after its last byte."""
        return self.start + self.size


def name(start: int) -> str:
    """Return what the segment that begins at an offset is called."""
    return f"{start:020d}{_SUFFIX}"


def listed(folder: Path) -> list[Segment]:
    """Return the segments of an inbox in order; one that is removed meanwhile is left out."""
    found = []
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        try:
            found.append(Segment(path, int(path.name.removesuffix(_SUFFIX)), path.stat().st_size))
        except (FileNotFoundError, ValueError):
            continue
    return found


def committed(folder: Path) -> int:
    """Return the offset up to which events are known to be committed; 0 where nobody said so yet."""
    try:
        return int((folder / _COMMITTED).read_text())
    except (FileNotFoundError, ValueError):
        return 0


def commit(folder: Path, offset: int) -> None:
    """Note up to which offset events are committed; for whoever counts what waits, and for nothing else."""
    fresh = folder / f"{_COMMITTED}.new"
    fresh.write_text(str(offset))
    os.replace(fresh, folder / _COMMITTED)


def line(at: int, id_: str, body: bytes) -> bytes:
    """Return an event as a line.

    Args:
        at: When it came: microseconds since 1970.
        id_: Printable ASCII without blanks.
        body: As it was sent.
    """
    return b"%d\t%b\t%b\n" % (at, id_.encode("ascii"), body.replace(b"\x1b", b"\x1be").replace(b"\n", b"\x1bn"))


def parsed(lines: Sequence[bytes]) -> dict[str, pa.Array]:
    """Return the moments, the ids and the bodies of lines, which stand without their breaks."""
    parts = pc.split_pattern(pa.array(lines, pa.binary()), pattern=b"\t", max_splits=2)
    bodies = pc.replace_substring(pc.list_element(parts, 2), pattern=b"\x1bn", replacement=b"\n")
    return {
        "timestamp": pc.list_element(parts, 0).cast(pa.string()).cast(pa.int64()).cast(MOMENT),
        "key": pc.list_element(parts, 1).cast(pa.string()),
        "value": pc.replace_substring(bodies, pattern=b"\x1be", replacement=b"\x1b"),
    }
