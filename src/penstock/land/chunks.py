"""Gathering batches into chunks that are written as one row group each: full ones where rows are narrow.

A full group has a few rows less than a group of DuckDB's own; see ``stores.parquet.ROW_GROUP``. (Measured: a warehouse
table made from larger ones is united by the next checkpoint: twice the CPU, three times the memory, twice the file.)

A row with a very long value is a chunk of its own, and the rows beside it are copied: a slice of them would hold the
value in memory as long as they wait.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from penstock.arrow import pa
from penstock.extract.port import byte_size
from penstock.schema import LONG
from penstock.stores.long_values import long_rows
from penstock.stores.parquet import ROW_GROUP

OriginRows = tuple[str, Mapping[str, Any], int]
"""Where rows came from, and how many in a row: (uri, detail, rows)."""
Held = tuple["pa.RecordBatch", OriginRows]


class Chunks:
    """Batches on their way into files, in their order.

    Args:
        limit: Bytes from which on a chunk is handed over; it may be greater by one batch.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: list[Held] = []
        self._rows = 0
        self._bytes = 0

    def add(self, batch: pa.RecordBatch, origin: tuple[str, Mapping[str, Any]]) -> Iterator[list[Held]]:
        """Take a batch, which may be empty; yield the chunks that it fills."""
        begin = 0
        for place in long_rows(batch) if byte_size(batch) >= LONG else ():
            yield from self._gather(_copied(batch.slice(begin, place - begin)), origin)
            if self._held:
                yield self.rest()
            yield [(batch.slice(place, 1), (*origin, 1))]
            begin = place + 1
        yield from self._gather(_copied(batch.slice(begin)) if begin else batch, origin)

    def _gather(self, batch: pa.RecordBatch, origin: tuple[str, Mapping[str, Any]]) -> Iterator[list[Held]]:
        size, rows, done = byte_size(batch), batch.num_rows, 0
        while done < rows:
            width = max(1, size // rows)
            fitting = max(1, (self._limit - self._bytes) // width)
            taken = min(rows - done, ROW_GROUP - self._rows, fitting)
            self._held.append((batch.slice(done, taken), (*origin, taken)))
            self._rows += taken
            self._bytes += width * taken
            done += taken
            if self._rows >= ROW_GROUP or self._bytes + width > self._limit:
                yield self.rest()

    def rest(self) -> list[Held]:
        """Hand over what is held, which may be nothing."""
        held, self._held, self._rows, self._bytes = self._held, [], 0, 0
        return held


def _copied(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the rows of a slice without the memory of the others."""
    return pa.ipc.read_record_batch(batch.serialize(), batch.schema)
