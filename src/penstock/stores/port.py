"""The ports of the places where data rests: objects, lake tables, the warehouse.

How a place works stays behind these; no path rule of a stage, no business of a pipeline may leak in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

from penstock.model.entries import Column, DataFile, Entry
from penstock.queries.relations import FileSet
from penstock.values import dataclass

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


CONDITION = "_store/create-only.json"
"""An object that is created twice, to learn whether a store refuses the second time."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """An object below a root: path with forward slashes, size in bytes, modification time in seconds."""

    path: str
    bytes: int
    modified: float


class Objects(Protocol):
    """Named bytes below one root: a folder, or a prefix in a bucket.

    Attributes:
        root: The folder or URL, for messages.
    """

    root: str

    def get(self, path: str) -> bytes:
        """Return the bytes; raises NotFoundError."""
        ...

    def expect(self, paths: Sequence[str]) -> None:
        """Hear that some small objects will be asked for, which are never replaced and need not be there."""
        ...

    def create(self, path: str, data: bytes) -> None:
        """Write a new object, durable and whole before it is visible; raises AlreadyExistsError if it is there."""
        ...

    def replace(self, path: str, data: bytes) -> None:
        """Write an object atomically over whatever is there. Only for pointers, as ``releases/current``."""
        ...

    def exists(self, path: str) -> bool:
        """Say whether the object is there."""
        ...

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield all objects whose path begins with ``prefix``, in the order of their paths."""
        ...

    def remove(self, path: str) -> None:
        """Delete an object; quiet if it is not there."""
        ...

    def adopt(self, source: str, path: str) -> None:
        """Bring a file of this machine under ``path`` without rewriting it: linked if possible, else copied; durable.

        Quiet if an object of the same size is there already; any other is replaced.
        """
        ...

    def take(self, source: Objects, name: str, path: str) -> None:
        """Bring an object of another root under ``path`` as ``adopt`` does; a store copies within itself."""
        ...

    def info(self, path: str) -> ObjectInfo | None:
        """Return what is known of an object; None if it is not there."""
        ...

    def holds(self, folder: str = "") -> bool:
        """Say whether a folder is there, or anything below it; without a name: the root."""
        ...

    def folders(self) -> tuple[str, ...]:
        """Return the names of the folders right below the root, sorted."""
        ...

    def uri(self, path: str) -> str:
        """Return what DuckDB and Arrow can write as this object; makes the folder. ``publish`` makes it the object."""
        ...

    def place(self, path: str) -> str:
        """Return where on this machine the object is, once ``reading`` has brought it here; touches nothing."""
        ...

    def reading(self, paths: Sequence[str], sizes: Sequence[int] = ()) -> tuple[str, ...]:
        """Return what DuckDB and Arrow read as these objects, several brought here at a time.

        Args:
            paths: Immutable objects.
            sizes: Their bytes where these are known, else 0: a copy of that size is not compared with the object.

        Raises:
            NotFoundError: One is not there. (Of plain files whoever reads them says so.)
        """
        ...

    def forget(self, paths: Sequence[str]) -> None:
        """Delete what lies on this machine beside the objects: copies, and files that were never published."""
        ...

    def discard(self, paths: Sequence[str]) -> None:
        """Delete objects, several at a time, and the folders that are empty then; quiet about what is not there."""
        ...

    def publish(self, paths: Sequence[str]) -> None:
        """Make what was written at ``uri`` the objects; durable when this returns. Quiet about what was published."""
        ...

    def seal(self, path: str) -> None:
        """Make an object durable that a library wrote by itself."""
        ...

    def url(self, path: str) -> str:
        """Return what people are shown and give to other tools."""
        ...

    def delta(self, table: str) -> tuple[str, dict[str, str] | None]:
        """Return what deltalake opens as a table, and its ``storage_options``, which may hold secrets."""
        ...


