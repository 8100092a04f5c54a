"""Which keys new data touches, so that a table kept up by key computes just those."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from penstock.catalog.port import LoadRecord
from penstock.model.entries import Column, column_called
from penstock.model.specs import Nested, SourceSpec, TransformSpec, WriteMode
from penstock.orchestrate.context import RunContext
from penstock.orchestrate.due import Due
from penstock.orchestrate.standing import rows_of
from penstock.queries import relations
from penstock.queries.text import alike, identifier, identifiers
from penstock.stores.port import WarehouseTransaction

if TYPE_CHECKING:
    from penstock.transform.keeping import Keyed


def touched_keys(
    transform: TransformSpec,
    due: Due,
    names: Mapping[str, str],
    transaction: WarehouseTransaction,
    context: RunContext,
) -> Keyed | None:
    """Return the keys that are to be computed anew; None: all of them.

    All are, where the code changed or nothing stands yet, and where it cannot be told which keys a change touches: in
    tables that other transforms make, in sources that are replaced or keep a history, in tables without the key.

    Args:
        transform: With a key.
        due: Why it is computed, from which loads.
        names: Input to its warehouse table.
        transaction: The warehouse.
        context: The run.
    """
    standing, known = due.standing, context.ledger.versions[transform.table]
    if not transform.key or not due.by_data or standing is None or transform.children:
        return None
    if standing.interval is not None or standing.quarantine is not None:
        return None
    having = frozenset(name for name, table in names.items() if _has(transform.key, table, transaction))
    selects: list[str] = []
    for name, numbers in due.inputs.items():
        read = {each.number for each in known.inputs(None) if each.table == context.ledger.lake_table(name)}
        if read == set(numbers):
            continue
        found = _changed(name, transform.key, read ^ set(numbers), context) if name in having else None
        if found is None:
            return None
        selects += found
    if not selects:
        return None
    from penstock.transform.keeping import Keyed

    return Keyed(columns=transform.key, keys=" UNION ALL ".join(selects), inputs=having, standing=transform.table)


def _has(key: Sequence[str], table: str, transaction: WarehouseTransaction) -> bool:
    present = {column.name.lower() for column in transaction.columns(table) or ()}
    return {name.lower() for name in key} <= present


def _changed(name: str, key: Sequence[str], loads: set[int], context: RunContext) -> list[str] | None:
    """Return queries for the keys in loads that came or went, and in the rows that they replaced."""
    source = next((each for each in context.spec.sources if each.table == name), None)
    if source is None or source.whole or source.write is WriteMode.SCD2 or source.nested is not Nested.COLUMNS:
        return None
    known = context.ledger.sources[name]
    moved = [record for record in known.records if record.entry.number in loads]
    if len(moved) < len(loads) or not _there(moved, context):
        return None
    now = rows_of(moved, context.workspace.lake)
    if not now:
        return []
    columns = _stored(key, moved)
    if columns is None:
        return None
    found = [f"SELECT {identifiers(columns)} FROM {relations.accepted(now)}"]
    if source.write is not WriteMode.MERGE:
        return found
    replaced = _replaced(source, columns, moved, context)
    return None if replaced is None else found + replaced


def _replaced(
    source: SourceSpec, columns: Sequence[str], moved: Sequence[LoadRecord], context: RunContext
) -> list[str] | None:
    """Return a query for the keys of rows in other loads that have the primary key of a row that came or went."""
    others = [record for record in context.ledger.sources[source.table].live() if record not in moved]
    before = rows_of(others, context.workspace.lake)
    own = _stored(source.key, [*moved, *others])
    if own is None or _stored(columns, others) is None:
        return None
    now = rows_of(moved, context.workspace.lake)
    if not before:
        return []
    same = alike(own, "b", "n")
    return [
        f"SELECT {', '.join(f'b.{identifier(name)}' for name in columns)} FROM {relations.accepted(before)} b "
        f"SEMI JOIN {relations.accepted(now)} n ON {same}"
    ]


def _there(records: Sequence[LoadRecord], context: RunContext) -> bool:
    """Say whether the files of loads are all there: those of a load that was superseded may have been deleted."""
    live = {record.entry.number for known in context.ledger.sources.values() for record in known.live()}
    gone = [record for record in records if record.entry.number not in live]
    objects = context.workspace.lake.objects
    return all(objects.exists(f"{r.entry.table}/{file.path}") for r in gone for file in r.entry.files)


def _stored(names: Sequence[str], records: Sequence[LoadRecord]) -> list[str] | None:
    """Return the names of columns in the files of loads; None where a load lacks one, or stores it otherwise."""
    found: list[str] = []
    for name in names:
        each = {_column(name, record.entry.schema) for record in records if record.entry.files}
        stored = next(iter(each), None)
        if len(each) > 1 or stored is None:
            return None
        found.append(stored)
    return found


def _column(name: str, schema: Sequence[Column]) -> str | None:
    column = column_called(name, schema)
    return column.name if column is not None and column.stored in (None, column.type) else None
