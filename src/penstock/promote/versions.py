"""Freezing the newest version of a staging table: its live files as of that entry, and the reports that stand."""

from __future__ import annotations

from collections.abc import Iterable

from penstock.errors import BugError
from penstock.model.entries import DataFile, Entry, EntryKind, InputVersion
from penstock.model.releases import TableVersion
from penstock.stores.port import LakeTable
from penstock.values import dataclass

_MOST_SENTENCES = 5


@dataclass(frozen=True, slots=True)
class Frozen:
    """A version with what its checks said.

    Attributes:
        version: The version.
        errors: Sentences about failed ``error`` checks whose rows are still in it; bounded.
        warned: The same of checks that warned.
        passed: How many checks passed.
        inputs: The newest loads and versions that it was made from, one of each table.
        entries: The entries that it stands on.
    """

    version: TableVersion
    errors: tuple[str, ...]
    warned: tuple[str, ...] = ()
    passed: int = 0
    inputs: tuple[InputVersion, ...] = ()
    entries: tuple[Entry, ...] = ()


def freeze(table: LakeTable, until: int | None = None) -> Frozen | None:
    """Return the newest version of a staging table (None: of all; up to a number), or None if it has none yet.

    Live files are folded from the entries (added minus removed), so that what staging does meanwhile changes nothing.
    """
    newest: Entry | None = None
    files: dict[str, tuple[DataFile, Entry]] = {}
    emptied: dict[str, Entry] = {}
    for entry in table.entries():
        if entry.kind is not EntryKind.VERSION or (until is not None and entry.number > until):
            continue
        newest = entry
        for path in entry.removed:
            files.pop(path, None)
        files.update((file.path, (file, entry)) for file in entry.files)
        _note_emptied(emptied, entry)
    if newest is None:
        return None
    rows = sum(file.rows for file, _ in files.values())
    if rows != newest.rows:
        raise BugError(f"Version {newest.number} of {table.name} says {newest.rows} rows, but its files have {rows}")
    standing = {entry.number: entry for entry in (newest, *emptied.values(), *(entry for _, entry in files.values()))}
    reports = [standing[number] for number in sorted(standing)]
    whole = len(reports) == 1 and newest.interval is None and newest.quarantine is None
    version = TableVersion(
        table=table.name,
        number=newest.number,
        rows=rows,
        schema=newest.schema,
        files=tuple(sorted((file for file, _ in files.values()), key=lambda file: file.path)),
        content=newest.content if whole else "",
        failures=_failures(reports, "warn"),
    )
    inputs: dict[str, InputVersion] = {}
    for made in (one for entry in reports for one in entry.inputs):
        if made.table not in inputs or made.number > inputs[made.table].number:
            inputs[made.table] = made
    passed = {name for entry in reports if entry.report is not None for name in entry.report.passed}
    return Frozen(
        version,
        _told(table.name, reports, "error"),
        _told(table.name, reports, "warn"),
        len(passed - set(version.failures)),
        tuple(inputs[name] for name in sorted(inputs)),
        tuple(reports),
    )


def _note_emptied(emptied: dict[str, Entry], entry: Entry) -> None:
    """Keep in mind the versions without files: their reports are the last word on an interval all the same."""
    if entry.interval is None:
        emptied.clear()
    else:
        emptied.pop(entry.interval.path, None)
    if not entry.files:
        emptied[entry.interval.path if entry.interval else ""] = entry


def _failures(entries: Iterable[Entry], severity: str) -> tuple[str, ...]:
    found = {
        failure.check
        for entry in entries
        if entry.report is not None
        for failure in entry.report.failures
        if failure.severity == severity
    }
    return tuple(sorted(found))


def _told(table: str, entries: Iterable[Entry], severity: str) -> tuple[str, ...]:
    verb = "failed" if severity == "error" else "warned"
    sentences = [
        f"Check {failure.check!r} {verb} in version {entry.number} of {table}: {failure.message}"
        for entry in entries
        if entry.report is not None
        for failure in entry.report.failures
        if failure.severity == severity
    ]
    more = len(sentences) - _MOST_SENTENCES
    return (*sentences[:_MOST_SENTENCES], *([f"{more} more checks {verb} in {table}"] if more > 0 else []))
