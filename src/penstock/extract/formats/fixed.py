"""Lines of fixed width: each column stands at the same characters of every line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from penstock.errors import ConfigurationError, DataError
from penstock.extract.formats import lines, texts
from penstock.extract.formats.fixed_layout import Layout, Span, layout
from penstock.extract.formats.port import Asked

_SAMPLE = 1000


def read(asked: Asked) -> Iterator[pa.RecordBatch]:
    """Yield the rows; blanks around a value are no part of it, and a value of blanks is null.

    Raises:
        ConfigurationError: An option is not what it may be.
        DataError: A line is not as long as its columns, or a value is not of its column's type; names the line.
    """
    short = asked.options.get("short", "refuse")
    if short not in ("refuse", "pad"):
        raise ConfigurationError(
            f"What becomes of short lines of {asked.file.key} is not known", value=short, valid=("refuse", "pad")
        )
    sample = next(lines.lines(asked), None)
    first = sample.texts.slice(0, _SAMPLE).to_pylist() if sample is not None else []
    file = _File(asked, layout(asked, first), pad=short == "pad")
    for typed in texts.typed(asked, file.rows, texts.wishes(asked)):
        if typed.failed is not None:
            line = typed.rows.lines.filter(typed.failed)[0].as_py()
            raise DataError(
                f"Line {line} of {asked.file.key} holds a value in column {typed.column!r} that is not {typed.wanted}",
                remedy=f"Read the column as text: types={{{typed.column!r}: 'VARCHAR'}}",
            )
        yield typed.batch


class _File:
    def __init__(self, asked: Asked, found: Layout, *, pad: bool) -> None:
        self._asked = asked
        self._layout = found
        self._pad = pad
        self._nulls = lines.nulls(asked)

    def rows(self) -> Iterator[texts.Rows]:
        """Yield the rows as texts; blank lines are left out."""
        empty = pa.nulls(0, pa.string())
        names = [span.name for span in self._layout.spans]
        yield texts.Rows(pa.RecordBatch.from_arrays([empty] * len(names), names=names), pa.nulls(0, pa.int64()))
        for piece in lines.lines(self._asked):
            numbers = pa.array(range(piece.first, piece.first + len(piece.texts)), pa.int64())
            filled = pc.not_equal(pc.utf8_trim_whitespace(piece.texts), "")
            kept = pc.and_(filled, pc.greater(numbers, self._layout.above))
            if self._layout.ruler:
                kept = pc.and_(kept, pc.not_equal(piece.texts, self._layout.ruler))
            found, numbers = piece.texts.filter(kept), numbers.filter(kept)
            self._check(found, numbers)
            arrays = [self._cut(found, span) for span in self._layout.spans]
            yield texts.Rows(pa.RecordBatch.from_arrays(arrays, names=names), numbers)

    def _cut(self, found: pa.Array, span: Span) -> pa.Array:
        values = pc.utf8_trim_whitespace(pc.utf8_slice_codeunits(found, span.start, span.end))
        for null in ("", *self._nulls):
            values = pc.if_else(pc.equal(values, null), pa.scalar(None, pa.string()), values)
        return values

    def _check(self, found: pa.Array, numbers: pa.Array) -> None:
        """Refuse the first line that does not fit the layout."""
        wanted = self._layout.length
        if wanted is not None:
            # Beyond the last column may stand blanks, which hold nothing.
            lengths = pc.utf8_length(found)
            inked = pc.utf8_length(pc.utf8_rtrim_whitespace(found))
            wrong = pc.greater(inked, lines.LONGEST if self._layout.longer else wanted)
            if not self._pad:
                wrong = pc.or_(wrong, pc.less(lengths, wanted))
            if wrong.true_count:
                self._refuse(numbers.filter(wrong)[0].as_py(), lengths.filter(wrong)[0].as_py(), wanted)
        for place in self._layout.blanks:
            crossed = pc.not_equal(pc.utf8_trim_whitespace(pc.utf8_slice_codeunits(found, place, place + 1)), "")
            if crossed.true_count:
                raise DataError(
                    f"Line {numbers.filter(crossed)[0].as_py()} of {self._asked.file.key} has a character at place "
                    f"{place + 1}, which stands between two columns",
                    remedy="Say widths={…} or columns={…}",
                )

    def _refuse(self, line: Any, length: Any, wanted: int) -> None:
        remedy = "Mend the line, or the widths"
        if length < wanted:
            remedy += "; short='pad' reads what a short line lacks as null"
        raise DataError(
            f"Line {line} of {self._asked.file.key} has {length} characters, its columns {wanted}", remedy=remedy
        )
