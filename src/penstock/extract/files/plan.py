"""Which scans read which files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

import duckdb

from penstock.errors import ConfigurationError
from penstock.extract.files import documents
from penstock.extract.files.beside import origin
from penstock.extract.files.errors import explain
from penstock.extract.files.formats.known import FORMATS, GENERAL
from penstock.extract.files.formats.port import FormatFiles
from penstock.extract.files.listing import FILE_COLUMN, Content, File
from penstock.extract.files.parquet import ArrowFiles, told_by_footer
from penstock.extract.port import Request, Scan
from penstock.names import unknown
from penstock.stores.port import Engine

if TYPE_CHECKING:
    from penstock.extract.files.csv.repeats import Repeats
    from penstock.extract.files.csv_files import Dialect

_SEPARATED = ("csv", "tsv")
_BY_ARROW = ("parquet", "by Arrow")
Rows = ArrowFiles | FormatFiles
"""Files that are read by Arrow, not by DuckDB."""


def plan(
    request: Request,
    files: Sequence[tuple[File, Content]],
    engine: Engine,
    notes: list[str],
    lend: Callable[[], str],
) -> list[tuple[list[File], Scan | Rows]]:
    """Return the scans, each with its files in order; files without content are left out with a note.

    Args:
        request: What is read.
        files: The files, with what their bytes told.
        engine: Looks into them.
        notes: Gets sentences for the user.
        lend: Gives a path for a copy in UTF-8 of a file in an encoding that DuckDB does not read.

    Raises:
        DataError: If a file is not what its format says.
        ConfigurationError: If an option does not fit the files.
    """
    alike = []
    likeness = _Likeness(request, notes)
    for file, content in files:
        how = None if file.bytes == 0 else likeness.of(file, content)
        if how is None:
            notes.append(f"{file.key} is empty")
        else:
            alike.append((how, (file, content)))
    scans: list[tuple[list[File], Scan | Rows]] = []
    with engine.session(plain=True) as session:
        for how, group in groupby(alike, key=lambda pair: pair[0]):
            pairs = list(group)
            members = [pair for _, pair in pairs]
            if members[0][0].format in FORMATS:
                scans.append(([file for file, _ in members], _formatted(members, request, notes)))
                continue
            if how == _BY_ARROW:
                details = tuple((file, origin(file, content)[1]) for file, content in members)
                scans.append(([file for file, _ in members], ArrowFiles(details)))
                continue
            if members[0][0].format in _SEPARATED:
                from penstock.extract.files.csv_scan import Group, csv_scans

                _without_records(request, members[0][0])
                scans += csv_scans(
                    Group(tuple(members), tuple(each for each, _ in pairs), request, lend), session, notes
                )
                continue
            explained = partial(explain, {file.path: file for file, _ in members})
            try:
                sql = _query(session, members, request, notes)
            except duckdb.Error as error:
                raise explained(error) from error
            if sql is None:
                continue
            origins = tuple(origin(file, content) for file, content in members)
            paths = tuple(file.path for file, _ in members)
            read = [file for file, _ in members]
            rows = likeness.rows(read)
            scan = Scan(sql, origins=origins, paths=paths, file_column=FILE_COLUMN, rows=rows, explain=explained)
            scans.append((read, scan))
    return scans


class _Likeness:
    """What files must share to be read by one scan."""

    def __init__(self, request: Request, notes: list[str]) -> None:
        self._request = request
        self._notes = notes
        self._before: Repeats[Dialect] | None = None
        self._rows: dict[str, int | None] = {}

    def of(self, file: File, content: Content) -> Any:
        """Return it of a file; None for one without content."""
        if file.format in FORMATS:
            return (file.format,)
        if file.format in _SEPARATED:
            return self._dialect(file, content)
        if file.format == "parquet":
            needs_arrow, self._rows[file.path] = told_by_footer(file)
            return _BY_ARROW if needs_arrow else ("parquet",)
        return None if content.bytes == 0 else (file.format, content.compression, documents.layout(file, content))

    def rows(self, files: Sequence[File]) -> int | None:
        """Return the rows of files that were looked at, where it is one alone and its footer tells."""
        return self._rows.get(files[0].path) if len(files) == 1 else None

    def _dialect(self, file: File, content: Content) -> Dialect | None:
        # Who reads no CSV loads none of what finds out how it is written.
        from penstock.extract.files.csv.repeats import Repeats
        from penstock.extract.files.csv_files import dialect
        from penstock.extract.files.csv_scan import csv_options

        self._before = self._before or Repeats()
        return dialect(file, content, csv_options(self._request), self._notes, self._before)


def _formatted(members: Sequence[tuple[File, Content]], request: Request, notes: list[str]) -> FormatFiles:
    file = members[0][0]
    for name in request.source.options:
        if name not in (*FORMATS[file.format].options, *GENERAL):
            raise unknown("option", name, FORMATS[file.format].options, where=f"{file.key}, which is {file.format}")
    return FormatFiles(file.format, tuple(members), request.source.options, notes, tuple(request.source.personal))


def _query(
    session: duckdb.DuckDBPyConnection,
    members: Sequence[tuple[File, Content]],
    request: Request,
    notes: list[str],
) -> str | None:
    files = [file for file, _ in members]
    records = request.source.options.get("records")
    if files[0].format == "parquet":
        _without_records(request, files[0])
        return documents.parquet_relation(files, FILE_COLUMN)
    sql, met = documents.json_relation(session, members, FILE_COLUMN, records)
    notes += met
    return sql


def _without_records(request: Request, file: File) -> None:
    if request.source.options.get("records") is not None:
        raise ConfigurationError(f"The option records is for JSON, but {file.key} is {file.format}")
