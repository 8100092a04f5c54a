"""SQLite files: finding and opening them read-only, their tables and columns, their errors as sentences."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from penstock.errors import ConfigurationError, DataError, PenstockError, TransientError
from penstock.extract import cursors, scoping
from penstock.extract.database import catalog
from penstock.extract.database.sqlite.types import Declared, declare
from penstock.extract.port import Request, TableDescription
from penstock.model.specs import SourceTable
from penstock.names import nearest, unknown
from penstock.queries.text import identifier, literal

VIEW = "_penstock_query"
BUSY_SECONDS = 10.0
_SAMPLE = 200
_COUNTED_BYTES = 256 * 2**20


def find(request: Request) -> Path:
    """Return the file that a request names, resolved against the project's folder.

    Raises:
        ConfigurationError: If there is none; says what lies nearby.
    """
    where = request.connection.url if request.connection is not None else str(request.source.options.get("path", ""))
    for prefix in ("sqlite:///", "sqlite://", "file:"):
        if where.startswith(prefix):
            where = unquote(where.removeprefix(prefix).partition("?")[0])
            break
    if not where:
        raise ConfigurationError(f"The source {request.source.table} names no SQLite file", valid="sqlite:///path.db")
    path = Path(request.root, where)
    if not path.is_file():
        folder = path.parent
        names = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
        guess = nearest(path.name, names)
        raise ConfigurationError(
            f"There is no SQLite file {str(path)!r}"
            if not path.is_dir()
            else f"{str(path)!r} is a folder, no SQLite file",
            valid=names or None,
            remedy=f"Did you mean {guess!r}?" if guess else None,
        )
    return path


def connect(path: Path) -> sqlite3.Connection:
    """Open a file for reading only; it is never created."""
    try:
        return sqlite3.connect(
            f"file:{quote(str(path.resolve()))}?mode=ro",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
    except sqlite3.Error as error:
        raise explain(error, path, "it") from error


def lenient(text: bytes) -> str:
    """Read a text that should be UTF-8; one that is not is read as Latin-1, which keeps every byte."""
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("latin-1")


def undecodable(error: sqlite3.Error) -> bool:
    """Say whether an error is about a text that is not UTF-8."""
    return "decode" in str(error)


@contextmanager
def translated(path: Path, named: str) -> Iterator[None]:
    """Raise SQLite's errors as sentences about the file and the table or query ``named``."""
    try:
        yield
    except sqlite3.Error as error:
        raise explain(error, path, named) from error


def explain(error: sqlite3.Error, path: Path, named: str) -> PenstockError:
    """Return the sentence for an error of SQLite; its own text is left out where it may hold data."""
    text = str(error)
    if undecodable(error):
        return DataError(f"A text in {named} of {str(path)!r} is not UTF-8")
    if "locked" in text or "busy" in text:
        return TransientError(f"The SQLite file {str(path)!r} was held by a writer for over {BUSY_SECONDS:.0f} s")
    if "not a database" in text:
        return ConfigurationError(f"The file {str(path)!r} is no SQLite database, or is encrypted")
    if "malformed" in text or "corrupt" in text:
        return DataError(
            f"The SQLite file {str(path)!r} is damaged: {text}", remedy="Recover it with sqlite3's command .recover"
        )
    if "unable to open" in text or "I/O" in text:
        return TransientError(f"The SQLite file {str(path)!r} cannot be read: {text}")
    return ConfigurationError(f"SQLite cannot read {named} of {str(path)!r}: {text}")


def tables(connection: sqlite3.Connection) -> list[str]:
    """Return the names of tables and views, sorted; SQLite's own are left out."""
    found = connection.execute(
        "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') "
        "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"
    )
    return [name for (name,) in found]


def listed(connection: sqlite3.Connection) -> tuple[SourceTable, ...]:
    """Return tables and views with their columns and keys."""
    found = []
    for name in tables(connection):
        names = tuple(column.name for column in columns(connection, "main." + identifier(name)))
        found.append(SourceTable(name=name, columns=names, key=key(connection, name)))
    return tuple(found)


