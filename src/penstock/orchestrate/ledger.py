"""What is known of a pipeline's tables while it is planned and run: loads, verdicts, versions, as values.

Collected from the catalog once, then kept up by the receipts of the run; asking it costs no I/O.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from penstock import names
from penstock.catalog.port import CatalogReader, LoadRecord
from penstock.model import positions
from penstock.model.entries import Entry, EntryKind, InputVersion, TakenRows, Verdict
from penstock.model.interval import Interval
from penstock.model.specs import PipelineSpec, SourceSpec, WriteMode
from penstock.orchestrate.histories import HELD, Held, History
from penstock.values import dataclass

_ENDED = (Verdict.ACCEPTED, Verdict.DISCARDED)


@dataclass
class SourceLedger:
    """The loads of one source, oldest first."""

    table: str
    write: WriteMode
    records: Sequence[LoadRecord] = field(default_factory=list)
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
        others = [known for known in self.records if known.entry.number != load.number]
        self.records = sorted([*others, record], key=lambda known: known.entry.number)

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

    @property
    def live_numbers(self) -> set[int]:
        """The numbers of the accepted loads that no later one superseded."""
        return {record.entry.number for record in self.live()}

    def chosen(self, numbers: Collection[int]) -> Sequence[LoadRecord]:
        """Return the live loads that have one of these numbers, oldest first."""
        return [record for record in self.live() if record.entry.number in numbers]

    def live(self, interval: Interval | None = None) -> Sequence[LoadRecord]:
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
    """The loads of a stream: a micro-batch is taken in, and asked about, at a cost that does not grow with them.

    Of most loads it holds the number alone; what the catalog says of them is read when somebody asks.

    Args:
        source: The stream.
        catalog: The index of its loads.
    """

    def __init__(self, source: SourceSpec, catalog: CatalogReader) -> None:
        super().__init__(names.raw(source.table), source.write)
        self._catalog = catalog
        self._seen = 0
        # A chain of loads back to the first tells what files were read; a merge compares the columns of all of them.
        asked = source.kind == "files" or source.write is not WriteMode.APPEND
        self._held = Held(self.table, catalog, None if asked else HELD)
        self._read()

    def follow(self) -> None:
        """Take in what the catalog has come to know since."""
        head, moved = self._catalog.head(self.table), self._catalog.moved(self.table, self._seen)
        if len(moved) > HELD:
            self._read()
            return
        for record in self._catalog.loads_of(self.table, moved):
            if record.verdict is not Verdict.ACCEPTED or not self._standing.holds(record.entry.number):
                self._take(record)
        self.discards = list(self._catalog.entries(self.table, EntryKind.DISCARD))
        self._seen = head

    def add(self, load: Entry, verdict: Entry | None) -> None:
        """Take in a new load, or a new verdict about a known one, which the catalog has."""
        self._take(LoadRecord(entry=load, verdict=verdict.verdict if verdict else None, verdict_entry=verdict))

    def live(self, interval: Interval | None = None) -> Sequence[LoadRecord]:
        """Return the accepted loads that no later one superseded, oldest first."""
        return super().live(interval) if interval is not None else self.standing

    @property
    def standing(self) -> History:
        """The accepted loads that no later one superseded, oldest first."""
        return self._standing

    @property
    def live_numbers(self) -> set[int]:
        """The numbers of the accepted loads that no later one superseded."""
        return set(self._standing.numbers)

    def chosen(self, numbers: Collection[int]) -> Sequence[LoadRecord]:
        """Return the live loads that have one of these numbers, oldest first."""
        return History(self._held, (number for number in self._standing.numbers if number in numbers))

    def since(self, count: int, newest: int) -> Sequence[LoadRecord] | None:
        """Return the live loads behind the first ``count``; None unless the last of these has the number ``newest``."""
        numbers = self._standing.numbers
        return self._standing[count:] if 0 < count <= len(numbers) and numbers[count - 1] == newest else None

    @property
    def extent(self) -> tuple[int, int]:
        """How many loads count, and the number of the newest."""
        numbers = self._standing.numbers
        return (len(numbers), numbers[-1]) if numbers else (0, 0)

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
    def _named(self) -> set[int]:
        # Only what came after a load can have taken its place.
        later = self._history[self._history.after(min(self._open, default=0)) :]
        return {number for record in later for number in record.entry.supersedes}

    def _read(self) -> None:
        standing = self._catalog.standing(self.table)
        self._history = History(self._held, (number for number, _, _ in standing))
        accepted = (number for number, verdict, gone in standing if verdict is Verdict.ACCEPTED and not gone)
        self._standing = History(self._held, accepted)
        undecided = [number for number, verdict, _ in standing if verdict in (None, Verdict.REJECTED)]
        self._open = {number: self._held.read([number])[0] for number in undecided}
        self.records = self._history
        self.discards = list(self._catalog.entries(self.table, EntryKind.DISCARD))
        self._seen = self._catalog.head(self.table)

    def _take(self, record: LoadRecord) -> None:
        number = record.entry.number
        newest = self._history.numbers[-1] if self._history.numbers else 0
        self._held.put(record)
        if number <= newest or record.verdict is not Verdict.ACCEPTED or record.entry.supersedes:
            self._read()
            return
        self._history.append(number)
        self._standing.append(number)

    def _position_after(self, number: int) -> Mapping[str, Any] | None:
        record = self._history.called(number)
        return record.entry.work.position if record is not None and record.entry.work else None


class SettledLedger(SourceLedger):
    """The loads of one source at a moment: what is asked again and again is worked out once."""

    @cached_property
    def _live(self) -> Sequence[LoadRecord]:
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

    def live(self, interval: Interval | None = None) -> Sequence[LoadRecord]:
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
    if source.stream is not None:
        return StreamLedger(source, catalog)
    table = names.raw(source.table)
    loads = list(reversed(catalog.loads(table)))
    return SourceLedger(table, source.write, loads, list(catalog.entries(table, EntryKind.DISCARD)))


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
