"""A connection as a replica has it: it asks for the binary log from some transactions on, and receives its events.

PyMySQL connects and proves who it is; the stream of packets is read here. The server waits for a reader that is busy
landing what came, as long as that takes. Checksums are compared and taken off, compressed events are opened.
"""

from __future__ import annotations

import select
import struct
import time
import zlib
from collections.abc import Iterator
from dataclasses import field
from typing import Any

import pyarrow as pa

from penstock.errors import DataError
from penstock.extract.database.mysql.source import connect
from penstock.model.specs import ConnectionSpec
from penstock.values import dataclass

HEAD = 19
"""Bytes of an event before its own: moment, type, server, size, where it ends, flags."""
ROTATE, DESCRIPTION, HEARTBEAT = 4, 15, 27
_HEADER = struct.Struct("<IBIIIH")
_REGISTER = 0x15
_CHUNK = 2**18
_WHOLE = 0xFFFFFF
"""The length of a packet that goes on in the next one."""
_PATIENCE = 31_536_000
"""Seconds that the server waits for a reader, at most."""
BEAT = 500_000_000
"""Nanoseconds without a change after which the server says how far all of them were sent."""
_SETTINGS = (
    f"SET SESSION net_write_timeout = {_PATIENCE}",
    f"SET SESSION wait_timeout = {_PATIENCE}",
)
_QUERY_COMPRESSED, _ROWS_COMPRESSED = 165, {166: 23, 167: 24, 168: 25}
_ROWS_MORE = {30: 23, 31: 24, 32: 25}
"""Events of rows as MySQL writes them, by those of MariaDB."""
_PAYLOAD = 40
"""A transaction of MySQL that is compressed as a whole."""
_PAYLOAD_SIZE, _PAYLOAD_CODEC, _PAYLOAD_WHOLE = 1, 2, 3


@dataclass(slots=True)
class Frames:
    """Events as they came, without checksums.

    Attributes:
        data: The events, each with its head.
        bytes: What they hold.
        heard: The file and the offset up to which everything was sent; empty: the server did not say.
    """

    data: list[bytes] = field(default_factory=list)
    bytes: int = 0
    heard: tuple[str, int] | None = None


class Wire:
    """One connection; used by one thread.

    Args:
        place: The connection.
        replica: The id by which the server tells its replicas apart.
    """

    def __init__(self, place: ConnectionSpec, replica: int) -> None:
        self._connection: Any = connect(place)
        self.replica = replica
        self._buffer = bytearray()
        self._long = bytearray()
        self._checked = False

    def register(self) -> None:
        """Show up among the server's replicas, which needs the right to be one."""
        named = b"".join(bytes([len(each)]) + each for each in (b"penstock", b"", b""))
        body = struct.pack("<I", self.replica) + named + struct.pack("<HII", 0, 0, 0)
        self.command(_REGISTER, body)
        self._connection._read_packet()  # noqa: SLF001 - PyMySQL knows no replicas

    def say(self, *statements: str) -> None:
        """Set what the server is to know before it sends events."""
        with self._connection.cursor() as cursor:
            for statement in (*_SETTINGS, *statements):
                cursor.execute(statement)

    def command(self, code: int, body: bytes) -> None:
        """Send a command; its answer is not read."""
        connection = self._connection
        connection._write_bytes(struct.pack("<I", len(body) + 1)[:3] + b"\0" + bytes([code]) + body)  # noqa: SLF001
        connection._next_seq_id = 1  # noqa: SLF001

    def receive(self, most: int, wait: float) -> Frames:
        """Return events that are there, about ``most`` bytes; wait ``wait`` seconds for the first."""
        found = Frames()
        deadline = time.monotonic() + wait
        while True:
            self._split(found)
            left = 0.0 if found.data or found.heard else max(0.0, deadline - time.monotonic())
            if found.bytes >= most or not self._fill(left):
                return found

    def close(self) -> None:
        """Close the connection without a word: nobody reads one."""
        self._connection._force_close()  # noqa: SLF001 - an orderly end would wait for the stream's

    def _fill(self, wait: float) -> bool:
        """Take what has come from the network; False: nothing did."""
        import pymysql

        socket = self._connection._sock  # noqa: SLF001 - packets are taken apart here
        pending = getattr(socket, "pending", None)
        if not (pending and pending()) and not select.select([socket], [], [], wait)[0]:
            return False
        data = socket.recv(_CHUNK)
        if not data:
            raise pymysql.err.OperationalError(2013, "the server closed the connection")
        self._buffer += data
        return True

    def _split(self, found: Frames) -> None:
        """Take whole packets out of the buffer."""
        buffer, at, size = self._buffer, 0, len(self._buffer)
        while at + 4 <= size:
            length = buffer[at] | buffer[at + 1] << 8 | buffer[at + 2] << 16
            end = at + 4 + length
            if end > size:
                break
            if length == _WHOLE or self._long:
                self._long += buffer[at + 4 : end]
                if length != _WHOLE:
                    self._event(bytes(self._long), found)
                    self._long.clear()
            else:
                self._event(bytes(buffer[at + 4 : end]), found)
            at = end
        if at:
            del buffer[:at]

    def _event(self, packet: bytes, found: Frames) -> None:
        if packet[0]:
            self._refused(packet)
        kind = packet[5]
        if kind == DESCRIPTION:
            self._checked = packet[-5] == 1
        elif kind == ROTATE and not any(packet[14:18]):
            # Made up by the server before the file itself says whether it has checksums.
            self._checked = zlib.crc32(memoryview(packet)[1:-4]) == int.from_bytes(packet[-4:], "little")
        end = len(packet)
        if self._checked or kind == DESCRIPTION:
            end -= 4
            if self._checked and zlib.crc32(memoryview(packet)[1:end]) != int.from_bytes(packet[end:], "little"):
                raise DataError(
                    "An event of the binary log came with a checksum that is not its own",
                    remedy="Read again; if it stays, look at its files: mysqlbinlog --verify-binlog-checksum",
                )
        frame = packet[1:end]
        if kind == HEARTBEAT:
            found.heard = (frame[HEAD:].decode(), int.from_bytes(frame[13:17], "little"))
        elif kind != DESCRIPTION:
            for each in _events(frame) if kind == _PAYLOAD else (frame,):
                found.data.append(_opened(each, each[4]))
                found.bytes += len(found.data[-1])

    def _refused(self, packet: bytes) -> None:
        """Raise what the server says instead of an event."""
        import pymysql

        if packet[0] == 0xFF:
            pymysql.err.raise_mysql_exception(packet)
        raise pymysql.err.OperationalError(2013, "the server ended the stream")


