"""MySQL and MariaDB: one query is one consistent read (InnoDB), streamed as Arrow by connectorx.

Where the connection asks for TLS the rows come through PyMySQL, which is slower. Tables of other engines than
InnoDB are read as they change.

The server is asked for figures over the connection that planned the reading, in a transaction whose snapshot is taken
at the moment before the rows begin to stream. PyMySQL reads the rows in that very transaction; connectorx opens a
connection of its own, which cannot share a snapshot, so that a difference there is a note.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pyarrow as pa

from penstock.errors import ConfigurationError, DataError, MissingExtraError, PenstockError, TransientError
from penstock.extract import cursors
from penstock.extract.database import address
from penstock.extract.database.address import ServerAddress
from penstock.extract.database.dialect import DatabaseColumn, Relation
from penstock.extract.database.mysql import catalog, figures
from penstock.extract.database.mysql.types import Field, column
from penstock.extract.database.reading import DatabaseSource
from penstock.extract.port import Request, SourceFigures, TableDescription
from penstock.model.specs import ConnectionSpec, SourceTable

if TYPE_CHECKING:
    import pymysql

CONNECT_SECONDS = 10
_PORT = 3306
_REFUSED = (1044, 1045, 1049, 1130, 1698, 2059, 3118)
_TRANSIENT = (
    1040, 1053, 1158, 1159, 1160, 1161, 1203, 1205, 1213, 1226, 1317, 1412, 1969, 2002, 2003, 2005, 2006, 2013, 2055,
)  # fmt: skip
_DENIED = (1142, 1143, 1370)
_LATEST_EPOCH = 2**31 - 1
_SKEW = 26 * 3600
"""Seconds by which a bound is widened so that an index serves whatever the session's zone."""


class MySqlSource(DatabaseSource):
    """The source kind ``mysql``; options ``table`` (``database.table``) or ``query``."""

    def __init__(self) -> None:
        super().__init__(MySql)


