"""Many files of JSON lines as one, for who looks for types: DuckDB holds 32 MiB of each file that it looks into."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from penstock.arrow import pa
from penstock.extract.files.listing import Content, File

MOST = 4
"""Files that are looked into one by one."""
_MARK = b"\xef\xbb\xbf"


@contextmanager
def joined(files: Sequence[tuple[File, Content]]) -> Iterator[Sequence[tuple[File, Content]]]:
    """Lend one file that holds the lines of all, or the files themselves where they are few.

    Compressed files are put one behind the other as they are: what gzip and zstd permit.

    Args:
        files: Files of JSON lines, compressed alike.
    """
    if len(files) <= MOST:
        yield files
        return
    first, content = files[0]
    how = content.compression
    end = b"\n" if how is None else pa.compress(b"\n", how, asbytes=True)
    with tempfile.NamedTemporaryFile(prefix="penstock-types-", suffix=".jsonl") as target:
        for file, _ in files:
            with open(file.path, "rb") as source:
                if content.compression is None and source.read(len(_MARK)) != _MARK:
                    source.seek(0)
                shutil.copyfileobj(source, target, 2**20)
            target.write(end)
        target.flush()
        size = os.fstat(target.fileno()).st_size
        yield [(replace(first, path=target.name, bytes=size), content)]