def head(frame: bytes) -> tuple[int, int, int, int, int, int]:
    """Return moment, type, server, size, end and flags of an event."""
    return _HEADER.unpack_from(frame)


def _opened(frame: bytes, kind: int) -> bytes:
    """Return an event that was compressed as if it had not been."""
    if kind == _QUERY_COMPRESSED:
        after = HEAD + 13 + frame[HEAD + 8] + int.from_bytes(frame[HEAD + 11 : HEAD + 13], "little") + 1
        return frame[:4] + b"\2" + frame[5:after] + _inflated(frame[after:])
    if kind in _ROWS_MORE:
        # They tell more of themselves before the rows, of which nothing is needed.
        behind = HEAD + 8 + int.from_bytes(frame[HEAD + 8 : HEAD + 10], "little")
        return frame[:4] + bytes([_ROWS_MORE[kind]]) + frame[5 : HEAD + 8] + frame[behind:]
    if kind in _ROWS_COMPRESSED:
        width, at = lengthy(frame, HEAD + 8)
        after = at + (width + 7) // 8 * (2 if kind == 167 else 1)
        return frame[:4] + bytes([_ROWS_COMPRESSED[kind]]) + frame[5:after] + _inflated(frame[after:])
    return frame


def _events(frame: bytes) -> Iterator[bytes]:
    """Yield the events of a transaction that was compressed as a whole; each ends where that does."""
    told, at = dict[int, int](), HEAD
    while frame[at]:
        kind, at = lengthy(frame, at)
        size, at = lengthy(frame, at)
        told[kind], at = lengthy(frame, at)[0], at + size
    data = frame[at + 1 : at + 1 + told[_PAYLOAD_SIZE]]
    if told.get(_PAYLOAD_CODEC) == 0:
        data = pa.decompress(data, told[_PAYLOAD_WHOLE], codec="zstd", asbytes=True)
    at = 0
    while at < len(data):
        end = at + int.from_bytes(data[at + 9 : at + 13], "little")
        yield data[at : at + 13] + frame[13:17] + data[at + 17 : end]
        at = end


def _inflated(data: bytes) -> bytes:
    """Return bytes behind a head of one byte, whose lowest bits count the bytes of the length that follow it."""
    return zlib.decompress(data[1 + (data[0] & 7) :])


def lengthy(data: bytes, at: int) -> tuple[int, int]:
    """Return a number of one to nine bytes, and the place behind it."""
    first = data[at]
    if first < 251:
        return first, at + 1
    size = {252: 2, 253: 3, 254: 8}[first]
    return int.from_bytes(data[at + 1 : at + 1 + size], "little"), at + 1 + size
