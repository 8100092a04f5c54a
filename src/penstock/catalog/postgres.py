"""The catalog in PostgreSQL: for several machines that run pipelines against one lake."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock, Thread, current_thread
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from penstock.catalog.sql import SqlCatalog
from penstock.errors import ConfigurationError, DataError, MissingExtraError, PenstockError, TransientError
from penstock.queries.text import identifier

try:
    import psycopg
except ImportError as missing:
    raise MissingExtraError("A catalog in PostgreSQL", "postgres") from missing

SCHEMA = "penstock"
CONNECT_SECONDS = 10


class PostgresCatalog(SqlCatalog):
    """The catalog in a schema of a PostgreSQL database.

    Args:
        url: ``postgresql://user:password@host:port/database``; ``?schema=name`` chooses another schema than
            ``penstock``, so that several projects can share a database.

    Raises:
        ConfigurationError: The server refuses the user, knows no such database, or the catalog is of later code.
        TransientError: The server cannot be reached.
    """

    def __init__(self, url: str) -> None:
        super().__init__(PostgresDatabase(url))


class PostgresDatabase:
    """A schema of a PostgreSQL database behind ``penstock.catalog.database.Database``."""

    blob = "BYTEA"
    row_lock = " FOR UPDATE"

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        options = parse_qsl(parts.query)
        self._schema = dict(options).get("schema", SCHEMA)
        self._url = urlunsplit(parts._replace(query=urlencode([pair for pair in options if pair[0] != "schema"])))
        self.shown = f"postgresql://{parts.netloc.rpartition('@')[2]}{parts.path}"
        self._lock = Lock()
        self._connections: dict[tuple[int, int], tuple[Thread, psycopg.Connection]] = {}

    @contextmanager
    def reading(self) -> Iterator[_Statements]:
        """Lend this thread's connection for single statements."""
        with self._explained():
            yield _Statements(self._connection())

    @contextmanager
    def writing(self) -> Iterator[_Statements]:
        """Lend this thread's connection for one transaction."""
        with self._explained():
            connection = self._connection()
            with connection.transaction():
                # Catalog writes are few and short; one lock per schema keeps migrations and verdicts in one order.
                connection.execute(
                    "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"penstock:{self._schema}",)
                )
                yield _Statements(connection)

    def now(self) -> int:
        """Return the server's time in microseconds, since holders on several machines share it."""
        with self.reading() as statements:
            return int(statements.rows("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)")[0][0])

    def has_schema(self) -> bool:
        """Say whether the table ``schema_version`` is there; makes the schema if it is not."""
        with self.reading() as statements:
            found = statements.rows(
                "SELECT 1 FROM information_schema.tables WHERE table_schema = ? AND table_name = 'schema_version'",
                (self._schema,),
            )
        if not found:
            with self.writing() as statements:
                statements.rows(f"CREATE SCHEMA IF NOT EXISTS {identifier(self._schema)}")
        return bool(found)

    def close(self) -> None:
        """Close the connections of all threads of this process."""
        with self._lock:
            for key in [key for key in self._connections if key[0] == os.getpid()]:
                self._connections.pop(key)[1].close()

    def _connection(self) -> psycopg.Connection:
        thread = current_thread()
        key = (os.getpid(), thread.ident or 0)
        with self._lock:
            owner, connection = self._connections.get(key, (None, None))
            if connection is not None and owner is thread and not connection.closed:
                return connection
            self._close_dead()
        connection = psycopg.connect(
            self._url,
            autocommit=True,
            connect_timeout=CONNECT_SECONDS,
            application_name="penstock catalog",
            options=f"-c search_path={identifier(self._schema).replace(' ', chr(92) + ' ')} -c TimeZone=UTC",
        )
        with self._lock:
            self._connections[key] = (thread, connection)
        return connection

    def _close_dead(self) -> None:
        for key, (thread, connection) in list(self._connections.items()):
            if key[0] == os.getpid() and (connection.closed or not thread.is_alive()):
                connection.close()
                del self._connections[key]

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            raise self._explain(error) from None

    def _explain(self, error: psycopg.Error) -> PenstockError:
        reason = (str(error).strip().splitlines() or ["no reason given"])[-1].strip()
        refused = "authentication failed" in reason or "does not exist" in reason or "no password" in reason
        state = error.sqlstate or ""
        if state in ("42501", "28P01", "28000", "3D000") or (not state and refused):
            return ConfigurationError(
                f"The server refuses the catalog {self.shown}: {reason}",
                remedy="Mend catalog in penstock.toml: user, password, database, and the right to create a schema",
            )
        if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
            return TransientError(f"The catalog {self.shown} cannot be reached: {reason}")
        if isinstance(error, psycopg.ProgrammingError) and "connection" not in reason:
            return DataError(
                f"The catalog {self.shown} is damaged or is not a catalog: {reason}",
                remedy="penstock doctor --rebuild-catalog makes it anew from the lake",
            )
        return DataError(f"The catalog {self.shown} refused a change: {reason}")


class _Statements:
    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        cursor = self._connection.execute(_numbered(sql), values)
        return cursor.fetchall() if cursor.description is not None else []

    def many(self, sql: str, values: Iterable[Sequence[Any]]) -> None:
        with self._connection.cursor() as cursor:
            cursor.executemany(_numbered(sql), values)


def _numbered(sql: str) -> Any:
    """Spell the places of values as psycopg does; our statements hold no question mark or percent sign otherwise."""
    return sql.replace("?", "%s")
