"""Files of this disk, of stores and in archives: each group of files written alike is one scan that DuckDB runs.

Whoever adds files should write them under another name and rename them when they are whole.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from penstock.errors import ConfigurationError
from penstock.extract.files.formats.known import CSV_OPTIONS, GENERAL
from penstock.extract.files.formats.known import OPTIONS as FORMAT_OPTIONS
from penstock.extract.files.listing import File, digest, find, release, same, same_content, verify
from penstock.extract.port import Batch, Request, Scan, TableDescription
from penstock.model import positions
from penstock.model.durations import parse_duration
from penstock.model.specs import SourceSpec, WriteMode
from penstock.names import unknown
from penstock.stores.engine import LocalEngine
from penstock.values import dataclass

if TYPE_CHECKING:
    from penstock.extract.files.spool import Taken

_OPTIONS = tuple(dict.fromkeys((*GENERAL, "csv", "records", *CSV_OPTIONS, *FORMAT_OPTIONS)))
_READ = ("changed", "new", "all")
_MEMORY = 256 * 2**20
"""Bytes of an engine that is made where the request has none."""


class FilesSource:
    """The source kind ``files``.

    Options: ``path``, ``format``; for CSV ``delimiter``, ``header``, ``encoding``, ``nulls``, ``types``, ``quote``,
    ``escape``, ``skip``, ``comment``, ``decimal``, ``dateformat``, ``on_ragged``, ``misfit_limit``,
    ``max_line_size``, beside the others or in a table ``csv``, each found out where it is not said; for JSON
    ``records``, the dotted path to the list of records; ``compare="content"`` trusts checksums alone, not sizes and
    times; ``read``: ``changed`` (new and changed files), ``new`` (each name once) or ``all``; ``order``: ``name`` or
    ``mtime``; ``unpack``: limits of what archives and compressed files may hold; ``settle``: files of a disk that
    changed within so long are left for the next look (of a stream 2 s unless said otherwise).
    """

    def open(self, request: Request) -> FilesExtraction | None:
        """List the files and find those to read; None if none is new or changed; see the port."""
        _check(request)
        files = find(request)
        try:
            return self._open(request, files)
        except BaseException:
            release(files)
            raise

    def describe(self, request: Request) -> tuple[TableDescription, ...]:
        """Describe the files, those that differ only by digits in their names together; see the port."""
        from penstock.extract.files.scope import describe

        return describe(request)

    def _open(self, request: Request, files: list[File]) -> FilesExtraction | None:
        source = request.source
        former = positions.files(request.position)
        read = source.options.get("read", "changed")
        fresh, touched = _changed(files, former, read, by_content=source.options.get("compare") == "content")
        fresh = _settled(fresh, source)
        present = {file.key for file in files}
        gone = sorted(key for key in former if key not in present)
        moved = bool(fresh or gone or not former)
        wanted = files if read == "all" or (source.whole and moved) else fresh
        if (source.whole and read != "all" and not moved) or (not source.whole and not wanted):
            release(files)
            return None
        return FilesExtraction(request, files, wanted, Known(former, touched, gone))


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of files that were read before.

    Attributes:
        former: Their states, by key.
        touched: Those that were written anew with the same content.
        gone: Keys of those that are no more.
    """

    former: Mapping[str, Any]
    touched: Sequence[File]
    gone: Sequence[str]


