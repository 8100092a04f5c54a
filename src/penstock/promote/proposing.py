"""Making a candidate: the newest versions of a pipeline, frozen, compared with production, and what forbids them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field, replace
from datetime import datetime
from typing import Any

from penstock.errors import AlreadyExistsError
from penstock.model.codec import decode, encode, fingerprint
from penstock.model.releases import Candidate, Release, TableChange, TableVersion
from penstock.promote.approval import returning
from penstock.promote.comparison import Sides, compare, differing, gone
from penstock.promote.ports import PromotePorts, newest_release
from penstock.promote.versions import Frozen, freeze
from penstock.stores.port import Objects
from penstock.values import dataclass

FOLDER = "_candidates"
_DIGITS = 10


@dataclass(frozen=True, slots=True)
class Observed:
    """What is known of a version beside its rows.

    Attributes:
        drift: Sentences about columns that drifted from what production holds.
        seconds: How long it took to make; None where nobody knows.
    """

    drift: tuple[str, ...] = ()
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposing:
    """What to propose.

    Attributes:
        pipeline: The pipeline.
        tables: The tables that its releases hold.
        created_at: The moment, UTC.
        run: The run whose versions they are.
        keys: Table to the columns of its key, where one is known.
        observe: Asked about each version of a new candidate.
    """

    pipeline: str
    tables: tuple[str, ...]
    created_at: datetime
    run: str | None = None
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    observe: Callable[[Frozen], Observed] | None = None


def candidate(spec: Proposing, ports: PromotePorts) -> Candidate:
    """Freeze the newest versions and say what they would change in production.

    The same versions against the same release give the same candidate: it is written once, to
    ``_candidates/{id}.json`` of the staging lake, and read back after that.

    Raises:
        DataError: A data file cannot be read.
    """
    current = newest_release(ports.production)
    frozen = {name: freeze(ports.staging.table(name)) for name in dict.fromkeys(spec.tables)}
    tables = tuple(found.version for found in frozen.values() if found is not None)
    id_ = _identity(spec, tables, current)
    known = _read(ports.staging.objects, id_)
    if known is not None:
        return known
    made = Candidate(
        id=id_,
        pipeline=spec.pipeline,
        created_at=spec.created_at,
        against=current.number if current else 0,
        tables=_slim(tables, current),
        changes=_changes(spec, frozen, current, ports),
        gate=_gate(spec.pipeline, frozen, current),
        run=spec.run,
    )
    try:
        ports.staging.objects.create(f"{FOLDER}/{id_}.json", encode(made))
    except AlreadyExistsError:
        return _read(ports.staging.objects, id_) or made
    return made


def unchanged(candidate: Candidate) -> bool:
    """Say whether promoting the candidate would leave production as it is."""
    return all(change.before == change.after and not change.columns for change in candidate.changes)


def owner(table: TableVersion, release: Release) -> str:
    """Return the pipeline that promotes a table of a release."""
    return table.pipeline or release.pipeline


def _slim(tables: tuple[TableVersion, ...], current: Release | None) -> tuple[TableVersion, ...]:
    """Leave out the statistics of files that production has: its Delta log holds them."""
    serving = {table.table: table for table in current.tables} if current else {}
    found = []
    for table in tables:
        new = {file.path for file in differing(table, serving[table.table])} if table.table in serving else None
        files = (file if new is None or file.path in new else replace(file, statistics={}) for file in table.files)
        found.append(replace(table, files=tuple(files)))
    return tuple(found)


def _identity(spec: Proposing, tables: tuple[TableVersion, ...], current: Release | None) -> str:
    versions = [(table.table, table.number, [file.path for file in table.files]) for table in tables]
    against = current.number if current else 0
    return fingerprint(spec.pipeline, sorted(spec.tables), versions, against)[:_DIGITS]


def _read(objects: Objects, id_: str) -> Candidate | None:
    path = f"{FOLDER}/{id_}.json"
    return decode(Candidate, objects.get(path), where=f"The candidate {path}") if objects.exists(path) else None


def _changes(
    spec: Proposing, frozen: Mapping[str, Frozen | None], current: Release | None, ports: PromotePorts
) -> tuple[TableChange, ...]:
    serving = {table.table: table for table in current.tables} if current else {}
    sides = Sides(
        ports.engine,
        before=lambda table, files: ports.production.table(table).places(files),
        after=lambda table, files: ports.staging.table(table).places(files),
        known=_known(current, ports.staging.objects),
        keys=spec.keys,
    )
    found = [
        _change(spec, serving.get(item.version.table), item, sides) for item in frozen.values() if item is not None
    ]
    held = {change.table for change in found}
    found += [
        gone(table, "staging has no version of it" if table.table in spec.tables else "it is no longer promoted")
        for table in serving.values()
        if current is not None and table.table not in held and owner(table, current) == spec.pipeline
    ]
    return tuple(found)


def _change(spec: Proposing, before: TableVersion | None, after: Frozen, sides: Sides) -> TableChange:
    observed = spec.observe(after) if spec.observe is not None else Observed()
    return replace(
        compare(before, after.version, sides),
        passed=after.passed,
        warned=after.warned,
        drift=observed.drift,
        seconds=observed.seconds,
        inputs=after.inputs,
    )


def _known(current: Release | None, objects: Objects) -> dict[tuple[str, int], dict[str, Any]]:
    """Return the key figures of production's versions, from the report that they were approved by."""
    report = _read(objects, current.candidate) if current is not None else None
    if report is None:
        return {}
    return {
        (change.table, change.after): {name: after for name, (_, after) in change.figures.items()}
        for change in report.changes
    }


def _gate(pipeline: str, frozen: Mapping[str, Frozen | None], current: Release | None) -> tuple[str, ...]:
    found: list[str] = []
    for name, item in frozen.items():
        if item is None:
            found.append(f"Table {name} of pipeline {pipeline} has no version yet: penstock run {pipeline}")
        else:
            found += item.errors
    if current is not None:
        for table in current.tables:
            if table.table in frozen and owner(table, current) != pipeline:
                found.append(
                    f"Table {table.table} of production belongs to pipeline {owner(table, current)}; "
                    "give the table another name"
                )
    tables = tuple(item.version for item in frozen.values() if item is not None)
    return (*found, *returning(tables, current))
