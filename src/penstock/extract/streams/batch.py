"""A micro-batch as an extraction: landed, checked and loaded like any other, and named by its positions."""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from penstock.extract.files.csv.misfits import batch_of
from penstock.extract.port import ArrowBatch
from penstock.extract.streams.decoding import Decoded, Decoder, Piece, undecodable, whole
from penstock.extract.streams.event_times import EventTimes
from penstock.extract.streams.port import MESSAGES, Polled, Run
from penstock.model.codec import plain
from penstock.model.event_time import EVENTS, told
from penstock.model.streams import GAPS, OFFSETS, TIMES, Gap, KeyForm, Positions, Span, advanced, moment_of

_MOST_KEPT = 2**20
"""Bytes of a message that is no row, of which no more are kept: the rest is at the source."""


class MicroBatch:
    """Messages that land together. May be drained again after a failure: they are held until the next ones come.

    Args:
        polls: What was polled, in order.
        since: The positions before it.
        decoder: What turns values into rows.
        envelope: Name of a column of the raw rows to what it holds; see ``Reader.envelope``.
        uri: What the source is called in origins, as ``kafka://clicks_kafka``.
        key: As what keys stand in rows.
        hidden: Messages may hold personal values: of one that is no row only its place is kept.

    Attributes:
        events: Looks at the event times of its rows; None: nobody asked.
    """

    def __init__(
        self,
        polls: Sequence[Polled],
        since: Positions,
        decoder: Decoder,
        envelope: Mapping[str, str],
        uri: str,
        *,
        key: KeyForm = KeyForm.TEXT,
        hidden: bool = False,
    ) -> None:
        self._runs = _joined([run for polled in polls for run in polled.runs])
        self._gaps = tuple(gap for polled in polls for gap in polled.gaps)
        self._moves = [move for polled in polls for move in polled.moves]
        self.positions = advanced(since, self._moves)
        self._decoded: Decoded | None = None
        self._decoder = decoder
        self._envelope = envelope
        self._uri = uri
        self._text_keys = key is KeyForm.TEXT
        self._hidden = hidden
        self.events: EventTimes | None = None

    @property
    def schema(self) -> pa.Schema | None:
        """The columns are in the messages."""
        return None

    @property
    def spans(self) -> tuple[Span, ...]:
        """Return what identifies the batch: of each partition the first and the last offset."""
        return tuple(_span(run) for run in self._runs)

    @property
    def places(self) -> set[tuple[str, str]]:
        """Return the topics and partitions that it moves."""
        return {(topic, partition) for topic, partition, _ in self._moves}

    def go_on_from(self, since: Positions) -> None:
        """Take other positions of all other partitions: processes beside this one have moved them."""
        self.positions = advanced(since, self._moves)

    def decode(self) -> None:
        """Decode now what ``batches`` needs, and keep it."""
        if self._decoded is None and self._runs:
            self._decoded = self._decode()

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """Return what was gone at the source."""
        return self._gaps

    def batches(self) -> Iterator[ArrowBatch]:
        """Yield the rows, partition by partition, each in the order of its offsets."""
        if self.events is not None:
            self.events.begin()
        if not self._runs:
            return
        decoded = self._decoded if self._decoded is not None else self._decode()
        first = 0
        for run in self._runs:
            yield from self._of_run(run, first, decoded)
            first += run.data.num_rows

    def _decode(self) -> Decoded:
        values = whole(pa.chunked_array([run.data.column("value") for run in self._runs]))
        present = pc.indices_nonzero(pc.is_valid(values)).cast(pa.int64())
        decoded = _placed(self._decoder.decode(values.take(present) if values.null_count else values), present)
        decoded.misfits.update(self._unreadable_keys())
        return decoded

    def position(self) -> Mapping[str, Any] | None:
        """Return the positions after the batch, what was gone before it, and what else is known of its messages."""
        gaps = {GAPS: [plain(gap) for gap in self._gaps]} if self._gaps else {}
        times = {TIMES: self.times} if self.times else {}
        events = {EVENTS: told(self.events.progress(self.positions))} if self.events is not None else {}
        return {OFFSETS: self.positions, **gaps, **times, **events}

    @property
    def oldest(self) -> datetime | None:
        """When the oldest message was made; None: messages do not say."""
        found = [low for each in self.times.values() for low, _ in each.values()]
        return moment_of(min(found)) if found else None

    @cached_property
    def times(self) -> dict[str, dict[str, list[int]]]:
        """When oldest and newest message of each partition were made, in ms since 1970, where messages say so."""
        found: dict[str, dict[str, list[int]]] = {}
        for run in self._runs:
            if "timestamp" in run.data.schema.names:
                bounds = pc.min_max(run.data.column("timestamp").cast(pa.timestamp("ms", "UTC"), safe=False))
                low, high = (bounds[name].value for name in ("min", "max"))
                if low is not None:
                    found.setdefault(run.topic, {})[run.partition] = [low, high]
        return found

    def notes(self) -> tuple[str, ...]:
        """Return a sentence for each gap, and for event times that are strange."""
        gaps = tuple(f"{gap.sentence}; recorded, as on_gap says" for gap in self._gaps)
        return gaps + (self.events.notes() if self.events is not None else ())

    def commit(self) -> None:
        """Tell nobody yet: the far end hears of positions once they are accepted."""

    def close(self) -> None:
        """Close nothing: the reader goes on."""

    def _unreadable_keys(self) -> dict[int, str]:
        """Return the places of messages whose keys should be texts, and are none."""
        found: dict[int, str] = {}
        first = 0
        for run in self._runs:
            if self._text_keys and "key" in self._envelope.values() and "key" in run.data.schema.names:
                bad = undecodable(run.data.column("key"))
                found.update(dict.fromkeys((first + place for place in bad), "wrong_encoding"))
            first += run.data.num_rows
        return found

    def _of_run(self, run: Run, first: int, decoded: Decoded) -> Iterator[ArrowBatch]:
        """Yield the rows of one partition, a batch for each stretch of rows of one shape."""
        count = run.data.num_rows
        shapes = [(piece, *_within(piece, first, count)) for piece in decoded.pieces]
        shapes = [each for each in shapes if each[1] < each[2]]
        bad = {place - first: why for place, why in sorted(decoded.misfits.items()) if first <= place < first + count}
        told = {place - first: details for place, details in decoded.details.items()}
        misfits = self._misfits(run, bad, told) if bad else None
        span = _span(run)
        place = run.place or run.topic
        origin = (
            f"{self._uri}/{place}",
            {"partition": run.partition, "offset": span.first, "last": span.last},
        )
        for piece, start, end in _stretches(shapes, first, count, bad):
            data = self._batch(run, piece, first, (start, end), bad)
            if self.events is not None:
                self.events.take(run.topic, run.partition, data)
            yield ArrowBatch(data, origin, misfits)
            misfits = None
        if misfits is not None:
            yield ArrowBatch(self._batch(run, None, first, (0, 0), bad), origin, misfits)

    def _batch(
        self, run: Run, piece: Piece | None, first: int, stretch: tuple[int, int], bad: Mapping[int, str]
    ) -> pa.RecordBatch:
        """Return the rows of a stretch of messages; those without a value have none in the columns of the others."""
        start, end = stretch
        data, places = run.data.slice(start, end - start), None
        if bad:
            places = pa.array([at for at in range(start, end) if at not in bad], pa.int64())
            data = run.data.take(places)
        envelope = self._enveloped(run, data)
        columns: list[tuple[pa.Field, pa.Array]] = []
        if piece is not None and piece.rows.num_columns:
            rows = _rows(piece, (first + start, first + end), pc.add(places, first) if places is not None else None)
            columns = [(field, _whole(column)) for field, column in zip(rows.schema, rows.columns, strict=True)]
        # What these messages lack others have: no column has gone.
        there = {field.name for field, _ in columns}
        columns += [(pa.field(name, type_), pa.nulls(data.num_rows, type_)) for name, type_ in self._known(there)]
        fields = [
            field.with_name(f"{field.name}__value") if field.name in self._envelope else field for field, _ in columns
        ]
        schema = pa.schema([*envelope.schema, *fields])
        return pa.RecordBatch.from_arrays([*envelope.columns, *(column for _, column in columns)], schema=schema)

    def _known(self, but: Collection[str]) -> list[tuple[str, pa.DataType]]:
        return [(name, type_) for name, type_ in self._decoder.known.items() if name not in but]

    def _enveloped(self, run: Run, data: pa.RecordBatch) -> pa.RecordBatch:
        found = []
        for held in self._envelope.values():
            if held == "topic":
                found.append(pa.repeat(pa.scalar(run.place or run.topic), data.num_rows))
            elif held == "partition":
                found.append(pa.repeat(pa.scalar(run.partition), data.num_rows).cast(pa.int32()))
            elif held == "tombstone":
                found.append(pc.is_null(data.column("value")))
            elif held in data.schema.names:
                column = data.column(held)
                found.append(column.cast(pa.string()) if held == "key" and self._text_keys else column)
            else:
                found.append(pa.nulls(data.num_rows, MESSAGES.field(held).type))
        return pa.RecordBatch.from_arrays(found, names=list(self._envelope))

    def _misfits(self, run: Run, bad: Mapping[int, str], told: Mapping[int, Mapping[str, Any]]) -> pa.RecordBatch:
        """Return the messages that are no rows, with all that is needed to find and to read them again."""
        lines, details = [], []
        for place in bad:
            message = run.data.slice(place, 1).to_pylist()[0]
            value = message.pop("value")
            detail = {"topic": run.topic, "partition": run.partition, "offset": message.pop("offset")}
            detail |= told.get(place, {})
            text = None
            if not self._hidden:
                text = _text(value)
                detail |= {name: _shown(each) for name, each in message.items() if each is not None}
                detail |= {"bytes": len(value)} if len(value) > _MOST_KEPT else {}
                if text is None:
                    detail["value_base64"] = base64.b64encode(value[:_MOST_KEPT]).decode()
            lines.append(text)
            details.append(json.dumps(detail, sort_keys=True, separators=(",", ":")))
        origin = f"{self._uri}/{run.place or run.topic}"
        return batch_of([[why] for why in bad.values()], lines, [origin] * len(bad), details)


