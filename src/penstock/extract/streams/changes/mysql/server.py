"""What a server must have for its changes to be read: settings, rights, and tables that tell all of theirs."""

from __future__ import annotations

from collections.abc import Mapping

from penstock.errors import ConfigurationError
from penstock.extract.database.mysql.catalog import quoted
from penstock.extract.streams.changes.mysql.families import Ask, Family, family
from penstock.extract.streams.changes.mysql.places import file_number
from penstock.extract.streams.changes.mysql.shapes import Now
from penstock.model.specs import SourceSpec
from penstock.names import unknown
from penstock.queries.text import literal
from penstock.values import dataclass

_SETTINGS = ("log_bin", "binlog_format", "binlog_row_image", "binlog_row_metadata")
_SECONDS, _DAYS = "binlog_expire_logs_seconds", "expire_logs_days"
"""The first is of MariaDB 10.6 and MySQL 8.0, and newer."""
_WANTED = {"binlog_format": "ROW", "binlog_row_image": "FULL", "binlog_row_metadata": "FULL"}
_TABLES = """
SELECT table_schema, table_name, table_type, coalesce(engine, ''), coalesce(table_schema = DATABASE(), 0)
FROM information_schema.tables
WHERE table_schema NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys')
"""
_CASCADES = """
SELECT constraint_name FROM information_schema.referential_constraints
WHERE constraint_schema = {schema} AND table_name = {name}
  AND (delete_rule IN ('CASCADE', 'SET NULL') OR update_rule IN ('CASCADE', 'SET NULL'))
"""
_COLUMNS = """
SELECT column_name, lower(data_type), extra LIKE '%INVISIBLE%'
FROM information_schema.columns WHERE table_schema = {schema} AND table_name = {name}
"""
_AS_BYTES = ("uuid", "inet4", "inet6")
_DENIED = (1045, 1044, 1227)


@dataclass(frozen=True, slots=True)
class Server:
    """A server.

    Attributes:
        family: What it is.
        number: Its ``server_id``.
        files: The files of its binary log that are there, by number, the oldest first, and their bytes.
        file: The number of the file that is written to.
        offset: How far.
        keeps: Seconds after which it throws files away; 0: never.
    """

    family: Family
    number: int
    files: Mapping[int, tuple[str, int]]
    file: int
    offset: int
    keeps: int


@dataclass(frozen=True, slots=True)
class Followed:
    """A table whose changes are read, as the server spells it."""

    schema: str
    table: str

    @property
    def name(self) -> str:
        """Return it as ``database.table``."""
        return f"{self.schema}.{self.table}"

    @property
    def sql(self) -> str:
        """Return it quoted."""
        return f"{quoted(self.schema)}.{quoted(self.table)}"


def look(ask: Ask, connection: str, grantee: str) -> Server:
    """Return what is known of a server.

    Args:
        ask: Asks it.
        connection: The connection's name.
        grantee: The user, for the remedy.

    Raises:
        ConfigurationError: It tells no changes, or the user may not read them.
    """
    import pymysql

    ((version,),) = ask("SELECT VERSION()")
    kind = family(str(version))
    where = f"{kind.name} {connection}"
    settings = _settings(ask, kind)
    _verify(settings, where, kind)
    try:
        ((file, offset, do, ignored, *_),) = ask(kind.status)
        files = ask("SHOW BINARY LOGS")
    except pymysql.MySQLError as error:
        if error.args[0] in _DENIED:
            raise denied(kind, connection, grantee) from error
        raise
    if do or ignored:
        raise ConfigurationError(
            f"The binary log of {where} has the changes of some databases alone",
            value=f"binlog_do_db={do!r} binlog_ignore_db={ignored!r}",
            remedy="Take both out of the server's settings, and restart it",
        )
    ((number,),) = ask("SELECT @@server_id")
    keeps = float(settings.get(_SECONDS) or float(settings.get(_DAYS) or 0) * 86_400)
    there = {file_number(str(name)): (str(name), int(size)) for name, size, *_ in files}
    return Server(kind, int(number), there, file_number(str(file)), int(offset), int(keeps))