class LakeTable(Protocol):
    """One Delta table and its sequence of entries.

    Order of a commit: (1) data files, (2) ``_manifests/{n}.json`` create-only, (3) one Delta commit whose application
    transaction carries n. An entry counts from (3) on; committed is what is reachable from the number in the log by
    ``previous``.
    """

    name: str

    def head(self) -> int:
        """Return the number of the newest committed entry; 0 for none. Reads the log afresh."""
        ...

    def entry(self, number: int) -> Entry:
        """Return one entry; raises NotFoundError."""
        ...

    def entries(self, after: int = 0) -> Iterator[Entry]:
        """Yield the committed entries with a greater number than ``after``, oldest first."""
        ...

    def next_number(self) -> int:
        """Return the number that a new entry would get: past the head and past any manifest left by a crash."""
        ...

    def commit(self, entry: Entry, partition_by: Sequence[str] = (), ready: Callable[[], None] | None = None) -> Entry:
        """Commit an entry whose data files are written; ``previous`` is filled in.

        The Delta schema follows ``entry.schema`` (stored types): new columns are added, types only change where
        ``removed`` empties the table first.

        Args:
            entry: With ``number`` from ``next_number``.
            partition_by: The partition columns, for the first commit of the table.
            ready: Called before the log names the entry: waits until what it rests on is durable, if it may not be yet.

        Returns:
            The entry as committed.

        Raises:
            ConflictError: The number is taken or the log moved; reload, renumber, try again.
            StaleWriterError: The head was committed under a greater fence.
        """
        ...

    def columns(self) -> tuple[Column, ...]:
        """Return the columns as the newest load, version or change of types left them; empty for a new table.

        Files of older loads hold the types that these say.
        """
        ...

    def live(self) -> tuple[DataFile, ...]:
        """Return the files that a Delta reader sees, from the log (rows, bytes and partition filled in)."""
        ...

    def uri(self, path: str) -> str:
        """Return what DuckDB writes as a file of this table; makes the folder. The commit makes it an object."""
        ...

    def place(self, path: str) -> str:
        """Return where on this machine a file is, or was; makes no folder and brings nothing here."""
        ...

    def places(self, files: Sequence[DataFile]) -> tuple[str, ...]:
        """Return what DuckDB reads as files that are there, several brought to this machine at a time."""
        ...

    def reading(self, files: Sequence[DataFile], excluded: str | None = None) -> FileSet:
        """Return how files of committed entries are read, also where a compaction has replaced them.

        Args:
            files: The files, in the order of their rows.
            excluded: What DuckDB reads as the quarantine file of these rows.
        """
        ...


class Lake(Protocol):
    """A root with lake tables and, beside them, create-only objects."""

    objects: Objects

    def table(self, name: str) -> LakeTable:
        """Return a table; it need not exist yet."""
        ...

    def tables(self) -> tuple[str, ...]:
        """Return the names of the tables that have at least one committed entry, sorted."""
        ...


class Engine(Protocol):
    """The local DuckDB that lands, checks, merges and joins, within one bound of memory for the whole process."""

    def session(self, *, plain: bool = False) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        """Lend a connection of its own to one thread; temporary objects vanish at the end.

        Args:
            plain: No JSON of the lake is read, so that the function may be missing which its long texts take. It costs
                a process an import of numpy.
        """
        ...

    def trust_json(self) -> None:
        """Have that function from now on in every session whose transaction begins later, also in those lent before."""
        ...

    def lent(self, size: int) -> AbstractContextManager[None]:
        """Leave some bytes of the engine's memory to somebody else for a while."""
        ...

    def alone(self, wanted: bool) -> AbstractContextManager[None]:
        """Let one thread work at a time, if wanted: each holds what it reads, which very long values make too much."""
        ...


