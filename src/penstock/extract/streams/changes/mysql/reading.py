"""One reading of the changes of some tables of a server, as a replica reads its binary log, by transaction ids (GTID).

The tables of which nothing has landed are read within one transaction, of whose snapshot the place in the log is known
(see ``families``): what is committed behind it comes as changes. The server keeps nothing for the reading; where it
goes on stands in the loads alone. A server that took over finds the same transactions by their ids.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pyarrow as pa

from penstock.errors import PenstockError, TransientError
from penstock.extract.database.mysql.source import MySql, connect, translated
from penstock.extract.database.reading import DatabaseSource
from penstock.extract.port import Extraction, Request
from penstock.extract.streams.changes.holding import Spool
from penstock.extract.streams.changes.mysql import server
from penstock.extract.streams.changes.mysql.charsets import Charsets
from penstock.extract.streams.changes.mysql.decoding import Begun, Decoder
from penstock.extract.streams.changes.mysql.following import Follower
from penstock.extract.streams.changes.mysql.gtids import Gtids
from penstock.extract.streams.changes.mysql.places import Mark, apart, counted, file_number, marks
from penstock.extract.streams.changes.mysql.server import Followed
from penstock.extract.streams.changes.mysql.shapes import Shape, described, named
from penstock.extract.streams.changes.mysql.wire import Wire
from penstock.extract.streams.changes.naming import reading_name
from penstock.extract.streams.changes.port import CaptureOpening, Taken
from penstock.extract.streams.changes.whole import Moment, Whole
from penstock.extract.streams.gaps import declared
from penstock.model.capture import reached
from penstock.model.codec import plain
from penstock.model.streams import GAPS, OFFSETS, Gap

_PIECE = 8 * 2**20
"""Bytes of events that are decoded together."""
_NO_PLACE = 1236
"""The error of a server that cannot go on from where it is asked to."""
_PATIENCE = 60.0
"""Seconds that a server may look for the place where a reading goes on."""
_NEVER = 2**63 - 1
_LACKING = "the server that took over has not got all of what was read from the one before"
_RECORD = "To read the tables whole again, with a record of the gap in the load: stream={'on_gap': 'record'}"


class BinlogCapture:
    """See ``Capture``."""

    def __init__(self, opening: CaptureOpening) -> None:
        self._opening = opening
        self._request = Request(
            source=opening.sources[0],
            connection=opening.connection,
            root=opening.root,
            batch_bytes=opening.batch_bytes,
            engine=opening.engine,
        )
        self._sources = {source.table: source for source in opening.sources}
        self._asking: Any = None
        self._reading: Any = None
        self._snapshot: tuple[int, Mark] | None = None
        self._wire: Wire | None = None
        self._gaps: dict[str, Gap] = {}
        self._since: dict[str, int] = {}
        self._ahead: dict[str, Gtids] = {}
        self._marks = dict(marks(opening.positions))
        try:
            self._look()
        except BaseException:
            self.close()
            raise

    @property
    def unread(self) -> Sequence[str]:
        """See ``Capture``."""
        broken = self._follower.broken
        return [
            table for table in self._sources if table not in self._since or self._tables[table].name.lower() in broken
        ]

    def whole(self, table: str) -> Extraction:
        """See ``Capture``."""
        followed = self._tables[table]
        why = self._follower.broken.get(followed.name.lower())
        if why is not None:
            self._since.pop(table, None)
            self._declare(table, self._follower.reached, f"{followed.name} cannot be followed any further: {why}")
        with translated(self._request):
            at, stand = self._snapshotted()
            source = self._sources[table]
            options = {"table": followed.name}
            bare = replace(source, kind="sql", options=options, cursor=None, stream=None, deletes=None, horizon=False)
            within = DatabaseSource(lambda request: MySql(request, self._reading))
            read = within.open(replace(self._request, source=bare))
        self._since[table] = at
        if all(self._tables[other] != followed or other in self._since for other in self._sources):
            self._follower.broken.pop(followed.name.lower(), None)
        gap = self._gaps.pop(table, None)
        told = {GAPS: [plain(gap)]} if gap is not None else {}
        position = {OFFSETS: {followed.name: {self._name: at}}, **stand.told(), **told}
        return Whole(read, Moment(table=followed.name, at=at, moment=stand.moment, position=position, gap=gap))

    def begin(self) -> None:
        """See ``Capture``."""
        self._leave_snapshot()
        if self._wire is None:
            first = min(self._since.values())
            newest = max(each.moment for each in self._marks.values())
            self._follow_from(first, replace(self._marks[first], moment=newest))
            gone = self._start(self._marks[first].gtid)
            if gone:
                raise TransientError(f"{self._opening.connection.name} was read, but {gone}")

    def take(self, into: Taken, most: int, wait: float) -> bool:
        """See ``Capture``."""
        follower = self._follower
        if follower.broken:
            return False
        self._leave_snapshot()
        frames, heard = follower.held, None
        follower.held = []
        if not frames:
            found = self._received(min(most, _PIECE), wait)
            frames, heard = found.data, found.heard
        before = follower.waiting
        into.count += follower.follow(frames)
        into.bytes += max(0, follower.waiting - before)
        if heard is not None and not follower.broken:
            follower.heard(file_number(heard[0]), heard[1])
        if follower.waiting >= _PIECE:
            self._decode(into, all_=True)
        return bool(frames)

    def settle(self, into: Taken) -> bool:
        """See ``Capture``."""
        follower = self._follower
        if follower.whole or follower.emptied:
            self._decode(into, all_=False)
        if follower.reached > into.following:
            into.following = follower.reached
            self._marks[into.following] = follower.mark
        return not follower.partial

    def end(self) -> int:
        """See ``Capture``."""
        with translated(self._request):
            found = self._looked()
        return self._follower.base + counted(found.file, found.offset)

    def confirm(self, position: int) -> None:
        """See ``Capture``."""
        self._marks = {at: each for at, each in self._marks.items() if at >= position}

    def behind(self) -> int | None:
        """See ``Capture``."""
        return None

    def position(self, table: str, following: int) -> Mapping[str, Any]:
        """See ``Capture``."""
        return {OFFSETS: {self._tables[table].name: {self._name: following}}, **self.stand(following)}

    def stand(self, at: int) -> Mapping[str, Any]:
        """See ``Capture``."""
        return self._marks[at].told()

    def close(self) -> None:
        """See ``Capture``."""
        with suppress(Exception):
            self._leave_snapshot()
        for each in (self._wire, self._asking):
            if each is not None:
                with suppress(Exception):
                    each.close()

    @property
    def _name(self) -> str:
        return reading_name(self._opening)

    def _look(self) -> None:
        """Look at server and tables, and begin where the tables are."""
        with translated(self._request):
            found = self._looked()
            self._server = found
            self._family = found.family
            self._tables: dict[str, Followed] = {
                table: server.followed(self._ask, source, found.family) for table, source in self._sources.items()
            }
            self._charsets = Charsets(self._told, found.family.collations)
            self._decoder = self._made()
            self._follow_from(0, Mark("", found.number, 0, 0))
            self._wire = self._connected()
            landed = {
                table: reached(self._opening.positions, table)
                for table, position in self._opening.positions.items()
                if position is not None
            }
            if landed:
                self._go_on(found, landed)
            else:
                self._leave_wire()

    def _looked(self) -> server.Server:
        return server.look(self._ask, self._opening.connection.name, self._grantee())

    def _grantee(self) -> str:
        ((user,),) = self._ask("SELECT CURRENT_USER()")
        name, _, host = str(user).rpartition("@")
        return f"'{name}'@'{host}'"

    def _connected(self) -> Wire:
        """Return a connection of which the server knows that it is a replica's."""
        import pymysql

        found = Wire(self._opening.connection, 2**20 + secrets.randbelow(2**31))
        try:
            found.register()
        except pymysql.MySQLError as error:
            found.close()
            if error.args[0] in (1045, 1227):
                raise server.denied(self._family, self._opening.connection.name, self._grantee()) from error
            raise
        return found

    def _go_on(self, found: server.Server, landed: Mapping[str, int]) -> None:
        """Go on where the tables are, or find out what of their changes is gone."""
        newest = max(self._marks)
        known = self._marks[newest]
        other = self._other_history(found, newest, known)
        base = known.base
        if other or known.server != found.number:
            # Its places follow upon all that were counted before.
            base = newest + 1 - counted(min(found.files), 0)
        due = dict(landed)
        while due:
            first = min(due.values())
            start = self._marks[first]
            self._follow_from(first, replace(start, server=found.number, base=base, moment=known.moment))
            gone = other or self._start(start.gtid)
            if not gone:
                break
            for table in [table for table, at in due.items() if other or at == first]:
                self._declare(table, due.pop(table), gone)
            self._leave_wire()
        self._since = dict(due)
        if due and base != known.base:
            self._since.update({table: _NEVER for table, at in due.items() if at > first})
            self._ahead = {table: self._family.gtids(self._marks[at].gtid) for table, at in due.items() if at > first}
            self._pass(self._family.gtids(start.gtid), first)

    def _other_history(self, found: server.Server, newest: int, known: Mark) -> str:
        """Return why the server's log is not the one that was read; empty: it is, or one of a server that took over."""
        if known.server != found.number:
            return ""
        number, offset = apart(newest - known.base)
        if number not in found.files:
            gone = number < min(found.files)
            return (
                "the server has thrown away its binary log from there on"
                if gone
                else "the server has another binary log than the one that was read"
            )
        name, _ = found.files[number]
        if not found.family.same_log(self._ask, known, name, offset):
            return "the server has another binary log than the one that was read"
        return ""

    def _start(self, gtid: str) -> str:
        """Begin to receive; returns why the server cannot, empty where it can."""
        import pymysql

        with translated(self._request):
            if not self._family.has(self._ask, gtid):
                return _LACKING
            if self._wire is None:
                self._wire = self._connected()
            self._family.start(self._wire, gtid)
            try:
                first = self._wire.receive(1, _PATIENCE)
            except pymysql.MySQLError as error:
                if error.args[0] != _NO_PLACE:
                    raise
                return _explained(str(error.args[1]))
        if not first.data:
            raise TransientError(f"{self._family.name} {self._opening.connection.name} sends nothing of its binary log")
        self._follower.held = first.data
        return ""

    def _follow_from(self, first: int, stand: Mark) -> None:
        """Make what follows the log from a place on."""
        self._follower = Follower(
            tables=sorted({each.name.lower() for each in self._tables.values()}),
            landed=self._landed,
            gtids=self._family.gtids(stand.gtid),
            server=stand.server,
            base=stand.base,
            moment=stand.moment,
            file=apart(max(0, first - stand.base))[0],
            reached=first,
            ended=self._pass,
        )
        self._decoder.open = Begun()

    def _landed(self, table: str, place: int) -> bool:
        """Say whether all sources of a table have what is before a place and at it."""
        return all(
            self._since.get(source, _NEVER) > place
            for source, followed in self._tables.items()
            if followed.name.lower() == table
        )

    def _pass(self, gtids: Gtids, place: int) -> None:
        """Let the changes of tables begin that were ahead of the others when a server took over."""
        for table in [table for table, ids in self._ahead.items() if gtids.covers(ids)]:
            self._since[table] = place
            del self._ahead[table]

    def _declare(self, table: str, at: int, why: str) -> None:
        """Note a gap, or stop at it."""
        stream = self._sources[table].stream
        assert stream is not None
        gap = Gap(topic=self._tables[table].name, partition=self._name, wanted=at, found=0, reason=why)
        self._gaps[table] = declared(gap, stream.on_gap, table, _RECORD)

    def _snapshotted(self) -> tuple[int, Mark]:
        """Return the place of the snapshot in which tables are read whole."""
        if self._snapshot is None:
            self._reading = self._opened()
            with self._reading.cursor() as cursor:
                cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                cursor.execute("SELECT CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED)")
                ((moment,),) = cursor.fetchall()
            tables = sorted({each.sql for each in self._tables.values()})
            place = self._family.snapshot(self._ask, self._opened, self._reading, tables)
            follower = self._follower
            at = follower.base + counted(file_number(place.file), place.offset)
            follower.moment = max(follower.moment, int(moment))
            self._marks[at] = Mark(place.gtid, self._server.number, follower.base, follower.moment)
            self._snapshot = (at, self._marks[at])
        return self._snapshot

    def _opened(self) -> Any:
        return connect(self._opening.connection)

    def _leave_wire(self) -> None:
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    def _leave_snapshot(self) -> None:
        if self._reading is not None:
            self._reading.close()
            self._reading = self._snapshot = None

    def _received(self, most: int, wait: float) -> Any:
        import pymysql

        assert self._wire is not None
        with translated(self._request):
            try:
                return self._wire.receive(most, wait)
            except pymysql.MySQLError as error:
                if error.args[0] != _NO_PLACE:
                    raise
                # What is wrong is found out when the reading is opened again.
                raise TransientError(f"{self._opening.connection.name}: {error.args[1]}") from error

    def _decode(self, into: Taken, *, all_: bool) -> None:
        """Make rows of the events that wait: of all whole transactions, or with ``all_`` of a part of one too."""
        follower = self._follower
        for table, batch in self._decoder.decode(follower.cut(all_=all_), self._since):
            if table not in into.rows:
                # What is personal must not reach a disk before it is protected.
                into.rows[table] = Spool(None if self._sources[table].personal else _PIECE * 4)
            into.rows[table].add(batch)

    def _made(self) -> Decoder:
        """Return what makes rows of events."""
        by_name: dict[str, list[Any]] = {}
        for table, source in self._sources.items():
            by_name.setdefault(self._tables[table].name.lower(), []).append(source)
        return Decoder(by_name, self._described, self._columns, self._charsets.texts)

    def _described(self, frame: bytes) -> Shape:
        name = named(frame).lower()
        followed = next(each for each in self._tables.values() if each.name.lower() == name)
        return described(frame, server.columns_now(self._told, followed, self._family))

    def _columns(self, name: str) -> Sequence[pa.Field]:
        """Return the columns that a table has now."""
        followed = next(each for each in self._tables.values() if each.name.lower() == name)
        bare = replace(self._opening.sources[0], kind="sql", options={"table": followed.name}, cursor=None, stream=None)
        found = MySql(replace(self._request, source=bare))
        try:
            return [pa.field(each.name, each.target) for each in found.relation().columns]
        finally:
            found.close()

    def _told(self, sql: str) -> list[tuple[Any, ...]]:
        with translated(self._request):
            return self._ask(sql)

    def _ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask over a connection of its own, anew where it broke off."""
        for last in (False, True):
            if self._asking is None:
                self._asking = self._opened()
            try:
                with self._asking.cursor() as cursor:
                    cursor.execute(sql)
                    return list(cursor.fetchall())
            except Exception as error:
                if last or isinstance(error, PenstockError) or getattr(error, "args", (0,))[0] not in (2006, 2013):
                    raise
                self._asking.close()
                self._asking = None
        raise AssertionError


def _explained(text: str) -> str:
    """Return what a server means that cannot go on from some transactions."""
    if "Could not find GTID state" in text or "purged required binary logs" in text:
        return "the server has thrown away its binary log from there on"
    if "not in the master's binlog" in text or "has more GTIDs than" in text:
        return _LACKING
    return f"the server cannot go on from there: {text}"
