"""Quarantined rows, edited and brought in again, or ended: each a committed entry, so that a rebuild finds them.

A replay is a load of its own for each load that set rows aside: (1) the file of the places it takes, (2) the load,
which names that file, (3) its verdict. A crash before (2) leaves a file that nothing names; after it the next run
checks it. What is open is derived: what a load set aside, without what accepted replays and discards took of it.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from penstock import names
from penstock.catalog.port import LoadRecord
from penstock.errors import ConfigurationError, ConflictError, NotFoundError
from penstock.extract.port import Scan
from penstock.land.landing import Landing, LandPorts, land
from penstock.model.answers import ReplayPreview
from penstock.model.codec import encode
from penstock.model.entries import CheckFailure, Entry, EntryKind, TakenRows, Work
from penstock.model.receipts import RunReceipt
from penstock.model.releases import Decision
from penstock.model.specs import CheckSpec, PipelineSpec, Severity, SourceSpec
from penstock.orchestrate import holding, indexing, running
from penstock.orchestrate.bringing import WHOLE, check_load, judged
from penstock.orchestrate.context import RunContext
from penstock.orchestrate.decoding_again import Again
from penstock.orchestrate.judging import owner
from penstock.orchestrate.ledger import Ledger, SourceLedger, collect
from penstock.orchestrate.standing import all_of, relations_of
from penstock.orchestrate.workspace import Workspace, new_id, now, user
from penstock.privacy.shield import Shield
from penstock.stores.contending import committed
from penstock.stores.parquet import write
from penstock.validate import editing
from penstock.validate.checking import Checking, CheckPorts
from penstock.validate.checking import check as check_rows
from penstock.validate.editing import Edit
from penstock.validate.shelf import Shelf, opened
from penstock.values import dataclass

if TYPE_CHECKING:
    import duckdb

FOLDER = "_replayed"
_PLACES = {"position": "BIGINT", "_position": "BIGINT", "order_load": "BIGINT", "order_position": "BIGINT"}


def replay(workspace: Workspace, specs: Mapping[str, PipelineSpec], table: str, edit: Edit) -> RunReceipt:
    """Bring open rows of a table's quarantine in again, edited or as they are, and go on below them.

    Raises:
        NotFoundError: Nothing is open.
        ConfigurationError: An edit that is none.
        DataError: Rows of a file that are not in the quarantine.
        ConflictError: A rejected load waits that would replace the rows' own.
    """
    spec, source = _found(workspace, specs, table)
    edit, again = _meant(workspace, source, edit)
    with closing(again) if again else nullcontext(), holding.whole(workspace, spec) as lease:
        # All edits are looked at before the first row is written.
        chosen = _chosen(workspace, source, collect(spec, workspace.catalog), edit, again)

        def first(context: RunContext) -> None:
            for record in chosen:
                _replay(record, source, edit, context, again)

        return running.below(workspace, spec, running.Asked(command="replay"), lease, first)


def preview(workspace: Workspace, specs: Mapping[str, PipelineSpec], table: str, edit: Edit) -> ReplayPreview:
    """Say what a replay would bring in and what the checks would find; nothing is written."""
    spec, source = _found(workspace, specs, table)
    ledger = collect(spec, workspace.catalog)
    known = ledger.sources[source.table]
    edit, again = _meant(workspace, source, edit)
    tables = _tables(spec, ledger, workspace)
    loads: dict[str, int] = {}
    failures: list[CheckFailure] = []
    with closing(again) if again else nullcontext():
        for record in _chosen(workspace, source, ledger, edit, again):
            shelf = _shelf(record, known, workspace, lines=edit.lines)
            with workspace.engine.session() as connection:
                query = _edited(shelf, record, edit, again, connection)
                found = check_rows(
                    Checking(
                        table=known.table,
                        checks=(
                            *(each for each in spec.checks.get(source.table, ()) if each.kind not in WHOLE),
                            *_contracted(shelf),
                        ),
                        relation=f"({editing.stored(shelf, query)})",
                        columns=shelf.columns,
                        tables=tables,
                        now=now(),
                        quarantine_path=None,
                        profiled=False,
                    ),
                    CheckPorts(connection=connection, objects=workspace.lake.objects),
                )
            loads[str(record.entry.number)] = found.report.rows
            failures += found.report.failures
    return ReplayPreview(table=known.table, loads=loads, rows=sum(loads.values()), failures=tuple(failures))


def discard(
    workspace: Workspace,
    specs: Mapping[str, PipelineSpec],
    table: str,
    edit: Edit,
    *,
    reason: str,
    by: str | None,
) -> tuple[Entry, ...]:
    """End open rows of a table's quarantine: they are kept, but wait for nobody any more.

    Raises:
        NotFoundError: Nothing is open, or nothing that is meant.
        ConfigurationError: No reason; a condition that is none.
    """
    if not reason.strip():
        raise ConfigurationError("A decision by a person needs a reason", remedy='Add --reason "…"')
    spec, source = _found(workspace, specs, table)
    with holding.whole(workspace, spec) as lease:
        ledger = collect(spec, workspace.catalog)
        known = ledger.sources[source.table]
        chosen = _chosen(workspace, source, ledger, edit)
        at = now()
        decision = Decision(
            id=new_id(at), kind="discard", at=at, by=by or user(), subject=f"{known.table} quarantine", reason=reason
        )
        workspace.lake.objects.create(f"{indexing.DECISIONS}{decision.id}.json", encode(decision))
        workspace.catalog.put_decision(decision)
        context = RunContext(workspace=workspace, spec=spec, run=decision.id, lease=lease, ledger=ledger)
        return tuple(_discard(record, known, edit, reason, context) for record in chosen)


def export(
    workspace: Workspace, specs: Mapping[str, PipelineSpec], table: str, file: str, *, lines: bool = False
) -> int:
    """Write the open rows (or lines that were no rows) of a table's quarantine to a file; returns how many."""
    spec, source = _found(workspace, specs, table)
    ledger = collect(spec, workspace.catalog)
    known = ledger.sources[source.table]
    chosen = _chosen(workspace, source, ledger, Edit(lines=lines))
    shelves = [_shelf(record, known, workspace, lines=lines) for record in chosen]
    with workspace.engine.session() as connection:
        query = " UNION ALL BY NAME ".join(opened(shelf, connection) for shelf in shelves)
        return editing.export(query, file, shelves[0].columns, connection)


