"""What is known of a pipeline's tables while it is planned and run: loads, verdicts, versions, as values.

Collected from the catalog once, then kept up by the receipts of the run; asking it costs no I/O.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from penstock import names
from penstock.catalog.port import CatalogReader, LoadRecord
from penstock.model import positions
from penstock.model.entries import Entry, EntryKind, InputVersion, TakenRows, Verdict
from penstock.model.interval import Interval
from penstock.model.specs import PipelineSpec, SourceSpec, WriteMode

_ENDED = (Verdict.ACCEPTED, Verdict.DISCARDED)


@dataclass
class SourceLedger:
    """The loads of one source, oldest first."""

    table: str
    write: WriteMode
    records: list[LoadRecord] = field(default_factory=list)
    discards: list[Entry] = field(default_factory=list)

    def taken(self, load: int) -> list[TakenRows]:
        """Return what replays and discards took from the quarantine of a load.

        A replay that was not checked to the end counts: the next run ends its check.
        """
        replays = [record.entry for record in self.records if record.verdict in (None, Verdict.ACCEPTED)]
        return [entry.taken for entry in (*replays, *self.discards) if entry.taken and entry.taken.load == load]

    def open(self, record: LoadRecord) -> int:
        """Return how many rows of a load's quarantine were neither replayed nor discarded."""
        report = record.verdict_entry.report if record.verdict_entry else None
        taken = self.taken(record.entry.number)
        return (report.quarantined if report else 0) - sum(each.rows - each.lines for each in taken)

    def open_lines(self, record: LoadRecord) -> int:
        """Return how many lines of a load that were no rows were neither replayed nor discarded."""
        misfits = record.entry.misfits
        return (misfits.rows if misfits else 0) - sum(each.lines for each in self.taken(record.entry.number))

    def replays(self, loads: Iterable[int]) -> tuple[int, ...]:
        """Return the loads that replay rows of these loads, and those that replay rows of theirs."""
        found, wanted = [], set(loads)
        for record in self.records:
            if record.entry.taken is not None and record.entry.taken.load in wanted:
                wanted.add(record.entry.number)
                found.append(record.entry.number)
        return tuple(found)

    def add(self, load: Entry, verdict: Entry | None) -> None:
        """Take in a new load, or a new verdict about a known one."""
        record = LoadRecord(entry=load, verdict=verdict.verdict if verdict else None, verdict_entry=verdict)
        self.records = [known for known in self.records if known.entry.number != load.number]
        self.records.append(record)
        self.records.sort(key=lambda known: known.entry.number)

    @property
    def pending(self) -> list[LoadRecord]:
        """Loads that landed but were not checked to the end."""
        return [record for record in self.records if record.verdict is None]

    @property
    def rejected(self) -> list[LoadRecord]:
        """Rejected loads that wait for accept, retry or discard."""
        return [record for record in self._refused if record.entry.number not in self._named]

    @property
    def overtaken(self) -> list[LoadRecord]:
        """Rejected loads that were read again, but whose end a crash kept from being written."""
        return [record for record in self._refused if record.entry.number in self._named]

    @property
    def _refused(self) -> list[LoadRecord]:
        return [record for record in self.records if record.verdict is Verdict.REJECTED]

    @property
    def _named(self) -> set[int]:
        return {number for record in self.records for number in record.entry.supersedes}

    def live(self, interval: Interval | None = None) -> list[LoadRecord]:
        """Return the accepted loads that no later one superseded, oldest first.

        Args:
            interval: Only those that cover a moment of it.
        """
        accepted = [record for record in self.records if record.verdict is Verdict.ACCEPTED]
        gone = {number for record in accepted for number in record.entry.supersedes}
        standing = [record for record in accepted if record.entry.number not in gone]
        if self.write is WriteMode.REPLACE:
            whole = [place for place, record in enumerate(standing) if record.entry.taken is None]
            standing = standing[whole[-1] :] if whole else []
        if interval is None:
            return standing
        return [record for record in standing if _covers(record, interval)]

    def known(self) -> list[LoadRecord]:
        """Return the loads whose rows do not land again when they are read again: live ones and discarded ones.

        A person has said of a discarded load that its rows are not wanted; its last ones are read again all the same.
        """
        discarded = [record for record in self.records if record.verdict is Verdict.DISCARDED]
        return sorted((*self.live(), *discarded), key=lambda record: record.entry.number)

    def position(self) -> Mapping[str, Any] | None:
        """Return where extraction resumes: the position of the newest accepted load that has one.

        A discarded load counts as well: a person has said that its rows are not wanted, so they are not read again.
        """
        for record in reversed(self.records):
            if record.verdict in _ENDED and record.entry.work and record.entry.work.position is not None:
                return positions.whole(record.entry.number, self._position_after, self.table)
        return None

    def _position_after(self, number: int) -> Mapping[str, Any] | None:
        """Return the position that a load carries; loads are sorted by their numbers."""
        place = bisect_left(self.records, number, key=lambda record: record.entry.number)
        entry = self.records[place].entry if place < len(self.records) else None
        return entry.work.position if entry is not None and entry.number == number and entry.work else None

    def done(self) -> set[Interval]:
        """Return the intervals that need not be read: those of accepted loads, and those that a person discarded."""
        discarded = [record for record in self.records if record.verdict is Verdict.DISCARDED]
        works = [record.entry.work for record in (*self.live(), *discarded)]
        return {work.interval for work in works if work and work.interval}

    def blocked(self, interval: Interval | None) -> LoadRecord | None:
        """Return the rejected load that stands in the way of an interval, if any."""
        for record in self.rejected:
            if interval is None or _covers(record, interval):
                return record
        return None

    def settled(self) -> SettledLedger:
        """Return the same, as it is now, for many questions about single intervals."""
        return SettledLedger(self.table, self.write, self.records, self.discards)


