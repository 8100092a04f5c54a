"""Candidates, approvals and releases: frozen sets of versions and who let them through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from typing import Any

from penstock.model.entries import Column, DataFile, InputVersion
from penstock.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TableVersion:
    """One table of a candidate or release: exactly these files of exactly this version.

    Attributes:
        table: The table's name in production.
        number: The staging version.
        rows: Its rows.
        schema: Its columns.
        files: Its live files; paths are relative to the table's folder (in staging for a candidate, in
            production for a release).
        content: Order-free hash of the rows, where known.
        failures: Names of checks that warned.
        pipeline: Of a release: the pipeline that promoted it; a release carries the tables of other pipelines on.
    """

    table: str
    number: int
    rows: int
    schema: tuple[Column, ...]
    files: tuple[DataFile, ...]
    content: str = ""
    failures: tuple[str, ...] = ()
    pipeline: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableChange:
    """What a release would change in one table.

    Attributes:
        table: The table.
        before: Production's version number, None for a new table.
        after: The candidate's; 0 where production would lose the table.
        rows_before: Rows in production.
        rows_after: Rows in the candidate.
        added: Rows in the candidate that production has not: of a table with a key, those whose key is new.
        removed: Rows in production that the candidate has not: of a table with a key, those whose key is gone.
        changed: Rows whose key both have, with other values; None where no key is known and whole rows are compared.
        key: The columns of the key.
        columns: Sentences about columns that appear, vanish or change type.
        figures: Column to (before, after) of a key figure (mean of numbers, distinct of texts).
        passed: How many checks passed in the version, or in the versions whose rows it holds.
        warned: What those said that warned.
        drift: Sentences about columns that drifted from production's version, where profiles are kept.
        bytes: Bytes of data files that promotion would bring to production.
        seconds: How long the versions took to make, where runs are known.
        inputs: The newest of the versions and loads that it was made from, one of each table.
    """

    table: str
    before: int | None
    after: int
    rows_before: int
    rows_after: int
    added: int
    removed: int
    changed: int | None = None
    key: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    figures: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    passed: int = 0
    warned: tuple[str, ...] = ()
    drift: tuple[str, ...] = ()
    bytes: int = 0
    seconds: float | None = None
    inputs: tuple[InputVersion, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A frozen set of versions that may become a release.

    Attributes:
        id: Short hash of pipeline, versions and the release it was compared with.
        pipeline: The pipeline.
        created_at: When it was made, UTC.
        against: The production release it was compared with; 0 for none.
        tables: The versions.
        changes: What it would change.
        gate: Sentences that forbid promotion (failed checks, a version rolled back); empty when it may pass.
        run: The run whose versions it holds.
    """

    id: str
    pipeline: str
    created_at: datetime
    against: int
    tables: tuple[TableVersion, ...]
    changes: tuple[TableChange, ...] = ()
    gate: tuple[str, ...] = ()
    run: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Something that a person or a rule decided: written create-only to ``_decisions/`` of the staging lake.

    Attributes:
        id: Unique, sortable by time.
        kind: ``approve``, ``reject``, ``accept``, ``discard``, ``retry``, ``promote``, ``rollback``.
        at: When, UTC.
        by: Who: the user's name, or ``automatic``.
        subject: What it is about: a candidate's id, a release number, ``table#load``.
        reason: Why.
        detail: What they had seen: report digest, versions.
    """

    id: str
    kind: str
    at: datetime
    by: str
    subject: str
    reason: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """A version that a rollback took out of production; it may not return until a newer one replaces it.

    Attributes:
        table: The table.
        number: The staging version.
        release: The release, a rollback, that took it out.
    """

    table: str
    number: int
    release: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What production serves: ``releases/{n}.json`` of the production lake. Creating it is the commit point.

    Attributes:
        number: From 1, without gaps.
        previous: The release before it; 0 for none.
        candidate: The candidate it came from (of a rollback: of the release it went back to).
        pipeline: The pipeline.
        created_at: When, UTC.
        by: Who promoted.
        tables: The versions, with paths in production.
        warehouse: Name of its DuckDB file in the folder ``releases`` beside the production warehouse.
        rollback_to: Of a rollback: the release whose tables it took back.
        reason: Why.
        fence: The fencing token of the promoting run.
        withdrawn: Versions taken out by rollbacks and not replaced since.
    """

    number: int
    previous: int
    candidate: str
    pipeline: str
    created_at: datetime
    by: str
    tables: tuple[TableVersion, ...]
    warehouse: str
    rollback_to: int | None = None
    reason: str = ""
    fence: int = 0
    withdrawn: tuple[Withdrawal, ...] = ()
