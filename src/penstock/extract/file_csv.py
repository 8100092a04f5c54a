"""CSV and TSV: dialect and header are read here, so that a ragged row is refused instead of bending the dialect.

DuckDB's own detection would take a file with a short row for a table of one column, or drop the header above a longer
one.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any

import duckdb

from penstock.errors import ConfigurationError, DataError
from penstock.extract.file_listing import Content, File, head
from penstock.names import unknown
from penstock.queries.text import identifier, literal

OPTIONS = ("delimiter", "header", "encoding", "nulls", "types", "quote", "escape", "skip", "comment", "max_line_size")
WHOLE_BYTES = 64 * 2**20
"""Types are inferred over the whole of files up to this size, over the first ``SAMPLED_ROWS`` of larger ones."""
SAMPLED_ROWS = 400_000
_UNTOLD = "the types of {} cannot be inferred; columns without a type of their own are read as text"
_DELIMITERS = (",", ";", "\t", "|")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the files of one group are written; equal dialects are read by one scan.

    Attributes:
        columns: The names, exact and case-blind repeats numbered.
        options: The options of ``read_csv`` but for columns and types, as SQL.
    """

    columns: tuple[str, ...]
    options: str


def dialect(file: File, content: Content, options: Mapping[str, Any], notes: list[str]) -> Dialect | None:
    """Find out how a file is written; None for a file without a line.

    Args:
        file: The file.
        content: What its bytes told.
        options: The user's ``csv`` options.
        notes: Gets sentences for the user.

    Raises:
        ConfigurationError: If an option is unknown or of no use.
        DataError: If the header cannot be read.
    """
    for name in options:
        if name not in OPTIONS:
            raise unknown("csv option", name, OPTIONS, where=file.key)
    encoding = str(options.get("encoding") or content.encoding)
    lines = _lines(file, content, encoding, int(options.get("skip", 0)))
    if not lines:
        return None
    delimiter = str(options.get("delimiter") or ("\t" if file.format == "tsv" else _delimiter(lines, options)))
    first: list[str] = next(_records(lines, delimiter, options), [])
    if not first:
        return None
    named = bool(options.get("header", True))
    names = _names(first if named else [""] * len(first), file, notes)
    if encoding != "utf-8" and "encoding" not in options and encoding != "utf-16":
        notes.append(f"{file.key} is not UTF-8; it is read as Latin-1")
    return Dialect(tuple(names), _options(delimiter, encoding, content.compression, options))


def types(
    session: duckdb.DuckDBPyConnection,
    files: Sequence[tuple[File, Content]],
    how: Dialect,
    given: Mapping[str, str],
) -> tuple[dict[str, str], list[str]]:
    """Infer the types of columns over all files of a group; a column that no type fits is VARCHAR.

    Args:
        session: A DuckDB to ask.
        files: The files.
        how: Their dialect.
        given: Types that the user named; they win.

    Returns:
        Column to DuckDB type, and sentences for the user.
    """
    for name in given:
        if name not in how.columns:
            raise unknown("column", name, how.columns, where=f"csv types of {files[0][0].key}")
    whole = sum(content.bytes for _, content in files) <= WHOLE_BYTES
    sample = -1 if whole else SAMPLED_ROWS
    listed = ", ".join(literal(file.path) for file, _ in files)
    found = dict.fromkeys(how.columns, "VARCHAR")
    try:
        described = session.execute(
            f"DESCRIBE SELECT * FROM read_csv([{listed}], {how.options}, null_padding=true, union_by_name=true, "
            f"dateformat='%Y-%m-%d', sample_size={sample})"
        ).fetchall()
    except duckdb.Error:
        # What is wrong with the file, the strict scan says with its line.
        return {**found, **given}, [_UNTOLD.format(files[0][0].key)]
    if len(described) != len(how.columns):
        return {**found, **given}, [_UNTOLD.format(files[0][0].key)]
    found = {name: row[1] for name, row in zip(how.columns, described, strict=True)}
    notes: list[str] = []
    if any(content.long_numbers for _, content in files):
        for name in _inexact(session, listed, how, found):
            found[name] = "VARCHAR"
            notes.append(f"{name} holds numbers with more digits than DOUBLE carries; it is read as text")
    return {**found, **given}, notes


