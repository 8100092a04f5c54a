"""The DuckDB warehouse: a file that is opened for one transaction, under a lock, and closed.

The file is attached to the process's engine, so one bound of memory holds for everything and temporary tables of the
session can be read and made inside the transaction. (Measured: opening, an empty commit and closing take 5 to 15 ms;
a connection of its own takes 45 ms and more, and a memory of its own.)
"""

from __future__ import annotations

import json
import os
import re
import secrets
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import duckdb

from penstock.errors import BugError, ConfigurationError, DataError, PenstockError, TransientError
from penstock.model.entries import Column
from penstock.queries.text import identifier, literal
from penstock.schema import TRUSTED_JSON
from penstock.stores.filelock import Tell, Wait, locked
from penstock.stores.port import Engine

OWN_SCHEMA = "_penstock"
"""The schema of the warehouse that holds what Penstock records there; no reader needs it."""
STORAGE = "v1.5.0"
"""The storage version of new files: DuckDB from 1.5 on reads it."""
PATIENCE = 600.0
"""Seconds to wait for a file that somebody holds: a transform of another step may take minutes."""

_DEEPEST_CAUSE = 20
_APPLIED = f"{OWN_SCHEMA}.applied"
_CHECKPOINT_SECONDS = 30.0
_CHECKPOINT_PAUSE = 0.01


class DuckDBWarehouse:
    """A DuckDB file that serves tables.

    Args:
        path: The file; it and its folder are made at the first writing.
        engine: The engine of the process.
        on_wait: Called with one sentence when the file has been held by somebody else for a second.
        patience: Seconds after which waiting ends with TransientError.

    Raises:
        ConfigurationError: DuckDB would not write it at this path.
    """

    def __init__(self, path: str, engine: Engine, on_wait: Tell | None = None, patience: float = PATIENCE) -> None:
        self.path = os.path.abspath(path)
        refuse_path(self.path)
        self._engine = engine
        self._on_wait = on_wait
        self._patience = patience

    @contextmanager
    def writing(self, *, plain: bool = False) -> Iterator[DuckDBTransaction]:
        """Open for one transaction: all of it is committed at the end, nothing of it after an error.

        Args:
            plain: See the port.

        Raises:
            TransientError: The file is held by somebody else for too long, or the disk is full.
            DataError: It is no DuckDB file, or one of a later version; or a statement failed on the data.
            ConfigurationError: It cannot be written there; the memory does not suffice.
        """
        _make_folder(self.path)
        with locked(self.lock_path, self.wait()):
            self._create()
            with self._opened("", plain=plain) as transaction:
                yield transaction

    @contextmanager
    def reading(self) -> Iterator[DuckDBTransaction]:
        """Open for reading, under the same lock; a file that does not exist yet reads as empty."""
        if not os.path.exists(self.path):
            with self._opened("READ_ONLY", self._missing()) as transaction:
                yield transaction
        elif not os.access(os.path.dirname(self.path), os.W_OK):
            # No lock file can be made in a folder that is read-only; DuckDB's own lock still guards the file.
            with self._opened("READ_ONLY") as transaction:
                yield transaction
        else:
            with locked(self.lock_path, self.wait()), self._opened("READ_ONLY") as transaction:
                yield transaction

    @property
    def lock_path(self) -> str:
        """Return the path of the lock file that every opening holds."""
        return f"{self.path}.lock"

    def wait(self) -> Wait:
        """Return a bounded wait for the file."""
        return Wait(f"The warehouse {self.path}", self._patience, self._on_wait)

    def _missing(self) -> str:
        if os.path.exists(f"{self.path}.wal"):
            raise DataError(
                f"The warehouse {self.path} is gone, but {self.path}.wal is there, which holds changes to it",
                remedy="Put the file back, or remove the .wal as well to begin anew",
            )
        return ":memory:"

    def _create(self) -> None:
        """Make the file under another name first: a kill in between leaves no half file at the path."""
        if os.path.exists(self.path):
            return
        self._missing()
        fresh = f"{self.path}.new"
        for leftover in (fresh, f"{fresh}.wal"):
            with suppress(FileNotFoundError):
                os.remove(leftover)
        alias = _alias()
        with self._engine.session(plain=True) as connection, self._sentences():
            connection.execute(f"ATTACH {literal(fresh)} AS {alias} (TYPE duckdb, STORAGE_VERSION {literal(STORAGE)})")
            connection.execute(f"DETACH {alias}")
        os.replace(fresh, self.path)

    @contextmanager
    def _opened(self, option: str, path: str | None = None, *, plain: bool = True) -> Iterator[DuckDBTransaction]:
        alias = _alias()
        writes = option == ""
        with self._sentences(), self._engine.session(plain=True) as keeper:
            self._attach(keeper, alias, option if path is None else "", path or self.path)
            try:
                with self._engine.session(plain=plain) as connection:
                    if writes and plain:
                        # Whatever asks for the function that takes JSON as it is finds one that parses it.
                        connection.execute(f"CREATE TEMP MACRO {TRUSTED_JSON}(text) AS CAST(text AS JSON)")
                    connection.execute(f"USE {alias}")
                    connection.execute("BEGIN")
                    # Closing the connection rolls back whatever was not committed.
                    transaction = DuckDBTransaction(connection, alias)
                    with _letting_go():
                        yield transaction
                    if writes:
                        transaction.settle()
                        connection.execute("COMMIT")
                if writes:
                    _checkpoint(keeper, alias)
            finally:
                with suppress(duckdb.Error):
                    keeper.execute(f"DETACH {alias}")

    def _attach(self, connection: duckdb.DuckDBPyConnection, alias: str, option: str, path: str) -> None:
        options = f" (TYPE duckdb, {option})" if option else " (TYPE duckdb)" if path != ":memory:" else ""
        wait = self.wait()
        while True:
            try:
                connection.execute(f"ATTACH {literal(path)} AS {alias}{options}")
            except duckdb.Error as error:
                holder = _holder(str(error))
                if holder is None:
                    raise
                wait.pause(holder)
            else:
                return

    @contextmanager
    def _sentences(self) -> Iterator[None]:
        try:
            yield
        except duckdb.Error as error:
            raise explained(error, f"The warehouse {self.path}") from error


