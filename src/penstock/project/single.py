"""One URI into one table, with no project around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.model.events import Observer, ignore

if TYPE_CHECKING:
    from penstock.model.receipts import IngestReceipt


def ingest(
    data: Any,
    *,
    to: str,
    table: str | None = None,
    raw: bool = True,
    memory: int | str | None = None,
    observer: Observer = ignore,
    **reading: Any,
) -> IngestReceipt:
    """Bring one URI, file, DataFrame, Arrow table or iterable into one table of a DuckDB file; no project needed.

    Args:
        data: ``sqlite:///ops.db?table=flights``, ``postgresql://…?table=…``, ``mysql://…?table=…``, a file's
            path or glob, or an object.
        to: The DuckDB file, made if need be.
        table: The table; the default is the name in the URI.
        raw: Keep the raw zone beside the target, in ``{to without .duckdb}.lake/``.
        memory: What the whole process may hold, as ``2GiB`` or a number of bytes; the default is 1 GiB.
        observer: Gets the events, for progress displays.
        **reading: ``write``, ``key``, ``cursor``, ``lag``, ``horizon`` … as in ``penstock.sources``; the key of
            ``personal`` columns is taken from the variable ``PENSTOCK_PRIVACY_KEY``.
    """
    from penstock.model.budget import cap
    from penstock.orchestrate import ingesting

    return ingesting.ingest(data, to=to, table=table, raw=raw, memory=cap(memory), observer=observer, reading=reading)
