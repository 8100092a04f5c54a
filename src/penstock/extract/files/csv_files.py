"""CSV and TSV: how a file is written is found out here, then DuckDB is told all of it, so that it guesses nothing.

DuckDB's own detection would take a file with a short row for a table of one column, or drop the header above a longer
one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from functools import partial
from typing import Any

import duckdb

from penstock.errors import ConfigurationError, DataError
from penstock.extract.files.csv.detection import Detected, Told, detect
from penstock.extract.files.csv.encodings import NATIVE, binary, encoding, known
from penstock.extract.files.csv.inference import Typed, converted, infer, likely, without_foreign
from penstock.extract.files.csv.repeats import Repeats
from penstock.extract.files.csv_gathering import gathered
from penstock.extract.files.formats.known import CSV_OPTIONS, MISFIT_LIMIT
from penstock.extract.files.listing import LARGE, Content, File, head
from penstock.names import distinct, unknown
from penstock.queries.text import file_literals, identifier, identifiers, literal
from penstock.values import dataclass

ON_RAGGED = ("quarantine", "refuse", "pad")
WHOLE_BYTES = LARGE
"""Types are inferred over the whole of files up to this size, over the first ``SAMPLED_ROWS`` of larger ones."""
SAMPLED_ROWS = 400_000
INEXACT = "penstock met a number that DOUBLE may not carry"
"""What the error says that stops a scan at a value of a doubtful column."""
_UNTOLD = "the types of {} cannot be inferred; columns without a type of their own are read as text"


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the files of one group are written; equal dialects are read by one scan.

    Attributes:
        columns: The names, exact and case-blind repeats numbered.
        options: The options of ``read_csv`` but for columns and types, as SQL.
        padded: Whether short rows are filled with nulls.
        encoding: What the files are written in.
        detected: What was found out of this one file.
        remark: How it is written, in a sentence.
    """

    columns: tuple[str, ...]
    options: str
    padded: bool
    encoding: str
    detected: Detected = field(compare=False)
    remark: str = field(compare=False, default="")

    @property
    def rewritten(self) -> bool:
        """Whether a copy in UTF-8 is read."""
        return self.encoding not in NATIVE


@dataclass(frozen=True, slots=True)
class Columns:
    """What the columns of a group of files hold.

    Attributes:
        types: Column to DuckDB type, as ``read_csv`` is told.
        spelled: Columns that are read as text and converted, because a missing value is spelled in them.
        doubtful: Columns of type DOUBLE that may hold a number of more digits; the scan stops at the first one.
    """

    types: Mapping[str, str]
    spelled: Mapping[str, Typed]
    doubtful: tuple[str, ...] = ()


def dialect(
    file: File, content: Content, options: Mapping[str, Any], notes: list[str], before: Repeats[Dialect]
) -> Dialect | None:
    """Find out how a file is written; None for a file without a line.

    Args:
        file: The file.
        content: What its bytes told.
        options: The user's ``csv`` options.
        notes: Gets sentences for the user.
        before: What was found out of the files before it, with the same options.

    Raises:
        ConfigurationError: If an option is unknown or of no use.
        DataError: If the file is no text, or not written in the encoding that was named.
    """
    _verify(file, options)
    data = head(file, content)
    if options.get("encoding"):
        coded, remark = known(str(options["encoding"]), file), None
    else:
        coded, remark = encoding(file, content, data[:4096])
    text, cut = _text(file, content, coded, data)
    if binary(text):
        raise DataError(
            f"The file {file.key} is no text, so it is no {file.format.upper()}",
            remedy="Name the right format with format=…, or leave the file out",
        )
    if options.get("comment"):
        comment = str(options["comment"])
        text = "".join(line for line in text.splitlines(keepends=True) if not line.startswith(comment))
    kind = (file.format, coded, content.compression)
    again = before.like(text, kind) if not cut and remark is None else None
    if again is not None:
        return again
    found = detect(text, _told(file, options), cut=cut)
    if found is None:
        return None
    said = len(notes)
    names = _names(found.structure.names, file, notes)
    if remark:
        notes.append(remark)
    doubt = _doubt(found, options)
    if doubt:
        notes.append(f"{file.key} is read with {doubt}")
    how = Dialect(
        tuple(names),
        _options(found, "utf-8" if coded not in NATIVE else coded, content.compression, options),
        options.get("on_ragged") == "pad",
        coded,
        found,
        _remark(found, coded),
    )
    if not cut and len(notes) == said and not options.get("skip") and not options.get("comment"):
        before.keep(text, kind, found, how)
    return how