def _joined(runs: Sequence[Run]) -> tuple[Run, ...]:
    """Return one run for each partition, sorted by topic and partition."""
    found: dict[tuple[str, str, str], list[Run]] = {}
    for run in runs:
        if run.data.num_rows:
            found.setdefault((run.topic, run.partition, run.place), []).append(run)
    joined = []
    for key in sorted(found, key=lambda each: (each[0], each[1].rjust(12), each[2])):
        parts = found[key]
        data = pa.Table.from_batches([part.data for part in parts]).combine_chunks().to_batches()[0]
        joined.append(Run(parts[0].topic, parts[0].partition, parts[-1].following, data, parts[0].place))
    return tuple(joined)


def _span(run: Run) -> Span:
    column = run.data.column("offset")
    return Span(topic=run.topic, partition=run.partition, first=column[0].as_py(), last=column[-1].as_py())


def _placed(decoded: Decoded, present: pa.Int64Array) -> Decoded:
    """Return what was decoded with the places of messages among all, those without a value included."""
    pieces = tuple(Piece(present.take(piece.places), piece.rows) for piece in decoded.pieces)
    misfits = {present[at].as_py(): why for at, why in decoded.misfits.items()}
    return Decoded(pieces, misfits, {present[at].as_py(): told for at, told in decoded.details.items()})


