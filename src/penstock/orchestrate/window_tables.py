"""One table of windows in a transaction of the warehouse: whether it is up to date, what came, and bringing it up."""

from __future__ import annotations

import time

from penstock.errors import DataError
from penstock.load.ledger import LoadLedger, VersionLedger
from penstock.model.capture import captured
from penstock.model.codec import fingerprint
from penstock.model.entries import column_called
from penstock.model.event_time import progress
from penstock.model.receipts import State, StepReceipt
from penstock.model.specs import SourceSpec, WriteMode
from penstock.model.windows import Emit, WindowedSpec, WindowKind
from penstock.orchestrate.context import RunContext
from penstock.orchestrate.streaming.window_publishing import Computed
from penstock.orchestrate.windowing import replaced_in
from penstock.stores.port import WarehouseTransaction
from penstock.transform.fingerprints import code_fingerprint
from penstock.transform.windowing.port import Came, Keeping
from penstock.transform.windowing.records import known, record, recorded
from penstock.transform.windowing.spans import Spans
from penstock.transform.windowing.statement import result_time
from penstock.transform.windowing.upkeep import DuckDBWindows


class Applied:
    """What is in the tables of sources at a moment of a transaction; each is asked for once.

    Args:
        transaction: The open transaction.
    """

    def __init__(self, transaction: WarehouseTransaction) -> None:
        self._transaction = transaction
        self._found: dict[str, tuple[str, frozenset[int]]] = {}

    def of(self, table: str) -> tuple[str, frozenset[int]]:
        """Return how a table is written, and the loads that are in it."""
        if table not in self._found:
            ledger = LoadLedger(self._transaction, table)
            self._found[table] = (ledger.shape() or "", frozenset(ledger.live()))
        return self._found[table]


class WindowTable:
    """One table of windows within a transaction.

    Args:
        spec: The windows.
        transaction: The open transaction, before anything changes in it.
        context: The run.
        before: What is in the tables of sources.

    Attributes:
        current: The table is what the rows of its inputs make of it.
    """

    def __init__(
        self, spec: WindowedSpec, transaction: WarehouseTransaction, context: RunContext, before: Applied
    ) -> None:
        self._spec = spec
        self._transaction = transaction
        self._context = context
        self._names = {
            name: context.workspace.warehouse_table(name) if name in context.ledger.sources else name
            for name in filter(None, (spec.window.of, spec.window.to))
        }
        self._sources = {source.table: source for source in context.spec.sources if source.table in self._names}
        self._before = before
        self._stood = transaction.columns(spec.table) is not None
        self._recorded = recorded(transaction, spec.table)
        self.current = self._stood and self._recorded == self._made_from(before)

    def keep_up(self, now: Applied) -> Computed | None:
        """Bring the table up to what its inputs are by now.

        Args:
            now: What is in the tables of sources now.

        Returns:
            What is to be published, where the windows are live.
        """
        if not self._timed:
            # There is no event yet, or nothing to join: a run says so.
            return None
        self._refuse_strange()
        begun = time.monotonic()
        stream = self._sources[self._spec.window.of]
        live, key = self._spec.window.live, stream.key if stream.write is WriteMode.MERGE else ()
        kept = DuckDBWindows().keep_up(
            Keeping(
                spec=self._spec,
                names=self._names,
                came=self._came(now),
                key=key,
                watermark=watermark_of(self._spec, self._context),
                told=live,
            ),
            self._transaction,
        )
        made_from = self._made_from(now)
        record(self._transaction, self._spec.table, made_from)
        self._context.finished(
            StepReceipt(
                step=f"window {self._spec.table}",
                table=self._spec.table,
                state=State.DONE,
                rows=kept.rows,
                deleted=kept.deleted,
                seconds=time.monotonic() - begun,
                notes=("All windows were computed anew.",) if kept.whole and self._stood else (),
            )
        )
        if not live:
            return None
        window = self._spec.window
        told = key if window.kind is WindowKind.JOIN else (*window.key, result_time(window, self._spec.event_time))
        before = self._recorded if self.current else ""
        return Computed(table=self._spec.table, key=told, before=before, after=made_from, whole=kept.whole)

    def note(self) -> None:
        """Note that a run has made the table."""
        if self._spec.window.emit is Emit.CLOSED:
            # The windows that are not closed are nowhere: the next micro-batch computes all.
            record(self._transaction, self._spec.table, "")
            return
        events = self._names[self._spec.window.of]
        Spans(self._transaction, self._spec.table, events, self._spec.event_time).begin()
        record(self._transaction, self._spec.table, self._made_from(self._before))

    def _refuse_strange(self) -> None:
        table = self._spec.table
        made = known(self._transaction, table) or VersionLedger(self._transaction, table).newest_part()
        if self._transaction.columns(table) is not None and not made:
            raise DataError(
                f"The warehouse has a table {table} that Penstock did not make",
                remedy="Rename it, or choose another name for the windows",
            )

    @property
    def _timed(self) -> bool:
        """Say whether each input is there, with its column of times: what a stream begins with may have no column."""
        window = self._spec.window
        wanted = {window.of: self._spec.event_time, **({window.to: window.since} if window.to else {})}
        return all(
            column_called(column, self._transaction.columns(self._names[name]) or ()) is not None
            for name, column in wanted.items()
        )

    def _came(self, applied: Applied) -> dict[str, Came] | None:
        """Return what came to each input; None where that is not all that happened, or is not known."""
        if not self.current:
            return None
        found: dict[str, Came] = {}
        for name, source in self._sources.items():
            shape, live = self._before.of(self._names[name])
            shape_now, now = applied.of(self._names[name])
            changed = live != now
            if shape != shape_now or not live <= now or (changed and (captured(source) or not _kept(source))):
                return None
            replaced = replaced_in(self._names[name])
            there = changed and source.write is WriteMode.MERGE and _made(self._transaction, replaced)
            found[name] = Came(loads=tuple(sorted(now - live)), replaced=replaced if there else "")
        return found

    def _made_from(self, applied: Applied) -> str:
        """Return what the table would be computed from."""
        inputs = {}
        for name in self._sources:
            shape, live = applied.of(self._names[name])
            inputs[name] = [shape, len(live), max(live, default=0), sum(live)]
        others = {
            name: VersionLedger(self._transaction, name).newest_part()
            for name in self._names
            if name not in self._sources
        }
        version = VersionLedger(self._transaction, self._spec.table).newest_part()
        return fingerprint(code_fingerprint(self._spec), self._spec.event_time, inputs, others, version)


def _kept(source: SourceSpec) -> bool:
    """Say whether all that leaves the warehouse table of a source is known when loads come."""
    return source.write is WriteMode.APPEND or (source.write is WriteMode.MERGE and source.stream is not None)


def _made(transaction: WarehouseTransaction, name: str) -> bool:
    return bool(transaction.execute("SELECT 1 FROM duckdb_tables() WHERE temporary AND table_name = ?", [name]))


def watermark_of(spec: WindowedSpec, context: RunContext) -> int | None:
    """Return up to where the events of windows are taken to be known, in microseconds since 1970."""
    known_ = progress(context.ledger.sources[spec.window.of].position())
    return known_.watermark if known_ is not None else None
