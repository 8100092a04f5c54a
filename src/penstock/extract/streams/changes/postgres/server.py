"""What a PostgreSQL server must have for its changes to be read: settings, a publication, a replication slot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from penstock.errors import ConfigurationError
from penstock.extract.database.postgres.connection import address, shown, translated
from penstock.extract.port import Request
from penstock.extract.streams.changes.postgres import wire
from penstock.model.specs import SourceSpec, WriteMode
from penstock.names import unknown
from penstock.queries.text import identifier
from penstock.values import dataclass

_TABLES = """
SELECT n.nspname, c.relname, c.relkind::text, c.relreplident::text, pg_table_is_visible(c.oid),
       ARRAY(SELECT a.attname::text FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey) k(number)
             JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
             WHERE i.indrelid = c.oid AND CASE c.relreplident WHEN 'i' THEN i.indisreplident ELSE i.indisprimary END),
       ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0
             AND NOT a.attisdropped AND a.attstorage IN ('x', 'e') AND a.atttypid <> 'numeric'::regtype),
       ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0
             AND NOT a.attisdropped AND a.attgenerated <> '')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND n.nspname NOT LIKE 'pg\\_t%'
"""
_SLOT = """
SELECT slot_type, plugin, database, active, confirmed_flush_lsn::text, coalesce(wal_status, ''),
       pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END,
                       restart_lsn)::int8
