"""Lines of fixed width: each column stands at the same characters of every line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from penstock.errors import ConfigurationError, DataError
from penstock.extract.files.formats import lines, texts
from penstock.extract.files.formats.fixed_layout import Layout, Span, layout
from penstock.extract.files.formats.port import Asked
from penstock.values import dataclass

_SAMPLE = 1000
_RAGGED = ("quarantine", "refuse", "pad")


def read(asked: Asked) -> Iterator[pa.RecordBatch]:
    """Yield the rows; blanks around a value are no part of it, and a value of blanks is null.

    Lines that are not as long as their columns, or hold a value of another type, are set aside.

    Raises:
        ConfigurationError: An option is not what it may be.
        DataError: A line does not fit, and ``on_ragged`` is ``refuse``; names the line.
    """
    ragged = asked.options.get("on_ragged", "quarantine")
    if ragged not in _RAGGED:
        raise ConfigurationError(
            f"What becomes of lines of {asked.file.key} that do not fit is not known", value=ragged, valid=_RAGGED
        )
    sample = next(lines.lines(replace(asked, notes=[])), None)
    first = sample.texts.slice(0, _SAMPLE).to_pylist() if sample is not None else []
    file = _File(asked, layout(asked, first), ragged)
    for typed in texts.typed(asked, file.rows, texts.wishes(asked)):
        rows = typed.rows
        assert isinstance(rows, _Rows)
        for odd in rows.odd:
            file.set_aside(odd)
        if typed.failed is None:
            yield typed.batch
            continue
        told = f"holds a value in column {typed.column!r} that is not {typed.wanted}"
        remedy = f"Read the column as text: types={{{typed.column!r}: 'VARCHAR'}}"
        file.set_aside(
            _Odd("wrong_type", told, remedy, rows.lines.filter(typed.failed), rows.whole.filter(typed.failed))
        )
        yield typed.batch.filter(pc.invert(typed.failed))


@dataclass(frozen=True, slots=True)
class _Odd:
    """Lines that are no rows for one reason: what is to be told of the first, their numbers and texts."""

    reason: str
    told: str
    remedy: str
    numbers: pa.Array
    lines: pa.Array


@dataclass(frozen=True, slots=True)
class _Rows(texts.Rows):
    """Rows as texts in columns, beside them their lines as they stand, and the lines that are none."""

    whole: pa.Array
    odd: tuple[_Odd, ...] = ()


class _File:
    def __init__(self, asked: Asked, found: Layout, ragged: str) -> None:
        self._asked = asked
        self._layout = found
        self._ragged = ragged
        self._nulls = lines.nulls(asked)

    def rows(self) -> Iterator[_Rows]:
        """Yield the rows as texts; blank lines are left out."""
        empty = pa.nulls(0, pa.string())
        names = [span.name for span in self._layout.spans]
        yield _Rows(pa.RecordBatch.from_arrays([empty] * len(names), names=names), pa.nulls(0, pa.int64()), empty)
        for piece in lines.lines(self._asked):
            numbers = pa.array(range(piece.first, piece.first + len(piece.texts)), pa.int64())
            filled = pc.not_equal(pc.utf8_trim_whitespace(piece.texts), "")
            kept = pc.and_(filled, pc.greater(numbers, self._layout.above))
            if self._layout.ruler:
                kept = pc.and_(kept, pc.not_equal(piece.texts, self._layout.ruler))
            found, numbers = piece.texts.filter(kept), numbers.filter(kept)
            odd = []
            for reason, told, remedy, test in self._tests():
                wrong = test(found)
                if wrong.true_count:
                    odd.append(_Odd(reason, told, remedy, numbers.filter(wrong), found.filter(wrong)))
                    good = pc.invert(wrong)
                    found, numbers = found.filter(good), numbers.filter(good)
            arrays = [self._cut(found, span) for span in self._layout.spans]
            yield _Rows(pa.RecordBatch.from_arrays(arrays, names=names), numbers, found, tuple(odd))

    def set_aside(self, odd: _Odd) -> None:
        """Give lines to the quarantine, or refuse the first of them."""
        listed = list(zip(odd.numbers.to_pylist(), odd.lines.to_pylist(), strict=True))
        line, text = listed[0]
        told = odd.told.replace("{length}", str(len(text)))
        refusal = DataError(f"Line {line} of {self._asked.file.key} {told}", remedy=odd.remedy)
        if self._ragged == "refuse":
            raise refusal
        self._asked.misfits.add(odd.reason, [(text, {"line": line}) for line, text in listed], refusal)

    def _tests(self) -> Iterator[tuple[str, str, str, Any]]:
        """Yield why a line may be no row: a word, what is told of it, what to do, and the test."""
        wanted = self._layout.length
        told = f"has {{length}} characters, its columns {wanted}"
        if wanted is not None and not self._layout.longer:
            # Beyond the last column may stand blanks, which hold nothing.
            yield (
                "line_too_long",
                told,
                "Mend the line, or the widths",
                lambda found: pc.greater(pc.utf8_length(pc.utf8_rtrim_whitespace(found)), wanted),
            )
        if wanted is not None and self._ragged != "pad":
            remedy = "Mend the line; on_ragged='pad' reads what short lines lack as null"
            yield "line_too_short", told, remedy, lambda found: pc.less(pc.utf8_length(found), wanted)
        for place in self._layout.blanks:
            told = f"has a character at place {place + 1}, which stands between two columns"
            yield (
                "misaligned",
                told,
                "Say widths={…} or columns={…}",
                lambda found, place=place: pc.not_equal(
                    pc.utf8_trim_whitespace(pc.utf8_slice_codeunits(found, place, place + 1)), ""
                ),
            )

    def _cut(self, found: pa.Array, span: Span) -> pa.Array:
        values = pc.utf8_trim_whitespace(pc.utf8_slice_codeunits(found, span.start, span.end))
        for null in ("", *self._nulls):
            values = pc.if_else(pc.equal(values, null), pa.scalar(None, pa.string()), values)
        return values