def _within(piece: Piece, first: int, count: int) -> tuple[int, int]:
    """Return from which to which row of a piece its messages are those of a run."""
    low = pc.sum(pc.less(piece.places, first)).as_py() or 0
    high = pc.sum(pc.less(piece.places, first + count)).as_py() or 0
    return low, high


def _rows(piece: Piece, stretch: tuple[int, int], places: pa.Int64Array | None) -> pa.Table:
    """Return the rows of a stretch of messages; None for ``places``: of each message in it.

    A message of the stretch that the piece does not have has a row of nulls.
    """
    low, high = _within(piece, stretch[0], stretch[1] - stretch[0])
    if places is None and high - low == stretch[1] - stretch[0]:
        return piece.rows.slice(low, high - low).combine_chunks()
    wanted = places if places is not None else pa.array(range(*stretch), pa.int64())
    return piece.rows.take(pc.index_in(wanted, piece.places)).combine_chunks()


def _stretches(
    shapes: Sequence[tuple[Piece, int, int]], first: int, count: int, bad: Mapping[int, str]
) -> Iterator[tuple[Piece | None, int, int]]:
    """Yield stretches of messages of one piece, in their order; those without a value go with what is around them."""
    if len(shapes) <= 1:
        if len(bad) < count:
            yield (shapes[0][0] if shapes else None), 0, count
        return
    owner: dict[int, int] = {}
    # The first piece holds nearly all of them, and owns what none of the others does.
    for number, (piece, low, high) in list(enumerate(shapes))[1:]:
        for place in piece.places[low:high].to_pylist():
            owner[place - first] = number
    start = 0
    present = 0
    for place in sorted(owner):
        if owner[place] != present:
            if place > start:
                yield shapes[present][0], start, place
            start, present = place, owner[place]
        following = place + 1
        if owner.get(following) != present and following < count:
            yield shapes[present][0], start, following
            start, present = following, owner.get(following, 0)
    if start < count:
        yield shapes[present][0], start, count


def _text(value: bytes) -> str | None:
    try:
        # A text with a zero in it is none: so begins what names its schema.
        return None if b"\0" in value else value[:_MOST_KEPT].decode()
    except UnicodeDecodeError:
        return None


def _shown(value: Any) -> Any:
    if isinstance(value, bytes):
        return _text(value) if _text(value) is not None else {"base64": base64.b64encode(value).decode()}
    if isinstance(value, list):
        return [[header["name"], _shown(header["value"])] for header in value]
    return value.isoformat() if hasattr(value, "isoformat") else value


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks else pa.nulls(0, column.type)
