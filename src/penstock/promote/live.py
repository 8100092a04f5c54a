"""Live tables: what a stream writes straight to production, beside the releases.

A live table is a Delta table of production's lake. Step by step: (1) the rows of accepted loads are written as a
file, (2) one commit adds it and says up to which load of the raw zone the table goes, (3) the file that readers of
DuckDB open is exchanged, or the rows are written to PostgreSQL. A crash before (2) leaves a file that nothing names,
and the same loads are published again; after it they count, and the next process of the stream does (3). Small files
are written together, a level at a time, so that a table of many micro-batches has few.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Protocol

import duckdb

from penstock.errors import ConflictError, StaleWriterError
from penstock.model.entries import Column, DataFile, Entry, EntryKind, InputVersion, Work
from penstock.names import moment
from penstock.queries.text import identifier
from penstock.schema import store
from penstock.stores import parquet
from penstock.stores.live_files import LiveShape, LiveState
from penstock.stores.port import Engine, LakeTable
from penstock.stores.release_tables import rows_of, stored_rows
from penstock.values import dataclass

FAN = 16
"""Files of one level that are written together as one of the next."""
LARGEST = 64 * 2**20
"""Bytes from which on a file stays as it is."""
_LEAST = 256 * 2**10
_LOADS = "loads"
_WITHDRAWN = "withdrawn"
_BORN = "born"
_TURN = "turn"
_MADE_FROM = "made_from"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fresh:
    """The rows of loads that are to become readable.

    Attributes:
        query: A SELECT of them in their stored forms, upon ``connection``.
        connection: Where it can be asked.
        loads: The numbers of the loads, ascending.
        source: Their lake table.
        whole: They stand in the place of all that were there.
    """

    query: str
    connection: duckdb.DuckDBPyConnection
    loads: Sequence[int]
    source: str
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows that were computed, and are to become readable.

    Attributes:
        query: A SELECT of them in their stored forms, upon ``connection``.
        connection: Where it can be asked.
        made_from: What the table was computed from, once they are in it.
        whole: They stand in the place of all that were there.
    """

    query: str
    connection: duckdb.DuckDBPyConnection
    made_from: str
    whole: bool


class LiveFace(Protocol):
    """Who lets readers of production's warehouse see what the lake's live tables show.

    See ``penstock.stores.live_files`` and ``penstock.stores.postgres.live``.
    """

    def serve(self, state: LiveState) -> None:
        """Let readers see a table as it is; the same call again changes nothing."""
        ...

    def close(self) -> None:
        """Let go of what it holds."""
        ...


@dataclass(frozen=True, slots=True)
class LivePorts:
    """Where a live table stands.

    Attributes:
        table: The table of production's lake.
        engine: The local DuckDB.
        face: Who shows it to readers; None where they have the lake alone.
    """

    table: LakeTable
    engine: Engine
    face: LiveFace | None