def _contracted(shelf: Shelf) -> tuple[CheckSpec, ...]:
    """Return the check that rows fail which still hold a value that the contract left out."""
    if all(column.name != names.DISCARDED for column in shelf.columns):
        return ()
    left_out = f"coalesce(len(json_keys({names.DISCARDED}, '$.values')), 0)"
    return (
        CheckSpec(
            kind="expression", parameters={"sql": f"{left_out} = 0"}, severity=Severity.QUARANTINE, name="contract"
        ),
    )


def _found(workspace: Workspace, specs: Mapping[str, PipelineSpec], table: str) -> tuple[PipelineSpec, SourceSpec]:
    """Return the source of a table and its pipeline, once the catalog knows all that is committed of it."""
    spec = owner(specs, _bare(table))
    indexing.follow(workspace, indexing.tables_of(spec))
    return spec, next(each for each in spec.sources if each.table == _bare(table))


def _meant(workspace: Workspace, source: SourceSpec, edit: Edit) -> tuple[Edit, Again | None]:
    """Return an edit that knows whether it is about lines that were no rows: an exported file says it.

    Lines to which nobody gives values are decoded again, where they are a stream's messages.

    Raises:
        ConfigurationError: Lines, and nothing says which values they hold.
    """
    if edit.file is not None:
        with workspace.engine.session() as connection:
            edit = replace(edit, lines=edit.lines or editing.holds_lines(edit.file, connection))
    return edit, Again(source, workspace) if edit.lines and edit.file is None and not edit.sets else None


def _edited(
    shelf: Shelf, record: LoadRecord, edit: Edit, again: Again | None, connection: duckdb.DuckDBPyConnection
) -> str:
    """Return the query of the open rows that are meant, as they should be."""
    rows = editing.edited(shelf, edit, connection)
    return rows if again is None else again.edited(shelf, record, rows, connection)


