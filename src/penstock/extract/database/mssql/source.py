"""SQL Server: read by Microsoft's own driver as Arrow, in one transaction of snapshot isolation where it is allowed.

Where the database allows no snapshots, a statement of READ COMMITTED may miss rows that move or see them twice while
others write; a note of every load says so. The server orders texts by their UTF-16 code units.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from penstock.errors import ConfigurationError, DataError, MissingExtraError, PenstockError, TransientError
from penstock.extract.database import address, catalog, counting
from penstock.extract.database.dialect import DatabaseColumn, Relation
from penstock.extract.database.mssql import catalog as mssql_catalog
from penstock.extract.database.mssql.sql import SqlServerDialect
from penstock.extract.database.mssql.types import column
from penstock.extract.database.reading import DatabaseSource
from penstock.extract.port import Request, SourceFigures, TableDescription
from penstock.model.specs import ConnectionSpec, SourceTable

if TYPE_CHECKING:
    import mssql_python

CONNECT_SECONDS = 10
_PORT = 1433
_STATES = (
    "SELECT snapshot_isolation_state, is_read_committed_snapshot_on FROM sys.databases WHERE database_id = DB_ID()"
)
SNAPSHOT = ("SET TRANSACTION ISOLATION LEVEL SNAPSHOT", "BEGIN TRANSACTION")
_NO_SNAPSHOT = (
    "the database allows no snapshots, so rows that change while they are read may be missed or come twice; "
    "ALTER DATABASE … SET ALLOW_SNAPSHOT_ISOLATION ON mends it"
)
_REFUSED = ("login failed", "cannot open database", "cannot open server", "invalid authorization specification")
_DENIED = ("permission was denied",)
_TRANSIENT = (
    "unable to establish connection", "timeout", "communication link failure", "connection failure", "deadlock",
    "connection not open", "tcp provider", "login timeout", "server rejected the connection", "connection is broken",
    "snapshot isolation transaction aborted", "protocol error",
)  # fmt: skip


class SqlServerSource(DatabaseSource):
    """The source kind ``mssql``; options ``table`` (``schema.table``) or ``query``."""

    def __init__(self) -> None:
        super().__init__(SqlServer)


class SqlServer(SqlServerDialect):
    """A connection to SQL Server; see the port."""

    def __init__(self, request: Request) -> None:
        if request.connection is None:
            raise ConfigurationError(f"The source {request.source.table} names no SQL Server connection")
        counting.refuse_more(request, "SQL Server")
        self._request = request
        self._place = request.connection
        self._one_moment = False
        with self.translated():
            self._connection = _connect(self._place)
            self._command("SET TEXTSIZE 2147483647")

    def relation(self) -> Relation:
        """Find the table or query, and begin the transaction that sees one moment; see the port."""
        table, query = catalog.asked(self._request)
        ((snapshots, versions),) = self.ask(_STATES)
        if int(snapshots or 0) == 1:
            with self.translated():
                for statement in SNAPSHOT:
                    self._command(statement)
            self._one_moment = True
        note = "" if self._one_moment or versions else _NO_SNAPSHOT
        if table is None:
            sql, name, size, steady = f"({query}\n) AS [_query]", "the query", None, False
        else:
            found = catalog.found(mssql_catalog.listed(self.ask), table, "SQL Server")
            sql = f"{self.identifier(found.schema)}.{self.identifier(found.name)}"
            # A view has no pages of its own, and may give other rows at each asking.
            name, size, steady = table, found.row_bytes, found.bytes is not None
        columns = tuple(column(each, self.identifier(each.name)) for each in mssql_catalog.fields(self.ask, sql))
        return Relation(sql, name, columns, size, note, steady)

    def ask(self, sql: str) -> Sequence[Sequence[Any]]:
        """Run a query; see the port."""
        with self.translated():
            cursor = self._execute(sql)
            try:
                return [tuple(row) for row in cursor.fetchall()]
            finally:
                cursor.close()

    def now(self) -> datetime:
        """Return the server's clock, UTC."""
        ((text,),) = self.ask("SELECT CONVERT(varchar(26), SYSUTCDATETIME(), 121)")
        return datetime.fromisoformat(str(text)).replace(tzinfo=UTC)

    def stream(self, sql: str, batch_rows: int) -> Iterator[pa.RecordBatch]:
        """Yield the rows; see the port."""
        cursor = self._execute(sql)
        try:
            yield from cursor.arrow_reader(batch_size=batch_rows)
        finally:
            with suppress(Exception):
                cursor.close()

    def figures(self, relation: Relation, columns: Sequence[DatabaseColumn], where: str) -> SourceFigures | None:
        """Return what the server counts in the transaction of the reading; see the port."""

        def count(name: str) -> str:
            return f"COUNT_BIG({'*' if name == '*' else self.identifier(name)})"

        found = counting.counted(self.ask, self._request, relation.sql + where, columns, count)
        return SourceFigures(found, snapshot=relation.steady and self._one_moment)

    def tables(self) -> tuple[SourceTable, ...]:
        """Return the tables and views that the user may read; see the port."""
        return mssql_catalog.tables(self.ask)

    def describe(self) -> tuple[TableDescription, ...]:
        """Describe tables and views; see the port."""
        return mssql_catalog.describe(self.ask, self._request)

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Raise the driver's errors as sentences."""
        try:
            yield
        except PenstockError:
            raise
        except Exception as error:
            if not type(error).__module__.startswith("mssql_python") and not isinstance(error, OSError | RuntimeError):
                raise
            raise explained(error, self._request) from None

    def close(self) -> None:
        """End the transaction and close the connection."""
        with suppress(Exception):
            self._connection.close()

    def _command(self, sql: str) -> None:
        self._execute(sql).close()

    def _execute(self, sql: str) -> Any:
        cursor = self._connection.cursor()
        cursor.execute(sql)
        return cursor


