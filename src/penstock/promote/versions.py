"""Freezing the newest version of a staging table: its live files as of that entry, and the reports that stand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from penstock.errors import BugError
from penstock.model.entries import DataFile, Entry, EntryKind
from penstock.model.releases import TableVersion
from penstock.stores.port import LakeTable

_MOST_SENTENCES = 5


@dataclass(frozen=True, slots=True)
class Frozen:
    """A version with what its checks said.

    Attributes:
        version: The version.
        errors: Sentences about failed ``error`` checks whose rows are still in it; bounded.
    """

    version: TableVersion
    errors: tuple[str, ...]


def freeze(table: LakeTable) -> Frozen | None:
    """Return the newest version of a staging table, or None if it has none yet.

    Live files are folded from the entries (added minus removed), so that what staging does meanwhile changes nothing.
    """
    entries = list(table.entries())
    while entries and entries[-1].kind is not EntryKind.VERSION:
        entries.pop()
    if not entries:
        return None
    files: dict[str, DataFile] = {}
    for entry in entries:
        for path in entry.removed:
            files.pop(path, None)
        files.update((file.path, file) for file in entry.files)
    newest = entries[-1]
    rows = sum(file.rows for file in files.values())
    if rows != newest.rows:
        raise BugError(f"Version {newest.number} of {table.name} says {newest.rows} rows, but its files have {rows}")
    standing = _standing(entries, files)
    whole = len(standing) == 1 and newest.quarantine is None
    version = TableVersion(
        table=table.name,
        number=newest.number,
        rows=rows,
        schema=newest.schema,
        files=tuple(sorted(files.values(), key=lambda file: file.path)),
        content=newest.content if whole else "",
        failures=_failures(standing, "warn"),
    )
    return Frozen(version, _errors(table.name, standing))


def _standing(entries: Iterable[Entry], files: dict[str, DataFile]) -> list[Entry]:
    """Return the versions whose results are still in the table: by their files, or as the last word on an interval."""
    last: dict[str, Entry] = {}
    for entry in entries:
        if entry.kind is not EntryKind.VERSION:
            continue
        if entry.interval is None:
            last.clear()
        last[entry.interval.path if entry.interval else ""] = entry
    kept = {entry.number for entry in last.values()}
    return [
        entry
        for entry in entries
        if entry.kind is EntryKind.VERSION and (entry.number in kept or any(file.path in files for file in entry.files))
    ]


def _failures(entries: Iterable[Entry], severity: str) -> tuple[str, ...]:
    found = {
        failure.check
        for entry in entries
        if entry.report is not None
        for failure in entry.report.failures
        if failure.severity == severity
    }
    return tuple(sorted(found))


def _errors(table: str, entries: Iterable[Entry]) -> tuple[str, ...]:
    sentences = [
        f"Check {failure.check!r} failed in version {entry.number} of {table}: {failure.message}"
        for entry in entries
        if entry.report is not None
        for failure in entry.report.failures
        if failure.severity == "error"
    ]
    more = len(sentences) - _MOST_SENTENCES
    return (*sentences[:_MOST_SENTENCES], *([f"{more} more checks failed in {table}"] if more > 0 else []))
