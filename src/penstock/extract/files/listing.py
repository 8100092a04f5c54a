"""Which files a path means, what they are, and which of them are new or changed since a position."""

from __future__ import annotations

import codecs
import glob
import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import field
from pathlib import Path
from threading import Event
from typing import Any

from penstock.errors import ConfigurationError, DataError, PenstockError, TransientError
from penstock.extract.files import archives, globs
from penstock.extract.files.formats.known import BINARY, ENDINGS, NAMES
from penstock.extract.files.formats.known import FORMATS as FORMATS_BESIDES
from penstock.extract.files.places.opening import address, joined, opened, remote
from penstock.extract.files.places.port import Access, Listed, Place
from penstock.extract.port import Request
from penstock.names import nearest
from penstock.values import dataclass

FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
    **ENDINGS,
}
"""File suffix to format."""
_NAMES = sorted({*FORMATS.values(), *NAMES})
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".bz2": "bzip2", ".xz": "xz"}
ORDERS = ("name", "mtime")
FILE_COLUMN = "_penstock_source_file"
"""The column of a scan that holds each row's file."""
LARGE = 64 * 2**20
"""Bytes from which on a file of rows is not looked through before it is scanned, where the scan can tell as well."""
_CHUNK = 2**20
_WORTH_A_THREAD = 16 * 2**20
_BROKEN_ROWS = ("csv", "tsv")
"""Formats of which a row that is no UTF-8 can be set aside."""
_SOUND = 50
"""Bytes of whole characters, beyond the first of each, that a file has for each broken one, if it is UTF-8."""
_MOST_BROKEN = 1000
_LONG_NUMBER = re.compile(rb"(?<![0-9.])[0-9]{16}")
_DIGITS = bytes.maketrans(b"0123456789", b"0000000000")
_LONG = b"0" * 16


@dataclass(frozen=True, slots=True)
class File:
    """A file as it was found.

    Attributes:
        key: Its name in positions and origins: relative to the project's folder where it lies below it.
        path: Where it is.
        format: ``csv``, ``tsv``, ``json``, ``jsonl``, ``parquet`` or one of ``formats.known``; ``zip`` or ``tar`` for
            an archive of such files.
        bytes: Its size.
        mtime_ns: When it was changed, in nanoseconds since 1970.
        ctime_ns: When its inode was changed; a writer cannot set it back. 0 in a store.
        place: The store that it lies in; None for this machine's disk.
        listed: What the store said of it.
    """

    key: str
    path: str
    format: str
    bytes: int
    mtime_ns: int
    ctime_ns: int
    place: Place | None = None
    listed: Listed | None = None

    @property
    def tag(self) -> str:
        """Return what the store says of its content; empty if it says nothing."""
        return self.listed.tag if self.listed is not None else ""


@dataclass(frozen=True, slots=True)
class Content:
    """What one reading of a file's bytes told.

    Attributes:
        sha256: Of the bytes as they lie on disk.
        compression: ``gzip`` or ``zstd`` by its first bytes, whatever its suffix; None for neither.
        encoding: ``utf-8``, ``utf-16`` or ``latin-1``.
        long_numbers: Whether it holds numbers of 16 digits or more, which a double may not carry; of a large CSV file
            that is not looked for, and may be.
        bytes: The size without compression.
        broken: How many of its characters are no UTF-8, though it is UTF-8 by all others.
        whole: What all of its bytes tell, where this is what the first ones told: it comes while the file is scanned.
            The checksum is known by it alone.
    """

    sha256: str
    compression: str | None
    encoding: str
    long_numbers: bool
    bytes: int
    broken: int = 0
    whole: Future[Content] | None = field(default=None, compare=False)

    def checksum(self) -> str:
        """Return the checksum; waits for it where the file is still being looked through."""
        return self.sha256 if self.whole is None else self.whole.result().sha256

    def damaged(self) -> bool:
        """Say whether it is UTF-8 with broken characters; waits as ``checksum`` does."""
        return (self if self.whole is None else self.whole.result()).broken > 0


