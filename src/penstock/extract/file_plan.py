"""Which scans read which files, and what DuckDB's errors about them mean."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Any

import duckdb

from penstock.errors import ConfigurationError, DataError, PenstockError, TransientError
from penstock.extract import file_csv, file_documents
from penstock.extract.file_listing import Content, File
from penstock.extract.file_parquet import ArrowFiles, needs_arrow
from penstock.extract.formats.known import FORMATS, GENERAL
from penstock.extract.formats.port import FormatFiles
from penstock.extract.port import Request, Scan
from penstock.names import unknown
from penstock.stores.engine import LocalEngine

_BY_ARROW = ("parquet", "by Arrow")
FILE_COLUMN = "_penstock_source_file"
Rows = ArrowFiles | FormatFiles
"""Files that are read by Arrow, not by DuckDB."""
_LINE = re.compile(r"CSV Error on Line: (\d+)")
_EXPECTED = re.compile(r"Expected Number of Columns: (\d+) Found: (\d+)")
_CONVERTED = re.compile(
    r"Error when converting column \"(.*?)\"\. Could not convert string \".*?\" to '([A-Z][A-Z0-9_(), ]*)'", re.DOTALL
)
_FILE = re.compile(r"^\s+file = (.*)$", re.MULTILINE)
_JSON_PLACE = re.compile(
    r"Malformed JSON in file \"(.*?)\", at byte \d+ in (line|record/value) (\d+): (.*?)\.?\s*$", re.MULTILINE
)


def plan(
    request: Request, files: Sequence[tuple[File, Content]], engine: LocalEngine, notes: list[str]
) -> list[tuple[list[File], Scan | Rows]]:
    """Return the scans, each with its files in order; files without content are left out with a note.

    Raises:
        DataError: If a file is not what its format says.
        ConfigurationError: If an option does not fit the files.
    """
    alike = []
    for file, content in files:
        how = None if file.bytes == 0 else _likeness(file, content, request, notes)
        if how is None:
            notes.append(f"{file.key} is empty")
        else:
            alike.append((how, (file, content)))
    scans: list[tuple[list[File], Scan | Rows]] = []
    with engine.session() as session:
        for how, group in groupby(alike, key=lambda pair: pair[0]):
            members = [pair for _, pair in group]
            details = [(file, {"bytes": file.bytes, "sha256": content.sha256}) for file, content in members]
            if members[0][0].format in FORMATS:
                scans.append(([file for file, _ in members], _formatted(members, request, notes)))
                continue
            if how == _BY_ARROW:
                scans.append(([file for file, _ in members], ArrowFiles(tuple(details))))
                continue
            explain = partial(_explain, {file.path: file for file, _ in members})
            try:
                sql = _query(session, members, how, request, notes)
            except duckdb.Error as error:
                raise explain(error) from error
            if sql is None:
                continue
            origins = tuple((file.key, detail) for file, detail in details)
            paths = tuple(file.path for file, _ in details)
            scan = Scan(sql, origins=origins, paths=paths, file_column=FILE_COLUMN, explain=explain)
            scans.append(([file for file, _ in members], scan))
    return scans


def _likeness(file: File, content: Content, request: Request, notes: list[str]) -> Any:
    """Return what files must share to be read by one scan; None for a file without content."""
    if file.format in FORMATS:
        return (file.format,)
    if file.format in ("csv", "tsv"):
        return file_csv.dialect(file, content, _csv_options(request), notes)
    if file.format == "parquet":
        return _BY_ARROW if needs_arrow(file) else ("parquet",)
    return None if content.bytes == 0 else (file.format, content.compression, file_documents.layout(file, content))


def _formatted(members: Sequence[tuple[File, Content]], request: Request, notes: list[str]) -> FormatFiles:
    file = members[0][0]
    for name in request.source.options:
        if name not in (*FORMATS[file.format].options, *GENERAL):
            raise unknown("option", name, FORMATS[file.format].options, where=f"{file.key}, which is {file.format}")
    return FormatFiles(file.format, tuple(members), request.source.options, notes, tuple(request.source.personal))


def _query(
    session: duckdb.DuckDBPyConnection,
    members: Sequence[tuple[File, Content]],
    how: Any,
    request: Request,
    notes: list[str],
) -> str | None:
    files = [file for file, _ in members]
    records = request.source.options.get("records")
    if records is not None and files[0].format not in ("json", "jsonl"):
        raise ConfigurationError(f"The option records is for JSON, but {files[0].key} is {files[0].format}")
    if isinstance(how, file_csv.Dialect):
        # Of personal columns the text itself is protected, whatever type it looks like.
        personal = {name.lower() for name in request.source.personal}
        texts = {name: "VARCHAR" for name in how.columns if name.lower() in personal}
        named = {**texts, **(_csv_options(request).get("types") or {})}
        types, met = file_csv.types(session, members, how, named)
        notes += met
        return f"SELECT * FROM {file_csv.relation(files, how, types, FILE_COLUMN)}"
    if files[0].format == "parquet":
        return file_documents.parquet_relation(files, FILE_COLUMN)
    sql, met = file_documents.json_relation(session, members, FILE_COLUMN, records)
    notes += met
    return sql


def _csv_options(request: Request) -> Mapping[str, Any]:
    given = request.source.options
    options = given.get("csv") or {}
    if not isinstance(options, Mapping):
        raise ConfigurationError(f"The option csv of {request.source.table} must be a table of options", value=options)
    return {**{name: given[name] for name in file_csv.OPTIONS if name in given}, **options}


def _explain(files: Mapping[str, File], error: Exception) -> PenstockError:
    """Turn an error of DuckDB into a sentence; its own text may hold whole rows and is never passed on."""
    text = str(error)
    named = _FILE.search(text)
    path = named[1].strip() if named else next((path for path in files if path in text), None)
    file = files.get(path or "") or next(iter(files.values()))
    where = file.key if path or len(files) == 1 else f"one of {len(files)} files, as {file.key},"
    line = _LINE.search(text)
    if line is not None:
        return _explain_csv(text, f"Line {line[1]} of {where}", file)
    place = _JSON_PLACE.search(text)
    if place is not None:
        unit = "line" if place[2] == "line" else "record"
        return DataError(f"{where} is not valid JSON near {unit} {place[3]}: {place[4]}")
    if "duplicate key" in text:
        return DataError(f"An object in {where} has the same key twice")
    if "state machine" in text:
        return DataError(
            f"{where} is no well-formed CSV: it mixes line endings or quotes", remedy="Write it anew with one kind"
        )
    if isinstance(error, duckdb.IOException) and "No such file" in text:
        return TransientError(f"A file of {where} vanished before it was read")
    if isinstance(error, duckdb.CatalogException | duckdb.BinderException):
        return ConfigurationError(
            f"An option of {where} does not fit it", valid="types that DuckDB knows, as BIGINT, DECIMAL(12,2), VARCHAR"
        )
    if isinstance(error, duckdb.OutOfMemoryException):
        return ConfigurationError(f"{where} has records too large for the memory that the engine may use")
    if file.format == "parquet":
        return DataError(
            f"{where} is no whole Parquet file, or its columns differ in type from the files before it",
            remedy="Write it anew, or read files of different columns as sources of their own",
        )
    return DataError(
        f"{where} cannot be read as {file.format}: its content is none",
        valid="csv, tsv, json, jsonl, parquet",
        remedy="Name the right format with format=…, or mend the file",
    )


def _explain_csv(text: str, place: str, file: File) -> PenstockError:
    counts = _EXPECTED.search(text)
    if counts is not None:
        return DataError(
            f"{place} has {counts[2]} fields, its header {counts[1]}",
            valid=f"{counts[1]} fields in every row",
            remedy="Mend the row (a delimiter within a value needs quotes)",
        )
    converted = _CONVERTED.search(text)
    if converted is not None:
        return DataError(
            f"{place} holds a value in column {converted[1]!r} that is no {converted[2]}, as the rows before it are",
            remedy=f"Read the column as text: types={{{converted[1]!r}: 'VARCHAR'}}",
        )
    if "unterminated quote" in text:
        return DataError(f"{place} opens a quote that is not closed, or has text after a closing one")
    if "unicode" in text or "encoded" in text:
        return DataError(f"{place} is not UTF-8", remedy="Name the encoding: encoding='latin-1'")
    if "Maximum line size" in text:
        return DataError(f"{place} is longer than 2,000,000 bytes", remedy="Allow it with max_line_size=…")
    return DataError(f"{place} is no well-formed {file.format.upper()}")
