"""Scoring: what a user's function adds to the rows of a micro-batch, as if it stood in their messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pyarrow as pa

from penstock.errors import DataError
from penstock.extract.streams.decoding import Decoded, Decoder, Piece, Preparing, whole
from penstock.extract.streams.json_decoding import type_of
from penstock.model.calling import blamed
from penstock.model.entries import Column
from penstock.model.scoring import Scoring


class ScoringDecoder:
    """A decoder whose rows have the columns that a function adds.

    Args:
        inner: Decodes the messages.
        scoring: The function, and what it adds.
        columns: The columns that the table has so far.
    """

    def __init__(self, inner: Decoder, scoring: Scoring, columns: Sequence[Column]) -> None:
        self._inner = inner
        self._scoring = scoring
        found = {each.at_source: type_of(each.type) for each in columns if each.at_source in scoring.columns}
        self._types = {name: type_ for name, type_ in found.items() if type_ is not None}

    @property
    def known(self) -> Mapping[str, pa.DataType]:
        """Return the columns that rows are known to have."""
        return {**self._inner.known, **self._types}

    def decode(self, values: pa.BinaryArray) -> Decoded:
        """Decode values, and add to the rows of each shape what the function says of them.

        Raises:
            DataError: The function raised, or gave something else than it should.
        """
        decoded = self._inner.decode(values)
        return replace(decoded, pieces=tuple(Piece(each.places, self._scored(each.rows)) for each in decoded.pieces))

    def _scored(self, rows: pa.Table) -> pa.Table:
        name = self._what
        for column in self._scoring.columns:
            if column in rows.column_names:
                raise DataError(
                    f"{name} adds the column {column!r}, and messages have one of that name",
                    remedy="Let the function give it another name",
                )
        if not rows.num_rows:
            return rows
        batch = pa.RecordBatch.from_arrays([whole(column) for column in rows.columns], names=rows.column_names)
        function = self._scoring.function
        assert function is not None
        with blamed(function, name):
            added = function(batch)
        self._verify(added, rows.num_rows)
        self._types = {field.name: field.type for field in added.schema}
        for column in self._scoring.columns:
            rows = rows.append_column(column, added.column(column))
        return rows

    def _verify(self, added: object, count: int) -> None:
        if not isinstance(added, pa.RecordBatch):
            raise DataError(f"{self._what} gave no batch of Arrow", value=type(added).__name__, valid="a RecordBatch")
        if added.num_rows != count:
            raise DataError(f"{self._what} gave {added.num_rows} rows for {count}", valid="as many, in their order")
        if sorted(added.schema.names) != sorted(self._scoring.columns):
            raise DataError(
                f"{self._what} gave other columns than it adds", value=added.schema.names, valid=self._scoring.columns
            )

    @property
    def _what(self) -> str:
        return f"The scoring function {self._scoring.name}"


class PreparingScoringDecoder(ScoringDecoder):
    """The same of a decoder that asks somebody about messages first."""

    def __init__(self, inner: Decoder, scoring: Scoring, columns: Sequence[Column]) -> None:
        super().__init__(inner, scoring, columns)
        assert isinstance(inner, Preparing)
        self._asking = inner

    def prepare(self, values: pa.BinaryArray) -> None:
        """Ask about values."""
        self._asking.prepare(values)

    def close(self) -> None:
        """Release connections."""
        self._asking.close()


def scoring_decoder(inner: Decoder, scoring: Scoring, columns: Sequence[Column]) -> Decoder:
    """Return a decoder whose rows are scored."""
    kind = PreparingScoringDecoder if isinstance(inner, Preparing) else ScoringDecoder
    return kind(inner, scoring, columns)
