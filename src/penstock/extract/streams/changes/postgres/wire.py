"""A replication connection: commands, the stream of messages, and word of how far it is safe.

libpq does the talking, by psycopg's ``pq``. While a micro-batch is landed nobody asks for messages, and a thread goes
on taking some of the next, so that the server need not wait, and telling it that somebody is there: it would end the
connection after ``wal_sender_timeout``. What was taken ahead counts for nothing before it is landed.
"""

from __future__ import annotations

import select
import struct
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Any

from penstock.extract.streams.changes.postgres.messages import HEAD
from penstock.values import dataclass

if TYPE_CHECKING:
    from psycopg.pq.abc import PGconn, PGresult

_SETTINGS = {
    "timezone": "UTC",
    "datestyle": "ISO",
    "intervalstyle": "postgres",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "lc_monetary": "C",
}
"""What makes the text of a value the same on every server."""
_EPOCH = 946_684_800
"""Seconds from 1970 to 2000, from which PostgreSQL counts."""
_EVERY = 5.0
"""Seconds between two words to the server, or a third of those that it waits for one."""
_AHEAD = 16 * 2**20
"""Bytes of messages that are taken ahead."""
_CHUNK = 2**20
"""Bytes of messages that are handed out together, at least where so many wait."""
_LOOK = 0.1
"""Seconds after which a wait for messages looks whether it is to end."""
_KEEPALIVE = 0x6B
_ALIVE = struct.Struct(">cqqqqc")
_SAID = struct.Struct(">xqq?")


@dataclass(slots=True)
class Frames:
    """Messages as they came, each with 25 bytes before it of which nothing is needed.

    Attributes:
        data: The messages, one behind the other: a million objects would take more time than what they hold.
        sizes: How many bytes each has.
        end: Every transaction that was committed before it has come; 0: the server did not say.
    """

    data: bytearray = field(default_factory=bytearray)
    sizes: list[int] = field(default_factory=list)
    end: int = 0

    def add(self, more: Frames) -> None:
        """Put others behind them."""
        if self.sizes:
            self.data += more.data
            self.sizes += more.sizes
        else:
            self.data, self.sizes = more.data, more.sizes
        self.end = max(self.end, more.end)

    def until(self, kind: int) -> int:
        """Return how many there are up to the last one of a kind."""
        at = len(self.data)
        for place in range(len(self.sizes), 0, -1):
            at -= self.sizes[place - 1]
            if self.data[at + HEAD] == kind:
                return place
        return 0

    def split(self, count: int) -> tuple[bytes, list[int]]:
        """Take out the first ones; returns them, and how many bytes each has."""
        at = sum(self.sizes[:count])
        taken = bytes(memoryview(self.data)[:at]), self.sizes[:count]
        del self.data[:at], self.sizes[:count]
        return taken