def refuse_path(path: str) -> None:
    """Raise ConfigurationError for a path that DuckDB takes apart at a question mark, as if it were a URL."""
    if "?" in os.path.abspath(path):
        raise ConfigurationError(
            "A DuckDB file cannot lie at a path with a question mark",
            value=path,
            remedy="Name the folder or the file otherwise",
        )


class DuckDBTransaction:
    """An open transaction. Tables of the warehouse are plain names in ``sql``; so are temporary tables.

    Attributes:
        connection: The engine's connection; drain and close what is streamed from it before the transaction ends.
        remembered: See the port.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, alias: str) -> None:
        self.connection = connection
        self.remembered: dict[str, Any] = {}
        self._alias = alias
        # Nobody else can write as long as this is open: what is recorded is read once, and written once for all tables.
        self._numbers: dict[str, int] | None = None
        self._facts: dict[str, str] = {}
        self._last: list[Callable[[], None]] = []

    @property
    def database(self) -> str:
        """Return the quoted name under which the engine knows the file as long as the transaction is open."""
        return self._alias

    def execute(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement with bound values and return its rows (of a change: how many rows)."""
        return self.connection.execute(sql, list(values)).fetchall()

    def columns(self, table: str) -> tuple[Column, ...] | None:
        """Return the columns of a table in order, or None if there is none; the case of its name is ignored."""
        found = self._found("main", table)
        if found is None:
            return None
        return tuple(Column(name=name, type=str(type_)) for name, type_ in zip(found.columns, found.types, strict=True))

    def tables(self) -> tuple[str, ...]:
        """Return the names of the tables, sorted; without Penstock's own and without views."""
        return tuple(
            name
            for (name,) in self.execute(
                "SELECT table_name FROM duckdb_tables() WHERE database_name = current_database() "
                "AND schema_name = 'main' AND NOT temporary ORDER BY table_name"
            )
        )

    def at_last(self, work: Callable[[], None]) -> None:
        """Have something done right before the transaction is committed."""
        self._last.append(work)

    def keeps(self, record: str) -> bool:
        """Say whether there is a table of Penstock's own, as ``_penstock.loads``."""
        return self._found(*record.split(".")) is not None

    def applied(self, table: str) -> int:
        """Return the number of the newest entry recorded as applied to the table; 0 for none."""
        return self._recorded().get(table, 0)

    def record(self, table: str, number: int, facts: Mapping[str, Any]) -> None:
        """Record, within the transaction, the newest applied entry; an older number than the recorded changes nothing.

        Args:
            table: The warehouse table.
            number: Of the entry.
            facts: JSON values kept beside it, for people.
        """
        recorded = self._recorded()
        if number >= recorded.get(table, number):
            recorded[table] = number
            self._facts[table] = json.dumps(facts, sort_keys=True)

    def settle(self) -> None:
        """Write what was recorded; the transaction is about to be committed."""
        for work in self._last:
            work()
        if not self._facts:
            return
        tables = list(self._facts)
        numbers = [self._recorded()[table] for table in tables]
        if not self.keeps(_APPLIED):
            self.execute(f"CREATE SCHEMA IF NOT EXISTS {OWN_SCHEMA}")
            self.execute(
                f"CREATE TABLE {_APPLIED} (table_name VARCHAR NOT NULL, number BIGINT NOT NULL, facts VARCHAR NOT NULL)"
            )
        self.execute(f"DELETE FROM {_APPLIED} WHERE table_name IN (SELECT unnest(?::VARCHAR[]))", [tables])
        self.execute(
            f"INSERT INTO {_APPLIED} SELECT unnest(?::VARCHAR[]), unnest(?::BIGINT[]), unnest(?::VARCHAR[])",
            [tables, numbers, list(self._facts.values())],
        )

    def _recorded(self) -> dict[str, int]:
        """Return the newest number recorded of each table."""
        if self._numbers is None:
            there = self.execute(f"SELECT table_name, number FROM {_APPLIED}") if self.keeps(_APPLIED) else []
            self._numbers = dict(there)
        return self._numbers

    def _found(self, schema: str, table: str) -> duckdb.DuckDBPyRelation | None:
        # The binder answers ten times as fast as the catalog's views, and its refusal does not end the transaction.
        try:
            return self.connection.table(f"{self._alias}.{identifier(schema)}.{identifier(table)}")
        except duckdb.CatalogException:
            return None


