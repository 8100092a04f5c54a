"""The scan of CSV files that are written alike, with what becomes of lines that are no rows."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import Any

import duckdb

from penstock.errors import ConfigurationError, PenstockError
from penstock.extract.files import csv_files
from penstock.extract.files.beside import origin
from penstock.extract.files.csv.encodings import rewrite
from penstock.extract.files.csv.misfits import Misfits, Place
from penstock.extract.files.csv.repeats import Repeats
from penstock.extract.files.errors import explain, explain_csv, miscounted, unconverted
from penstock.extract.files.formats.known import CSV_OPTIONS, MISFIT_LIMIT
from penstock.extract.files.listing import FILE_COLUMN, Content, File
from penstock.extract.port import Request, Scan
from penstock.values import dataclass

MOST_FILES = 5000
"""How many files one scan opens: DuckDB keeps something of each until its end, 50 KB and more."""
_SAID = {
    "UNQUOTED VALUE": "unterminated quote",
    "INVALID ENCODING": "unicode",
    "LINE SIZE OVER MAXIMUM": "Maximum line size",
}


@dataclass(frozen=True, slots=True)
class Group:
    """Files of one dialect.

    Attributes:
        members: The files, with what their bytes told.
        hows: Their dialects, equal but for what was found out of each file.
        request: What is read.
        lend: Gives a path for a copy in UTF-8.
    """

    members: tuple[tuple[File, Content], ...]
    hows: tuple[csv_files.Dialect, ...]
    request: Request
    lend: Callable[[], str]

    @property
    def awaited(self) -> Future[Content] | None:
        """Return what is found out while the one file is scanned; None where its bytes have told already."""
        return self.members[0][1].whole


def csv_options(request: Request) -> Mapping[str, Any]:
    """Return the options for CSV, beside the others or in a table of their own.

    Raises:
        ConfigurationError: ``csv`` is no table.
    """
    given = request.source.options
    options = given.get("csv") or {}
    if not isinstance(options, Mapping):
        raise ConfigurationError(f"The option csv of {request.source.table} must be a table of options", value=options)
    return {**{name: given[name] for name in CSV_OPTIONS if name in given}, **options}


def csv_scans(group: Group, session: duckdb.DuckDBPyConnection, notes: list[str]) -> list[tuple[list[File], Scan]]:
    """Return the scans of a group of files, each with its files: one types them all, but none opens too many.

    Raises:
        ConfigurationError: An option does not fit the files.
        DataError: They cannot be read.
    """
    request, how = group.request, group.hows[0]
    options = csv_options(request)
    # Of personal columns the text itself is protected, whatever type it looks like.
    personal = {name.lower() for name in request.source.personal}
    texts = {name: "VARCHAR" for name in how.columns if name.lower() in personal}
    options = {**options, "types": {**texts, **(options.get("types") or {})}}
    reads = [_read(file, content, how, group) for file, content in group.members]
    places = {
        read.path: Place(file, content, each.encoding, each.rewritten, each.detected.above)
        for (read, _), (file, content), each in zip(reads, group.members, group.hows, strict=True)
    }
    explained = partial(explain, {path: place.file for path, place in places.items()})
    reading = Reading(how, options, bool(personal), explained)

    def otherwise(connection: duckdb.DuckDBPyConnection, error: BaseException | None) -> Scan | None:
        other = _coded_otherwise(group, connection, notes)
        if other is not None or error is None or csv_files.INEXACT not in str(error):
            return other
        found, met = csv_files.columns(connection, reads, group.hows, options)
        notes.extend(met)
        return _scan([read for read, _ in reads], places, found, reading)

    scans = []
    try:
        # The types of several scans must agree before the first is run.
        found, met = csv_files.columns(session, reads, group.hows, options, exact=len(reads) > MOST_FILES)
        for start in range(0, len(reads), MOST_FILES):
            chunk = [read for read, _ in reads[start : start + MOST_FILES]]
            here = {read.path: places[read.path] for read in chunk}
            scan = _scan(chunk, here, found, reading)
            if found.doubtful or group.awaited is not None:
                scan = replace(scan, otherwise=otherwise)
            session.execute(f"DESCRIBE {scan.sql}")
            scans.append(([file for file, _ in group.members[start : start + MOST_FILES]], scan))
    except duckdb.Error as error:
        raise explained(error) from error
    notes += met
    return scans


@dataclass(frozen=True, slots=True)
class Reading:
    """What the scans of a group share: dialect, the user's options, whether it holds personal values, and errors."""

    how: csv_files.Dialect
    options: Mapping[str, Any]
    personal: bool
    explain: Callable[[Exception], PenstockError]


def _scan(files: Sequence[File], places: Mapping[str, Place], found: csv_files.Columns, reading: Reading) -> Scan:
    options = reading.options
    rejects = None if options.get("on_ragged") == "refuse" else f"penstock_misfits_{secrets.token_hex(6)}"
    misfits = None
    if rejects is not None:
        limit = float(options.get("misfit_limit", MISFIT_LIMIT))
        refusal = partial(_refused, places, found)
        misfits = Misfits(rejects, f"{rejects}_files", places, limit, reading.personal, refusal)
    read = [places[file.path] for file in files]
    return Scan(
        csv_files.relation(files, reading.how, found, FILE_COLUMN, rejects),
        origins=tuple(origin(each.file, each.content) for each in read),
        paths=tuple(file.path for file in files),
        file_column=FILE_COLUMN,
        misfits=misfits.batches if misfits else None,
        again=misfits.forget if misfits else None,
        remark=reading.how.remark,
        explain=reading.explain,
    )


def _coded_otherwise(group: Group, connection: duckdb.DuckDBPyConnection, notes: list[str]) -> Scan | None:
    """Return the scan of a file that is in another encoding than its beginning told; waits until that is known."""
    options = csv_options(group.request)
    if group.awaited is None or options.get("encoding"):
        return None
    file, begun = group.members[0]
    whole = group.awaited.result()
    if whole.encoding == begun.encoding:
        return None
    how = csv_files.dialect(file, whole, options, notes, Repeats())
    assert how is not None
    ((_, scan),) = csv_scans(replace(group, members=((file, whole),), hows=(how,)), connection, notes)
    return scan


def _read(file: File, content: Content, how: csv_files.Dialect, group: Group) -> tuple[File, Content]:
    """Return the file that DuckDB reads: the file itself, or a copy of it in UTF-8."""
    if not how.rewritten:
        return file, content
    target = group.lend()
    rewrite(file, content, how.encoding, target)
    return replace(file, path=target), replace(content, compression=None, bytes=os.path.getsize(target))


def _refused(places: Mapping[str, Place], found: csv_files.Columns, told: Mapping[str, Any]) -> PenstockError:
    """Say of the first row that does not fit what is wrong with it."""
    place = places.get(str(told["path"])) or next(iter(places.values()))
    where = f"Line {told['line']} of {place.file.key}"
    if told.get("expected"):
        return miscounted(where, str(told["found"]), str(told["expected"]))
    if told.get("columns"):
        column = told["columns"][0]
        return unconverted(where, column, found.types.get(column, "value of its type"))
    return explain_csv(_SAID.get(told["error_type"], ""), where, place.file)
