"""Files that grow: lines that programs append, across rotation by renaming; no server is needed.

A file is known by its inode and its first line, so that it stays the same one under another name. Its partition is
called so, and an offset is the byte at which a line begins. A last line without an end is not there yet.
"""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from penstock.errors import ConfigurationError, DataError
from penstock.extract.streams.gaps import declared
from penstock.extract.streams.lines import offsets, polled, whole
from penstock.extract.streams.port import Opening, Polled, Reader, Run
from penstock.model.streams import Gap, Positions, Start
from penstock.values import dataclass

_HEAD = 1024
_PAUSE = 0.05
_LONGEST = 64 * 2**20
"""Bytes after which a line without an end is refused."""


@dataclass(frozen=True, slots=True)
class _Growing:
    """A file as it is now."""

    path: str
    identity: str
    size: int


class TailSource:
    """Reads files that grow; ``path`` is a file or a glob, relative to the project."""

    def open(self, opening: Opening) -> Reader:
        """Begin to read."""
        path = opening.source.options.get("path")
        if not isinstance(path, str) or not path:
            raise ConfigurationError(f"Stream {opening.source.table!r} names no file", remedy="Give it a path")
        folder = os.path.dirname(os.path.join(glob.escape(opening.root), path))
        if not glob.glob(folder or "."):
            raise ConfigurationError(
                f"The folder of the stream {opening.source.table!r} is not there", value=folder, remedy="Make it"
            )
        return _Tail(opening, path)


class _Tail:
    """One reading of files that grow."""

    def __init__(self, opening: Opening, path: str) -> None:
        self._topic = path
        self._root = opening.root
        self._table = opening.source.table
        stream = opening.source.stream
        assert stream is not None
        self._on_gap = stream.on_gap
        self._headed = stream.format == "csv"
        self._at = dict(opening.positions.get(path, {}))
        self._begun: dict[str, int] = {}
        if not self._at and stream.start is Start.LATEST:
            self._at = self._ends()
            # Where it began is part of the first load, so that a restart begins there as well.
            self._begun = dict(self._at)

    @property
    def envelope(self) -> Mapping[str, str]:
        """The file's name when the line was read, and the byte at which the line begins."""
        return {"_file": "topic", "_offset": "offset"}

    def poll(self, most: int, wait: float) -> Polled:
        """Return lines that came."""
        return polled(lambda: self._look(most), wait, _PAUSE)

    def ends(self) -> Positions:
        """Return where each file ends now: after its last whole line."""
        return {self._topic: self._ends()}

    def _ends(self) -> dict[str, int]:
        return {file.identity: whole(os.path.join(self._root, file.path)) for file in self._files()}

    def acknowledge(self, positions: Positions) -> None:
        """Tell nobody: whoever writes the files does not ask."""

    def close(self) -> None:
        """Close nothing: files are open for a poll alone."""

    def _look(self, most: int) -> Polled:
        runs: list[Run] = []
        gaps: list[Gap] = []
        left = most
        # What was rotated away is older than what has its name now.
        for file in sorted(self._files(), key=lambda each: (each.identity not in self._at, each.path)):
            at = self._at.get(file.identity, 0)
            if file.size < at:
                at = self._shrunk(file, at, gaps)
            if file.size > at and left > 0:
                run = self._read(file, at, left)
                if run is not None:
                    runs.append(run)
                    left -= run.data.nbytes
                    self._at[file.identity] = run.following
        begun, self._begun = tuple((self._topic, *each) for each in self._begun.items()), {}
        return Polled(tuple(runs), tuple(gaps), tuple(each for each in begun if self._at[each[1]] == each[2]))

    def _shrunk(self, file: _Growing, at: int, gaps: list[Gap]) -> int:
        gap = Gap(
            topic=self._topic,
            partition=file.identity,
            wanted=at,
            found=0,
            reason=f"{file.path} was cut to {file.size} bytes",
        )
        remedy = (
            "What was cut off and not yet read is lost; to go on from the beginning of the file and keep a "
            "record of that: on_gap='record'"
        )
        gaps.append(declared(gap, self._on_gap, self._table, remedy))
        self._at[file.identity] = 0
        return 0

    def _read(self, file: _Growing, at: int, most: int) -> Run | None:
        """Return the whole lines from a byte on, about ``most`` bytes of them."""
        with open(os.path.join(self._root, file.path), "rb") as stream:
            if _identity(stream.fileno()) != file.identity:
                return None
            size = most
            while True:
                stream.seek(at)
                data = stream.read(size)
                end = data.rfind(b"\n") + 1
                if end or len(data) < size:
                    break
                if size >= _LONGEST:
                    raise DataError(
                        f"A line of {file.path} is longer than {_LONGEST // 2**20} MiB and has no end",
                        value=f"byte {at}",
                    )
                size = min(2 * size, _LONGEST)
        if not end:
            return None
        lines = data[:end].split(b"\n")[:-1]
        values = pa.array(lines, pa.binary())
        rows = pc.and_(pc.greater(pc.binary_length(values), 0), pc.not_equal(values, pa.scalar(b"\r", pa.binary())))
        batch = pa.RecordBatch.from_arrays([offsets(values, at), values], names=["offset", "value"]).filter(rows)
        if self._headed:
            batch = _headed(batch, _header(os.path.join(self._root, file.path)))
        return Run(self._topic, file.identity, at + end, batch, file.path)

    def _files(self) -> Iterator[_Growing]:
        """Yield the files of the pattern, and those that were read before and were given another name beside them."""
        named = sorted(glob.glob(os.path.join(glob.escape(self._root), self._topic)))
        folder = os.path.dirname(os.path.join(self._root, self._topic))
        known = {each.partition("-")[0] for each in self._at}
        beside = []
        if known and not glob.has_magic(os.path.dirname(self._topic)):
            with os.scandir(folder or ".") as entries:
                beside = [each.path for each in entries if f"{each.inode():x}" in known and each.is_file()]
        seen = set()
        for path in dict.fromkeys((*named, *sorted(beside))):
            try:
                with open(path, "rb") as stream:
                    identity = _identity(stream.fileno())
                    size = os.fstat(stream.fileno()).st_size
            except (FileNotFoundError, IsADirectoryError):
                continue
            except OSError as error:
                raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
            if identity is None or identity in seen or (path not in named and identity not in self._at):
                continue
            seen.add(identity)
            yield _Growing(os.path.relpath(path, self._root), identity, size)


def _identity(descriptor: int) -> str | None:
    """Return what a file is known by; None as long as its first line is not whole."""
    head = os.pread(descriptor, _HEAD, 0)
    line, end, _ = head.partition(b"\n")
    if not end and len(head) < _HEAD:
        return None
    return f"{os.fstat(descriptor).st_ino:x}-{hashlib.sha256(line).hexdigest()[:12]}"


def _header(path: str) -> bytes:
    """Return the first line of a file, which a file that is known has."""
    with open(path, "rb") as stream:
        return stream.readline(_LONGEST).removesuffix(b"\n").removesuffix(b"\r")


def _headed(batch: pa.RecordBatch, header: bytes) -> pa.RecordBatch:
    """Return lines with the header of their file before each; the header itself is none."""
    lines = batch.filter(pc.greater(batch.column("offset"), 0))
    values = pc.binary_join_element_wise(
        pa.scalar(header.removeprefix(b"\xef\xbb\xbf"), pa.binary()),
        lines.column("value"),
        pa.scalar(b"\n", pa.binary()),
    )
    return lines.set_column(lines.schema.get_field_index("value"), "value", values)
