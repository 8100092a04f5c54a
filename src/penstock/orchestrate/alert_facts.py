"""The facts that alerts are found in, read off the catalog: each entry once, whatever the number of tables and looks.

What came of a table is folded from its entries and kept in the catalog; a look reads the newest number of each table
and folds what is new. The lake is asked about tables alone that seem to be silent or late.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from datetime import datetime, timedelta

from penstock import names
from penstock.errors import DataError
from penstock.model.alerts import Missed
from penstock.model.codec import decode, encode
from penstock.model.receipts import RunReceipt, State
from penstock.model.specs import CheckSpec, PipelineSpec
from penstock.model.streams import COMMAND as STREAM
from penstock.monitor.alerts import Limit, PipelineFacts, TableFacts
from penstock.monitor.arrivals import Arrivals, Released, fold, fold_releases
from penstock.orchestrate.workspace import Workspace
from penstock.values import dataclass

_RELEASES = "(releases)"
"""The name under which releases are kept; no table can have it."""
_MOST_STREAMS = 50
"""Ends of streams among which the newest run of another kind is looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What whoever looks knows besides the catalog.

    Attributes:
        run: A run that has just ended; one that found nothing to do is not in the catalog.
        missed: Runs that a schedule wanted and that did not begin.
    """

    run: RunReceipt | None = None
    missed: tuple[Missed, ...] = ()


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A table to be looked at: its spec, and the columns that are followed."""

    name: str
    lake: str
    source: bool
    silent_after: timedelta | None = None
    moments: tuple[str, ...] = ()
    limits: tuple[Limit, ...] = ()
    watched: tuple[str, ...] = ()
    owners: tuple[str, ...] = field(default=())


def gather(workspace: Workspace, specs: Sequence[PipelineSpec], seen: Seen) -> tuple[PipelineFacts, ...]:
    """Return what is known of pipelines, from the catalog alone."""
    wanted = {spec.name: _wanted(spec) for spec in specs}
    arrivals, released = _folded(workspace, [table for tables in wanted.values() for table in tables])
    return tuple(_facts(workspace, spec, wanted[spec.name], seen, (arrivals, released)) for spec in specs)


def _wanted(spec: PipelineSpec) -> list[_Wanted]:
    tables = []
    for source in spec.sources:
        moments = tuple(dict.fromkeys(name for name in (source.event_time, source.interval) if name))
        checks = spec.checks.get(source.table, ())
        limits = _limits(checks)
        tables.append(
            _Wanted(
                name=source.table,
                lake=names.raw(source.table),
                source=True,
                silent_after=source.silent_after,
                moments=moments,
                limits=limits,
                watched=_watched(moments, limits),
                owners=tuple(dict.fromkeys(check.owner for check in checks if check.owner)),
            )
        )
    for transform in spec.transforms:
        limits = _limits(spec.checks.get(transform.table, ()))
        tables.append(
            _Wanted(transform.table, transform.table, source=False, limits=limits, watched=_watched((), limits))
        )
    return tables


def _watched(moments: Iterable[str], limits: Iterable[Limit]) -> tuple[str, ...]:
    return tuple(sorted({*moments, *(limit.column for limit in limits)}))


def _limits(checks: Sequence[CheckSpec]) -> tuple[Limit, ...]:
    """Return how old the newest moments may be; of a part of the rows that is not known without reading them."""
    return tuple(
        Limit(column=check.columns[0], within=timedelta(seconds=check.parameters["within"]), owner=check.owner)
        for check in checks
        if check.kind == "fresh" and not check.parameters.get("where")
    )


