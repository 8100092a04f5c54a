"""The scan of CSV files that are written alike, with what becomes of lines that are no rows."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import duckdb

from penstock.errors import ConfigurationError, PenstockError
from penstock.extract import file_csv
from penstock.extract.csv.encodings import rewrite
from penstock.extract.csv.misfits import Misfits, Place
from penstock.extract.file_errors import explain, explain_csv, miscounted, unconverted
from penstock.extract.file_listing import Content, File
from penstock.extract.port import Request, Scan

FILE_COLUMN = "_penstock_source_file"
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
    hows: tuple[file_csv.Dialect, ...]
    request: Request
    lend: Callable[[], str]


def csv_options(request: Request) -> Mapping[str, Any]:
    """Return the options for CSV, beside the others or in a table of their own.

    Raises:
        ConfigurationError: ``csv`` is no table.
    """
    given = request.source.options
    options = given.get("csv") or {}
    if not isinstance(options, Mapping):
        raise ConfigurationError(f"The option csv of {request.source.table} must be a table of options", value=options)
    return {**{name: given[name] for name in file_csv.OPTIONS if name in given}, **options}


def csv_scan(group: Group, session: duckdb.DuckDBPyConnection, notes: list[str]) -> Scan:
    """Return the scan of a group of files.

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
    refuses = options.get("on_ragged") == "refuse"
    rejects = None if refuses else f"penstock_misfits_{secrets.token_hex(6)}"
    try:
        found, met = file_csv.columns(session, reads, group.hows, options)
        sql = file_csv.relation([read for read, _ in reads], how, found, FILE_COLUMN, rejects)
        session.execute(f"DESCRIBE {sql}")
    except duckdb.Error as error:
        raise explained(error) from error
    notes += met
    misfits = None
    if rejects is not None:
        limit = float(options.get("misfit_limit", file_csv.MISFIT_LIMIT))
        refusal = partial(_refused, places, found)
        misfits = Misfits(rejects, f"{rejects}_files", places, limit, bool(personal), refusal)
    origins = tuple((file.key, {"bytes": file.bytes, "sha256": content.sha256}) for file, content in group.members)
    return Scan(
        sql,
        origins=origins,
        paths=tuple(read.path for read, _ in reads),
        file_column=FILE_COLUMN,
        misfits=misfits.batches if misfits else None,
        again=misfits.forget if misfits else None,
        remark=how.remark,
        explain=explained,
    )


def _read(file: File, content: Content, how: file_csv.Dialect, group: Group) -> tuple[File, Content]:
    """Return the file that DuckDB reads: the file itself, or a copy of it in UTF-8."""
    if not how.rewritten:
        return file, content
    target = group.lend()
    rewrite(file, content, how.encoding, target)
    return replace(file, path=target), replace(content, compression=None, bytes=os.path.getsize(target))


def _refused(places: Mapping[str, Place], found: file_csv.Columns, told: Mapping[str, Any]) -> PenstockError:
    """Say of the first row that does not fit what is wrong with it."""
    place = places.get(str(told["path"])) or next(iter(places.values()))
    where = f"Line {told['line']} of {place.file.key}"
    if told.get("expected"):
        return miscounted(where, str(told["found"]), str(told["expected"]))
    if told.get("columns"):
        column = told["columns"][0]
        return unconverted(where, column, found.types.get(column, "value of its type"))
    return explain_csv(_SAID.get(told["error_type"], ""), where, place.file)
