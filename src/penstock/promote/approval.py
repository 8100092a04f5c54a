"""Who may let a candidate through, and which versions may not return. Pure but for writing a decision down."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Any

from penstock.model.codec import encode
from penstock.model.releases import Candidate, Decision, Release, TableChange, TableVersion
from penstock.model.specs import AutomaticSpec
from penstock.stores.port import Objects

APPROVE = "approve"
REJECT = "reject"


def may_promote(
    candidate: Candidate,
    decisions: Iterable[Decision],
    current: Release | None,
    *,
    force: bool = False,
) -> tuple[str, ...]:
    """Return why a candidate may not be promoted, as sentences; empty if it may.

    Args:
        candidate: The candidate.
        decisions: Decisions; those about other candidates are ignored. The newest approval or rejection counts.
        current: The production release of now.
        force: Pass the gate (failed checks, versions rolled back); the caller asks for a reason. An approval is needed
            all the same, and it must have seen the production of now.
    """
    found: list[str] = []
    number = current.number if current else 0
    if candidate.against != number:
        found.append(
            f"Production has moved to release {number} since candidate {candidate.id} was compared with "
            f"{f'release {candidate.against}' if candidate.against else 'an empty production'}; "
            "make the report again: penstock diff"
        )
    found += _undecided(candidate, decisions)
    if not force:
        found += dict.fromkeys((*candidate.gate, *returning(candidate.tables, current)))
    return tuple(found)


def returning(tables: Sequence[TableVersion], current: Release | None) -> tuple[str, ...]:
    """Return a sentence for each version that a rollback took out of production."""
    withdrawn = {(item.table, item.number): item.release for item in current.withdrawn} if current else {}
    return tuple(
        f"Version {table.number} of {table.table} was rolled back by release {withdrawn[table.table, table.number]}; "
        "replace it or promote with --force and a reason"
        for table in tables
        if (table.table, table.number) in withdrawn
    )


def beyond(candidate: Candidate, limits: AutomaticSpec) -> tuple[str, ...]:
    """Return why a candidate is not approved by itself, as sentences; empty where it is inside the limits."""
    found: list[str] = []
    for change in candidate.changes:
        found += _beyond(change, limits)
    return tuple(found)


def _beyond(change: TableChange, limits: AutomaticSpec) -> Iterator[str]:
    name = change.table
    if change.columns and not limits.columns:
        yield f"{change.columns[0]} ({name}), and columns = false"
    if change.warned and not limits.warnings:
        yield f"{change.warned[0]}, and warnings = false"
    if change.drift and not limits.drift:
        yield f"{name}: {change.drift[0]}, and drift = false"
    if change.before is None:
        # There is nothing in production that shares could be of.
        return
    if limits.changed is not None and change.changed is None and (change.added or change.removed):
        yield f"{name} has no key (a check unique), so that it is not known how many rows changed"
    counted = (("added", change.added, limits.added), ("removed", change.removed, limits.removed))
    for what, rows, limit in (*counted, ("changed", change.changed or 0, limits.changed)):
        if limit is not None and rows > limit * change.rows_before:
            yield f"{rows} of {change.rows_before} rows of {name} would be {what}, and the limit is {limit:.1%}"
    for column, (before, after) in change.figures.items():
        if limits.figures is not None and _share(before, after) > limits.figures:
            yield f"{column} of {name} goes from {before} to {after}, and the limit is {limits.figures:.1%}"


def _share(before: Any, after: Any) -> float:
    """Return how far a figure moves, relative to what it was; endless where that cannot be said."""
    if before == after:
        return 0.0
    if not isinstance(before, int | float) or not isinstance(after, int | float) or not before:
        return math.inf
    return abs(after - before) / abs(before)


def decide(decision: Decision, objects: Objects) -> None:
    """Write a decision down, once and for ever.

    Raises:
        AlreadyExistsError: There is a decision with this id.
    """
    objects.create(f"_decisions/{decision.id}.json", encode(decision))


def _undecided(candidate: Candidate, decisions: Iterable[Decision]) -> list[str]:
    about = [item for item in decisions if item.subject == candidate.id and item.kind in (APPROVE, REJECT)]
    if not about:
        return [f"Candidate {candidate.id} is not approved: penstock approve {candidate.id}"]
    last = max(about, key=attrgetter("at", "id"))
    if last.kind == REJECT:
        why = f": {last.reason}" if last.reason else ""
        return [f"Candidate {candidate.id} was rejected by {last.by}{why}"]
    return []