class StreamLedger(SourceLedger):
    """The loads of a stream: a micro-batch is taken in, and asked about, at a cost that does not grow with them."""

    def __init__(self, table: str, write: WriteMode, records: list[LoadRecord], discards: list[Entry]) -> None:
        super().__init__(table, write, records, discards)
        self._standing: list[LoadRecord] | None = None
        self._waiting: dict[int, LoadRecord] | None = None

    def add(self, load: Entry, verdict: Entry | None) -> None:
        """Take in a new load, or a new verdict about a known one."""
        if self.records and load.number <= self.records[-1].entry.number:
            self._standing = self._waiting = None
            super().add(load, verdict)
            return
        record = LoadRecord(entry=load, verdict=verdict.verdict if verdict else None, verdict_entry=verdict)
        self.records.append(record)
        if record.verdict is not Verdict.ACCEPTED or load.supersedes:
            self._standing = self._waiting = None
        elif self._standing is not None:
            self._standing.append(record)

    def live(self, interval: Interval | None = None) -> list[LoadRecord]:
        """Return the accepted loads that no later one superseded, oldest first."""
        if interval is not None:
            return super().live(interval)
        if self._standing is None:
            self._standing = super().live()
        return self._standing

    @property
    def newest(self) -> int:
        """The number of the newest load that extracted rows; 0 for none."""
        return next((record.entry.number for record in reversed(self.records) if record.entry.taken is None), 0)

    @property
    def pending(self) -> list[LoadRecord]:
        """Loads that landed but were not checked to the end."""
        return [record for record in self._open.values() if record.verdict is None]

    @property
    def _refused(self) -> list[LoadRecord]:
        return [record for record in self._open.values() if record.verdict is Verdict.REJECTED]

    @property
    def _open(self) -> dict[int, LoadRecord]:
        if self._waiting is None:
            undecided = (None, Verdict.REJECTED)
            self._waiting = {each.entry.number: each for each in self.records if each.verdict in undecided}
        return self._waiting


class SettledLedger(SourceLedger):
    """The loads of one source at a moment: what is asked again and again is worked out once."""

    @cached_property
    def _live(self) -> list[LoadRecord]:
        return super().live()

    @cached_property
    def _rejected(self) -> list[LoadRecord]:
        named = self._named
        return [record for record in self._refused if record.entry.number not in named]

    @cached_property
    def _done(self) -> set[Interval]:
        return super().done()

    @cached_property
    def _spans(self) -> tuple[list[datetime], list[tuple[Interval, LoadRecord]], timedelta, list[LoadRecord]]:
        """Return the times that loads cover, by their beginning; and the loads that may cover any time."""
        spans, anywhere = [], []
        for record in self._live:
            covered = _covered(record)
            if covered is None:
                anywhere.append(record)
            else:
                spans += [(each, record) for each in covered]
        spans.sort(key=lambda span: (span[0].start, span[1].entry.number))
        longest = max((span.end - span.start for span, _ in spans), default=timedelta(0))
        return [span.start for span, _ in spans], spans, longest, anywhere

    @property
    def rejected(self) -> list[LoadRecord]:
        """Rejected loads that wait for accept, retry or discard."""
        return self._rejected

    def done(self) -> set[Interval]:
        """Return the intervals that need not be read."""
        return self._done

    def live(self, interval: Interval | None = None) -> list[LoadRecord]:
        """Return the accepted loads that no later one superseded, oldest first."""
        if interval is None:
            return self._live
        starts, spans, longest, anywhere = self._spans
        found = {record.entry.number: record for record in anywhere}
        place = bisect_left(starts, interval.start - longest)
        while place < len(spans) and starts[place] < interval.end:
            covered, record = spans[place]
            if covered.overlaps(interval):
                found[record.entry.number] = record
            place += 1
        return [found[number] for number in sorted(found)]


