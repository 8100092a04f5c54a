"""Releases of a project: what would change, who approves, the move of the pointer, and the way back."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from penstock.errors import (
    AlreadyExistsError,
    ConfigurationError,
    ConflictError,
    LeaseHeldError,
    NotFoundError,
    PenstockError,
)
from penstock.model.events import Waiting
from penstock.model.releases import Candidate, Decision, Release
from penstock.model.specs import EnvironmentSpec, PipelineSpec
from penstock.names import moment, unknown
from penstock.orchestrate import indexing, observing
from penstock.orchestrate.announcing import announce
from penstock.orchestrate.context import PRODUCTION, leased
from penstock.orchestrate.workspace import Workspace, new_id, now, user
from penstock.promote import approval, finishing, promoting, proposing, rolling_back
from penstock.promote.ports import PromotePorts, ReleaseFiles, lake_identity, newest_number


def finish(workspace: Workspace, *, asking: bool = False) -> tuple[str, ...]:
    """Bring a release that a crash left after its commit point to its end; undo what came before it.

    Every command that touches production calls this first.

    Args:
        workspace: The places.
        asking: A database that serves production is tried once, and not asked whether it serves what it should.
    """
    if workspace.production is None or not workspace.exists(workspace.production.lake):
        return ()
    done = finishing.finish(_ports(workspace, asking=asking))
    indexing.follow_releases(workspace)
    serving = current(workspace)
    if serving is not None:
        _record(workspace, serving)
    announce(workspace)
    return (f"release {done.number} was brought to its end",) if done is not None else ()


def settle(workspace: Workspace) -> tuple[str, ...]:
    """Do as ``finish`` does, unless somebody is promoting: for questions, which wait for nobody.

    Without it a question would name a release that is committed, while the warehouse still serves the one before.
    """
    if workspace.production is None or not workspace.exists(workspace.production.lake):
        return ()
    ports = _ports(workspace, asking=True)
    if finishing.settled(ports, newest_number(ports.production)):
        return ()
    try:
        with leased(workspace, PRODUCTION):
            return finish(workspace, asking=True)
    except LeaseHeldError:
        return ()


def current(workspace: Workspace) -> Release | None:
    """Return the release that production serves, read from production itself."""
    indexing.follow_releases(workspace)
    known = workspace.catalog.releases()
    return known[0] if known else None


def releases(workspace: Workspace) -> tuple[Release, ...]:
    """Return production's releases, newest first."""
    settle(workspace)
    indexing.follow_releases(workspace)
    return workspace.catalog.releases()


def diff(workspace: Workspace, spec: PipelineSpec) -> Candidate:
    """Freeze the newest versions as a candidate; the same state gives the same candidate."""
    if not spec.promote:
        raise ConfigurationError(
            f"Pipeline {spec.name!r} promotes no table",
            remedy='Name the tables of a release: Pipeline(…, promote=["…"])',
        )
    indexing.follow(workspace, indexing.tables_of(spec))
    finish(workspace)
    asked = proposing.Proposing(
        pipeline=spec.name,
        tables=spec.promote,
        created_at=now(),
        keys=observing.keys(spec),
        observe=lambda version: observing.observed(workspace, version),
    )
    found = proposing.candidate(asked, _ports(workspace))
    workspace.catalog.put_candidate(found)
    return found


def find(workspace: Workspace, beginning: str | None, pipeline: str | None = None) -> Candidate:
    """Return the candidate whose id begins so; without one the newest."""
    indexing.follow_decided(workspace)
    known = workspace.catalog.candidates(pipeline)
    if not known:
        raise NotFoundError(
            "There is no candidate yet", remedy="penstock diff makes one and shows what it would change"
        )
    if beginning is None:
        return known[0]
    matching = [candidate for candidate in known if candidate.id.startswith(beginning)]
    if not matching:
        raise unknown("candidate", beginning, [candidate.id for candidate in known], where="penstock diff makes them")
    return matching[0]


def approve(workspace: Workspace, candidate: str | None, *, reason: str, by: str | None) -> Decision:
    """Approve exactly this candidate, if one may."""
    who = by or user()
    if workspace.approvers and who not in workspace.approvers:
        raise ConfigurationError(
            "This user may not approve",
            value=who,
            valid=workspace.approvers,
            remedy="Ask one of them, or add the user to approvers in penstock.toml",
        )
    found = find(workspace, candidate)
    if found.gate and not reason.strip():
        raise ConflictError(
            f"Candidate {found.id} does not pass the gate: {found.gate[0]}",
            remedy="Mend it, then penstock diff; or approve it with --reason and promote it with --force",
        )
    serving = current(workspace)
    if found.against != (serving.number if serving else 0):
        raise ConflictError(
            f"Candidate {found.id} was compared with release {found.against}, but production has moved",
            remedy="Make the report again: penstock diff",
        )
    made = _decide(workspace, "approve", found, reason, who)
    _stage(workspace, found)
    return made


def _stage(workspace: Workspace, candidate: Candidate) -> None:
    """Bring the candidate's files to production ahead of the promotion, which else does it, and takes longer."""
    try:
        promoting.stage(candidate, _ports(workspace))
    except PenstockError as error:
        workspace.observer(Waiting(sentence=f"Candidate {candidate.id} is approved, but not staged yet: {error}"))


