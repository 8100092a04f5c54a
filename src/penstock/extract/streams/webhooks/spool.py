"""The spool: events are appended and are on the disk before anybody is told so; many wait for one write.

One process appends. A kill leaves a part of a line at most, which the next one cuts off; a disk that is full leaves
whole lines, and those count. Nothing that a reader may have seen is ever cut off.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from penstock.errors import ConfigurationError, LeaseHeldError
from penstock.extract.streams.lines import whole
from penstock.extract.streams.webhooks import segments

SEGMENT = 64 * 2**20
"""Bytes after which the next segment is begun."""
_LOCK = ".lock"

Told = Callable[[OSError | None], None]
"""Called once an event is on the disk, with nothing; or with why it is not."""


class Spool:
    """Appends events to an inbox, in a thread of its own.

    Args:
        folder: The inbox; it is made.
        segment: Bytes after which the next segment is begun.
        least: The offset of the first byte where there are no segments, or all end before it.

    Raises:
        LeaseHeldError: Another process appends to it.
        ConfigurationError: It cannot be written there.
    """

    def __init__(self, folder: Path, segment: int = SEGMENT, *, least: int = 0) -> None:
        self._folder = folder
        self._segment = segment
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise ConfigurationError(f"The inbox {folder} cannot be written: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise LeaseHeldError(
                f"The inbox {folder} is written by another process", remedy="One penstock serve takes events for it"
            ) from None
        found = segments.listed(folder)
        self._start = found[-1].start if found and found[-1].end >= least else least
        self._size = 0
        self._file = self._opened()
        self._cut()
        self._waiting: list[tuple[bytes, Told]] = []
        self._asked = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=f"inbox {folder.name}", daemon=True)
        self._thread.start()

    def append(self, line: bytes, told: Told) -> None:
        """Have a line written; ``told`` is called from another thread once it is on the disk, or cannot be."""
        with self._asked:
            if self._closed:
                raise ValueError("The spool is closed")
            self._waiting.append((line, told))
            self._asked.notify()

    def recent(self, since: int) -> Iterator[str]:
        """Yield the ids of events that came at a moment (microseconds since 1970) or later, oldest first."""
        for segment in segments.listed(self._folder):
            if segment.path.stat().st_mtime_ns // 1000 < since:
                continue
            # A file gives lines that end with a line break; a body may hold a carriage return.
            with segment.path.open("rb") as file:
                for line in file:
                    at, _, rest = line.partition(b"\t")
                    if int(at) >= since:
                        yield rest.partition(b"\t")[0].decode("ascii")

    def close(self, keep: int | None = None) -> None:
        """Write what waits, and let others append.

        Args:
            keep: What comes behind this offset is cut off: nobody has read it, and whoever sent it sends it again.
        """
        with self._asked:
            if self._closed:
                return
            self._closed = True
            self._asked.notify()
        self._thread.join()
        os.close(self._file)
        if keep is not None:
            self._cut_behind(keep)
        os.close(self._lock)

    def _cut_behind(self, keep: int) -> None:
        for segment in reversed(segments.listed(self._folder)):
            if segment.start <= keep:
                os.truncate(segment.path, min(segment.size, keep - segment.start))
                return
            segment.path.unlink()

    def _run(self) -> None:
        while True:
            with self._asked:
                while not self._waiting and not self._closed:
                    self._asked.wait()
                batch, self._waiting = self._waiting, []
                if not batch:
                    return
            self._write(batch)

    def _write(self, batch: Sequence[tuple[bytes, Told]]) -> None:
        """Write lines together; of those that fit on a full disk only the last may be torn, and is cut off."""
        before, problem = self._size, None
        data = b"".join(line for line, _ in batch)
        try:
            written = 0
            while written < len(data):
                written += os.write(self._file, data[written:])
            os.fdatasync(self._file)
        except OSError as error:
            problem = error
            with suppress(OSError):
                self._cut()
        else:
            self._size = before + len(data)
        reached = before
        for line, told in batch:
            reached += len(line)
            told(None if reached <= self._size else problem)
        if self._size >= self._segment:
            with suppress(OSError):
                self._next()

    def _cut(self) -> None:
        """Cut off a line that is not whole, and make the others durable."""
        self._size = whole(self._folder / segments.name(self._start))
        os.ftruncate(self._file, self._size)
        os.fdatasync(self._file)

    def _next(self) -> None:
        """Begin the next segment; while that cannot be, this one goes on."""
        start, before = self._start, self._file
        self._start += self._size
        try:
            self._file = self._opened()
        except OSError:
            self._start = start
            raise
        self._size = 0
        os.close(before)

    def _opened(self) -> int:
        path = self._folder / segments.name(self._start)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        # The name of a file is durable once its folder is.
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return file