class FilesExtraction:
    """One reading of files; see the port."""

    schema = None

    def __init__(self, request: Request, files: Sequence[File], wanted: Sequence[File], known: Known) -> None:
        from penstock.extract.files.spool import spool

        self._request = request
        self._files = files
        self._notes: list[str] = []
        # Nothing is opened of it where the request has the engine of the process.
        self._own = LocalEngine(memory=_MEMORY, threads=2)
        self._engine = request.engine or self._own
        self._wanted = wanted
        self._known = known
        self._spool = spool(request, self._notes)
        if known.gone:
            self._notes.append(f"{len(known.gone)} files that were read before are gone, as {known.gone[0]}")
        if request.source.write is WriteMode.APPEND:
            again = [file.key for file in wanted if file.key in known.former]
            if again:
                self._notes.append(
                    f"{len(again)} files changed since they were read and are appended whole, as {again[0]}"
                )

    def batches(self) -> Iterator[Batch]:
        """Yield a scan for each group of files, or the rows of those that DuckDB does not read; see the port."""
        from penstock.extract.files.plan import plan

        for window in self._spool.windows(self._wanted):
            pairs = [(taken.file, taken.content) for taken in window]
            for _, scan in plan(self._request, pairs, self._engine, self._notes, self._spool.lend):
                if isinstance(scan, Scan):
                    yield scan
                else:
                    yield from scan.batches(self._request.batch_bytes)
            _verify(window)

    def position(self) -> Mapping[str, Any]:
        """Return size, time and checksum of the files that were read, or of all; see ``model.positions``."""
        for file in self._wanted:
            verify(file)
        states = {file.key: self._state(file) for file in self._wanted}
        for file in self._known.touched:
            states.setdefault(file.key, {**self._known.former[file.key], **_seen(file)})
        return positions.after(self._request.position, states, self._known.gone)

    def notes(self) -> tuple[str, ...]:
        """Return what was met on the way."""
        return tuple(dict.fromkeys(self._notes))

    def commit(self) -> None:
        """Nothing is to be acknowledged."""

    def close(self) -> None:
        """Release the spool, the store, and the engine where it is not that of the process."""
        self._own.close()
        self._spool.close()
        release(self._files)

    def _state(self, file: File) -> dict[str, Any]:
        return {**_seen(file), "sha256": self._spool.checksum(file.key) or digest(file)}


def _seen(file: File) -> dict[str, Any]:
    found: dict[str, Any] = {"bytes": file.bytes, "mtime_ns": file.mtime_ns}
    return {**found, "tag": file.tag} if file.tag else found


def _changed(
    files: Sequence[File], former: Mapping[str, Any], read: object, *, by_content: bool
) -> tuple[list[File], list[File]]:
    """Return the files to read, and those that were only touched."""
    fresh: list[File] = []
    touched: list[File] = []
    for file in files:
        state = former.get(file.key)
        if state is None:
            fresh.append(file)
        elif read != "new" and (by_content or not same(file, state)):
            (touched if same_content(file, state) else fresh).append(file)
    return fresh, touched


def _settled(files: Sequence[File], source: SourceSpec) -> list[File]:
    """Return the files that nobody seems to be writing; what a store shows is whole."""
    wait = parse_duration(source.options.get("settle", "2s" if source.stream is not None else "0s"))
    if not wait:
        return list(files)
    before = time.time_ns() - int(wait.total_seconds() * 1e9)
    return [file for file in files if file.place is not None or file.mtime_ns <= before]


def _check(request: Request) -> None:
    source = request.source
    for name in source.options:
        if name not in _OPTIONS:
            raise unknown("option", name, _OPTIONS, where=f"files source {source.table}")
    if request.interval is not None:
        raise ConfigurationError(
            f"The files of {source.table} cannot be read interval by interval: a file is read as a whole",
            remedy="Leave interval out; new and changed files are found by themselves",
        )
    read = source.options.get("read", "changed")
    if read not in _READ:
        raise ConfigurationError(f"Which files {source.table} reads is not known", value=read, valid=_READ)
    if read == "all" and source.write is WriteMode.APPEND:
        raise ConfigurationError(
            f"The source {source.table} appends all files at each run, and each row would come again and again",
            remedy="Choose write='replace', or 'merge' with a key; or read='changed'",
        )
    if read == "new" and source.whole:
        raise ConfigurationError(
            f"The source {source.table} reads new files alone, but its write mode needs all of them",
            value=source.write.value,
            remedy="Choose write='append' or 'merge', or read='changed'",
        )


def _verify(window: Sequence[Taken]) -> None:
    for taken in window:
        if taken.file is taken.source:
            verify(taken.file)
