"""The port of extraction: what every kind of source is to the rest of Penstock.

A batch, a stream and an API differ only behind this port. A ``Source`` opens an ``Extraction`` for one table; the
extraction yields batches and knows, once they are drained, the position from which the next one resumes. Nothing is
acknowledged at the far end before ``Extraction.commit``, which is called after the load is committed to the lake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from penstock.errors import PenstockError
from penstock.model.figures import Figures
from penstock.model.interval import Interval
from penstock.model.specs import ConnectionSpec, SourceSpec, SourceTable
from penstock.values import dataclass

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from penstock.stores.port import Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to read.

    Attributes:
        source: The table to read.
        connection: Its connection, secrets resolved; None for kinds that need none.
        interval: Read just this interval (half-open, UTC) of the column ``source.interval``.
        position: Where the newest accepted load stopped; None at first. The extractor subtracts ``source.lag`` and
            reads the boundary value again; landing drops what was landed before.
        root: The project's folder, against which relative paths are resolved.
        batch_bytes: About how many bytes a batch may hold in memory.
        engine: The DuckDB of the process, with the one bound of memory: who looks into data with DuckDB takes a session
            of it; None where nothing is landed.
        snapshot: Of PostgreSQL: the snapshot of another session, which is read; empty: one of its own.
        without_interval: Tell in ``notes`` how many rows belong to no interval; once per run is enough.
    """

    source: SourceSpec
    connection: ConnectionSpec | None = None
    interval: Interval | None = None
    position: Mapping[str, Any] | None = None
    root: str = "."
    batch_bytes: int = 16 * 2**20
    engine: Engine | None = None
    snapshot: str = ""
    without_interval: bool = True


@dataclass(frozen=True, slots=True)
class ArrowBatch:
    """Rows in memory.

    Attributes:
        data: The rows.
        origin: Where they came from, as (uri, detail).
        misfits: Lines met on the way to them that are no rows, with the columns that ``Scan.misfits`` yields.
    """

    data: pa.RecordBatch
    origin: tuple[str, Mapping[str, Any]]
    misfits: pa.RecordBatch | None = None


@dataclass(frozen=True, slots=True)
class Scan:
    """Rows that DuckDB reads by itself, in parallel, without passing through Python.

    Attributes:
        sql: A query over ``read_csv``, ``read_json`` or ``read_parquet``, values bound as ``?``; its row order is the
            order of the files and of the rows in them.
        values: The bound values.
        origins: File by file, in the order of the scan: (uri, detail).
        paths: What the file column calls each origin, in the order of the origins; empty: by its uri.
        file_column: Name of the column of ``sql`` that holds each row's file; landing counts rows by it and leaves it
            out.
        misfits: Called once, after ``sql`` was run, with the session that ran it and the number of its rows; yields
            the lines that are no rows, with the columns ``_reasons``, ``_line``, ``_origin`` and ``_origin_detail``.
            Raises DataError where they are too many.
        again: Called before ``sql`` is run once more, with the same session; forgets what the run before set aside.
        otherwise: Called where ``sql`` stopped, with the same session and the error, or where it ended, with None;
            gives the scan to run in its place where something was taken for granted that does not hold, else None.
        attach: Alias and path of a DuckDB file that ``sql`` reads; it is attached read-only as long as the scan lasts.
        rows: How many rows there will be, where that is known beforehand.
        remark: How the rows are written, and how sure that is.
        explain: Turns an error that DuckDB raised while it ran ``sql`` into a sentence that names file and line.
    """

    sql: str
    values: tuple[Any, ...] = ()
    origins: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    paths: tuple[str, ...] = ()
    file_column: str | None = None
    misfits: Callable[[duckdb.DuckDBPyConnection, int], Iterator[pa.RecordBatch]] | None = field(
        default=None, compare=False
    )
    again: Callable[[duckdb.DuckDBPyConnection], None] | None = field(default=None, compare=False)
    otherwise: Callable[[duckdb.DuckDBPyConnection, BaseException | None], Scan | None] | None = field(
        default=None, compare=False
    )
    attach: tuple[str, str] | None = None
    rows: int | None = None
    remark: str = ""
    explain: Callable[[Exception], PenstockError] | None = field(default=None, compare=False)


