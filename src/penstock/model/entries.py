"""Entries: what a lake table's sequence is made of, as they stand in ``_manifests/{n}.json``.

One sequence per table: a ``load`` lands rows in the raw zone, a ``verdict`` accepts or rejects one load, a
``version`` is the result of a transform, a ``compaction`` writes the rows of small files together, a ``discard`` ends
rows of a quarantine. An entry is immutable; it counts once its number is in the Delta log.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from datetime import datetime
from enum import StrEnum
from typing import Any

from penstock.model.contracts import SchemaChange
from penstock.model.figures import Reconciliation
from penstock.model.interval import Interval
from penstock.values import dataclass


class EntryKind(StrEnum):
    """What an entry did to its table."""

    LOAD = "load"
    VERDICT = "verdict"
    VERSION = "version"
    COMPACTION = "compaction"
    DISCARD = "discard"


class Verdict(StrEnum):
    """What became of a load."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    RETRIED = "retried"
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table.

    Attributes:
        name: As stored.
        type: The DuckDB type that a reader of the warehouse gets, as ``DECIMAL(12,2)``.
        stored: The DuckDB type in the lake's files, where it differs.
        source_name: The name in the source, where it differs.
        personal: How the personal values in it were protected before they reached a disk: ``mask``, ``null``,
            ``tokenise (key 1-3fa9c2d1)`` or ``encrypt (key …)`` with the name of the key; of single fields, as
            ``address.street: mask, note: null``. None: nothing in it was said to be personal. No statistic and no value
            of a column with this mark is shown anywhere.
        source_type: The type in the source, as the source spells it, where that says more than ``type``.
    """

    name: str
    type: str
    stored: str | None = None
    source_name: str | None = None
    personal: str | None = None
    source_type: str | None = None

    @property
    def at_source(self) -> str:
        """Its name in the source."""
        return self.name if self.source_name is None else self.source_name


def column_called(name: str, columns: Iterable[Column]) -> Column | None:
    """Return the column that the source calls so, whatever the case; None: there is none."""
    return next((column for column in columns if column.at_source.lower() == name.lower()), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """A Parquet file of a table.

    Attributes:
        path: Relative to the table's folder, with forward slashes.
        rows: Rows in it.
        bytes: Its size.
        partition: Partition column to value.
        statistics: Column to (minimum, maximum, null count) as JSON values, for the Delta log; may be empty.
    """

    path: str
    rows: int
    bytes: int
    partition: Mapping[str, str] = field(default_factory=dict)
    statistics: Mapping[str, tuple[Any, Any, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Where a compaction put the rows of one file: all of them, one after the other, in their order.

    Attributes:
        file: Path of the file that was replaced.
        into: Place of the new file among the ``files`` of the entry.
        first: Row of the new file at which they begin, from 0.
        rows: How many they are.
        load: The load of all these rows; 0 if they are of several (the file was a compaction's own).
    """

    file: str
    into: int
    first: int
    rows: int
    load: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a run of consecutive rows of a load came from.

    Attributes:
        uri: File, URL without secrets, ``connection.table`` …
        first: Position of its first row within the load, from 0.
        rows: How many rows.
        detail: What else finds the place again: page, offset, checksum, size, mtime.
    """

    uri: str
    first: int
    rows: int
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenRows:
    """Rows of a load's quarantine that a replay brought in, or a discard ended.

    Attributes:
        load: The load that set them aside.
        extracted: The load that extracted them: ``load``, unless that one replays rows itself.
        rows: How many.
        lines: How many of them were lines that are no rows; their places in ``load`` follow those of its rows.
        path: Of a Parquet file below the lake root with a row for each, in the order of the replaying load:
            ``position`` there, ``_position`` in ``load``, ``order_load`` and ``order_position`` (what ``_order`` says:
            the load that extracted the row, and its place there), ``_origin`` and ``_origin_detail``.
    """

    load: int
    extracted: int
    rows: int
    path: str
    lines: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfits:
    """The lines of a load's source that are no rows of its table.

    Attributes:
        path: Of the file that holds them, below the lake root.
        rows: How many they are.
        reasons: Why to how many; a line may have several reasons.
    """

    path: str
    rows: int
    reasons: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The identity of a piece of extraction: what was asked, and where reading stopped.

    Attributes:
        interval: The interval asked for.
        since: The cursor state reading began from.
        position: The state after it, from which the next extraction resumes (JSON: ``{"cursor": …}``,
            ``{"files": {…}}``, ``{"offsets": {…}}``). ``None`` leaves the former position standing.
        snapshot: The source was read whole, and what the load lacks was deleted there.
        scored: Who scored the rows: ``model``, ``version``, ``function``, ``code`` (its fingerprint); empty: nobody.
    """

    interval: Interval | None = None
    since: Mapping[str, Any] | None = None
    position: Mapping[str, Any] | None = None
    snapshot: bool = False
    scored: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckFailure:
    """Rows that failed one check, bounded whatever the data.

    Attributes:
        check: The check's name.
        severity: ``warn``, ``quarantine`` or ``error``.
        columns: The columns it read.
        count: How many rows failed (1 for a check of a whole table).
        message: One sentence with what was expected and what was found.
        examples: Five rows at most, as JSON objects of short texts.
        owner: Who is told, as the check says.
        description: Why the check is there, as it says.
    """

    check: str
    severity: str
    columns: tuple[str, ...]
    count: int
    message: str
    examples: tuple[Mapping[str, Any], ...] = ()
    owner: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """What the checks of a table found in the new rows.

    Attributes:
        rows: Rows looked at.
        passed: Names of the checks that held.
        failures: The others.
        skipped: Names of the checks whose ``when`` was not true.
        tolerated: Check to the rows that failed it, where these were no more than its ``at_most``.
        quarantined: Rows that failed at least one quarantine check.
    """

    rows: int = 0
    passed: tuple[str, ...] = ()
    failures: tuple[CheckFailure, ...] = ()
    skipped: tuple[str, ...] = ()
    tolerated: Mapping[str, int] = field(default_factory=dict)
    quarantined: int = 0

    @property
    def rejects(self) -> bool:
        """Say whether an ``error`` check failed."""
        return any(failure.severity == "error" for failure in self.failures)