def relation(files: Sequence[File], how: Dialect, found: Mapping[str, str], file_column: str) -> str:
    """Return the strict ``read_csv`` over the files of a group."""
    listed = ", ".join(literal(file.path) for file in files)
    columns = ", ".join(f"{literal(name)}: {literal(found[name])}" for name in how.columns)
    return (
        f"read_csv([{listed}], {how.options}, columns={{{columns}}}, auto_detect=false, strict_mode=true, "
        f"null_padding=false, filename={literal(file_column)})"
    )


def _inexact(session: duckdb.DuckDBPyConnection, listed: str, how: Dialect, found: Mapping[str, str]) -> list[str]:
    doubles = [name for name, type_ in found.items() if type_ == "DOUBLE"]
    if not doubles:
        return []
    columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in how.columns)
    flags = ", ".join(f"bool_or(regexp_matches({identifier(name)}, '^\\s*[+-]?\\d{{16,}}\\s*$'))" for name in doubles)
    try:
        row = session.execute(
            f"SELECT {flags} FROM read_csv([{listed}], {how.options}, columns={{{columns}}}, auto_detect=false, "
            "strict_mode=true)"
        ).fetchone()
    except duckdb.Error:
        return []
    return [name for name, flag in zip(doubles, row or (), strict=False) if flag]


def _lines(file: File, content: Content, encoding: str, skip: int) -> list[str]:
    data = head(file, content)
    codec = "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding
    try:
        # The last line of the piece may be cut anywhere, within a character too.
        text = data.decode(codec, "ignore" if len(data) < content.bytes else "strict")
    except UnicodeDecodeError:
        raise DataError(
            f"The file {file.key} is not written in {encoding}", remedy="Name its encoding with encoding=…"
        ) from None
    except LookupError:
        raise ConfigurationError(
            f"The encoding of {file.key} is not known", value=encoding, valid="utf-8, utf-16, latin-1"
        ) from None
    lines = io.StringIO(text, newline="").readlines()
    return lines[skip:]


def _records(lines: Sequence[str], delimiter: str, options: Mapping[str, Any]) -> Any:
    quote = str(options.get("quote", '"'))
    comment = options.get("comment")
    kept = (line for line in lines if not (comment and line.startswith(comment)))
    try:
        reader = csv.reader(kept, delimiter=delimiter, quotechar=quote or None, strict=False)
    except TypeError:
        raise ConfigurationError(
            "A csv delimiter or quote must be one character", value=f"{delimiter} {quote}"
        ) from None
    return (record for record in reader if record)


def _delimiter(lines: Sequence[str], options: Mapping[str, Any]) -> str:
    best, most = ",", (0, 1)
    for candidate in _DELIMITERS:
        try:
            counts = [len(record) for record in islice(_records(lines, candidate, options), 20)]
        except csv.Error:
            continue
        agreeing = sum(1 for one, two in pairwise(counts) if one == two and one > 1)
        score = (agreeing, counts[0] if counts else 0)
        if score > most and counts[0] > 1:
            best, most = candidate, score
    return best


def _names(first: Sequence[str], file: File, notes: list[str]) -> list[str]:
    taken: set[str] = set()
    names: list[str] = []
    for position, column in enumerate(first, start=1):
        base = column or f"column{position}"
        name, number = base, 1
        while name.lower() in taken:
            number += 1
            name = f"{base}__{number}"
        if number > 1:
            notes.append(f"{file.key} has several columns {column!r}; the one at place {position} is called {name!r}")
        taken.add(name.lower())
        names.append(name)
    return names


def _options(delimiter: str, encoding: str, compression: str | None, options: Mapping[str, Any]) -> str:
    nulls = options.get("nulls", ())
    spellings = ["", *([nulls] if isinstance(nulls, str) else nulls)]
    quote = str(options.get("quote", '"'))
    parts = [
        f"delim={literal(delimiter)}",
        f"quote={literal(quote)}",
        f"escape={literal(str(options.get('escape', quote)))}",
        f"header={'true' if options.get('header', True) else 'false'}",
        f"nullstr=[{', '.join(literal(str(text)) for text in dict.fromkeys(spellings))}]",
        # A quoted empty field is an empty text; only a bare one is null.
        "allow_quoted_nulls=false",
        f"compression={literal(compression or 'none')}",
    ]
    if encoding != "utf-8":
        parts.append(f"encoding={literal(encoding)}")
    if options.get("skip"):
        parts.append(f"skip={int(options['skip'])}")
    if options.get("comment"):
        parts.append(f"comment={literal(str(options['comment']))}")
    if options.get("max_line_size"):
        parts.append(f"max_line_size={int(options['max_line_size'])}")
    return ", ".join(parts)