def columns(
    session: duckdb.DuckDBPyConnection,
    files: Sequence[tuple[File, Content]],
    hows: Sequence[Dialect],
    options: Mapping[str, Any],
    *,
    exact: bool = True,
) -> tuple[Columns, list[str]]:
    """Infer the types of columns over all files of a group; a column that no type fits is VARCHAR.

    Args:
        session: A DuckDB to ask.
        files: The files, as they are read.
        hows: Their dialects, equal but for what was found out of each.
        options: The user's ``csv`` options; types that are named win.
        exact: Look through large files for numbers that DOUBLE does not carry; else such columns are told as doubtful.

    Returns:
        The columns, and sentences for the user.
    """
    given = options.get("types") or {}
    for name in given:
        if name not in hows[0].columns:
            raise unknown("column", name, hows[0].columns, where=f"csv types of {files[0][0].key}")
    with gathered(files, hows[0]) as (listed, how):
        found, notes = _inferred(session, files, listed, how, partial(_likely, hows), options, exact=exact)
    doubtful = tuple(name for name in found.doubtful if name not in given)
    return Columns({**found.types, **given}, found.spelled, doubtful), notes


def _inferred(
    session: duckdb.DuckDBPyConnection,
    files: Sequence[tuple[File, Content]],
    listed: str,
    how: Dialect,
    likely_types: Callable[[Sequence[str]], Mapping[str, str]],
    options: Mapping[str, Any],
    *,
    exact: bool,
) -> tuple[Columns, list[str]]:
    whole = sum(content.bytes for _, content in files) <= WHOLE_BYTES
    given = options.get("types") or {}
    found = _sniffed(session, listed, how, whole)
    notes: list[str] = []
    doubtful: tuple[str, ...] = ()
    if found is not None and any(content.long_numbers for _, content in files):
        doubtful = tuple(name for name, type_ in found.items() if type_ == "DOUBLE")
        if whole or exact:
            for name in _inexact(session, listed, how, doubtful):
                found[name] = "VARCHAR"
                notes.append(f"{name} holds numbers with more digits than DOUBLE carries; it is read as text")
            doubtful = ()
    clean = found is not None
    types = found or dict.fromkeys(how.columns, "VARCHAR")
    spelled: dict[str, Typed] = {}
    told = "nulls" in options
    asked = {
        name: type_
        for name, type_ in likely_types([name for name, type_ in types.items() if type_ == "VARCHAR"]).items()
        if name not in given and not (told and clean) and "decimal" not in options
    }
    try:
        looked = infer(session, _texts(listed, how), asked, not told)
    except duckdb.Error:
        # What is wrong with the file, the scan says with its line.
        looked = {}
        if not clean:
            notes.append(_UNTOLD.format(files[0][0].key))
    relieved = _relieved(session, _texts(listed, how), looked, how, spellings=not told)
    for name, typed in {**looked, **relieved}.items():
        if typed.type != "VARCHAR" and (typed.nulls or (clean and name not in relieved)):
            spelled[name] = typed
        elif typed.type != "VARCHAR":
            types[name] = typed.type
        notes += _sentences(name, typed)
    return Columns(types, spelled, doubtful), notes


def _relieved(
    session: duckdb.DuckDBPyConnection, texts: str, looked: Mapping[str, Typed], how: Dialect, *, spellings: bool
) -> dict[str, Typed]:
    """Return the types of columns that only rows of another kind kept from having one."""
    if how.padded or not any(typed.misfits for typed in looked.values()):
        return {}
    header = dict(zip(how.columns, how.detected.structure.names, strict=True)) if how.detected.structure.headers else {}
    return without_foreign(session, texts, looked, header, spellings)


def relation(files: Sequence[File], how: Dialect, found: Columns, file_column: str, rejects: str | None) -> str:
    """Return the query over the files of a group; rows that do not fit stop it, or go to the tables of ``rejects``."""
    listed = file_literals(file.path for file in files)
    told = ", ".join(
        f"{literal(name)}: {literal('VARCHAR' if name in found.spelled else found.types[name])}" for name in how.columns
    )
    aside = ""
    if rejects is not None:
        aside = f", store_rejects=true, rejects_table={literal(rejects)}, rejects_scan={literal(rejects + '_files')}"
    replaced = ", ".join(
        [converted(name, typed) for name, typed in found.spelled.items()] + [_watched(name) for name in found.doubtful]
    )
    return (
        f"SELECT *{f' REPLACE ({replaced})' if replaced else ''} "
        f"FROM read_csv([{listed}], {how.options}, columns={{{told}}}, auto_detect=false, "
        f"null_padding={'true' if how.padded else 'false'}, filename={literal(file_column)}{aside})"
    )