FROM pg_replication_slots WHERE slot_name = %s
"""
_ALL = {"i": "INSERT", "u": "UPDATE", "d": "DELETE", "t": "TRUNCATE"}
_TRIES = 5
_COLUMN_LISTS = 150000
"""The first version whose publications may leave out columns and rows."""


@dataclass(frozen=True, slots=True)
class Published:
    """A table as its changes are published.

    Attributes:
        name: ``schema.name``.
        columns: The columns that are published; None: all.
        left_out: Those that a reading has and changes have not.
        long: Columns whose values an update may leave untold.
        identity: See ``Relation.identity``.
    """

    name: str
    left_out: frozenset[str]
    long: tuple[str, ...]
    identity: str


@dataclass(frozen=True, slots=True)
class Slot:
    """A replication slot.

    Attributes:
        confirmed: The position up to which it was told that changes are safe.
        lost: Why nothing can be read from it any more; empty: it can.
        kept: Bytes of the log that the server keeps for it.
    """

    confirmed: int
    lost: str = ""
    kept: int | None = None


@contextmanager
def asking(request: Request) -> Iterator[Any]:
    """Open an ordinary connection, each statement a transaction of its own."""
    target = address(request)
    import psycopg

    with translated(request), psycopg.connect(target, autocommit=True) as connection:
        yield connection


def prepare(request: Request, sources: Sequence[SourceSpec], publication: str, *, own: bool) -> dict[str, Published]:
    """Return the tables by the names of their sources; their changes are published when it is done.

    Args:
        request: The connection.
        sources: The tables.
        publication: Its name.
        own: It is made, and given the tables that it lacks; else it must be there, and have them.

    Raises:
        ConfigurationError: Something is not as it must be; says what would mend it.
    """
    where = _where(request)
    with asking(request) as connection:
        level = connection.execute("SHOW wal_level").fetchone()[0]
        if level != "logical":
            raise ConfigurationError(
                f"PostgreSQL {where} tells no changes: its wal_level is {level!r}",
                valid="logical",
                remedy="ALTER SYSTEM SET wal_level = 'logical', and restart the server",
            )
        found = {source.table: _table(connection, source, where) for source in sources}
        wanted = [each.name for each in found.values()]
        _publish_once(connection, publication, wanted, where, own=own)
        columns = _published_columns(connection, publication, wanted, where)
    return {
        table: Published(each.name, each.left_out | columns.get(each.name, frozenset()), each.long, each.identity)
        for table, each in found.items()
    }


def slot(request: Request, name: str) -> Slot | None:
    """Return a slot; None if there is none.

    Raises:
        ConfigurationError: It is of another kind, or of another database.
    """
    with asking(request) as connection:
        row = connection.execute(_SLOT, (name,)).fetchone()
        database = connection.info.dbname
    if row is None:
        return None
    kind, plugin, of, _, confirmed, status, kept = row
    if kind != "logical" or plugin != "pgoutput" or of != database:
        raise ConfigurationError(
            f"The replication slot {name!r} of PostgreSQL {_where(request)} is none that Penstock made",
            value=f"{kind}, {plugin or 'no plugin'}, database {of or 'none'}",
            remedy="Name another slot: slot=…",
        )
    lost = "the server has thrown away the log that it stood for" if status == "lost" or confirmed is None else ""
    return Slot(wire.parsed(confirmed) if confirmed else 0, lost, kept)


def slots(request: Request) -> list[tuple[str, int]]:
    """Return the lasting slots of the database that are called as Penstock calls them, with what is kept for each."""
    with asking(request) as connection:
        rows = connection.execute(
            "SELECT slot_name, coalesce(pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() "
            "ELSE pg_current_wal_lsn() END, restart_lsn), 0)::int8 FROM pg_replication_slots WHERE NOT temporary "
            "AND database = current_database() AND slot_name LIKE 'penstock\\_%%' ORDER BY 1"
        )
        return [(name, kept) for name, kept in rows]


def drop(request: Request, name: str, publication: str | None) -> tuple[str, ...]:
    """Drop a slot and, where it is named, a publication; returns a sentence for each."""
    done = []
    with asking(request) as connection:
        if connection.execute("SELECT 1 FROM pg_replication_slots WHERE slot_name = %s", (name,)).fetchone():
            connection.execute("SELECT pg_drop_replication_slot(%s)", (name,))
            done.append(f"The replication slot {name!r} was dropped")
        there = "SELECT 1 FROM pg_publication WHERE pubname = %s"
        if publication is not None and connection.execute(there, (publication,)).fetchone():
            connection.execute(f"DROP PUBLICATION {identifier(publication)}".encode())
            done.append(f"The publication {publication!r} was dropped")
    return tuple(done)


def _where(request: Request) -> str:
    return shown(request.connection) if request.connection is not None else ""


@dataclass(frozen=True, slots=True)
class _Found:
    name: str
    left_out: frozenset[str]
    long: tuple[str, ...]
    identity: str


def _table(connection: Any, source: SourceSpec, where: str) -> _Found:
    wanted = str(source.options["table"])
    rows = connection.execute(_TABLES).fetchall()
    for schema, name, kind, identity, visible, key, long, generated in rows:
        if wanted != f"{schema}.{name}" and not (visible and wanted == name):
            continue
        if kind not in ("r", "p"):
            raise ConfigurationError(
                f"{wanted} of PostgreSQL {where} is no table, and has no changes of its own",
                remedy="Read it by sources.sql, or name the table that it is made of",
            )
        _refuse_unidentified(source, f"{schema}.{name}", identity, key)
        return _Found(f"{schema}.{name}", frozenset(generated), tuple(long), identity)
    raise unknown("table", wanted, [row[1] if row[4] else f"{row[0]}.{row[1]}" for row in rows], where="PostgreSQL")


def _refuse_unidentified(source: SourceSpec, table: str, identity: str, key: Sequence[str]) -> None:
    """Refuse a table whose changes would not say which row they are of."""
    if identity == "f":
        return
    if not key or identity == "n":
        raise ConfigurationError(
            f"{table} does not say which row an update or a delete is of: it has no primary key",
            remedy=f"ALTER TABLE {table} REPLICA IDENTITY FULL, or give it a primary key",
        )
    missing = [column for column in source.key if column not in key]
    if missing and source.write is not WriteMode.APPEND:
        raise ConfigurationError(
            f"The key of {source.table!r} has columns that a delete of {table} does not tell",
            value=missing,
            valid=list(key),
            remedy=f"Take its primary key, or ALTER TABLE {table} REPLICA IDENTITY FULL",
        )


def _publish_once(connection: Any, publication: str, tables: Sequence[str], where: str, *, own: bool) -> None:
    """Publish tables, also where another reading is about to publish the same ones."""
    import psycopg

    # That is an internal error to the server, where both change one publication at the same moment.
    met = (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation, psycopg.errors.InternalError_)
    for _ in range(_TRIES):
        with suppress(*met):
            return _publish(connection, publication, tables, where, own=own)
    return _publish(connection, publication, tables, where, own=own)


def _publish(connection: Any, publication: str, tables: Sequence[str], where: str, *, own: bool) -> None:
    import psycopg

    row = connection.execute(
        "SELECT pubinsert, pubupdate, pubdelete, pubtruncate FROM pg_publication WHERE pubname = %s", (publication,)
    ).fetchone()
    there = _members(connection, publication)
    missing = [table for table in tables if table not in there]
    listed = ", ".join(_quoted(table) for table in (missing if row else tables))
    made = (
        f"ALTER PUBLICATION {identifier(publication)} ADD TABLE {listed}"
        if row
        else f"CREATE PUBLICATION {identifier(publication)} FOR TABLE {listed} WITH (publish_via_partition_root = true)"
    )
    if row and not all(row):
        raise ConfigurationError(
            f"The publication {publication!r} of PostgreSQL {where} does not tell all changes",
            value=[word for word, is_ in zip(_ALL.values(), row, strict=True) if not is_],
            remedy=f"ALTER PUBLICATION {identifier(publication)} SET (publish = 'insert, update, delete, truncate')",
        )
    if not missing:
        return
    if not own:
        what = f"has no table {', '.join(missing)}" if row else "is not there"
        raise ConfigurationError(f"The publication {publication!r} of PostgreSQL {where} {what}", remedy=made)
    try:
        connection.execute(made.encode())
    except psycopg.errors.InsufficientPrivilege as error:
        raise ConfigurationError(
            f"PostgreSQL {where} does not let this user publish: {str(error).splitlines()[0]}",
            remedy=f"As the owner of the tables: {made}; and publication={publication!r}",
        ) from error


def _members(connection: Any, publication: str) -> set[str]:
    rows = connection.execute(
        "SELECT schemaname || '.' || tablename FROM pg_publication_tables WHERE pubname = %s", (publication,)
    )
    return {name for (name,) in rows}


def _published_columns(
    connection: Any, publication: str, tables: Sequence[str], where: str
) -> dict[str, frozenset[str]]:
    """Return for each table the columns that are not published."""
    if connection.info.server_version < _COLUMN_LISTS:
        return {}
    rows = connection.execute(
        "SELECT schemaname || '.' || tablename, attnames::text[], rowfilter, ARRAY(SELECT a.attname::text "
        "FROM pg_attribute a WHERE a.attrelid = format('%%I.%%I', schemaname, tablename)::regclass AND a.attnum > 0 "
        "AND NOT a.attisdropped) FROM pg_publication_tables WHERE pubname = %s",
        (publication,),
    ).fetchall()
    found = {}
    for table, published, filtered, columns in rows:
        if table not in tables:
            continue
        if filtered:
            raise ConfigurationError(
                f"The publication {publication!r} of PostgreSQL {where} leaves out rows of {table}, which a first "
                "reading of the table would have",
                value=filtered,
                remedy="Publish all its rows; leave rows out by a check or a transform",
            )
        found[table] = frozenset(columns) - frozenset(published or columns)
    return found


def _quoted(table: str) -> str:
    schema, _, name = table.partition(".")
    return f"{identifier(schema)}.{identifier(name)}"