@dataclass(frozen=True, slots=True, kw_only=True)
class InputVersion:
    """A version that another was made from."""

    table: str
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One committed step of a lake table's sequence.

    Attributes:
        table: The lake table, as ``raw_flights`` or ``delays``.
        number: Its place in the order of landing, from 1; gaps are possible.
        previous: The number before it; None for the first.
        kind: What it did.
        created_at: When it was made, UTC.
        run: The run that made it.
        fence: The fencing token of the lease it was made under.
        files: Data files added.
        removed: Paths of data files that this entry took out of the table.
        schema: The table's columns after it (of a load: of its files).
        rows: Rows added (of a version: rows of the whole table).
        work: Of a load: what was read.
        change: Of a load: its contract and what its columns did; None where nothing changed under the default one.
        origins: Of a load: where its rows came from.
        supersedes: Of a load: numbers of loads whose rows it replaces (a re-run of an interval, a retry).
        load: Of a verdict or a discard: the load it is about.
        verdict: Of a verdict.
        reason: Of a verdict given by a person, or a discard.
        report: Of a verdict or a version: the checks.
        quarantine: Of a verdict: path of the quarantine file below the lake root, if rows were set aside.
        profile: Of a verdict or a version: column to figures.
        sketches: Of a verdict or a version: path of its whole profile below the lake root, where one is kept.
        inputs: Of a version: what it was made from.
        interval: Of a version: the interval it rebuilt.
        fingerprint: Of the code, parameters and inputs that made it.
        content: Order-free hash of the rows, where it was taken.
        taken: Of a replaying load or a discard: the rows that it took from a quarantine.
        slices: Of a compaction: where the rows of each removed file stand now.
        compaction: The newest compaction before it, whatever its kind; None if there is none. Filled in by the commit.
        touched: Of a verdict about a load of a source with ``event_time``: the time in which its rows lie, and those
            that they replace, in whole intervals of the schedule; None: not known, so any.
        misfits: Of a load: lines of its source that are no rows and were set aside; ``rows`` does not count them.
        reconciliation: Of a load, and of the verdict that the checks gave: the comparison with its source.
        after: Of a load of a stream: the newest load that was known when reading began (0: none). It is refused where
            another has come meanwhile, which may hold the same messages.
    """

    table: str
    number: int
    previous: int | None
    kind: EntryKind
    created_at: datetime
    run: str | None = None
    fence: int = 0
    files: tuple[DataFile, ...] = ()
    removed: tuple[str, ...] = ()
    schema: tuple[Column, ...] = ()
    rows: int = 0
    work: Work | None = None
    change: SchemaChange | None = None
    origins: tuple[Origin, ...] = ()
    supersedes: tuple[int, ...] = ()
    load: int | None = None
    verdict: Verdict | None = None
    reason: str = ""
    report: CheckReport | None = None
    quarantine: str | None = None
    profile: Mapping[str, Any] = field(default_factory=dict)
    sketches: str | None = None
    inputs: tuple[InputVersion, ...] = ()
    interval: Interval | None = None
    fingerprint: str = ""
    content: str = ""
    taken: TakenRows | None = None
    slices: tuple[Slice, ...] = ()
    compaction: int | None = None
    touched: tuple[Interval, ...] | None = None
    reconciliation: Reconciliation | None = None
    misfits: Misfits | None = None
    after: int | None = None

    @property
    def streamed(self) -> bool:
        """Whether it is one of very many: a micro-batch, or the rows of one in a live table."""
        return self.after is not None or (self.kind is EntryKind.VERSION and self.work is not None)

    @property
    def span(self) -> Interval | None:
        """The interval that a load read or a version rebuilt; None: there is no such."""
        return self.interval if self.work is None else self.work.interval
