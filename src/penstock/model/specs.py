"""What the user asked for, as frozen values: pipelines, sources, checks, transforms, datasets.

Decorators, TOML and plain calls are spellings of these. A spec holds no connection and no secret; Python
callables stand beside the data (``function``, ``data``) and enter fingerprints by their code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from penstock.model.contracts import Contract
from penstock.model.streams import StreamSpec
from penstock.values import dataclass

if TYPE_CHECKING:
    from penstock.model.production import PostgresSpec


class WriteMode(StrEnum):
    """How a load changes the warehouse table."""

    APPEND = "append"
    REPLACE = "replace"
    MERGE = "merge"
    SCD2 = "scd2"


class Severity(StrEnum):
    """What a failed check does: tell, set the rows aside, or reject the load."""

    WARN = "warn"
    QUARANTINE = "quarantine"
    ERROR = "error"


class Reconcile(StrEnum):
    """What is compared between source, raw zone and warehouse after every load."""

    OFF = "off"
    COUNTS = "counts"
    SUMS = "sums"
    HASHES = "hashes"


class Nested(StrEnum):
    """How nested values stand in the warehouse: as nested columns, as tables of plain columns, or as JSON."""

    COLUMNS = "columns"
    TABLES = "tables"
    JSON = "json"


class OnEmpty(StrEnum):
    """What an empty extraction does to a table in write mode replace."""

    EMPTY = "empty"
    REFUSE = "refuse"


class OnNullCursor(StrEnum):
    """What becomes of rows without a cursor value: read by each load, left out, or an error."""

    INCLUDE = "include"
    EXCLUDE = "exclude"
    RAISE = "raise"


class Protection(StrEnum):
    """How personal values are made unreadable before they reach a disk.

    ``tokenise``: keyed and one-way; equal values have equal tokens. ``encrypt``: readable for who holds the key; equal
    values have equal ciphertexts. ``mask``: only the shape stays, letters as x and digits as 0. ``null``: nothing.
    """

    TOKENISE = "tokenise"
    ENCRYPT = "encrypt"
    MASK = "mask"
    NULL = "null"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletes:
    """How a source says that a row is deleted there.

    Attributes:
        column: The column that says it; None: each load is the whole source, and a key that it lacks is deleted.
        values: The values that mean it; empty: true, or any date, time or text.
        any_value: Whatever stands in the column means it, numbers too; a null does not.
    """

    column: str | None = None
    values: tuple[str | int | float | bool, ...] = ()
    any_value: bool = False

    @property
    def by_snapshot(self) -> bool:
        """Say whether snapshots are compared."""
        return self.column is None

    @property
    def words(self) -> str:
        """Return it in words: ``deletes by deleted_at``."""
        if self.column is None:
            return "deletes by snapshot"
        listed = ", ".join(str(value) for value in self.values)
        return f"deletes by {self.column}" + (f" in ({listed})" if listed else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSpec:
    """One table to read.

    Attributes:
        table: The name it gets; the raw zone and the warehouse call it ``raw_{table}``.
        kind: Which extractor reads it: ``sql``, ``files``, ``rest``, ``python``; see ``plugins.py``.
        connection: The connection of ``penstock.toml``; None where ``options`` says where (a path, a URL, an object).
        options: What the kind needs: ``table`` or ``query``; ``path``; paging; JSON values only.
        write: The write mode.
        key: The columns that name a row; needed for merge.
        cursor: The column that says how far was read; it also orders rows with an equal key.
        lag: How far behind the cursor reading starts again, for late rows.
        on_null_cursor: What becomes of rows without a cursor value.
        horizon: Read what was committed since the last reading by the transactions of the source, not by time.
        interval: The column by which the source is read interval by interval.
        event_time: The column that says when the event of a row happened: a load reopens just the intervals of
            transforms that its rows, and those that they replace, lie in. None: a load without an interval reopens all.
        on_empty: What an empty extraction does where the source is read whole.
        personal: Column, or dotted path to a field within one, to how its values are protected before they reach a
            disk: ``tokenise``, ``encrypt``, ``mask`` or ``null``; see ``privacy/``.
        reconcile: What is compared between source, raw zone and warehouse.
        deletes: How the source says that a row is deleted; None: it does not.
        forget_after: After which time a deleted key may be forgotten; None: by default, see ``load/tombstones.py``.
        nested: How nested values stand in the warehouse; the raw zone keeps them as they came.
        max_depth: For nested values as tables: levels of objects and lists that are taken apart; deeper ones are JSON.
        max_child_tables: The most child tables; lists of objects beyond them are JSON.
        contract: What the table's columns and types may do.
        silent_after: How long it may bring nothing new before somebody is told; None: what its history says.
        data: The object or callable of kind ``python``.
        stream: What makes it a stream, which ``penstock stream`` reads; None: runs read it.
    """

    table: str
    kind: str
    connection: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    write: WriteMode = WriteMode.APPEND
    key: tuple[str, ...] = ()
    cursor: str | None = None
    lag: timedelta = timedelta(0)
    on_null_cursor: OnNullCursor = OnNullCursor.INCLUDE
    horizon: bool = False
    interval: str | None = None
    event_time: str | None = None
    on_empty: OnEmpty = OnEmpty.EMPTY
    personal: Mapping[str, str] = field(default_factory=dict)
    reconcile: Reconcile = Reconcile.COUNTS
    nested: Nested = Nested.COLUMNS
    max_depth: int = 10
    max_child_tables: int = 20
    deletes: Deletes | None = None
    forget_after: timedelta | None = None
    contract: Contract = field(default_factory=Contract)
    silent_after: timedelta | None = None
    data: Any = field(default=None, compare=False)
    stream: StreamSpec | None = None

    @property
    def ends(self) -> tuple[str, ...]:
        """Return the columns whose least and greatest value tell which rows were read: the key, or the cursor."""
        return self.key or ((self.cursor,) if self.cursor else ())

    def is_personal(self, column: str) -> bool:
        """Say whether a column, or a field within it, was said to be personal."""
        return any(path.partition(".")[0].lower() == column.lower() for path in self.personal)

    @property
    def by_snapshot(self) -> bool:
        """Say whether a load is a snapshot that is compared with the ones before."""
        return self.deletes is not None and self.deletes.by_snapshot

    @property
    def whole(self) -> bool:
        """Say whether the source is read whole each time, whatever was read before."""
        return self.write is WriteMode.REPLACE or self.by_snapshot

    @property
    def mode(self) -> str:
        """Return how loads change the table, in words: ``merge by id, deletes by deleted_at``."""
        by = f" by {', '.join(self.key)}" if self.key and self.write in (WriteMode.MERGE, WriteMode.SCD2) else ""
        return f"{self.write.value}{by}" + (f", {self.deletes.words}" if self.deletes else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTable:
    """A table that a database has: its name as a source names it, its columns, its primary key."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaSpec:
    """Many tables of one database, by patterns; they become sources once the database has said which it has.

    Attributes:
        connection: The connection.
        tables: Patterns such as ``*`` or ``sales.cust_*``; a table is read if one of them fits.
        exclude: Patterns of tables that are not read.
        prefix: Put before the name of each.
        reading: Arguments of reading for all of them; see ``model.reading``.
        overrides: Table as the database names it to its own arguments.
        changes: The tables are kept up by their changes: how these are read, see ``model.reading_changes``; None: they
            are read by runs.
    """

    connection: str
    tables: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    prefix: str = ""
    reading: Mapping[str, Any] = field(default_factory=dict)
    overrides: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    changes: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSpec:
    """One expectation of a table.

    Attributes:
        kind: The name of the function in ``penstock.checks`` that makes it.
        columns: The columns it reads; may be empty.
        parameters: JSON values: bounds, set, pattern, referenced ``table.column``, SQL expression …
        severity: What a failure does.
        name: The name in reports; unique within a table.
        function: For ``function`` and ``validator``: the callable or the object with ``validate``.
        description: Why the check is there.
        owner: Who is told of a failure.
    """

    kind: str
    columns: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    severity: Severity = Severity.ERROR
    name: str = ""
    function: Any = field(default=None, compare=False)
    description: str = ""
    owner: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformSpec:
    """SQL or a function from tables to one table.

    Attributes:
        table: The table it makes.
        sql: The query, for SQL transforms; bare table names are the edges.
        function: The callable, for Python transforms; parameter names are the edges.
        inputs: The tables it reads, in a fixed order (source tables without ``raw_``).
        children: Child tables of sources that it reads; their sources stand in ``inputs``.
        interval: The output column by which it is rebuilt interval by interval; None rebuilds the whole table.
        lookback: Of one by interval: how far before an interval the rows lie that its result depends on.
        key: The columns by which a new version takes over the rows of keys that no new data touches.
        origin: File and line, for messages.
        volatile: True where clock or chance take part: it is run even when nothing changed.
    """

    table: str
    sql: str | None = None
    function: Callable[..., Any] | None = field(default=None, compare=False)
    inputs: tuple[str, ...] = ()
    children: tuple[str, ...] = ()
    interval: str | None = None
    lookback: timedelta = timedelta(0)
    key: tuple[str, ...] = ()
    origin: str = ""
    volatile: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureSpec:
    """Columns joined to labels as they were known at the moment of the label.

    Attributes:
        table: The table of the features.
        on: Columns equal in both tables (label column names and feature column names agree).
        event_time: The column that says when the feature happened.
        known_at: The column that says when we came to know it; None: ``event_time`` plus ``available_after``.
        available_after: How long after the event the value is known, where no column says it.
        expires_after: The age at which a value is no longer used; None: never.
        columns: The columns taken; empty takes all but keys and times.
        prefix: Put before each feature name; the default is ``{table}_``.
    """

    table: str
    on: tuple[str, ...]
    event_time: str
    known_at: str | None = None
    available_after: timedelta = timedelta(0)
    expires_after: timedelta | None = None
    columns: tuple[str, ...] = ()
    prefix: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitSpec:
    """Which rows go to which split: by a keyed hash of a group, so that adding rows moves none.

    Attributes:
        by: The columns whose values stay together in one split.
        shares: Split name to share; the shares sum to 1.
        seed: Part of the hash.
    """

    by: tuple[str, ...]
    shares: Mapping[str, float]
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSpec:
    """A training set: labels, features as of the label's moment, splits, shards.

    Attributes:
        name: The dataset.
        table: The table whose rows are the samples.
        label: The SQL expression of the label, over ``table``; rows where it is null are left out and counted.
        label_name: The column it gets.
        event_time: The column of ``table`` that says at which moment the prediction would be made.
        columns: Columns of ``table`` taken as features or keys; empty takes all.
        features: Point-in-time features.
        split: The split; None puts all rows in ``train``.
        rows_per_shard: The most rows in one shard.
    """

    name: str
    table: str
    label: str
    label_name: str = "label"
    event_time: str | None = None
    columns: tuple[str, ...] = ()
    features: tuple[FeatureSpec, ...] = ()
    split: SplitSpec | None = None
    rows_per_shard: int = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineSpec:
    """Everything a pipeline is, in one value.

    Attributes:
        name: The pipeline.
        sources: What is read.
        schemas: Whole schemas that are read; empty once they are among the sources.
        schedule: ``@hourly``, ``@daily``, ``@weekly``, ``@monthly``, ``every 15m``, five fields of cron, or None; see
            ``model.schedules``. With ``start`` it says the length of one interval too.
        start: The first moment that intervals cover; needed where a source has ``interval``.
        end: The moment after the last interval; None: now.
        checks: Table to its checks; the name of a source means its raw table.
        profiled: The tables of which a whole profile is kept with each load or version.
        promote: The tables that a release holds.
        approve: ``manual``, or ``automatic`` when every check of the candidate passed.
        timezone: Whose clock the schedule means.
        delay: How much later than its due time a run begins.
        catch_up: What becomes of due times that no scheduler was there for: ``all``, ``latest`` or ``none``.
        after: The pipelines whose runs of the same time must have succeeded.
        timeout: How long a run of the schedule may take; None: as ``[serve]`` says.
    """

    name: str
    sources: tuple[SourceSpec, ...] = ()
    schemas: tuple[SchemaSpec, ...] = ()
    checks: Mapping[str, tuple[CheckSpec, ...]] = field(default_factory=dict)
    transforms: tuple[TransformSpec, ...] = ()
    datasets: tuple[DatasetSpec, ...] = ()
    profiled: tuple[str, ...] = ()
    promote: tuple[str, ...] = ()
    schedule: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    approve: str = "manual"
    timezone: str = "UTC"
    delay: timedelta = timedelta(0)
    catch_up: str = "all"
    after: tuple[str, ...] = ()
    timeout: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionSpec:
    """A named endpoint.

    Attributes:
        name: As in ``penstock.toml``.
        kind: ``sqlite``, ``postgres``, ``mysql``, ``files``, ``rest``.
        url: Where it is; never holds a password once it is shown (see ``shown``).
        secrets: Values kept out of ``repr``, logs, manifests and errors: password, token, key.
        options: The rest: headers, page size, rate …
    """

    name: str
    kind: str
    url: str = field(repr=False)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactionSpec:
    """When and how the small files of a raw table are written together.

    Attributes:
        limit: A run compacts a table that has more files than this.
        window: ``hour`` or ``day``: files of one closed window come together.
        target: Bytes of a file that is written; files of at least half of it stay as they are.
    """

    limit: int = 1000
    window: str = "day"
    target: int = 256 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckEngineSpec:
    """A Spark that judges rows in the place of DuckDB.

    Attributes:
        url: ``local[4]``, or ``sc://host:port`` of Spark Connect; may hold a token, so it is not shown.
        tables: The tables whose rows it judges; empty: those of all sources.
    """

    url: str = field(repr=False)
    tables: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AutomaticSpec:
    """Inside which limits a candidate may be approved by nobody; each is of a single table.

    Attributes:
        added: The greatest share of production's rows that may be added; None: any.
        removed: The same of rows removed.
        changed: The same of rows changed; needs a key.
        figures: The greatest relative change of a key figure; None: any.
        columns: Whether columns may appear, vanish or change their type, and tables come and go.
        warnings: Whether checks may have warned.
        drift: Whether columns may have drifted.
    """

    added: float | None = None
    removed: float | None = None
    changed: float | None = None
    figures: float | None = None
    columns: bool = True
    warnings: bool = True
    drift: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnouncementSpec:
    """To whom releases are announced.

    Attributes:
        folder: A file is created here for each release; empty: none.
        webhook: A URL that each release is posted to; empty: none. Its query may hold a secret, so it is not shown.
        token: Sent with it as a bearer token; empty: none.
        timeout: Seconds after which nobody waits any longer for an answer.
    """

    folder: str = ""
    webhook: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    timeout: float = 5.0

    def __bool__(self) -> bool:
        """Say whether there is anybody to tell."""
        return bool(self.folder or self.webhook)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentSpec:
    """The two roots of staging or production.

    Attributes:
        name: ``staging`` or ``production``.
        lake: Folder of the lake, or its URL in a bucket.
        warehouse: Path of the warehouse's DuckDB file; what is shown of a database.
        keep_releases: In production: how many releases keep their files.
        postgres: In production: the database that serves tables, in place of a DuckDB file.
    """

    name: str
    lake: str
    warehouse: str
    keep_releases: int = 5
    postgres: PostgresSpec | None = None
