"""Copies, on this machine, of objects that lie in buckets: what was written here or read lately, within a bound.

Objects that DuckDB reads never change, so a copy is right as long as its size is; where a name may come to mean another
object, its copy carries the object's time and tag as well. A file that is not published yet can be written to and is
never evicted; a copy is read-only.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import threading
import time
import zlib
from collections.abc import Iterator

from penstock.stores.objects import TEMPORARY, file_error

LIMIT = 20 * 2**30
"""Bytes that copies may take where a project says nothing."""
_IN_USE = 3600.0
"""Seconds after it was asked for during which a copy is not evicted: a query may not have opened it yet."""
_PRESSED = 600.0
"""The same where the disk is full."""
_LEFT_OVER = 7 * 86_400.0
"""Seconds after which a file that was never published was left by a crash."""
_LOW = 0.9


class Copies:
    """A folder of copies; safe for threads and shared by processes.

    Args:
        folder: The folder; made at the first copy.
        limit: Bytes beyond which the copies that were not asked for longest are deleted. What was asked for within
            the last hour stays, also beyond it.
    """

    def __init__(self, folder: str, limit: int = LIMIT) -> None:
        self.folder = os.path.abspath(folder)
        self.limit = limit
        self._lock = threading.Lock()
        self._held: int | None = None

    def valid(self, place: str, size: int, version: tuple[float, str] | None = None) -> bool:
        """Say whether a copy may be read instead of its object, and keep it from being evicted for a while.

        Args:
            place: Its path.
            size: The object's bytes.
            version: The object's time in seconds and its tag; None where its name never means another object.
        """
        try:
            found = os.stat(place)
            if found.st_size != size:
                return False
            if version is not None and found.st_mtime_ns != _stamp(version):
                return False
            os.utime(place, ns=(time.time_ns(), found.st_mtime_ns))
        except OSError:
            return False
        return True

    def published(self, place: str) -> bool | None:
        """Say whether a file is a copy of an object; None if there is no such file."""
        try:
            return not os.stat(place).st_mode & stat.S_IWUSR
        except FileNotFoundError:
            return None

    def settle(self, place: str, version: tuple[float, str] | None = None) -> None:
        """Turn a file whose object was written into its copy."""
        with contextlib.suppress(FileNotFoundError):
            os.chmod(place, 0o444)
            os.utime(place, ns=(time.time_ns(), _stamp(version) if version else 0))
            self._grown(os.stat(place).st_size)

    @contextlib.contextmanager
    def fresh(self, place: str, size: int) -> Iterator[str]:
        """Lend the name of a temporary file that becomes the copy at the end; an error leaves nothing.

        Raises:
            TransientError: The disk is full.
        """
        folder = os.path.dirname(place)
        self._grown(size)
        temporary = os.path.join(folder, TEMPORARY + secrets.token_hex(8))
        try:
            os.makedirs(folder, exist_ok=True)
            try:
                _reserved(temporary, size)
            except OSError:
                self._evict(_PRESSED, 0)
                _reserved(temporary, size)
            yield temporary
            os.chmod(temporary, 0o444)
            os.replace(temporary, place)
        except OSError as error:
            raise file_error(error, place, "written") from error
        finally:
            with contextlib.suppress(OSError):
                os.unlink(temporary)

    def stamp(self, place: str, version: tuple[float, str]) -> None:
        """Write the version of its object on a copy."""
        with contextlib.suppress(OSError):
            os.utime(place, ns=(time.time_ns(), _stamp(version)))

    def drop(self, place: str) -> None:
        """Delete a copy; quiet if there is none."""
        with contextlib.suppress(OSError):
            os.unlink(place)

    def link(self, source: str, place: str) -> None:
        """Give a file among the copies a second name there, where the disk can; quiet where it cannot.

        A file from elsewhere is left alone: it would share its rights and times with the copy.
        """
        if not source.startswith(self.folder + os.sep):
            return
        with contextlib.suppress(OSError):
            os.makedirs(os.path.dirname(place), exist_ok=True)
            self.drop(place)
            os.link(source, place)

    def _grown(self, size: int) -> None:
        with self._lock:
            if self._held is None:
                self._held = sum(found.st_size for place, found in self._files() if not self._left_over(place, found))
            self._held += size
            over = self._held > self.limit
        if over:
            self._evict(_IN_USE, self.limit * _LOW)

    def _evict(self, in_use: float, wanted: float) -> None:
        """Delete what was not asked for longest until no more than ``wanted`` bytes are held."""
        with self._lock:
            now = time.time()
            files = sorted(self._files(), key=lambda item: item[1].st_atime)
            held = sum(found.st_size for _, found in files)
            for place, found in files:
                published = not found.st_mode & stat.S_IWUSR
                if held > wanted and published and now - found.st_atime > in_use:
                    self.drop(place)
                    held -= found.st_size
            self._held = held

    def _left_over(self, place: str, found: os.stat_result) -> bool:
        """Delete what a crash left long ago, and say so."""
        if not found.st_mode & stat.S_IWUSR or time.time() - max(found.st_atime, found.st_mtime) <= _LEFT_OVER:
            return False
        self.drop(place)
        return True

    def _files(self) -> Iterator[tuple[str, os.stat_result]]:
        for folder, _, names in os.walk(self.folder):
            for name in names:
                place = os.path.join(folder, name)
                with contextlib.suppress(FileNotFoundError):
                    yield place, os.stat(place)


def _stamp(version: tuple[float, str]) -> int:
    """Return the time of modification that says which version of an object a copy is."""
    seconds, tag = version
    return int(seconds) * 10**9 + zlib.crc32(tag.encode()) % 10**9


def _reserved(temporary: str, size: int) -> None:
    with open(temporary, "wb") as file:
        if size and hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