@contextmanager
def scratch(engine: Engine) -> Iterator[DuckDBTransaction]:
    """Lend a transaction upon an empty database in memory, of which nothing stays."""
    alias = _alias()
    with engine.session() as keeper:
        keeper.execute(f"ATTACH ':memory:' AS {alias}")
        try:
            with engine.session() as connection:
                connection.execute(f"USE {alias}")
                connection.execute("BEGIN")
                with _letting_go():
                    yield DuckDBTransaction(connection, alias)
        finally:
            with suppress(duckdb.Error):
                keeper.execute(f"DETACH {alias}")


def explained(error: duckdb.Error, where: str) -> PenstockError:
    """Return the sentence for an error of DuckDB.

    Args:
        error: The error.
        where: What was worked on, as the beginning of the sentence: ``The warehouse x.duckdb``.
    """
    text = _first_line(error)
    if isinstance(error, _ABOUT_THE_STATEMENT):
        return DataError(f"{where}: a statement failed", value=text)
    for pattern, make in _SENTENCES:
        if re.search(pattern, str(error), re.IGNORECASE):
            return make(where, text)
    if isinstance(error, duckdb.OutOfMemoryException):
        return ConfigurationError(
            f"{where}: the memory does not suffice", value=text, remedy="Give the engine more memory, or free the disk"
        )
    if isinstance(error, duckdb.InternalException | duckdb.FatalException | duckdb.ResourceInUseException):
        return BugError(f"{where}: DuckDB could not go on", value=text, remedy="Please report it")
    if isinstance(error, duckdb.IOException):
        return TransientError(f"{where} cannot be read or written", value=text)
    return DataError(f"{where}: a statement failed", value=text)


