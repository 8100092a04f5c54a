"""What MariaDB and MySQL do each in their own way: settings, rights, where the log is, and how a reading begins."""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from typing import Any, ClassVar

from penstock.errors import ConfigurationError
from penstock.extract.streams.changes.mysql.gtids import DomainGtids, Gtids, SourceGtids
from penstock.extract.streams.changes.mysql.places import Mark
from penstock.extract.streams.changes.mysql.shapes import CHARACTERS, GEOMETRY, VECTOR
from penstock.extract.streams.changes.mysql.wire import BEAT, Wire
from penstock.queries.text import literal
from penstock.values import dataclass

Ask = Callable[[str], Sequence[Sequence[Any]]]
_DUMP, _DUMP_GTID = 0x12, 0x1E
_DENIED_TABLES = (1044, 1142)
_NO_SUCH_PLACE = 1220
_LOCK_SECONDS = 3
"""Seconds for which writers may stand behind a reading that waits for the end of a long transaction."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the binary log: file, offset there, and the transactions before it."""

    file: str
    offset: int
    gtid: str


class Family(ABC):
    """A family of servers.

    Attributes:
        name: What it is called.
        rights: What a user must be granted, beside SELECT on the tables.
        wanted: Settings that a server must have, beside those of every family.
        collations: Asks for the character sets of collations.
        collated: The types of columns of whose collations the log tells.
    """

    name: ClassVar[str]
    rights: ClassVar[str]
    wanted: ClassVar[Mapping[str, str]]
    collations: ClassVar[str]
    collated: ClassVar[tuple[int, ...]] = CHARACTERS

    def __init__(self, version: str) -> None:
        self.version = version

    @property
    @abstractmethod
    def status(self) -> str:
        """Return what asks for the end of the log."""

    @property
    @abstractmethod
    def tells_cascades(self) -> bool:
        """Say whether the log has the rows that foreign keys change with others."""

    @abstractmethod
    def gtids(self, text: str) -> Gtids:
        """Return transactions, as the server writes them."""

    def has(self, ask: Ask, gtid: str) -> bool:  # noqa: ARG002 - who is asked for events may find out itself
        """Say whether the server has some transactions, as far as it does not say so when it is asked to go on."""
        return True

    @abstractmethod
    def same_log(self, ask: Ask, known: Mark, file: str, offset: int) -> bool:
        """Say whether the log at a place is the one of which ``known`` was read."""

    @abstractmethod
    def start(self, wire: Wire, gtid: str) -> None:
        """Begin to receive what comes after some transactions."""

    @abstractmethod
    def snapshot(self, ask: Ask, opened: Callable[[], Any], reading: Any, tables: Sequence[str]) -> Place:
        """Begin a transaction that sees all of some tables that is before a place, and nothing behind it.

        Args:
            ask: Asks the server.
            opened: Opens another connection.
            reading: The connection of the transaction.
            tables: The tables, quoted.

        Raises:
            ConfigurationError: The user may not.
        """


class MariaDb(Family):
    """MariaDB, which tells of a snapshot where it stands in the log."""

    name = "MariaDB"
    rights = "REPLICATION SLAVE, BINLOG MONITOR ON *.*"
    wanted: ClassVar[Mapping[str, str]] = {}
    collations = "SELECT id, character_set_name FROM information_schema.collation_character_set_applicability"
    status = "SHOW MASTER STATUS"
    tells_cascades = False
    collated = (*CHARACTERS, GEOMETRY)

    def gtids(self, text: str) -> DomainGtids:
        """See ``Family``."""
        return DomainGtids(text)

    def same_log(self, ask: Ask, known: Mark, file: str, offset: int) -> bool:
        """See ``Family``."""
        ((told,),) = ask(f"SELECT BINLOG_GTID_POS({literal(file)}, {offset})")
        return told is not None and DomainGtids(known.gtid).agree(DomainGtids(str(told)))

    def start(self, wire: Wire, gtid: str) -> None:
        """See ``Family``."""
        wire.say(
            "SET @mariadb_slave_capability = 4",
            "SET @master_binlog_checksum = 'CRC32'",
            f"SET @master_heartbeat_period = {BEAT}",
            f"SET @slave_connect_state = {literal(gtid)}",
            "SET @slave_gtid_strict_mode = 0",
        )
        wire.command(_DUMP, struct.pack("<IHI", 4, 0, wire.replica))

    def snapshot(self, ask: Ask, opened: Callable[[], Any], reading: Any, tables: Sequence[str]) -> Place:  # noqa: ARG002
        """See ``Family``."""
        with reading.cursor() as cursor:
            cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
            cursor.execute("SHOW STATUS LIKE 'binlog_snapshot_%'")
            told = {str(name).lower(): str(value) for name, value in cursor.fetchall()}
        file, offset = told["binlog_snapshot_file"], int(told["binlog_snapshot_position"])
        ((gtid,),) = ask(f"SELECT BINLOG_GTID_POS({literal(file)}, {offset})")
        return Place(file, offset, str(gtid or ""))