def _bare(table: str) -> str:
    return table.removeprefix(names.RAW_PREFIX)


def _chosen(
    workspace: Workspace, source: SourceSpec, ledger: Ledger, edit: Edit, again: Again | None = None
) -> list[LoadRecord]:
    """Return the loads with open rows that are meant; every edit is bound against them.

    Raises:
        NotFoundError: There are none.
    """
    known = ledger.sources[source.table]
    left_open = known.open_lines if edit.lines else known.open
    shelved = [record for record in known.live() if _set_aside(record, lines=edit.lines) is not None]
    with workspace.engine.session() as connection:
        named = editing.named_loads(edit.file, connection) if edit.file is not None else None
        if named is not None and (unknown := named - {record.entry.number for record in shelved}):
            raise NotFoundError(
                f"The file {edit.file} holds rows of loads of {known.table} that have nothing in the quarantine, "
                "or that were replaced since",
                valid=[str(record.entry.number) for record in shelved] or "none has",
                remedy=f"Take these rows out: _load {', '.join(str(number) for number in sorted(unknown)[:5])}",
            )
        found = []
        waiting = [record for record in shelved if named is None or record.entry.number in named]
        for record in waiting:
            # A file is looked at also where nothing is open, so that a row that was never there is told.
            if not left_open(record) and edit.file is None:
                continue
            query = _edited(_shelf(record, known, workspace, lines=edit.lines), record, edit, again, connection)
            counted = connection.execute(f"SELECT count(*) FROM ({query})").fetchone()
            if counted and counted[0]:
                found.append(record)
    if not found:
        left, what = sum(left_open(record) for record in shelved), "line" if edit.lines else "row"
        lines = 0 if edit.lines else sum(known.open_lines(record) for record in known.live())
        more = "; lines of files that were no rows are meant with --lines" if lines else ""
        if again is not None and left:
            raise NotFoundError(
                f"None of the {left} messages that {known.table} set aside is a row yet",
                value=edit.where,
                remedy="penstock quarantine show says why; register their schema, or give values by --set or --from",
            )
        raise NotFoundError(
            f"No {what} of {known.table} is meant: {left} {what}s of its quarantine are open",
            value=edit.where or edit.file,
            remedy=f"penstock quarantine list says what was set aside, replayed and discarded{more}",
        )
    _refuse_waiting(known, found)
    return found


def _refuse_waiting(known: SourceLedger, chosen: Sequence[LoadRecord]) -> None:
    """Refuse rows whose load a rejected one would replace: nobody knows yet whether they count."""
    for rejected in known.rejected:
        for record in chosen:
            if record.entry.number in rejected.entry.supersedes:
                raise ConflictError(
                    f"Load {rejected.entry.number} of {known.table} is rejected and would replace load "
                    f"{record.entry.number}, which set these rows aside",
                    remedy=f"First: penstock retry --table {_bare(known.table)}, or penstock accept or discard it",
                )


def _set_aside(record: LoadRecord, *, lines: bool) -> str | None:
    """Return the path of the rows that the checks of a load set aside, or of the lines that were no rows."""
    if lines:
        return record.entry.misfits.path if record.entry.misfits else None
    return record.verdict_entry.quarantine if record.verdict_entry else None


def _shelf(record: LoadRecord, known: SourceLedger, workspace: Workspace, *, lines: bool) -> Shelf:
    objects, entry, aside = workspace.lake.objects, record.entry, _set_aside(record, lines=lines)
    assert aside is not None
    return Shelf(
        table=_bare(known.table),
        load=entry.number,
        quarantine=objects.reading([aside])[0],
        lines=lines,
        files=entry.files,
        columns=workspace.lake.table(known.table).columns(),
        landed=entry.schema,
        taken=objects.reading([each.path for each in known.taken(entry.number)]),
        extracted=entry.taken.extracted if entry.taken else entry.number,
        replayed=objects.reading([entry.taken.path])[0] if entry.taken else None,
    )