class Asked(Protocol):
    """Who is asked about the rows that are checked, in DuckDB's SQL: DuckDB, or Spark behind the same."""

    @property
    def description(self) -> Any:
        """The columns of what was asked last."""
        ...

    def execute(self, query: str) -> Asked:
        """Run one statement: a query, or one that makes or drops a temporary table."""
        ...

    def fetchall(self) -> list[Any]:
        """Return the rows of what was asked last."""
        ...

    def sql(self, query: str) -> AskedRelation:
        """Return what a query gives."""
        ...

    def register(self, view_name: str, python_object: pa.Table) -> object:
        """Make an Arrow table visible to queries."""
        ...

    def unregister(self, view_name: str) -> object:
        """Forget such a table."""
        ...


class AskedRelation(Protocol):
    """What a query gives, as Arrow."""

    def to_arrow_table(self) -> pa.Table:
        """Return all of it."""
        ...

    def to_arrow_reader(self, batch_size: int) -> pa.RecordBatchReader:
        """Return it in batches of at most so many rows."""
        ...


PORTION = "_penstock_portion"
"""The name by which a ``Partial`` calls the rows of its portion."""
ANSWERS = "_penstock_answers"
"""The name by which it calls what all portions answered."""


@dataclass(frozen=True, slots=True)
class Partial:
    """A question that portions of the rows are asked apart.

    Attributes:
        part: DuckDB's SQL over ``PORTION``. Asked of all rows at once, it is the answer.
        whole: The SQL over ``ANSWERS`` that makes one answer of those to ``part``, with the same columns.
    """

    part: str
    whole: str


class Answerer(Asked, Protocol):
    """Who answers queries of DuckDB without being DuckDB."""

    def gathered(self, relation: str, asked: Sequence[Partial]) -> list[list[tuple[Any, ...]]]:
        """Return the rows that answer each question about the rows of a relation."""
        ...

    def translatable(self, query: str) -> None:
        """See to it that a query can be answered; nothing is read.

        Raises:
            ConfigurationError: It holds what has no form there that would surely mean the same.
        """
        ...


class ScaleOut(Protocol):
    """An engine on other machines, which reads the files of the lake by itself."""

    def asked(self, connection: duckdb.DuckDBPyConnection) -> AbstractContextManager[Answerer]:
        """Lend who answers in the place of a connection, which sees the files and tables that queries name."""
        ...


class Warehouse(Protocol):
    """The SQL database that serves tables."""

    path: str

    def writing(self, *, plain: bool = False) -> AbstractContextManager[WarehouseTransaction]:
        """Open for one transaction, under a file lock that waits with a message; an error rolls it back.

        Args:
            plain: No long JSON of the lake is read; if some is all the same, it takes more memory.
        """
        ...

    def reading(self) -> AbstractContextManager[WarehouseTransaction]:
        """Open for reading, under the same lock."""
        ...


class WarehouseTransaction(Protocol):
    """An open transaction. Tables of the warehouse are plain names in ``sql``.

    Attributes:
        connection: The session that it is open in.
        remembered: What those who work in it have read and need not read again, by what it is; it ends with it.
    """

    connection: duckdb.DuckDBPyConnection
    remembered: dict[str, Any]

    def execute(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement with bound values and return its rows."""
        ...

    def columns(self, table: str) -> tuple[Column, ...] | None:
        """Return the columns of a table in order, or None if there is no such table."""
        ...

    def tables(self) -> tuple[str, ...]:
        """Return the names of the tables, sorted; without Penstock's own."""
        ...

    def at_last(self, work: Callable[[], None]) -> None:
        """Have something done right before the transaction is committed."""
        ...

    def keeps(self, record: str) -> bool:
        """Say whether there is a table of Penstock's own, as ``_penstock.loads``."""
        ...

    def applied(self, table: str) -> int:
        """Return the number of the newest entry recorded as applied to the table; 0 for none."""
        ...

    def record(self, table: str, number: int, facts: Mapping[str, Any]) -> None:
        """Record, within the transaction, that everything up to the entry is applied."""
        ...
