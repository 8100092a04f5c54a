"""Those who read messy files: each gets a path, and gives names and rows as text."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from penstock.extract.files import csv_files
from penstock.extract.files.archives import Meter, limits
from penstock.extract.files.csv.encodings import rewrite
from penstock.extract.files.csv.repeats import Repeats
from penstock.extract.files.listing import File, inspect
from penstock.queries.text import literal

csv.field_size_limit(2**30)
_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Asked:
    """A file, and its encoding, which only those are told who cannot find it out."""

    path: str
    encoding: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What was read: names, None where there are none; rows; and the dialect as (delimiter, quote, escape)."""

    names: tuple[str, ...] | None = None
    rows: tuple[tuple[str, ...], ...] = ()
    dialect: tuple[str, str, str] | None = None


Read = Callable[[Asked], Answer]


@contextmanager
def contestants(clevercsv: str | None, univocity: str | None) -> Iterator[dict[str, Read]]:
    """Lend all that can be run here.

    Args:
        clevercsv: An interpreter that has CleverCSV.
        univocity: The jar of UniVocity's parsers.
    """
    told: dict[str, list[str]] = {"csv.Sniffer": [sys.executable, str(_HERE / "by_python.py"), "sniffer"]}
    if clevercsv:
        told["CleverCSV"] = [clevercsv, str(_HERE / "by_python.py"), "clevercsv"]
    if univocity:
        told["UniVocity"] = ["java", "-cp", univocity, str(_HERE / "Univocity.java")]
    running = {
        name: subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for name, command in told.items()
    }
    try:
        by_dialect = {
            name: _univocity(process) if name == "UniVocity" else _python(process) for name, process in running.items()
        }
        yield {"Penstock": _penstock, **by_dialect, "DuckDB": _duckdb}
    finally:
        for process in running.values():
            process.kill()
            process.communicate()


def cells(text: str, dialect: tuple[str, str, str]) -> list[tuple[str, ...]]:
    """Return the records of a text, without blank lines."""
    delimiter, quote, escape = dialect
    if len(delimiter) > 1:
        text, delimiter = text.replace(delimiter, "\ue000"), "\ue000"
    doubled = escape in ("", quote)
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=delimiter or "\x1f",
        quotechar=quote or None,
        quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
        escapechar=None if doubled else escape,
        doublequote=doubled,
        skipinitialspace=True,
    )
    found = []
    try:
        found = [tuple(row) for row in reader if row]
    except csv.Error:
        return found
    return found


def _asked(process: subprocess.Popen[str], line: str) -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()
    return process.stdout.readline().rstrip("\n")


def _by(asked: Asked, dialect: tuple[str, str, str], *, header: bool) -> Answer:
    text = Path(asked.path).read_bytes().decode(asked.encoding, "replace")
    rows = cells(text, dialect)
    names = rows[0] if header and rows else None
    return Answer(names, tuple(rows[1:] if header else rows), dialect)


def _python(process: subprocess.Popen[str]) -> Read:
    def read(asked: Asked) -> Answer:
        found: dict[str, Any] = json.loads(
            _asked(process, json.dumps({"path": asked.path, "encoding": asked.encoding}))
        )
        if "error" in found:
            return Answer()
        return _by(asked, (found["delimiter"], found["quote"], found["escape"]), header=found["header"])

    return read


def _univocity(process: subprocess.Popen[str]) -> Read:
    def read(asked: Asked) -> Answer:
        found = _asked(process, f"{asked.path}\t{asked.encoding}")
        if not found:
            return Answer()
        delimiter, quote, escape = found.split(" ")
        signs = "".join(chr(int(sign)) for sign in delimiter.split(","))
        return _by(asked, (signs, chr(int(quote)).strip("\0"), chr(int(escape)).strip("\0")), header=True)

    return read


def _duckdb(asked: Asked) -> Answer:
    path = literal(asked.path)
    with duckdb.connect() as session:
        session.execute("SET autoinstall_known_extensions = false")
        for more in ("", ", encoding='utf-16'", ", encoding='latin-1'"):
            for lenient in ("", ", ignore_errors=true"):
                try:
                    result = session.execute(f"SELECT * FROM read_csv({path}, all_varchar=true{more}{lenient})")
                    names = tuple(column[0] for column in result.description or ())
                    rows = tuple(tuple(cell or "" for cell in row) for row in result.fetchall())
                    told = session.execute(
                        f"SELECT Delimiter, Quote, Escape, HasHeader FROM sniff_csv({path}{more}{lenient})"
                    ).fetchone()
                except duckdb.Error:
                    continue
                assert told is not None
                signs = tuple("" if sign in (None, "\0", "(empty)") else sign for sign in told[:3])
                return Answer(names if told[3] else None, rows, (signs[0], signs[1], signs[2] or signs[1]))
    return Answer()


def _penstock(asked: Asked) -> Answer:
    found = os.stat(asked.path)
    file = File("t.csv", asked.path, "csv", found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    try:
        content = inspect(file, Meter("t.csv", found.st_size, limits(None, "t")))
        how = csv_files.dialect(file, content, {}, [], Repeats())
    except Exception:
        return Answer()
    if how is None:
        return Answer()
    path = asked.path
    if how.rewritten:
        path = asked.path + ".copy"
        rewrite(file, content, how.encoding, path)
    texts = csv_files.Columns(dict.fromkeys(how.columns, "VARCHAR"), {})
    read = File("t.csv", path, "csv", 0, 0, 0)
    with duckdb.connect() as session:
        sql = csv_files.relation([read], how, texts, "penstock_file", "penstock_aside")
        rows = session.execute(f"SELECT * EXCLUDE (penstock_file) FROM ({sql})").fetchall()
    form, shape = how.detected.form, how.detected.structure
    names = tuple(shape.names) if shape.headers else None
    dialect = (form.delimiter, form.quote, form.escape)
    return Answer(names, tuple(tuple(cell or "" for cell in row) for row in rows), dialect)
