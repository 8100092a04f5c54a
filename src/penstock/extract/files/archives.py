"""Zip and tar archives: their members as files of their own, written into a folder of ours and nowhere else.

A member's own name is never used as a path. An archive is refused as a whole if anything in it is not what data is:
a name that leaves the archive, a link, a device, a password, two members of one name, more than the limits allow.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import PurePosixPath
from typing import Any, BinaryIO, cast

from penstock.errors import ConfigurationError, DataError
from penstock.names import unknown
from penstock.stores.objects import file_error
from penstock.values import dataclass

ARCHIVES = {
    ".zip": "zip",
    ".tar": "tar",
    ".tgz": "tar",
    ".tbz2": "tar",
    ".txz": "tar",
    ".tar.gz": "tar",
    ".tar.bz2": "tar",
    ".tar.xz": "tar",
    ".tar.zst": "tar",
}
"""How the names of archives end."""
MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz"}
"""First bytes of a compressed file, to the name of the compression."""
TOLD_BY = 6
"""How many first bytes tell it."""
_CHUNK = 2**20
_FLOOR = 64 * 2**20
_LONGEST_READ = 16 * 2**20
_LONGEST_ENTRY = 512
_ZIP_TAIL = 2**16 + 22 + 20 + 56
_BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, struct.error)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may come out of one compressed file or archive.

    Attributes:
        bytes: Unpacked, all members together.
        ratio: Unpacked to packed; asked only beyond 64 MiB.
        members: Of an archive, whether they are read or not.
    """

    bytes: int = 100 * 2**30
    ratio: int = 200
    members: int = 100_000


def limits(given: object, table: str) -> Limits:
    """Return the limits that the option ``unpack`` sets."""
    if given is None:
        return Limits()
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"The option unpack of {table} must be a table of limits", value=given)
    for name, value in given.items():
        if name not in Limits.__slots__:
            raise unknown("limit", str(name), Limits.__slots__, where=f"unpack of {table}")
        if not isinstance(value, int) or value < 1:
            raise ConfigurationError(f"The limit {name} of {table} is no whole number above 0", value=value)
    return Limits(**given)


def kind(name: str) -> str | None:
    """Return ``zip`` or ``tar`` for the name of an archive, else None."""
    lower = name.lower()
    return next((found for ending, found in ARCHIVES.items() if lower.endswith(ending)), None)


class Meter:
    """Counts what comes out of one packed file, and stops it where it passes the limits."""

    def __init__(self, key: str, packed: int, allowed: Limits) -> None:
        self._key = key
        self._packed = max(1, packed)
        self._allowed = allowed
        self._bytes = self._members = 0

    def add(self, count: int) -> None:
        """Count bytes; raises DataError past a limit."""
        self._bytes += count
        if self._bytes > self._allowed.bytes:
            raise self._over("bytes", f"more than {self._allowed.bytes:,} bytes")
        if self._bytes > max(_FLOOR, self._packed * self._allowed.ratio):
            raise self._over("ratio", f"more than {self._allowed.ratio} times its size of {self._packed:,} bytes")

    def member(self) -> None:
        """Count a member; raises DataError past the limit."""
        self._members += 1
        if self._members > self._allowed.members:
            raise self._over("members", f"more than {self._allowed.members:,} members")

    def directory(self, size: int) -> None:
        """Take the size of an archive's directory; raises DataError if it must name more members than are allowed."""
        if size > self._allowed.members * _LONGEST_ENTRY:
            raise self._over(
                "members", f"a directory of {size:,} bytes, for more than {self._allowed.members:,} members"
            )

    def _over(self, limit: str, what: str) -> DataError:
        return DataError(
            f"{self._key} holds {what}; it was not unpacked further",
            remedy=f"If it is no bomb, raise the limit: unpack={{'{limit}': …}}",
        )


@dataclass(frozen=True, slots=True)
class Member:
    """A member that is wanted.

    Attributes:
        name: Its name in the archive.
        bytes: Its size as the archive tells it.
        write: Writes it to a path, counted by the meter.
    """

    name: str
    bytes: int
    write: Callable[[str], None]