def _folded(workspace: Workspace, tables: Sequence[_Wanted]) -> tuple[dict[str, Arrivals], Released]:
    """Return what came of the tables and to production, after taking in what is new, and keep that."""
    book = workspace.catalog.alerts
    heads, kept = book.heads(), book.folded()
    changed: dict[str, bytes] = {}
    found: dict[str, Arrivals] = {}
    for table in tables:
        head = heads.get(table.lake, 0)
        if not head:
            continue
        known = _kept(kept.get(table.lake), table)
        if known.head > head:
            known = Arrivals(table=table.lake, watched=table.watched)
        if known.head < head:
            while known.head < head and (entries := book.after(table.lake, known.head)):
                known = fold(known, entries)
            changed[table.lake] = encode(known)
        found[table.lake] = known
    released = _released(kept.get(_RELEASES))
    newer = fold_releases(released, book.releases_after(released.number))
    if newer != released:
        changed[_RELEASES] = encode(newer)
    if changed:
        book.keep_folded(changed)
    return found, newer


def _kept(body: bytes | None, table: _Wanted) -> Arrivals:
    """Return what was kept of a table; nothing where other columns are followed now, or a later version wrote it."""
    begun = Arrivals(table=table.lake, watched=table.watched)
    if body is None:
        return begun
    try:
        known = decode(Arrivals, body, where=f"What is kept of {table.lake}")
    except DataError:
        return begun
    return known if known.watched == table.watched else begun


def _released(body: bytes | None) -> Released:
    if body is None:
        return Released()
    try:
        return decode(Released, body, where="What is kept of releases")
    except DataError:
        return Released()


def _facts(
    workspace: Workspace,
    spec: PipelineSpec,
    tables: Sequence[_Wanted],
    seen: Seen,
    found: tuple[Mapping[str, Arrivals], Released],
) -> PipelineFacts:
    arrivals, released = found
    ended, killed, newest = _runs(workspace, spec.name, seen.run)
    return PipelineFacts(
        name=spec.name,
        tables=tuple(_table(table, arrivals.get(table.lake), released) for table in tables),
        ended=ended,
        made=_made(workspace, spec.name, ended),
        newest=newest,
        killed=killed,
        releases=released.moments.get(spec.name, ()) if spec.promote else (),
        missed=tuple(missed for missed in seen.missed if missed.pipeline == spec.name),
    )


def _table(table: _Wanted, arrivals: Arrivals | None, released: Released) -> TableFacts:
    number = released.tables.get(table.lake)
    serving = arrivals.versions.get(str(number)) if arrivals is not None and not table.source else None
    return TableFacts(
        name=table.name,
        arrivals=arrivals,
        source=table.source,
        silent_after=table.silent_after,
        moments=table.moments,
        limits=table.limits,
        serving=serving,
        owners=table.owners,
    )


def _made(workspace: Workspace, pipeline: str, ended: RunReceipt | None) -> RunReceipt | None:
    """Return the newest run that ended and was no stream; ``ended`` is the newest of all that did."""
    if ended is None or ended.command != STREAM:
        return ended
    known = workspace.catalog.runs(pipeline, _MOST_STREAMS)
    return next((run for run in known if run.state is not State.RUNNING and run.command != STREAM), None)


def _runs(
    workspace: Workspace, pipeline: str, just_ended: RunReceipt | None
) -> tuple[RunReceipt | None, tuple[RunReceipt, ...], datetime | None]:
    """Return the newest run that ended, one that was killed, and when the newest run began."""
    catalog = workspace.catalog
    known = catalog.runs(pipeline, 1)
    killed: tuple[RunReceipt, ...] = ()
    if known and known[0].state is State.RUNNING:
        # A run gives its lease back after it has written its end, so the order of these questions matters.
        if not catalog.held(pipeline):
            killed = tuple(run for run in catalog.runs(pipeline, 1) if run == known[0])
        known = catalog.runs(pipeline, 2)
    ended = next((run for run in known if run.state is not State.RUNNING), None)
    newest = known[0].started if known else None
    if just_ended is not None and just_ended.pipeline == pipeline:
        newest = max(just_ended.started, newest or just_ended.started)
        if ended is None or ended.started <= just_ended.started:
            ended = just_ended
    return ended, killed, newest