def _take(shelf: Shelf, query: str, context: RunContext) -> TakenRows:
    """Write the file of the places that are taken."""
    workspace = context.workspace
    path = f"{FOLDER}/{names.raw(shelf.table)}/{names.moment(now())}-{secrets.token_hex(4)}.parquet"
    with workspace.engine.session() as connection:
        written = write(connection, editing.places(query), workspace.lake.objects.uri(path), _PLACES)
    workspace.lake.objects.publish([path])
    lines = written.rows if shelf.lines else 0
    return TakenRows(load=shelf.load, extracted=shelf.extracted, rows=written.rows, path=path, lines=lines)


def _scored(record: LoadRecord, again: Again | None) -> Mapping[str, str]:
    """Return who scored the rows: the model of today where messages were decoded again, else that of their load."""
    if again is not None:
        return again.scored
    return record.entry.work.scored if record.entry.work else {}


def _replay(record: LoadRecord, source: SourceSpec, edit: Edit, context: RunContext, again: Again | None) -> None:
    """Land the rows of one load's quarantine as a load of their own, and check them."""
    workspace, known = context.workspace, context.ledger.sources[source.table]
    step = f"replay {source.table}"
    begun = context.started(step, known.table)
    context.hold()
    shelf = _shelf(record, known, workspace, lines=edit.lines)
    with workspace.engine.session() as connection:
        query = _edited(shelf, record, edit, again, connection)
        rows = editing.landed(shelf, query, connection) if again is None else again.landed(shelf, query)
    taken = _take(shelf, query, context)
    receipt = land(
        Landing(
            source=source,
            work=Work(interval=record.entry.span, scored=_scored(record, again)),
            run=context.run,
            fence=context.fence,
            created_at=now(),
            taken=taken,
        ),
        LandPorts(
            workspace.lake,
            workspace.engine,
            _Rows(rows, f"the quarantine of {known.table}", record.entry.number),
            context.advance(step),
            # Its rows were protected when they landed first; the shield says so of their columns.
            Shield(source.table, source.personal, workspace.keys),
        ),
    )
    assert receipt.entry is not None
    workspace.catalog.index((receipt.entry,))
    verdict = check_load(receipt.entry, source, _tables(context.spec, context.ledger, workspace), context)
    known.add(receipt.entry, verdict)
    done = judged(step, receipt.entry, verdict, time.monotonic() - begun)
    context.finished(replace(done, notes=(*receipt.notes, *done.notes)))


@dataclass(slots=True)
class _Rows:
    """Rows of the quarantine as an extraction; see the port. No position of the source is touched."""

    sql: str
    uri: str
    load: int
    schema: None = None

    def batches(self) -> Iterator[Scan]:
        """Yield one scan."""
        yield Scan(self.sql, origins=((self.uri, {"load": self.load}),))

    def position(self) -> Mapping[str, Any] | None:
        """Return none: the former one stands."""
        return None

    def notes(self) -> tuple[str, ...]:
        """Return none."""
        return ()

    def commit(self) -> None:
        """Acknowledge nothing."""

    def close(self) -> None:
        """Release nothing."""


def _discard(record: LoadRecord, known: SourceLedger, edit: Edit, reason: str, context: RunContext) -> Entry:
    workspace = context.workspace
    shelf = _shelf(record, known, workspace, lines=edit.lines)
    with workspace.engine.session() as connection:
        query = editing.edited(shelf, edit, connection)
    taken = _take(shelf, query, context)
    table = workspace.lake.table(known.table)

    def attempt() -> Entry:
        entry = Entry(
            table=known.table,
            number=table.next_number(),
            previous=None,
            kind=EntryKind.DISCARD,
            created_at=now(),
            run=context.run,
            fence=context.fence,
            load=record.entry.number,
            reason=reason,
            schema=record.entry.schema,
            taken=taken,
        )
        return table.commit(entry)

    entry = committed(attempt)
    workspace.catalog.index((entry,))
    return entry


def _tables(spec: PipelineSpec, ledger: Ledger, workspace: Workspace) -> dict[str, str]:
    return relations_of(all_of(spec), ledger, workspace.lake)
