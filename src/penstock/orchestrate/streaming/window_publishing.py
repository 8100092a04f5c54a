"""Publishing windows straight to production: what a micro-batch made of them, as soon as it did.

A live table of windows says in its position what its rows were computed from, as the staging warehouse does. Where that
is what stood in the warehouse before the micro-batch, the rows that left and came are published; where it is not (a
crash in between, a run that computed all, a declaration that changed), the whole table is, in the place of its rows.
All of it happens before the warehouse's transaction ends: a failure takes both back, and the next micro-batch goes on.
"""

from __future__ import annotations

from penstock.load.fresh import DELETED
from penstock.model.entries import Column
from penstock.names import LOAD
from penstock.orchestrate.context import RunContext
from penstock.orchestrate.streaming.publishing import open_live
from penstock.orchestrate.workspace import now
from penstock.promote.live import LiveTable, Rows
from penstock.queries.text import alike, identifier
from penstock.schema import storage, store
from penstock.stores.live_files import LiveShape
from penstock.stores.port import WarehouseTransaction
from penstock.transform.windowing.port import ENTERED, LEFT
from penstock.values import dataclass

_ADDED = (Column(name=LOAD, type="BIGINT"), Column(name=DELETED, type="BOOLEAN"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Computed:
    """What a micro-batch made of a table of windows.

    Attributes:
        table: The table.
        key: The columns that tell its rows apart.
        before: What the rows that stood were computed from; empty: not known.
        after: What they were computed from now.
        whole: All were computed; else ``LEFT`` and ``ENTERED`` hold what changed.
    """

    table: str
    key: tuple[str, ...]
    before: str
    after: str
    whole: bool


class LiveWindows:
    """The live tables of windows that one process keeps up."""

    def __init__(self) -> None:
        self._tables: dict[str, LiveTable] = {}

    def publish(self, computed: Computed, transaction: WarehouseTransaction, context: RunContext) -> None:
        """Make the rows of a table readable in production.

        Raises:
            ConflictError: A release has a table of that name.
            StaleWriterError: A successor has taken over.
            TransientError: The disk is full, or production's server away.
        """
        try:
            self._publish(computed, transaction, context)
        except BaseException:
            self._close(computed.table)
            raise

    def close(self) -> None:
        """Let go of all tables."""
        for table in tuple(self._tables):
            self._close(table)

    def _publish(self, computed: Computed, transaction: WarehouseTransaction, context: RunContext) -> None:
        live = self._tables.get(computed.table)
        if live is not None and not live.newest:
            # Another process has published since.
            self._close(computed.table)
            live = None
        anew = live is None
        if live is None:
            live = self._tables[computed.table] = open_live(context.workspace, computed.table, context.run)
        columns = _columns(transaction.columns(computed.table) or ())
        shape = LiveShape(
            columns=columns, hidden=(LOAD, DELETED), key=computed.key, rank=identifier(LOAD), deleted=DELETED
        )
        changed = live.made_from != computed.after or not computed.after
        if changed:
            known = [(column.name, column.type) for column in live.columns]
            whole = computed.whole or not computed.before or live.made_from != computed.before
            whole = whole or known != [(column.name, column.type) for column in columns]
            query = _query(computed, columns, live.published + 1, whole=whole)
            rows = Rows(query, transaction.connection, computed.after, whole)
            live.put(rows, shape, now(), context.fence)
        if changed or anew:
            live.serve(shape)
        while live.join_small(shape, now(), context.fence):
            live.serve(shape)
        if not computed.whole:
            # Temporary tables that outlive the transaction hold up the checkpoint behind it.
            transaction.execute(f"DROP TABLE temp.{LEFT}")
            transaction.execute(f"DROP TABLE temp.{ENTERED}")

    def _close(self, table: str) -> None:
        live = self._tables.pop(table, None)
        if live is not None:
            live.close()


def _columns(columns: tuple[Column, ...]) -> tuple[Column, ...]:
    """Return the columns of the live table: those of the windows in their stored forms, and what readers do not see."""
    stored = (
        Column(name=column.name, type=column.type, stored=how.stored if (how := storage(column.type)) else None)
        for column in columns
    )
    return (*stored, *_ADDED)


def _query(computed: Computed, columns: tuple[Column, ...], number: int, *, whole: bool) -> str:
    """Return the SELECT of the rows that are to be published, in their stored forms."""
    own = columns[: -len(_ADDED)]
    listed = ", ".join(
        f"{store(f'v.{identifier(column.name)}', column.type)} AS {identifier(column.name)}" for column in own
    )
    came = f"SELECT {listed}, {number}::BIGINT AS {LOAD}, false AS {DELETED} FROM "
    if whole:
        return f"{came}{identifier(computed.table)} v"
    left = came.replace(f"false AS {DELETED}", f"true AS {DELETED}")
    return f"{came}{ENTERED} v UNION ALL {left}{LEFT} v ANTI JOIN {ENTERED} e ON {alike(computed.key, 'v', 'e')}"
