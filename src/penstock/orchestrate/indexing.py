"""Bringing the catalog up to the lake: the lake is the truth, the catalog only an index over it."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace

from penstock import names
from penstock.errors import AlreadyExistsError, DataError, NotFoundError
from penstock.model.codec import decode, encode
from penstock.model.entries import Entry
from penstock.model.receipts import RunReceipt, State
from penstock.model.releases import Candidate, Decision, Release
from penstock.model.specs import PipelineSpec
from penstock.model.streams import COMMAND as STREAM
from penstock.orchestrate.workspace import Workspace
from penstock.stores.port import LakeTable

RUNS = "_runs/"
DECISIONS = "_decisions/"
CANDIDATES = "_candidates/"
RELEASES = "releases/"
_LOOKED_AT = 50
"""Runs among which those that never ended are looked for; each run marks those before it."""


def tables_of(spec: PipelineSpec) -> tuple[str, ...]:
    """Return the lake tables of a pipeline."""
    return (*(names.raw(source.table) for source in spec.sources), *(item.table for item in spec.transforms))


def follow(workspace: Workspace, tables: Iterable[str]) -> int:
    """Index the entries that the lake has and the catalog has not; returns how many.

    Costs one look at each table's log and one manifest, whatever its length.

    Raises:
        DataError: The lake is not the one that was indexed: it was deleted, or an older copy was put in its place.
    """
    there = workspace.exists(workspace.staging.lake)
    found = 0
    for table in tables:
        newest = next(iter(workspace.catalog.entries(table, limit=1)), None)
        if newest is not None:
            _refuse_another(workspace.lake.table(table) if there else None, newest)
        if not there:
            continue
        new = tuple(workspace.lake.table(table).entries(newest.number if newest else 0))
        if new:
            workspace.catalog.index(new)
            found += len(new)
    return found


def _refuse_another(table: LakeTable | None, newest: Entry) -> None:
    """Refuse a table that lacks the newest entry known of it, or has another one of that number."""
    head = table.head() if table is not None else 0
    if table is not None and head >= newest.number:
        with suppress(NotFoundError):
            if table.entry(newest.number).created_at == newest.created_at:
                return
    why = f"entry {newest.number} of {newest.table} is another one"
    if head < newest.number:
        why = (
            f"of {newest.table} the catalog has entry {newest.number} of {newest.created_at:%Y-%m-%d %H:%M:%S} UTC, "
            f"and the lake {f'ends at {head}' if head else 'has nothing'}"
        )
    raise DataError(
        f"The lake is not the one that the catalog knows: {why}",
        remedy="Put the lake back; or go on from what it holds: penstock doctor --rebuild-catalog, penstock rebuild",
    )


def keep_run(workspace: Workspace, run: RunReceipt) -> None:
    """Write a finished run to the lake, then index it; what a successor has written of it stands."""
    path = f"{RUNS}{run.id}.json"
    try:
        workspace.lake.objects.create(path, encode(run))
    except AlreadyExistsError:
        run = decode(RunReceipt, workspace.lake.objects.get(path), where=path)
    workspace.catalog.put_run(run)


def running(workspace: Workspace, pipeline: str, *, streams: bool = False) -> tuple[RunReceipt, ...]:
    """Return the runs that have not ended, as far as the catalog knows; or the streams, which are no such runs."""
    newest = workspace.catalog.runs(pipeline, _LOOKED_AT)
    return tuple(run for run in newest if run.state is State.RUNNING and (run.command == STREAM) is streams)


def end_interrupted(workspace: Workspace, pipeline: str, *, streams: bool = False) -> int:
    """Mark the runs (or streams) that have not ended as failed; returns how many.

    Whoever calls this holds their lease, so nobody else is running: their processes are dead or were
    overtaken. A run whose end stands in the lake gets that end.
    """
    found = running(workspace, pipeline, streams=streams)
    for run in found:
        keep_run(workspace, replace(run, state=State.FAILED, error="interrupted"))
    return len(found)


def rebuild(workspace: Workspace) -> int:
    """Index everything again from the lakes; returns how many values were found.

    Runs that have not ended stand in the catalog alone, and are carried over.
    """
    catalog = workspace.catalog
    unended = [run for run in catalog.runs(limit=None) if run.state is State.RUNNING]
    catalog.clear()
    for run in unended:
        catalog.put_run(run)
    found = follow(workspace, workspace.lake.tables())
    objects = workspace.lake.objects
    for run in (decode(RunReceipt, objects.get(o.path), where=o.path) for o in objects.list(RUNS)):
        catalog.put_run(run)
        found += 1
    found += follow_decided(workspace)
    found += follow_releases(workspace)
    return found


def follow_decided(workspace: Workspace) -> int:
    """Index the decisions and candidates that the lake has and the catalog has not; returns how many."""
    catalog, objects = workspace.catalog, workspace.lake.objects
    decisions = {decision.id for decision in catalog.decisions()}
    candidates = {candidate.id for candidate in catalog.candidates()}
    found = 0
    for item in objects.list(DECISIONS):
        if _name(item.path) not in decisions:
            catalog.put_decision(decode(Decision, objects.get(item.path), where=item.path))
            found += 1
    for item in objects.list(CANDIDATES):
        if _name(item.path) not in candidates:
            catalog.put_candidate(decode(Candidate, objects.get(item.path), where=item.path))
            found += 1
    return found


def _name(path: str) -> str:
    return path.rpartition("/")[2].removesuffix(".json")


def follow_releases(workspace: Workspace) -> int:
    """Index production's releases; returns how many there are."""
    if workspace.production is None or not workspace.exists(workspace.production.lake):
        return 0
    objects = workspace.production_lake().objects
    found = 0
    for item in objects.list(RELEASES):
        if is_release(item.path):
            workspace.catalog.put_release(decode(Release, objects.get(item.path), where=item.path))
            found += 1
    return found


def is_release(path: str) -> bool:
    """Say whether a path of the production lake is that of a release: ``releases/{n}.json``."""
    return path.startswith(RELEASES) and path.removeprefix(RELEASES).removesuffix(".json").isdigit()


def greatest_fence(workspace: Workspace, spec: PipelineSpec) -> int:
    """Return the greatest fence under which anything of a pipeline was committed."""
    newest = (workspace.catalog.entries(table, limit=1) for table in tables_of(spec))
    return max((entry.fence for entries in newest for entry in entries), default=0)


def not_found(what: str, numbers: Iterable[str]) -> NotFoundError:
    """Return the error for something that is not there, with what is."""
    return NotFoundError(what, valid=list(numbers) or "none")
