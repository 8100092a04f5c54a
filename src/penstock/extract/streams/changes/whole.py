"""A table that is read whole before its changes: rows as if they had been inserted at the moment of the snapshot."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import pyarrow as pa

from penstock.extract.port import ArrowBatch, Extraction, Figured, SourceFigures
from penstock.extract.streams.changes.envelope import enveloped, marker, repeated
from penstock.model.capture import Op
from penstock.model.streams import Gap
from penstock.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What is known of the reading of a table.

    Attributes:
        table: The table, as its database calls it.
        at: The position of the snapshot.
        moment: Its moment, in microseconds since 1970.
        position: Where its changes go on, as it stands in the load.
        gap: Why it is read again; None: it is read for the first time.
        left_out: Columns that a reading has and changes have not.
        notes: What is said of the table.
    """

    table: str
    at: int
    moment: int
    position: Mapping[str, Any]
    gap: Gap | None = None
    left_out: Collection[str] = ()
    notes: tuple[str, ...] = ()


class Whole:
    """A table read whole.

    Args:
        read: The reading.
        known: What is known of it.
    """

    def __init__(self, read: Extraction, known: Moment) -> None:
        self._read = read
        self._known = known

    @property
    def schema(self) -> pa.Schema | None:
        """The columns with what stands before them."""
        found = self._read.schema
        if found is None:
            return None
        none = [pa.nulls(0, field.type) for field in found]
        return self._enveloped(pa.RecordBatch.from_arrays(none, schema=found)).schema

    def batches(self) -> Iterator[ArrowBatch]:
        """Yield the rows."""
        known = self._known
        if known.gap is not None and self._read.schema is not None:
            fields = [field for field in self._read.schema if field.name not in known.left_out]
            yield ArrowBatch(marker(Op.RESTART, known.at, known.moment, fields), (known.table, {}))
        for batch in self._read.batches():
            assert isinstance(batch, ArrowBatch)
            yield ArrowBatch(self._enveloped(batch.data), batch.origin)

    def position(self) -> Mapping[str, Any]:
        """Return where its changes go on."""
        return self._known.position

    def figures(self) -> SourceFigures | None:
        """Return what the server counted within the same snapshot; not where a row is no row of the table."""
        return self._read.figures() if isinstance(self._read, Figured) and self._known.gap is None else None

    def notes(self) -> tuple[str, ...]:
        """Return what was met, and what was gone."""
        gap = self._known.gap
        told = [f"{gap.sentence}; the table was read whole again"] if gap is not None else []
        return (*self._read.notes(), *told, *self._known.notes)

    def commit(self) -> None:
        """Tell nobody: what is kept at the source stands before."""

    def close(self) -> None:
        """End the reading."""
        self._read.close()

    def _enveloped(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        kept = [place for place, name in enumerate(rows.schema.names) if name not in self._known.left_out]
        envelope = repeated(Op.SNAPSHOT, self._known.at, self._known.moment, rows.num_rows)
        return enveloped(envelope, [rows.schema.field(place) for place in kept], [rows.column(place) for place in kept])