class MySql:
    """A connection to MySQL or MariaDB; see the port.

    Args:
        request: The reading.
        within: A connection whose transaction is read in, and that stays open; None: one is opened.
    """

    def __init__(self, request: Request, within: pymysql.Connection[Any] | None = None) -> None:
        if request.connection is None:
            raise ConfigurationError(f"The source {request.source.table} names no MySQL connection")
        self._request = request
        self._place = request.connection
        self._address = _address(self._place)
        self._within = within is not None
        with self.translated():
            self._connection = within if within is not None else connect(self._place)
            self._run("SET time_zone = '+00:00'")

    def relation(self) -> Relation:
        """Find the table or query; see the port."""
        found = catalog.relation(self.ask, self._request)
        columns = tuple(column(field, self.identifier(field.name)) for field in self._fields(found.sql))
        self._see_one_moment()
        return Relation(found.sql, found.name, columns, found.row_bytes, steady=found.steady)

    def identifier(self, name: str) -> str:
        """Return a name in backticks."""
        return catalog.quoted(name)

    def constant(self, value: Any, cursor: str) -> str:
        """Return a cursor value as a constant; see the port."""
        if cursor in ("integer", "decimal"):
            return str(value)
        if cursor == "real":
            return repr(float(value))
        text = str(value).replace("\\", "\\\\").replace("'", "''")
        if cursor == "text":
            return f"CAST('{text}' AS BINARY)"
        return f"CAST('{text}' AS {'DATE' if cursor == 'date' else 'DATETIME(6)'})"

    def since(self, column: DatabaseColumn, value: Any, lag: timedelta) -> str:
        """Return the condition of a cursor; see the port. Texts are compared by their bytes."""
        quoted, cursor = self.identifier(column.name), str(column.cursor)
        if cursor == "timestamptz":
            return self._not_before(quoted, datetime.fromisoformat(str(value)) - lag)
        if cursor in ("date", "timestamp"):
            behind = cursors.earlier(datetime.fromisoformat(str(value)), lag)
            return f"{quoted} >= {self.constant(behind.isoformat(sep=' '), 'timestamp')}"
        compared = f"CAST({quoted} AS BINARY)" if cursor == "text" else quoted
        return f"{compared} >= {self.constant(value, cursor)}"

    def between(self, column: DatabaseColumn, start: datetime, end: datetime) -> str:
        """Return the condition of an interval; see the port."""
        quoted = self.identifier(column.name)
        if column.cursor == "timestamptz":
            return f"{self._not_before(quoted, start)} AND {self._before(quoted, end)}"
        first, last = (at.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ") for at in (start, end))
        return f"{quoted} >= {self.constant(first, 'timestamp')} AND {quoted} < {self.constant(last, 'timestamp')}"

    def ask(self, sql: str) -> Sequence[Sequence[Any]]:
        """Run a query; see the port."""
        with self.translated():
            return self._run(sql)

    def now(self) -> datetime:
        """Return the server's clock, UTC."""
        ((epoch,),) = self.ask("SELECT UNIX_TIMESTAMP(NOW(6))")
        return datetime.fromtimestamp(float(epoch), UTC)

    def limited(self, sql: str, rows: int) -> str:
        """Return a SELECT cut to its first rows."""
        return f"{sql} LIMIT {rows}"

    def stream(self, sql: str, batch_rows: int) -> Iterator[pa.RecordBatch]:
        """Yield the rows; see the port."""
        with self.translated():
            if self._reads_in_transaction:
                yield from self._rows(sql, batch_rows)
                return
            import connectorx

            self._see_one_moment()
            yield from connectorx.read_sql(
                _url(self._place, self._address), sql, return_type="arrow_stream", batch_size=batch_rows
            )

    def tables(self) -> tuple[SourceTable, ...]:
        """Return the tables and views of the connection's database; see the port."""
        return catalog.tables(self.ask)

    def describe(self) -> tuple[TableDescription, ...]:
        """Describe tables and views; see the port."""
        return catalog.describe(self.ask, self._request)

    def figures(self, relation: Relation, columns: Sequence[DatabaseColumn], where: str) -> SourceFigures | None:
        """Return what the server says of the rows; see the port."""
        found = figures.ask(self._run, self._request, columns, relation.sql + where, self.identifier)
        return SourceFigures(found, snapshot=relation.steady and self._reads_in_transaction)

    @property
    def _reads_in_transaction(self) -> bool:
        """Say whether the rows come over the connection that plans and counts."""
        return self._within or bool(self._place.options.get("ssl")) or self._place.options.get("reader") == "pymysql"

    def _see_one_moment(self) -> None:
        """Begin a transaction that sees the rows as they are now."""
        if self._within:
            return
        with self.translated():
            self._run("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            self._run("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")

    def translated(self) -> AbstractContextManager[None]:
        """Raise the drivers' errors as sentences."""
        return translated(self._request)

    def close(self) -> None:
        """Close the connection, where it is its own."""
        if self._within:
            return
        with suppress(Exception):
            self._connection.close()

    def _run(self, sql: str) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())

    def _fields(self, relation: str) -> list[Field]:
        with self.translated(), self._connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {relation} LIMIT 0")
            described = cursor._result.fields  # noqa: SLF001 - flags and character sets stand nowhere else
            return [
                Field(item.name, item.type_code, item.flags, item.charsetnr, item.length, item.scale)
                for item in described
            ]

    def _rows(self, sql: str, batch_rows: int) -> Iterator[pa.RecordBatch]:
        from pymysql.cursors import SSCursor

        with self._connection.cursor(SSCursor) as cursor:
            cursor.execute(sql)
            while rows := cursor.fetchmany(batch_rows):
                yield pa.RecordBatch.from_arrays(
                    [_array(values) for values in zip(*rows, strict=True)],
                    names=[str(place) for place in range(len(rows[0]))],
                )

    def _not_before(self, quoted: str, at: datetime) -> str:
        epoch = at.timestamp()
        near = f"{quoted} >= FROM_UNIXTIME({epoch - _SKEW:.0f}) AND " if _SKEW < epoch < _LATEST_EPOCH else ""
        return f"{near}UNIX_TIMESTAMP({quoted}) >= {_seconds(at)}"

    def _before(self, quoted: str, at: datetime) -> str:
        epoch = at.timestamp()
        near = f"{quoted} < FROM_UNIXTIME({epoch + _SKEW:.0f}) AND " if 0 < epoch < _LATEST_EPOCH - _SKEW else ""
        return f"{near}UNIX_TIMESTAMP({quoted}) < {_seconds(at)}"


@contextmanager
def translated(request: Request) -> Iterator[None]:
    """Raise the drivers' errors as sentences."""
    try:
        yield
    except PenstockError:
        raise
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        # A panic of connectorx is no Exception.
        if not type(error).__module__.startswith(("pymysql", "pyo3_runtime")) and not isinstance(
            error, OSError | RuntimeError
        ):
            raise
        raise _explained(error, request) from error


def _array(values: Sequence[Any]) -> pa.Array:
    try:
        return pa.array(values)
    except OverflowError:
        return pa.array(values, pa.uint64())


def _seconds(at: datetime) -> str:
    whole = int((at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1))
    return f"{whole}.{at.microsecond:06d}"


def connect(place: ConnectionSpec) -> pymysql.Connection[Any]:
    """Open a connection, each statement a transaction of its own.

    Raises:
        MissingExtraError: The drivers are not installed.
    """
    try:
        import connectorx  # noqa: F401
        import pymysql
    except ImportError:
        raise MissingExtraError("Reading MySQL or MariaDB", "mysql") from None
    at = _address(place)
    tls = ssl.create_default_context(cafile=place.options.get("ssl_ca")) if place.options.get("ssl") else None
    return pymysql.connect(
        host=at.host,
        port=at.port,
        user=at.user,
        database=at.database,
        ssl=tls,
        # The driver would send a text as latin1.
        password=place.secrets.get("password", "").encode(),
        charset="utf8mb4",
        connect_timeout=int(place.options.get("connect_timeout", CONNECT_SECONDS)),
        autocommit=True,
    )


def _address(place: ConnectionSpec) -> ServerAddress:
    return address.server(place, _PORT, "mysql://user@host:3306/database")


def _url(place: ConnectionSpec, at: ServerAddress) -> str:
    """Return the URL with its secret, for connectorx alone; never to be shown."""
    user, secret = (quote(str(text), safe="") for text in (at.user, place.secrets.get("password", "")))
    return f"mysql://{user}:{secret}@{at.host}:{at.port}/{quote(at.database, safe='')}"


def _explained(error: BaseException, request: Request) -> PenstockError:
    place = request.connection
    where = f"MySQL {place.name}" if place is not None else "MySQL"
    what = str(request.source.options.get("table", "the query"))
    code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    text = str(error.args[1] if len(error.args) > 1 else error).strip().partition("\n")[0][:200]
    if place is not None and (secret := place.secrets.get("password")):
        text = text.replace(secret, "…").replace(quote(secret, safe=""), "…")
    if code in _REFUSED:
        return ConfigurationError(
            f"{where} refuses the user, the password or the database",
            value=text,
            remedy="Look at the connection's user and database and at the secret that holds its password",
        )
    if code in _DENIED:
        return ConfigurationError(f"{where} does not let this user read {what}", value=text)
    if code in _TRANSIENT or isinstance(error, OSError):
        return TransientError(f"{where} is not available: {text}", remedy="See that it runs and can be reached")
    if code and 1000 <= code < 2000:
        return ConfigurationError(f"{where} cannot read {what}: {text}")
    return DataError(f"{where} stopped while it read {what}: {text}", remedy="Run again; if it stays, see its log")
