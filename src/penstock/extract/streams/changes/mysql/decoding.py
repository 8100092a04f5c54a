"""Events of the binary log become rows: of each table, in the order of its changes, with what happened and when."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from penstock.errors import DataError
from penstock.extract.streams.changes.envelope import TYPES, enveloped, marker
from penstock.extract.streams.changes.mysql.images import Bytes, Flags, Images, Places, walk
from penstock.extract.streams.changes.mysql.shapes import Shape, named
from penstock.extract.streams.changes.mysql.values import Cells, Texts, convert
from penstock.extract.streams.changes.mysql.wire import HEAD, lengthy
from penstock.model.capture import BEFORE, COMMIT, COMMITTED, OP, UNCHANGED, Op
from penstock.model.specs import SourceSpec, WriteMode
from penstock.values import dataclass

TABLE_MAP, WRITE, UPDATE, DELETE = 19, 23, 24, 25
ROWS = (WRITE, UPDATE, DELETE)
_OPS = pa.array([Op.INSERT.value, Op.UPDATE.value, Op.DELETE.value])


@dataclass(frozen=True, slots=True)
class Begun:
    """A transaction: before which event it begins, its place, and its moment in microseconds."""

    event: int = 0
    place: int = 0
    moment: int = 0


@dataclass(frozen=True, slots=True)
class Emptied:
    """A table that was truncated, before which event; place and moment of that."""

    event: int
    table: str
    place: int
    moment: int


@dataclass(frozen=True, slots=True)
class Events:
    """Events that describe tables or have rows, in their order.

    Attributes:
        frames: The events.
        begun: The transactions that begin among them.
        emptied: The tables that are truncated among them.
    """

    frames: Sequence[bytes]
    begun: Sequence[Begun]
    emptied: Sequence[Emptied]


@dataclass(slots=True)
class Decoder:
    """Turns events of one connection into rows.

    Attributes:
        sources: Table, as ``database.table`` in lower case, to what it is read as; several sources may read one.
        describe: Gives the shape of a table that an event describes.
        fallback: Gives a table its columns where no event has described it.
        texts: Turns bytes into texts.
        open: The transaction whose end has not come.
    """

    sources: Mapping[str, Sequence[SourceSpec]]
    describe: Callable[[bytes], Shape]
    fallback: Callable[[str], Sequence[pa.Field]]
    texts: Texts
    open: Begun = field(default_factory=Begun)
    _numbers: dict[bytes, int] = field(default_factory=dict)
    _shapes: list[Shape | None] = field(default_factory=list)
    _maps: dict[int, int] = field(default_factory=dict)
    _fields: dict[str, Sequence[pa.Field]] = field(default_factory=dict)

    def decode(self, events: Events, since: Mapping[str, int]) -> Iterator[tuple[str, pa.RecordBatch]]:
        """Yield rows, table by table, each table's in their order.

        Args:
            events: The events.
            since: Source to the place up to which its changes are landed already.
        """
        given = _Given(events, self.open)
        shapes = self._shapes_of(given)
        called = np.array([self._called(each) for each in self._shapes] or [-1])
        tables = list(self.sources)
        owners = np.where(shapes >= 0, called[shapes], -1)
        emptied = {tables.index(each.table) for each in events.emptied}
        for owner in sorted({*np.unique(owners[owners >= 0]).tolist(), *emptied}):
            mine = np.flatnonzero(owners == owner)
            for source in self.sources[tables[owner]]:
                for batch in self._of_source(source, tables[owner], given.part(mine), shapes[mine]):
                    due = _after(batch, since.get(source.table, 0))
                    if due.num_rows:
                        yield source.table, due
        if events.begun:
            self.open = events.begun[-1]

    def _shapes_of(self, given: _Given) -> Places:
        """Return of each event of rows the number of its table's shape; -1: nobody reads it."""
        described: dict[int, tuple[list[int], list[int]]] = {}
        for place in given.described.tolist():
            frame = given.frames[place]
            owner = int.from_bytes(frame[HEAD : HEAD + 6], "little")
            places, numbers = described.setdefault(owner, ([-1], [self._maps.get(owner, -1)]))
            places.append(place)
            numbers.append(self._number(frame))
            self._maps[owner] = numbers[-1]
        owners = given.owners
        found = np.full(len(owners), -1, np.int64)
        for owner in np.unique(owners).tolist():
            mine = owners == owner
            places, numbers = described.get(owner, ([-1], [self._maps.get(owner, -1)]))
            found[mine] = np.array(numbers)[np.searchsorted(places, given.places[mine]) - 1]
        return found

    def _number(self, frame: bytes) -> int:
        """Return the number of a shape; -1: nobody reads the table."""
        body = frame[HEAD + 6 :]
        known = self._numbers.get(body)
        if known is None:
            wanted = named(frame).lower() in self.sources
            known = len(self._shapes) if wanted else -1
            if wanted:
                self._shapes.append(self.describe(frame))
            self._numbers[body] = known
        return known

    def _called(self, shape: Shape | None) -> int:
        return -1 if shape is None else list(self.sources).index(shape.table.lower())

    def _of_source(self, source: SourceSpec, table: str, given: _Given, shapes: Places) -> Iterator[pa.RecordBatch]:
        """Yield the rows of one table, cut where its shape changes or it is truncated."""
        emptied = [each for each in given.events.emptied if each.table == table]
        turns = (np.flatnonzero(np.diff(shapes)) + 1).tolist()
        gone = np.searchsorted(given.places, [each.event for each in emptied]).tolist()
        cuts = sorted(
            [(place, None) for place in turns] + list(zip(gone, emptied, strict=True)), key=lambda cut: cut[0]
        )
        done = 0
        for place, mark in [*cuts, (len(shapes), None)]:
            if place > done:
                shape = self._shapes[int(shapes[done])]
                assert shape is not None
                self._fields[table] = shape.fields
                yield self._batch(source, shape, given.part(np.arange(done, place)))
                done = place
            if mark is not None:
                fields = self._fields.get(table) or self.fallback(table)
                yield marker(Op.TRUNCATE, mark.place, mark.moment, fields)

    def _batch(self, source: SourceSpec, shape: Shape, given: _Given) -> pa.RecordBatch:
        log = source.write is WriteMode.APPEND
        images = walk(given.raw, *given.bounds(shape), shape.columns)
        kinds = given.kinds[images.owners]
        before = (kinds == UPDATE) & (images.rounds % 2 == 0)
        kept = ~before
        if not log:
            # A row that got another key stands behind its old one, of the same change.
            kept[self._moved(source, shape, given, images, np.flatnonzero(before))] = True
        places = np.flatnonzero(kept)
        rows, letters = images.take(places), np.where(before[places], DELETE, kinds[places])
        columns = self._columns(shape, given.buffer, rows, shape.read)
        commits, moments = given.commits[rows.owners], given.moments[rows.owners]
        envelope: dict[str, pa.Array] = {
            OP: _OPS.take(pa.array(letters.astype(np.int64) - WRITE)),
            COMMIT: pa.array(commits),
            COMMITTED: pa.array(moments).cast(TYPES[COMMITTED]),
            UNCHANGED: pa.nulls(len(places), TYPES[UNCHANGED]),
        }
        if log:
            envelope[BEFORE] = self._before(source, shape, given, images.take(places - (letters == UPDATE)), letters)
        return enveloped(envelope, shape.fields, columns)

    def _columns(self, shape: Shape, buffer: bytes, rows: Images, places: Sequence[int]) -> list[pa.Array]:
        targets = {place: field_.type for place, field_ in zip(shape.read, shape.fields, strict=True)}
        return [
            convert(
                buffer,
                Cells(rows.starts[place], rows.lengths[place], rows.nulls[place]),
                shape.columns[place],
                targets[place],
                self.texts,
            )
            for place in places
        ]

    def _moved(self, source: SourceSpec, shape: Shape, given: _Given, images: Images, before: Places) -> Places:
        """Return which of the rows as they were had another key."""
        if not len(before):
            return before
        found = np.zeros(len(before), np.bool_)
        key = shape.places(source.key)
        old = self._columns(shape, given.buffer, images.take(before), key)
        new = self._columns(shape, given.buffer, images.take(before + 1), key)
        for one, other in zip(old, new, strict=True):
            differs = pc.fill_null(pc.not_equal(one, other), False)
            found |= differs.to_numpy(zero_copy_only=False)
            found |= pc.xor(one.is_null(), other.is_null()).to_numpy(zero_copy_only=False)
        return before[found]

    def _before(self, source: SourceSpec, shape: Shape, given: _Given, rows: Images, letters: Bytes) -> pa.Array:
        """Return the rows as they were, without what is personal."""
        told = [
            (place, field_.name)
            for place, field_ in zip(shape.read, shape.fields, strict=True)
            if not source.is_personal(field_.name)
        ]
        columns = self._columns(shape, given.buffer, rows, [place for place, _ in told])
        return pa.StructArray.from_arrays(columns, names=[name for _, name in told], mask=pa.array(letters == WRITE))


