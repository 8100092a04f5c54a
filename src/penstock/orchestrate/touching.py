"""What a load that is being judged touches, so that just the intervals that it changes are computed again."""

from __future__ import annotations

import duckdb

from penstock.catalog.port import LoadRecord
from penstock.land.touching import Touching, touched
from penstock.load.columns import present
from penstock.model.entries import Entry
from penstock.model.interval import SCHEDULES, Interval
from penstock.model.specs import SourceSpec, WriteMode
from penstock.orchestrate.context import RunContext
from penstock.queries import relations
from penstock.queries.relations import FileSet


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
    if source.event_time is None or source.whole or spec.schedule is None or spec.start is None:
        return None
    known = context.ledger.sources[source.table]
    former = [each for each in known.live() if each.entry.number not in (*load.supersedes, load.number)]
    gone = [each for each in known.records if each.entry.number in load.supersedes]
    if not load.files and not gone:
        return ()
    table = context.workspace.lake.table(load.table)
    columns = present(load.schema, table.columns())
    aside = context.workspace.lake.objects.reading([quarantine])[0] if quarantine else None
    now = [table.reading(load.files, aside)] if load.files else []
    # Rows that leave with it change their time as well; of those that stay, it replaces those with a key of its own.
    now += [each for record in gone if (each := reading(record, context))]
    merged = source.write in (WriteMode.MERGE, WriteMode.SCD2)
    before = [each for record in former if (each := reading(record, context))] if merged else []
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
            step=SCHEDULES[spec.schedule],
        ),
        connection,
    )


def reading(record: LoadRecord, context: RunContext) -> FileSet | None:
    """Return the rows of a load that its checks let pass."""
    if not record.entry.files:
        return None
    quarantine = record.verdict_entry.quarantine if record.verdict_entry else None
    objects = context.workspace.lake.objects
    path = objects.reading([quarantine])[0] if quarantine else None
    return context.workspace.lake.table(record.entry.table).reading(record.entry.files, path)
