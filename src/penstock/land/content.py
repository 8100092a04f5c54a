"""An order-free hash of rows in Parquet files: equal content gives the same text, whatever the order and the files."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from penstock.model.codec import fingerprint
from penstock.model.entries import Column
from penstock.queries.relations import parquet
from penstock.queries.text import identifiers


def content_of(connection: duckdb.DuckDBPyConnection, uris: Sequence[str], columns: Sequence[Column]) -> str:
    """Return the hash of all rows: how many, and sum and exclusive or of the rows' hashes.

    The sum keeps repeats apart that the exclusive or cancels. Column names and types enter, the load's number does not.

    Args:
        connection: A session of the engine.
        uris: The files; may be empty.
        columns: The columns that count.
    """
    shape = fingerprint([(column.name, column.type) for column in columns])
    if not uris or not columns:
        return f"0:0:0:{shape}"
    # A column that held nothing but nulls so far is in no file.
    there = {name for name, *_ in connection.execute(f"DESCRIBE SELECT * FROM {parquet(uris)}").fetchall()}
    names = identifiers(sorted(column.name for column in columns if column.name in there)) or "0"
    row = connection.execute(
        f"SELECT count(*), sum(h::HUGEINT), bit_xor(h) FROM (SELECT hash({names}) AS h FROM {parquet(uris)})"
    ).fetchone()
    count, total, mixed = row or (0, 0, 0)
    return f"{count}:{int(total or 0):x}:{int(mixed or 0):x}:{shape}"
