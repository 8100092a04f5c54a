"""What a report on a candidate says beside its rows: the keys to compare by, drift against production, and cost."""

from __future__ import annotations

from penstock.errors import NotFoundError
from penstock.model.specs import PipelineSpec
from penstock.monitor.drift import DriftReport, Limits, compare
from penstock.orchestrate.sketches import read_sketch, released
from penstock.orchestrate.workspace import Workspace
from penstock.profiles.profile import TableProfile, merged
from penstock.promote.proposing import Observed
from penstock.promote.versions import Frozen, freeze

_MOST_SENTENCES = 8
_LOOSE = frozenset({"where", "when", "at_most", "approximate"})
"""Parameters with which a check says less than that every row is another one."""


def keys(spec: PipelineSpec) -> dict[str, tuple[str, ...]]:
    """Return the columns that a check of each promoted table says to be unique in every row."""
    found: dict[str, tuple[str, ...]] = {}
    for table in spec.promote:
        for check in spec.checks.get(table, ()):
            if check.kind == "unique" and check.columns and not _LOOSE & check.parameters.keys():
                found.setdefault(table, tuple(check.columns))
    return found


def observed(workspace: Workspace, version: Frozen) -> Observed:
    """Return drift and cost of a version that a candidate holds."""
    return Observed(_drift(workspace, version), _seconds(workspace, version))


def _drift(workspace: Workspace, version: Frozen) -> tuple[str, ...]:
    """Return what drifted from production's version; nothing where not all of both kept a profile."""
    table = version.version.table
    held = released(workspace.catalog, table)
    if held is None or held == version.version.number:
        return ()
    before = freeze(workspace.lake.table(table), held)
    reference, current = (_profile(workspace, side) for side in (before, version))
    if reference is None or current is None:
        return ()
    names = (f"{table} {held}", f"{table} {version.version.number}")
    return _sentences(compare(reference, current, Limits(), table=table, names=names))


def _profile(workspace: Workspace, version: Frozen | None) -> TableProfile | None:
    paths = [entry.sketches for entry in version.entries] if version is not None else []
    kept = [path for path in paths if path is not None and workspace.lake.objects.exists(path)]
    if not kept or len(kept) < len(paths):
        return None
    return merged(read_sketch(workspace.lake.objects, path) for path in kept)


def _sentences(report: DriftReport) -> tuple[str, ...]:
    drifted = [column for column in report.columns if column.drifted]
    found = [f"{column.column} drifted: {'; '.join(column.reasons)}" for column in drifted]
    more = len(found) - _MOST_SENTENCES
    return (*found[:_MOST_SENTENCES], *([f"{more} more columns drifted"] if more > 0 else []))


def _seconds(workspace: Workspace, version: Frozen) -> float | None:
    """Return how long the steps took that made the versions; of a run that is not known, nothing is told."""
    found = 0.0
    for run in {entry.run for entry in version.entries if entry.run is not None}:
        try:
            steps = workspace.catalog.run(run).steps
        except NotFoundError:
            return None
        found += sum(step.seconds for step in steps if step.table == version.version.table)
    return found if version.entries else None
