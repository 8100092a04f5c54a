"""Runs that a schedule wanted and that did not begin, for alerts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from penstock.catalog.port import Catalog
from penstock.model.alerts import Missed
from penstock.model.firings import ServeSpec
from penstock.model.schedules import timetables
from penstock.model.specs import PipelineSpec
from penstock.orchestrate.schedule.deciding import decide
from penstock.orchestrate.schedule.showing import situation


def missed(
    catalog: Catalog, specs: Mapping[str, PipelineSpec], serve: ServeSpec, at: datetime
) -> tuple[Missed, ...] | None:
    """Return what is due for longer than the grace and has not begun; None: no scheduler was ever at work.

    What somebody paused is no surprise, and is left out.
    """
    standings = catalog.schedules.standings()
    if not any(standing.watched for standing in standings.values()):
        return None
    tables = timetables(specs)
    given = situation(catalog.schedules, tables, serve, at)
    held = {hold.pipeline: hold.why for hold in decide(given, at).hold}
    found = []
    for name, table in tables.items():
        standing = given.known[name].standing
        first = table.following(standing.settled)
        if name not in standings or standing.paused is not None or first is None:
            continue
        if first + table.delay + serve.grace < at:
            why = held.get(name, "no scheduler is at work: penstock serve")
            found.append(Missed(pipeline=name, due=first + table.delay, reason=why))
    return tuple(found)