@contextmanager
def damaged(key: str) -> Iterator[None]:
    """Turn what the readers of packed files raise into a sentence."""
    try:
        yield
    except RuntimeError as error:
        # zipfile says so of methods that it does not know.
        raise DataError(f"{key} is packed in a way that cannot be read: {type(error).__name__}") from error
    except _BROKEN as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise DataError(
            f"The compressed content of {key} is damaged or cut off", remedy="Write or fetch the file anew"
        ) from error


def unpack(source: str, compression: str, target: str, meter: Meter) -> None:
    """Write the content of a compressed file, a piece at a time."""
    with opened(source, compression) as packed:
        pour(metered(packed, meter), target)


def metered(packed: BinaryIO, meter: Meter) -> Iterator[bytes]:
    """Yield what is unpacked, a piece at a time and counted."""
    while chunk := packed.read(_CHUNK):
        meter.add(len(chunk))
        yield chunk


def pour(chunks: Iterable[bytes], target: str) -> int:
    """Write pieces to a new file and return how many bytes they were; a full disk is told from a damaged source."""
    count = 0
    with ExitStack() as held:
        with _writing(target):
            out = held.enter_context(open(target, "xb"))
        for chunk in chunks:
            with _writing(target):
                out.write(chunk)
            count += len(chunk)
        with _writing(target):
            out.flush()
    return count


