"""The report on a table, from what its loads and versions keep; only queries are made, no data is read."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import duckdb

from penstock.errors import NotFoundError, PenstockError
from penstock.model.answers import ProfileReport
from penstock.model.entries import CheckReport, Column, Entry
from penstock.model.interval import Interval
from penstock.model.reports import CheckLine, TableReport
from penstock.model.specs import CheckSpec, PipelineSpec, Severity
from penstock.orchestrate.ledger import Ledger
from penstock.orchestrate.profiling import report_of
from penstock.orchestrate.standing import known, others, relations_of
from penstock.orchestrate.workspace import Workspace
from penstock.queries import relations
from penstock.validate.binding import bind
from penstock.validate.rows import Scope, opened
from penstock.values import dataclass

_TREND = 20
"""So many loads are in a trend, the newest included."""
_ORDER = ("error", "quarantine", "warn", "skipped", "passed")


@dataclass(frozen=True, slots=True)
class _Reported:
    """A load or version that was checked.

    Attributes:
        entry: It.
        holder: The entry that holds its report: of a load the verdict.
        report: What was found.
        verdict: The verdict in words.
        interval: What it covers.
    """

    entry: Entry
    holder: Entry
    report: CheckReport
    verdict: str
    interval: Interval | None

    def __str__(self) -> str:
        return f"{self.entry.number} ({self.interval.label})" if self.interval else str(self.entry.number)


def report(workspace: Workspace, spec: PipelineSpec, table: str, number: int | None = None) -> TableReport:
    """Return the report on a load or version of a table.

    Args:
        workspace: The places.
        spec: The pipeline that makes the table.
        table: The table.
        number: Which load or version; None: the newest that was checked.

    Raises:
        NotFoundError: There is none.
    """
    name, ledger = known(workspace, spec, table)
    listed = _reported(ledger, name)
    places = [place for place, one in enumerate(listed) if number in (None, one.entry.number)]
    if not places:
        raise NotFoundError(
            f"No load or version of {name} was checked yet"
            if number is None
            else f"{name} has no checked load {number}",
            valid=[str(one.entry.number) for one in listed[-5:]] or None,
            remedy="penstock run" if not listed else None,
        )
    chosen = listed[places[-1]]
    past = listed[max(0, places[-1] + 1 - _TREND) : places[-1] + 1]
    queries = _queries(workspace, spec, ledger, name, chosen)
    return TableReport(
        table=name,
        number=chosen.entry.number,
        label=chosen.interval.label if chosen.interval else "",
        at=chosen.entry.created_at,
        verdict=chosen.verdict,
        rows=chosen.report.rows,
        quarantined=chosen.report.quarantined,
        checks=tuple(_lines(spec.checks.get(name, ()), past, queries)),
        before=tuple(str(one) for one in past),
        profile=_profile(workspace, name, chosen),
    )


def _reported(ledger: Ledger, name: str) -> list[_Reported]:
    """Return the loads or versions that were checked, oldest first."""
    found = []
    if name in ledger.sources:
        for record in ledger.sources[name].records:
            holder = record.verdict_entry
            if holder is not None and holder.report is not None and record.verdict is not None:
                interval = record.entry.span
                found.append(_Reported(record.entry, holder, holder.report, record.verdict.value, interval))
        return found
    newest = sorted(ledger.versions[name].newest.items(), key=lambda item: item[1].number)
    for interval, entry in newest:
        if entry.report is not None:
            found.append(_Reported(entry, entry, entry.report, "version", interval))
    return found


def _lines(checks: Sequence[CheckSpec], past: Sequence[_Reported], queries: dict[str, str]) -> list[CheckLine]:
    """Return a line for each check of the last of the reports, what failed first."""
    last = past[-1].report
    described = {spec.name: spec for spec in checks}
    failed = {failure.check: failure for failure in last.failures}
    lines = []
    for check in dict.fromkeys((*failed, *last.skipped, *last.passed)):
        failure, spec = failed.get(check), described.get(check)
        rows = failure.count if failure else last.tolerated.get(check, 0)
        lines.append(
            CheckLine(
                check=check,
                result=failure.severity if failure else "skipped" if check in last.skipped else "passed",
                rows=rows,
                share=rows / last.rows if last.rows else 0.0,
                trend=tuple(_share(one.report, check) for one in past),
                columns=failure.columns if failure else spec.columns if spec else (),
                message=failure.message if failure else "",
                examples=failure.examples if failure else (),
                query=queries.get(check, ""),
                owner=spec.owner if spec else "",
                description=spec.description if spec else "",
            )
        )
    return sorted(lines, key=lambda line: _ORDER.index(line.result))


def _share(found: CheckReport, check: str) -> float | None:
    count = next((failure.count for failure in found.failures if failure.check == check), None)
    if count is None:
        if check not in found.passed:
            return None
        count = found.tolerated.get(check, 0)
    return count / found.rows if found.rows else 0.0


def _queries(workspace: Workspace, spec: PipelineSpec, ledger: Ledger, name: str, chosen: _Reported) -> dict[str, str]:
    """Return for each check the SQL over the load's files that shows what failed; what cannot be bound has none."""
    entry, lake_table = chosen.entry, workspace.lake.table(chosen.entry.table)
    if not entry.files:
        return {}
    relation = relations.accepted([lake_table.reading(entry.files)])
    tables = relations_of(others(spec, name), ledger, workspace.lake)
    found: dict[str, str] = {}
    with workspace.engine.session() as connection:
        rows = opened(connection, entry.table, relation, _columns(entry), entry.files, ())
        scope = Scope(rows, tables, chosen.holder.created_at, connection, chosen.interval)
        for check in spec.checks.get(name, ()):
            # The check may have been edited since, or name what is not there any more.
            with suppress(PenstockError, duckdb.Error):
                query = _query(check, scope)
                if query:
                    found[check.name] = query
    return found


def _columns(entry: Entry) -> tuple[Column, ...]:
    return tuple(entry.schema)


def _query(check: CheckSpec, scope: Scope) -> str:
    bound = bind(check, scope, sets_aside=check.severity is Severity.QUARANTINE and scope.rows.located)
    rows = scope.rows.sql()
    kept = "" if bound.where is None else f" WHERE {bound.where}"
    if check.kind == "unique" and not bound.figure:
        return (
            f"SELECT {bound.keys}, count(*) AS rows FROM {rows} WHERE {bound.looked} GROUP BY ALL HAVING count(*) > 1"
        )
    if check.kind == "query":
        return bound.query
    if bound.fails is not None:
        return f"SELECT * FROM {rows} WHERE {bound.guarded}"
    if bound.figure:
        return f"SELECT {bound.figure} AS figure FROM {rows}"
    if check.kind in ("row_count", "volume"):
        return f"SELECT count(*) AS rows FROM {rows}{kept}"
    return ""


def _profile(workspace: Workspace, name: str, chosen: _Reported) -> ProfileReport | None:
    path = chosen.holder.sketches
    return report_of(workspace, name, path, f"kept with {chosen}") if path else None
