"""Streaming rows out of PostgreSQL as Arrow: over one connection, or over several that share one snapshot.

Several connections each read ranges of physical blocks of the table. The ranges come out in their order, so that the
rows stand as one connection would have given them, and a reader ahead of its turn holds two batches at the most.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from ipaddress import ip_address
from typing import Any, Protocol

import pyarrow as pa

from penstock.errors import ConfigurationError
from penstock.extract.database.postgres.connection import BEGIN, SETTINGS, address
from penstock.extract.port import Request, byte_size
from penstock.queries.text import identifier, literal
from penstock.values import dataclass

_RANGES = 140000
"""The first version that finds a range of blocks without reading the whole table."""
_LEAST_BYTES = 64 * 2**20
"""A table of fewer bytes is read sooner than further connections are made."""
_CHUNK_BYTES = 16 * 2**20
_AHEAD = 2
_MOST = 4
_MOST_GIVEN = 64
_LARGE = 4 * _CHUNK_BYTES
"""Bytes of a batch with a very long value, beside which no other is read ahead."""
_OUTSIDE = 128 * 2**20
"""Bytes that a table has outside its blocks, from which on it is asked for its longest value."""
_STORED = """
SELECT pg_relation_size(c.oid), pg_table_size(c.oid), current_setting('block_size')::int8
FROM pg_class c JOIN pg_am a ON a.oid = c.relam
WHERE c.oid = {}::regclass AND c.relkind IN ('r', 'm') AND a.amname = 'heap'
"""
_COLUMNS = """
SELECT attname, atttypid IN ('text'::regtype, 'varchar'::regtype, 'bytea'::regtype)
FROM pg_attribute WHERE attrelid = {}::regclass AND attnum > 0 AND NOT attisdropped AND attlen = -1
"""


class Rows(Protocol):
    """Rows on their way."""

    schema: pa.Schema

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield them."""
        ...

    def close(self) -> None:
        """End the reading; quiet."""
        ...


def stream(request: Request, connection: Any, snapshot: str, statement: str, relation: str | None) -> Rows:
    """Begin to read a statement.

    Args:
        request: What is read.
        connection: A psycopg connection whose transaction exported the snapshot.
        snapshot: The exported snapshot.
        statement: The SELECT.
        relation: The table that the statement reads whole, whose blocks may be shared among connections; None for
            anything else.
    """
    readers = _readers(request, connection)
    ranges = _ranges(connection, relation) if relation is not None and readers > 1 else ()
    if len(ranges) > 1:
        return _Several(request, snapshot, [statement + condition for condition in ranges], statement, readers)
    return _Single(request, snapshot, statement)