def relation(connection: sqlite3.Connection, request: Request, path: Path) -> str:
    """Return the quoted name of what is read: the table, or a temporary view over the query.

    Raises:
        ConfigurationError: If neither or both are named, or there is no such table.
    """
    table, query = catalog.asked(request)
    if table is not None:
        names = tables(connection)
        exact = [name for name in names if name.lower() == table.lower()]
        if not exact:
            raise unknown("table", table, names, where=str(path))
        return "main." + identifier(exact[0])
    # A temporary view lies in memory, and tells the declared types of the columns it passes on.
    connection.execute(f"CREATE TEMP VIEW {VIEW} AS {query}")
    return f"temp.{VIEW}"


def columns(connection: sqlite3.Connection, quoted: str) -> tuple[Declared, ...]:
    """Return the columns of a table or view, generated ones included, as declared."""
    schema, _, name = quoted.partition(".")
    text = name[1:-1].replace('""', '"') if name.startswith('"') else name
    found = connection.execute(f"PRAGMA {schema}.table_xinfo({literal(text)})").fetchall()
    return tuple(declare(name, type_ or "") for _, name, type_, _, _, _, hidden in found if hidden != 1)


def key(connection: sqlite3.Connection, table: str) -> tuple[str, ...]:
    """Return the columns of the primary key in its order."""
    found = connection.execute(f"PRAGMA main.table_xinfo({literal(table)})").fetchall()
    return tuple(name for _, name in sorted((place, name) for _, name, _, _, _, place, _ in found if place))


def now(connection: sqlite3.Connection) -> datetime:
    """Return the clock of the source."""
    (seconds,) = connection.execute("SELECT CAST(strftime('%s', 'now') AS INTEGER)").fetchone()
    return datetime.fromtimestamp(seconds, UTC)


def describe(connection: sqlite3.Connection, table: str, request: Request, path: Path) -> TableDescription:
    """Describe one table: columns, rows (estimated in files over 256 MiB), key, cursors, what looks personal."""
    quoted = identifier(table)
    found = columns(connection, "main." + quoted)
    primary = key(connection, table)
    sample = connection.execute(f"SELECT * FROM {quoted} LIMIT {_SAMPLE}").fetchall()
    held = dict(zip([column.name for column in found], zip(*sample, strict=True), strict=True)) if sample else {}
    times = {column.name: _is_time(column, held.get(column.name, ())) for column in found}
    counting = [column.name for column in found if "INT" in column.type]
    candidates = scoping.cursors(times, primary, counting)
    rows, remarks = _rows(connection, quoted, path)
    estimated = bool(remarks)
    moments = [name for name, holds in times.items() if holds]
    odd = scoping.malformed(held, moments, candidates)
    personal = scoping.personal(times, held)
    pattern, reason = scoping.pattern(candidates, primary, rows)
    name = request.connection.name if request.connection is not None else path.stem
    return TableDescription(
        name=table,
        columns={column.name: column.type or "any" for column in found},
        rows=rows,
        estimated=estimated,
        bytes=_bytes(connection, table, path),
        key=primary,
        cursors=candidates,
        pattern=pattern,
        reason=reason,
        remarks=(*personal, *odd, *remarks),
        suggestion=scoping.protecting(scoping.suggestion(name, table, candidates, primary), personal),
    )


def _bytes(connection: sqlite3.Connection, table: str, path: Path) -> int | None:
    """Return the size of a table's pages; None where this SQLite cannot say, or the file is large."""
    if path.stat().st_size > _COUNTED_BYTES:
        return None
    try:
        (found,) = connection.execute("SELECT sum(pgsize) FROM dbstat WHERE name = ?", (table,)).fetchone()
    except sqlite3.Error:
        return None
    return None if found is None else int(found)


def _is_time(column: Declared, values: Any) -> bool:
    if "TIMESTAMP" in column.type or "DATE" in column.type:
        return True
    form = cursors.form_of([value for value in values if value is not None])
    return form is not None and form.kind != "epoch"


def _rows(connection: sqlite3.Connection, quoted: str, path: Path) -> tuple[int | None, tuple[str, ...]]:
    if path.stat().st_size <= _COUNTED_BYTES:
        (rows,) = connection.execute(f"SELECT count(*) FROM {quoted}").fetchone()
        return rows, ()
    try:
        (rows,) = connection.execute(f"SELECT max(rowid) FROM {quoted}").fetchone()
    except sqlite3.Error:
        return None, ()
    return rows or 0, ("the number of rows is estimated from the greatest rowid",)
