"""Lineage, answered from versions: each entry names what it was made of, its code and its checks."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime

from penstock.catalog.port import LoadRecord
from penstock.errors import NotFoundError
from penstock.model.entries import CheckReport, Column, Entry, EntryKind, InputVersion, Verdict
from penstock.model.interval import Interval
from penstock.model.lineage import LineageRelease, LineageReport, LineageStep
from penstock.names import RAW_PREFIX, is_internal, unknown
from penstock.orchestrate import code, indexing
from penstock.orchestrate.asking import resolve
from penstock.orchestrate.workspace import Workspace, now
from penstock.values import dataclass


def lineage(workspace: Workspace, table: str, column: str | None = None, as_of: str | None = None) -> LineageReport:
    """Return what made a table.

    Args:
        workspace: The places.
        table: A source or a transform, with or without ``raw_``.
        column: Only what this column comes from.
        as_of: The beginning of the id of a run: as the table stood at its end. None: as it stands.

    Raises:
        NotFoundError: The table had no rows then, or there is no such run.
        ConfigurationError: There is no such table or column.
    """
    name = resolve(workspace, table)
    run = workspace.catalog.run(as_of) if as_of else None
    at = (run.finished or run.started) if run else now()
    indexing.follow_decided(workspace)
    indexing.follow_releases(workspace)
    walk = Walk(workspace, at)
    standing = walk.standing(name)
    if not standing:
        what = f"{name} had nothing yet" + (f" at the end of run {run.id}" if run else "")
        raise NotFoundError(what, remedy="penstock runs lists the runs, penstock versions the loads and versions")
    columns = [each.name for each in standing[-1].schema if not is_internal(each.name)]
    chosen = next((each for each in columns if column is not None and each.lower() == column.lower()), None)
    if column is not None and chosen is None:
        raise unknown("column", column, columns, where=name)
    return LineageReport(
        table=name,
        number=standing[-1].number,
        as_of=at,
        run=run.id if run else None,
        column=chosen or "",
        steps=tuple(walk.steps(standing, chosen)),
        releases=_releases(workspace, name, standing[-1].number),
    )


@dataclass(slots=True)
class Walk:
    """A walk from a table's entries to what they were made of; each is read once.

    Attributes:
        workspace: The places.
        at: The moment at which the table is looked at.
    """

    workspace: Workspace
    at: datetime
    _entries: dict[str, dict[int, Entry]] = field(default_factory=dict)
    _loads: dict[str, dict[int, LoadRecord]] = field(default_factory=dict)
    _texts: dict[str, str] = field(default_factory=dict)
    _origins: dict[tuple[str, tuple[str, ...]], Mapping[str, tuple[tuple[str, str], ...]]] = field(default_factory=dict)

    def entries(self, table: str) -> Mapping[int, Entry]:
        """Return the entries of a table by their numbers."""
        if table not in self._entries:
            self._entries[table] = {entry.number: entry for entry in self.workspace.catalog.entries(table)}
        return self._entries[table]

    def loads(self, table: str) -> Mapping[int, LoadRecord]:
        """Return the loads of a table by their numbers."""
        if table not in self._loads:
            self._loads[table] = {record.entry.number: record for record in self.workspace.catalog.loads(table)}
        return self._loads[table]

    def standing(self, table: str) -> list[Entry]:
        """Return the entries whose rows the table held at the moment, oldest first."""
        then = [entry for _, entry in sorted(self.entries(table).items()) if entry.created_at <= self.at]
        versions: dict[Interval | None, Entry] = {}
        for entry in then:
            if entry.kind is EntryKind.VERSION:
                # A version of the whole replaces those of intervals, and one of an interval the rest of that.
                versions = {None: entry} if entry.interval is None else {**versions, entry.interval: entry}
        if versions:
            return sorted(versions.values(), key=lambda entry: entry.number)
        verdicts = {e.load: e.verdict for e in then if e.kind is EntryKind.VERDICT and e.load is not None}
        live = [e for e in then if e.kind is EntryKind.LOAD and verdicts.get(e.number) is Verdict.ACCEPTED]
        gone = {number for entry in live for number in entry.supersedes}
        return [entry for entry in live if entry.number not in gone]

    def steps(self, standing: Sequence[Entry], column: str | None) -> Iterable[LineageStep]:
        """Yield the entries and what they were made of, each once, the nearest first."""
        wanted: dict[tuple[str, int], set[str] | None] = {}
        waiting = deque((entry, None if column is None else {column}) for entry in standing)
        found: dict[tuple[str, int], LineageStep] = {}
        while waiting:
            entry, columns = waiting.popleft()
            mark = (entry.table, entry.number)
            before = wanted.get(mark, set())
            if mark in found and (before is None or (columns is not None and columns <= before)):
                continue
            asked = None if columns is None or before is None else columns | before
            wanted[mark] = asked
            step = self._step(entry, asked)
            found[mark] = step
            for version in step.inputs:
                below = self.entries(version.table).get(version.number)
                if below is not None:
                    waiting.append((below, None if asked is None else self._asked_of(below, step, asked)))
        return found.values()

    def _asked_of(self, below: Entry, step: LineageStep, asked: set[str]) -> set[str] | None:
        """Return the columns of an input that columns of a step come from; None: any."""
        if not asked <= set(step.columns):
            return None
        name = below.table.removeprefix(RAW_PREFIX)
        pairs = [origin.rpartition(".") for column in asked for origin in step.columns[column]]
        return {column for table, _, column in pairs if table in (below.table, name)}

    def _step(self, entry: Entry, asked: set[str] | None) -> LineageStep:
        if entry.kind is EntryKind.LOAD:
            return self._load(entry, asked)
        text, columns = self.text(entry), self._columns(entry)
        kept = columns if asked is None else {name: origins for name, origins in columns.items() if name in asked}
        inputs = entry.inputs
        if asked is not None and asked <= set(columns):
            read = {origin.rpartition(".")[0] for name in asked for origin in columns[name]}
            inputs = tuple(v for v in inputs if {v.table, v.table.removeprefix(RAW_PREFIX)} & read)
        step = _told(entry, "version", entry.report)
        return replace(step, interval=entry.interval, code=text, inputs=inputs, columns=kept)

    def _load(self, entry: Entry, asked: set[str] | None) -> LineageStep:
        record = self.loads(entry.table).get(entry.number)
        verdict = record.verdict_entry if record else None
        decisions = self.workspace.catalog.decisions(f"{entry.table}#{entry.number}")
        accepted = next((each for each in decisions if each.kind == "accept"), None)
        by = entry.work.scored if entry.work else {}
        return replace(
            _told(entry, "load", verdict.report if verdict else None),
            interval=entry.span,
            code=self._text(by["code"]) if by else "",
            scored=f"{by['model']} {by['version']} ({by['function']}, code {by['code']})" if by else "",
            rows=entry.rows,
            read=tuple(dict.fromkeys(origin.uri for origin in entry.origins)),
            verdict=record.verdict.value if record and record.verdict else "",
            accepted_by=f"{accepted.by}: {accepted.reason}" if accepted else "",
            columns={
                column.name: (column.at_source,)
                for column in entry.schema
                if not is_internal(column.name) and (asked is None or column.name in asked)
            },
        )

    def text(self, entry: Entry) -> str:
        """Return the code that made a version; empty where it was not kept."""
        return self._text(entry.fingerprint.partition(".")[0])

    def _text(self, mark: str) -> str:
        if mark not in self._texts:
            self._texts[mark] = (code.text(self.workspace.lake.objects, mark) if mark else None) or ""
        return self._texts[mark]

    def origins(self, entry: Entry) -> dict[str, tuple[tuple[str, str], ...]]:
        """Return of each column of a version what it comes from; nothing where that cannot be read."""
        schema = {each.table.removeprefix(RAW_PREFIX): self._names(each) for each in entry.inputs}
        text = self.text(entry)
        mark = (text, tuple(f"{table}:{','.join(names)}" for table, names in sorted(schema.items())))
        if mark not in self._origins:
            self._origins[mark] = _origins(text, schema, entry.table) or {}
        spelt = {column.name.lower(): column.name for column in entry.schema}
        return {spelt[name.lower()]: pairs for name, pairs in self._origins[mark].items() if name.lower() in spelt}

    def _columns(self, entry: Entry) -> dict[str, tuple[str, ...]]:
        return {
            name: tuple(f"{table}.{column}" for table, column in pairs) for name, pairs in self.origins(entry).items()
        }

    def _names(self, version: InputVersion) -> tuple[str, ...]:
        entry = self.entries(version.table).get(version.number)
        columns: Sequence[Column] = entry.schema if entry is not None else ()
        return tuple(column.at_source for column in columns if not is_internal(column.name))


def _told(entry: Entry, kind: str, report: CheckReport | None) -> LineageStep:
    return LineageStep(
        table=entry.table,
        number=entry.number,
        kind=kind,
        created_at=entry.created_at,
        run=entry.run,
        rows=sum(file.rows for file in entry.files),
        passed=report.passed if report else (),
        failed=tuple(failure.message for failure in report.failures) if report else (),
        quarantined=report.quarantined if report else 0,
    )


def _origins(
    text: str, schema: Mapping[str, Sequence[str]], origin: str
) -> Mapping[str, tuple[tuple[str, str], ...]] | None:
    """Return what the columns of a query come from; None for functions, and where it cannot be told."""
    body = [line for line in text.splitlines() if not line.startswith("-- ")]
    if not body or body[0].startswith(("def ", "async def ", "@", "class ")):
        return None
    from penstock.errors import ConfigurationError
    from penstock.queries.columns import column_origins

    try:
        return column_origins(text, schema, origin=origin)
    except ConfigurationError:
        return None


def _releases(workspace: Workspace, table: str, number: int) -> tuple[LineageRelease, ...]:
    found = []
    for release in reversed(workspace.catalog.releases()):
        if not any(each.table == table and each.number == number for each in release.tables):
            continue
        decisions = workspace.catalog.decisions(release.candidate)
        approved = next((each for each in decisions if each.kind == "approve"), None)
        found.append(
            LineageRelease(
                number=release.number,
                created_at=release.created_at,
                by=release.by,
                candidate=release.candidate,
                approved_by=approved.by if approved else "",
                reason=approved.reason if approved else release.reason,
            )
        )
    return tuple(found)