@contextmanager
def _writing(target: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise file_error(error, target, "written") from error


def opened(path: str, compression: str | None) -> BinaryIO:
    """Open a file for reading, unpacked."""
    if compression == "gzip":
        return cast(BinaryIO, gzip.open(path, "rb"))
    if compression == "bzip2":
        return cast(BinaryIO, bz2.open(path, "rb"))
    if compression == "xz":
        return cast(BinaryIO, lzma.open(path, "rb"))
    if compression == "zstd":
        import pyarrow as pa

        return cast(BinaryIO, pa.input_stream(path, compression="zstd"))
    return open(path, "rb")


def compression_of(path: str) -> str | None:
    """Return the compression of a file by its first bytes."""
    with open(path, "rb") as file:
        return compression_in(file.read(TOLD_BY))


def compression_in(first: bytes) -> str | None:
    """Return the compression that the first bytes of a file tell."""
    return next((name for magic, name in MAGIC.items() if first.startswith(magic)), None)


def members(path: str, key: str, how: str, meter: Meter) -> Iterator[Member]:
    """Yield the members of an archive, data files alone, in its order; each must be written before the next is asked.

    Raises:
        DataError: The archive is damaged, too large, or holds what data does not.
    """
    with damaged(key):
        yield from _zipped(path, key, meter) if how == "zip" else _tarred(path, key, meter)


def _zipped(path: str, key: str, meter: Meter) -> Iterator[Member]:
    _check_directory(path, meter)
    with zipfile.ZipFile(path) as archive:
        found = archive.infolist()
        names: set[str] = set()
        for info in found:
            meter.member()
            mode = info.external_attr >> 16
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refused(key, info.filename, "is a link or a device")
            _check(key, info.orig_filename, names, folder=info.is_dir())
            if info.flag_bits & 1:
                raise _refused(key, info.filename, "is encrypted")
        for info in found:
            if not info.is_dir():
                yield Member(info.filename, info.file_size, _writer(lambda i=info: archive.open(i), key, meter))  # type: ignore[misc]


def _check_directory(path: str, meter: Meter) -> None:
    """Refuse an archive whose directory is too long before zipfile makes an object of each entry.

    The directory's size is what zipfile trusts, so that a wrong one cannot deceive it and not us.
    """
    with open(path, "rb") as file:
        start = max(0, file.seek(0, os.SEEK_END) - _ZIP_TAIL)
        file.seek(start)
        tail = file.read()
    end = tail.rfind(b"PK\5\6")
    if end < 0 or len(tail) - end < 22:
        raise zipfile.BadZipFile
    size = int.from_bytes(tail[end + 12 : end + 16], "little")
    if end >= 76 and tail[end - 20 : end - 16] == b"PK\6\7":
        # The record of large archives, which stands before its locator.
        size = int.from_bytes(tail[end - 36 : end - 28], "little")
    meter.directory(size)


def _tarred(path: str, key: str, meter: Meter) -> Iterator[Member]:
    with ExitStack() as held:
        stream = held.enter_context(opened(path, compression_of(path)))
        forward = _Forward(stream, meter, key)
        archive = held.enter_context(tarfile.open(fileobj=cast(Any, forward), mode="r:", errorlevel=2))
        names: set[str] = set()
        for info in archive:
            meter.member()
            # The list that tarfile keeps of what it saw would grow with the archive.
            archive.members = []  # type: ignore[attr-defined]
            if not (info.isreg() or info.isdir()) or info.issparse():
                raise _refused(key, info.name, "is a link, a device or a sparse file")
            _check(key, info.name, names, folder=info.isdir())
            if info.isreg():
                yield Member(info.name, info.size, _writer(lambda i=info: archive.extractfile(i), key, None))  # type: ignore[misc]
        # tarfile takes a damaged header, or the end of the file, for the end of the archive.
        forward.finish(archive.offset)


def _writer(source: Callable[[], Any], key: str, meter: Meter | None) -> Callable[[str], None]:
    def write(target: str) -> None:
        with damaged(key), source() as packed:
            pour(metered(packed, meter) if meter is not None else iter(partial(packed.read, _CHUNK), b""), target)

    return write


def _check(key: str, name: str, names: set[str], *, folder: bool) -> None:
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\\" in name or "\0" in name or name[1:2] == ":":
        raise _refused(key, name, "has a name that leads out of the archive")
    plain = "/".join(parts)
    if not folder and plain in names:
        raise _refused(key, name, "is there twice, and one would hide the other")
    names.add(plain)


def _refused(key: str, name: str, why: str) -> DataError:
    shown = name.encode("unicode_escape").decode()[:100]
    return DataError(f"The member {shown!r} of {key} {why}; nothing of the archive was read")


class _Forward:
    """A stream that tarfile can walk through: it seeks forward by reading, and back by the last block alone.

    What it reads is counted. What is asked for at once is bounded: how long a header is, the archive alone says.
    """

    def __init__(self, stream: BinaryIO, meter: Meter, key: str) -> None:
        self._stream = stream
        self._meter = meter
        self._key = key
        self._place = 0
        self._last = b""
        self._back = 0

    def tell(self) -> int:
        """Return the place of the next byte."""
        return self._place - self._back

    def seek(self, place: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place."""
        assert whence == os.SEEK_SET
        back = self._place - place
        if 0 <= back <= len(self._last):
            self._back = back
            return place
        if back > 0:
            raise tarfile.ReadError("seeks backwards")
        self._back = 0
        while self._place < place and self._more(min(_CHUNK, place - self._place)):
            pass
        return self._place

    def read(self, size: int = -1) -> bytes:
        """Return bytes, fewer at the end."""
        if size < 0 or size > _LONGEST_READ:
            raise DataError(f"A header of {self._key} is longer than {_LONGEST_READ:,} bytes; it is no honest archive")
        held = self._last[len(self._last) - self._back :][:size]
        self._back -= len(held)
        pieces, missing = [held], size - len(held)
        while missing and (chunk := self._more(missing)):
            pieces.append(chunk)
            missing -= len(chunk)
        return b"".join(pieces)

    def finish(self, end: int) -> None:
        """Read to the end of the stream, so that its checksum is compared, and see that the archive ended there.

        Args:
            end: Where the block of zeros must stand that is its end.
        """
        if self._place != end + tarfile.BLOCKSIZE or self._last.strip(b"\0"):
            raise tarfile.ReadError("no end")
        while chunk := self._more(_CHUNK):
            if chunk.strip(b"\0"):
                raise DataError(
                    f"{self._key} goes on after its end, as archives do that were put one after the other",
                    remedy="Write it as one archive, or give the archives one by one",
                )

    def close(self) -> None:
        """The stream is closed by who opened it."""

    def _more(self, size: int) -> bytes:
        chunk = self._stream.read(size)
        self._meter.add(len(chunk))
        self._place += len(chunk)
        self._last = (self._last + chunk)[-tarfile.BLOCKSIZE :]
        return chunk
