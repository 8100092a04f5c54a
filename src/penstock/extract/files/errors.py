"""What DuckDB's errors about files mean, in sentences that name file and line and show no value."""

from __future__ import annotations

import re
from collections.abc import Mapping

import duckdb

from penstock.errors import ConfigurationError, DataError, PenstockError, TransientError
from penstock.extract.files.listing import File

_LINE = re.compile(r"CSV Error on Line: (\d+)")
_EXPECTED = re.compile(r"Expected Number of Columns: (\d+) Found: (\d+)")
_CONVERTED = re.compile(
    r"Error when converting column \"(.*?)\"\. Could not convert string \".*?\" to '([A-Z][A-Z0-9_(), ]*)'", re.DOTALL
)
_FILE = re.compile(r"^\s+file = (.*)$", re.MULTILINE)
_JSON_PLACE = re.compile(
    r"Malformed JSON in file \"(.*?)\", at byte \d+ in (line|record/value) (\d+): (.*?)\.?\s*$", re.MULTILINE
)


def explain(files: Mapping[str, File], error: Exception) -> PenstockError:
    """Turn an error of DuckDB into a sentence; its own text may hold whole rows and is never passed on."""
    text = str(error)
    named = _FILE.search(text)
    path = named[1].strip() if named else next((path for path in files if path in text), None)
    file = files.get(path or "") or next(iter(files.values()))
    where = file.key if path or len(files) == 1 else f"one of {len(files)} files, as {file.key},"
    line = _LINE.search(text)
    if line is not None:
        return explain_csv(text, f"Line {line[1]} of {where}", file)
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
        return ConfigurationError(
            f"{where} has records too large for the memory that the engine may use",
            remedy="Raise memory (project.memory, or --memory of ingest)",
        )
    if "maximum_object_size" in text or "maximum object size" in text:
        return DataError(
            f"{where} has a record that is longer than JSON is read",
            valid="records of up to 16 MiB",
            remedy="Keep such values as files beside the table, or bring them in by a database",
        )
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


def explain_csv(text: str, place: str, file: File) -> PenstockError:
    """Return the sentence for one line of a CSV file.

    Args:
        text: What DuckDB says.
        place: Line and file.
        file: The file.
    """
    counts = _EXPECTED.search(text)
    if counts is not None:
        return miscounted(place, counts[2], counts[1])
    converted = _CONVERTED.search(text)
    if converted is not None:
        return unconverted(place, converted[1], converted[2])
    if "unterminated quote" in text:
        return DataError(f"{place} opens a quote that is not closed, or has text after a closing one")
    if "unicode" in text or "encoded" in text:
        return DataError(f"{place} is not UTF-8", remedy="Name the encoding: encoding='latin-1'")
    if "Maximum line size" in text:
        return DataError(f"{place} is longer than 2,000,000 bytes", remedy="Allow it with max_line_size=…")
    return DataError(f"{place} is no well-formed {file.format.upper()}")


def miscounted(place: str, found: str, expected: str) -> DataError:
    """Return the sentence for a row with more or fewer fields than the table has columns."""
    return DataError(
        f"{place} has {found} fields, its header {expected}",
        valid=f"{expected} fields in every row",
        remedy="Mend the row (a delimiter within a value needs quotes)",
    )


def unconverted(place: str, column: str, type_: str) -> DataError:
    """Return the sentence for a row with a value that is not of its column's type."""
    return DataError(
        f"{place} holds a value in column {column!r} that is no {type_}, as the rows before it are",
        remedy=f"Read the column as text: types={{{column!r}: 'VARCHAR'}}",
    )
