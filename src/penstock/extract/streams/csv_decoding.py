"""Messages that are small files of CSV: a header and one line. A reader of files that grow puts the header before each.

All lines of one header are parsed in one call. Fields are texts, and an empty one without quotes is none; contracts
give other types. What is no row stays readable by itself, so that it can be decoded again.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from penstock.extract.streams.decoding import Decoded, Piece, others, undecodable

FEW, MANY, QUOTE, HEADER, ENCODING = (
    "too_few_fields",
    "too_many_fields",
    "unclosed_quote",
    "no_header",
    "wrong_encoding",
)


class CsvDecoder:
    """Makes columns of a header and a line each.

    Args:
        known: The columns that the table has so far.
    """

    def __init__(self, known: Sequence[str] = ()) -> None:
        self.known: Mapping[str, pa.DataType] = dict.fromkeys(known, pa.string())

    def decode(self, values: pa.BinaryArray) -> Decoded:
        """Decode values, header by header."""
        misfits = dict.fromkeys(undecodable(values), ENCODING)
        places = others(len(values), misfits)
        if not len(places):
            return Decoded((), misfits)
        parts = pc.split_pattern(values.take(places), pattern=b"\n", max_splits=1)
        headers = pc.list_element(parts, 0).dictionary_encode()
        pieces = []
        for number, header in enumerate(headers.dictionary.to_pylist()):
            mine = pc.indices_nonzero(pc.equal(headers.indices, number)).cast(pa.int64())
            # A message without a line break is a header alone, and has too few fields.
            lines = [part[1] if len(part) > 1 else b"" for part in parts.take(mine).to_pylist()]
            piece = self._piece(next(csv.reader([header.decode()]), []), lines, places.take(mine), misfits)
            if len(piece.places):
                pieces.append(piece)
        return Decoded(tuple(pieces), misfits)

    def _piece(self, names: list[str], lines: list[bytes], places: pa.Int64Array, misfits: dict[int, str]) -> Piece:
        """Return the rows of lines of one header; what is no row becomes a misfit."""
        if not names or len(set(names)) != len(names) or not all(names):
            misfits.update(dict.fromkeys(places.to_pylist(), HEADER))
            return Piece(places[:0], pa.table({}))
        empty = [place for place, line in enumerate(lines) if not line.rstrip(b"\r")]
        if empty:
            misfits.update(dict.fromkeys(places.take(pa.array(empty, pa.int64())).to_pylist(), FEW))
            kept = pa.array([place for place, line in enumerate(lines) if line.rstrip(b"\r")], pa.int64())
            places, lines = places.take(kept), [lines[place] for place in kept.to_pylist()]
        if not lines:
            return Piece(places, pa.table({}))
        bad: dict[int, str] = {}
        rows = pa.concat_tables(_parsed(names, lines, 0, bad))
        misfits.update({places[place].as_py(): why for place, why in bad.items()})
        good = others(len(lines), bad)
        self.known = {**self.known, **dict.fromkeys(names, pa.string())}
        return Piece(places.take(good), rows)


def _parsed(names: list[str], lines: list[bytes], first: int, bad: dict[int, str]) -> list[pa.Table]:
    """Return the rows of lines, and note which are none; a quote that is not closed takes others with it."""
    found: list[tuple[int, str]] = []

    def refused(row: Any) -> str:
        found.append((row.number - 1, _why(row)))
        return "skip"

    rows = pacsv.read_csv(
        io.BytesIO(b"\n".join(lines) + b"\n"),
        read_options=pacsv.ReadOptions(column_names=names, use_threads=False, block_size=_block(lines)),
        parse_options=pacsv.ParseOptions(invalid_row_handler=refused, ignore_empty_lines=False),
        convert_options=pacsv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            strings_can_be_null=True,
            null_values=[""],
            quoted_strings_can_be_null=False,
        ),
    )
    if rows.num_rows + len(found) == len(lines):
        bad.update((first + place, why) for place, why in found)
        return [rows]
    if len(lines) == 1:
        bad[first] = QUOTE
        return [rows.slice(0, 0)]
    half = len(lines) // 2
    return [*_parsed(names, lines[:half], first, bad), *_parsed(names, lines[half:], first + half, bad)]


def _why(row: Any) -> str:
    if row.text.count('"') % 2:
        return QUOTE
    return FEW if row.actual_columns < row.expected_columns else MANY


def _block(lines: list[bytes]) -> int:
    """Return the bytes of all lines: they are parsed as one, so that rows are numbered from the first."""
    return max(2**16, sum(map(len, lines)) + len(lines) + 1)