def find(request: Request) -> list[File]:
    """List the files that a request means, sorted by name or time; those of a store are to be released.

    Raises:
        ConfigurationError: If the path names nothing or a format cannot be told; says what lies nearby.
    """
    options = request.source.options
    pattern, _ = split(str(options.get("path") or ""))
    if request.connection is None and not pattern:
        raise ConfigurationError(f"The source {request.source.table} names no path", valid="a file, a folder or a glob")
    chosen = options.get("format")
    if chosen is not None and chosen not in _NAMES:
        raise ConfigurationError(
            f"The source {request.source.table} names an unknown format",
            value=chosen,
            valid=_NAMES,
        )
    url = request.connection.url if request.connection is not None else pattern
    files = _in_store(request, url, pattern, chosen) if remote(url) else _on_disk(request, pattern, chosen)
    order = options.get("order", "name")
    if order not in ORDERS:
        raise ConfigurationError(f"The order of {request.source.table} is not known", value=order, valid=ORDERS)
    return sorted(files, key=lambda file: (file.mtime_ns, file.path)) if order == "mtime" else files


def release(files: Sequence[File]) -> None:
    """Close the store that files were found in."""
    if files and files[0].place is not None:
        files[0].place.close()


def split(path: str) -> tuple[str, str | None]:
    """Take ``in/*.zip!data/*.csv`` apart: the path, and the glob over the members of archives, if there is one."""
    outer, mark, members = path.rpartition("!")
    if not mark or not members or not (archives.kind(outer) or outer.endswith("*")):
        return path, None
    return outer, members


def same(file: File, former: Mapping[str, Any]) -> bool:
    """Say whether a file is what it was by its size and its tag or time; its content is not read."""
    if former.get("bytes") != file.bytes:
        return False
    if file.tag:
        return file.tag == former.get("tag")
    return file.mtime_ns != 0 and file.mtime_ns == former.get("mtime_ns")


def same_content(file: File, former: Mapping[str, Any]) -> bool:
    """Say whether a file holds what it held, by its checksum."""
    return former.get("bytes") == file.bytes and former.get("sha256") == digest(file)


def digest(file: File) -> str:
    """Return the checksum of a file as it lies there."""
    found = hashlib.sha256()
    try:
        if file.place is not None and file.listed is not None:
            for chunk in file.place.read(file.listed):
                found.update(chunk)
        else:
            with open(file.path, "rb") as raw:
                return hashlib.file_digest(raw, "sha256").hexdigest()
    except OSError as error:
        raise unreadable(file, error) from error
    return found.hexdigest()


def verify(file: File) -> None:
    """Raise TransientError if a file of this disk is not any more what it was when it was listed.

    What a store gives is compared while it is fetched.
    """
    if file.place is not None:
        return
    try:
        now = os.stat(file.path)
    except OSError:
        raise TransientError(f"The file {file.key} vanished while it was read") from None
    if (now.st_size, now.st_mtime_ns, now.st_ctime_ns) != (file.bytes, file.mtime_ns, file.ctime_ns):
        raise TransientError(
            f"The file {file.key} changed while it was read",
            value=f"{file.bytes} bytes before, {now.st_size} bytes after",
            remedy="The next attempt reads it again; write files under another name and rename them when whole",
        )


def inspect(file: File, meter: archives.Meter, *, most: int | None = None, ended: Event | None = None) -> Content:
    """Read a file's bytes once, in bounded pieces: checksum, compression, encoding, long numbers.

    Args:
        file: The file.
        meter: Counts what is unpacked.
        most: Bytes after which it is enough; what was read is then taken for the file.
        ended: Set where nobody wants to know any more.

    Raises:
        TransientError: If it cannot be read.
        DataError: It is compressed twice, its compressed content is damaged, or more than is allowed.
    """
    try:
        return _Inspection(file, meter).run(most, ended)
    except OSError as error:
        raise unreadable(file, error) from error


def packable(format_: str) -> bool:
    """Say whether files of a format are read through whatever compresses them as a whole."""
    return format_ not in BINARY or (format_ in FORMATS_BESIDES and FORMATS_BESIDES[format_].unpacked)


def unreadable(file: File, error: OSError) -> PenstockError:
    """Return the sentence for a file that cannot be opened or unpacked."""
    if isinstance(error, PermissionError):
        return ConfigurationError(f"The file {file.key} may not be read by this user")
    if error.strerror is None:
        return DataError(
            f"The compressed content of {file.key} is damaged or cut off", remedy="Write or fetch the file anew"
        )
    return TransientError(f"The file {file.key} cannot be read: {error.strerror}")


def head(file: File, content: Content, size: int = _CHUNK) -> bytes:
    """Return the first bytes of a file, unpacked."""
    try:
        if content.compression is None:
            with open(file.path, "rb") as plain:
                return plain.read(size)
        import pyarrow as pa

        with pa.input_stream(file.path, compression=content.compression, buffer_size=_CHUNK) as stream:
            return bytes(stream.read(size))
    except OSError as error:
        raise unreadable(file, error) from error


