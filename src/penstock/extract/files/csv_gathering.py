"""Many small CSV files are put together in memory before their types are looked for.

DuckDB opens and sniffs file by file, which costs it milliseconds for each; their rows alone cost next to nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from penstock.extract.files.listing import Content, File, head
from penstock.queries.text import file_literals, literal

if TYPE_CHECKING:
    from penstock.extract.files.csv_files import Dialect

_FEWEST = 16
_LARGEST = 2**20
_MOST = 64 * 2**20
_MARK = b"\xef\xbb\xbf"


@contextmanager
def gathered(files: Sequence[tuple[File, Content]], how: Dialect) -> Iterator[tuple[str, Dialect]]:
    """Give what stands for the files in a list of ``read_csv``, and how that is written.

    It is one file in memory, which no disk sees, if there are many small plain ones; else the files themselves.
    """
    listed = file_literals(file.path for file, _ in files)
    if not _can_be(files, how):
        yield listed, how
        return
    handle = os.memfd_create("penstock", os.MFD_CLOEXEC)
    try:
        if not _written(files, handle):
            yield listed, how
            return
        packed = f"compression={literal(files[0][1].compression or 'none')}"
        plain = how.options.replace(packed, "compression='none'")
        yield literal(f"/proc/self/fd/{handle}"), replace(how, options=plain)
    finally:
        os.close(handle)


def _can_be(files: Sequence[tuple[File, Content]], how: Dialect) -> bool:
    shape = how.detected.structure
    return (
        hasattr(os, "memfd_create")
        and len(files) >= _FEWEST
        and sum(content.bytes for _, content in files) <= _MOST
        and all(content.bytes <= _LARGEST for _, content in files)
        and how.encoding == "utf-8"
        and (shape.headers, shape.first, shape.data) == (1, 0, 1)
        and "skip=" not in how.options
        and "comment=" not in how.options
    )


def _written(files: Sequence[tuple[File, Content]], handle: int) -> bool:
    """Write the first header and all rows; False if the files end their lines in different ways."""
    end = None
    with open(handle, "wb", buffering=_LARGEST, closefd=False) as out:
        for place, (file, content) in enumerate(files):
            data = head(file, content, _LARGEST + 1).removeprefix(_MARK)
            mine = b"\r\n" if b"\r" in data else b"\n"
            end = end or mine
            if mine != end:
                return False
            rows = data if place == 0 else data.partition(b"\n")[2]
            out.write(rows)
            if rows and not rows.endswith(b"\n"):
                out.write(end)
    return True
