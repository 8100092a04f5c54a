"""What the facade answers to questions, where no other value says it already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from typing import Any

from penstock.model.entries import CheckFailure
from penstock.model.interval import Interval
from penstock.model.receipts import RunReceipt
from penstock.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TableStatus:
    """One table of a pipeline.

    Attributes:
        table: The lake's name.
        kind: ``source`` or ``transform``.
        mode: Of a source: how loads change its table, as ``merge by id, deletes by deleted_at``.
        number: Newest entry; 0 for none.
        rows: Rows: of all accepted loads, or of the newest version.
        quarantined: Rows set aside in all.
        rejected: Loads that wait for ``accept``, ``retry`` or ``discard``.
        newest: When its newest entry was made.
        event_time: Greatest value of its interval or cursor column, as text.
        production: The version in production; None if it is not there.
        children: Of a source with ``nested="tables"``: its child tables in the warehouse.
    """

    table: str
    kind: str
    number: int
    rows: int
    quarantined: int = 0
    rejected: tuple[int, ...] = ()
    newest: datetime | None = None
    event_time: str | None = None
    production: int | None = None
    mode: str = ""
    children: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineStatus:
    """One pipeline.

    Attributes:
        name: The pipeline.
        last_run: Its newest run that did something, without its steps.
        tables: Its tables.
        intervals_done: How many intervals are done in all interval sources.
        intervals_missing: How many lie between the start and the newest done, and are not done.
    """

    name: str
    last_run: RunReceipt | None
    tables: tuple[TableStatus, ...]
    intervals_done: int = 0
    intervals_missing: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectStatus:
    """The whole project.

    Attributes:
        name: The project.
        pipelines: Its pipelines.
        release: The production release; 0 for none.
        released_at: When.
        waiting: Sentences about what waits for a person, each with the command.
        places: What is where: ``staging lake`` … to path.
    """

    name: str
    pipelines: tuple[PipelineStatus, ...]
    release: int = 0
    released_at: datetime | None = None
    waiting: tuple[str, ...] = ()
    places: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalState:
    """How one interval of a table stands.

    Attributes:
        interval: The interval.
        state: ``done``; ``failed``: its load is rejected, or the last try to make it ended with an error; ``missing``:
            it was never read or made; ``stale``: it was made, and its code or inputs have changed since.
        why: The reason, where it is not done.
        number: The load or version that stands.
        rows: Its rows.
    """

    interval: Interval
    state: str
    why: str = ""
    number: int | None = None
    rows: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalLedger:
    """The intervals of a table, oldest first.

    Attributes:
        table: The table, as the pipeline calls it.
        kind: ``source`` or ``transform``.
        intervals: How each stands.
        gaps: The times between the first and the last that is done, in which something is missing or failed.
    """

    table: str
    kind: str
    intervals: tuple[IntervalState, ...]
    gaps: tuple[Interval, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantineSummary:
    """The rows that one load or version set aside.

    Attributes:
        table: The lake's name.
        number: The load or version.
        created_at: When.
        rows: How many.
        reasons: Check to how many rows name it.
        path: The file below the lake root.
        run: The run that checked them.
        open: How many were neither replayed nor discarded; 0 where a later load replaced theirs.
        replayed: How many came in by a replay.
        discarded: How many were discarded.
    """

    table: str
    number: int
    created_at: datetime
    rows: int
    reasons: Mapping[str, int]
    path: str
    run: str | None = None
    open: int = 0
    replayed: int = 0
    discarded: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantineRows:
    """Rows of the quarantine, to be shown.

    Attributes:
        table: The lake's name.
        number: The load or version.
        rows: The rows, each with ``_reasons``, ``_origin`` and its own columns.
        total: How many there are.
    """

    table: str
    number: int
    rows: tuple[Mapping[str, Any], ...]
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayPreview:
    """What a replay of quarantined rows would bring in.

    Attributes:
        table: The lake's name.
        loads: Load that set rows aside to how many would come in.
        rows: All of them.
        failures: What the checks would find, load by load.
    """

    table: str
    loads: Mapping[str, int]
    rows: int
    failures: tuple[CheckFailure, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportReceipt:
    """What an export of quarantined rows wrote.

    Attributes:
        table: The lake's name.
        file: The file.
        rows: How many.
    """

    table: str
    file: str
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuiltTable:
    """A table that a rebuild made anew.

    Attributes:
        table: The warehouse table.
        kind: ``source`` or ``transform``.
        rows: Its rows afterwards.
        entries: How many loads or versions it was made from.
    """

    table: str
    kind: str
    rows: int
    entries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuildReceipt:
    """What a rebuild of the staging warehouse did.

    Attributes:
        warehouse: The file.
        replaced: Whether the new file took the place of the old one.
        tables: What was made anew.
        carried: The other tables, copied from the old file: ``schema.table``.
        runs: What was loaded and computed, pipeline by pipeline.
        notes: Sentences for the user.
        seconds: How long it took.
    """

    warehouse: str
    replaced: bool
    tables: tuple[RebuiltTable, ...] = ()
    carried: tuple[str, ...] = ()
    runs: tuple[RunReceipt, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorReport:
    """What the doctor found and did.

    Attributes:
        checked: Objects looked at.
        orphans: Objects that no manifest, release, decision or quarantine names, with their bytes.
        removed: How many were removed.
        finished: Sentences about unfinished work brought to its end.
        indexed: Entries, runs, decisions and releases indexed by a rebuild.
        unread: Sentences about what was made at sources and is read by no pipeline any more.
    """

    checked: int = 0
    orphans: tuple[tuple[str, int], ...] = ()
    removed: int = 0
    finished: tuple[str, ...] = ()
    indexed: int = 0
    unread: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """What was removed at the sources of changes: a sentence for each thing."""

    sentences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionLag:
    """How far one partition of a stream was read.

    Attributes:
        topic: The topic.
        partition: The partition, as text.
        following: The offset that is read next.
        newest: When the newest message that was read was made; None: messages do not say.
        event: The greatest event time that was read; None: the stream has no lateness, or none came.
        late: Rows that came behind the watermark, in the micro-batches that were looked at.
    """

    topic: str
    partition: str
    following: int
    newest: datetime | None = None
    event: datetime | None = None
    late: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamLag:
    """How fresh a stream is, by the manifests of its newest micro-batches.

    Attributes:
        table: The stream.
        live: Its rows stand in production at once.
        batches: Micro-batches that were looked at.
        last: When the newest was committed; None: there is none.
        age: Seconds since then.
        interval: Seconds that usually lie between two commits, the median; None: there are fewer than two.
        longest: The longest that lay between two of them, in seconds.
        lag: Seconds from the making of a message to the verdict about its micro-batch, the median over micro-batches of
            their oldest; None: messages do not say.
        lag_most: The same, the most.
        partitions: How far each was read.
        watermark: Up to where events are taken to be known; None: the stream has no lateness, or nothing came yet.
        event_lag: Seconds from the event time to the verdict, the median over micro-batches of their oldest event.
        event_lag_most: The same, the most.
        late: Rows of these micro-batches that were behind the watermark.
        ahead: Rows that lay in the future, beyond the tolerance.
        undated: Rows without an event time.
    """

    table: str
    live: bool
    batches: int
    last: datetime | None = None
    age: float | None = None
    interval: float | None = None
    longest: float | None = None
    lag: float | None = None
    lag_most: float | None = None
    partitions: tuple[PartitionLag, ...] = ()
    watermark: datetime | None = None
    event_lag: float | None = None
    event_lag_most: float | None = None
    late: int = 0
    ahead: int = 0
    undated: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveRollback:
    """A live table that was taken back to one of its loads.

    Attributes:
        table: The table.
        to: The load up to which its rows stand.
        withdrawn: The later loads, whose rows do not.
        rows_before: Rows in its files before.
        rows: Rows in its files now.
        by: Who did it.
    """

    table: str
    to: int
    withdrawn: tuple[int, ...]
    rows_before: int
    rows: int
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactionReport:
    """What became of the small files of one table.

    Attributes:
        table: The lake table.
        entries: The numbers of the compactions that were committed.
        replaced: Files that were written together.
        written: Files that hold their rows now.
        rows: Rows in them.
        bytes_before: Bytes of the files replaced; they stay on the disk until vacuum.
        bytes_after: Bytes of the files written.
        files: Files that the table has now.
    """

    table: str
    entries: tuple[int, ...] = ()
    replaced: int = 0
    written: int = 0
    rows: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    files: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class VacuumReport:
    """What vacuum removed, or would remove.

    Attributes:
        before: What had ceased to count at this moment was removed.
        dry_run: Nothing was removed, only listed.
        removed: The files, with their bytes.
        freed: Bytes that the disk gets back: a file that is linked from elsewhere frees none.
        kept: Why files that no longer stand in a table were kept, and how many for each reason.
        logs: Files of Delta logs that a checkpoint made needless.
        spills: Folders of spilled data left by processes that are dead.
    """

    before: datetime
    dry_run: bool
    removed: tuple[tuple[str, int], ...] = ()
    freed: int = 0
    kept: Mapping[str, int] = field(default_factory=dict)
    logs: int = 0
    spills: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnFigures:
    """What a column's values look like; of texts the figures are those of their lengths, of moments their seconds.

    Attributes:
        column: The column.
        type: Its type.
        kind: What it holds: ``continuous``, ``nominal``, ``identifier`` …
        nulls: Rows without a value.
        null_share: Their share.
        distinct: About how many different values; None where that is not counted.
        least: The least value; ``greatest``, ``mean`` and ``deviation`` likewise.
        quantiles: Share to the value below which that share lies.
        top: The most frequent values with their counts.
        histogram: Rows in each of twenty parts from the least to the greatest value.
    """

    column: str
    type: str
    kind: str
    nulls: int
    null_share: float
    distinct: int | None = None
    least: float | None = None
    greatest: float | None = None
    mean: float | None = None
    deviation: float | None = None
    quantiles: Mapping[str, float] = field(default_factory=dict)
    top: Mapping[str, int] = field(default_factory=dict)
    histogram: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileReport:
    """The profile of a table, for people.

    Attributes:
        table: The table.
        rows: Its rows.
        origin: Whether it was merged from kept profiles or read now.
        columns: Its columns.
    """

    table: str
    rows: int
    origin: str
    columns: tuple[ColumnFigures, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SuggestedCheck:
    """A check that recent loads suggest.

    Attributes:
        kind: The function of ``penstock.checks``.
        code: The call, as Python.
        reason: What the loads show.
    """

    kind: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SuggestedChecks:
    """Checks that the recent loads of a table suggest.

    Attributes:
        table: The table.
        loads: How many loads or versions were looked at.
        rows: Their rows.
        checks: The checks.
        code: All of them as a Python module.
    """

    table: str
    loads: int
    rows: int
    checks: tuple[SuggestedCheck, ...]
    code: str
