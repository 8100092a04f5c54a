"""Keeping the lake's tables small: asked for by name, or by a run whose table has come to have too many files."""

from __future__ import annotations

import time
from collections.abc import Iterable, Set
from dataclasses import fields, replace
from typing import TYPE_CHECKING

from penstock import names
from penstock.catalog.port import Catalog
from penstock.errors import LeaseHeldError, PenstockError, StaleWriterError
from penstock.model.entries import Entry, EntryKind
from penstock.model.events import Advance, StepAdvanced, StepFinished, StepStarted
from penstock.model.receipts import State, StepReceipt
from penstock.model.specs import CompactionSpec
from penstock.names import RAW_PREFIX
from penstock.orchestrate import indexing
from penstock.orchestrate.context import CARE, RunContext, leased
from penstock.orchestrate.workspace import Workspace, new_id, now
from penstock.stores import compaction
from penstock.stores.compaction import Compacted, Compacting
from penstock.stores.rewriting import Source
from penstock.values import dataclass

if TYPE_CHECKING:
    from penstock.model.answers import CompactionReport

_LOOKED_AT = (2, 50)
"""Compactions that are read, first and then, for what is known of the files that they wrote."""
_RENUMBERED = 8
"""The number of a load is greater by less than this than the one in its files' names, where others came first."""


def compact(
    workspace: Workspace, table: str | None, window: str | None = None, *, open_too: bool = False
) -> tuple[CompactionReport, ...]:
    """Write the small files of closed windows together, whatever their number; goes on beside runs.

    Args:
        workspace: The places.
        table: A raw table, with or without ``raw_``; None: all of them.
        window: ``hour`` or ``day``; None takes the project's.
        open_too: Compact the open window as well.

    Raises:
        LeaseHeldError: Another compaction or a vacuum is at work.
    """
    from penstock.orchestrate.asking import resolve

    raw = [name for name in workspace.lake.tables() if name.startswith(RAW_PREFIX)]
    wanted = [resolve(workspace, table)] if table else raw
    indexing.follow(workspace, wanted)
    spec = workspace.compaction if window is None else replace(workspace.compaction, window=window)
    reports = []
    with leased(workspace, CARE):
        for name in wanted:
            step = f"compact {name}"
            begun = time.monotonic()
            workspace.observer(StepStarted(step=step, table=name))
            asked = _Asked(spec, f"compact-{new_id(now())}", None, open_too)
            done = _compact(workspace, name, asked, _advance(workspace, step))
            workspace.observer(StepFinished(receipt=_receipt(name, done, time.monotonic() - begun)))
            reports.append(_report(workspace, name, done))
    return tuple(reports)


def after_run(context: RunContext) -> None:
    """Compact the tables in which the run landed and which have more files than the project's limit.

    What hinders it is told, and does not fail the run: every row is where it was.
    """
    # What streams write they compact, under a lease of their own.
    streams = {names.raw(source.table) for source in context.spec.sources if source.stream is not None}
    landed = {step.table for step in context.steps if step.number is not None and step.table.startswith(RAW_PREFIX)}
    within_limit(sorted(landed - streams), context)


def within_limit(tables: Iterable[str], context: RunContext) -> None:
    """Compact those of some tables that have more files than the project's limit; what hinders it is told."""
    workspace = context.workspace
    for name in tables:
        if len(workspace.lake.table(name).live()) <= workspace.compaction.limit:
            continue
        begun = context.started(f"compact {name}", name)
        try:
            with leased(workspace, CARE):
                done = _within_limit(context, name)
            receipt = _receipt(name, done, time.monotonic() - begun)
        except StaleWriterError:
            raise
        except LeaseHeldError:
            continue
        except PenstockError as error:
            receipt = StepReceipt(
                step=f"compact {name}",
                table=name,
                state=State.SKIPPED,
                seconds=time.monotonic() - begun,
                notes=(error.sentence(),),
            )
        context.finished(receipt)


