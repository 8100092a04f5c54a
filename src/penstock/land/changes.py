"""What the columns of a load did, in sentences for the user."""

from __future__ import annotations

from penstock.land.columns import listed
from penstock.model.contracts import Retyped, SchemaChange
from penstock.names import DISCARDED
from penstock.queries.text import identifier


def told(table: str, change: SchemaChange | None) -> tuple[str, ...]:
    """Return a sentence for each thing that changed.

    Args:
        table: The lake table.
        change: What the columns did; None where nothing did.
    """
    if change is None:
        return ()
    said = []
    if change.vanished:
        said.append(f"the source no longer gives {listed(change.vanished)}; null in the new rows")
    if change.added:
        said.append(f"new {listed(change.added)}")
    said += [
        f"column {name!r} is missing from a part of the load; null in {rows} rows for that"
        for name, rows in change.partial.items()
    ]
    said += [f"column {name!r} came as {came!r} and is taken for it" for name, came in change.renamed.items()]
    said += [_retyped(each) for each in change.retyped]
    for left in change.discarded:
        what = (
            f"the contract leaves out the new column {left.column!r} with {left.values} values"
            if left.whole
            else f"{left.values} values of column {left.column!r} do not fit its type; their rows are set aside"
        )
        said.append(f"{what} (kept in {DISCARDED} of the raw zone)")
    return tuple(f"{table}: {sentence}" for sentence in said)


def _retyped(each: Retyped) -> str:
    if "NULL" in each.before:
        return f"column {each.column!r} got its first type, {each.after}"
    if each.after == "JSON":
        return (
            f"column {each.column!r} is JSON now, because values of several kinds came; it was {each.before}. "
            f"A member of it is read by {identifier(each.column)}->>'name' from now on"
        )
    return f"column {each.column!r} is {each.after} now, wider than {each.before}"
