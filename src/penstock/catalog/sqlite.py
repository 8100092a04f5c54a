"""The catalog in a SQLite file: one connection per thread, safe across processes."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock, Thread, current_thread
from typing import Any

from penstock.catalog.sql import SqlCatalog
from penstock.errors import BugError, ConfigurationError, DataError, PenstockError, TransientError

BUSY_SECONDS = 30.0


class SqliteCatalog(SqlCatalog):
    """The catalog in a file.

    Args:
        path: The file; it and its folder are made if they are not there.

    Raises:
        DataError: The file is damaged or is no catalog.
        ConfigurationError: The file cannot be made or written there, or was written by later code.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__(SqliteDatabase(Path(path)))


class SqliteDatabase:
    """A SQLite file behind ``penstock.catalog.database.Database``."""

    blob = "BLOB"
    row_lock = ""

    def __init__(self, path: Path) -> None:
        self.shown = str(path)
        self._path = path
        self._lock = Lock()
        # A process that was forked must not touch its parent's connections, so the process number is part of the key.
        self._connections: dict[tuple[int, int], tuple[Thread, sqlite3.Connection]] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"The catalog's folder {path.parent} cannot be made: {error.strerror}",
                remedy="Name another place under catalog in penstock.toml, or mend the permissions",
            ) from error

    @contextmanager
    def reading(self) -> Iterator[_Statements]:
        """Lend this thread's connection for single statements."""
        with self._explained():
            yield _Statements(self._connection())

    @contextmanager
    def writing(self) -> Iterator[_Statements]:
        """Lend this thread's connection for one transaction; it holds the file's only write lock."""
        with self._explained():
            connection = self._connection()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield _Statements(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def now(self) -> int:
        """Return the machine's time in microseconds; all holders share the file, so they share the machine."""
        return time.time_ns() // 1000

    def has_schema(self) -> bool:
        """Say whether the table ``schema_version`` is there."""
        with self.reading() as statements:
            return bool(statements.rows("SELECT 1 FROM sqlite_master WHERE name = 'schema_version'"))

    def close(self) -> None:
        """Close the connections of all threads of this process."""
        with self._lock:
            for key in [key for key in self._connections if key[0] == os.getpid()]:
                self._connections.pop(key)[1].close()

    def _connection(self) -> sqlite3.Connection:
        thread = current_thread()
        key = (os.getpid(), thread.ident or 0)
        with self._lock:
            owner, connection = self._connections.get(key, (None, None))
            if connection is not None and owner is thread:
                return connection
            self._close_dead()
        connection = self._connect()
        with self._lock:
            self._connections[key] = (thread, connection)
        return connection

    def _close_dead(self) -> None:
        for key, (thread, connection) in list(self._connections.items()):
            if key[0] == os.getpid() and not thread.is_alive():
                connection.close()
                del self._connections[key]

    def _connect(self) -> sqlite3.Connection:
        # Each connection is used by its own thread; check_same_thread is off so that close() may close them all.
        connection = sqlite3.connect(
            self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=64
        )
        try:
            _switch_to_wal(connection)
            connection.execute("PRAGMA synchronous = NORMAL")
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._explain(error) from error

    def _explain(self, error: sqlite3.Error) -> PenstockError:
        name = getattr(error, "sqlite_errorname", "") or ""
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            return TransientError(
                f"The catalog {self.shown} was held by another process for {BUSY_SECONDS:.0f} seconds",
                remedy="Try again when it has ended",
            )
        if name.startswith("SQLITE_FULL"):
            return TransientError(
                f"The disk of the catalog {self.shown} is full", remedy="Make room, then run the command again"
            )
        if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
            return ConfigurationError(
                f"The catalog {self.shown} cannot be opened for writing",
                remedy="Mend the permissions of the file and its folder, or name another one in penstock.toml",
            )
        if name.startswith("SQLITE_IOERR"):
            return TransientError(f"The disk failed under the catalog {self.shown} ({name})")
        if isinstance(error, sqlite3.ProgrammingError):
            return BugError(f"The catalog {self.shown} was used after it was closed ({error})")
        return DataError(
            f"The catalog {self.shown} is damaged or is not a catalog ({error})",
            remedy="penstock doctor --rebuild-catalog makes it anew from the lake",
        )


class _Statements:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql, values).fetchall()

    def many(self, sql: str, values: Iterable[Sequence[Any]]) -> None:
        self._connection.executemany(sql, values)


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    """Turn on the write-ahead log; SQLite does not wait by itself when two processes do so at once."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname != "SQLITE_BUSY" or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return
