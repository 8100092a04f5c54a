"""Logs: lines by a regular expression whose named groups are the columns; a line that does not match is kept as it is.

Where a record may have several lines, ``start`` tells the first of each, and those below it belong to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from penstock.errors import ConfigurationError, DataError
from penstock.extract.files.formats import lines, texts
from penstock.extract.files.formats.log_patterns import PATTERNS, Pattern
from penstock.extract.files.formats.port import Asked
from penstock.values import dataclass

LINE, UNMATCHED = "line_number", "unmatched"
_UNMATCHED = ("keep", "quarantine", "refuse")
_SAMPLE = 200
_LIKELY = 0.9
_GROUP = re.compile(r"\(\?P<([A-Za-z_]\w*)>")
_WORD = re.compile(r"[a-z0-9_]+")


def read(asked: Asked) -> Iterator[pa.RecordBatch]:
    """Yield the records, with the number of their first line, and beside them the lines that are none.

    Raises:
        ConfigurationError: No pattern is named and none of the well-known ones fits, or it cannot be one.
        DataError: No line matches, or one does not and ``unmatched`` is ``refuse``; names the line.
    """
    mode = asked.options.get("unmatched", "keep")
    if mode not in _UNMATCHED:
        raise ConfigurationError(
            f"What becomes of lines of {asked.file.key} that do not match is not known",
            value=mode,
            valid=_UNMATCHED,
        )
    log = _Log(asked, _pattern(asked), mode)
    said = texts.wishes(asked)
    own = {name: type_ for name, type_ in log.pattern.types.items() if name not in said.times}
    times = {name: form for name, form in log.pattern.times.items() if name not in said.types}
    said = replace(said, types={**own, **said.types}, times={**times, **said.times})
    for typed in texts.typed(asked, log.rows, said):
        yield log.batch(typed)
    log.tell()


@dataclass(frozen=True, slots=True)
class _Rows(texts.Rows):
    """Records as texts in columns, beside them the records themselves, and whether each matches."""

    records: pa.Array
    matched: pa.Array


class _Log:
    def __init__(self, asked: Asked, pattern: Pattern, mode: str) -> None:
        self.pattern = pattern
        self._asked = asked
        self._mode = mode
        self._names = _GROUP.findall(pattern.expression)
        self._nulls = [*lines.nulls(asked), *([pattern.null] if pattern.null else [])]
        self._matched = self._unmatched = 0
        self._first = 0

    def rows(self) -> Iterator[_Rows]:
        """Yield the records of the file; blank ones are left out."""
        whole = rf"\A(?:{self.pattern.expression})\z"
        none = pa.nulls(0, pa.string())
        yield _Rows(_columns(self._names, [none] * len(self._names)), pa.nulls(0, pa.int64()), none, none.is_valid())
        for numbers, records in _records(self._asked, self.pattern.start):
            found = pc.extract_regex(records, whole)
            arrays = []
            for name in self._names:
                values = pc.struct_field(found, name)
                for null in ("", *self._nulls):
                    values = pc.if_else(pc.equal(values, null), pa.scalar(None, pa.string()), values)
                arrays.append(values)
            yield _Rows(_columns(self._names, arrays), numbers, records, found.is_valid())

    def batch(self, typed: texts.Typed) -> pa.RecordBatch:
        """Return typed records with their lines, and those that do not match as texts."""
        rows = typed.rows
        assert isinstance(rows, _Rows)
        matched = rows.matched if typed.failed is None else pc.and_(rows.matched, pc.invert(typed.failed))
        columns = list(typed.batch.columns)
        missed = len(matched) - (matched.true_count or 0)
        if missed:
            line = rows.lines.filter(pc.invert(matched))[0].as_py()
            refusal = DataError(
                f"Line {line} of {self._asked.file.key} does not match the pattern",
                remedy="Keep such lines with unmatched='keep', or name another pattern",
            )
            if self._mode == "refuse":
                raise refusal
            if self._mode == "quarantine":
                return self._set_aside(typed.batch, rows, matched, refusal)
            self._first = self._first or line
            if typed.failed is not None:
                columns = [pc.if_else(matched, column, pa.scalar(None, column.type)) for column in columns]
        self._unmatched += missed
        self._matched += len(matched) - missed
        if self._mode != "keep":
            return pa.RecordBatch.from_arrays([*columns, rows.lines], names=[*typed.batch.schema.names, LINE])
        kept = pa.scalar(None, pa.string()) if self._asked.personal else rows.records
        unmatched = pc.if_else(matched, pa.scalar(None, pa.string()), kept)
        return pa.RecordBatch.from_arrays(
            [*columns, rows.lines, unmatched], names=[*typed.batch.schema.names, LINE, UNMATCHED]
        )

    def _set_aside(self, batch: pa.RecordBatch, rows: _Rows, matched: Any, refusal: DataError) -> pa.RecordBatch:
        odd = pc.invert(matched)
        listed = zip(rows.lines.filter(odd).to_pylist(), rows.records.filter(odd).to_pylist(), strict=True)
        self._asked.misfits.add("no_match", [(text, {"line": line}) for line, text in listed], refusal)
        columns = [*batch.columns, rows.lines]
        whole = pa.RecordBatch.from_arrays(columns, names=[*batch.schema.names, LINE])
        self._matched += matched.true_count
        return whole.filter(matched)

    def tell(self) -> None:
        """Say how many lines did not match.

        Raises:
            DataError: None did.
        """
        key = self._asked.file.key
        if self._unmatched and not self._matched:
            raise DataError(
                f"No line of {key} matches its pattern",
                valid=f"a regular expression with named groups, or {', '.join(PATTERNS)}",
                remedy="Name the right one with pattern=…",
            )
        if self._unmatched:
            kept = "their texts are left out, for they may be personal" if self._asked.personal else "kept in unmatched"
            self._asked.notes.append(
                f"{key}: {self._unmatched} records do not match the pattern, as in line {self._first}; {kept}"
            )


def _columns(names: list[str], arrays: list[Any]) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(arrays, names=names)


def _pattern(asked: Asked) -> Pattern:
    key, given = asked.file.key, asked.options.get("pattern")
    pattern = _detected(asked) if given is None else PATTERNS.get(str(given)) or Pattern(str(given))
    if given is not None and str(given) not in PATTERNS and _WORD.fullmatch(str(given)):
        raise ConfigurationError(f"The pattern of {key} is not known", value=given, valid=PATTERNS)
    start = asked.options.get("start")
    pattern = pattern if start is None else replace(pattern, start=str(start))
    names = _GROUP.findall(pattern.expression)
    for what, expression in (("pattern", pattern.expression), ("start", pattern.start or "")):
        try:
            pc.match_substring_regex(pa.array([""]), expression)
        except pa.ArrowInvalid:
            raise ConfigurationError(
                f"The {what} of {key} is no regular expression",
                value=expression,
                valid="what RE2 knows, without looking ahead or behind",
            ) from None
    if not names or len(set(names)) < len(names) or {LINE, UNMATCHED} & set(names):
        raise ConfigurationError(
            f"The pattern of {key} cannot name columns",
            value=pattern.expression,
            valid=f"named groups as (?P<level>\\w+), each name once, none of them {LINE} or {UNMATCHED}",
            remedy="Write groups that are no columns as (?:…)",
        )
    return pattern


def _detected(asked: Asked) -> Pattern:
    """Return the well-known pattern that nearly all of the first lines match."""
    for name, pattern in PATTERNS.items():
        sampled = replace(asked, notes=[])
        _, records = next(_records(sampled, pattern.start), (None, pa.nulls(0, pa.string())))
        some = records.slice(0, _SAMPLE)
        fits = pc.match_substring_regex(some, rf"\A(?:{pattern.expression})\z")
        if len(some) and fits.true_count >= _LIKELY * len(some):
            asked.notes.append(f"{asked.file.key} is read by the pattern {name}")
            return pattern
    raise ConfigurationError(
        f"The lines of {asked.file.key} match none of the well-known patterns",
        valid=PATTERNS,
        remedy="Say pattern=…, a regular expression with named groups such as (?P<level>\\w+) (?P<message>.*)",
    )


def _records(asked: Asked, start: str | None) -> Iterator[tuple[pa.Array, pa.Array]]:
    """Yield the first line of each record and its text; blank ones are left out."""
    found = _single(asked) if start is None else _joined(asked, start)
    for numbers, records in found:
        filled = pc.not_equal(pc.utf8_trim_whitespace(records), "")
        if filled.true_count == len(records):
            yield numbers, records
        else:
            yield numbers.filter(filled), records.filter(filled)


def _single(asked: Asked) -> Iterator[tuple[pa.Array, pa.Array]]:
    for piece in lines.lines(asked):
        yield _numbers(piece.first, len(piece.texts)), piece.texts


def _joined(asked: Asked, start: str) -> Iterator[tuple[pa.Array, pa.Array]]:
    expression = rf"\A(?:{start})"
    open_: list[str] = []
    line = size = 0
    for piece in lines.lines(asked):
        starts = pc.indices_nonzero(pc.match_substring_regex(piece.texts, expression)).cast(pa.int32())
        first = starts[0].as_py() if len(starts) else len(piece.texts)
        above = piece.texts.slice(0, first).to_pylist()
        line = line or piece.first
        open_ += above
        size += sum(map(len, above))
        if size > lines.LONGEST:
            raise DataError(
                f"The record at line {line} of {asked.file.key} has over {lines.LONGEST:,} characters",
                remedy="Name what each record begins with: start=…",
            )
        if not len(starts):
            continue
        if open_:
            yield pa.array([line], pa.int64()), pa.array(["\n".join(open_)])
        last = starts[-1].as_py()
        if last > first:
            listed = pa.ListArray.from_arrays(starts, piece.texts.slice(0, last))
            yield pc.add(starts.slice(0, len(starts) - 1).cast(pa.int64()), piece.first), pc.binary_join(listed, "\n")
        open_ = piece.texts.slice(last).to_pylist()
        line, size = piece.first + last, sum(map(len, open_))
    if open_:
        yield pa.array([line], pa.int64()), pa.array(["\n".join(open_)])


def _numbers(first: int, count: int) -> pa.Array:
    return pa.array(range(first, first + count), pa.int64())
