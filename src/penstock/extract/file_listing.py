"""Which files a path means, what they are, and which of them are new or changed since a position."""

from __future__ import annotations

import codecs
import glob
import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from penstock.errors import ConfigurationError, DataError, PenstockError, TransientError
from penstock.extract.formats.known import BINARY, ENDINGS, NAMES
from penstock.extract.port import Request
from penstock.names import nearest

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
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_CHUNK = 2**20
_LONG_NUMBER = re.compile(rb"(?<![0-9.])[0-9]{16}")
_DIGITS = bytes.maketrans(b"0123456789", b"0000000000")
_LONG = b"0" * 16


@dataclass(frozen=True, slots=True)
class File:
    """A file as it was found.

    Attributes:
        key: Its name in positions and origins: relative to the project's folder where it lies below it.
        path: Where it is.
        format: ``csv``, ``tsv``, ``json``, ``jsonl``, ``parquet`` or one of ``formats.known``.
        bytes: Its size.
        mtime_ns: When it was changed, in nanoseconds since 1970.
        ctime_ns: When its inode was changed; a writer cannot set it back.
    """

    key: str
    path: str
    format: str
    bytes: int
    mtime_ns: int
    ctime_ns: int


@dataclass(frozen=True, slots=True)
class Content:
    """What one reading of a file's bytes told.

    Attributes:
        sha256: Of the bytes as they lie on disk.
        compression: ``gzip`` or ``zstd`` by its first bytes, whatever its suffix; None for neither.
        encoding: ``utf-8``, ``utf-16`` or ``latin-1``.
        long_numbers: Whether it holds numbers of 16 digits or more, which a double may not carry.
        bytes: The size without compression.
    """

    sha256: str
    compression: str | None
    encoding: str
    long_numbers: bool
    bytes: int


def find(request: Request) -> list[File]:
    """List the files that a request means, sorted by path.

    Raises:
        ConfigurationError: If the path names nothing or a format cannot be told; says what lies nearby.
    """
    options = request.source.options
    pattern = str(options.get("path") or "")
    base = Path(request.root)
    if request.connection is not None:
        base = base / request.connection.url.removeprefix("file://")
    elif not pattern:
        raise ConfigurationError(f"The source {request.source.table} names no path", valid="a file, a folder or a glob")
    wanted = base / pattern.removeprefix("file://")
    chosen = options.get("format")
    if chosen is not None and chosen not in _NAMES:
        raise ConfigurationError(
            f"The source {request.source.table} names an unknown format",
            value=chosen,
            valid=_NAMES,
        )
    files = [_file(path, base_root=Path(request.root), format_=chosen) for path in _paths(wanted, chosen)]
    if not files and not (request.position or {}).get("files"):
        raise _nothing(wanted)
    return files


def unchanged(file: File, former: Mapping[str, Any] | None, *, by_content: bool = False) -> bool:
    """Say whether a file is what it was: by size and time, or else by its content."""
    if former is None or former.get("bytes") != file.bytes:
        return False
    if former.get("mtime_ns") == file.mtime_ns and not by_content:
        return True
    return former.get("sha256") == inspect(file).sha256


def verify(file: File) -> None:
    """Raise TransientError if a file is not any more what it was when it was listed."""
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


def inspect(file: File) -> Content:
    """Read a file's bytes once, in bounded pieces: checksum, compression, encoding, long numbers.

    Raises:
        TransientError: If it cannot be read.
    """
    try:
        return _Inspection(file).run()
    except OSError as error:
        raise unreadable(file, error) from error


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
        with pa.input_stream(file.path, compression=content.compression, buffer_size=_CHUNK) as stream:
            return bytes(stream.read(size))
    except OSError as error:
        raise unreadable(file, error) from error


class _Inspection:
    def __init__(self, file: File) -> None:
        self._file = file
        self._text = file.format not in BINARY
        self._encoding = "utf-8"
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._tail = b""
        self._long = False
        self._size = 0

    def run(self) -> Content:
        digest = hashlib.sha256()
        with open(self._file.path, "rb") as raw:
            first = raw.read(4)
            raw.seek(0)
            compression = next((name for magic, name in _MAGIC.items() if first.startswith(magic)), None)
            while chunk := raw.read(_CHUNK):
                digest.update(chunk)
                if compression is None:
                    self._look(chunk)
        if compression is not None and self._text:
            with pa.input_stream(self._file.path, compression=compression, buffer_size=_CHUNK) as stream:
                while chunk := stream.read(_CHUNK):
                    self._look(chunk)
        if self._encoding == "utf-8" and not self._decodes(b"", final=True):
            self._encoding = "latin-1"
        return Content(digest.hexdigest(), compression, self._encoding, self._long, self._size)

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
        try:
            self._decoder.decode(chunk, final)
        except UnicodeDecodeError:
            return False
        return True


def _paths(wanted: Path, format_: str | None) -> list[str]:
    text = str(wanted)
    if wanted.is_file():
        return [text]
    if wanted.is_dir():
        found = glob.iglob(os.path.join(glob.escape(text), "**", "*"), recursive=True)
        return sorted(
            path for path in found if os.path.isfile(path) and (format_ or _format(path)) and not _aside(path)
        )
    return sorted(path for path in glob.iglob(text, recursive=True) if os.path.isfile(path))


def _aside(path: str) -> bool:
    return os.path.basename(path).startswith(("_", "."))


def _format(path: str) -> str | None:
    name, suffix = os.path.splitext(path.lower())
    if suffix in COMPRESSIONS:
        suffix = os.path.splitext(name)[1]
    return FORMATS.get(suffix)


def _file(path: str, *, base_root: Path, format_: str | None) -> File:
    found = os.stat(path)
    absolute = Path(os.path.abspath(path))
    root = Path(os.path.abspath(base_root))
    key = absolute.relative_to(root).as_posix() if absolute.is_relative_to(root) else absolute.as_posix()
    kind = format_ or _format(path)
    if kind is None:
        raise ConfigurationError(
            f"The format of {key} cannot be told from its name",
            valid=sorted(FORMATS),
            remedy="Name it with format=…",
        )
    return File(key, str(absolute), kind, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


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