class MySql(Family):
    """MySQL, which tells where the log stands but not where a snapshot does: the tables are locked for that moment."""

    name = "MySQL"
    rights = "REPLICATION SLAVE, REPLICATION CLIENT ON *.*"
    wanted: ClassVar[Mapping[str, str]] = {"gtid_mode": "ON", "binlog_row_value_options": ""}
    collations = "SELECT id, character_set_name FROM information_schema.collations"
    collated = (*CHARACTERS, VECTOR)

    @property
    def status(self) -> str:
        """See ``Family``."""
        return "SHOW BINARY LOG STATUS" if self._number >= (8, 2) else "SHOW MASTER STATUS"

    @property
    def tells_cascades(self) -> bool:
        """See ``Family``: since 9.6 the server, no longer InnoDB, carries them out."""
        return self._number >= (9, 6)

    def gtids(self, text: str) -> SourceGtids:
        """See ``Family``."""
        return SourceGtids(text)

    def has(self, ask: Ask, gtid: str) -> bool:
        """See ``Family``."""
        ((has,),) = ask(f"SELECT GTID_SUBSET({literal(gtid)}, @@GLOBAL.gtid_executed)")
        return bool(has)

    def same_log(self, ask: Ask, known: Mark, file: str, offset: int) -> bool:
        """See ``Family``."""
        import pymysql

        if not self.has(ask, known.gtid):
            return False
        try:
            ask(f"SHOW BINLOG EVENTS IN {literal(file)} FROM {offset} LIMIT 1")
        except pymysql.MySQLError as error:
            if error.args[0] == _NO_SUCH_PLACE:
                return False
            raise
        return True

    def start(self, wire: Wire, gtid: str) -> None:
        """See ``Family``."""
        wire.say(
            "SET @master_binlog_checksum = 'CRC32', @source_binlog_checksum = 'CRC32'",
            f"SET @master_heartbeat_period = {BEAT}, @source_heartbeat_period = {BEAT}",
        )
        known = SourceGtids(gtid).encoded()
        wire.command(_DUMP_GTID, struct.pack("<HIIQI", 0, wire.replica, 0, 4, len(known)) + known)

    def snapshot(self, ask: Ask, opened: Callable[[], Any], reading: Any, tables: Sequence[str]) -> Place:
        """See ``Family``: a lock for reading waits until all who changed the tables have committed."""
        import pymysql

        with closing(opened()) as locking, locking.cursor() as cursor:
            cursor.execute(f"SET SESSION lock_wait_timeout = {_LOCK_SECONDS}")
            try:
                cursor.execute("LOCK TABLES " + ", ".join(f"{table} READ" for table in tables))
            except pymysql.MySQLError as error:
                if error.args[0] not in _DENIED_TABLES:
                    raise
                raise ConfigurationError(
                    "The tables cannot be locked for the moment in which their first reading begins",
                    value=str(error.args[1]),
                    valid="SELECT and LOCK TABLES on the tables' databases",
                    remedy="GRANT SELECT, LOCK TABLES ON database.* TO the connection's user",
                ) from error
            try:
                ((file, offset, _, _, gtid),) = ask(self.status)
                with reading.cursor() as beginning:
                    beginning.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
            finally:
                with suppress(pymysql.MySQLError):
                    cursor.execute("UNLOCK TABLES")
        return Place(str(file), int(offset), str(SourceGtids(str(gtid))))

    @property
    def _number(self) -> tuple[int, ...]:
        return tuple(int(part) for part in self.version.split("-")[0].split(".")[:2])


def family(version: str) -> Family:
    """Return the family of a server, by its version."""
    return (MariaDb if "mariadb" in version.lower() else MySql)(version)
