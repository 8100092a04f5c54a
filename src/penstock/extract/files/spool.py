"""The spool: what DuckDB cannot read where it lies is brought into a folder of ours first, a bounded piece at a time.

That are files of stores, members of archives, and what is compressed otherwise than by gzip or zstd. A load reads every
byte of a file that is new, so that fetching it once costs no more than reading it by ranges, and what is read is then
one state of it: the same bytes are checked, summed and scanned.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from io import BufferedReader
from pathlib import Path

from penstock.catalog.holders import this_process
from penstock.errors import ConfigurationError, DataError
from penstock.extract.files import archives
from penstock.extract.files.archives import Limits, Meter
from penstock.extract.files.beside import Beside
from penstock.extract.files.fetching import Fetcher
from penstock.extract.files.globs import matcher
from penstock.extract.files.listing import Content, File, aside, format_of, inspect, packable, split, unreadable, verify
from penstock.extract.files.places.opening import address, remote
from penstock.extract.port import Request
from penstock.stores.engine import OWNER, SHARED_MEMORY, SPILL
from penstock.values import dataclass

WINDOW = 2 * 2**30
"""About how many bytes of unpacked files lie in the spool at a time."""
_PRIVATE_WINDOW = 64 * 2**20
_ZIP = b"PK\x03\x04"


@dataclass(frozen=True, slots=True)
class Taken:
    """A file that DuckDB can read.

    Attributes:
        file: The file; its ``path`` is the file itself, or what the spool holds in its place.
        content: What its bytes told.
        source: The listed file that it came from.
    """

    file: File
    content: Content
    source: File


class Spool:
    """A folder that lives as long as one reading.

    Args:
        allowed: Limits of what may be unpacked.
        members: Glob over the members of archives; None takes those whose names tell a format.
        format_: The format of members, where the user named one.
        notes: Gets sentences for the user.
        private: The files hold personal values, which must not lie on a disk: the spool lies in memory, and is small.
        window: Bytes to hold at a time.
    """

    def __init__(
        self,
        allowed: Limits,
        members: str | None,
        format_: str | None,
        notes: list[str],
        *,
        private: bool = False,
        window: int = WINDOW,
    ) -> None:
        self._checksums: dict[str, Callable[[], str]] = {}
        self._beside = Beside()
        self._alone = False
        self._allowed = allowed
        self._members = members
        self._format = format_
        self._notes = notes
        self._private = private
        self._window = min(window, _PRIVATE_WINDOW) if private else window
        self._folder: str | None = None
        self._count = 0
        self._held = 0
        self._fetcher = Fetcher(self._new)
        self._lent: list[str] = []

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def full(self) -> bool:
        """Say whether the last window ended because it was full, so that more may follow."""
        return self._held >= self._window

    def windows(self, files: Sequence[File]) -> Iterator[list[Taken]]:
        """Yield files that can be read, in order, as many as the spool may hold; the next call forgets them."""
        window: list[Taken] = []
        self._held, self._alone = 0, len(files) == 1
        for file, here in self._fetcher.run(files):
            for taken in self._take(file, here):
                window.append(taken)
                if self._held >= self._window:
                    yield window
                    self._forget(window)
                    window, self._held = [], 0
        if window:
            yield window
            self._forget(window)

    def lend(self) -> str:
        """Return a path for a copy of a file of the window, which is forgotten with it."""
        path = self._new()
        self._lent.append(path)
        return path

    def checksum(self, key: str) -> str | None:
        """Return the checksum of a file as it lies there, if it was taken; waits for what is looked through."""
        found = self._checksums.get(key)
        return None if found is None else found()

    def close(self) -> None:
        """Delete all that is held."""
        self._beside.close()
        self._fetcher.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _take(self, file: File, here: File) -> Iterator[Taken]:
        fetched = here is not file
        self._held += here.bytes if fetched else 0
        try:
            if file.format in ("zip", "tar"):
                yield from self._unarchived(here, file)
                return
            taken = self._plain(here, file)
        except OSError as error:
            raise unreadable(file, error) from error
        if fetched and taken.file.path != here.path:
            os.unlink(here.path)
        self._checksums.setdefault(file.key, taken.content.checksum)
        yield taken

    def _plain(self, here: File, source: File, *, meter: Meter | None = None) -> Taken:
        """Return a file as it is, or unpacked where DuckDB cannot do that by itself."""
        with open(here.path, "rb", buffering=0) as opened:
            first = opened.read(archives.TOLD_BY)
        compression = archives.compression_in(first)
        suffix = os.path.splitext(here.key.lower())[1]
        if first.startswith(_ZIP) and packable(here.format):
            raise DataError(f"{here.key} is a zip archive by its content", remedy="Let its name end with .zip")
        self._told(here.key, suffix, compression)
        meter = meter or Meter(here.key, here.bytes, self._allowed)
        if compression not in ("bzip2", "xz") or not packable(here.format):
            first = self._beside.begin(here, compression, meter) if self._alone and here is source else None
            return Taken(here, first or inspect(here, meter), source)
        target = self._new()
        if source.key == here.key:
            with open(here.path, "rb") as packed:
                self._sum(source.key, packed)
        with archives.damaged(here.key):
            archives.unpack(here.path, compression, target, meter)
        if here is source:
            verify(source)
        size = os.path.getsize(target)
        self._held += size
        unpacked = replace(here, path=target, bytes=size)
        if archives.compression_of(target) is not None:
            raise DataError(f"{here.key} is compressed twice", remedy="Unpack it once, or both times")
        return Taken(unpacked, inspect(unpacked, meter), source)

    def _told(self, key: str, suffix: str, compression: str | None) -> None:
        named = {".gz": "gzip", ".zst": "zstd", ".bz2": "bzip2", ".xz": "xz"}.get(suffix)
        if named == compression:
            return
        if compression is None:
            self._notes.append(f"{key} is not compressed, though its name says so")
        elif suffix not in (".parquet", ".pq"):
            self._notes.append(f"{key} is compressed by {compression}, though its name does not say so")

    def _unarchived(self, here: File, source: File) -> Iterator[Taken]:
        with open(here.path, "rb") as packed:
            self._sum(source.key, packed)
        meter = Meter(source.key, here.bytes, self._allowed)
        wanted = matcher(self._members) if self._members else None
        found = 0
        for member in archives.members(here.path, source.key, source.format, meter):
            key = f"{source.key}!{member.name}"
            if wanted is not None and not wanted(member.name):
                continue
            format_ = self._format or format_of(member.name)
            if wanted is None and (format_ is None or aside(member.name)):
                continue
            if archives.kind(member.name):
                raise DataError(
                    f"{key} is an archive within an archive, which is not opened",
                    remedy="Unpack the outer one, or leave it out by the glob after the exclamation mark",
                )
            if format_ is None:
                raise DataError(f"The format of {key} cannot be told from its name", remedy="Name it with format=…")
            target = self._new()
            member.write(target)
            size = os.path.getsize(target)
            self._held += size
            found += 1
            file = replace(source, key=key, path=target, format=format_, bytes=size, place=None)
            yield self._plain(file, source, meter=meter)
        if here is source:
            verify(source)
        else:
            os.unlink(here.path)
        if not found:
            pattern = self._members or "a name that tells a format"
            self._notes.append(f"{source.key} has no member that is wanted ({pattern})")

    def _sum(self, key: str, packed: BufferedReader) -> None:
        found = hashlib.file_digest(packed, "sha256").hexdigest()
        self._checksums[key] = lambda: found

    def _new(self) -> str:
        if self._folder is None:
            if self._private and not os.path.ismount(SHARED_MEMORY):
                raise ConfigurationError(
                    f"Files with personal columns must be unpacked in memory, and {SHARED_MEMORY} is none here",
                    remedy="Read them where that is, or unpack them yourself and read the local files",
                )
            self._folder = tempfile.mkdtemp(prefix=SPILL, dir=SHARED_MEMORY if self._private else None)
            # Whose it is, for vacuum: a process that was killed leaves it behind.
            Path(self._folder, OWNER).write_text(this_process(), encoding="utf-8")
        self._count += 1
        return os.path.join(self._folder, f"{self._count:08d}")

    def _forget(self, window: Sequence[Taken]) -> None:
        for taken in window:
            if self._folder is not None and os.path.dirname(taken.file.path) == self._folder:
                os.unlink(taken.file.path)
        for path in self._lent:
            Path(path).unlink(missing_ok=True)
        self._lent.clear()


def spool(request: Request, notes: list[str], window: int = WINDOW) -> Spool:
    """Return the spool for the files of a request.

    Args:
        request: What is read.
        notes: Gets sentences for the user.
        window: Bytes to hold at a time.
    """
    options = request.source.options
    path = str(options.get("path") or "")
    if path in ("", ".") and request.connection is not None and remote(request.connection.url):
        path = address(request.connection.url).name
    allowed = archives.limits(options.get("unpack"), request.source.table)
    private = bool(request.source.personal)
    return Spool(allowed, split(path)[1], options.get("format"), notes, private=private, window=window)
