"""Messages become rows: of each table, in the order of its changes, with what happened and when it was committed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field

import numpy as np
import pyarrow as pa

from penstock.extract.streams.changes.envelope import enveloped, marker
from penstock.extract.streams.changes.postgres.lookups import Flags
from penstock.extract.streams.changes.postgres.messages import Begun, Messages, Places, Relation, numbers
from penstock.extract.streams.changes.postgres.relations import Described
from penstock.extract.streams.changes.postgres.tuples import Rows, rows_of
from penstock.extract.streams.changes.postgres.values import convert
from penstock.model.capture import BEFORE, COMMIT, COMMITTED, OP, UNCHANGED, Op
from penstock.model.specs import SourceSpec, WriteMode
from penstock.values import dataclass

MOMENT = pa.timestamp("us", tz="UTC")
_OPS = {ord("I"): 0, ord("U"): 1, ord("D"): 2}
_NAMES = pa.array([Op.INSERT.value, Op.UPDATE.value, Op.DELETE.value])
_PLACES = np.zeros(256, np.int64)
for _letter, _place in _OPS.items():
    _PLACES[_letter] = _place


@dataclass(slots=True)
class Decoder:
    """Turns messages of one connection into rows.

    Attributes:
        sources: Table, as ``schema.name``, to what it is read as.
        describe: Gives a table its types.
        look_up: Asks the server for values that no message tells; see ``lookups``.
        open: The transaction whose end has not come.
    """

    sources: Mapping[str, SourceSpec]
    describe: Callable[[Relation, SourceSpec], Described]
    look_up: Callable[[Described, SourceSpec, list[pa.StringArray], Sequence[Flags], Flags], None]
    open: Begun = field(default_factory=Begun)
    _known: dict[int, Described | None] = field(default_factory=dict)

    def decode(self, messages: Messages, since: Mapping[str, int]) -> Iterator[tuple[str, pa.RecordBatch]]:
        """Yield rows, table by table, each table's in their order.

        Args:
            messages: The messages.
            since: Table to the position up to which its changes are landed already.
        """
        changes = messages.of(b"IUD")
        commits, moments, after = messages.transactions(changes, self.open)
        owners = numbers(messages.raw, messages.starts[changes] + 1, 4)
        cuts = self._cuts(messages)
        for owner in dict.fromkeys([*np.unique(owners).tolist(), *cuts]):
            mine = np.flatnonzero(owners == owner)
            given = _Given(messages, changes[mine], commits[mine], moments[mine])
            for table, batch in self._of_table(owner, given, cuts.get(owner, [])):
                due = _after(batch, since.get(table, 0))
                if due.num_rows:
                    yield table, due
        self.open = after

    def _cuts(self, messages: Messages) -> dict[int, list[tuple[int, Relation | None]]]:
        """Return for each table where it is described or, with None, truncated."""
        found: dict[int, list[tuple[int, Relation | None]]] = {}
        for place, relation in messages.relations():
            found.setdefault(relation.number, []).append((place, relation))
        for place, owner in messages.truncated():
            found.setdefault(owner, []).append((place, None))
        return {owner: sorted(each, key=lambda cut: cut[0]) for owner, each in found.items()}

    def _of_table(
        self, owner: int, given: _Given, cuts: list[tuple[int, Relation | None]]
    ) -> Iterator[tuple[str, pa.RecordBatch]]:
        done = 0
        for place, relation in cuts:
            until = int(np.searchsorted(given.places, place))
            yield from self._rows(owner, given.part(done, until))
            done = until
            if relation is None:
                yield from self._emptied(owner, given.messages, place)
            else:
                self._learn(relation)
        yield from self._rows(owner, given.part(done, len(given.places)))

    def _learn(self, relation: Relation) -> None:
        known = self._known.get(relation.number)
        if known is not None and known.relation == relation:
            return
        source = self.sources.get(relation.table)
        self._known[relation.number] = None if source is None else self.describe(relation, source)

    def _emptied(self, owner: int, messages: Messages, place: int) -> Iterator[tuple[str, pa.RecordBatch]]:
        found = self._known.get(owner)
        if found is not None:
            commits, moments, _ = messages.transactions(np.array([place]), self.open)
            yield found.relation.table, marker(Op.TRUNCATE, int(commits[0]), int(moments[0]), found.fields)

    def _rows(self, owner: int, given: _Given) -> Iterator[tuple[str, pa.RecordBatch]]:
        found = self._known.get(owner)
        if found is not None and len(given.places):
            log = self.sources[found.relation.table].write is WriteMode.APPEND
            yield found.relation.table, self._batch(found, given, log=log)

    def _batch(self, found: Described, given: _Given, *, log: bool) -> pa.RecordBatch:
        buffer = given.messages.buffer
        at = given.messages.starts[given.places]
        rows = rows_of(buffer, at, len(found.fields), found.key, moves=not log)
        texts = [cells.texts(buffer) for cells in rows.after]
        untold = [cells.unchanged for cells in rows.after]
        # A row that got another key stands behind its old one, of the same change.
        moved = np.append(False, rows.changes[1:] == rows.changes[:-1])
        if any((flags & moved).any() for flags in untold):
            self.look_up(found, self.sources[found.relation.table], texts, untold, moved)
        columns = [
            convert(each, base, field.type) for each, base, field in zip(texts, found.bases, found.fields, strict=True)
        ]
        envelope: dict[str, pa.Array] = {
            OP: _NAMES.take(pa.array(_PLACES[rows.kinds])),
            COMMIT: pa.array(given.commits[rows.changes]),
            COMMITTED: pa.array(given.moments[rows.changes]).cast(MOMENT),
            UNCHANGED: _unchanged(untold, found.fields),
        }
        if log:
            envelope[BEFORE] = _before(rows, found, self.sources[found.relation.table], buffer)
        return enveloped(envelope, found.fields, columns)


@dataclass(frozen=True, slots=True)
class _Given:
    """Changes of one table: their places, and commit and moment of their transactions."""

    messages: Messages
    places: Places
    commits: Places
    moments: Places

    def part(self, first: int, last: int) -> _Given:
        cut = slice(first, last)
        return _Given(self.messages, self.places[cut], self.commits[cut], self.moments[cut])


def _unchanged(flags: Sequence[Flags], fields: tuple[pa.Field, ...]) -> pa.Array:
    """Return for each row the names of the columns that were left as they were; null where there are none."""
    type_, count = pa.list_(pa.string()), len(flags[0]) if flags else 0
    if not any(flag.any() for flag in flags):
        return pa.nulls(count, type_)
    matrix = np.stack(flags, axis=1)
    sizes = matrix.sum(axis=1)
    offsets = np.concatenate(([0], np.cumsum(sizes))).astype(np.int32)
    named = pa.array([field.name for field in fields]).take(pa.array(np.nonzero(matrix)[1]))
    return pa.ListArray.from_arrays(pa.array(offsets), named, mask=pa.array(sizes == 0))


def _before(rows: Rows, found: Described, source: SourceSpec, buffer: bytes) -> pa.Array:
    """Return the rows as they were, without what is personal; of a delete that is all that is told."""
    deleted = rows.kinds == ord("D")
    told = deleted.copy()
    names, columns = [], []
    for described, base, before, after in zip(found.fields, found.bases, rows.before, rows.after, strict=True):
        cells = before.where(deleted, after)
        told |= cells.kinds != 0
        if not source.is_personal(described.name):
            names.append(described.name)
            columns.append(convert(cells.texts(buffer), base, described.type))
    return pa.StructArray.from_arrays(columns, names=names, mask=pa.array(~told))


def _after(batch: pa.RecordBatch, since: int) -> pa.RecordBatch:
    """Return the rows of commits from a position on."""
    commits = batch.column(COMMIT).to_numpy(zero_copy_only=False)
    return batch if not len(commits) or commits[0] >= since else batch.slice(int(np.searchsorted(commits, since)))