def denied(kind: Family, connection: str, grantee: str) -> ConfigurationError:
    """Return what is said to a user who may not read the log."""
    return ConfigurationError(
        f"{kind.name} {connection} does not let this user read its binary log",
        valid=f"{kind.rights}, and SELECT on the tables",
        remedy=f"GRANT {kind.rights} TO {grantee}",
    )


def _settings(ask: Ask, kind: Family) -> dict[str, str]:
    listed = ", ".join(literal(name) for name in (*_SETTINGS, *kind.wanted, _SECONDS, _DAYS))
    rows = ask(f"SHOW GLOBAL VARIABLES WHERE variable_name IN ({listed})")
    return {str(name).lower(): str(value).upper() for name, value in rows}


def _verify(found: Mapping[str, str], where: str, kind: Family) -> None:
    """See that the server tells its changes in full."""
    if found.get("log_bin") != "ON":
        raise ConfigurationError(
            f"{where} tells no changes: it writes no binary log",
            value="log_bin is OFF",
            remedy="Set log_bin, binlog_format=ROW and binlog_row_metadata=FULL in the server's settings, and restart",
        )
    if "binlog_row_metadata" not in found:
        raise ConfigurationError(
            f"{where} does not tell the columns of its changes",
            value=kind.version,
            valid="MariaDB 10.5, MySQL 8.0, or newer",
        )
    for name, wanted in {**_WANTED, **kind.wanted}.items():
        if found[name] != wanted:
            raise ConfigurationError(
                f"{where} does not tell its changes in full: its {name} is {found[name]!r}",
                valid=wanted or "empty",
                remedy=f"SET GLOBAL {name} = {literal(wanted)}, and in the server's settings; "
                "connections that are open keep what they had",
            )


def followed(ask: Ask, source: SourceSpec, kind: Family) -> Followed:
    """Return the table of a source.

    Raises:
        ConfigurationError: There is none, or its changes would not be told in full.
    """
    wanted, where = str(source.options["table"]), f"{kind.name} {source.connection}"
    rows = ask(_TABLES)
    for schema, name, type_, engine, here in rows:
        if wanted != f"{schema}.{name}" and not (here and wanted == name):
            continue
        _refuse(ask, Followed(str(schema), str(name)), (str(type_), str(engine)), kind, where)
        return Followed(str(schema), str(name))
    raise unknown("table", wanted, [row[1] if row[4] else f"{row[0]}.{row[1]}" for row in rows], where=where)


def _refuse(ask: Ask, table: Followed, made: tuple[str, str], kind: Family, where: str) -> None:
    """Refuse a table whose changes are not told in full; ``made``: its type and engine."""
    type_, engine = made
    if type_ == "VIEW":
        raise ConfigurationError(
            f"{table.name} of {where} is no table, and has no changes of its own",
            value=type_.lower(),
            remedy="Read it by sources.sql, or name the table that it is made of",
        )
    if type_ != "BASE TABLE":
        raise ConfigurationError(
            f"{table.name} of {where} keeps its own history, whose rows the binary log tells as rows of the table",
            value=type_.lower(),
            remedy="Read it by sources.sql",
        )
    if engine != "InnoDB":
        raise ConfigurationError(
            f"{table.name} of {where} has no snapshots, so its first reading would fit no place in the binary log",
            value=f"engine {engine}",
            valid="InnoDB",
            remedy=f"ALTER TABLE {table.name} ENGINE = InnoDB, or read it by sources.sql",
        )
    cascades = ask(_CASCADES.format(schema=literal(table.schema), name=literal(table.table)))
    if cascades and not kind.tells_cascades:
        raise ConfigurationError(
            f"{table.name} of {where} has foreign keys that change its rows with others, and the binary log of "
            f"{kind.name} does not tell such changes",
            value=[str(name) for (name,) in cascades],
            valid="RESTRICT or NO ACTION",
            remedy="Let the program that writes delete and update these rows itself, or read the table by sources.sql",
        )


def columns_now(ask: Ask, table: Followed, kind: Family) -> Now:
    """Return what only the server says of a table's columns."""
    rows = ask(_COLUMNS.format(schema=literal(table.schema), name=literal(table.table)))
    return Now(
        hidden=frozenset(str(name) for name, _, hidden in rows if hidden),
        declared={str(name): str(type_) for name, type_, _ in rows if type_ in _AS_BYTES},
        collated=kind.collated,
    )