def connection_string(place: ConnectionSpec) -> str:
    """Return the driver's connection string with its secret, never to be shown.

    Raises:
        ConfigurationError: The URL cannot be read or names no database.
    """
    at, options = address.server(place, _PORT, "mssql://user@host:1433/database"), place.options
    said = {"Server": f"{at.host},{at.port}", "Database": at.database, "ApplicationIntent": "ReadOnly"}
    if options.get("authentication"):
        said["Authentication"] = str(options["authentication"])
    if at.user:
        said["UID"] = at.user
    if place.secrets.get("password"):
        said["PWD"] = place.secrets["password"]
    said["Encrypt"] = str(options.get("encrypt", "yes"))
    said["TrustServerCertificate"] = "yes" if options.get("trust_server_certificate") else "no"
    return ";".join(f"{name}={_braced(value)}" for name, value in said.items())


def explained(error: Exception, request: Request) -> PenstockError:
    """Return the sentence for an error of the driver or the server."""
    place = request.connection
    where = f"SQL Server {place.name}" if place is not None else "SQL Server"
    what = str(request.source.options.get("table", "the query"))
    text = " ".join(str(error).split())
    text = text.rpartition("[SQL Server]")[2] or text
    secret = place.secrets.get("password") if place is not None else None
    text = (text.replace(secret, "…") if secret else text)[:200]
    lower = str(error).lower()
    if any(words in lower for words in _REFUSED):
        return ConfigurationError(
            f"{where} refuses the user, the password or the database",
            value=text,
            remedy="Look at the connection's user and database and at the secret that holds its password",
        )
    if "failed to load the driver" in lower:
        return ConfigurationError(
            f"{where} cannot be read: Microsoft's driver lacks a library of the system",
            value=text,
            remedy="Install what it needs: on Debian and Ubuntu libltdl7, libkrb5-3 and libgssapi-krb5-2",
        )
    if any(words in lower for words in _DENIED):
        return ConfigurationError(f"{where} does not let this user read {what}: {text}")
    if "certificate" in lower:
        return ConfigurationError(
            f"{where} shows a certificate that cannot be verified: {text}",
            remedy="Install the authority that signed it, or set trust_server_certificate = true where the net is safe",
        )
    if any(words in lower for words in _TRANSIENT) or isinstance(error, OSError):
        return TransientError(f"{where} is not available: {text}", remedy="See that it runs and can be reached")
    if type(error).__name__ in ("ProgrammingError", "ConnectionStringParseError"):
        return ConfigurationError(f"{where} cannot read {what}: {text}")
    return DataError(f"{where} stopped while it read {what}: {text}", remedy="Run again; if it stays, see its log")


def _connect(place: ConnectionSpec) -> mssql_python.Connection:
    said = connection_string(place)
    try:
        import mssql_python
    except ImportError:
        raise MissingExtraError("Reading SQL Server", "mssql") from None
    seconds = int(place.options.get("connect_timeout", CONNECT_SECONDS))
    connection = mssql_python.connect(said, autocommit=True, timeout=seconds)
    if place.options.get("statement_timeout"):
        connection.timeout = int(place.options["statement_timeout"])
    return connection


def _braced(value: str) -> str:
    """Return a value of a connection string, in braces where it has characters that mean something there."""
    return "{" + value.replace("}", "}}") + "}" if set(value) & set(";{}[]()?*=!@ ") else value