class _Given:
    """Events of rows in one buffer, with commit and moment of their transactions.

    Args:
        events: The events.
        open_: The transaction that was begun before them.
    """

    def __init__(self, events: Events, open_: Begun) -> None:
        self.events = events
        self.frames = events.frames
        self.buffer = b"".join(events.frames)
        self.raw: Bytes = np.frombuffer(self.buffer, np.uint8)
        sizes = np.fromiter(map(len, events.frames), np.int64, len(events.frames))
        ends = np.cumsum(sizes)
        kinds = self.raw[ends - sizes + 4] if len(sizes) else np.zeros(0, np.uint8)
        self.described: Places = np.flatnonzero(kinds == TABLE_MAP)
        self.places: Places = np.flatnonzero(kinds != TABLE_MAP)
        self.kinds: Bytes = kinds[self.places]
        self.starts: Places = (ends - sizes)[self.places]
        self.ends: Places = ends[self.places]
        begun = [open_, *events.begun]
        of = np.searchsorted([each.event for each in events.begun], self.places, side="right")
        self.commits: Places = np.array([each.place for each in begun], np.int64)[of]
        self.moments: Places = np.array([each.moment for each in begun], np.int64)[of]

    @property
    def owners(self) -> Places:
        """The number that the log gives the table of each event."""
        found = np.zeros(len(self.starts), np.int64)
        for place in range(6):
            found |= self.raw[self.starts + HEAD + place].astype(np.int64) << (8 * place)
        return found

    def part(self, which: Places) -> _Given:
        """Return some of the events, in the same buffer."""
        found = object.__new__(_Given)
        found.events, found.frames, found.buffer, found.raw = self.events, self.frames, self.buffer, self.raw
        found.described, found.places, found.kinds = self.described, self.places[which], self.kinds[which]
        found.starts, found.ends = self.starts[which], self.ends[which]
        found.commits, found.moments = self.commits[which], self.moments[which]
        return found

    def bounds(self, shape: Shape) -> tuple[Places, Places]:
        """Return where the rows of each event begin and end.

        Raises:
            DataError: An event leaves columns out.
        """
        count, wide = len(shape.columns), (len(shape.columns) + 7) // 8
        at = self.starts + HEAD + 8
        _, first = lengthy(self.buffer, int(at[0]))
        at = at + (first - int(at[0]))
        full: Flags = np.ones(len(at), np.bool_)
        updates = self.kinds == UPDATE
        for number in range(2):
            bits = np.unpackbits(self.raw[at[:, None] + np.arange(wide)], axis=1, count=count, bitorder="little")
            full &= bits.all(axis=1)
            at = at + wide * (updates if number == 0 else 0)
        if not full.all():
            raise DataError(
                f"The binary log tells the changes of {shape.table} without all columns",
                value="binlog_row_image is not FULL",
                remedy="SET GLOBAL binlog_row_image = 'FULL', also in sessions that set it; what was logged before "
                "that cannot be read: another name= reads the table from the start",
            )
        return at + wide, self.ends


def _after(batch: pa.RecordBatch, since: int) -> pa.RecordBatch:
    """Return the rows of commits from a place on."""
    commits = batch.column(COMMIT).to_numpy(zero_copy_only=False)
    return batch if not len(commits) or commits[0] >= since else batch.slice(int(np.searchsorted(commits, since)))
