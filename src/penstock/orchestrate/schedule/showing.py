"""What people see and say of schedules: what is due when and why it waits; pause, resume, run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from penstock.catalog import holders
from penstock.catalog.port import Catalog
from penstock.catalog.schedules import SCHEDULER, Schedules
from penstock.errors import ConfigurationError
from penstock.model.firings import (
    ACTIVE,
    Firing,
    FiringState,
    PipelineSchedule,
    ScheduleReport,
    ServeSpec,
)
from penstock.model.schedules import Timetable, timetables
from penstock.model.specs import PipelineSpec
from penstock.names import unknown
from penstock.orchestrate.clock import new_id, now
from penstock.orchestrate.schedule.deciding import Decision, Known, Situation, decide
from penstock.orchestrate.schedule.ticking import REMEMBERED, fresh


def report(
    catalog: Catalog, specs: Mapping[str, PipelineSpec], serve: ServeSpec, pipeline: str | None = None, limit: int = 10
) -> ScheduleReport:
    """Return what is due when, what waits and why, and the newest firings; nothing is written.

    Args:
        catalog: The catalog.
        specs: The pipelines.
        serve: How schedules are carried out.
        pipeline: Only this one.
        limit: How many firings.
    """
    at, schedules = now(), catalog.schedules
    tables, scheduler = timetables(specs), schedules.held().get(SCHEDULER)
    given = situation(schedules, tables, serve, at)
    known, decision = given.known, decide(given, at)
    chosen = [_chosen(specs, pipeline)] if pipeline is not None else list(specs)
    return ScheduleReport(
        at=at,
        scheduler=holders.shown(scheduler.holder) if scheduler is not None else "",
        pipelines=tuple(
            _of(tables[name], known[name], decision) if name in tables else _unscheduled(name) for name in chosen
        ),
        firings=schedules.firings(pipeline, limit),
    )


def situation(schedules: Schedules, tables: Mapping[str, Timetable], serve: ServeSpec, at: datetime) -> Situation:
    """Return what a scheduler would decide from; what was never scheduled stands as one would find it."""
    held, standings = schedules.held(), schedules.standings()
    known = {
        name: Known(standing=standings.get(name) or fresh(table, at), firings=_known(schedules, name))
        for name, table in tables.items()
    }
    working = [each for one in known.values() for each in one.firings if each.state is FiringState.RUNNING]
    own = {each.pipeline for each in working}
    busy = {name: holders.shown(held[name].holder) for name in tables if name in held and name not in own}
    return Situation(timetables=tables, known=known, serve=serve, busy=busy, working=len(working))


def _known(schedules: Schedules, name: str) -> list[Firing]:
    return list(reversed(schedules.firings(name, REMEMBERED)))


def _unscheduled(name: str) -> PipelineSchedule:
    return PipelineSchedule(pipeline=name, schedule="", state="unscheduled")


def _of(timetable: Timetable, known: Known, decision: Decision) -> PipelineSchedule:
    name, standing = timetable.pipeline, known.standing
    ran = [each for each in known.firings if each.state is not FiringState.SKIPPED]
    holds = [each.why for each in decision.hold if each.pipeline == name]
    following = timetable.following(standing.settled)
    state, why = "waiting", holds[0] if holds else ""
    if standing.paused is not None:
        by = f" by {standing.paused_by}" if standing.paused_by else ""
        state, why = "paused", f"it was paused{by}: penstock schedule resume {name}"
    elif any(each.state is FiringState.RUNNING for each in ran):
        state = "running"
    elif why:
        state = "held"
    return PipelineSchedule(
        pipeline=name,
        schedule=timetable.shown,
        state=state,
        next=following + timetable.delay if following is not None else None,
        why=why,
        last=ran[-1] if ran else None,
    )


def pause(catalog: Catalog, specs: Mapping[str, PipelineSpec], pipeline: str, by: str) -> None:
    """Have nothing of a pipeline begun until it is resumed; what runs goes on."""
    at = now()
    catalog.schedules.pause(fresh(_scheduled(specs, pipeline), at), at, by)


def resume(catalog: Catalog, specs: Mapping[str, PipelineSpec], pipeline: str) -> None:
    """Have a pipeline begun again; what was due meanwhile follows its ``catch_up``."""
    catalog.schedules.resume(_scheduled(specs, pipeline).pipeline, now())


def ask(catalog: Catalog, specs: Mapping[str, PipelineSpec], pipeline: str) -> Firing:
    """Ask the scheduler for a run of all that is due, as soon as it can; one that waits already is hastened.

    Returns:
        The firing that was asked for.
    """
    timetable, at = _scheduled(specs, pipeline), now()
    schedules = catalog.schedules
    standing = schedules.standings().get(pipeline) or fresh(timetable, at)
    for firing in _known(schedules, pipeline):
        if firing.state in ACTIVE and firing.asked:
            return firing
    firing = Firing(
        id=new_id(at),
        pipeline=pipeline,
        after=standing.settled,
        due=standing.settled,
        times=0,
        asked=True,
        state=FiringState.PENDING,
        created_at=at,
        next_try=at,
        reason="a person asked for it",
    )
    schedules.ask(firing)
    return firing


def _scheduled(specs: Mapping[str, PipelineSpec], pipeline: str) -> Timetable:
    tables = timetables(specs)
    _chosen(specs, pipeline)
    if pipeline not in tables:
        raise ConfigurationError(
            f"Pipeline {pipeline!r} has no schedule",
            valid=_names(tables),
            remedy=f'Give it one: Pipeline(…, schedule="@daily"); or run it by hand: penstock run {pipeline}',
        )
    return tables[pipeline]


def _chosen(specs: Mapping[str, PipelineSpec], pipeline: str) -> str:
    if pipeline not in specs:
        raise unknown("pipeline", pipeline, specs, where="this project")
    return pipeline


def _names(tables: Iterable[str]) -> str:
    return ", ".join(sorted(tables)) or "none has a schedule"
