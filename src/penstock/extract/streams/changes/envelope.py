"""What stands in a row beside the columns of its table, for each kind of database alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from penstock.model.capture import COLUMNS, COMMIT, COMMITTED, OP, UNCHANGED, Op

TYPES = {
    OP: pa.string(),
    COMMIT: pa.int64(),
    COMMITTED: pa.timestamp("us", tz="UTC"),
    UNCHANGED: pa.list_(pa.string()),
}


def enveloped(
    envelope: Mapping[str, pa.Array], fields: Sequence[pa.Field], columns: Sequence[pa.Array]
) -> pa.RecordBatch:
    """Return rows with what is known of their changes before their own columns.

    Args:
        envelope: Name to values.
        fields: The table's own columns.
        columns: Their values, whose types may be others.
    """
    own = [
        pa.field(free(field.name), column.type, metadata=field.metadata)
        for field, column in zip(fields, columns, strict=True)
    ]
    told = [pa.field(name, values.type) for name, values in envelope.items()]
    return pa.RecordBatch.from_arrays([*envelope.values(), *columns], schema=pa.schema([*told, *own]))


def marker(op: Op, commit: int, at: int, fields: Sequence[pa.Field]) -> pa.RecordBatch:
    """Return a row that is none of the table, but says what befell it.

    Args:
        op: What.
        commit: The position of the commit.
        at: Its moment, in microseconds.
        fields: The table's own columns.
    """
    envelope = repeated(op, commit, at, 1)
    return enveloped(envelope, fields, [pa.nulls(1, field.type) for field in fields])


def repeated(op: Op, commit: int, at: int, count: int) -> dict[str, pa.Array]:
    """Return the envelope of rows that have one commit in common."""
    once = pa.array([0] * count, pa.int64())
    values = {OP: op.value, COMMIT: commit, COMMITTED: at}
    made = {name: pa.array([value]).cast(TYPES[name]).take(once) for name, value in values.items()}
    return {**made, UNCHANGED: pa.nulls(count, TYPES[UNCHANGED])}


def free(name: str) -> str:
    """Return the name of a table's own column, clear of what stands beside it."""
    return f"{name}__source" if name in COLUMNS else name
