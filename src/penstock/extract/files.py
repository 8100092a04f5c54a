"""Files: each group of files that are written alike is one scan that DuckDB runs by itself.

Whoever adds files should write them under another name and rename them when they are whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from penstock.errors import ConfigurationError
from penstock.extract import file_csv
from penstock.extract.file_listing import File, find, inspect, unchanged, verify
from penstock.extract.file_plan import plan
from penstock.extract.formats.known import GENERAL
from penstock.extract.formats.known import OPTIONS as FORMAT_OPTIONS
from penstock.extract.port import Batch, Request, Scan, TableDescription
from penstock.model.specs import WriteMode
from penstock.names import unknown
from penstock.stores.engine import LocalEngine

_OPTIONS = tuple(dict.fromkeys((*GENERAL, "csv", "records", *file_csv.OPTIONS, *FORMAT_OPTIONS)))
_MEMORY = 256 * 2**20


class FilesSource:
    """The source kind ``files``.

    Options: ``path``, ``format``; for CSV ``delimiter``, ``header``, ``encoding``, ``nulls``, ``types``, ``quote``,
    ``escape``, ``skip``, ``comment``, ``max_line_size``, beside the others or in a table ``csv``; for JSON ``records``,
    the dotted path to the list of records; ``compare="content"`` trusts checksums alone, not sizes and times.
    """

    def open(self, request: Request) -> FilesExtraction | None:
        """List the files and plan their scans; None if none is new or changed; see the port."""
        source = request.source
        for name in source.options:
            if name not in _OPTIONS:
                raise unknown("option", name, _OPTIONS, where=f"files source {source.table}")
        if request.interval is not None:
            raise ConfigurationError(
                f"The files of {source.table} cannot be read interval by interval: a file is read as a whole",
                remedy="Leave interval out; new and changed files are found by themselves",
            )
        files = find(request)
        former: Mapping[str, Any] = (request.position or {}).get("files") or {}
        by_content = source.options.get("compare") == "content"
        fresh = [file for file in files if not unchanged(file, former.get(file.key), by_content=by_content)]
        gone = sorted(set(former) - {file.key for file in files})
        if source.whole:
            wanted = files if fresh or gone or not former else []
            if not fresh and not gone and former:
                return None
        else:
            wanted = fresh
            if not wanted:
                return None
        return FilesExtraction(request, files, wanted, gone)

    def describe(self, request: Request) -> tuple[TableDescription, ...]:
        """Describe the files, those that differ only by digits in their names together; see the port."""
        from penstock.extract.file_scope import describe

        return describe(request)


class FilesExtraction:
    """One reading of files; see the port."""

    schema = None

    def __init__(self, request: Request, files: Sequence[File], wanted: Sequence[File], gone: Sequence[str]) -> None:
        self._request = request
        self._files = files
        self._former: Mapping[str, Any] = (request.position or {}).get("files") or {}
        self._notes: list[str] = []
        self._contents = {file.key: inspect(file) for file in wanted}
        self._engine = LocalEngine(memory=_MEMORY, threads=2)
        self._wanted = wanted
        try:
            self._scans = plan(
                request, [(file, self._contents[file.key]) for file in wanted], self._engine, self._notes
            )
        except BaseException:
            self._engine.close()
            raise
        if gone:
            self._notes.append(f"{len(gone)} files that were read before are gone, as {gone[0]}")
        if request.source.write is WriteMode.APPEND:
            again = [file.key for file in wanted if file.key in self._former]
            if again:
                self._notes.append(
                    f"{len(again)} files changed since they were read and are appended whole, as {again[0]}"
                )

    def batches(self) -> Iterator[Batch]:
        """Yield a scan for each group of files, or the rows of those that DuckDB does not read; see the port."""
        for files, scan in self._scans:
            if isinstance(scan, Scan):
                yield scan
            else:
                yield from scan.batches(self._request.batch_bytes)
            for file in files:
                verify(file)

    def position(self) -> Mapping[str, Any]:
        """Return size, time and checksum of all files; see the port."""
        for file in self._wanted:
            verify(file)
        return {"files": {file.key: self._state(file) for file in self._files}}

    def notes(self) -> tuple[str, ...]:
        """Return what was met on the way."""
        return tuple(dict.fromkeys(self._notes))

    def commit(self) -> None:
        """Nothing is to be acknowledged."""

    def close(self) -> None:
        """Release the engine that planned the scans."""
        self._engine.close()

    def _state(self, file: File) -> dict[str, Any]:
        content = self._contents.get(file.key)
        sha256 = content.sha256 if content is not None else self._former[file.key]["sha256"]
        return {"bytes": file.bytes, "mtime_ns": file.mtime_ns, "sha256": sha256}
