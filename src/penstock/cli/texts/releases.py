"""Candidates, decisions and releases, in words."""

from __future__ import annotations

from typing import Any

from penstock.cli.blocks import Block, Line, table
from penstock.cli.figures import count, moment, size
from penstock.model.answers import LiveRollback
from penstock.model.releases import Candidate, Decision, Release, TableChange

_VERBS = {"approve": "approved", "reject": "rejected", "accept": "accepted", "discard": "discarded"}


def candidate(frozen: Candidate) -> list[Block]:
    """Word what a release would change, and whether it may."""
    against = f"production's release {frozen.against}" if frozen.against else "production, which is empty"
    blocks: list[Block] = [Line(f"Candidate {frozen.id} of {frozen.pipeline}, compared with {against}:", "strong")]
    if frozen.changes:
        blocks.append(_changes(frozen.changes))
    for change in frozen.changes:
        blocks += [Line(f"{change.table}: {sentence}", "warn") for sentence in change.columns]
    figures = _figures(frozen.changes)
    if figures:
        blocks.append(figures)
    told = {change.table for change in frozen.changes if change.warned}
    blocks += [
        Line(f"{version.table}: warned: {', '.join(version.failures)}", "warn")
        for version in frozen.tables
        if version.failures and version.table not in told
    ]
    for change in frozen.changes:
        blocks += [Line(sentence, "warn") for sentence in change.warned]
        blocks += [Line(f"{change.table}: {sentence}", "warn") for sentence in change.drift]
    blocks += [Line(f"{change.table}: {_made(change)}") for change in frozen.changes if change.after]
    if frozen.gate:
        blocks.append(Line("It may not be promoted:", "bad"))
        blocks += [Line(f"  {sentence}", "bad") for sentence in frozen.gate]
    elif frozen.changes and not any(_moves(change) for change in frozen.changes):
        blocks.append(Line("Production has all of this already.", "good"))
    else:
        blocks.append(Line(f"Nothing forbids it: penstock approve {frozen.id}, then penstock promote.", "good"))
    return blocks


def decision(made: Decision) -> list[Block]:
    """Word a decision."""
    verb = _VERBS.get(made.kind, made.kind)
    reason = f": {made.reason}" if made.reason else ""
    blocks: list[Block] = [Line(f"{made.subject} is {verb} by {made.by}{reason}.", "good")]
    if made.kind == "approve":
        blocks.append(Line("Next: penstock promote"))
    return blocks


def live_rollback(made: LiveRollback) -> list[Block]:
    """Word what a rollback of a live table left."""
    gone = f"loads {made.withdrawn[0]}–{made.withdrawn[-1]} are" if len(made.withdrawn) > 1 else "one load is"
    told = f"; the rows of {gone} readable no more" if made.withdrawn else ""
    return [
        Line(f"The live table {made.table} stands as after load {made.to}{told}.", "good"),
        Line(f"It has {count(made.rows)} rows in its files; it had {count(made.rows_before)}."),
        Line("The stream goes on behind what it had read: its next rows are added."),
    ]


def release(made: Release) -> list[Block]:
    """Word a release."""
    back = f" It serves the tables of release {made.rollback_to} again." if made.rollback_to is not None else ""
    reason = f" Reason: {made.reason}." if made.reason else ""
    rows = [(version.table, str(version.number), count(version.rows)) for version in made.tables]
    return [
        Line(
            f"Release {made.number} is in production, by {made.by}, {moment(made.created_at)} UTC.{back}{reason}",
            "good",
        ),
        table(("table", ">version", ">rows"), rows),
    ]


def _made(change: TableChange) -> str:
    """Word checks, cost and lineage in a line."""
    checks = f"{change.passed} check{'' if change.passed == 1 else 's'} passed" if change.passed else "no check passed"
    compared = f"compared by {', '.join(change.key)}" if change.key else "compared as whole rows, by no key"
    cost = [f"{size(change.bytes)} to bring over"]
    if change.seconds is not None:
        cost.append(f"made in {change.seconds:.1f} s")
    inputs = ", ".join(f"{made.table} {made.number}" for made in change.inputs)
    return "; ".join([checks, compared, *cost, *([f"made from {inputs}"] if inputs else [])])


def _changes(changes: tuple[TableChange, ...]) -> Block:
    rows = [
        (
            change.table,
            f"{change.before if change.before is not None else 'new'} → {change.after}",
            count(change.rows_before),
            count(change.rows_after),
            f"+{count(change.added)}" if change.added else "0",
            "–" if change.changed is None else f"~{count(change.changed)}" if change.changed else "0",
            f"−{count(change.removed)}" if change.removed else "0",
        )
        for change in changes
    ]
    return table(("table", "version", ">rows before", ">rows after", ">added", ">changed", ">removed"), rows)


def _figures(changes: tuple[TableChange, ...]) -> Block | None:
    rows = [
        (change.table, column, _figure(before), _figure(after), _shift(before, after))
        for change in changes
        for column, (before, after) in change.figures.items()
        if before != after
    ]
    return table(("table", "mean or distinct values", ">before", ">after", ">change"), rows) if rows else None


def _figure(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return count(value) if isinstance(value, int) else str(value)


def _shift(before: Any, after: Any) -> str:
    numbers = isinstance(before, int | float) and isinstance(after, int | float)
    return f"{(after - before) / abs(before):+.1%}" if numbers and before else ""


def _moves(change: TableChange) -> bool:
    return bool(change.added or change.removed or change.changed or change.columns or change.before is None)