class _Session:
    """A connection of ADBC within a snapshot; its batches are a share of what the request allows."""

    def __init__(self, request: Request, snapshot: str, share: int = 1) -> None:
        import adbc_driver_manager as manager
        import adbc_driver_postgresql

        self._bytes = max(1, request.batch_bytes // share)
        self._open = ExitStack()
        try:
            database = self._open.enter_context(adbc_driver_postgresql.connect(address(request)))
            self._connection = self._open.enter_context(manager.AdbcConnection(database))
            for statement in (*SETTINGS, BEGIN, f"SET TRANSACTION SNAPSHOT {literal(snapshot)}"):
                with manager.AdbcStatement(self._connection) as setting:
                    setting.set_sql_query(statement)
                    setting.execute_update()
        except BaseException:
            self.close()
            raise

    def read(self, statement: str, opened: ExitStack) -> pa.RecordBatchReader:
        """Run a query; what it holds is closed by ``opened``."""
        import adbc_driver_manager as manager

        query = opened.enter_context(manager.AdbcStatement(self._connection))
        query.set_options(**{"adbc.postgresql.batch_size_hint_bytes": str(self._bytes)})
        query.set_sql_query(statement)
        handle, _ = query.execute_query()
        reader = pa.RecordBatchReader._import_from_c(handle.address)  # noqa: SLF001 - the documented way in
        return opened.enter_context(reader)

    def cancel(self) -> None:
        """Stop the query that runs; quiet."""
        with suppress(Exception):
            self._connection.cancel()

    def close(self) -> None:
        """End the transaction; quiet."""
        with suppress(Exception):
            self._open.close()


class _Single:
    """One connection; a thread reads one batch ahead while the one before is written."""

    def __init__(self, request: Request, snapshot: str, statement: str) -> None:
        self._opened = ExitStack()
        try:
            session = _Session(request, snapshot)
            self._opened.callback(session.close)
            self._reader = session.read(statement, self._opened)
        except BaseException:
            self._opened.close()
            raise
        self._session = session
        self.schema = self._reader.schema
        self._chunk = _Chunk()
        self._thread: threading.Thread | None = None

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows."""
        self._thread = threading.Thread(target=self._chunk.fill, args=(lambda: self._reader,), daemon=True)
        self._thread.start()
        yield from self._chunk.drain()
        # The connection keeps the room that its longest message took, and landing goes on without it.
        self.close()

    def close(self) -> None:
        """End the reading; quiet."""
        self._chunk.stop()
        if self._thread is not None and self._thread.is_alive():
            self._session.cancel()
            self._thread.join()
        with suppress(Exception):
            self._opened.close()


@dataclass(slots=True)
class _End:
    """The last thing in a chunk: an error, or None."""

    error: BaseException | None = None


class _Chunk:
    """Batches of one range, handed from a thread to another, two at a time."""

    def __init__(self) -> None:
        self._queue: queue.Queue[pa.RecordBatch | _End] = queue.Queue(_AHEAD)
        self._stopped = threading.Event()

    def fill(self, begin: Any) -> None:
        """Put in what a reader gives; an error ends it and comes out at the other side."""
        end = _End()
        try:
            for batch in begin():
                large = byte_size(batch) >= _LARGE
                if not self._put(batch):
                    return
                del batch
                if large and not self._used_up():
                    return
        except BaseException as error:
            end = _End(error)
        self._put(end)

    def drain(self) -> Iterator[pa.RecordBatch]:
        """Yield what was put in; raises the error of the other side."""
        while True:
            found = self._queue.get()
            if not isinstance(found, _End):
                yield found
                del found
                self._queue.task_done()
            elif found.error is not None:
                raise found.error
            else:
                return

    def stop(self) -> None:
        """Let nobody wait any longer for room."""
        self._stopped.set()

    def _used_up(self) -> bool:
        """Wait until whoever takes the batches wants the next one; False where nobody does any more."""
        done = self._queue.all_tasks_done
        while not self._stopped.is_set():
            with done:
                if done.wait_for(lambda: not self._queue.unfinished_tasks, timeout=0.2):
                    return True
        return False

    def _put(self, item: pa.RecordBatch | _End) -> bool:
        while not self._stopped.is_set():
            try:
                self._queue.put(item, timeout=0.2)
            except queue.Full:
                continue
            return True
        return False


class _Several:
    """Some connections that share a snapshot; each reads the next range that nobody reads yet."""

    def __init__(self, request: Request, snapshot: str, statements: Sequence[str], whole: str, readers: int) -> None:
        share = min(readers, len(statements))
        self._statements = statements
        self._chunks = [_Chunk() for _ in statements]
        self._taken = 0
        self._lock = threading.Lock()
        self._room = threading.Semaphore(0)
        self._sessions: list[_Session] = []
        self._threads: list[threading.Thread] = []
        self._stopped = threading.Event()
        try:
            for _ in range(share):
                self._sessions.append(_Session(request, snapshot, share))
            for session in self._sessions:
                # Each locks the table against being rewritten: a rewritten one has other blocks.
                with ExitStack() as opened:
                    self.schema = session.read(f"{whole} LIMIT 0", opened).schema
        except BaseException:
            self.close()
            raise

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows, range after range."""
        for _ in range(len(self._sessions) + 1):
            self._room.release()
        for session in self._sessions:
            thread = threading.Thread(target=self._work, args=(session,), daemon=True)
            self._threads.append(thread)
            thread.start()
        for number, chunk in enumerate(self._chunks):
            yield from chunk.drain()
            self._chunks[number] = _Chunk()
            self._room.release()

    def close(self) -> None:
        """End the reading; quiet."""
        self._stopped.set()
        for chunk in self._chunks:
            chunk.stop()
        for _ in self._sessions:
            self._room.release()
        for session in self._sessions:
            if any(thread.is_alive() for thread in self._threads):
                session.cancel()
        for thread in self._threads:
            thread.join()
        for session in self._sessions:
            session.close()

    def _work(self, session: _Session) -> None:
        while True:
            # No range is begun long before its turn: what waits takes memory.
            self._room.acquire()
            with self._lock:
                number, self._taken = self._taken, self._taken + 1
            if self._stopped.is_set() or number >= len(self._statements):
                return
            with ExitStack() as opened:
                self._chunks[number].fill(lambda n=number, o=opened: session.read(self._statements[n], o))


def _readers(request: Request, connection: Any) -> int:
    """Return how many connections read a table: the connection's ``readers``, or the cores, four at the most.

    A server on this machine takes a core for each connection, which leaves half of them to us.
    """
    named = request.connection
    given = named.options.get("readers") if named is not None else None
    if given is None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return max(1, min(_MOST, cores // 2 if _here(connection) else cores))
    if isinstance(given, bool) or not isinstance(given, int) or not 1 <= given <= _MOST_GIVEN:
        raise ConfigurationError(
            f"readers of connection {named.name if named else ''!r} is no number of connections",
            value=given,
            valid=f"1 to {_MOST_GIVEN}",
        )
    return given


def _long_values(connection: Any, relation: str) -> bool:
    """Say whether a table holds so long values that two of them are not to be read at once.

    The server tells lengths without fetching the values. Of other types than texts and bytes it tells the length as
    stored, which may be a compressed one.
    """
    columns = connection.execute(_COLUMNS.format(literal(relation)).encode()).fetchall()
    lengths = [
        f"{'octet_length' if plain else 'pg_column_size'}({identifier(name)}) >= {_LARGE if plain else _LARGE // 8}"
        for name, plain in columns
    ]
    if not lengths:
        return False
    found = connection.execute(f"SELECT 1 FROM {relation} WHERE {' OR '.join(lengths)} LIMIT 1".encode())
    return found.fetchone() is not None


def _here(connection: Any) -> bool:
    """Say whether the server runs on this machine, as far as its address tells."""
    address = connection.info.hostaddr
    return not address or ip_address(address.partition("%")[0]).is_loopback


def _ranges(connection: Any, relation: str) -> list[str]:
    """Return the conditions of ranges of blocks that cover a table; none where it has no blocks, or few."""
    if connection.info.server_version < _RANGES:
        return []
    row = connection.execute(_STORED.format(literal(relation)).encode()).fetchone()
    if row is None:
        return []
    heap, total, block = row
    if total < _LEAST_BYTES or (total - heap >= _OUTSIDE and _long_values(connection, relation)):
        return []
    blocks = heap // block
    # Long values lie outside the blocks, so a block may stand for more bytes than it has.
    step = max(1, round(_CHUNK_BYTES / max(1, total / max(1, blocks))))
    bounds = list(range(0, blocks, step))
    found = []
    for place, first in enumerate(bounds):
        upper = f" AND ctid < '({bounds[place + 1]},0)'::tid" if place + 1 < len(bounds) else ""
        found.append(f" WHERE ctid >= '({first},0)'::tid{upper}")
    return found