@dataclass(frozen=True, slots=True)
class _Asked:
    """How a table is compacted, by whom and under which fence; whether open windows are, too."""

    spec: CompactionSpec
    run: str
    fence: int | None
    open_too: bool


def _within_limit(context: RunContext, name: str) -> Compacted:
    """Compact what is closed; where the open window alone has too many files, that as well."""
    workspace, table = context.workspace, context.workspace.lake.table(name)
    done = Compacted()
    for open_too in (False, True):
        if len(table.live()) > workspace.compaction.limit:
            asked = _Asked(workspace.compaction, context.run, context.fence, open_too)
            more = _compact(workspace, name, asked, context.advance(f"compact {name}"))
            done = Compacted(*(getattr(done, each.name) + getattr(more, each.name) for each in fields(Compacted)))
    return done


def _compact(workspace: Workspace, name: str, asked: _Asked, advance: Advance) -> Compacted:
    indexing.follow(workspace, (name,))
    table = workspace.lake.table(name)
    spec = Compacting(
        run=asked.run,
        now=now(),
        sources=(),
        columns=table.columns(),
        window=asked.spec.window,
        target=asked.spec.target,
        open=asked.open_too,
        fence=asked.fence,
    )
    wanted = {path for paths in compaction.mergeable(spec, table).values() for path in paths}
    sources = tuple(_sources(workspace.catalog, name, wanted))
    done = compaction.compact(replace(spec, sources=sources), table, workspace.engine, advance)
    indexing.follow(workspace, (name,))
    return done


def _sources(catalog: Catalog, name: str, wanted: set[str]) -> Iterable[Source]:
    """Return what is known of some files; how much is read goes by them, and not by the table's history."""
    found: dict[str, Source] = {}
    for later in (range(1), range(1, _RENUMBERED)):
        numbers = {compaction.load_of(path) for path in wanted - found.keys()} - {None}
        meant = {number + more for number in numbers if number is not None for more in later}
        _take((record.entry for record in catalog.loads_of(name, sorted(meant))), wanted, found)
    for newest in _LOOKED_AT:
        # What has another name than a landed file was written by a compaction, mostly by one of the newest.
        if found.keys() == wanted:
            return found.values()
        _take(catalog.entries(name, EntryKind.COMPACTION, newest), wanted - found.keys(), found)
    if found.keys() == wanted:
        return found.values()
    loads, compactions = (catalog.entries(name, kind) for kind in (EntryKind.LOAD, EntryKind.COMPACTION))
    return compaction.sources_of(loads, tuple(reversed(compactions)))


def _take(entries: Iterable[Entry], wanted: Set[str], found: dict[str, Source]) -> None:
    for entry in entries:
        for path in wanted & {file.path for file in entry.files}:
            source = compaction.source_of(path, entry)
            if source is not None:
                found[path] = source


def _advance(workspace: Workspace, step: str) -> Advance:
    return lambda rows, size: workspace.observer(StepAdvanced(step=step, rows=rows, bytes=size))


def _receipt(name: str, done: Compacted, seconds: float) -> StepReceipt:
    return StepReceipt(
        step=f"compact {name}",
        table=name,
        state=State.DONE if done.entries else State.UNCHANGED,
        rows=done.rows,
        bytes=done.bytes_after,
        seconds=seconds,
        number=done.entries[-1].number if done.entries else None,
        notes=(f"{done.files_before} small files became {done.files_after}",) if done.entries else (),
    )


def _report(workspace: Workspace, name: str, done: Compacted) -> CompactionReport:
    from penstock.model.answers import CompactionReport

    return CompactionReport(
        table=name,
        entries=tuple(entry.number for entry in done.entries),
        replaced=done.files_before,
        written=done.files_after,
        rows=done.rows,
        bytes_before=done.bytes_before,
        bytes_after=done.bytes_after,
        files=len(workspace.lake.table(name).live()),
    )