def _verify(file: File, options: Mapping[str, Any]) -> None:
    for name in options:
        if name not in CSV_OPTIONS:
            raise unknown("csv option", name, CSV_OPTIONS, where=file.key)
    for name, most in (("delimiter", 4), ("quote", 1), ("escape", 1), ("comment", 1), ("decimal", 1)):
        value = options.get(name)
        if value is not None and (not isinstance(value, str) or len(value.encode()) > most):
            raise ConfigurationError(
                f"The csv option {name} of {file.key} does not fit",
                value=value,
                valid="one character" if most == 1 else "one to four bytes",
            )
    chosen = options.get("on_ragged", ON_RAGGED[0])
    if chosen not in ON_RAGGED:
        raise ConfigurationError(f"The csv option on_ragged of {file.key} is unknown", value=chosen, valid=ON_RAGGED)
    limit = options.get("misfit_limit", MISFIT_LIMIT)
    if isinstance(limit, bool) or not isinstance(limit, int | float) or not 0 <= limit <= 1:
        raise ConfigurationError(
            f"The csv option misfit_limit of {file.key} does not fit", value=limit, valid="a share of rows from 0 to 1"
        )


def _told(file: File, options: Mapping[str, Any]) -> Told:
    header = options.get("header")
    delimiter = options.get("delimiter") or ("\t" if file.format == "tsv" else None)
    quote, escape = options.get("quote"), options.get("escape")
    return Told(
        delimiter=delimiter,
        quote=quote,
        escape=escape if escape is not None else quote,
        headers=None if header is None else int(header),
        skip=int(options.get("skip") or 0),
    )


def _text(file: File, content: Content, name: str, data: bytes) -> tuple[str, bool]:
    cut = len(data) < content.bytes
    codec = {"utf-8": "utf-8-sig"}.get(name, name)
    # The last line of the piece may be cut anywhere, within a character too.
    errors = "ignore" if cut or content.broken or name == "cp1252" else "strict"
    try:
        return data.decode(codec, errors).removeprefix("\ufeff"), cut
    except UnicodeDecodeError:
        raise DataError(
            f"The file {file.key} is not written in {name}", remedy="Name its encoding with encoding=…"
        ) from None


def _sniffed(session: duckdb.DuckDBPyConnection, listed: str, how: Dialect, whole: bool) -> dict[str, str] | None:
    """Return the types that DuckDB infers; None where rows that do not fit hinder it."""
    # Of dates only those that cannot be read in two ways are believed without being told.
    dates = "" if "dateformat=" in how.options else ", dateformat='%Y-%m-%d'"
    try:
        described = session.execute(
            f"DESCRIBE SELECT * FROM read_csv([{listed}], {how.options}, null_padding=true, union_by_name=true, "
            f"sample_size={-1 if whole else SAMPLED_ROWS}{dates})"
        ).fetchall()
    except duckdb.Error:
        return None
    if len(described) != len(how.columns):
        return None
    return {name: row[1] for name, row in zip(how.columns, described, strict=True)}


def _likely(hows: Sequence[Dialect], names: Sequence[str]) -> dict[str, str]:
    """Return those of some columns whose values look typed in the sample of every file."""
    found: dict[str, str] = {}
    # Files that are written like one before share what was found out of it.
    for place, how in enumerate({id(how.detected): how for how in hows}.values()):
        width, body = how.detected.structure.width, how.detected.records[how.detected.structure.headers :]
        places = [index for index, name in enumerate(how.columns) if name in names]
        here = {how.columns[index]: type_ for index, type_ in likely(body, width, places).items()}
        found = here if place == 0 else {name: type_ for name, type_ in found.items() if name in here}
    return found


def _texts(listed: str, how: Dialect) -> str:
    told = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in how.columns)
    return (
        f"read_csv([{listed}], {how.options}, columns={{{told}}}, auto_detect=false, ignore_errors=true, "
        f"null_padding={'true' if how.padded else 'false'})"
    )


def _sentences(name: str, typed: Typed) -> list[str]:
    if typed.misfits:
        return [
            f"{name} is read as text: {typed.misfits} of its values are no {typed.nearly}, as nearly all others are"
        ]
    if not typed.nulls:
        return []
    counts = ", ".join(f"{text.strip()!r} ({count})" for text, count in typed.nulls.items())
    return [f"{name} is {typed.type}; missing values are spelled {counts}"]


