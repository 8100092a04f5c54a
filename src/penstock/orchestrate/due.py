"""Whether a transform must be computed, and why: a pure function of what has landed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field

from penstock.catalog.port import LoadRecord
from penstock.model.codec import fingerprint
from penstock.model.entries import Entry
from penstock.model.interval import Interval
from penstock.model.plan import Cause
from penstock.model.specs import TransformSpec
from penstock.orchestrate.ledger import Ledger, VersionLedger, numbers
from penstock.orchestrate.scopes import reach
from penstock.values import dataclass


@dataclass(frozen=True, slots=True)
class Due:
    """Whether a transform must be computed for an interval.

    Attributes:
        why: The reason to compute it; empty: it is up to date.
        cause: The reason in one word.
        blocked: The reason why it cannot be computed; empty: it can.
        fingerprint: What the version would carry: ``{code}.{inputs}``.
        inputs: Input to the numbers of its loads or versions.
        standing: The version that it would replace.
    """

    why: str = ""
    cause: Cause | None = None
    blocked: str = ""
    fingerprint: str = ""
    inputs: Mapping[str, Sequence[int]] = field(default_factory=dict)
    standing: Entry | None = None

    @property
    def by_data(self) -> bool:
        """Say whether rows that came in are the reason, in a source or in a table between."""
        return self.cause in (Cause.NEW_DATA, Cause.UPSTREAM)


def due(transform: TransformSpec, interval: Interval | None, ledger: Ledger, code: str) -> Due:
    """Say whether a transform must be computed for an interval, from what has landed."""
    inputs: dict[str, list[int]] = {}
    for name in transform.inputs:
        found = _input(name, reach(transform, interval), ledger)
        if isinstance(found, str):
            return Due(blocked=found)
        inputs[name] = found
    expected = f"{code}.{fingerprint(interval, inputs)}"
    known = ledger.versions[transform.table]
    entry, carried = known.newest.get(interval), known.fingerprint(interval)
    if transform.interval is None and known.head is not None and known.head.interval is not None:
        entry, carried = known.head, ""
    why, cause = "", None
    if interval in known.again:
        why, cause = "asked to compute it again", Cause.FORCED
    elif not carried:
        why, cause = "not made yet", Cause.FIRST
    elif carried.partition(".")[0] != code:
        why, cause = "its code changed", Cause.CODE
    elif carried != expected:
        why, cause = _changed(known, interval, inputs, ledger)
    elif transform.volatile:
        why, cause = "it depends on clock or chance", Cause.VOLATILE
    return Due(why=why, cause=cause, fingerprint=expected, inputs=inputs, standing=entry)


def _changed(
    known: VersionLedger, interval: Interval | None, inputs: Mapping[str, Sequence[int]], ledger: Ledger
) -> tuple[str, Cause]:
    """Say which inputs are others than those of what stands."""
    read: dict[str, set[int]] = {}
    for version in known.inputs(interval):
        read.setdefault(version.table, set()).add(version.number)
    changed = [name for name, found in inputs.items() if read.get(ledger.lake_table(name), set()) != set(found)]
    changed = changed or list(inputs)
    fresh = [name for name in changed if name in ledger.sources]
    remade = [name for name in changed if name not in ledger.sources]
    why = [f"new data in {', '.join(fresh)}"] if fresh else []
    why += [f"upstream changed: {', '.join(remade)}"] if remade else []
    return "; ".join(why), Cause.NEW_DATA if fresh else Cause.UPSTREAM


def _input(name: str, interval: Interval | None, ledger: Ledger) -> list[int] | str:
    """Return the numbers that a transform would read of one input, or the sentence that says why it cannot."""
    if name in ledger.sources:
        source = ledger.sources[name]
        rejected = source.blocked(interval)
        if rejected is not None:
            return f"load {rejected.entry.number} of {source.table} is rejected"
        live = source.live(interval)
        return (
            numbers(live)
            if live or _knows_time(source.live())
            else f"{source.table} has no accepted load{_for(interval)}"
        )
    versions = ledger.versions[name]
    by_interval = [known for known in versions.newest if known is not None]
    if interval is not None and by_interval:
        covering = [known for known in by_interval if known.overlaps(interval)]
        found = [versions.newest[known].number for known in sorted(covering)]
        return found or f"{name} has no version{_for(interval)}"
    return [versions.head.number] if versions.head else f"{name} has no version"


def _knows_time(live: Sequence[LoadRecord]) -> bool:
    """Say whether it is known in which time the rows lie, so that an interval without rows is empty, not missing."""
    return any(record.verdict_entry is not None and record.verdict_entry.touched is not None for record in live)


def _for(interval: Interval | None) -> str:
    return f" for {interval.label}" if interval else ""
