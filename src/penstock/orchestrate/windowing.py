"""Windows beside what they are made of: kept up in each transaction that loads events, and computed whole by runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from penstock.load.ledger import VersionLedger
from penstock.model.receipts import State
from penstock.model.specs import SourceSpec, TransformSpec, WriteMode
from penstock.model.windows import Emit, WindowedSpec
from penstock.orchestrate.context import RunContext
from penstock.queries.moments import EVER, at
from penstock.queries.text import identifier
from penstock.stores.port import WarehouseTransaction

if TYPE_CHECKING:
    from penstock.orchestrate.streaming.window_publishing import LiveWindows


def replaced_in(table: str) -> str:
    """Return the name of the temporary table that keeps the rows which left a warehouse table."""
    return f"_penstock_replaced_{table}"


@contextmanager
def kept_up(
    sources: Sequence[SourceSpec], transaction: WarehouseTransaction, context: RunContext, live: LiveWindows
) -> Iterator[None]:
    """Keep the windows up that read some streams, whose loads are applied meanwhile.

    Args:
        sources: The streams.
        transaction: The open transaction of the warehouse.
        context: The run that consumes them.
        live: Publishes those that are live.
    """
    tables = {source.table for source in sources}
    chosen = [
        each
        for each in context.spec.transforms
        if isinstance(each, WindowedSpec) and tables & {each.window.of, each.window.to}
    ]
    if not chosen:
        yield
        return
    from penstock.orchestrate.window_tables import Applied, WindowTable

    before = Applied(transaction)
    work = [WindowTable(each, transaction, context, before) for each in chosen]
    yield
    now = Applied(transaction)
    for each in work:
        computed = each.keep_up(now)
        if computed is not None:
            live.publish(computed, transaction, context)


def watched(source: SourceSpec, context: RunContext) -> str:
    """Return where the rows are kept that leave the warehouse table of a source; empty: nobody asks for them."""
    asked = any(
        isinstance(each, WindowedSpec) and source.table in (each.window.of, each.window.to)
        for each in context.spec.transforms
    )
    merged = source.write is WriteMode.MERGE and source.stream is not None
    return replaced_in(context.workspace.warehouse_table(source.table)) if asked and merged else ""


def as_of(transform: TransformSpec, context: RunContext) -> TransformSpec:
    """Return a transform as it is computed now: windows that are emitted when they are closed go by the watermark."""
    if not isinstance(transform, WindowedSpec) or transform.window.emit is not Emit.CLOSED:
        return transform
    from penstock.orchestrate.window_tables import watermark_of

    watermark = watermark_of(transform, context)
    until = at(watermark) if watermark is not None else "'-infinity'::TIMESTAMP WITH TIME ZONE"
    return replace(transform, sql=(transform.sql or "").replace(EVER, until))


def give_way(transform: TransformSpec, transaction: WarehouseTransaction) -> None:
    """Take out a table that streams have made before any run did: a version comes in its place."""
    if not isinstance(transform, WindowedSpec):
        return
    from penstock.transform.windowing.records import known

    if known(transaction, transform.table) and not VersionLedger(transaction, transform.table).newest_part():
        transaction.execute(f"DROP TABLE IF EXISTS {identifier(transform.table)}")


def computed(
    transform: TransformSpec, relation: str, state: State, transaction: WarehouseTransaction, context: RunContext
) -> None:
    """Take in that a run computed all windows of a table.

    Args:
        transform: The table; anything else than windows is passed over.
        relation: The result.
        state: Done: a version of it stands in the warehouse; unchanged: the version that stood is equal.
        transaction: The open transaction.
        context: The run.
    """
    if not isinstance(transform, WindowedSpec) or state not in (State.DONE, State.UNCHANGED):
        return
    from penstock.orchestrate.window_tables import Applied, WindowTable

    window = WindowTable(transform, transaction, context, Applied(transaction))
    if state is State.UNCHANGED and not window.current and transaction.columns(transform.table) is not None:
        transaction.execute(f"DELETE FROM {identifier(transform.table)}")
        transaction.execute(f"INSERT INTO {identifier(transform.table)} BY NAME SELECT * FROM {identifier(relation)}")
    window.note()
