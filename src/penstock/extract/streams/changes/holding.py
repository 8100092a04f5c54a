"""Rows that wait to be landed: in memory, and beyond a bound in a file, so that a transaction may be of any size."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc

from penstock.model.capture import COMMITTED


class Spool:
    """Rows of one table, in their order.

    Args:
        most: Bytes that may stay in memory; None: all, for nothing of them may reach a disk.
        folder: Where the file is; None: the machine's own place for such.
    """

    def __init__(self, most: int | None, folder: str | None = None) -> None:
        self._most = most
        self._folder = folder
        self._kept: list[pa.RecordBatch] = []
        self._bytes = 0
        self._moments: list[int] = []
        self._files: list[IO[bytes]] = []

    def add(self, batch: pa.RecordBatch) -> None:
        """Keep some more."""
        self._kept.append(batch)
        if COMMITTED in batch.schema.names:
            bounds = pc.min_max(batch.column(COMMITTED).cast(pa.timestamp("ms", "UTC"), safe=False).cast(pa.int64()))
            self._moments += [each.as_py() for each in bounds.values() if each.is_valid]
            self._moments = [min(self._moments), max(self._moments)] if self._moments else []
        self._bytes += batch.get_total_buffer_size()
        if self._most is not None and self._bytes > self._most:
            self._spill()

    @property
    def moments(self) -> list[int]:
        """Return when the first and the last of them were committed, in ms since 1970; empty: nobody knows."""
        return self._moments

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield them in their order, as often as asked."""
        for spilled in self._files:
            spilled.seek(0)
            with pa.PythonFile(_again(spilled, "rb"), "r") as file:
                while file.tell() < file.size():
                    yield from pa.ipc.open_stream(file)
        yield from self._kept

    def close(self) -> None:
        """Let go of them."""
        self._kept.clear()
        for spilled in self._files:
            spilled.close()
        self._files.clear()

    def _spill(self) -> None:
        """Write what is in memory to a file, one stream for each shape of rows; nothing is left of it by a crash."""
        spilled = tempfile.TemporaryFile(prefix="penstock-changes-", dir=self._folder)  # noqa: SIM115 - closed at the end
        self._files.append(spilled)
        at = 0
        with pa.PythonFile(_again(spilled, "wb"), "w") as file:
            while at < len(self._kept):
                schema = self._kept[at].schema
                with pa.ipc.new_stream(file, schema) as writer:
                    while at < len(self._kept) and self._kept[at].schema.equals(schema, check_metadata=True):
                        writer.write_batch(self._kept[at])
                        at += 1
        self._kept.clear()
        self._bytes = 0


def _again(spilled: IO[bytes], mode: str) -> IO[bytes]:
    """Return a file once more: Arrow closes what it was given."""
    return os.fdopen(os.dup(spilled.fileno()), mode)
