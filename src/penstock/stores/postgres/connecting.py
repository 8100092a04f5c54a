"""Reaching the server: address and settings, and errors as sentences without secrets and without values of rows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from penstock.errors import ConfigurationError, DataError, MissingExtraError, PenstockError, TransientError
from penstock.model.production import PostgresSpec
from penstock.queries.text import identifier

if TYPE_CHECKING:
    import psycopg

CONNECT_SECONDS = 10
_OPTIONS: dict[str, Any] = {
    "client_encoding": "UTF8",
    "application_name": "penstock release",
    # While the lake works, nothing passes: what lies between must not take the session for dead.
    "keepalives_idle": 30,
    "keepalives_interval": 10,
}
_SETTINGS = (
    "SET timezone = 'UTC'",
    "SET datestyle = 'ISO, YMD'",
    "SET intervalstyle = 'postgres'",
    "SET standard_conforming_strings = on",
    # A function or a setting of the database must not lead names elsewhere.
    "SET search_path = pg_catalog",
    # What a release's pointer names must outlive a crash of the server; stricter settings stay.
    "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'",
    # Limits that the database sets for its users would end a large load, or the session that holds production.
    "SELECT set_config(name, '0', false) FROM pg_settings WHERE name IN ('statement_timeout', 'lock_timeout', "
    "'transaction_timeout', 'idle_session_timeout', 'idle_in_transaction_session_timeout')",
)
_WAITING = ("08", "40", "53", "55", "57", "58")
"""Classes of SQLSTATE that pass by themselves."""
_REFUSED = ("authentication failed", "no password supplied", "no pg_hba.conf entry", "does not exist")
_REACH = "See that the server runs and that the address leads to it; then run the same command again"


def connect(spec: PostgresSpec) -> psycopg.Connection[Any]:
    """Open a connection in autocommit mode.

    Raises:
        TransientError: The server cannot be reached for now.
        ConfigurationError: It refuses user, password or database, or the URL cannot be read.
        MissingExtraError: The driver is not installed.
    """
    try:
        import psycopg
        from psycopg import conninfo
    except ImportError:
        raise MissingExtraError("A production warehouse in PostgreSQL", "postgres") from None
    given = spec.connection
    url = re.sub(r"^postgres(?:ql)?(?:\+\w+)?://", "postgresql://", given.url)
    extra: dict[str, Any] = {key: value for key, value in given.secrets.items() if key == "password"}
    if given.options.get("user"):
        extra["user"] = given.options["user"]
    extra["connect_timeout"] = given.options.get("connect_timeout", CONNECT_SECONDS)
    try:
        address = str(conninfo.make_conninfo(url, **extra, **_OPTIONS))
    except Exception:
        # The driver's own message would repeat the URL with its password.
        raise ConfigurationError(
            f"The URL of the production warehouse {spec.shown} is not valid",
            valid="postgresql://user@host:5432/database, special characters in it percent-encoded",
        ) from None
    with explained(spec):
        # Messages of several statements cannot be prepared, which the driver would do with what it sees often.
        connection = psycopg.connect(address, autocommit=True, prepare_threshold=None)
        for setting in _SETTINGS:
            connection.execute(setting.encode())
    return connection


def make_schemas(connection: psycopg.Connection[Any], spec: PostgresSpec) -> None:
    """Make the schemas of readers and of versions, where they are not there."""
    from psycopg import errors

    for schema in (spec.schema, spec.versions):
        there = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (schema,)).fetchone()
        # Even where it is there, IF NOT EXISTS asks for the right to make one.
        if there is None:
            # A promotion and a stream may make it at once.
            with suppress(errors.DuplicateSchema, errors.UniqueViolation):
                connection.execute(f"CREATE SCHEMA {identifier(schema)}".encode())


@contextmanager
def explained(spec: PostgresSpec) -> Iterator[None]:
    """Raise the driver's errors as sentences."""
    import psycopg

    try:
        yield
    except psycopg.Error as error:
        raise explain(error, spec) from None


def explain(error: psycopg.Error, spec: PostgresSpec) -> PenstockError:
    """Return the sentence for an error, classed by SQLSTATE where there is one."""
    where, state, text = spec.shown, error.sqlstate or "", first_line(error)
    lower = text.lower()
    if state.startswith("28") or (not state and any(words in lower for words in _REFUSED)):
        return ConfigurationError(
            f"The server refuses the production warehouse ({where}): {text}",
            remedy="Look at its user, password and database in penstock.toml",
        )
    if state == "42501":
        return ConfigurationError(
            f"The server does not let this user write the production warehouse ({where}): {text}",
            remedy=f"Let the user own or create the schemas {spec.schema} and {spec.versions}, and own the views",
        )
    if state == "3D000":
        return ConfigurationError(f"The database of the production warehouse ({where}) does not exist")
    if state == "53100" or "could not extend file" in lower or "could not write" in lower:
        return TransientError(
            f"The disk of the server of the production warehouse ({where}) is full: {text}",
            remedy="Free some space there, then run the same command again",
        )
    if not state or state.startswith(_WAITING):
        return TransientError(f"The production warehouse ({where}) is not available: {text}", remedy=_REACH)
    if state.startswith("22"):
        # Such a message repeats the value.
        return DataError(f"The production warehouse ({where}) cannot hold a value (SQLSTATE {state})")
    return DataError(f"The production warehouse ({where}) refused a statement: {text}")


def first_line(error: psycopg.Error) -> str:
    """Return the server's own words, else the first line of the driver's."""
    primary = error.diag.message_primary if error.sqlstate else None
    line = primary or next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return " ".join(line.split())[:200]