Batch = ArrowBatch | Scan


def byte_size(data: pa.RecordBatch | pa.Table) -> int:
    """Return about how many bytes rows hold in memory; of types that Arrow cannot measure, all that they refer to."""
    try:
        return int(data.nbytes)
    except NotImplementedError:
        return int(data.get_total_buffer_size())


class Extraction(Protocol):
    """One reading of one table. Drain ``batches`` first, then ask for ``position``."""

    @property
    def schema(self) -> pa.Schema | None:
        """The columns, where the source knows them before the first row (an empty table keeps its types)."""
        ...

    def batches(self) -> Iterator[Batch]:
        """Yield the rows. An error of the source is raised as TransientError, ConfigurationError or DataError."""
        ...

    def position(self) -> Mapping[str, Any] | None:
        """Return the state after the last batch, as JSON; None leaves the former position standing."""
        ...

    def notes(self) -> tuple[str, ...]:
        """Return sentences for the user about what was met on the way."""
        ...

    def commit(self) -> None:
        """Tell the far end that everything is durable. Called once, after the lake's commit; a failure is no loss."""
        ...

    def close(self) -> None:
        """Release connections and temporary files. Called always, also after a failure."""
        ...


@dataclass(frozen=True, slots=True)
class SourceFigures:
    """What a source says, by its own engine, of the rows it was asked for.

    Attributes:
        figures: The figures, by the names of the columns at the source.
        snapshot: True where they are of the very moment that the rows were read at, and the rows are the same however
            often they are asked for; a difference is then a fault, and the load is rejected.
    """

    figures: Figures
    snapshot: bool


@runtime_checkable
class Figured(Protocol):
    """What an ``Extraction`` is besides, whose source can count and sum by itself. Others need not have it."""

    def figures(self) -> SourceFigures | None:
        """Return the figures that ``source.reconcile`` asks for, or None; called once, when the rows are drained.

        What goes wrong in it must not end the load: it is told by ``notes``.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TableDescription:
    """What ``scope`` says of one table, file group or endpoint.

    Attributes:
        name: Its name at the source.
        columns: Name to type as the source spells it.
        rows: How many, or None where counting would mean reading all.
        estimated: True where ``rows`` is what the source guesses, and was not counted.
        bytes: Size, where known.
        key: Columns of the primary key.
        cursors: Columns that could serve as a cursor.
        pattern: ``batch``, ``incremental``, ``interval``, ``stream`` or ``api``.
        reason: Why that pattern fits.
        remarks: What looks personal, malformed or late.
        suggestion: A line of Python that declares it as a source.
        children: What the child tables of ``nested="tables"`` would add to the name of its table, as ``__items``.
    """

    name: str
    columns: Mapping[str, str] = field(default_factory=dict)
    rows: int | None = None
    estimated: bool = False
    bytes: int | None = None
    key: tuple[str, ...] = ()
    cursors: tuple[str, ...] = ()
    pattern: str = "batch"
    reason: str = ""
    remarks: tuple[str, ...] = ()
    suggestion: str = ""
    children: tuple[str, ...] = ()


class Schema(Protocol):
    """A kind of source with many tables."""

    def tables(self, request: Request) -> tuple[SourceTable, ...]:
        """Return the tables and views that the user may read, sorted by name; nothing is counted or sampled."""
        ...


class Source(Protocol):
    """A kind of source. Constructed without arguments; holds no connection between calls."""

    def open(self, request: Request) -> Extraction | None:
        """Begin to read; None says that nothing has changed since ``request.position``.

        Raises:
            ConfigurationError: A table, column or option that the source does not know; the password is refused.
            TransientError: The source is down or slow.
        """
        ...

    def describe(self, request: Request) -> tuple[TableDescription, ...]:
        """Say what can be read at the connection; ``request.source`` narrows it where it names a table or path."""
        ...