@dataclass
class VersionLedger:
    """The versions of one transformed table: the newest of each interval (None: of the whole table).

    Attributes:
        table: The table.
        newest: Interval to its newest version.
        same: Interval to the fingerprint of a later computation that gave the same rows.
        same_inputs: Interval to what that computation was made from.
        head: The newest version of all.
        again: Intervals that are to be computed though nothing changed.
    """

    table: str
    newest: dict[Interval | None, Entry] = field(default_factory=dict)
    same: dict[Interval | None, str] = field(default_factory=dict)
    same_inputs: dict[Interval | None, tuple[InputVersion, ...]] = field(default_factory=dict)
    head: Entry | None = None
    again: set[Interval | None] = field(default_factory=set)

    def add(self, entry: Entry) -> None:
        """Take in a version."""
        self.again.discard(entry.interval)
        known = self.newest.get(entry.interval)
        if known is None or known.number < entry.number:
            self.newest[entry.interval] = entry
            self.same.pop(entry.interval, None)
            self.same_inputs.pop(entry.interval, None)
        if self.head is None or self.head.number < entry.number:
            self.head = entry

    def equal(
        self,
        interval: Interval | None,
        number: int | None,
        fingerprint: str,
        inputs: tuple[InputVersion, ...] = (),
    ) -> None:
        """Take in that a later computation, from these inputs, gave the same rows as version ``number``."""
        self.again.discard(interval)
        entry = self.newest.get(interval)
        if entry is not None and entry.number == number:
            self.same[interval] = fingerprint
            self.same_inputs[interval] = inputs

    def inputs(self, interval: Interval | None) -> tuple[InputVersion, ...]:
        """Return what the newest computation for an interval was made from; empty where that is not known."""
        if interval in self.same:
            return self.same_inputs.get(interval, ())
        entry = self.newest.get(interval)
        return entry.inputs if entry is not None else ()

    def fingerprint(self, interval: Interval | None) -> str:
        """Return the fingerprint of what stands for an interval; empty if nothing does."""
        if interval in self.same:
            return self.same[interval]
        entry = self.newest.get(interval)
        return entry.fingerprint if entry is not None else ""


@dataclass
class Ledger:
    """All tables of a pipeline."""

    sources: dict[str, SourceLedger] = field(default_factory=dict)
    versions: dict[str, VersionLedger] = field(default_factory=dict)

    def lake_table(self, name: str) -> str:
        """Return the lake table of a source or a transform."""
        return self.sources[name].table if name in self.sources else name

    def settled(self) -> Ledger:
        """Return the same, as it is now, for many questions about single intervals."""
        return Ledger({name: known.settled() for name, known in self.sources.items()}, self.versions)


def collect(spec: PipelineSpec, catalog: CatalogReader) -> Ledger:
    """Read what the catalog knows of a pipeline's tables."""
    ledger = Ledger()
    for source in spec.sources:
        ledger.sources[source.table] = collect_source(source, catalog)
    for transform in spec.transforms:
        known = VersionLedger(transform.table)
        for entry in reversed(catalog.entries(transform.table, EntryKind.VERSION)):
            known.add(entry)
        for step in catalog.unchanged(transform.table):
            known.equal(step.interval, step.number, step.fingerprint, step.inputs)
        ledger.versions[transform.table] = known
    return ledger


def collect_source(source: SourceSpec, catalog: CatalogReader) -> SourceLedger:
    """Read what the catalog knows of one source."""
    table = names.raw(source.table)
    kind = SourceLedger if source.stream is None else StreamLedger
    loads = list(reversed(catalog.loads(table)))
    return kind(table, source.write, loads, list(catalog.entries(table, EntryKind.DISCARD)))


def numbers(records: Sequence[LoadRecord]) -> list[int]:
    """Return the numbers of loads."""
    return [record.entry.number for record in records]


def _covers(record: LoadRecord, interval: Interval) -> bool:
    covered = _covered(record)
    return covered is None or any(each.overlaps(interval) for each in covered)


def _covered(record: LoadRecord) -> tuple[Interval, ...] | None:
    """Return the time in which a load changed rows; None: it may be any."""
    if record.verdict_entry is not None and record.verdict_entry.touched is not None:
        return record.verdict_entry.touched
    work = record.entry.work
    return None if work is None or work.interval is None else (work.interval,)
