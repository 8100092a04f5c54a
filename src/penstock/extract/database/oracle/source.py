"""Oracle: read by python-oracledb in its thin mode, as Arrow, in one read-only transaction that sees one moment.

The transaction needs no rights but to read, and no flashback. Where the server has thrown away what it needs to show
that moment (ORA-01555), the load ends with a sentence and is tried again.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from queue import Empty, Queue
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from penstock.errors import ConfigurationError, DataError, MissingExtraError, PenstockError, TransientError
from penstock.extract.database import address, catalog, counting
from penstock.extract.database.dialect import DatabaseColumn, Relation
from penstock.extract.database.oracle import catalog as oracle_catalog
from penstock.extract.database.oracle.sql import OracleDialect
from penstock.extract.database.oracle.types import Field, column, readable
from penstock.extract.database.reading import DatabaseSource
from penstock.extract.port import Request, SourceFigures, TableDescription
from penstock.model.specs import ConnectionSpec, SourceTable

if TYPE_CHECKING:
    import oracledb

CONNECT_SECONDS = 10
_PORT = 1521
SESSION = (
    "ALTER SESSION SET TIME_ZONE = '+00:00' NLS_COMP = BINARY NLS_SORT = BINARY NLS_CALENDAR = 'GREGORIAN'",
    "SET TRANSACTION READ ONLY",
)
_REFUSED = (
    "ORA-01017",
    "ORA-01045",
    "ORA-28000",
    "ORA-28001",
    "ORA-12514",
    "ORA-12505",
    "DPY-6001",
    "DPY-6003",
    "DPY-4001",
)
_DENIED = ("ORA-01031", "ORA-01039", "ORA-41900")
_TRANSIENT = (
    "DPY-6005", "DPY-4011", "DPY-1001", "DPY-4024", "DPY-6000", "ORA-01555", "ORA-03113", "ORA-03114", "ORA-03135",
    "ORA-01033", "ORA-01034", "ORA-01089", "ORA-00028", "ORA-12541", "ORA-12170", "ORA-12516", "ORA-12520", "ORA-00018",
    "ORA-00020", "ORA-01013", "ORA-03136", "ORA-08176", "ORA-01466",
)  # fmt: skip
_MISTAKEN = ("ORA-009", "ORA-017", "ORA-019", "ORA-00904", "ORA-00942", "ORA-00918", "ORA-06553", "DPY-2")


class OracleSource(DatabaseSource):
    """The source kind ``oracle``; options ``table`` (``OWNER.TABLE``) or ``query``."""

    def __init__(self) -> None:
        super().__init__(Oracle)


class Oracle(OracleDialect):
    """A connection to Oracle; see the port."""

    def __init__(self, request: Request) -> None:
        if request.connection is None:
            raise ConfigurationError(f"The source {request.source.table} names no Oracle connection")
        counting.refuse_more(request, "Oracle")
        self._request = request
        self._place = request.connection
        with self.translated():
            self._connection = _connect(self._place)
            for statement in SESSION:
                with self._connection.cursor() as cursor:
                    cursor.execute(statement)

    def relation(self) -> Relation:
        """Find the table or query; see the port."""
        table, query = catalog.asked(self._request)
        if table is None:
            sql, name, size, steady = f'({query}\n) "query"', "the query", None, False
        else:
            found = catalog.found(oracle_catalog.listed(self.ask), table, "Oracle")
            sql = f"{self.identifier(found.schema)}.{self.identifier(found.name)}"
            # A view, or a table of which nothing was gathered yet, may give other rows at each asking.
            name, size, steady = table, found.row_bytes, found.bytes is not None
        fields = self._fields(sql)
        left = [f"{field.name} ({field.kind.lower()})" for field in fields if not readable(field)]
        note = f"{', '.join(left)} of {name} is left out: read a query that turns it into text or bytes" if left else ""
        columns = tuple(column(field, self.identifier(field.name)) for field in fields if readable(field))
        return Relation(sql, name, columns, size, note, steady)

    def ask(self, sql: str) -> Sequence[Sequence[Any]]:
        """Run a query; see the port."""
        with self.translated(), self._connection.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())

    def now(self) -> datetime:
        """Return the server's clock, UTC."""
        ((text,),) = self.ask("SELECT TO_CHAR(SYS_EXTRACT_UTC(SYSTIMESTAMP), 'YYYY-MM-DD HH24:MI:SS.FF6') FROM dual")
        return datetime.fromisoformat(str(text)).replace(tzinfo=UTC)

    def stream(self, sql: str, batch_rows: int) -> Iterator[pa.RecordBatch]:
        """Yield the rows; see the port."""
        for frame in self._connection.fetch_df_batches(sql, size=batch_rows):
            yield from pa.table(frame).combine_chunks().to_batches()

    def figures(self, relation: Relation, columns: Sequence[DatabaseColumn], where: str) -> SourceFigures | None:
        """Return what the server counts in the transaction of the reading; see the port."""

        def count(name: str) -> str:
            return f"COUNT({'*' if name == '*' else self.identifier(name)})"

        found = counting.counted(self.ask, self._request, relation.sql + where, columns, count)
        return SourceFigures(found, snapshot=relation.steady)

    def tables(self) -> tuple[SourceTable, ...]:
        """Return the tables and views of the connection's schema; see the port."""
        return oracle_catalog.tables(self.ask)

    def describe(self) -> tuple[TableDescription, ...]:
        """Describe tables and views; see the port."""
        return oracle_catalog.describe(self.ask, self._request, self._fields)

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Raise the driver's errors as sentences."""
        try:
            yield
        except PenstockError:
            raise
        except Exception as error:
            if not type(error).__module__.startswith("oracledb") and not isinstance(error, OSError):
                raise
            raise explained(error, self._request) from None

    def close(self) -> None:
        """End the transaction and close the connection."""
        with suppress(Exception):
            self._connection.close()

    def _fields(self, relation: str) -> list[Field]:
        with self.translated(), self._connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {relation} WHERE 1 = 0")
            return [described(item) for item in cursor.description or ()]