def reject(workspace: Workspace, candidate: str | None, *, reason: str, by: str | None) -> Decision:
    """Reject a candidate."""
    found = find(workspace, candidate)
    made = _decide(workspace, "reject", found, reason, by or user())
    if workspace.production is not None and workspace.exists(workspace.production.lake):
        _ports(workspace).releases.remove(promoting.staged_name(found))
    return made


def promote(
    workspace: Workspace,
    specs: Mapping[str, PipelineSpec],
    candidate: str | None,
    *,
    reason: str,
    by: str | None,
    force: bool,
) -> Release:
    """Make a candidate the production release."""
    production = _production(workspace)
    finish(workspace)
    found = find(workspace, candidate)
    serving = current(workspace)
    if serving is not None and serving.candidate == found.id and serving.rollback_to is None:
        return serving
    if force and not reason.strip():
        raise ConfigurationError("Forcing a promotion needs a reason", remedy='Add --reason "…"')
    beyond = _approve_by_rule(workspace, specs, found)
    with leased(workspace, PRODUCTION, committed=serving.fence if serving else 0) as lease:
        decisions = workspace.catalog.decisions(found.id)
        obstacles = approval.may_promote(found, decisions, serving, force=force)
        if obstacles:
            raise ConflictError(
                f"Candidate {found.id} cannot be promoted: {obstacles[0]}" + (f"; {beyond[0]}" if beyond else ""),
                remedy=None if "penstock" in obstacles[0] else "penstock diff shows it",
            )
        release = promoting.promote(
            promoting.Promoting(
                candidate=found,
                by=by or user(),
                reason=reason or _approval_reason(decisions),
                at=now(),
                fence=lease.fence,
                keep=production.keep_releases,
            ),
            _ports(workspace),
        )
        workspace.catalog.put_release(release)
        _record(workspace, release)
    announce(workspace)
    return release


def rollback(workspace: Workspace, to: int | None, *, reason: str, by: str | None) -> Release:
    """Serve an earlier release again."""
    production = _production(workspace)
    finish(workspace)
    serving = current(workspace)
    if serving is None:
        raise NotFoundError("Production has no release, so there is nothing to roll back")
    with leased(workspace, PRODUCTION, committed=serving.fence) as lease:
        release = rolling_back.rollback(
            rolling_back.RollingBack(
                to=to, by=by or user(), reason=reason, at=now(), fence=lease.fence, keep=production.keep_releases
            ),
            _ports(workspace),
        )
        workspace.catalog.put_release(release)
        _record(workspace, release)
    announce(workspace)
    return release


def _approve_by_rule(workspace: Workspace, specs: Mapping[str, PipelineSpec], candidate: Candidate) -> tuple[str, ...]:
    """Approve a candidate that may be approved by nobody; return why that may not be."""
    spec = specs.get(candidate.pipeline)
    if spec is None or spec.approve != "automatic" or candidate.gate:
        return ()
    if any(decision.kind in ("approve", "reject") for decision in workspace.catalog.decisions(candidate.id)):
        return ()
    found = approval.beyond(candidate, workspace.automatic)
    if not found:
        _decide(
            workspace, "approve", candidate, "every check passed, and the changes are inside the limits", "automatic"
        )
    return found


def _record(workspace: Workspace, release: Release) -> None:
    """Keep who made a release, and why, as a decision; one that a crash prevented is written by the next command."""
    id_ = f"{moment(release.created_at)}-release-{release.number}"
    if workspace.lake.objects.exists(f"{indexing.DECISIONS}{id_}.json"):
        return
    back = release.rollback_to is not None
    versions = {table.table: table.number for table in release.tables if table.pipeline in ("", release.pipeline)}
    made = {"against": release.previous, "versions": versions, "release": release.number}
    decision = Decision(
        id=id_,
        kind="rollback" if back else "promote",
        at=release.created_at,
        by=release.by,
        subject=f"release {release.number}" if back else release.candidate,
        reason=release.reason,
        detail={"to": release.rollback_to, "from": release.previous} if back else made,
    )
    # Another command may have written it just now.
    with suppress(AlreadyExistsError):
        _keep(workspace, decision)


def _decide(workspace: Workspace, kind: str, candidate: Candidate, reason: str, by: str) -> Decision:
    at = now()
    seen = {"against": candidate.against, "versions": {table.table: table.number for table in candidate.tables}}
    decision = Decision(id=new_id(at), kind=kind, at=at, by=by, subject=candidate.id, reason=reason, detail=seen)
    _keep(workspace, decision)
    return decision


def _keep(workspace: Workspace, decision: Decision) -> None:
    approval.decide(decision, workspace.lake.objects)
    workspace.catalog.put_decision(decision)


def _approval_reason(decisions: tuple[Decision, ...]) -> str:
    return next((decision.reason for decision in decisions if decision.kind == "approve"), "")


def _production(workspace: Workspace) -> EnvironmentSpec:
    if workspace.production is None:
        raise ConfigurationError("This project has no production environment", remedy="Add [environments.production]")
    return workspace.production


def _ports(workspace: Workspace, *, asking: bool = False) -> PromotePorts:
    production = _production(workspace)
    files: ReleaseFiles | None = None
    if production.postgres is not None:
        from penstock.stores.postgres.releases import PostgresReleases

        def lake() -> str:
            return lake_identity(workspace.production_lake())

        files = PostgresReleases(production.postgres, lake, workspace.engine, workspace.waiting, asking=asking)
    return PromotePorts(
        staging=workspace.lake,
        production=workspace.production_lake(),
        warehouse=production.warehouse,
        engine=workspace.engine,
        files=files,
    )