class LiveTable:
    """One live table, written by one process at a time.

    Args:
        ports: Where it stands.
        run: The run that writes it.

    Raises:
        ConflictError: A release has a table of that name.
    """

    def __init__(self, ports: LivePorts, run: str) -> None:
        self._ports = ports
        self._run = run
        self._table = ports.table
        head = self._table.head()
        self._head = self._table.entry(head) if head else None
        self._fresh: tuple[DataFile, ...] = ()
        self._since = self.published
        if self._head is not None and not _is_live(self._head):
            raise ConflictError(
                f"Production has a table {self._table.name!r} that comes with releases",
                remedy="Give the live table another name",
            )

    @property
    def published(self) -> int:
        """The newest load of the raw zone that was published, or withdrawn since; 0 for none."""
        return int(_position(self._head).get(_LOADS, 0))

    @property
    def columns(self) -> tuple[Column, ...]:
        """Its columns, in the order of their coming."""
        return self._head.schema if self._head is not None else ()

    @property
    def made_from(self) -> str:
        """What its rows were computed from; empty: that is not known, or they were not computed."""
        return str(_position(self._head).get(_MADE_FROM, ""))

    @property
    def newest(self) -> bool:
        """Whether nobody else has written the table since."""
        return self._table.head() == (self._head.number if self._head is not None else 0)

    @property
    def standing(self) -> str:
        """A SELECT of the rows of all its files, hidden columns and replaced rows among them; empty: there is none."""
        files = self._table.live()
        return rows_of(self.columns, self._table.places(files)) if files else ""

    @property
    def withdrawn(self) -> list[list[int]]:
        """First and last numbers of the loads that were rolled back."""
        return [list(pair) for pair in _position(self._head).get(_WITHDRAWN, [])]

    @property
    def rows(self) -> int:
        """Rows in the table's files."""
        return self._head.rows if self._head is not None else 0

    def publish(self, fresh: Fresh, shape: LiveShape, at: datetime, fence: int) -> None:
        """Add the rows of loads; readers see them once they are served.

        Raises:
            StaleWriterError: A successor has taken over.
            TransientError: The disk is full.
        """
        written, before = self._write(fresh.connection, fresh.query, shape.columns, at), self.published
        added = (written,) if written.rows else ()
        position: dict[str, Any] = {_LOADS: max(fresh.loads)}
        if fresh.whole:
            position[_TURN] = self._turn + 1
        self._commit(
            _Commit(
                added=added,
                removed=self._table.live() if fresh.whole else (),
                columns=shape.columns,
                position=position,
                inputs=tuple(InputVersion(table=fresh.source, number=number) for number in fresh.loads),
            ),
            at,
            fence,
        )
        self._fresh, self._since = added, before

    def put(self, rows: Rows, shape: LiveShape, at: datetime, fence: int) -> None:
        """Add rows that were computed, or let them stand in the place of all; readers see them once they are served.

        Raises:
            StaleWriterError: A successor has taken over.
            TransientError: The disk is full.
        """
        written, before = self._write(rows.connection, rows.query, shape.columns, at), self.published
        added = (written,) if written.rows else ()
        position: dict[str, Any] = {_LOADS: before + 1, _MADE_FROM: rows.made_from}
        if rows.whole:
            position[_TURN] = self._turn + 1
        removed = self._table.live() if rows.whole else ()
        self._commit(_Commit(added, removed, shape.columns, position), at, fence)
        self._fresh, self._since = added, before

    def retype(self, shape: LiveShape, at: datetime, fence: int) -> None:
        """Write all rows anew where a column has come to have another type, which Delta's files cannot mix."""
        now = {column.name.lower(): column for column in shape.columns}
        columns = tuple(now.get(column.name.lower(), column) for column in self.columns)
        same = all(
            (old.stored or old.type) == (new.stored or new.type) for old, new in zip(self.columns, columns, strict=True)
        )
        files = self._table.live()
        if same or not files:
            return
        wanted = ", ".join(
            f"{store(f'CAST({identifier(column.name)} AS {column.type})', column.type)} AS {identifier(column.name)}"
            for column in columns
        )
        rows = rows_of(self.columns, self._table.places(files))
        with self._ports.engine.session() as connection:
            written = self._write(connection, f"SELECT {wanted} FROM ({rows})", columns, at)
        self._commit(_Commit((written,), files, columns, {_TURN: self._turn + 1}), at, fence)

    def join_small(self, shape: LiveShape, at: datetime, fence: int) -> bool:
        """Write files of one level together, where there are enough; returns whether there were.

        Rows that another of their key has replaced are left out, unless they say that the key is gone: an older row
        may still come.
        """
        chosen = _of_one_level(self._table.live())
        if not chosen:
            return False
        rows = stored_rows(shape.columns, self._table.places(chosen))
        with self._ports.engine.session() as connection:
            written = self._write(connection, shape.newest(f"({rows})"), shape.columns, at)
        self._commit(_Commit((written,), tuple(chosen), shape.columns, {}), at, fence)
        self._fresh, self._since = (), self.published
        return True

    def keep(self, fresh: Fresh | None, shape: LiveShape, change: Withdrawal, fence: int) -> None:
        """Replace all rows by those of some loads, which are all that stand after a rollback.

        Args:
            fresh: The rows; None: none.
            shape: What they are.
            change: What is withdrawn, and why.
            fence: Of the lease.
        """
        added: tuple[DataFile, ...] = ()
        if fresh is not None:
            query = shape.newest(f"({fresh.query})")
            written = self._write(fresh.connection, query, shape.columns, change.at)
            added = (written,) if written.rows else ()
        position = {_LOADS: self.published, _WITHDRAWN: change.loads, _TURN: self._turn + 1}
        removed = self._table.live()
        self._commit(_Commit(added, removed, shape.columns, position, reason=change.reason), change.at, fence)

    def serve(self, shape: LiveShape) -> None:
        """Let readers of production's warehouse see what the lake shows.

        Raises:
            StaleWriterError: A successor has taken over.
            TransientError: The disk is full, or the server away; the same call again goes on.
        """
        if self._ports.face is None or self._head is None:
            return
        table, head, fresh = self._table, self._head, self._fresh
        self._ports.face.serve(
            LiveState(
                table=table.name,
                shape=shape,
                lake=str(_position(head).get(_BORN, "")),
                entry=head.number,
                turn=self._turn,
                loads=self.published,
                fresh=lambda: table.places(fresh),
                since=self._since,
                files=lambda: table.places(table.live()),
                newest=lambda: self.newest,
            )
        )

    def close(self) -> None:
        """Let go of what shows the table."""
        if self._ports.face is not None:
            self._ports.face.close()

    @property
    def _turn(self) -> int:
        """How often its rows were replaced."""
        return int(_position(self._head).get(_TURN, 0))

    def _write(
        self, connection: duckdb.DuckDBPyConnection, query: str, columns: Sequence[Column], at: datetime
    ) -> DataFile:
        path = f"part-{moment(at)}-{secrets.token_hex(4)}.parquet"
        types = {column.name: column.stored or column.type for column in columns if not column.personal}
        written = parquet.write(connection, query, self._table.uri(path), types)
        return DataFile(path=path, rows=written.rows, bytes=written.bytes, statistics=written.statistics)

    def _commit(self, commit: _Commit, at: datetime, fence: int) -> None:
        number, known = self._table.next_number(), self._head.number if self._head is not None else 0
        if self._table.head() != known:
            # Between this look and the commit, the number would be taken.
            raise StaleWriterError(
                f"Another process has written the live table {self._table.name} since entry {known}",
                remedy="This one stops; begin again, and it goes on from there",
            )
        entry = Entry(
            table=self._table.name,
            number=number,
            previous=None,
            kind=EntryKind.VERSION,
            created_at=at,
            run=self._run,
            fence=fence,
            files=commit.added,
            removed=tuple(file.path for file in commit.removed),
            schema=tuple(commit.columns),
            rows=self.rows + sum(file.rows for file in commit.added) - sum(file.rows for file in commit.removed),
            work=Work(position={_BORN: secrets.token_hex(8), **_position(self._head), **commit.position}),
            reason=commit.reason,
            inputs=commit.inputs,
        )
        try:
            self._head = self._table.commit(entry)
        except StaleWriterError:
            raise
        except ConflictError as error:
            raise StaleWriterError(
                error.what, remedy="This one stops; begin again, and it goes on from there"
            ) from error


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A rollback of a live table.

    Attributes:
        loads: First and last numbers of all loads that are withdrawn now.
        reason: Who asked for it, and why.
        at: When.
    """

    loads: list[list[int]]
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class _Commit:
    added: tuple[DataFile, ...]
    removed: tuple[DataFile, ...]
    columns: Sequence[Column]
    position: dict[str, Any]
    inputs: tuple[InputVersion, ...] = ()
    reason: str = ""


def is_live(table: LakeTable) -> bool:
    """Say whether a table of production's lake is live, and no release's."""
    head = table.head()
    return bool(head) and _is_live(table.entry(head))


def _is_live(entry: Entry) -> bool:
    return _LOADS in _position(entry)


def _position(entry: Entry | None) -> dict[str, Any]:
    return dict((entry.work.position if entry is not None and entry.work is not None else None) or {})


def level(size: int) -> int:
    """Return the level of a file: files of one level are about equally large."""
    found = 0
    while size >= _LEAST and found < FAN:
        size //= FAN
        found += 1
    return found


def _of_one_level(files: Iterable[DataFile]) -> list[DataFile]:
    """Return the files of the lowest level that has enough of them, oldest first; empty where none has."""
    levels: dict[int, list[DataFile]] = {}
    for file in files:
        if file.bytes < LARGEST:
            levels.setdefault(level(file.bytes), []).append(file)
    for _, found in sorted(levels.items()):
        if len(found) >= FAN:
            return sorted(found, key=lambda file: file.path)
    return []