def described(item: Any) -> Field:
    """Return a column of the driver's description of a result."""
    return Field(
        name=str(item.name),
        kind=str(item.type_code.name).removeprefix("DB_TYPE_"),
        precision=int(item.precision or 0),
        scale=0 if item.scale is None else int(item.scale),
        size=int(item.display_size or item.internal_size or 0),
    )


def arguments(place: ConnectionSpec) -> dict[str, Any]:
    """Return what the driver connects by, with its secret; never to be shown.

    Raises:
        ConfigurationError: The URL cannot be read or names no service.
    """
    at, options = address.server(place, _PORT, "oracle://user@host:1521/service"), place.options
    made: dict[str, Any] = {
        "host": at.host,
        "port": at.port,
        "service_name": at.database,
        "user": at.user,
        "password": place.secrets.get("password", ""),
        "tcp_connect_timeout": float(options.get("connect_timeout", CONNECT_SECONDS)),
        "retry_count": 0,
    }
    if options.get("ssl"):
        made |= {"protocol": "tcps", "ssl_context": ssl.create_default_context(cafile=options.get("ssl_ca"))}
    return made


def explained(error: Exception, request: Request) -> PenstockError:
    """Return the sentence for an error of the driver or the server."""
    place = request.connection
    where = f"Oracle {place.name}" if place is not None else "Oracle"
    what = str(request.source.options.get("table", "the query"))
    lines = (line for line in str(error).splitlines() if not line.startswith("Help:"))
    text = re.sub(r" \(CONNECTION_ID=[^)]*\)\.?", "", "; ".join(lines))
    secret = place.secrets.get("password") if place is not None else None
    text = (text.replace(secret, "…") if secret else text)[:200]
    full = str(error)
    if any(code in full for code in _REFUSED):
        return ConfigurationError(
            f"{where} refuses the user, the password or the service",
            value=text,
            remedy="Look at the connection's user and service and at the secret that holds its password",
        )
    if any(code in full for code in _DENIED):
        return ConfigurationError(f"{where} does not let this user read {what}: {text}")
    if "DPY-3010" in full or "DPY-3015" in full:
        return ConfigurationError(
            f"{where} is too old, or keeps passwords in a form too old, for the driver's thin mode: {text}",
            valid="Oracle 12.1 and later",
        )
    if any(code in full for code in _TRANSIENT) or isinstance(error, OSError):
        return TransientError(f"{where} is not available: {text}", remedy="See that it runs and can be reached")
    if any(code in full for code in _MISTAKEN):
        return ConfigurationError(f"{where} cannot read {what}: {text}")
    return DataError(f"{where} stopped while it read {what}: {text}", remedy="Run again; if it stays, see its log")


def _connect(place: ConnectionSpec) -> oracledb.Connection:
    target = arguments(place)
    try:
        import oracledb
    except ImportError:
        raise MissingExtraError("Reading Oracle", "oracle") from None
    seconds = float(target["tcp_connect_timeout"])
    connection = _within(seconds, lambda: oracledb.connect(**target), place)
    connection.call_timeout = int(float(place.options.get("statement_timeout", 0)) * 1000)
    return connection


def _within(seconds: float, connect: Callable[[], oracledb.Connection], place: ConnectionSpec) -> oracledb.Connection:
    """Connect, or raise TransientError when the time is over: the driver bounds no greeting."""
    found: Queue[oracledb.Connection | Exception] = Queue()
    late = Event()

    def connecting() -> None:
        try:
            connection = connect()
        except Exception as error:
            found.put(error)
            return
        found.put(connection)
        if late.is_set():
            connection.close()

    Thread(target=connecting, name="penstock-oracle", daemon=True).start()
    try:
        answer = found.get(timeout=seconds)
    except Empty:
        late.set()
        raise TransientError(
            f"Oracle {place.name} is not available: it did not answer within {seconds:g} seconds",
            remedy="See that it is Oracle that listens there; connect_timeout of the connection allows more time",
        ) from None
    if isinstance(answer, Exception):
        raise answer
    return answer
