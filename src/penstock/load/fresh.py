"""The rows of loads as a table of their own: typed and named as the warehouse has them, for who puts file to file.

Of a merge all of them, each with its order, since which of a key counts is told only by all files together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from penstock.errors import BugError
from penstock.load import captured
from penstock.load.change import ADDED, Change, define_rows, prepare
from penstock.load.columns import UNKNOWN, served_names
from penstock.load.deletes import means_deletion
from penstock.load.failures import sentences
from penstock.load.ledger import LoadLedger
from penstock.load.merge import ROWS
from penstock.load.rows import ORDER_LOAD, POSITION, parts, union, wanted
from penstock.load.spec import AcceptedLoad, Loading, LoadPorts, reserved
from penstock.model import capture
from penstock.model.entries import Column
from penstock.model.specs import SourceSpec, WriteMode
from penstock.names import CREATED, LOAD, ORDER, UPDATED
from penstock.queries.text import identifier
from penstock.schema import storage, store
from penstock.stores.port import LakeTable
from penstock.stores.warehouse import DuckDBTransaction
from penstock.values import dataclass

DELETED = "_penstock_deleted"
"""Of a merge: the row says that its key was deleted."""


@dataclass(frozen=True, slots=True)
class FreshRows:
    """The rows of some loads.

    Attributes:
        query: A SELECT of them, in the forms in which the lake stores values; valid as long as the transaction is.
        columns: Its columns: those of the source, then ``_load`` and ``_created_at``; of a merge ``_order`` and
            ``DELETED`` too.
        key: The key columns, by their names here; empty unless rows are merged.
        rank: Of a merge: what two rows of one key are compared by.
        emptied: The loads emptied the table: no row that stood before them counts.
    """

    query: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    rank: str = ""
    emptied: bool = False


@contextmanager
def fresh_rows(
    source: SourceSpec,
    loads: Sequence[AcceptedLoad],
    transaction: DuckDBTransaction,
    lake_table: LakeTable,
    standing: str = "",
) -> Iterator[FreshRows | None]:
    """Lend the rows of accepted loads; None where they have no column.

    Args:
        source: How they are written: appended, or merged by key.
        loads: The loads, by number.
        transaction: A transaction upon an empty database.
        lake_table: Where the loads are.
        standing: A SELECT of the rows that stand already, hidden columns and all, from which the values are taken that
            changes left untold; empty: there are none.

    Raises:
        DataError: Two loads have types for a column that no type holds; a key is missing; a file cannot be read.
        ConfigurationError: A key, cursor or column of deletions is none.
    """
    spec = Loading(source=source, table=source.table, loads=tuple(loads))
    ports = LoadPorts(transaction=transaction, lake_table=lake_table)
    with sentences(source.table):
        change = Change(spec, ports, LoadLedger(transaction, spec.table), tuple(loads), {})
        yield _merged(change, standing) if source.write is WriteMode.MERGE else _appended(change)


def _appended(change: Change) -> FreshRows | None:
    found = parts(change.new, None, change.ports, located=False)
    columns = [*wanted(found, change.ports), *(column for column in ADDED if column[0] != UPDATED)]
    rows = union(found, {name.lower(): type_ for name, type_ in columns})
    return None if rows is None else _stored(rows, columns, change)


def _merged(change: Change, standing: str) -> FreshRows | None:
    prepared = prepare(change, change.new)
    if prepared is None:
        return None
    merging, emptied = prepared.merging, False
    if capture.captured(change.spec.source):
        merging = define_rows(change, prepared)
        if standing:
            captured.recall(change, prepared, merging, standing)
        emptied = captured.settle(change, prepared, merging)
        rows: str | None = f"SELECT * FROM {ROWS}"
    else:
        rows = union(prepared.found, prepared.types)
    if rows is None:
        return None
    own = change.ports.transaction.columns(change.spec.table)
    if own is None:
        raise BugError(f"The table {change.spec.table} was to be made")
    columns = [(column.name, column.type) for column in own if column.name != UPDATED]
    query = (
        f"SELECT r.* EXCLUDE ({POSITION}, {ORDER_LOAD}), {merging.order('r')} AS {ORDER}, "
        f"{means_deletion(change, prepared, 'r')} AS {DELETED} FROM ({rows}) r"
    )
    made = _stored(query, [*columns, (DELETED, "BOOLEAN")], change)
    return FreshRows(made.query, made.columns, merging.key, merging.rank(ORDER), emptied)


def _stored(query: str, columns: Sequence[tuple[str, str]], change: Change) -> FreshRows:
    """Return rows in their stored forms; a column of nulls has no type yet, so it is left out until it has one."""
    typed = [(name, type_) for name, type_ in columns if type_ != UNKNOWN]
    listed = ", ".join(f"{store(identifier(name), type_)} AS {identifier(name)}" for name, type_ in typed)
    landed = change.ports.lake_table.columns()
    served = served_names(landed, reserved(change.spec.source))
    marks = {served[column.name]: column.personal for column in landed}
    kept = [
        Column(
            name=name,
            type=type_,
            stored=how.stored if (how := storage(type_)) is not None else None,
            personal=marks.get(name),
        )
        for name, type_ in typed
    ]
    # What Penstock adds to rows stands behind the columns of the source.
    kept.sort(key=lambda column: column.name in (LOAD, CREATED, ORDER, DELETED))
    return FreshRows(f"SELECT {listed} FROM ({query})", tuple(kept))
