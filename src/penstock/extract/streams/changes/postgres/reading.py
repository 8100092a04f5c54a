"""One reading of the changes of some tables of a PostgreSQL, through one replication slot.

A table of which nothing has landed is read whole within the snapshot of a slot that lasts only as long (so a crash
leaves none), made after the lasting one: what is committed behind that snapshot comes as changes, what before is in it.
What the lasting slot was told to be safe stands in the lake before: it never knows more than the loads.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pyarrow as pa

from penstock.extract.database.postgres.connection import address, translated
from penstock.extract.database.postgres.source import PostgresSource
from penstock.extract.port import Extraction, Request
from penstock.extract.streams.changes.holding import Spool
from penstock.extract.streams.changes.port import CaptureOpening, Taken
from penstock.extract.streams.changes.postgres import lookups, server, wire
from penstock.extract.streams.changes.postgres.decoding import Decoder
from penstock.extract.streams.changes.postgres.messages import COMMIT, Messages, Relation
from penstock.extract.streams.changes.postgres.naming import publication_name, slot_name
from penstock.extract.streams.changes.postgres.relations import Described, described
from penstock.extract.streams.changes.postgres.server import Published
from penstock.extract.streams.changes.whole import Moment, Whole
from penstock.extract.streams.gaps import declared
from penstock.model.capture import reached
from penstock.model.codec import plain
from penstock.model.specs import SourceSpec
from penstock.model.streams import GAPS, OFFSETS, Gap

_PIECE = 8 * 2**20
"""Bytes of messages that are decoded together."""
_FLUSHED = 1.0
"""Seconds within which the server writes to its disk what was committed."""
_RECORD = "To read the tables whole again, with a record of the gap in the load: stream={'on_gap': 'record'}"


class PostgresCapture:
    """See ``Capture``."""

    def __init__(self, opening: CaptureOpening) -> None:
        first = opening.sources[0]
        self._opening = opening
        self._request = Request(
            source=first,
            connection=opening.connection,
            root=opening.root,
            batch_bytes=opening.batch_bytes,
            engine=opening.engine,
        )
        self.slot = slot_name(opening)
        self.publication, own = publication_name(opening)
        self._sources = {source.table: source for source in opening.sources}
        self._tables: dict[str, Published] = server.prepare(self._request, opening.sources, self.publication, own=own)
        self._exporting: wire.Wire | None = None
        self._exported: tuple[str, int, int] = ("", 0, 0)
        self._wire = self._connected()
        try:
            self._begin_slot()
        except BaseException:
            self.close()
            raise
        by_name = {self._tables[table].name: source for table, source in self._sources.items()}
        self._called = {self._tables[table].name: table for table in self._sources}
        self._decoder = Decoder(by_name, self._described, self._look_up)
        self._frames = wire.Frames()
        self._cut = 0
        self._partial = False
        self._heard = 0

    @property
    def unread(self) -> Sequence[str]:
        """See ``Capture``."""
        return [table for table in self._sources if table not in self._since]

    def whole(self, table: str) -> Extraction:
        """See ``Capture``."""
        with translated(self._request):
            if self._exporting is None:
                self._exporting = self._connected()
                self._exported = _exported(self._exporting, self._request)
            snapshot, at, moment = self._exported
            source = self._sources[table]
            options = {"table": self._tables[table].name}
            bare = replace(source, kind="sql", options=options, cursor=None, stream=None, deletes=None, horizon=False)
            read = PostgresSource().open(replace(self._request, source=bare, snapshot=snapshot))
        self._since[table] = at
        gap = self._gaps.get(table)
        told = {GAPS: [plain(gap)]} if gap is not None else {}
        published = self._tables[table]
        known = Moment(
            table=published.name,
            at=at,
            moment=moment,
            position={**self.position(table, at), **told},
            gap=gap,
            left_out=published.left_out,
            notes=_notes(published),
        )
        return Whole(read, known)

    def begin(self) -> None:
        """See ``Capture``."""
        if self._exporting is not None:
            self._exporting.close()
            self._exporting = None
        options = [("proto_version", "1"), ("publication_names", f'"{self.publication}"')]
        with translated(self._request):
            self._wire.start(self.slot, min(self._since.values()), options)

    def take(self, into: Taken, most: int, wait: float) -> bool:
        """See ``Capture``."""
        with translated(self._request):
            frames = self._wire.receive(min(most, _PIECE), wait)
            if not frames.sizes and not frames.end:
                self._wire.ask()
        into.count += len(frames.sizes)
        into.bytes += len(frames.data)
        self._heard = max(self._heard, frames.end)
        cut = frames.until(COMMIT)
        self._cut = len(self._frames.sizes) + cut if cut else self._cut
        self._frames.add(frames)
        if len(self._frames.data) >= _PIECE:
            self._decode(into, all_=True)
        return bool(frames.sizes)

    def settle(self, into: Taken) -> bool:
        """See ``Capture``."""
        if self._cut:
            self._decode(into, all_=False)
        if not self._frames.sizes and not self._partial:
            into.following = max(into.following, self._heard)
        return not self._partial

    def end(self) -> int:
        """See ``Capture``."""
        # What was committed with synchronous_commit off is told only once it is on the server's disk, soon after.
        deadline = time.monotonic() + _FLUSHED
        with server.asking(self._request) as connection:
            ((wanted,),) = connection.execute("SELECT pg_current_wal_insert_lsn()::text").fetchall()
            while True:
                ((flushed,),) = connection.execute("SELECT pg_current_wal_flush_lsn()::text").fetchall()
                if wire.parsed(flushed) >= wire.parsed(wanted) or time.monotonic() > deadline:
                    return wire.parsed(flushed)
                time.sleep(_FLUSHED / 20)

    def confirm(self, position: int) -> None:
        """See ``Capture``."""
        with translated(self._request):
            self._wire.confirm(position)

    def behind(self) -> int | None:
        """See ``Capture``."""
        found = server.slot(self._request, self.slot)
        return found.kept if found is not None else None

    def position(self, table: str, following: int) -> Mapping[str, Any]:
        """See ``Capture``."""
        name = self._tables[table].name
        return {OFFSETS: {name: {self.slot: following}}, "system": self._system, "timeline": self._timeline}

    def stand(self, at: int) -> Mapping[str, Any]:  # noqa: ARG002 - the number says it all
        """See ``Capture``."""
        return {}

    def close(self) -> None:
        """See ``Capture``."""
        for each in (self._exporting, self._wire):
            if each is not None:
                with suppress(Exception):
                    each.close()

    def _connected(self) -> wire.Wire:
        with translated(self._request):
            return wire.Wire(address(self._request))

    def _begin_slot(self) -> None:
        """Find out where each table goes on, and make the slot where there is none."""
        with translated(self._request):
            ((self._system, timeline, *_),) = self._wire.command("IDENTIFY_SYSTEM")
            self._timeline = int(timeline)
            found = server.slot(self._request, self.slot)
            landed = {
                table: reached(self._opening.positions, table)
                for table, position in self._opening.positions.items()
                if position is not None
            }
            gaps = {table: self._gap(table, at, found) for table, at in landed.items()}
            self._gaps = {table: gap for table, gap in gaps.items() if gap is not None}
            for table, gap in self._gaps.items():
                stream = self._sources[table].stream
                assert stream is not None
                declared(gap, stream.on_gap, table, _RECORD)
            self._since = {table: at for table, at in landed.items() if table not in self._gaps}
            if found is not None and found.lost:
                server.drop(self._request, self.slot, None)
                found = None
            if found is None:
                self._wire.command(f'CREATE_REPLICATION_SLOT "{self.slot}" LOGICAL pgoutput NOEXPORT_SNAPSHOT')

    def _gap(self, table: str, at: int, found: server.Slot | None) -> Gap | None:
        """Return what is gone of a table's changes; None: nothing."""
        position = self._opening.positions[table] or {}
        why, first = "", found.confirmed if found is not None else 0
        if position.get("system") != self._system:
            why = "it is another cluster than the one that was read"
        elif found is None:
            why = f"the replication slot {self.slot} is gone"
        elif found.lost:
            why = found.lost
        elif found.confirmed > at:
            why = f"somebody else has read from the replication slot {self.slot}"
        else:
            switched = self._switched(int(position.get("timeline", self._timeline)))
            if switched is not None and at > switched:
                why, first = "the server that took over had not got what was read from the one before", switched
        if not why:
            return None
        return Gap(topic=self._tables[table].name, partition=self.slot, wanted=at, found=first, reason=why)

    def _switched(self, timeline: int) -> int | None:
        """Return where the log went over from a timeline to another; None where it is the same."""
        if timeline == self._timeline:
            return None
        ((_, history),) = self._wire.command(f"TIMELINE_HISTORY {self._timeline}")
        for line in history.splitlines():
            parts = line.split("\t")
            if parts[0].strip() == str(timeline):
                return wire.parsed(parts[1])
        return 0

    def _decode(self, into: Taken, *, all_: bool) -> None:
        """Make rows of the messages that wait: of all whole transactions, or with ``all_`` of a part of one too."""
        cut = self._cut
        if not cut and not all_:
            return
        messages = Messages(*self._frames.split(cut or len(self._frames.sizes)))
        since = {self._tables[table].name: at for table, at in self._since.items()}
        for name, batch in self._decoder.decode(messages, since):
            table = self._called[name]
            if table not in into.rows:
                # What is personal must not reach a disk before it is protected.
                into.rows[table] = Spool(None if self._sources[table].personal else _PIECE * 4)
            into.rows[table].add(batch)
        if cut:
            into.following = max(into.following, messages.end(cut - 1))
        self._partial, self._cut = not cut, 0

    def _described(self, relation: Relation, source: SourceSpec) -> Described:
        with translated(self._request):
            return described(relation, replace(self._request, source=source))

    def _look_up(
        self,
        found: Described,
        source: SourceSpec,
        texts: list[pa.StringArray],
        untold: Sequence[lookups.Flags],
        moved: lookups.Flags,
    ) -> None:
        with translated(self._request):
            lookups.look_up(found, replace(self._request, source=source), texts, untold, moved)


def _exported(connection: wire.Wire, request: Request) -> tuple[str, int, int]:
    """Make a slot that ends with its connection; returns its snapshot, where it begins, and a moment before that."""
    with server.asking(request) as asked:
        (moment,) = asked.execute("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::int8").fetchone()
    name = f"penstock_{secrets.token_hex(8)}"
    ((_, position, snapshot, _),) = connection.command(
        f'CREATE_REPLICATION_SLOT "{name}" TEMPORARY LOGICAL pgoutput EXPORT_SNAPSHOT'
    )
    return snapshot, wire.parsed(position), int(moment)


def _notes(table: Published) -> tuple[str, ...]:
    """Return what is said of a table whose long values may stay untold."""
    if not table.long or table.identity == "f":
        return ()
    columns = ", ".join(table.long)
    return (
        f"{table.name}: an update that leaves {columns} as they were may not tell them; _unchanged names them then. "
        f"ALTER TABLE {table.name} REPLICA IDENTITY FULL makes it tell all",
    )