# Their messages quote names and values, which must not be taken for words about the file.
_ABOUT_THE_STATEMENT = (
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.ConstraintException,
    duckdb.ConversionException,
    duckdb.OutOfRangeException,
    duckdb.ParserException,
)
_REMADE = "penstock rebuild makes a project's staging warehouse anew from the lake"
_SENTENCES = (
    (
        r"failed to pin block|could not allocate block|failed to allocate data",
        lambda where, text: ConfigurationError(
            f"{where}: the memory does not suffice for values as long as these",
            value=text,
            remedy="Raise memory (project.memory, or --memory of ingest): 2,048 rows in a row must fit it",
        ),
    ),
    (
        r"no space left|file too large|disk quota",
        lambda where, text: TransientError(f"{where}: the disk is full", value=text, remedy="Free some space"),
    ),
    (
        r"no files found that match",
        lambda where, text: DataError(
            f"{where}: a file of the lake is gone",
            value=text.partition('"')[2].partition('"')[0] or text,
            remedy="Put it back from a copy of the lake; without one, have its rows read again",
        ),
    ),
    (
        r"permission denied|read-only file system|is a directory|not a directory",
        lambda where, text: ConfigurationError(
            f"{where} cannot be opened there", value=text, valid="a file in a folder that can be written to"
        ),
    ),
    (
        r"version number|unsupported storage version",
        lambda where, text: DataError(
            f"{where} was written by a later version of DuckDB", value=text, remedy="Install that version of duckdb"
        ),
    ),
    (
        r"not a valid DuckDB database",
        lambda where, text: DataError(
            f"{where} is not a DuckDB file", value=text, remedy=f"Name another file, or move this one away; {_REMADE}"
        ),
    ),
    (
        r"corrupt|checksum|write-ahead|\.wal\b|could not read enough bytes",
        lambda where, text: DataError(
            f"{where} is damaged", value=text, remedy=f"Move it away if it is not a project's; {_REMADE}"
        ),
    ),
)


def _first_line(error: duckdb.Error) -> str:
    text = str(error).strip()
    # Some end with a full stop and a blank, behind which a sentence would get a second one.
    return text.splitlines()[0].rstrip(". ") if text else type(error).__name__


def _holder(message: str) -> str | None:
    """Return who holds the file, from DuckDB's message; None if the error is another one."""
    if "Unique file handle conflict" in message:
        return f"a connection of this process (pid {os.getpid()})"
    if "Could not set lock" not in message:
        return None
    found = re.search(r"held in (?P<program>.+?) \(PID (?P<pid>\d+)\)", message)
    return f"{found['program']} (pid {found['pid']})" if found else "another process"


def _checkpoint(connection: duckdb.DuckDBPyConnection, alias: str) -> None:
    """Bring the log of an attached file into it.

    While another session of the engine ends a transaction, also one upon another file, DuckDB may refuse for a moment.
    """
    end = time.monotonic() + _CHECKPOINT_SECONDS
    while True:
        try:
            connection.execute(f"CHECKPOINT {alias}")
            return
        except duckdb.TransactionException as error:
            if "other write transactions" not in str(error) or time.monotonic() >= end:
                raise
            time.sleep(_CHECKPOINT_PAUSE)


@contextmanager
def _letting_go() -> Iterator[None]:
    """Free what the frames of a failed call hold: an Arrow reader left open there would keep the file from closing."""
    try:
        yield
    except BaseException as error:
        failed: BaseException | None = error
        for _ in range(_DEEPEST_CAUSE):
            if failed is None:
                break
            traceback.clear_frames(failed.__traceback__)
            failed = failed.__cause__ or failed.__context__
        raise


def _alias() -> str:
    return identifier(f"warehouse_{secrets.token_hex(4)}")


def _make_folder(path: str) -> None:
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"The folder of the warehouse {path} cannot be made: {error.strerror}", remedy="Choose another folder"
        ) from error
