"""Reaching a PostgreSQL server: addresses with secrets, a read-only snapshot, errors as sentences without secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from penstock.errors import ConfigurationError, DataError, MissingExtraError, PenstockError, TransientError
from penstock.extract.port import Request
from penstock.model.specs import ConnectionSpec
from penstock.queries.text import literal

if TYPE_CHECKING:
    import psycopg

CONNECT_SECONDS = 10
_REACH = "See that it runs and that the connection's host and port lead to it, then run again"
BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
SETTINGS = (
    "SET timezone = 'UTC'",
    "SET datestyle = 'ISO, YMD'",
    "SET intervalstyle = 'iso_8601'",
    "SET extra_float_digits = 1",
    "SET bytea_output = 'hex'",
    "SET standard_conforming_strings = on",
    "SET jit = off",
)
"""What makes the text of a value the same on every server."""
_SECRETS = ("password", "user", "sslkey", "sslpassword", "passfile")
_TRANSIENT_CLASSES = ("08", "40", "53", "55", "57", "58")
_TRANSIENT_WORDS = (
    "connection refused",
    "timeout",
    "timed out",
    "could not translate host name",
    "no route to host",
    "network is unreachable",
    "starting up",
    "shutting down",
    "too many",
    "closed the connection",
    "terminating connection",
    "connection reset",
    "connection not open",
    "ssl connection has been closed",
    "could not receive data",
    "canceling statement",
    "conflict with recovery",
    "remaining connection slots",
)
_MALFORMED_WORDS = (
    "invalid integer value",
    "invalid connection option",
    "invalid uri",
    "invalid port",
    "invalid sslmode",
)
_REFUSED_WORDS = ("authentication failed", "no password supplied", "no pg_hba.conf entry", "does not exist")


def address(request: Request) -> str:
    """Return the connection string with secrets, for libpq alone; never to be shown.

    Raises:
        ConfigurationError: If the source has no connection or the URL cannot be read.
        MissingExtraError: If the drivers are not installed.
    """
    connection = request.connection
    if connection is None:
        raise ConfigurationError(f"The source {request.source.table} names no PostgreSQL connection")
    conninfo = _drivers()
    url = re.sub(r"^postgres(?:ql)?(?:\+\w+)?://", "postgresql://", connection.url)
    extra: dict[str, Any] = {name: connection.secrets[name] for name in _SECRETS if connection.secrets.get(name)}
    if connection.options.get("user"):
        extra["user"] = connection.options["user"]
    seconds = connection.options.get("connect_timeout", CONNECT_SECONDS)
    try:
        return str(conninfo.make_conninfo(url, **extra, connect_timeout=seconds, client_encoding="UTF8"))
    except Exception:
        # The driver's own message would repeat the URL with its password.
        raise _no_url(connection) from None


def _no_url(connection: ConnectionSpec) -> ConfigurationError:
    return ConfigurationError(
        f"The URL of the connection {connection.name!r} is not valid",
        valid="postgresql://user@host:5432/database, special characters in it percent-encoded",
    )


def shown(connection: ConnectionSpec) -> str:
    """Return where a connection leads, without user and password."""
    try:
        parts = urlsplit(connection.url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return connection.name
    return f"{connection.name} ({parts.hostname or 'local socket'}{port}{parts.path})"


@contextmanager
def snapshot(request: Request) -> Iterator[psycopg.Connection[Any]]:
    """Open a connection with a read-only transaction that sees one moment; closed at the end.

    Raises:
        TransientError: The server cannot be reached for now.
        ConfigurationError: User, password or database are refused.
    """
    target = address(request)
    import psycopg

    with translated(request):
        connection = psycopg.connect(target, autocommit=True)
        try:
            for setting in SETTINGS:
                connection.execute(setting.encode())
            limit = request.connection.options.get("statement_timeout") if request.connection is not None else None
            if limit is not None:
                connection.execute(f"SET statement_timeout = {int(float(limit) * 1000)}".encode())
            connection.execute(BEGIN)
            if request.snapshot:
                connection.execute(f"SET TRANSACTION SNAPSHOT {literal(request.snapshot)}".encode())
            yield connection
        finally:
            connection.close()


@contextmanager
def translated(request: Request) -> Iterator[None]:
    """Raise the drivers' errors as sentences."""
    try:
        yield
    except PenstockError:
        raise
    except Exception as error:
        if not (type(error).__module__.startswith(("psycopg", "adbc", "pyarrow")) or isinstance(error, OSError)):
            raise
        raise explain(error, request) from error


def explain(error: Exception, request: Request) -> PenstockError:
    """Return the sentence for an error of psycopg, ADBC or libpq, classed by SQLSTATE where there is one."""
    where = shown(request.connection) if request.connection is not None else "PostgreSQL"
    state = getattr(error, "sqlstate", None) or ""
    text = _first_sentence(str(error))
    lower = str(error).lower()
    if not state and request.connection is not None and any(words in lower for words in _MALFORMED_WORDS):
        return _no_url(request.connection)
    if state.startswith("28") or (not state and any(words in lower for words in _REFUSED_WORDS)):
        if "authentication" in lower or "password" in lower:
            return ConfigurationError(
                f"PostgreSQL {where} refuses the user or the password",
                remedy="Look at the connection's user and at the secret that holds its password",
            )
        return ConfigurationError(f"PostgreSQL {where} refuses the connection: {text}")
    if state == "42501":
        return ConfigurationError(f"PostgreSQL {where} does not let this user read {_named(request)}: {text}")
    if state.startswith("42") or state in ("3D000", "3F000", "0A000", "25006") or "read-only transaction" in lower:
        return ConfigurationError(f"PostgreSQL {where} cannot read {_named(request)}: {text}")
    if state.startswith(_TRANSIENT_CLASSES) or (not state and any(words in lower for words in _TRANSIENT_WORDS)):
        return TransientError(f"PostgreSQL {where} is not available: {text}", remedy=_REACH)
    if not state and _is_connecting(error):
        return TransientError(f"PostgreSQL {where} cannot be reached: {text}", remedy=_REACH)
    return DataError(f"PostgreSQL {where} stopped while it read {_named(request)}: {text}")


def _is_connecting(error: Exception) -> bool:
    if "ERROR:" in str(error):
        return False
    return type(error).__name__ in ("OperationalError", "ConnectionTimeout") or isinstance(error, OSError)


def _named(request: Request) -> str:
    return str(request.source.options.get("table", "the query"))


def _first_sentence(text: str) -> str:
    """Return the server's own line of a message, without the statement that the driver appends."""
    found = re.search(r"(?:ERROR|FATAL|PANIC):\s*(.+)", text)
    line = found[1] if found else (text.strip().splitlines() or ["no message"])[0]
    return line.split(" Query was:")[0].strip()[:200]


def _drivers() -> Any:
    try:
        import adbc_driver_manager  # noqa: F401
        import adbc_driver_postgresql  # noqa: F401
        from psycopg import conninfo
    except ImportError:
        raise MissingExtraError("Reading PostgreSQL", "postgres") from None
    return conninfo