def _watched(name: str) -> str:
    """Return the SQL of a column that stops the scan at a number which may have more digits than DOUBLE carries."""
    column = identifier(name)
    long = f"abs({column}) >= 1e15 AND isfinite({column})"
    return f"CASE WHEN {long} THEN error({literal(INEXACT)}) ELSE {column} END AS {column}"


def _inexact(session: duckdb.DuckDBPyConnection, listed: str, how: Dialect, doubles: Sequence[str]) -> list[str]:
    """Return the columns in which a whole number has more digits than DOUBLE carries; reads the files to their end."""
    if not doubles:
        return []
    flags = ", ".join(f"bool_or(regexp_matches({identifier(name)}, '^\\s*[+-]?\\d{{16,}}\\s*$'))" for name in doubles)
    try:
        row = session.execute(
            f"SELECT {flags} FROM (SELECT {identifiers(doubles)} FROM {_texts(listed, how)})"
        ).fetchone()
    except duckdb.Error:
        return []
    return [name for name, flag in zip(doubles, row or (), strict=False) if flag]


def _names(first: Sequence[str], file: File, notes: list[str]) -> list[str]:
    # No engine takes a name with a zero byte.
    given = [name.replace("\0", "\ufffd") for name in first]
    names = distinct(given)
    for place, (said, base, name) in enumerate(zip(first, given, names, strict=True), start=1):
        if name != (base or f"column{place}"):
            notes.append(f"{file.key} has several columns {said!r}; the one at place {place} is called {name!r}")
    return names


def _options(found: Detected, coded: str, compression: str | None, options: Mapping[str, Any]) -> str:
    nulls = options.get("nulls", ())
    spellings = ["", *([nulls] if isinstance(nulls, str) else nulls)]
    form, shape = found.form, found.structure
    skip = int(options.get("skip") or 0) + shape.data
    # DuckDB steps over one line of header by itself, and over comments before it.
    plain = shape.headers == 1 and shape.first == 0 and shape.data == 1
    parts = [
        f"delim={literal(form.delimiter)}",
        f"quote={literal(form.quote)}",
        f"escape={literal(form.escape)}",
        f"header={'true' if plain else 'false'}",
        f"strict_mode={'false' if found.mixed else 'true'}",
        f"nullstr=[{', '.join(literal(str(text)) for text in dict.fromkeys(spellings))}]",
        # A quoted empty field is an empty text; only a bare one is null.
        "allow_quoted_nulls=false",
        f"compression={literal(compression or 'none')}",
    ]
    if coded != "utf-8":
        parts.append(f"encoding={literal(coded)}")
    if skip - plain:
        parts.append(f"skip={skip - plain}")
    if options.get("comment"):
        parts.append(f"comment={literal(str(options['comment']))}")
    if options.get("decimal"):
        parts.append(f"decimal_separator={literal(str(options['decimal']))}")
    if options.get("dateformat"):
        parts.append(f"dateformat={literal(str(options['dateformat']))}")
    if options.get("max_line_size"):
        parts.append(f"max_line_size={int(options['max_line_size'])}")
    return ", ".join(parts)


def _remark(found: Detected, coded: str) -> str:
    form, shape = found.form, found.structure
    rows = {0: "no header", 1: "one header row"}.get(shape.headers, f"{shape.headers} header rows")
    parts = [f"delimiter {_shown(form.delimiter)}" if shape.width > 1 else "one column"]
    parts.append(f"quote {form.quote}" if form.quote else "no quotes")
    if form.quote and form.escape != form.quote:
        parts.append(f"escape {form.escape}")
    parts += [rows, coded]
    if found.above:
        parts.append(f"{len(found.above)} lines above the table")
    return f"{found.sureness}: {', '.join(parts)}"


def _doubt(found: Detected, options: Mapping[str, Any]) -> str:
    """Say what is not sure; empty where nothing is."""
    form, second = found.form, found.second
    if found.sureness != "unsure" or second is None:
        return ""
    if second.delimiter != form.delimiter and "delimiter" not in options:
        return (
            f"the delimiter {_shown(form.delimiter)} rather than {_shown(second.delimiter)}, but that is not sure; "
            "say it with delimiter="
        )
    if second.quote != form.quote and "quote" not in options:
        return f"{_quoting(form.quote)} rather than {_quoting(second.quote)}, but that is not sure; say it with quote="
    return ""


def _quoting(quote: str) -> str:
    return f"the quote {quote}" if quote else "no quotes"


def _shown(delimiter: str) -> str:
    return {"\t": "tab", " ": "space"}.get(delimiter, repr(delimiter))
