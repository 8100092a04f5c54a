"""Following the binary log event by event: where its transactions begin and end, and what its statements do."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import field
from typing import Any

from penstock.errors import DataError
from penstock.extract.streams.changes.mysql.decoding import ROWS, TABLE_MAP, Begun, Emptied, Events
from penstock.extract.streams.changes.mysql.gtids import KINDS, Gtids
from penstock.extract.streams.changes.mysql.gtids import begun as begun_by
from penstock.extract.streams.changes.mysql.places import Mark, counted, file_number
from penstock.extract.streams.changes.mysql.shapes import named
from penstock.extract.streams.changes.mysql.statements import LOAD, Deed, done, statement
from penstock.extract.streams.changes.mysql.wire import HEAD, ROTATE, head
from penstock.values import dataclass

_QUERY, _XID, _XA_PREPARE = 2, 16, 38
_INCIDENT = 26
_KNOWN = frozenset((3, ROTATE, 5, 8, 9, 10, 11, 13, 14, _XID, 17, _QUERY, LOAD, TABLE_MAP, *ROWS, _XA_PREPARE))
_KNOWN |= {*KINDS, 35, 160, 161, 163, 164}
_MAY_BE_PASSED = 0x80
_ENDS = ("COMMIT", "ROLLBACK", "XA COMMIT", "XA ROLLBACK")
_PART = "ROLLBACK TO"
_BEGINS = re.compile(r"BEGIN$|XA START\b|.*\bSTART TRANSACTION$", re.DOTALL)
_LONG = 16 * 2**20
"""Bytes of a transaction up to which it can be begun again."""
_WRAP = 2**32
"""An event tells where it ends by 32 bits, and a file may be longer."""


@dataclass(slots=True)
class Group:
    """The transaction that has begun and not ended.

    Attributes:
        begun: Its place and moment.
        gtid: What ``Gtids`` adds.
        standalone: It is one statement, without an end of its own.
        first: How many events were kept before it.
        frames: Its events; None: they are too many to go back.
        bytes: What they hold.
        decoded: Some of them are rows already.
    """

    begun: Begun
    gtid: tuple[Any, ...]
    standalone: bool
    first: int
    frames: list[bytes] | None
    bytes: int = 0
    decoded: bool = False


@dataclass(slots=True)
class Follower:
    """Takes events in their order, and keeps those that tables and rows are made of.

    Attributes:
        tables: The tables that are read, as ``database.table`` in lower case.
        landed: Tells whether the changes of a table are landed already up to a place.
        gtids: The newest whole transactions.
        server: The ``server_id`` whose files are counted.
        base: What is added to file and offset.
        moment: That of the newest transaction.
        file: The file, by number.
        reached: Everything before this place has come, in whole transactions.
        broken: What befell tables so that nothing behind it can be read of them before they are read whole.
        held: The events from there on.
    """

    tables: Sequence[str]
    landed: Callable[[str, int], bool]
    gtids: Gtids
    server: int
    base: int
    moment: int
    file: int
    reached: int
    broken: dict[str, str] = field(default_factory=dict)
    held: list[bytes] = field(default_factory=list)
    kept: list[bytes] = field(default_factory=list)
    begun: list[Begun] = field(default_factory=list)
    emptied: list[Emptied] = field(default_factory=list)
    whole: int = 0
    waiting: int = 0
    ended: Callable[[Gtids, int], None] | None = None
    _group: Group | None = None
    _numbers: dict[bytes, bool] = field(default_factory=dict)
    _low: int = 0
    _high: int = 0

    @property
    def partial(self) -> bool:
        """Say whether a transaction has begun and not ended of which some events were taken out."""
        return self._group is not None and self._group.decoded

    @property
    def mark(self) -> Mark:
        """Return what is known of ``reached``."""
        return Mark(str(self.gtids), self.server, self.base, self.moment)

    def follow(self, frames: Sequence[bytes]) -> int:
        """Take events, up to one that breaks a table off; returns how many of them have rows."""
        rows = 0
        for place, frame in enumerate(frames):
            kind = frame[4]
            if kind in KINDS:
                self._begin(frame)
            if (kind in ROWS or kind == TABLE_MAP) and self._wanted(frame):
                self.kept.append(frame)
                self.waiting += len(frame)
                rows += kind != TABLE_MAP
            self._remember(frame)
            if kind in (_QUERY, LOAD) and self._breaks(frame):
                self._hold(frames[place + 1 :])
                break
            if kind not in _KNOWN and not frame[17] & _MAY_BE_PASSED:
                _refuse(kind)
            if kind in (_XID, _XA_PREPARE):
                # One that is prepared and committed in one phase says so.
                self._end(frame, prepared=kind == _XA_PREPARE and not frame[HEAD])
            elif kind == ROTATE:
                self._turn(frame)
            elif self._group is None:
                self.heard(self.file, self._end_of(frame))
        return rows

    def heard(self, file: int, offset: int) -> None:
        """Note that everything before a place has come, where no transaction is open."""
        if self._group is None and offset:
            self.reached = max(self.reached, self.base + counted(file, offset))

    def cut(self, *, all_: bool) -> Events:
        """Take out the events of whole transactions; with ``all_``, where there are none, those of a part of one."""
        count = self.whole or (len(self.kept) if all_ else 0)
        begun = [each for each in self.begun if each.event < count or not self.whole]
        emptied = [each for each in self.emptied if each.event <= count]
        found = Events(self.kept[:count], begun, emptied)
        del self.kept[:count]
        self.begun = [Begun(each.event - count, each.place, each.moment) for each in self.begun[len(begun) :]]
        self.emptied = []
        self.waiting = sum(map(len, self.kept))
        self.whole = 0
        if self._group is not None:
            self._group.first -= count
            if self._group.first < 0:
                self._group.first, self._group.frames, self._group.decoded = 0, None, True
        return found

    def _wanted(self, frame: bytes) -> bool:
        """Say whether an event is of a table that is read."""
        number = frame[HEAD : HEAD + 6]
        if frame[4] == TABLE_MAP:
            self._numbers[number] = named(frame).lower() in self.tables
        return self._numbers.get(number, False)

    def _remember(self, frame: bytes) -> None:
        """Keep an event of the transaction that is open, so that it can be begun again."""
        group = self._group
        if group is None or group.frames is None:
            return
        group.frames.append(frame)
        group.bytes += len(frame)
        if group.bytes > _LONG:
            group.frames = None

    def _begin(self, frame: bytes) -> None:
        seconds, _, _, size, _, _ = head(frame)
        gtid, standalone = begun_by(frame)
        # Commits of one second are told apart by their order; a clock that was set forward does not count.
        self.moment = max(min(seconds, int(time.time())) * 1_000_000, self.moment + 1)
        place = self.base + counted(self.file, self._end_of(frame) - size)
        begun = Begun(len(self.kept), place, self.moment)
        self.begun.append(begun)
        self._group = Group(begun, gtid, standalone, len(self.kept), [])

    def _end(self, frame: bytes, *, prepared: bool = False, undone: bool = False) -> None:
        group = self._group
        if group is None:
            return
        if (prepared or undone) and (group.decoded or len(self.kept) > group.first):
            self._refuse_unsettled(group, prepared=prepared)
        self._group = None
        self.gtids.add(*group.gtid)
        self.whole = len(self.kept)
        self.reached = self.base + counted(self.file, self._end_of(frame))
        if self.ended is not None:
            self.ended(self.gtids, self.reached)

    def _breaks(self, frame: bytes) -> bool:
        """Look at a statement; True: some table cannot be followed beyond it."""
        database, text = statement(frame)
        group = self._group
        if group is None:
            return False
        word = text.strip().upper()
        if group.standalone and _BEGINS.match(word):
            group.standalone = False
            return False
        if not group.standalone and word.startswith(_ENDS) and not word.startswith(_PART):
            self._end(frame, undone=word == "ROLLBACK")
            return False
        for deed in done(database, text):
            for table in self.tables:
                if not deed.concerns(table) or self.landed(table, group.begun.place):
                    continue
                if deed.deed is Deed.EMPTIED:
                    self.emptied.append(Emptied(len(self.kept), table, group.begun.place, group.begun.moment))
                else:
                    self.broken[table] = f"it {deed.deed.value}"
        if self.broken:
            return True
        if group.standalone:
            self._end(frame)
        return False

    def _hold(self, rest: Sequence[bytes]) -> None:
        """Go back to where the transaction begins, and keep what is left for later."""
        group = self._group
        assert group is not None
        if group.frames is None:
            raise DataError(
                "A long transaction changes a table by rows, and then by a statement without its rows",
                value=", ".join(self.broken),
                remedy="Name it anew, name=…, to read it from the start",
            )
        del self.kept[group.first :]
        self.begun.pop()
        self.held = [*group.frames, *rest]
        self._group = None

    def _turn(self, frame: bytes) -> None:
        """Go over to the next file."""
        self.file = file_number(frame[HEAD + 8 :].decode())
        self._low = self._high = 0
        self.heard(self.file, int.from_bytes(frame[HEAD : HEAD + 8], "little"))

    def _end_of(self, frame: bytes) -> int:
        """Return where an event ends in its file; 0: it stands in none."""
        low = int.from_bytes(frame[13:17], "little")
        if not low:
            return 0
        if low < self._low:
            self._high += _WRAP
        self._low = low
        return self._high + low

    def _refuse_unsettled(self, group: Group, *, prepared: bool) -> None:
        """Refuse rows of which it is not known that they were committed."""
        met = {named(each).lower() for each in self.kept[group.first :] if each[4] == TABLE_MAP}
        if not group.decoded and all(self.landed(table, group.begun.place) for table in met):
            return
        raise DataError(
            f"Changes of {', '.join(sorted(met) or self.tables)} stand in the binary log without being committed",
            value="XA PREPARE"
            if prepared
            else "a transaction that was rolled back, with changes of tables without any",
            valid="transactions that are committed at once, of InnoDB's tables",
            remedy="Name the table anew, name=…, to read it from the start once these are settled",
        )


def _refuse(kind: int) -> None:
    """Refuse an event that may stand for changes."""
    if kind == _INCIDENT:
        raise DataError(
            "The server says that changes were lost before it wrote them to its binary log",
            value="an incident event",
            remedy="See the server's error log; name the tables anew, name=…, to read them from the start",
        )
    raise DataError(
        "The binary log has an event that is not known here, and may have changes",
        value=f"type {kind}",
        remedy="Name the tables anew, name=…, to read them from the start, and leave the setting that makes it alone",
    )
