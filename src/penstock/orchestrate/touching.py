"""What a load that is being judged touches, so that just the intervals that it changes are computed again."""

from __future__ import annotations

import duckdb

from penstock.land.touching import Touching, touched
from penstock.load.columns import present
from penstock.model.entries import Entry
from penstock.model.interval import Interval
from penstock.model.schedules import length
from penstock.model.specs import SourceSpec, WriteMode
from penstock.orchestrate.context import RunContext
from penstock.orchestrate.standing import rows_of
from penstock.queries import relations


def touched_by(
    load: Entry,
    quarantine: str | None,
    source: SourceSpec,
    context: RunContext,
    connection: duckdb.DuckDBPyConnection,
) -> tuple[Interval, ...] | None:
    """Return the time in which rows change by a load; None: it cannot be told, or nobody asked.

    Args:
        load: The load.
        quarantine: The file of the rows that its checks set aside.
        source: Its source; one that is read whole changes any time.
        context: The run.
        connection: In which the files of the lake can be read.
    """
    spec = context.spec
    step = length(spec.schedule)
    if source.event_time is None or source.whole or step is None or spec.start is None:
        return None
    known = context.ledger.sources[source.table]
    gone = [each for each in known.records if each.entry.number in load.supersedes] if load.supersedes else []
    if not load.files and not gone:
        return ()
    lake = context.workspace.lake
    table = lake.table(load.table)
    columns = present(load.schema, table.columns())
    aside = lake.objects.reading([quarantine])[0] if quarantine else None
    now = [table.reading(load.files, aside)] if load.files else []
    # Rows that leave with it change their time as well; of those that stay, it replaces those with a key of its own.
    now += rows_of(gone, lake)
    merged = source.write in (WriteMode.MERGE, WriteMode.SCD2)
    before = rows_of(known.chosen(known.live_numbers - {*load.supersedes, load.number}), lake) if merged else []
    if not now:
        return ()
    return touched(
        Touching(
            table=load.table,
            column=source.event_time,
            columns=columns,
            rows=relations.accepted(now),
            before=relations.accepted(before) if before else None,
            key=source.key if merged else (),
            origin=spec.start,
            step=step,
        ),
        connection,
    )