class Wire:
    """One connection; used by one thread, beside its own that takes messages ahead.

    Args:
        target: The connection string, with secrets.
    """

    def __init__(self, target: str) -> None:
        from psycopg import conninfo, pq

        options = " ".join(f"-c {name}={value}" for name, value in _SETTINGS.items())
        found = conninfo.make_conninfo(target, replication="database", options=options)
        self._lock = threading.Lock()
        self._connection: PGconn = pq.PGconn.connect(found.encode())
        if self._connection.status != pq.ConnStatus.OK:
            raise self._failure()
        self._every = _EVERY
        self._safe = 0
        self._received = 0
        self._ahead: deque[Frames] = deque()
        self._failed: Exception | None = None
        self._changed = threading.Condition()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def command(self, sql: str) -> list[tuple[str, ...]]:
        """Run a command; returns its rows as texts, nulls as empty ones."""
        from psycopg import pq

        with self._lock:
            result = self._connection.exec_(sql.encode())
            if result.status not in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK):
                raise self._failure(result)
            return [
                tuple((result.get_value(row, column) or b"").decode() for column in range(result.nfields))
                for row in range(result.ntuples)
            ]

    def start(self, slot: str, since: int, options: Sequence[tuple[str, str]]) -> None:
        """Begin to receive what a slot has from a position on."""
        from psycopg import pq

        from penstock.queries.text import literal

        told = ", ".join(f"{name} {literal(value)}" for name, value in options)
        ((patience,),) = self.command("SELECT setting FROM pg_settings WHERE name = 'wal_sender_timeout'")
        if int(patience):
            self._every = min(_EVERY, int(patience) / 3000)
        with self._lock:
            self._connection.send_query(f'START_REPLICATION SLOT "{slot}" LOGICAL {shown(since)} ({told})'.encode())
            while self._connection.flush():
                select.select([], [self._connection.socket], [], 1.0)
            result = self._connection.get_result()
            if result is None or result.status != pq.ExecStatus.COPY_BOTH:
                raise self._failure(result)
        self._safe = self._received = since
        self._thread = threading.Thread(target=self._read_ahead, daemon=True, name="replication")
        self._thread.start()

    def receive(self, most: int, wait: float) -> Frames:
        """Return messages that are there, about ``most`` bytes; wait ``wait`` seconds for the first."""
        found = Frames()
        with self._changed:
            self._changed.wait_for(lambda: self._ahead or self._failed, wait)
            while self._ahead and len(found.data) < most:
                found.add(self._ahead.popleft())
            self._changed.notify_all()
            if self._failed is not None and not found.sizes:
                raise self._failed
        return found

    def confirm(self, position: int) -> None:
        """Tell the server that everything before a position is durable here."""
        self._safe = max(self._safe, position)
        self._tell()

    def ask(self) -> None:
        """Ask the server how far it has read; the answer comes among the messages."""
        self._tell(reply=True)

    def close(self) -> None:
        """End the connection; quiet."""
        self._stopped.set()
        with self._changed:
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()
        with self._lock:
            self._connection.finish()

    def _take(self, most: int) -> Frames:
        """Take what has come, about ``most`` bytes."""
        found, last, looked = Frames(), 0, False
        get, data, sizes = self._connection.get_copy_data, found.data, found.sizes
        while len(data) < most:
            length, frame = get(1)
            if length > 0:
                looked = False
                if frame[0] == _KEEPALIVE:
                    found.end = self._heard(frame)
                    continue
                last = len(data)
                data += frame
                sizes.append(length)
            elif length < 0:
                raise self._failure(self._connection.get_result())
            elif looked:
                break
            else:
                self._connection.consume_input()
                looked = True
        if sizes:
            self._received = max(self._received, int.from_bytes(data[last + 9 : last + 17], "big"))
        return found

    def _heard(self, frame: Any) -> int:
        end, _, wanted = _SAID.unpack(frame)
        self._received = max(self._received, end)
        if wanted:
            self._put(reply=False)
        return int(end)

    def _tell(self, *, reply: bool = False) -> None:
        with self._lock:
            self._put(reply=reply)

    def _put(self, *, reply: bool) -> None:
        now = int((time.time() - _EPOCH) * 1_000_000)
        self._connection.put_copy_data(
            _ALIVE.pack(b"r", self._received, self._safe, self._safe, now, b"\1" if reply else b"\0")
        )
        self._connection.flush()

    def _read_ahead(self) -> None:
        """Take messages as long as there is room for them, and tell the server now and then that somebody is there."""
        told = time.monotonic()
        try:
            while not self._stopped.is_set():
                with self._changed:
                    room = sum(len(each.data) for each in self._ahead) < _AHEAD
                    if not room:
                        self._changed.wait(_LOOK)
                if room:
                    with self._lock:
                        found = self._take(_CHUNK)
                        descriptor = self._connection.socket
                    self._keep(found)
                    if len(found.data) < _CHUNK:
                        select.select([descriptor], [], [], _LOOK)
                if time.monotonic() - told >= self._every:
                    self._tell()
                    told = time.monotonic()
        except Exception as error:
            # Whoever reads next hears of it.
            with self._changed:
                self._failed = error
                self._changed.notify_all()

    def _keep(self, found: Frames) -> None:
        """Keep messages for whoever receives, few pieces of them."""
        if not found.sizes and not found.end:
            return
        with self._changed:
            if self._ahead and len(self._ahead[-1].data) + len(found.data) <= _CHUNK:
                self._ahead[-1].add(found)
            else:
                self._ahead.append(found)
            self._changed.notify_all()

    def _failure(self, result: PGresult | None = None) -> Exception:
        """Return the error of the connection, or of a result, as psycopg would raise it."""
        import psycopg
        from psycopg import pq

        if result is not None:
            state = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
            text = result.error_message.decode(errors="replace").strip()
            if state:
                return psycopg.errors.lookup(state)(text)
            if text:
                return psycopg.OperationalError(text)
        text = self._connection.error_message.decode(errors="replace").strip()
        return psycopg.OperationalError(text or "server closed the connection unexpectedly")


def shown(position: int) -> str:
    """Return a position as PostgreSQL writes it: ``16/B374D848``."""
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"


def parsed(text: str) -> int:
    """Return the position that PostgreSQL wrote."""
    high, _, low = text.partition("/")
    return (int(high, 16) << 32) + int(low, 16)