@contextmanager
def _beside(size: int) -> Iterator[Callable[..., Future[None] | None]]:
    """Lend a way to call a function: on another core for a file that is worth a thread, else at once."""
    if size < _WORTH_A_THREAD:
        yield lambda function, chunk: function(chunk)
        return
    with ThreadPoolExecutor(1, "penstock-checksum") as pool:
        yield pool.submit


class _Inspection:
    def __init__(self, file: File, meter: archives.Meter) -> None:
        self._file = file
        self._meter = meter
        self._text = file.format not in BINARY
        self._encoding = "utf-8"
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._wide = self._broken = 0
        self._tail = b""
        self._long = file.format in ("csv", "tsv") and file.bytes > LARGE
        self._size = 0

    def run(self, most: int | None, ended: Event | None) -> Content:
        digest, cut = hashlib.sha256(), False
        with open(self._file.path, "rb") as raw, _beside(self._file.bytes) as do:
            compression = archives.compression_in(raw.read(archives.TOLD_BY))
            raw.seek(0)
            while chunk := raw.read(_CHUNK):
                summed = do(digest.update, chunk)
                if compression is None:
                    self._look(chunk)
                if summed is not None:
                    summed.result()
                cut = (most is not None and raw.tell() >= most) or (ended is not None and ended.is_set())
                if cut:
                    break
        if compression in ("gzip", "zstd") and packable(self._file.format):
            self._unpacked(compression)
        if self._encoding == "utf-8" and not cut and not self._decodes(b"", final=True):
            self._encoding = "latin-1"
        if self._encoding == "utf-8" and _SOUND * self._broken > self._wide:
            self._encoding = "latin-1"
        broken = self._broken if self._encoding == "utf-8" else 0
        return Content(digest.hexdigest(), compression, self._encoding, self._long, self._size, broken)

    def _unpacked(self, compression: str) -> None:
        """Look at what a compressed file holds; that it is whole, DuckDB alone would not notice."""
        import pyarrow as pa

        with pa.input_stream(self._file.path, compression=compression, buffer_size=_CHUNK) as stream:
            for chunk in archives.metered(stream, self._meter):
                if self._size == 0 and archives.compression_in(chunk) is not None:
                    raise DataError(f"{self._file.key} is compressed twice", remedy="Unpack it once, or both times")
                self._look(chunk)

    def _look(self, chunk: bytes) -> None:
        if self._text and self._size == 0 and chunk[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            self._encoding = "utf-16"
        self._size += len(chunk)
        if not self._text:
            return
        if self._encoding == "utf-8" and not self._decodes(chunk):
            self._encoding = "latin-1"
        if not self._long:
            self._long = self._has_long_number(self._tail + chunk)
            self._tail = chunk[-64:]

    def _has_long_number(self, chunk: bytes) -> bool:
        """Say whether there is a number of 16 digits before its point; replacing is ten times faster than a pattern."""
        digits = chunk.translate(_DIGITS)
        if digits.find(_LONG) < 0:
            return False
        whole = digits.replace(b"." + _LONG, b".")
        return whole.find(_LONG) >= 0 and _LONG_NUMBER.search(chunk) is not None

    def _decodes(self, chunk: bytes, *, final: bool = False) -> bool:
        if not final and not self._decoder.getstate()[0] and chunk.isascii():
            return True
        state = self._decoder.getstate()
        try:
            text = self._decoder.decode(chunk, final)
        except UnicodeDecodeError:
            if self._file.format not in _BROKEN_ROWS:
                return False
            text = self._mended(state, chunk, final=final)
        # Each character of several bytes speaks for UTF-8: in other encodings such bytes hardly stand together.
        self._wide += len(chunk) - len(text)
        return self._broken <= _MOST_BROKEN or _SOUND * self._broken <= self._wide

    def _mended(self, state: tuple[bytes, int], chunk: bytes, *, final: bool) -> str:
        """Decode what is not all UTF-8, and count what is not."""
        lenient = codecs.getincrementaldecoder("utf-8")("replace")
        lenient.setstate(state)
        text = lenient.decode(chunk, final)
        self._decoder.setstate(lenient.getstate())
        self._broken += max(0, text.count("\ufffd") - (state[0] + chunk).count("\ufffd".encode()))
        return text


def aside(path: str) -> bool:
    """Say whether a file is set aside by its name, as writers do with what is not data."""
    return path.rpartition("/")[2].startswith(("_", "."))


def format_of(path: str) -> str | None:
    """Return the format that a name tells, ``zip`` or ``tar`` for an archive; None if it tells none."""
    packed = archives.kind(path)
    if packed is not None:
        return packed
    name, suffix = os.path.splitext(path.lower())
    if suffix in COMPRESSIONS:
        suffix = os.path.splitext(name)[1]
    return FORMATS.get(suffix)


def _chosen(name: str, format_: str | None, key: str) -> str:
    """Return the format of a file; an archive stays one whatever its members are said to be."""
    kind = archives.kind(name) or format_ or format_of(name)
    if kind is None:
        raise ConfigurationError(
            f"The format of {key} cannot be told from its name",
            valid=sorted(FORMATS),
            remedy="Name it with format=…",
        )
    return kind


def _in_store(request: Request, url: str, pattern: str, format_: str | None) -> list[File]:
    connection = request.connection
    where = joined(address(url), pattern) if connection is not None else address(url)
    name, _ = split(where.name)
    access = Access(connection.options if connection else {}, connection.secrets if connection else {}, request.root)
    place = opened(where, access)
    try:
        found = _listed(place, name, format_)
        files = []
        for listed in sorted(found, key=lambda each: each.name):
            key = place.address + listed.name
            format_here = _chosen(listed.name, format_, key)
            files.append(File(key, listed.name, format_here, listed.bytes, listed.mtime_ns, 0, place, listed))
        if not files and not _read_before(request):
            raise ConfigurationError(
                f"The path {place.address + name!r} names no file", remedy="penstock scope shows what lies there"
            )
    except BaseException:
        place.close()
        raise
    if not files:
        place.close()
    return files


def _listed(place: Place, name: str, format_: str | None) -> list[Listed]:
    if globs.is_glob(name):
        wanted = globs.matcher(name)
        return [listed for listed in place.below(globs.folder_of(name)) if wanted(listed.name)]
    exact = place.one(name)
    if exact is not None:
        return [exact]
    folder = name.rstrip("/")
    found = place.below(folder)
    return [each for each in found if (format_ or format_of(each.name)) and not aside(each.name)]


def _on_disk(request: Request, pattern: str, format_: str | None) -> list[File]:
    base = Path(request.root)
    if request.connection is not None:
        base = base / request.connection.url.removeprefix("file://")
    wanted = base / pattern.removeprefix("file://")
    root = os.path.join(os.path.abspath(request.root), "")
    files = [_file(path, root, format_) for path in _paths(base, wanted, format_)]
    if not files and not _read_before(request):
        raise _nothing(wanted)
    return files


def _read_before(request: Request) -> bool:
    """Say whether there were files once, or may come: that there are none is then no mistake of the path."""
    return "files" in (request.position or {}) or request.source.stream is not None


def _paths(base: Path, wanted: Path, format_: str | None) -> list[str]:
    """Return the files that a path names, of which a glob begins below ``base``."""
    text = str(wanted)
    if wanted.is_file():
        return [text]
    if wanted.is_dir():
        found = glob.iglob(os.path.join(glob.escape(text), "**", "*"), recursive=True)
        named = (path for path in found if not aside(path) and (format_ or format_of(path)))
        return sorted(path for path in named if os.path.isfile(path))
    if wanted.is_relative_to(base):
        # A bracket in the name of the project's own folder is no pattern.
        text = os.path.join(glob.escape(str(base)), wanted.relative_to(base))
    return sorted(path for path in glob.iglob(text, recursive=True) if os.path.isfile(path))


def _file(path: str, root: str, format_: str | None) -> File:
    absolute = os.path.abspath(path)
    key = absolute.removeprefix(root)
    if not absolute.isascii() and absolute.encode(errors="replace").decode() != absolute:
        raise DataError(
            "The path of a file is not UTF-8, which SQL and JSON cannot name",
            value=os.fsencode(key),
            remedy="Rename the file or its folder",
        )
    found = os.stat(absolute)
    return File(key, absolute, _chosen(path, format_, key), found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _nothing(wanted: Path) -> ConfigurationError:
    folder = wanted.parent
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    near: Sequence[str] = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
    guess = nearest(wanted.name, near)
    missing = "is an empty folder" if wanted.is_dir() else "names no file"
    return ConfigurationError(
        f"The path {str(wanted)!r} {missing}",
        valid=f"what lies in {str(folder)!r}: {', '.join(near[:12]) or 'nothing'}",
        remedy=f"Did you mean {guess!r}?" if guess else None,
    )
